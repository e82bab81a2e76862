"""The procedures that are killed: for each a site to begin with, and what is done there, as a table. A new one is one line."""

from __future__ import annotations

import datetime as dt
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coldchain import auditing, inspecting, making, repairing, sweeping, transfer
from coldchain.copies import Artifact, Copy, CopyState
from coldchain.dataset import Dataset, Project
from coldchain.files import no_progress
from coldchain.levels import Level
from coldchain.policy import Policy
from coldchain.proposals import Answer
from coldchain.protection import protect, release
from coldchain.site import Site
from coldchain.sql.catalogue import SqlCatalogue
from coldchain.store_posix import PosixStore
from coldchain.testing.faults import flip_bit
from coldchain.workspace import Workspace

SITES = Path(__file__).resolve().parents[2] / "deployments" / "sites"
PROJECT, DATASET = "PRJ-0001", "PRJ-0001/PLATE-A"
START = dt.datetime(2030, 1, 15, 12, tzinfo=dt.UTC)
NOBODY = {"original_stands": "none", "remake": "none"}
MONTHLY = {"audit": {"every_days": 30}}
PATIENT = {"purge": {"after_days": 0, "grace_days": 7, "approval": NOBODY}, **MONTHLY}
ASKING = {"purge": {"after_days": 0, "approval": {"original_stands": "person", "remake": "person"}}, **MONTHLY}
KEPT = [{"levels": ["raw", "release"], "wanted": {"copies": 3, "media": 2, "off_site": 1}}]
KEPT += [{"levels": ["standard", "masks", "single_cell_profiles", "bulk_profiles"], "wanted": {"copies": 1}}]
LEAVING = {"idle_days": 0, "notice_days": 0, "grace_days": 0, "approval": "person"}
REMADE = {"levels": ["corrected", "single_cell_images"], "wanted": {"copies": 1}, "remake": True, "disposal": LEAVING}
DISPOSING = {"rules": [*KEPT, REMADE], **MONTHLY}

LATER = r": after the rerun: (another run: )?"
LEFT_UNDER_ITS_NAME = LATER + r"tree scratch/(projects|\.coldchain/trash)\S*: "
"""A copy that was trashed and not moved yet stays under its own name until it is deleted: no sweep before that moves it."""
ASIDE_UNPROTECTED = LATER + r"tree \S+/\.coldchain/aside/\d+-\d+: "
"""A folder whose protection was lifted to move it aside does not get it back; the files in it keep theirs."""

Act = Callable[[Workspace], object]


@dataclass(frozen=True)
class Procedure:
    """What stands before, what is done, under which policy (what differs from the demo's) and so many days later.

    `known` are patterns of what a kill leaves today and should not: it is printed, and is no failure.
    """

    before: Act
    act: Act
    policy: Mapping[str, Any] = field(default_factory=dict)
    days: float = 0
    known: tuple[str, ...] = ()

    def prepare(self, folder: Path) -> None:
        """Make the site, and what stands there before."""
        shutil.copytree(SITES, folder)
        plate = folder / "acquisition" / "PLATE-A"
        (plate / "metadata").mkdir(parents=True)
        (plate / "A01_f1_c1.tif").write_bytes(b"\1" * 3000)
        (plate / "A02_f1_c1.tif").write_bytes(b"\2" * 3000)
        (plate / "metadata" / "run.xml").write_bytes(b"<run/>\n")
        ws = self.open(folder, START)
        ws.register()
        ws.catalogue.save_project(Project(id=PROJECT, title="Nuclei"))
        ws.catalogue.save_dataset(Dataset(project=PROJECT, name="PLATE-A", pattern="plain", channels={1: "DNA"}))
        self.before(ws)
        ws.catalogue.close()

    def run(self, folder: Path) -> None:
        """Open the site, do it, and close the site."""
        ws = self.open(folder)
        self.act(ws)
        ws.catalogue.close()

    def open(self, folder: Path, at: dt.datetime | None = None) -> Workspace:
        """The site at work, where time stands still."""
        site, now = Site.load(folder / "site.yaml"), at or START + dt.timedelta(days=self.days)
        policy = Policy.model_validate(site.load_policy().model_dump() | dict(self.policy))
        stores = {place.name: PosixStore(place, site.path(place.root)) for place in site.locations}
        return Workspace(site, policy, SqlCatalogue(site.catalogue_url()), stores, lambda: now)


def nothing(_ws: Workspace) -> None:
    """An empty site."""


def ingest(ws: Workspace) -> Artifact:
    """The acquisition, taken in on the NAS."""
    plate = ws.site.path(ws.site.acquisition) / "PLATE-A"
    return making.take_in(ws, making.Step("ingest", DATASET, Level.RAW), plate, "nas", no_progress).artifact


def make(ws: Workspace, level: Level, parent: Artifact, at: str) -> Artifact:
    """A level of two files, one in a folder."""

    def work(_inputs: list[Path], target: Path) -> making.Outcome:
        (target / "0").mkdir()
        (target / "0" / "chunk").write_bytes(level.encode() * 300)
        (target / "zarr.json").write_bytes(b"{}")
        return making.Outcome()

    return making.make(ws, making.Step(f"make-{level}", DATASET, level, (parent,)), work, at=at).artifact


def convert(ws: Workspace) -> None:
    """The standard level, made on scratch."""
    make(ws, Level.STANDARD, ws.current(DATASET, Level.RAW), "scratch")


def convert_on_the_nas(ws: Workspace) -> None:
    """The standard level, made where it stays."""
    make(ws, Level.STANDARD, ws.current(DATASET, Level.RAW), "nas")


def made(ws: Workspace) -> None:
    """The raw level on the NAS, the standard on scratch."""
    ingest(ws)
    convert(ws)


def archive(ws: Workspace) -> None:
    """The standard to the NAS, raw to the cold archive: both write-protected."""
    transfer.deliver(ws, ws.current(DATASET, Level.STANDARD), "nas")
    transfer.deliver(ws, ws.current(DATASET, Level.RAW), "cold")


def staged(ws: Workspace) -> None:
    """The standard on the NAS and staged on scratch; the corrected level on scratch only, where it can be made again."""
    standard = make(ws, Level.STANDARD, ingest(ws), "nas")
    transfer.deliver(ws, standard, "scratch")
    make(ws, Level.CORRECTED, standard, "scratch")


def sweep(ws: Workspace) -> None:
    """A sweep that removes."""
    sweeping.sweep(ws, dry_run=False)


def two_sweeps(ws: Workspace) -> None:
    """A sweep that brings a copy back, and the one that dates it again by when it was made."""
    sweep(ws)
    sweep(ws)


def in_trash(ws: Workspace) -> None:
    """What was staged, put in the trash by a first sweep."""
    staged(ws)
    sweep(ws)


def stage(ws: Workspace) -> None:
    """The standard to scratch."""
    transfer.deliver(ws, ws.current(DATASET, Level.STANDARD), "scratch")


def half_deleted(ws: Workspace) -> None:
    """What is in the trash has lost a file."""
    in_trash(ws)
    (copy,) = ws.catalogue.copies(artifact=ws.current(DATASET, Level.STANDARD).id, location="scratch")
    path = ws.store("scratch").local(transfer.trash(copy))
    release(path)
    (path / "zarr.json").unlink()


def needed_again(ws: Workspace) -> None:
    """The original of what is in the trash is damaged."""
    in_trash(ws)
    inspecting.doubt(ws, copy_of(ws, Level.STANDARD, "nas"), "its bytes are wrong")


def approved(ws: Workspace) -> None:
    """People were told of what is staged, and said yes."""
    staged(ws)
    _say_yes(ws)


def disposable(ws: Workspace) -> None:
    """The corrected level on the NAS, write-protected, idle, and approved to go."""
    staged(ws)
    transfer.deliver(ws, ws.current(DATASET, Level.CORRECTED), "nas")
    _say_yes(ws)


def _say_yes(ws: Workspace) -> None:
    notice = sweeping.sweep(ws, dry_run=False).notice
    ws.catalogue.answer(notice, Answer.YES, "ada@lab", "command line", "", ws.now())


def copy_of(ws: Workspace, level: Level, location: str) -> Copy:
    """The copy of a level at a location."""
    (found,) = ws.catalogue.copies(artifact=ws.current(DATASET, level).id, location=location)
    return found


def copied(ws: Workspace) -> None:
    """Raw on the NAS, in the cold archive and at the backup."""
    raw = ingest(ws)
    transfer.deliver(ws, raw, "cold")
    transfer.deliver(ws, raw, "backup")


def flip(ws: Workspace, location: str, name: str) -> None:
    """One bit of a raw file is another, under the same protection."""
    folder = ws.store(location).local(ws.current(DATASET, Level.RAW).folder)
    release(folder)
    flip_bit(folder / name)
    protect(folder, ws.site.location(location).protection)


def flipped(ws: Workspace) -> None:
    """A copy is damaged, and nobody knows."""
    copied(ws)
    flip(ws, "cold", "A01_f1_c1.tif")


def suspect(ws: Workspace) -> None:
    """A copy is known to be damaged."""
    flipped(ws)
    inspecting.doubt(ws, copy_of(ws, Level.RAW, "cold"), "its bytes are wrong")


def lost(ws: Workspace) -> None:
    """The folder of a copy is gone, and that is known."""
    copied(ws)
    folder = ws.store("backup").local(ws.current(DATASET, Level.RAW).folder)
    release(folder)
    shutil.rmtree(folder)
    inspecting.doubt(ws, copy_of(ws, Level.RAW, "backup"), "gone")


def scattered(ws: Workspace) -> None:
    """Every copy is damaged, each in another file, and that is known."""
    copied(ws)
    for location, name in (("nas", "A01_f1_c1.tif"), ("cold", "A02_f1_c1.tif"), ("backup", "metadata/run.xml")):
        flip(ws, location, name)
        inspecting.doubt(ws, copy_of(ws, Level.RAW, location), "its bytes are wrong")


def halves(ws: Workspace) -> None:
    """Two copies, each damaged in another file: only together they have every byte."""
    raw = ingest(ws)
    transfer.deliver(ws, raw, "backup")
    for location, name in (("nas", "A01_f1_c1.tif"), ("backup", "A02_f1_c1.tif")):
        flip(ws, location, name)
        inspecting.doubt(ws, copy_of(ws, Level.RAW, location), "its bytes are wrong")


def repair(ws: Workspace) -> None:
    """Repair whatever is damaged, as long as something is; a failure of one is a failure."""
    for copy in repairing.damaged(ws):
        if repairing.repair(ws, copy).state is not CopyState.VERIFIED:
            raise RuntimeError(f"not repaired: {copy}")


def count_first(ws: Workspace) -> None:
    """Careless: the catalogue counts a copy whose bytes do not stand yet."""
    raw = ws.current(DATASET, Level.RAW)
    copy = ws.catalogue.start_copy(raw.id, "backup", raw.folder, ws.now())
    ws.catalogue.change_copy(copy.id, state=CopyState.VERIFIED, verified_at=ws.now())
    transfer.deliver(ws, raw, "backup")
    shutil.copytree(ws.store("nas").local(raw.folder), ws.store("backup").local(raw.folder), dirs_exist_ok=True)


def delete_first(ws: Workspace) -> None:
    """Careless: the bytes go while the copy still counts, and no receipt tells of them."""
    copy = copy_of(ws, Level.STANDARD, "scratch")
    shutil.rmtree(ws.store("scratch").local(copy.path), ignore_errors=True)
    ws.catalogue.change_copy(copy.id, state=CopyState.REMOVED)


def write_in_place(ws: Workspace) -> None:
    """Careless: a file gets its final name before all its bytes stand, and the next run takes it for whole."""
    path = ws.store("backup").local("notes") / "note.txt"
    if not path.parent.exists():
        path.parent.mkdir(parents=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT)
        os.write(handle, b"all of it")
        os.close(handle)


def start_anew(ws: Workspace) -> None:
    """Careless: each run begins again under another name, whatever a cut-off one left."""
    folder = ws.store("backup").local("notes")
    number = len(list(folder.iterdir())) if folder.exists() else 0
    if not (folder / f"{number - 1}" / "done").exists():
        (folder / f"{number}").mkdir(parents=True)
        (folder / f"{number}" / "done").mkdir()


CARELESS: Mapping[str, Procedure] = {
    "counts-first": Procedure(ingest, count_first),
    "deletes-first": Procedure(staged, delete_first, MONTHLY),
    "writes-in-place": Procedure(nothing, write_in_place),
    "starts-anew": Procedure(nothing, start_anew),
}
"""Procedures that are wrong, each in one way: what kills them has to notice."""

TABLE: Mapping[str, Procedure] = {
    "ingest": Procedure(nothing, ingest),
    "make": Procedure(ingest, convert),
    "make-on-the-nas": Procedure(ingest, convert_on_the_nas),
    "archive": Procedure(made, archive),
    "purge": Procedure(staged, sweep, MONTHLY),
    "purge-approved": Procedure(approved, sweep, ASKING),
    "trash": Procedure(staged, sweep, PATIENT, known=(LEFT_UNDER_ITS_NAME,)),
    "delete": Procedure(in_trash, sweep, PATIENT, days=8),
    "dispose": Procedure(disposable, sweep, DISPOSING),
    "bring-back": Procedure(in_trash, stage, PATIENT),
    "bring-back-half-deleted": Procedure(half_deleted, stage, PATIENT),
    "sweep-brings-back": Procedure(needed_again, two_sweeps, PATIENT, days=8),
    "audit": Procedure(flipped, auditing.audit, days=40),
    "repair": Procedure(suspect, repair, known=(ASIDE_UNPROTECTED,)),
    "repair-lost": Procedure(lost, repair),
    "repair-gathers": Procedure(scattered, repair, known=(ASIDE_UNPROTECTED,)),
    "repair-gathers-halves": Procedure(halves, repair, known=(ASIDE_UNPROTECTED,)),
}
