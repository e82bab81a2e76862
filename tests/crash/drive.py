"""Kill procedures before each of their effects, look at what stands, run them again.

A process of its own, without threads, so that it can be forked. Each line it reads is a request, each line it writes the answer, in JSON:
`{"procedure": "ingest", "folder": "/tmp/x", "points": "all", "twice": 3}` gives the points' names, which were tried, and what is wrong.
Nothing here is an `assert`: it runs under `python -O` too.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import sqlite3
import stat
import struct
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from procedures import CARELESS, TABLE, Procedure

from coldchain import strays
from coldchain.copies import CopyState
from coldchain.errors import ColdchainError
from coldchain.manifest import MANIFEST
from coldchain.protection import GET_FLAGS, IMMUTABLE, release, set_immutable
from coldchain.testing import crashing
from coldchain.workspace import Workspace

Look = Mapping[str, Any]
"""What stands: copies, the tree, receipts, open proposals and so on; `wrong` is what can never be."""


RANDOM = {"id", "activity_id", "body", "digest", "identity"}
"""Columns that differ from run to run."""


class Drive:
    """One procedure, what stands before it and after it, and a folder for the sites that are killed."""

    def __init__(self, procedure: Procedure, folder: Path) -> None:
        """Prepare the site, and let the procedure run to its end once, and again."""
        self.procedure, self.prepared, self.site = procedure, folder / "prepared", folder / "site"
        procedure.prepare(self.prepared)
        self.before = look(procedure, self.prepared)
        clone(self.prepared, self.site)
        self.names = crashing.effects(partial(procedure.run, self.site), self.site)
        self.after = look(procedure, self.site)
        self.wrong = [f"not killed: {each}" for each in (*self.after["wrong"], *self._apart(self._again))]
        remove(self.site)

    def at(self, *points: int) -> list[str]:
        """Kill the procedure, and each rerun before the next point, then run it to its end; what is wrong at any time."""
        wrong = []
        clone(self.prepared, self.site)
        for point in points:
            if crashing.kill(partial(self.procedure.run, self.site), self.site, point):
                wrong += self._apart(self._now)
            elif point == points[0]:
                wrong.append("it ended before it was killed")
        wrong += [f"after the rerun: {each}" for each in self._apart(self._rerun)]
        remove(self.site)
        where = f"{points[0]:03} {self.names[points[0]]}" + "".join(f", rerun before its {point:03}" for point in points[1:])
        return [f"killed before {where}: {each}" for each in wrong]

    def unnamed(self, first: int, last: int) -> Iterator[str]:
        """What changes between two neighbouring points and is not what the effect between them says."""
        earlier = self._killed(first)
        for point in range(first, min(last, len(self.names) - 1)):
            later = self._killed(point + 1)
            changed = {name for name in earlier.keys() | later.keys() if earlier.get(name) != later.get(name)}
            said = self.names[point].replace(",", "").split() if self.names[point].startswith("commit") else []
            for name in sorted(changed):
                if not (name.split()[-1] in said if name.startswith("table ") else self._names(point, name)):
                    yield f"between {point:03} {self.names[point]} and {point + 1:03}: {name}"
            earlier = later

    def _names(self, point: int, path: str) -> bool:
        """Whether an effect names a path, or a folder that it is in and that was renamed."""
        named = self.names[point].partition(" ")[2].removesuffix(")").split(" (")[0].split(" -> ")
        return any(path == each or (len(named) == 2 and path.startswith(f"{each}/")) for each in named)

    def _killed(self, point: int) -> dict[str, Any]:
        """The tree, and how many rows stand in each table, where the procedure is killed."""
        clone(self.prepared, self.site)
        crashing.kill(partial(self.procedure.run, self.site), self.site, point)
        found = {**tree(self.site), **dict(rows(self.site))}
        remove(self.site)
        return found

    def _apart(self, judge: Callable[[], Iterator[str]]) -> list[str]:
        """Judge in a process of its own."""
        try:
            found: list[str] = json.loads(crashing.apart(lambda: json.dumps(list(judge()))))
        except ColdchainError as error:
            return [str(error)]
        return found

    def _now(self) -> Iterator[str]:
        return compare(self.before, self.after, look(self.procedure, self.site))

    def _rerun(self) -> Iterator[str]:
        self.procedure.run(self.site)
        yield from other(self.after, look(self.procedure, self.site))
        yield from self._again()

    def _again(self) -> Iterator[str]:
        """What another run does, where nothing is left to do."""
        for name in crashing.effects(partial(self.procedure.run, self.site), self.site):
            if not name.startswith("commit"):
                yield f"another run still does: {name}"
        yield from (f"another run: {each}" for each in other(self.after, look(self.procedure, self.site)))


def look(procedure: Procedure, site: Path) -> Look:
    """What stands at a site; what can never be, whatever was cut off, is wrong."""
    ws = procedure.open(site)
    receipts = [each for each in ws.catalogue.receipts() if each["kind"] != "sweep"]  # each sweep writes one
    found: dict[str, Any] = {
        "copies": [asdict(copy) for copy in ws.catalogue.copies()],
        "tree": tree(site),
        "removed": [line["copy"] for each in receipts if each["kind"] == "removal" for line in each["removed"]],
        "receipts": sorted({json.dumps(told(each), sort_keys=True) for each in receipts if each["kind"] != "removal"}),
        "open": [asdict(each) for each in ws.catalogue.proposals()],
        "asides": [asdict(each) for each in ws.catalogue.asides()],
        "strays": [line for place in ws.stores for line in strays.look(ws, place).unregistered.lines],
    }
    found["wrong"] = [*impossible(ws, found), *_database(site)]
    ws.catalogue.close()
    return found


def told(receipt: Mapping[str, Any]) -> dict[str, Any]:
    """A receipt without what differs from run to run; from where a repair takes its bytes depends on what stands at that moment."""
    return {name: value for name, value in receipt.items() if name not in {"digest", "follows", "from"}}


def impossible(ws: Workspace, found: Look) -> Iterator[str]:
    """What contradicts itself: removals and receipts, totals and copies."""
    gone = Counter(copy["id"] for copy in found["copies"] if copy["state"] is CopyState.REMOVED)
    if gone != Counter(found["removed"]):
        yield f"removed copies are {dict(gone)}, receipts tell of {found['removed']}"
    counted = Counter((copy["location"], copy["artifact"].split("@")[0].split("/")[2], copy["state"]) for copy in found["copies"])
    totals = {(each.location, each.level, each.state): each.copies for each in ws.catalogue.totals() if each.copies}
    standing = {key: count for key, count in counted.items() if key[2] is not CopyState.REMOVED}
    if totals != standing:
        yield f"totals are {totals}, copies {standing}"


def rows(site: Path) -> Iterator[tuple[str, object]]:
    """Digest of each table of a catalogue, but for what a run draws at random."""
    with contextlib.closing(sqlite3.connect(site / "catalogue.db")) as db:
        for (table,) in db.execute("select name from sqlite_master where type = 'table' and name <> 'lease'").fetchall():
            columns = [f'"{name}"' for _, name, *_ in db.execute(f"pragma table_info({table})") if name not in RANDOM] or ["1"]
            text = repr(db.execute(f"select {', '.join(columns)} from {table}").fetchall())  # noqa: S608 - names of the catalogue's own
            yield f"table {table}", hashlib.sha256(text.encode()).hexdigest()


def _database(site: Path) -> Iterator[str]:
    with contextlib.closing(sqlite3.connect(site / "catalogue.db")) as db:
        for pragma, sound in (("integrity_check", [("ok",)]), ("foreign_key_check", [])):
            if (said := db.execute(f"pragma {pragma}").fetchall()) != sound:
                yield f"{pragma}: {said}"


def tree(site: Path) -> dict[str, list[Any]]:
    """Every file and folder of a site but the catalogue's: kind, mode, whether it is immutable, digest; the time of raw files."""
    found = {}
    for path in sorted(site.rglob("*")):
        name, about = str(path.relative_to(site)), path.lstat()
        if name.startswith("catalogue.db"):
            continue
        digest = hashlib.sha256(path.read_bytes()).hexdigest() if stat.S_ISREG(about.st_mode) else ""
        time = about.st_mtime_ns if digest and ("/raw/" in name or name.startswith("acquisition/")) and MANIFEST not in name else 0
        found[name] = [stat.filemode(about.st_mode), immutable(path), digest, time]
    return found


def compare(before: Look, after: Look, now: Look) -> Iterator[str]:
    """What a kill may never leave, whatever it cut off."""
    yield from now["wrong"]
    known = {(copy["artifact"], copy["location"]) for copy in verified(before)} - set(whole(before))
    for copy in verified(now):
        if reason := broken(now, copy) if (copy["artifact"], copy["location"]) not in known else "":
            yield f"a verified copy is not whole: {copy['location']}:{copy['path']}: {reason}"
    for artifact, location in sorted(set(whole(before)) & set(whole(after)) - set(whole(now))):
        yield f"a copy that stays does not stand: {artifact} at {location}"
    for place, digest in sorted(contents(before) & contents(after) - contents(now)):
        yield f"bytes are gone from {place}: {digest[:12]}"
    for name, about in before["tree"].items():
        if name.startswith("acquisition") and now["tree"].get(name) != about:
            yield f"the instrument's own files changed: {name}"


def verified(found: Look) -> list[dict[str, Any]]:
    """Copies that the catalogue calls verified."""
    return [copy for copy in found["copies"] if copy["state"] == CopyState.VERIFIED]


def whole(found: Look) -> list[tuple[str, str]]:
    """Copies that the catalogue calls verified, and that are."""
    return [(copy["artifact"], copy["location"]) for copy in verified(found) if not broken(found, copy)]


def broken(found: Look, copy: Mapping[str, Any]) -> str:
    """Why a copy's folder is not its artifact, by our own reading of its manifest; nothing where it is."""
    folder = f"{copy['location']}/{copy['path']}/"
    files = {name.removeprefix(folder): about[2] for name, about in found["tree"].items() if name.startswith(folder) and about[2]}
    if files.pop(MANIFEST, "") != copy["artifact"].split("@")[1]:
        return "its manifest is not the artifact's"
    text = "".join(f"{digest}  {name}\n" for name, digest in sorted(files.items(), key=lambda each: os.fsencode(each[0])))
    return "" if hashlib.sha256(text.encode()).hexdigest() == copy["artifact"].split("@")[1] else f"it holds {sorted(files)}"


def contents(found: Look) -> set[tuple[str, str]]:
    """What bytes stand where, under whatever name."""
    return {(name.split("/")[0], about[2]) for name, about in found["tree"].items() if about[2]}


def other(wanted: Look, now: Look) -> Iterator[str]:
    """How what stands differs from what stands after a run that was not cut off."""
    yield from now["wrong"]
    for part in sorted(wanted.keys() - {"wrong"}):
        one, two = flat(wanted[part]), flat(now[part])
        for name in sorted(one.keys() | two.keys()):
            if one.get(name) != two.get(name):
                yield f"{part} {name}: expected {one.get(name, 'nothing')}, got {two.get(name, 'nothing')}"


def flat(part: Any, name: str = "") -> dict[str, str]:
    """A part in single values, each with its name; one of a list is named by its number, or by itself."""
    if isinstance(part, dict):
        return {key: value for each in part for key, value in flat(part[each], f"{name} {each}".strip()).items()}
    if isinstance(part, list) and any(isinstance(each, dict) for each in part):
        return {key: value for each in part for key, value in flat(each, f"{name} {each['id']}".strip()).items()}
    if isinstance(part, list) and not name:
        return {str(each): "stands" for each in part}
    return {name: str(part)}


def clone(site: Path, to: Path) -> None:
    """Copy a site with its modes, times and immutable flags."""
    shutil.copytree(site, to, symlinks=True)
    for path in sorted(site.rglob("*"), reverse=True):
        if immutable(path):
            set_immutable(to / path.relative_to(site), on=True)


def remove(site: Path) -> None:
    """Remove a site, whatever protects it."""
    release(site)
    shutil.rmtree(site)


def immutable(path: Path) -> bool:
    """Whether the immutable flag of a file or folder is set."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        return bool(struct.unpack("l", fcntl.ioctl(handle, GET_FLAGS, b"\0" * 8))[0] & IMMUTABLE)
    except OSError:  # a file system without flags
        return False
    finally:
        os.close(handle)


def chosen(count: int, wanted: str | int) -> list[int]:
    """All points, or so many, each in the middle of its share."""
    most = count if wanted == "all" else min(count, int(wanted))
    return [(2 * step + 1) * count // (2 * most) for step in range(most)]


def answer(procedure: str, folder: str, points: str | int, twice: str | int = 0, steps: int = 0) -> dict[str, Any]:
    """Drive one procedure; where it is killed twice, the second kill hits one of the first points of the rerun.

    `steps` is how many neighbouring points are held against each other, at the beginning, in the middle and at the end.
    """
    about = {**TABLE, **CARELESS}[procedure]
    drive = Drive(about, Path(folder))
    count = len(drive.names)
    once = [[point] for point in chosen(count, points)]
    again = [[point, order % 12] for order, point in enumerate(chosen(count, twice), 1)]
    wrong = [*drive.wrong, *(each for tried in (*once, *again) for each in drive.at(*tried))]
    starts = {0, max(0, (count - steps) // 2), max(0, count - steps)} if steps else set()
    unnamed = sorted({each for start in starts for each in drive.unnamed(start, start + steps)})
    remove(drive.prepared)
    known = [each for each in wrong if any(re.search(pattern, each) for pattern in about.known)]
    left = [each for each in wrong if each not in known]
    return {
        "names": drive.names,
        "tried": [*once, *again],
        "known": known,
        "wrong": left,
        "unnamed": unnamed,
        "optimized": not __debug__,
    }


def main() -> None:
    """Answer requests, one a line."""
    for line in sys.stdin:
        try:
            said = answer(**json.loads(line))
        except Exception:  # noqa: BLE001 - the test that asked tells it, and the next may ask
            said = {"failed": traceback.format_exc()}
        print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main()
