"""What a nightly plan costs in a catalogue of ten million copies, as a ratio to the same in one of a hundredth of that.

In both, a thousand copies in a thousand datasets are due. Then everything is due, and memory has to stay where it is. On SQLite, and
on PostgreSQL where this machine has it. Each plan is a fresh process; the two sizes take turns.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import sqlalchemy as sa

from coldchain.planning import planned
from coldchain.site import Site
from coldchain.sql import tables
from coldchain.sql.catalogue import SqlCatalogue
from coldchain.store_posix import PosixStore
from coldchain.workspace import Workspace

SITES = Path(__file__).resolve().parents[2] / "deployments" / "sites"
NOW = dt.datetime(2030, 6, 1, tzinfo=dt.UTC)
FAR = NOW + dt.timedelta(days=25)
PLACES = ("nas", "scratch", "cold", "backup")
MADE = ("standard", "corrected", "masks", "single_cell_images", "single_cell_profiles", "bulk_profiles", "release")
ARTIFACTS, DUE, ROUNDS = 25, 1000, 3  # artifacts of a dataset, at four places each: a hundred copies
SMALLEST = DUE * ARTIFACTS * len(PLACES)  # every dataset has a copy that is due
GOAL_RATIO, GOAL_MEMORY = 2.0, 1.25
STEPS = (100_000, 300_000)


def main() -> None:
    """Measure each database; the lines with a goal sum up."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--copies", type=int, default=10_000_000)
    parser.add_argument("--where", type=Path, help="folder on the disk to measure")
    parser.add_argument("--only", choices=["sqlite", "postgresql"], help="one database alone")
    parser.add_argument("--whole", action="store_true", help="plan all of it where all is due, not only the first copies")
    parser.add_argument("--plan", nargs=3, metavar=("FOLDER", "URL", "MOST"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.plan:
        print(json.dumps(plan(Path(chosen.plan[0]), chosen.plan[1], int(chosen.plan[2]))))
        return
    lines = []
    for kind in [chosen.only] if chosen.only else ["sqlite", "postgresql"]:
        with tempfile.TemporaryDirectory(dir=chosen.where, prefix="bench-plan-") as folder, ExitStack() as open_:
            server = open_.enter_context(postgresql(chosen.where)) if kind == "postgresql" else ""
            if server is None:
                print("PostgreSQL: not measured, no server here")
                continue
            lines += measure(kind, Path(folder), server, chosen.copies, whole=chosen.whole)
    print("\n".join(lines))


def measure(kind: str, root: Path, server: str, copies: int, *, whole: bool) -> list[str]:
    """Build both sizes, let them take turns, then let all of the large one fall due; gives the lines that sum up."""
    sizes = {"large": copies, "small": max(copies // 100, SMALLEST)}
    urls = {name: f"sqlite:///{root}/{name}.db" if kind == "sqlite" else server.replace("/postgres?", f"/{name}?") for name in sizes}
    for name, size in sizes.items():
        began = time.perf_counter()
        build(root / name, urls[name], size // (ARTIFACTS * len(PLACES)))
        print(f"{kind:10} {size:>10,} copies built in {time.perf_counter() - began:.0f} s", flush=True)
    turns: dict[str, list[dict[str, Any]]] = {name: [] for name in sizes}
    for _ in range(ROUNDS):
        for name in sizes:
            turns[name].append(fresh(root / name, urls[name], 0))
    for name, size in sizes.items():
        for turn in turns[name]:
            found = f"{turn['due']:,} due, {turn['planned']:,} planned in {turn['datasets']:,} datasets"
            print(f"{kind:10} {size:>10,} copies: {turn['seconds']:6.2f} s, {turn['memory'][-1]:4.0f} MB; {found}", flush=True)
    ratio = median(turn["seconds"] for turn in turns["large"]) / median(turn["seconds"] for turn in turns["small"])
    allowed = 0 if whole else STEPS[-1]
    everything = fresh(root / "large", urls["large"], allowed or sys.maxsize)
    marks = ", ".join(f"{memory:.0f} MB" for memory in everything["memory"])
    print(f"{kind:10} all due: {everything['planned']:,} planned in {everything['seconds']:.0f} s; after each part: {marks}", flush=True)
    growth = everything["memory"][-1] / everything["memory"][0]
    return [
        f"{kind}: a plan of {DUE:,} due among {copies:,} takes {ratio:.2f} of the same among {sizes['small']:,} (goal {GOAL_RATIO})",
        f"{kind}: where all is due, memory grows by {growth:.2f} after the first {STEPS[0]:,} copies (goal {GOAL_MEMORY})",
    ]


def fresh(folder: Path, url: str, most: int) -> dict[str, Any]:
    """Plan in a process of its own."""
    command = [sys.executable, "-P", __file__, "--plan", str(folder), url, str(most)]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return found


def plan(folder: Path, url: str, most: int) -> dict[str, Any]:
    """Plan what is due now; or, where a number is given, everything, until so many copies were planned."""
    ws = open_site(folder, url, FAR if most else NOW)
    found: dict[str, Any] = {"planned": 0, "due": 0, "datasets": 0, "memory": []}
    began = time.perf_counter()
    for ledger, decided in planned(ws):
        found["planned"] += len(decided.decisions)
        found["due"] += sum(copy.due_at is not None and copy.due_at <= ws.now() for copy in ledger.copies)
        found["datasets"] += len(ledger.datasets)
        if len(found["memory"]) < len(STEPS) and most and found["planned"] >= STEPS[len(found["memory"])]:
            found["memory"].append(peak())
        if most and found["planned"] >= min(most, sys.maxsize):
            break
    found["seconds"] = time.perf_counter() - began
    found["memory"].append(peak())
    ws.catalogue.close()
    return found


def peak() -> float:
    """Most memory that this process has held, in MB; unlike ru_maxrss, not what its parent held."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def open_site(folder: Path, url: str, now: dt.datetime) -> Workspace:
    """The demo's site with a lab's policy, at a moment."""
    described = Site.load(folder / "site.yaml").model_copy(update={"policy": "lab-policy.yaml"})
    stores = {place.name: PosixStore(place, described.path(place.root)) for place in described.locations}
    return Workspace(described, described.load_policy(), SqlCatalogue(url), stores, lambda: now)


def build(folder: Path, url: str, datasets: int) -> None:
    """Make a site whose catalogue holds so many datasets: a chain of artifacts each, verified at four places."""
    shutil.copytree(SITES, folder)
    if url.startswith("postgresql"):
        engine = sa.create_engine(url.replace(f"/{folder.name}?", "/postgres?"), isolation_level="AUTOCOMMIT")
        with engine.connect() as db:
            db.execute(sa.text(f"create database {folder.name}"))
        engine.dispose()
    ws = open_site(folder, url, NOW)
    ws.register()
    engine = ws.catalogue.engine  # type: ignore[attr-defined]  # the benchmark knows which catalogue it is
    with engine.connect() as opened:
        raw, sqlite = opened.connection.dbapi_connection, engine.dialect.name == "sqlite"
        if not sqlite:
            raw.autocommit = True
        hurry = ["PRAGMA journal_mode=OFF", "PRAGMA synchronous=OFF", "PRAGMA foreign_keys=OFF", "PRAGMA cache_size=-500000"]
        for order in hurry if sqlite else ["SET session_replication_role = replica"]:
            raw.execute(order)
        again = drop_indexes(raw, sqlite=sqlite)
        fill(raw, datasets)
        for order in [*again, *(["ANALYZE", "PRAGMA journal_mode=WAL"] if sqlite else ["VACUUM ANALYZE"])]:
            raw.execute(order)
        opened.invalidate()
    ws.catalogue.close()


def drop_indexes(db: Any, *, sqlite: bool) -> list[str]:
    """Drop the indexes that stand apart from their tables; gives the orders that make them again."""
    query = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
    if not sqlite:
        named = "SELECT conname FROM pg_constraint"
        query = f"SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND indexname NOT IN ({named})"  # noqa: S608 - ours
    rows = db.execute(query).fetchall()
    for name, _ in rows:
        db.execute(f'DROP INDEX "{name}"')
    return [order for _, order in rows]


def fill(db: Any, datasets: int) -> None:
    """Write everything, a table at a time; rows are made as they are written."""
    projects = -(-datasets // 100)
    moment = [_moment(NOW - dt.timedelta(days=days)) for days in (42, 2, 1)]
    then, read, due = moment
    days = [_moment(FAR - dt.timedelta(days=number)) for number in range(20)]
    each = range(datasets * ARTIFACTS)
    write(db, "project", "id name body", ((k, _project(k), json.dumps({"id": _project(k)})) for k in range(projects)))
    write(db, "dataset", "id project_id name body", ((k, k // 100, _dataset(k), "{}") for k in range(datasets)))
    write(db, "activity", "id fingerprint started_at ended_at body", ((f"a{k}", f"f{k}", then, then, _body(k)) for k in each))
    columns = "id dataset_id level digest files bytes activity_id made_at check_at"
    size, epoch = 1_000_000_000, _moment(tables.EPOCH)
    made = ((k, k // ARTIFACTS, _level(k), f"{k:064}", 100, size, f"a{k}", then, epoch) for k in each)
    write(db, "artifact", columns, made)
    write(db, "output", "activity_id artifact_id", ((f"a{k}", k) for k in each))
    write(db, "input", "activity_id artifact_id", ((f"a{k}", parent) for k in each for parent in _inputs(k)))
    every = max(datasets // DUE, 1)
    columns = "id artifact_id location path state created_at verified_at due_at protection detail"
    rows = (
        (
            k * 4 + n,
            k,
            place,
            f"projects/results/{k}",
            "verified",
            then,
            read,
            due if _due(k, place, every) else days[k % 20],
            "immutable",
            "",
        )
        for k in each
        for n, place in enumerate(PLACES)
    )
    write(db, "copy", columns, rows)
    totals = "SELECT location, level, state, count(*), sum(bytes) FROM copy JOIN artifact ON artifact.id = artifact_id GROUP BY 1, 2, 3"
    db.execute(f"INSERT INTO total {totals}")


def write(db: Any, table: str, columns: str, rows: Iterator[tuple[Any, ...]]) -> None:
    """Write rows past SQLAlchemy, in the quickest way that the database has."""
    names = columns.split()
    if isinstance(db, sqlite3.Connection):
        db.execute("BEGIN")
        db.executemany(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})", rows)  # noqa: S608 - ours
        db.execute("COMMIT")
        return
    with db.cursor() as cursor, cursor.copy(f"COPY {table} ({', '.join(names)}) FROM STDIN") as copying:
        for row in rows:
            copying.write_row(row)


def _moment(at: dt.datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S.%f")


def _project(number: int) -> str:
    return f"PRJ-{1000 + number}"


def _dataset(number: int) -> str:
    return f"{_project(number // 100)}/D{number:06}"


def _level(artifact: int) -> str:
    step = artifact % ARTIFACTS
    return MADE[(step - 1) % len(MADE)] if step else "raw"


def _parent(artifact: int) -> int:
    """What an artifact is made from: the step before it, and from the second round on the raw data again."""
    step = artifact % ARTIFACTS
    return artifact - 1 if step <= len(MADE) else artifact - step


def _inputs(artifact: int) -> list[int]:
    """What an artifact is made from; a release from both tables before it, so that they have passed the gate."""
    if not artifact % ARTIFACTS:
        return []
    return [_parent(artifact), *([artifact - 2] if _level(artifact) == "release" else [])]


def _body(artifact: int) -> str:
    """How an artifact was made, as long as such an account is."""
    inputs = [f"{_dataset(parent // ARTIFACTS)}/{_level(parent)}@{parent:064}" for parent in _inputs(artifact)]
    hardware = {"host": "node-17", "cpus": 64, "machine": "x86_64", "system": "Linux-6.1.0-amd64-with-glibc2.36", "python": "3.11.2"}
    about = {"name": "correct", "inputs": inputs, "parameters": {"sigma": 1.5}, "code_version": "0.1", "lock_digest": "l" * 64}
    return json.dumps(about | {"who": "ada@lab", "hardware": hardware})


def _due(artifact: int, place: str, every: int) -> bool:
    """Whether a copy is one of those that are due: one of a dataset, on scratch, in datasets spread over all of them."""
    dataset, step = divmod(artifact, ARTIFACTS)
    return step == 3 and place == "scratch" and dataset % every == 0


@contextmanager
def postgresql(where: Path | None) -> Iterator[str | None]:
    """URL of a server that lives as long as the context, or nothing where this machine has none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        yield None
        return
    bins, folder = found[-1].parent, Path(tempfile.mkdtemp(dir=where, prefix="bench-plan-postgresql-"))
    other: dict[str, Any] = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
    if other:
        shutil.chown(folder, "postgres")
    subprocess.run([bins / "initdb", "-A", "trust", "-U", "postgres", "-D", folder / "data"], check=True, capture_output=True, **other)
    tuned = ["-c", "shared_buffers=512MB", "-c", "max_wal_size=8GB", "-c", "maintenance_work_mem=512MB"]
    serve = [bins / "postgres", "-D", folder / "data", "-k", folder, "-c", "listen_addresses=", *tuned]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(serve, stdout=log, stderr=log, cwd=folder, **other)
    try:
        while subprocess.run([bins / "pg_isready", "-q", "-h", folder], check=False).returncode:
            if server.poll() is not None:
                raise RuntimeError((folder / "log").read_text())
            time.sleep(0.1)
        yield f"postgresql+psycopg://postgres@/postgres?host={folder}"
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(timeout=120)
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
