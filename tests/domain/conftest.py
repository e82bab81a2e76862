"""A site of folders in tmp_path, opened as a Workspace, with one project and one dataset that every test may use."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from coldchain import files, making
from coldchain.copies import Artifact
from coldchain.dataset import Dataset, Project
from coldchain.levels import Level
from coldchain.location import Location, Medium, Reach
from coldchain.site import Site
from coldchain.sql.catalogue import SqlCatalogue
from coldchain.store_posix import PosixStore
from coldchain.testing.faults import FaultyStore
from coldchain.workspace import Workspace

SITES = Path(__file__).resolve().parents[2] / "deployments" / "sites"
PROJECT, DATASET = "PRJ-0001", "PRJ-0001/PLATE-A"


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
