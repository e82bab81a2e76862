"""What every test here may use: a site of folders in tmp_path, opened as a Workspace with one project and one dataset; an empty
catalogue on SQLite and on PostgreSQL.
"""

from __future__ import annotations

import datetime as dt
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from coldchain import files, making
from coldchain.copies import Artifact, CopyState
from coldchain.dataset import Dataset, Project
from coldchain.levels import Level
from coldchain.location import Location, Medium, Reach
from coldchain.provenance import Activity
from coldchain.site import Site
from coldchain.sql import tables
from coldchain.sql.catalogue import SqlCatalogue
from coldchain.store_posix import PosixStore
from coldchain.testing.faults import FaultyStore
from coldchain.workspace import Workspace

SITES = Path(__file__).resolve().parents[2] / "deployments" / "sites"
PROJECT, DATASET = "PRJ-0001", "PRJ-0001/PLATE-A"
STOCKED = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)


@dataclass
class Clock:
    """A time that only tests move."""

    at: dt.datetime

    def __call__(self) -> dt.datetime:
        """Now."""
        return self.at

    def forward(self, **parts: float) -> dt.datetime:
        """Move on by a timedelta's parts."""
        self.at += dt.timedelta(**parts)
        return self.at


@pytest.fixture
def clock() -> Clock:
    """Noon of a day in January 2030, until a test moves it."""
    return Clock(dt.datetime(2030, 1, 15, 12, tzinfo=dt.UTC))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """The demo's site below tmp_path/site, and a location `partner` that stands outside."""
    folder = tmp_path / "site"
    shutil.copytree(SITES, folder)
    described = Site.load(folder / "site.yaml")
    partner = Location(name="partner", root="partner", medium=Medium.DISK, domain="partner", site="elsewhere", reach=Reach.OUTSIDE)
    return described.model_copy(update={"locations": (*described.locations, partner)})


@pytest.fixture
def ws(site: Site, clock: Clock) -> Iterator[Workspace]:
    """The site at work: each location a FaultyStore (without faults) over a registered PosixStore; project and dataset known.

    `ws.stores["nas"].faults["put"] = vanish` makes a location fail; `ws.stores["nas"].store` is the real one.
    """
    stores = {place.name: FaultyStore(PosixStore(place, site.path(place.root))) for place in site.locations}
    catalogue = SqlCatalogue(site.catalogue_url())
    space = Workspace(site, site.load_policy(), catalogue, stores, clock)
    space.register()
    catalogue.save_project(Project(id=PROJECT, title="Nuclei"))
    catalogue.save_dataset(Dataset(project=PROJECT, name="PLATE-A", pattern="plain", channels={1: "DNA"}))
    yield space
    catalogue.close()


@pytest.fixture
def acquisition(site: Site) -> Path:
    """An acquisition of five files, one of them empty and one in a folder."""
    folder = site.path(site.acquisition) / "PLATE-A"
    (folder / "metadata").mkdir(parents=True)
    for number in range(3):
        (folder / f"A0{number + 1}_f1_c1.tif").write_bytes(bytes([number]) * 3000)
    (folder / "metadata" / "run.xml").write_bytes(b"<run/>\n")
    (folder / "finished").write_bytes(b"")
    return folder


@pytest.fixture
def ingested(ws: Workspace, acquisition: Path) -> Artifact:
    """The acquisition as the raw artifact, verified on the NAS."""
    return making.take_in(ws, making.Step("ingest", DATASET, Level.RAW), acquisition, ws.site.roles.nas, files.no_progress).artifact


@pytest.fixture
def made(ws: Workspace, ingested: Artifact) -> Callable[..., Artifact]:
    """Make an artifact on scratch: `made(Level.STANDARD, {"a.txt": b"..."})`, from raw where no inputs are named."""

    def make(level: Level, content: dict[str, bytes], inputs: tuple[Artifact, ...] | None = None, at: str | None = None) -> Artifact:
        def work(_inputs: list[Path], target: Path) -> making.Outcome:
            for name, data in content.items():
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                (target / name).write_bytes(data)
            return making.Outcome()

        parents = (ingested,) if inputs is None else inputs
        return making.make(ws, making.Step(f"make-{level}", DATASET, level, parents), work, at=at).artifact

    return make


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """URL of a PostgreSQL server for the session, where this machine can start one; below no folder of pytest, which are only ours."""
    pytest.importorskip("psycopg", reason="no PostgreSQL test: psycopg is not installed (pip install coldchain[postgres])")
    bins = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")) if Path("/usr/lib/postgresql").exists() else []
    if not bins:
        pytest.skip("no PostgreSQL test: no server here (apt-get install postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="coldchain-postgres-"))
    as_other: dict[str, Any] = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
    if as_other:
        shutil.chown(folder, "postgres")
    bin_folder, data = bins[-1].parent, folder / "data"
    initdb = [bin_folder / "initdb", "-A", "trust", "-U", "postgres", "-D", data]
    subprocess.run(initdb, check=True, capture_output=True, cwd=folder, **as_other)
    serve = [bin_folder / "postgres", "-D", data, "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off"]
    with (folder / "log").open("wb") as log:  # a child of ours: a container's first process may never reap a server that left its parent
        server = subprocess.Popen(serve, stdout=log, stderr=log, cwd=folder, **as_other)
    try:
        _await(server, [bin_folder / "pg_isready", "-q", "-h", folder], folder / "log")
        yield f"postgresql+psycopg://postgres@/postgres?host={folder}"
    finally:
        server.send_signal(signal.SIGQUIT)  # at once: nothing of it is kept
        server.wait(timeout=60)
        shutil.rmtree(folder)


def _await(server: subprocess.Popen[bytes], ready: list[str | Path], log: Path) -> None:
    """Wait until a server answers."""
    for _ in range(600):
        if subprocess.run(ready, check=False).returncode == 0:
            return
        if server.poll() is not None:
            break
        time.sleep(0.1)
    pytest.fail(f"PostgreSQL did not start: {log.read_text()}")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/deep/catalogue.db"
    return new_database(request.getfixturevalue("postgres"))


def new_database(server: str) -> str:
    """URL of a new database on a PostgreSQL server."""
    name = f"test_{os.urandom(6).hex()}"
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as db:
        db.execute(sa.text(f"create database {name}"))
    engine.dispose()
    return server.replace("/postgres?", f"/{name}?")


@pytest.fixture
def catalogue(url: str) -> Iterator[SqlCatalogue]:
    """A new catalogue that knows one project and one dataset, on each kind of database."""
    yield from known(url)


@pytest.fixture
def postgres_catalogue(postgres: str) -> Iterator[SqlCatalogue]:
    """The same on PostgreSQL only."""
    yield from known(new_database(postgres))


def known(url: str) -> Iterator[SqlCatalogue]:
    """Open a catalogue and write one project and one dataset down."""
    found = SqlCatalogue(url)
    found.save_project(Project(id=PROJECT, title="Nuclei"))
    found.save_dataset(Dataset(project=PROJECT, name="PLATE-A", pattern="plain", channels={1: "DNA"}))
    yield found
    found.close()


@pytest.fixture
def stock(catalogue: SqlCatalogue) -> Callable[..., Artifact]:
    """Put an artifact into the catalogue, with a verified copy at each place.

    `stock("ab", inputs=[raw], places=["nas", "cold"], due=None, read=NOW)`; the dataset is made where it is not there.
    """

    def put(
        digest: str,
        *,
        level: Level = Level.CORRECTED,
        dataset: str = DATASET,
        inputs: Sequence[Artifact] = (),
        places: Sequence[str] = ("nas",),
        due: dt.datetime | None = None,
        read: dt.datetime | None = STOCKED,
        size: int = 1000,
    ) -> Artifact:
        project, name = dataset.split("/")
        if dataset not in {each.id for each in catalogue.datasets()}:
            catalogue.save_project(Project(id=project, title="Nuclei"))
            catalogue.save_dataset(Dataset(project=project, name=name, pattern="plain", channels={1: "DNA"}))
        names = tuple(each.id for each in inputs)
        activity = Activity(f"make-{dataset}-{digest}", "correct", digest, names, {}, "0.1", "lock", "ada@lab", STOCKED, STOCKED)
        artifact = Artifact(dataset, level, (digest * 64)[:64], 3, size, activity.id, STOCKED)
        for place in places:
            copy = catalogue.record(activity, artifact, place, STOCKED)
            catalogue.change_copy(copy.id, state=CopyState.VERIFIED, verified_at=read, due_at=due)
        return artifact

    return put


@pytest.fixture
def gone(catalogue: SqlCatalogue) -> Callable[[Sequence[int]], str]:
    """Remove copies as a removal does: from the trash, with an account of each before its bytes go; gives the receipt's digest."""

    def remove(copies: Sequence[int]) -> str:
        for copy in copies:
            catalogue.change_copy(copy, state=CopyState.TRASHED)
            catalogue.begin_deletion(copy, {"copy": copy})
        return catalogue.close_removals(copies, "lab v1", "ada", STOCKED)

    return remove


@pytest.fixture
def fill(catalogue: SqlCatalogue) -> Callable[[int, int, int], list[str]]:
    """Write datasets with a chain of artifacts each, and copies at so many places, straight into the tables; gives their names."""

    def write(datasets: int, artifacts: int, places: int) -> list[str]:
        count = range(1, datasets * artifacts + 1)
        with catalogue.writing.begin() as db:
            project = db.scalar(sa.select(tables.project.c.id))
            rows = [{"id": 1000 + key, "project_id": project, "name": f"{PROJECT}/D{key:06}", "body": {}} for key in range(datasets)]
            db.execute(sa.insert(tables.dataset), rows)
            about = {"name": "correct", "inputs": [], "parameters": {}, "code_version": "", "lock_digest": "", "who": ""}
            step = {"started_at": STOCKED, "ended_at": STOCKED, "body": about}
            db.execute(sa.insert(tables.activity), [step | {"id": f"a{key}", "fingerprint": f"f{key}"} for key in count])
            whole = {"level": "raw", "files": 1, "bytes": 1, "made_at": STOCKED}
            owner = [1000 + (key - 1) // artifacts for key in count]
            ids = [{"id": key, "dataset_id": dataset, "digest": f"{key:064}"} for key, dataset in zip(count, owner, strict=True)]
            db.execute(sa.insert(tables.artifact), [whole | each | {"activity_id": f"a{each['id']}"} for each in ids])
            db.execute(sa.insert(tables.output), [{"activity_id": f"a{key}", "artifact_id": key} for key in count])
            links = [{"activity_id": f"a{key}", "artifact_id": key - 1} for key in count if (key - 1) % artifacts]
            db.execute(sa.insert(tables.input_), links)
            state = {"path": "p", "state": "verified", "created_at": STOCKED, "verified_at": STOCKED, "due_at": STOCKED}
            keys = [{"artifact_id": key, "location": f"l{place}"} for key in count for place in range(places)]
            db.execute(sa.insert(tables.copy), [state | key for key in keys])
        return [row["name"] for row in rows]

    return write
