"""Leaving the microscope: a folder goes only when what the policy wants of its data stands elsewhere, and nothing in it is new."""

from __future__ import annotations

import dataclasses
import datetime as dt
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from coldchain import instrument, making, sweeping, transfer
from coldchain.copies import Artifact, CopyState
from coldchain.files import no_progress
from coldchain.levels import Level
from coldchain.location import Location, Medium
from coldchain.policy import Policy
from coldchain.protection import release
from coldchain.site import Roles, Site
from coldchain.store_posix import PosixStore
from coldchain.testing.faults import FaultyStore
from coldchain.verifying import verify
from coldchain.watching import Acquisition, State
from coldchain.workspace import Workspace

DATASET = "PRJ-0001/PLATE-A"


@pytest.fixture
def at(ws: Workspace) -> Iterator[Workspace]:
    """The site with a location for its instruments; raw leaves it three days after it was taken in."""
    disk = Location(name="workstation", root="acquisition", medium=Medium.DISK, domain="workstation", site="campus", purge_age_days=3650)
    said = ws.site.model_dump() | {
        "locations": (*ws.site.locations, disk),
        "roles": ws.site.roles.model_dump() | {"instrument": "workstation"},
    }
    site = Site.model_validate(said)
    site._folder = ws.site._folder
    purge = {"after_days": 3, "grace_days": 1, "approval": {"original_stands": "none", "remake": "none"}}
    policy = Policy.model_validate(ws.policy.model_dump() | {"purge": purge})
    site.path("acquisition").mkdir(exist_ok=True)
    stores = {**ws.stores, "workstation": FaultyStore(PosixStore(disk, site.path(disk.root)))}
    found = dataclasses.replace(ws, site=site, policy=policy, stores=stores)
    found.register()
    yield found
    release(site.path("."))


@pytest.fixture
def raw(at: Workspace, acquisition: Path) -> Artifact:
    """The acquisition, taken in and handed back, with the copies that the policy wants."""
    step = making.Step("ingest", DATASET, Level.RAW)
    made = making.take_in(at, step, acquisition, "nas", no_progress).artifact
    for place in ("cold", "backup"):
        transfer.deliver(at, made, place)
    assert instrument.hand_back(at, made, acquisition.name)
    return made


def state(ws: Workspace) -> CopyState:
    """State of the folder on the workstation."""
    return ws.catalogue.copies(location="workstation")[-1].state


def test_a_folder_goes_when_its_days_are_over_and_its_data_stand(at: Workspace, clock: Any, raw: Artifact, acquisition: Path) -> None:
    """Not a day before; into the trash first, then for good, with a receipt; raw itself stays."""
    clock.forward(days=2)
    sweeping.sweep(at, dry_run=False)
    assert acquisition.is_dir()
    clock.forward(days=1)
    assert sweeping.sweep(at, dry_run=False).trashed.count == 1
    assert not acquisition.exists()
    clock.forward(days=1)
    assert sweeping.sweep(at, dry_run=False).removed.count == 1
    assert [line["location"] for receipt in at.catalogue.receipts("removal") for line in receipt["removed"]] == ["workstation"]
    places = {copy.location for copy in at.catalogue.copies(artifact=raw.id, states=[CopyState.VERIFIED])}
    assert places == {"nas", "cold", "backup"}


def test_a_folder_stays_while_the_policy_misses_a_copy(at: Workspace, clock: Any, raw: Artifact, acquisition: Path) -> None:
    """It never counts itself, and goes once the copy is there."""
    copy = at.catalogue.copies(artifact=raw.id, location="backup")[0]
    at.catalogue.change_copy(copy.id, state=CopyState.SUSPECT)
    clock.forward(days=4)
    assert sweeping.sweep(at, dry_run=False).trashed.count == 0
    assert acquisition.is_dir()
    at.catalogue.change_copy(copy.id, state=CopyState.VERIFIED)
    assert sweeping.sweep(at, dry_run=False).trashed.count == 1


@pytest.mark.parametrize("change", ["a new file", "a file written to, with its old time"])
def test_what_is_new_in_a_folder_keeps_it(at: Workspace, clock: Any, raw: Artifact, acquisition: Path, change: str) -> None:
    """An instrument's clock says nothing: the folder is read whole before it goes."""
    path = acquisition / ("late.tif" if change == "a new file" else "A01_f1_c1.tif")
    path.write_bytes(b"\x07" * 3000)
    os.utime(path, (1, 1))
    clock.forward(days=4)
    report = sweeping.sweep(at, dry_run=False)
    assert report.trashed.count == 0
    assert path.name in report.dropped.lines[0].reasons[0]
    assert path.read_bytes() == b"\x07" * 3000


def test_handing_back_twice_is_handing_back_once(at: Workspace, raw: Artifact, acquisition: Path) -> None:
    """And what is on its way out stays so."""
    first = at.catalogue.copies(location="workstation")
    instrument.hand_back(at, raw, acquisition.name)
    assert at.catalogue.copies(location="workstation") == first
    at.catalogue.change_copy(first[0].id, state=CopyState.TRASHED)
    instrument.hand_back(at, raw, acquisition.name)
    assert state(at) is CopyState.TRASHED


def test_a_site_without_such_a_location_touches_nothing(ws: Workspace, ingested: Artifact, acquisition: Path) -> None:
    """No row, no note, no marker."""
    before = sorted(acquisition.parent.rglob("*"))
    assert instrument.hand_back(ws, ingested, acquisition.name) is None
    instrument.tell_operator(ws)
    assert sorted(acquisition.parent.rglob("*")) == before


def test_a_verification_leaves_the_folder_alone(at: Workspace, raw: Artifact) -> None:
    """It has no manifest, and is none the worse for it."""
    assert {each.location for each in verify(at)} == {"nas", "cold", "backup"}
    assert state(at) is CopyState.VERIFIED


def test_the_last_good_bytes_may_be_the_instruments(at: Workspace, raw: Artifact) -> None:
    """Where no other copy can be read whole, a new one is made from the workstation, if its manifest stands somewhere."""
    for place in ("nas", "cold", "backup"):
        copy = at.catalogue.copies(artifact=raw.id, location=place)[0]
        folder = at.stores[place].local(copy.path)
        release(folder)
        (folder / "A01_f1_c1.tif").write_bytes(b"rot")
    at.site.path("partner").mkdir(exist_ok=True)
    made = transfer.deliver(at, raw, "partner")
    assert (at.stores["partner"].local(made.path) / "A01_f1_c1.tif").read_bytes() == b"\x00" * 3000


def test_the_operator_reads_what_is_safe(at: Workspace, raw: Artifact, acquisition: Path) -> None:
    """Each folder in a line, when it goes, and why what is not safe is not; names and reasons stay on their line."""
    now = at.now()
    at.catalogue.save_acquisition(Acquisition(acquisition.name, State.TAKEN, "d", now, dataset=DATASET))
    at.catalogue.save_acquisition(Acquisition("P2\nSAFE", State.QUARANTINED, "d", now, why="a.czi\nis cut off"))
    at.catalogue.save_acquisition(Acquisition("P3", State.SETTLING, "d", now))
    instrument.tell_operator(at)
    text = (acquisition.parent / "COLDCHAIN.txt").read_bytes().decode()
    lines = text.split("\r\n")
    assert f"SAFE      PLATE-A: on the NAS as {DATASET}; goes from {now + dt.timedelta(days=3):%Y-%m-%d} on" in lines
    assert "NOT SAFE  P2\\nSAFE: quarantined: a.czi is cut off" in lines
    assert "NOT SAFE  P3: settling" in lines


@pytest.mark.parametrize(
    ("root", "age", "said"), [("elsewhere", 3650, "is not the acquisition folder"), ("acquisition", None, "never count")]
)
def test_a_site_whose_instrument_is_another_place_is_refused(site: Site, root: str, age: int | None, said: str) -> None:
    """Its root is the acquisition folder, and a copy there must never count."""
    disk = Location(name="workstation", root=root, medium=Medium.DISK, domain="workstation", site="campus", purge_age_days=age)
    roles = Roles(**site.roles.model_dump(exclude={"instrument"}), instrument="workstation")
    with pytest.raises(ValidationError, match=said):
        Site.model_validate(site.model_dump() | {"locations": (*site.locations, disk), "roles": roles.model_dump()})
