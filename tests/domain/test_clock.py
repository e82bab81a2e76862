"""The clock: one that leaps ahead lets nothing go, and nobody is told, until a person says that it is right."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from coldchain import clock as clocks
from coldchain import retention, sweeping, transfer
from coldchain.copies import Artifact, CopyState
from coldchain.errors import InputError
from coldchain.levels import Level
from coldchain.policy import Policy
from coldchain.protection import release
from coldchain.retention import Action
from coldchain.workspace import Workspace

NOW = dt.datetime(2030, 1, 15, 12, tzinfo=dt.UTC)
DAYS = 10
NOBODY = {"after_days": 0, "grace_days": 3, "approval": {"original_stands": "none", "remake": "none"}}


@pytest.mark.parametrize(
    ("believed", "doubted"),
    [
        (None, False),
        (NOW, False),
        (NOW - dt.timedelta(days=DAYS), False),
        (NOW - dt.timedelta(days=DAYS, microseconds=1), True),
        (NOW + dt.timedelta(days=400), False),
        (dt.datetime.max.replace(tzinfo=dt.UTC), False),
        (dt.datetime.min.replace(tzinfo=dt.UTC), True),
    ],
)
def test_a_clock_is_doubted_where_it_leapt_ahead(believed: dt.datetime | None, doubted: bool) -> None:
    """Up to the policy's days it is believed, to the moment; going back makes nothing go early, and is believed too."""
    assert bool(clocks.doubt(believed, NOW, DAYS)) is doubted


@pytest.fixture
def staged(ws: Workspace, made: Callable[..., Artifact]) -> Iterator[Artifact]:
    """A standard on the NAS and on scratch, where it is due at once."""
    artifact = made(Level.STANDARD, {"0": b"pixels"}, at="nas")
    transfer.deliver(ws, artifact, "scratch")
    yield artifact
    for name in ("nas", "scratch"):
        release(ws.site.path(name))


def under(ws: Workspace, **changes: Any) -> Workspace:
    """The same site with another purge."""
    said = {"audit": {"every_days": 30}, "clock_leap_days": DAYS, "purge": NOBODY | changes}
    return dataclasses.replace(ws, policy=Policy.model_validate(ws.policy.model_dump() | said))


def state(ws: Workspace) -> CopyState:
    """State of the copy on scratch."""
    return ws.catalogue.copies(location="scratch")[-1].state


def test_after_a_leap_nothing_goes_until_a_person_says_that_the_clock_is_right(ws: Workspace, clock: Any, staged: Artifact) -> None:
    """Neither into the trash nor from it, night after night; the report says why; then a person answers for it, with a receipt."""
    ws = under(ws)
    clocks.believe(ws)
    clock.forward(days=DAYS + 1)
    for _ in range(3):
        report = sweeping.sweep(ws, dry_run=False)
        assert "from 2030-01-15 12:00 to 2030-01-2" in report.doubted_clock
        assert report.trashed.count == report.removed.count == 0
        assert any("clock is not believed" in reason for line in report.kept.lines for reason in line.reasons)
        clock.forward(days=1)
    assert state(ws) is CopyState.VERIFIED
    clocks.confirm(ws, "it was switched off over Christmas")
    assert sweeping.sweep(ws, dry_run=False).trashed.count == 1
    receipt = ws.catalogue.last_receipt("clock")
    assert receipt
    assert receipt["reason"] == "it was switched off over Christmas"
    assert receipt["believed"].startswith("2030-01-15")


def test_a_leap_does_not_end_a_grace(ws: Workspace, clock: Any, staged: Artifact) -> None:
    """What is in the trash stays there, though its day has passed by that clock."""
    ws = under(ws)
    assert sweeping.sweep(ws, dry_run=False).trashed.count == 1
    clock.forward(days=366)
    assert sweeping.sweep(ws, dry_run=False).removed.count == 0
    assert state(ws) is CopyState.TRASHED
    clock.at = NOW + dt.timedelta(days=3)
    assert sweeping.sweep(ws, dry_run=False).removed.count == 1


def test_a_leap_neither_tells_nor_ends_what_was_told(ws: Workspace, clock: Any, staged: Artifact) -> None:
    """A notice that runs is left as it is, and no new one is given at a time that is none."""
    ws = under(ws, notice_days=7)
    number = sweeping.sweep(ws, dry_run=False).notice
    clock.forward(days=366)
    transfer.deliver(ws, ws.catalogue.artifacts(level=Level.RAW)[0], "scratch")
    report = sweeping.sweep(ws, dry_run=False)
    assert (report.noticed.count, report.dropped.count, report.trashed.count) == (0, 0, 0)
    assert [proposal.notice for proposal in ws.catalogue.proposals()] == [number]
    clock.at = NOW + dt.timedelta(days=7)
    report = sweeping.sweep(ws, dry_run=False)
    assert report.trashed.count == 1


def test_what_is_not_covered_comes_back_from_the_trash_whatever_the_clock_says(ws: Workspace, clock: Any, staged: Artifact) -> None:
    """Only what could lose something waits for a person."""
    ws = under(ws)
    sweeping.sweep(ws, dry_run=False)
    clock.forward(days=366)
    copy = ws.catalogue.copies(artifact=staged.id, location="nas")[0]
    ws.catalogue.change_copy(copy.id, state=CopyState.SUSPECT)
    raw = ws.catalogue.copies(artifact=ws.catalogue.artifacts(level=Level.RAW)[0].id, location="nas")[0]
    ws.catalogue.change_copy(raw.id, state=CopyState.SUSPECT)
    decisions = {each.copy: each.action for each in retention.plan(ws.ledger(), ws.policy, ws.now()).decisions}
    trashed = ws.catalogue.copies(location="scratch")[-1]
    assert decisions[trashed.id] is not Action.DELETE
    clock.at = NOW + dt.timedelta(days=4)
    assert sweeping.sweep(ws, dry_run=False).recalled.count == 1


def test_the_time_creeps_on_only_with_what_is_believed(ws: Workspace, clock: Any) -> None:
    """Every sweep notes its time, a dry run too; one that is not believed does not, so that the next one is as careful."""
    ws = under(ws)
    for days, noted in ((0, 0), (DAYS, DAYS), (DAYS + 1, DAYS), (-5, 2 * DAYS - 4)):
        clock.forward(days=days)
        sweeping.sweep(ws, dry_run=days == DAYS)
        assert clocks.read(ws.catalogue.setting(clocks.BELIEVED)) == NOW + dt.timedelta(days=noted)


@pytest.mark.parametrize("reason", ["", "  \n"])
def test_a_clock_is_confirmed_with_a_reason(ws: Workspace, clock: Any, reason: str) -> None:
    """Nothing is believed, and no receipt written, without one."""
    with pytest.raises(InputError, match="reason"):
        clocks.confirm(ws, reason)
    assert ws.catalogue.setting(clocks.BELIEVED) is None
    assert ws.catalogue.last_receipt("clock") is None
