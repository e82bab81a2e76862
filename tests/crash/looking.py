"""What stands at a site: everything that has to be the same after a run that was cut off, and what no kill may ever leave."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import sqlite3
import stat
import struct
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from procedures import Procedure

from coldchain import strays
from coldchain.copies import CopyState
from coldchain.manifest import MANIFEST
from coldchain.protection import GET_FLAGS, IMMUTABLE
from coldchain.workspace import Workspace

Look = Mapping[str, Any]
"""What stands: copies, the tree, receipts, open proposals and so on; `wrong` is what can never be."""


RANDOM = {"id", "activity_id", "body", "digest", "identity"}
"""Columns that differ from run to run."""


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


def immutable(path: Path) -> bool:
    """Whether the immutable flag of a file or folder is set."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        return bool(struct.unpack("l", fcntl.ioctl(handle, GET_FLAGS, b"\0" * 8))[0] & IMMUTABLE)
    except OSError:  # a file system without flags
        return False
    finally:
        os.close(handle)
