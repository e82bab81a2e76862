"""The doctor on what people ought to know: the heartbeat of the sweep, disks that are one disk, brakes, notices that nobody answers."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import deployments
from coldchain import sweeping
from coldchain.copies import Artifact, CopyState
from coldchain.dataset import Dataset, Project
from coldchain.levels import Level
from coldchain.policy import Approval, Ground
from coldchain.proposals import Answer
from coldchain.provenance import Activity
from coldchain.workspace import Workspace
from deployments.doctor import Finding, examine, heartbeat
from tasks.workspace import open_workspace

NOW = dt.datetime(2030, 1, 15, 8, tzinfo=dt.UTC)


@pytest.fixture
def ws(tmp_path: Path) -> Iterator[Workspace]:
    """The demo's site, registered and empty, at eight in the morning."""
    for name in ("site.yaml", "policy.yaml"):
        shutil.copy(Path(deployments.__file__).with_name("sites") / name, tmp_path / name)
    space = replace(open_workspace(tmp_path / "site.yaml"), now=lambda: NOW)
    space.register()
    yield space
    space.catalogue.close()


@pytest.fixture
def stocked(ws: Workspace) -> int:
    """The number of a verified copy of corrected images on scratch."""
    ws.catalogue.save_project(Project(id="PRJ-0001", title="Nuclei"))
    ws.catalogue.save_dataset(Dataset(project="PRJ-0001", name="PLATE-A", pattern="plain", channels={1: "DNA"}))
    activity = Activity("a", "correct", "f", (), {}, "0.1", "lock", "ada@lab", NOW, NOW)
    artifact = Artifact("PRJ-0001/PLATE-A", Level.CORRECTED, "ab" * 32, 3, 1000, "a", NOW)
    copy = ws.catalogue.record(activity, artifact, "scratch", NOW)
    return ws.catalogue.change_copy(copy.id, state=CopyState.VERIFIED, verified_at=NOW).id


def swept(ws: Workspace, hours_ago: float, **body: object) -> None:
    """Leave a sweep's receipt."""
    ws.catalogue.add_receipt("sweep", {"run": str(hours_ago), **body}, "coldchain@host", NOW - dt.timedelta(hours=hours_ago))


def asking(ws: Workspace, person: str) -> Workspace:
    """The same site under a policy that asks a person, or nobody, before corrected images leave scratch."""
    approval = ws.policy.purge.approval.model_copy(update={"remake": Approval(person)})
    return replace(ws, policy=ws.policy.model_copy(update={"purge": ws.policy.purge.model_copy(update={"approval": approval})}))


def of(findings: list[Finding], word: str) -> list[Finding]:
    """Findings on something."""
    return [finding for finding in findings if word in finding.what]


def test_a_sweep_of_last_night_is_a_heartbeat(ws: Workspace) -> None:
    """A receipt within the hours is fine, and the finding names its moment."""
    swept(ws, 5.5, dry_run=False)
    found = heartbeat(ws, 26)
    assert found.ok
    assert "2030-01-15 02:30" in found.found


def test_no_sweep_at_all_is_no_heartbeat(ws: Workspace) -> None:
    """Where no sweep ever ran, the heartbeat fails in plain words."""
    found = heartbeat(ws, 26)
    assert not found.ok
    assert "none is known" in found.found
    assert "nightly-sweep" in found.hint


def test_a_sweep_before_that_is_no_heartbeat(ws: Workspace) -> None:
    """An older receipt is named, and does not count; with more hours it does."""
    swept(ws, 26.5, dry_run=False)
    found = heartbeat(ws, 26)
    assert not found.ok
    assert "2030-01-14 05:30" in found.found
    assert heartbeat(ws, 27).ok


@pytest.mark.parametrize("body", [{"dry_run": True}, {}, {"dry_run": "no"}])
def test_a_dry_run_is_no_heartbeat(ws: Workspace, body: dict[str, object]) -> None:
    """What is not known to have been a real sweep does not count, and does not hide an older one that was."""
    swept(ws, 40, dry_run=False)
    swept(ws, 1, **body)
    found = heartbeat(ws, 26)
    assert not found.ok
    assert "2030-01-13 16:00" in found.found


def test_a_sweep_in_the_future_is_no_heartbeat(ws: Workspace) -> None:
    """A receipt of a night when the clock ran ahead does not keep the alarm silent for years."""
    swept(ws, -24, dry_run=False)
    assert not heartbeat(ws, 26).ok


def test_a_dry_run_after_the_sweep_hides_nothing(ws: Workspace) -> None:
    """Somebody's dry run in the morning does not make the night's sweep unseen."""
    swept(ws, 5, dry_run=False)
    swept(ws, 1, dry_run=True)
    assert heartbeat(ws, 26).ok


def test_another_receipt_is_no_heartbeat(ws: Workspace) -> None:
    """Only sweeps count."""
    ws.catalogue.add_receipt("removal", {"dry_run": False}, "coldchain@host", NOW)
    assert not heartbeat(ws, 26).ok


@pytest.mark.parametrize("dry_run", [True, False])
def test_the_sweep_leaves_the_heartbeat(ws: Workspace, dry_run: bool) -> None:
    """What the sweep writes is what the heartbeat reads."""
    sweeping.sweep(ws, dry_run=dry_run)
    assert heartbeat(ws, 26).ok is not dry_run


def test_disks_that_are_one_disk_are_named(ws: Workspace) -> None:
    """Places that are said to fail apart and stand on one device are one warning; scratch never counts, so it is left out."""
    (found,) = of(examine(ws), "failure domains")
    assert found.what.startswith("backup, cold, nas:")
    assert (found.ok, found.warning) == (True, True)


def test_one_domain_on_one_disk_is_no_warning(ws: Workspace) -> None:
    """Whoever says that they die together is told nothing."""
    together = tuple(place.model_copy(update={"domain": "one"}) for place in ws.site.locations)
    assert of(examine(replace(ws, site=_with(ws, together))), "failure domains") == []


def test_disks_that_are_two_disks_are_no_warning(ws: Workspace, tmp_path: Path) -> None:
    """Places on devices of their own are told apart."""
    memory = Path("/dev/shm")  # noqa: S108 - another device, not a place for our files
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second device here")
    elsewhere = tuple(
        place if place.name == "nas" else place.model_copy(update={"root": str(memory), "domain": "memory"}) for place in ws.site.locations
    )
    assert of(examine(replace(ws, site=_with(ws, elsewhere))), "failure domains") == []


def _with(ws: Workspace, locations: tuple[object, ...]) -> object:
    """The same site with other locations."""
    site = ws.site.model_copy(update={"locations": locations})
    site.__dict__.pop("by_name", None)
    return site


def test_a_place_that_is_not_mounted_shares_no_disk(ws: Workspace) -> None:
    """The empty folder of a mount point stands on the system's disk: that is no finding on the place."""
    shutil.rmtree(ws.site.path("nas"))
    ws.site.path("nas").mkdir()
    (found,) = of(examine(ws), "failure domains")
    assert "nas" not in found.what


def test_a_stopped_audit_is_not_fine(ws: Workspace) -> None:
    """A location whose audit was stopped is named with its reason, and how it is released."""
    ws.catalogue.set_brake("cold", "9 of 12 copies failed", NOW)
    (found,) = of(examine(ws), "audit")
    assert (found.what, found.ok, found.found) == ("cold: audit", False, "9 of 12 copies failed")
    assert "coldchain audit --release cold" in found.hint


@pytest.mark.parametrize(
    ("days", "person", "answer", "warned"),
    [
        (15, "person", None, True),
        (13, "person", None, False),
        (15, "none", None, False),
        (15, "person", Answer.YES, False),
        (15, "person", Answer.NO, False),
    ],
    ids=["a fortnight", "not yet", "nobody is asked", "yes was said", "no was said"],
)
def test_a_notice_that_nobody_answers_is_named(
    ws: Workspace, stocked: int, days: int, person: str, answer: Answer | None, warned: bool
) -> None:
    """A notice that has waited for a person's yes for a fortnight is a warning, with the command that answers it."""
    told_at = NOW - dt.timedelta(days=days)
    notice = ws.catalogue.propose([(stocked, Ground.REMAKE)], ws.policy.digest, told_at)
    if answer:
        ws.catalogue.answer(notice, answer, "Ada", "command line", "", NOW)
    found = of(examine(asking(ws, person)), "notice")
    assert [(each.what, each.ok, each.warning) for each in found] == ([(f"notice {notice}", True, True)] if warned else [])
    assert all(f"coldchain approve {notice}" in each.hint for each in found)


def test_what_is_gone_waits_for_nobody(ws: Workspace, stocked: int) -> None:
    """A copy that was removed by hand, whose proposal was never closed, is no reason to ask anybody."""
    ws.catalogue.propose([(stocked, Ground.REMAKE)], ws.policy.digest, NOW - dt.timedelta(days=30))
    artifact = ws.catalogue.copies()[0].artifact
    ws.catalogue.change_copy(stocked, state=CopyState.REMOVED)
    ws.catalogue.start_copy(artifact, "nas", "somewhere", NOW)
    assert of(examine(asking(ws, "person")), "notice") == []
