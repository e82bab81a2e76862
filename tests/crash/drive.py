"""Kill procedures before each of their effects, look at what stands, run them again.

A process of its own, without threads, so that it can be forked. Each line it reads is a request, each line it writes the answer, in JSON:
`{"procedure": "ingest", "folder": "/tmp/x", "points": "all", "twice": 3}` gives the points' names, which were tried, and what is wrong.
Nothing here is an `assert`: it runs under `python -O` too.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from looking import compare, immutable, look, other, rows, tree
from procedures import CARELESS, TABLE, Procedure

from coldchain.errors import ColdchainError
from coldchain.protection import release, set_immutable
from coldchain.testing import crashing


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
        for order, point in enumerate(points):
            if crashing.kill(partial(self.procedure.run, self.site), self.site, point):
                wrong += self._apart(self._now)
            elif order == 0:  # a rerun may well have less to do
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
        """The tree, and a digest of each table, where the procedure is killed."""
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
        now = look(self.procedure, self.site)
        yield from compare(self.before, self.after, now)
        yield from other(self.after, now)
        yield from self._again()

    def _again(self) -> Iterator[str]:
        """What another run does, where nothing is left to do."""
        for name in crashing.effects(partial(self.procedure.run, self.site), self.site):
            if not name.startswith("commit"):
                yield f"another run still does: {name}"
        now = look(self.procedure, self.site)
        yield from (f"another run: {each}" for each in (*now["wrong"], *other(self.after, now)))


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
        "stale": [pattern for pattern in about.known if not any(re.search(pattern, each) for each in known)],
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
