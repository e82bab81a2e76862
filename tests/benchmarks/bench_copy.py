"""A verified delivery, and an ingest, against their floor and against rsync with digests on both sides, in interleaved rounds.

The floor is what any verified copy must do, in one Python thread: read, hash, write, fsync, drop from the page cache, read
back, hash. Ours have everything else too: manifest, catalogue, leases, progress, final name, and for an ingest the listing of the
acquisition before and after. The source is dropped from the page cache before each turn. Nothing is removed before the end: ext4
looks long for inodes where some were removed within the last half minute, so wait that long before you start, too.
"""

from __future__ import annotations

import argparse
import datetime as dt
import hashlib
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median

from coldchain import making, transfer
from coldchain.copies import Artifact, CopyState
from coldchain.dataset import Dataset, Project
from coldchain.levels import Level
from coldchain.location import Location, Medium
from coldchain.policy import Policy, Rule, Wanted
from coldchain.site import Roles, Site
from coldchain.sql.catalogue import SqlCatalogue
from coldchain.store_posix import PosixStore
from coldchain.workspace import Workspace

BLOCK = 1 << 20
GOAL_FLOOR, GOAL_OPENSSL, GOAL_SHA256SUM = 1.15, 1.4, 3.0
Figures = dict[str, list[tuple[float, float]]]
Way = Callable[[Path], None]


def main() -> None:
    """Measure both kinds of tree; the last lines hold the figures against their goals."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="2 GB and 19,600 files")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--where", type=Path, help="folder on the disk to measure")
    chosen = parser.parse_args()
    large, many = (2 << 30, 19_600) if chosen.full else (256 << 20, 2_000)
    lines = []
    with tempfile.TemporaryDirectory(dir=chosen.where, prefix="bench-copy-") as folder:
        for title, sizes in (("one large file", [large]), ("many small files", [50_000] * many)):
            lines += report(title, measure(Path(folder, title), sizes, chosen.rounds))
    print("\n".join(lines))


def measure(root: Path, sizes: list[int], rounds: int) -> Figures:
    """Wall and CPU seconds of each way, by round; the ways take turns."""
    ws, artifact, source = bench_site(root, sizes)
    ways: dict[str, Way] = {
        "floor": lambda target: floor(source, target),
        "copy": lambda _target: deliver(ws, artifact),
        "ingest": lambda target: ingest(ws, source, target.name),
    }
    if shutil.which("rsync"):
        ways |= {
            f"rsync+{name}": lambda target, command=command: rsync_and(command, source, target)
            for name, command in {"openssl": ["openssl", "dgst", "-sha256"], "sha256sum": ["sha256sum"]}.items()
            if shutil.which(command[0])
        }
    figures: Figures = {name: [] for name in ways}
    taken_in = ws.store("source").local(artifact.folder)
    for turn in range(rounds):
        for name, way in ways.items():
            drop(source)
            drop(taken_in)
            figures[name].append(timed(way, root / f"{name}-{turn}"))
            forget(ws, artifact)
            empty(taken_in.with_name(f"{name}-{turn}"))
    empty(source)
    empty(taken_in)
    return figures


def report(title: str, figures: Figures) -> list[str]:
    """Print each way's medians; give back a line for each of ours that sums them up."""
    wall, cpu = ({name: median(turn[which] for turn in turns) for name, turns in figures.items()} for which in (0, 1))
    for name in figures:
        times = [f"{kind} {of[name]:7.2f} s ({of[name] / of['floor']:.2f})" for kind, of in (("wall", wall), ("CPU", cpu))]
        print(f"{title:18} {name:16} {'  '.join(times)}", flush=True)
    return [held(ours, title, wall, cpu) for ours in ("copy", "ingest")]


def held(ours: str, title: str, wall: Mapping[str, float], cpu: Mapping[str, float]) -> str:
    """What one of our ways needs, against the goals."""
    said = f"{ours}, {title}: CPU ratio to floor {cpu[ours] / cpu['floor']:.2f} (goal {GOAL_FLOOR})"
    for name, goal in (("rsync+openssl", GOAL_OPENSSL), ("rsync+sha256sum", GOAL_SHA256SUM)):
        if name in wall:
            said += f"; wall vs {name} {wall[name] / wall[ours]:.1f}x (goal {goal}x)"
    return said


def bench_site(root: Path, sizes: list[int]) -> tuple[Workspace, Artifact, Path]:
    """A site with two folders, an artifact of random bytes that stands verified in the first, and the acquisition that it came from."""
    places = tuple(
        Location(name=name, root=name, medium=Medium.DISK, domain=name, site="here", purge_age_days=60 if name == "target" else None)
        for name in ("source", "target")
    )
    site = Site(site="bench", home="here", locations=places, roles=Roles(nas="source", scratch="target", cold="source", backup="source"))
    policy = Policy(name="bench", version=1, rules=(Rule(levels=tuple(Level), wanted=Wanted(copies=2)),))
    stores = {place.name: PosixStore(place, root / place.root) for place in places}
    ws = Workspace(site, policy, SqlCatalogue(f"sqlite:///{root / 'catalogue.db'}"), stores)
    ws.register()
    ws.catalogue.save_project(Project(id="PRJ-0001"))
    write_random(root / "acquisition", sizes)
    return ws, take_in(ws, root / "acquisition", "BENCH"), root / "acquisition"


def take_in(ws: Workspace, source: Path, name: str) -> Artifact:
    """Take an acquisition in as a new dataset of this name, with a progress callback."""
    ws.catalogue.save_dataset(Dataset(project="PRJ-0001", name=name, pattern="plain", channels={}))
    told: list[int] = []
    step = making.Step("ingest", f"PRJ-0001/{name}", Level.RAW)
    made = making.take_in(ws, step, source, "source", lambda done, _total: told.append(done))
    assert made.new, made
    assert told, "no progress was shown"
    return made.artifact


def write_random(folder: Path, sizes: list[int]) -> None:
    """Files of these sizes, a hundred a folder."""
    for number, size in enumerate(sizes):
        path = folder / f"{number // 100:04}" / f"{number:06}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            for start in range(0, size, BLOCK):
                file.write(os.urandom(min(BLOCK, size - start)))
            file.flush()
            os.fsync(file.fileno())


def timed(way: Way, target: Path) -> tuple[float, float]:
    """Wall and CPU seconds of one turn, our threads and child processes included."""
    cpu, wall = cpu_seconds(), time.perf_counter()
    way(target)
    spent = time.perf_counter() - wall, cpu_seconds() - cpu
    empty(target)
    return spent


def cpu_seconds() -> float:
    """User and system time of this process and its ended children."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def ingest(ws: Workspace, source: Path, name: str) -> None:
    """Take the acquisition in once more."""
    artifact = take_in(ws, source, name)
    assert [copy.state for copy in ws.catalogue.copies(artifact=artifact.id)] == [CopyState.VERIFIED]


def deliver(ws: Workspace, artifact: Artifact) -> None:
    """Deliver, with a progress callback."""
    told: list[int] = []
    copy = transfer.deliver(ws, artifact, "target", lambda done, _total: told.append(done))
    assert copy.state is CopyState.VERIFIED, copy
    assert told, "no progress was shown"


def forget(ws: Workspace, artifact: Artifact) -> None:
    """Remove the delivered copy, so that the next turn starts anew."""
    for copy in ws.catalogue.copies(artifact=artifact.id, location="target", states=[CopyState.VERIFIED]):
        aside = f"spent/{copy.id}"
        ws.store("target").move(copy.path, aside)
        empty(ws.store("target").local(aside))
        ws.catalogue.change_copy(copy.id, state=CopyState.REMOVED, verified_at=dt.datetime.now(dt.UTC))


def empty(folder: Path) -> None:
    """Give back a tree's space but not its inodes: ext4 searches long past those just removed, and that would be measured."""
    for path in folder.rglob("*"):
        if path.is_file():
            os.truncate(path, 0)


def floor(source: Path, target: Path) -> None:
    """Do what any verified copy must do, in one thread, and no more."""
    buffer = memoryview(bytearray(BLOCK))
    for folder, _, names in os.walk(source):
        there = target / Path(folder).relative_to(source)
        there.mkdir(parents=True)
        for name in names:
            with Path(folder, name).open("rb", buffering=0) as reading, (there / name).open("xb+", buffering=0) as writing:
                sent = hashlib.sha256()
                while count := reading.readinto(buffer):
                    sent.update(buffer[:count])
                    writing.write(buffer[:count])
                os.fsync(writing)
                os.posix_fadvise(writing.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                writing.seek(0)
                found = hashlib.sha256()
                while count := writing.readinto(buffer):
                    found.update(buffer[:count])
                assert found.digest() == sent.digest()


def rsync_and(command: list[str], source: Path, target: Path) -> None:
    """Copy with rsync, then digest both sides with a program, many files a process."""
    subprocess.run(["rsync", "-a", f"{source}/", f"{target}/"], check=True)
    digests = []
    for folder in (source, target):
        drop(folder)
        names = b"\0".join(os.fsencode(path.relative_to(folder)) for path in sorted(folder.rglob("*")) if path.is_file())
        said = subprocess.run(["xargs", "-0", *command], input=names, cwd=folder, check=True, capture_output=True).stdout
        digests.append(said)
    assert digests[0] == digests[1]


def drop(folder: Path) -> None:
    """Drop a tree from the page cache."""
    for path in folder.rglob("*"):
        if path.is_file():
            handle = os.open(path, os.O_RDONLY)
            os.fsync(handle)
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(handle)


if __name__ == "__main__":
    sys.exit(main())
