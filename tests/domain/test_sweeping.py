"""The sweep: what it removes, what makes it stop, and what a crash or a neighbour leaves of it."""

from __future__ import annotations

import dataclasses
import datetime as dt
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from coldchain import sweeping, transfer
from coldchain.copies import Artifact, Copy, CopyState
from coldchain.errors import IntegrityError, LeaseTaken, LocationUnreachable, RemovalRefused
from coldchain.holds import Use
from coldchain.levels import Level
from coldchain.location import Location, Medium
from coldchain.policy import Approval, Approvals, Ground, Policy, Purge
from coldchain.proposals import Answer
from coldchain.protection import release
from coldchain.site import Site
from coldchain.sql.catalogue import SqlCatalogue
from coldchain.standing import remakeable
from coldchain.store_posix import PosixStore
from coldchain.testing.faults import FaultyStore, flip_bit, vanish
from coldchain.workspace import Workspace

DATASET = "PRJ-0001/PLATE-A"
NO_PERSON = Approvals(original_stands=Approval.NONE, remake=Approval.NONE)


def with_policy(ws: Workspace, **changes: Any) -> Workspace:
    """The same site under another policy."""
    return dataclasses.replace(ws, policy=Policy.model_validate(ws.policy.model_dump() | changes))


def lazy(ws: Workspace, **changes: Any) -> Workspace:
    """A policy that reads copies back every 30 days, so that a sweep relies on what it reads before a removal."""
    return with_policy(ws, audit={"every_days": 30}, **changes)


def patient(ws: Workspace, days: float = 7) -> Workspace:
    """A policy with days of grace in the trash."""
    return lazy(ws, purge=Purge(after_days=0, grace_days=days, approval=NO_PERSON).model_dump())


def widened(ws: Workspace, *more: Location) -> Workspace:
    """The same site with more locations."""
    site = Site.model_validate(ws.site.model_dump() | {"locations": (*ws.site.locations, *more)})
    site._folder = ws.site._folder
    stores = {**ws.stores, **{place.name: FaultyStore(PosixStore(place, site.path(place.root))) for place in more}}
    space = dataclasses.replace(ws, site=site, stores=stores)
    space.register()
    return space


def second_scratch() -> Location:
    """Another place that removes files by itself."""
    return Location(name="scratch2", root="scratch2", medium=Medium.DISK, domain="cluster2", site="campus", purge_age_days=60)


def copy_at(ws: Workspace, artifact: Artifact, location: str) -> Copy:
    """The newest copy of an artifact at a location, removed or not."""
    return ws.catalogue.copies(artifact=artifact.id, location=location)[-1]


def folder(ws: Workspace, copy: Copy) -> Path:
    """Local folder of a copy."""
    return ws.store(copy.location).local(copy.path)


def damage(ws: Workspace, artifact: Artifact, location: str, name: str) -> None:
    """Change one bit of a copy's file, as a failing disk would."""
    place = folder(ws, copy_at(ws, artifact, location))
    release(place)
    flip_bit(place / name)


def noted(ws: Workspace, location: str, operation: str) -> list[str]:
    """Note the folders that an operation is called for, from now on."""
    seen: list[str] = []

    def note(_operation: str, arguments: tuple[Any, ...], real: Callable[[], Any]) -> Any:
        seen.append(arguments[0])
        return real()

    ws.stores[location].faults[operation] = note
    return seen


def receipted(ws: Workspace) -> list[tuple[str, str]]:
    """What the receipts say was removed: artifact and location, as often as it is said."""
    return [(line["artifact"], line["location"]) for receipt in ws.catalogue.receipts("removal") for line in receipt["removed"]]


@pytest.fixture
def staged(ws: Workspace, made: Callable[..., Artifact]) -> Artifact:
    """A standard that stands on the NAS and is staged on scratch: due at once."""
    artifact = made(Level.STANDARD, {"0/c/0": b"pixels", "zarr.json": b"{}"}, at="nas")
    transfer.deliver(ws, artifact, "scratch")
    return artifact


@pytest.fixture
def corrected(ws: Workspace, made: Callable[..., Artifact], staged: Artifact) -> Artifact:
    """A corrected level on scratch and on the NAS, made from the standard, that the policy lets be made again."""
    artifact = made(Level.CORRECTED, {"flat": b"field"}, inputs=(staged,))
    transfer.deliver(ws, artifact, "nas")
    return artifact


def test_a_covered_copy_goes_and_the_receipt_names_it(ws: Workspace, staged: Artifact) -> None:
    """A staged copy whose original stands is removed, with its bytes, and one receipt says so and why."""
    report = sweeping.sweep(ws, dry_run=False)
    assert [line.artifact for line in report.removed.lines] == [staged.label]
    assert copy_at(ws, staged, "scratch").state is CopyState.REMOVED
    assert not ws.stores["scratch"].exists(staged.folder)
    assert not list((ws.site.path("scratch") / ".coldchain/trash").iterdir())
    (receipt,) = ws.catalogue.receipts("removal")
    assert receipt["digest"] == report.receipts[0]
    (line,) = receipt["removed"]
    assert (line["artifact"], line["location"], line["bytes"]) == (staged.id, "scratch", staged.bytes)
    assert "stands at nas" in line["why"]
    assert [each["location"] for each in line["remaining"]] == ["nas"]
    assert report.removed.bytes == staged.bytes
    assert report.removed.lines[0].reasons == (line["why"],)
    assert report.trashed.count == 0


def test_a_second_sweep_does_nothing(ws: Workspace, staged: Artifact) -> None:
    """What is gone is not removed twice, and gets no second receipt."""
    sweeping.sweep(ws, dry_run=False)
    again = sweeping.sweep(ws, dry_run=False)
    assert (again.removed.count, again.receipts) == (0, [])
    assert receipted(ws) == [(staged.id, "scratch")]


def test_a_dry_run_removes_nothing_and_says_what_would_go(ws: Workspace, staged: Artifact) -> None:
    """A dry run names the copies that would go, and every byte stays."""
    report = sweeping.sweep(ws, dry_run=True)
    assert [line.location for line in report.removed.lines] == ["scratch"]
    assert copy_at(ws, staged, "scratch").state is CopyState.VERIFIED
    assert (ws.store("scratch").local(staged.folder) / "0/c/0").read_bytes() == b"pixels"
    assert not report.receipts
    assert ws.catalogue.receipts("removal") == []


@pytest.mark.parametrize("dry_run", [True, False])
def test_one_corrupt_byte_keeps_what_leans_on_it_and_is_named(ws: Workspace, staged: Artifact, dry_run: bool) -> None:
    """One changed bit in a NAS file: the staged copy stays, and report and page name the file."""
    from tasks.sweeping import as_markdown

    damage(ws, staged, "nas", "0/c/0")
    report = sweeping.sweep(ws, dry_run=dry_run)
    assert report.removed.lines == []
    assert copy_at(ws, staged, "scratch").state is CopyState.VERIFIED
    assert copy_at(ws, staged, "nas").state is CopyState.SUSPECT
    assert any("0/c/0" in reason for line in report.damaged.lines for reason in line.reasons)
    assert "0/c/0" in as_markdown(report)
    assert staged.id[:80] in [line.artifact for line in report.short.lines]


def test_a_byte_that_rotted_since_the_last_reading_is_found_before_a_removal(ws: Workspace, staged: Artifact) -> None:
    """However recently the NAS copy was read, it is read again before the staged one goes; it does not match, so that stays."""
    damage(ws, staged, "nas", "0/c/0")
    report = sweeping.sweep(lazy(ws), dry_run=False)
    assert report.removed.lines == []
    assert [line.artifact for line in report.dropped.lines] == [staged.label]
    assert any("copies: wanted 1, found 0" in reason for reason in report.dropped.lines[0].reasons)
    assert copy_at(ws, staged, "nas").state is CopyState.SUSPECT


def test_a_removal_never_leans_on_a_copy_that_this_sweep_did_not_read(ws: Workspace, staged: Artifact, corrected: Artifact) -> None:
    """The NAS copy of a corrected level is rotten, and so is the standard it could be made again from: nothing goes."""
    ws.catalogue.change_copy(copy_at(ws, staged, "scratch").id, state=CopyState.REMOVED)
    damage(ws, corrected, "nas", "flat")
    damage(ws, staged, "nas", "0/c/0")
    report = sweeping.sweep(lazy(ws), dry_run=False)
    assert report.removed.lines == []
    assert copy_at(ws, corrected, "scratch").state is CopyState.VERIFIED
    assert copy_at(ws, staged, "nas").state is CopyState.SUSPECT


def test_a_second_copy_in_the_same_failure_domain_is_read_before_it_is_leaned_on(ws: Workspace, staged: Artifact) -> None:
    """Where the counted copy of a failure domain is rotten, the other one counts only after its own bytes were read."""
    ws = widened(ws, Location(name="shelf", root="shelf", medium=Medium.DISK, domain="nas", site="campus"))
    transfer.deliver(ws, staged, "shelf")
    damage(ws, staged, "nas", "0/c/0")
    damage(ws, staged, "shelf", "0/c/0")
    assert sweeping.sweep(lazy(ws), dry_run=False).removed.lines == []
    assert {copy_at(ws, staged, place).state for place in ("nas", "shelf")} == {CopyState.SUSPECT}


def test_a_sound_second_support_lets_the_copy_go_in_the_same_sweep(ws: Workspace, staged: Artifact, corrected: Artifact) -> None:
    """The NAS copy of a corrected level is rotten, but its standard was read back and stands: it can be made again, so it goes."""
    ws.catalogue.change_copy(copy_at(ws, staged, "scratch").id, state=CopyState.REMOVED)
    damage(ws, corrected, "nas", "flat")
    report = sweeping.sweep(lazy(ws), dry_run=False)
    assert [line.artifact for line in report.removed.lines] == [corrected.label]


def test_a_hold_keeps_and_says_who(ws: Workspace, staged: Artifact) -> None:
    """A person's hold keeps the copy, with the person's reason."""
    ws.catalogue.add_hold(DATASET, "paper in review", "ada", ws.now().date())
    report = sweeping.sweep(ws, dry_run=False)
    assert report.removed.lines == []
    assert any("held by ada" in reason and "paper in review" in reason for line in report.kept.lines for reason in line.reasons)


def test_a_run_that_uses_the_artifact_keeps_it(ws: Workspace, staged: Artifact) -> None:
    """A copy that a running step reads stays."""
    with ws.catalogue.lease([staged.id], Use.READ, ws.now()):
        report = sweeping.sweep(ws, dry_run=False)
    assert report.removed.lines == []
    assert any("in use (read)" in reason for line in report.kept.lines for reason in line.reasons)


class Hooked:
    """The real catalogue; before one of its methods, something else happens."""

    def __init__(self, catalogue: Any, hooks: dict[str, Callable[[], None]]) -> None:
        """Name the methods; each hook runs at the first call only."""
        self.catalogue, self.hooks = catalogue, hooks

    def __getattr__(self, name: str) -> Any:
        """Run the hook, then give the real method."""
        if name in self.hooks:
            self.hooks.pop(name)()
        return getattr(self.catalogue, name)


def test_a_run_that_starts_between_plan_and_removal_keeps_its_copy(ws: Workspace, staged: Artifact) -> None:
    """A run that begins to read the copy after the plan was made: it drops out with its reason, and the rest goes on."""
    others = ws.catalogue.lease([staged.id], Use.READ, ws.now())
    hooked = Hooked(ws.catalogue, {"lease": lambda: others.__enter__() and None})
    report = sweeping.sweep(dataclasses.replace(lazy(ws), catalogue=hooked), dry_run=False)
    others.__exit__(None, None, None)
    assert report.removed.lines == []
    assert "in use by another run" in report.dropped.lines[0].reasons[0]
    assert copy_at(ws, staged, "scratch").state is CopyState.VERIFIED


def test_a_run_that_starts_in_between_keeps_nothing_else(ws: Workspace, staged: Artifact, corrected: Artifact) -> None:
    """Only what that run uses drops out; the other copies of the batch go."""
    others = ws.catalogue.lease([staged.id], Use.READ, ws.now())
    hooked = Hooked(ws.catalogue, {"lease": lambda: others.__enter__() and None})
    report = sweeping.sweep(dataclasses.replace(lazy(ws), catalogue=hooked), dry_run=False)
    others.__exit__(None, None, None)
    assert [line.artifact for line in report.removed.lines] == [corrected.label]
    assert [line.artifact for line in report.dropped.lines] == [staged.label]


def test_a_lease_that_is_refused_for_something_else_ends_the_sweep(ws: Workspace, staged: Artifact) -> None:
    """Where nothing of the batch is what is in use, leaving some of it out helps nothing: the sweep says so, and removes nothing."""

    def refuse() -> None:
        raise LeaseTaken("in use by another run", on="something else")

    with pytest.raises(LeaseTaken, match="something else"):
        sweeping.sweep(dataclasses.replace(lazy(ws), catalogue=Hooked(ws.catalogue, {"lease": refuse})), dry_run=False)
    assert copy_at(ws, staged, "scratch").state is CopyState.VERIFIED


def test_what_was_refused_since_the_plan_is_not_read_back_for(ws: Workspace, staged: Artifact) -> None:
    """A no after the plan was made drops the copy out with its reason, and nothing is read to cover it."""
    ws = lazy(ws, purge=Purge(after_days=0, approval=Approvals(original_stands=Approval.PERSON)).model_dump())
    notice = sweeping.sweep(ws, dry_run=False).notice
    ws.catalogue.answer(notice, Answer.YES, "ada", "here", "", ws.now())
    read = noted(ws, "nas", "read_back")
    hooked = Hooked(ws.catalogue, {"lease": lambda: ws.catalogue.answer(notice, Answer.NO, "ada", "here", "wait", ws.now()) and None})
    report = sweeping.sweep(dataclasses.replace(ws, catalogue=hooked), dry_run=False)
    assert (report.removed.count, read) == (0, [])
    assert "ada said no" in report.dropped.lines[0].reasons[0]


def test_a_hold_between_plan_and_removal_keeps_the_copy(ws: Workspace, staged: Artifact) -> None:
    """A hold that a person sets after the plan was made drops the copy out with its reason."""
    hooked = Hooked(ws.catalogue, {"lease": lambda: ws.catalogue.add_hold(DATASET, "wait", "ada", ws.now().date()) and None})
    report = sweeping.sweep(dataclasses.replace(lazy(ws), catalogue=hooked), dry_run=False)
    assert report.removed.lines == []
    assert "held by ada" in report.dropped.lines[0].reasons[0]


def test_a_sweep_whose_lease_ended_removes_nothing(ws: Workspace, clock: Any, staged: Artifact) -> None:
    """A sweep that was suspended past the end of its lease stops before anything goes: another run may use the data by now."""

    def suspended(_operation: str, _arguments: tuple[Any, ...], real: Callable[[], Any]) -> Any:
        clock.forward(days=1)
        return real()

    ws.stores["nas"].faults["read_back"] = suspended
    with pytest.raises(LeaseTaken, match="lease ended"):
        sweeping.sweep(lazy(ws), dry_run=False)
    assert copy_at(ws, staged, "scratch").state is CopyState.VERIFIED


def test_a_sweep_that_was_stopped_before_its_first_removal_looks_again(ws: Workspace, clock: Any, staged: Artifact) -> None:
    """Decided, and suspended until its lease ended, while the original was found to be damaged: the copy that was to go stays."""
    ws = lazy(ws)

    def tell(line: str) -> None:
        if line.startswith("trash"):
            clock.forward(minutes=16)
            ws.catalogue.change_copy(copy_at(ws, staged, "nas").id, state=CopyState.SUSPECT)

    with pytest.raises(LeaseTaken, match="lease ended"):
        sweeping.sweep(ws, dry_run=False, tell=tell)
    copy = copy_at(ws, staged, "scratch")
    assert copy.state is CopyState.VERIFIED
    assert (folder(ws, copy) / "0/c/0").read_bytes() == b"pixels"


def test_a_lease_that_another_run_took_since_is_not_ours(ws: Workspace, clock: Any, staged: Artifact) -> None:
    """Suspended past the end of its lease, a sweep stops though the data are leased: another run has them now."""
    others = ws.catalogue.lease([staged.id], Use.READ, ws.now() + dt.timedelta(days=1))

    def suspended(_operation: str, _arguments: tuple[Any, ...], real: Callable[[], Any]) -> Any:
        clock.forward(days=1)
        others.__enter__()
        return real()

    ws.stores["nas"].faults["read_back"] = suspended
    with pytest.raises(LeaseTaken, match="lease ended"):
        sweeping.sweep(lazy(ws), dry_run=False)
    others.__exit__(None, None, None)
    assert copy_at(ws, staged, "scratch").state is CopyState.VERIFIED


def test_every_scratch_copy_of_an_artifact_goes_in_one_sweep(ws: Workspace, staged: Artifact) -> None:
    """Two scratch copies of one artifact do not block one another."""
    ws = widened(ws, second_scratch())
    transfer.deliver(ws, staged, "scratch2")
    report = sweeping.sweep(ws, dry_run=False)
    assert {line.location for line in report.removed.lines} == {"scratch", "scratch2"}
    assert report.dropped.lines == []


def test_an_approval_is_asked_for_and_nothing_goes(ws: Workspace, staged: Artifact) -> None:
    """Where the policy wants a person's yes, the sweep asks and removes nothing."""
    asking = with_policy(ws, purge=Purge(after_days=0, approval=Approvals(original_stands=Approval.PERSON)).model_dump())
    report = sweeping.sweep(asking, dry_run=False)
    assert [line.artifact for line in report.noticed.lines] == [staged.label]
    assert report.removed.lines == []
    assert ws.stores["scratch"].exists(staged.folder)


# the trash


def test_a_copy_waits_out_its_grace(ws: Workspace, clock: Any, staged: Artifact) -> None:
    """In its grace a copy's bytes stand in the trash; afterwards they go, with one receipt."""
    ws = patient(ws)
    report = sweeping.sweep(ws, dry_run=False)
    assert (report.receipts, [line.location for line in report.trashed.lines]) == ([], ["scratch"])
    copy = copy_at(ws, staged, "scratch")
    assert copy.state is CopyState.TRASHED
    assert copy.detail == "; ".join(report.trashed.lines[0].reasons)
    assert (ws.store("scratch").local(transfer.trash(copy)) / "0/c/0").read_bytes() == b"pixels"
    clock.forward(days=8)
    assert [line.location for line in sweeping.sweep(ws, dry_run=False).removed.lines] == ["scratch"]
    assert not ws.stores["scratch"].exists(transfer.trash(copy))
    assert receipted(ws) == [(staged.id, "scratch")]


def test_a_copy_comes_back_from_the_trash(ws: Workspace, staged: Artifact) -> None:
    """Staging again within the grace takes the copy out of the trash."""
    ws = patient(ws)
    sweeping.sweep(ws, dry_run=False)
    copy = transfer.deliver(ws, staged, "scratch")
    assert copy.state is CopyState.VERIFIED
    assert (folder(ws, copy) / "0/c/0").read_bytes() == b"pixels"
    assert not ws.stores["scratch"].exists(transfer.trash(copy))


def test_a_half_deleted_copy_does_not_come_back(ws: Workspace, staged: Artifact) -> None:
    """A deletion that was cut off left half a copy in the trash: staging again fetches a whole one, and leaves no trash."""
    ws = patient(ws)
    sweeping.sweep(ws, dry_run=False)
    copy = copy_at(ws, staged, "scratch")
    (ws.store("scratch").local(transfer.trash(copy)) / "0/c/0").unlink()
    assert transfer.deliver(ws, staged, "scratch").state is CopyState.VERIFIED
    assert (folder(ws, copy) / "0/c/0").read_bytes() == b"pixels"
    assert not ws.stores["scratch"].exists(transfer.trash(copy))


def test_trash_is_not_emptied_where_the_survivors_rotted_in_the_meantime(ws: Workspace, clock: Any, staged: Artifact) -> None:
    """The NAS copy rots during the grace: the trash now holds the last good bytes, and keeps them."""
    ws = patient(ws)
    sweeping.sweep(ws, dry_run=False)
    damage(ws, staged, "nas", "0/c/0")
    clock.forward(days=8)
    report = sweeping.sweep(ws, dry_run=False)
    assert report.removed.lines == []
    assert copy_at(ws, staged, "scratch").state is CopyState.TRASHED
    assert transfer.deliver(ws, staged, "scratch").state is CopyState.VERIFIED
    assert any(line.artifact == staged.label for line in report.dropped.lines)


def test_what_rotted_in_the_trash_is_not_brought_back(ws: Workspace, clock: Any, staged: Artifact) -> None:
    """Nothing covers it any more, and its own bytes do not match: it is told, does not count, and what is left is kept for a repair."""
    ws = patient(ws)
    sweeping.sweep(ws, dry_run=False)
    waiting = ws.store("scratch").local(transfer.trash(copy_at(ws, staged, "scratch")))
    flip_bit(waiting / "0/c/0")
    for copy in ws.catalogue.copies(location="nas"):
        ws.catalogue.change_copy(copy.id, state=CopyState.SUSPECT)
    clock.forward(days=8)
    report = sweeping.sweep(ws, dry_run=False)
    assert (report.recalled.count, report.removed.count) == (0, 0)
    assert ["a copy in the trash does not match" in line.reasons[0] for line in report.dropped.lines] == [True]
    assert copy_at(ws, staged, "scratch").state is CopyState.TRASHED
    assert (waiting / "zarr.json").read_bytes() == b"{}"


def test_a_hold_set_during_the_grace_keeps_the_trash(ws: Workspace, clock: Any, staged: Artifact) -> None:
    """A person who says not yet while the copy is in the trash is heard."""
    ws = patient(ws)
    sweeping.sweep(ws, dry_run=False)
    clock.forward(days=8)
    ws.catalogue.add_hold(DATASET, "not yet", "ada", ws.now().date())
    assert sweeping.sweep(ws, dry_run=False).removed.lines == []
    assert ws.stores["scratch"].exists(transfer.trash(copy_at(ws, staged, "scratch")))


def test_nothing_is_taken_from_the_trash_while_it_is_emptied(ws: Workspace, staged: Artifact) -> None:
    """Staging that starts while the trash is being emptied is told to try later: it must not get a half-removed copy."""
    seen: list[str] = []

    def tell(line: str) -> None:
        if line.startswith("delete"):
            with pytest.raises(LeaseTaken):
                transfer.deliver(ws, staged, "scratch")
            seen.append(line)

    sweeping.sweep(ws, dry_run=False, tell=tell)
    assert len(seen) == 1
    assert copy_at(ws, staged, "scratch").state is CopyState.REMOVED


def test_a_copy_restored_after_the_plan_is_not_deleted(ws: Workspace, clock: Any, staged: Artifact) -> None:
    """A copy that a run takes out of the trash after the plan was made stays, and no receipt says it went."""
    ws = patient(ws)
    sweeping.sweep(ws, dry_run=False)
    clock.forward(days=8)
    hooked = Hooked(ws.catalogue, {"lease": lambda: transfer.deliver(ws, staged, "scratch") and None})
    report = sweeping.sweep(dataclasses.replace(lazy(ws), catalogue=hooked), dry_run=False)
    assert report.removed.lines == []
    copy = copy_at(ws, staged, "scratch")
    assert copy.state is not CopyState.REMOVED
    assert receipted(ws) == []


def test_old_leftovers_in_the_trash_do_not_hide_the_copy(ws: Workspace, staged: Artifact) -> None:
    """Where what is left of a cut-off deletion stands in the trash already, both it and the copy's folder go: the receipt is true."""
    copy = copy_at(ws, staged, "scratch")
    leftover = ws.store("scratch").local(transfer.trash(copy))
    leftover.mkdir(parents=True)
    (leftover / "zarr.json").write_bytes(b"{}")
    (leftover / "mine").write_bytes(b"not the copy's")
    assert "'mine'" in sweeping.sweep(ws, dry_run=False).dropped.lines[0].reasons[0]
    assert copy_at(ws, staged, "scratch").state is CopyState.VERIFIED
    (leftover / "mine").unlink()
    report = sweeping.sweep(ws, dry_run=False)
    assert (report.removed.count, report.dropped.count) == (1, 0)
    assert not leftover.exists()
    assert not ws.stores["scratch"].exists(staged.folder)


def test_what_a_cluster_took_the_manifest_of_still_goes(ws: Workspace, staged: Artifact) -> None:
    """Its files are known by the manifest of another copy; what does not stand in that one is a stranger all the same."""
    copy = copy_at(ws, staged, "scratch")
    (folder(ws, copy) / "MANIFEST.sha256").unlink()
    (folder(ws, copy) / "notes.txt").write_text("mine")
    assert "notes.txt" in sweeping.sweep(lazy(ws), dry_run=False).dropped.lines[0].reasons[0]
    (folder(ws, copy) / "notes.txt").unlink()
    assert sweeping.sweep(lazy(ws), dry_run=False).removed.count == 1


def test_a_deletion_that_was_cut_off_gets_its_receipt_whatever_has_come_since(ws: Workspace, staged: Artifact) -> None:
    """The bytes are gone, no receipt was written, and by the next night nothing covers them: the receipt says what was so then."""
    fuse = fuse_of(1, after=True)
    ws.stores["scratch"].faults["destroy"] = lambda _operation, _arguments, real: fuse(real)
    with pytest.raises(Crash):
        sweeping.sweep(ws, dry_run=False)
    ws.stores["scratch"].faults.clear()
    assert receipted(ws) == []
    assert not ws.stores["scratch"].exists(transfer.trash(copy_at(ws, staged, "scratch")))
    for name in ("nas", "cold", "backup"):
        for copy in ws.catalogue.copies(location=name):
            ws.catalogue.change_copy(copy.id, state=CopyState.SUSPECT)
    report = sweeping.sweep(ws, dry_run=False)
    assert (report.recalled.count, report.removed.count) == (0, 1)
    assert report.receipts == [receipt["digest"] for receipt in ws.catalogue.receipts("removal")]
    assert receipted(ws) == [(staged.id, "scratch")]
    (line,) = ws.catalogue.receipts("removal")[0]["removed"]
    assert [each["location"] for each in line["remaining"]] == ["nas"]
    assert copy_at(ws, staged, "scratch").state is CopyState.REMOVED


def test_what_was_taken_back_while_the_trash_is_emptied_stays(ws: Workspace, clock: Any, staged: Artifact) -> None:
    """A sweep is suspended at the very deletion until its lease ends, and a run takes the copy back: no receipt says that it went."""
    ws = lazy(ws)

    def suspended(_operation: str, _arguments: tuple[Any, ...], real: Callable[[], Any]) -> Any:
        ws.stores["scratch"].faults.clear()
        clock.forward(minutes=16)
        transfer.deliver(ws, staged, "scratch")
        return real()

    ws.stores["scratch"].faults["destroy"] = suspended
    with pytest.raises(RemovalRefused, match="not in the trash"):
        sweeping.sweep(ws, dry_run=False)
    copy = copy_at(ws, staged, "scratch")
    assert copy.state is CopyState.VERIFIED
    assert (folder(ws, copy) / "0/c/0").read_bytes() == b"pixels"
    assert receipted(ws) == []


@pytest.mark.parametrize("place", ["in its place", "in the trash"])
def test_what_somebody_edited_does_not_go(ws: Workspace, clock: Any, staged: Artifact, place: str) -> None:
    """A file that was written to since its copy was read is read again: what somebody changed by hand stays, wherever it is."""
    ws = patient(ws)
    copy = copy_at(ws, staged, "scratch")
    path = copy.path
    if place == "in the trash":
        sweeping.sweep(ws, dry_run=False)
        path = transfer.trash(copy)
    edited = ws.store("scratch").local(path) / "0/c/0"
    edited.write_bytes(b"PIXELS")
    clock.forward(days=8)
    os.utime(edited, times=(clock().timestamp(), clock().timestamp()))
    report = sweeping.sweep(ws, dry_run=False)
    assert (report.trashed.count, report.removed.count) == (0, 0)
    assert "'0/c/0'" in report.dropped.lines[0].reasons[0]
    assert edited.read_bytes() == b"PIXELS"


def test_what_was_only_touched_goes(ws: Workspace, clock: Any, staged: Artifact) -> None:
    """A newer time alone is no change: the bytes are read, and match."""
    touched = folder(ws, copy_at(ws, staged, "scratch")) / "0/c/0"
    clock.forward(days=1)
    os.utime(touched, times=(clock().timestamp(), clock().timestamp()))
    assert sweeping.sweep(ws, dry_run=False).removed.count == 1


@pytest.mark.parametrize("place", ["back in its place", "in the trash"])
def test_what_somebody_put_into_a_copy_in_the_trash_does_not_go(ws: Workspace, clock: Any, staged: Artifact, place: str) -> None:
    """Added while the grace ran, in the trash or after the folder was moved back by hand: nobody was told of it."""
    ws = patient(ws)
    sweeping.sweep(ws, dry_run=False)
    copy, store = copy_at(ws, staged, "scratch"), ws.stores["scratch"]
    path = transfer.trash(copy)
    if place == "back in its place":
        store.set_aside(path, copy.path)
        path = copy.path
    (store.local(path) / "my-annotations.csv").write_bytes(b"a week's work")
    clock.forward(days=8)
    report = sweeping.sweep(ws, dry_run=False)
    assert report.removed.count == 0
    assert "my-annotations.csv" in report.dropped.lines[0].reasons[0]
    assert (store.local(path) / "my-annotations.csv").read_bytes() == b"a week's work"


@pytest.mark.parametrize("said", ["hold", "no"])
def test_what_somebody_says_while_others_are_removed_is_heard(ws: Workspace, staged: Artifact, corrected: Artifact, said: str) -> None:
    """A hold or a no in the middle of a sweep keeps what has not gone yet."""
    ws = lazy(ws)
    second: list[str] = []

    def tell(line: str) -> None:
        if line.startswith("trash") and not second:
            second.append(line)
        elif line.startswith("trash"):
            if said == "hold":
                ws.catalogue.add_hold(DATASET, "wait", "ada", ws.now().date())
            else:
                copies = [(copy.id, Ground.ORIGINAL_STANDS) for copy in ws.catalogue.copies(location="scratch")]
                number = ws.catalogue.propose(copies, ws.policy.digest, ws.now())
                ws.catalogue.answer(number, Answer.NO, "ada", "here", "wait", ws.now())

    report = sweeping.sweep(ws, dry_run=False, tell=tell)
    assert report.removed.count == 0
    (line,) = report.dropped.lines
    assert {"hold": "held by ada", "no": "ada said no"}[said] in line.reasons[0]
    assert sorted(copy.state for copy in ws.catalogue.copies(location="scratch")) == [CopyState.TRASHED, CopyState.VERIFIED]


def test_what_was_written_off_while_others_are_removed_is_told_to_be_gone(ws: Workspace, staged: Artifact, corrected: Artifact) -> None:
    """A copy that is not in the catalogue any more when its turn comes is left alone, with that as its reason."""
    ws = lazy(ws)
    turns: list[str] = []

    def tell(line: str) -> None:
        turns.extend([line] if line.startswith("trash") else [])
        if line.startswith("trash") and len(turns) == 2:
            (left,) = ws.catalogue.copies(location="scratch", states=[CopyState.VERIFIED])
            ws.catalogue.change_copy(left.id, state=CopyState.REMOVED)
            hold = ws.catalogue.add_hold(DATASET, "wait", "ada", ws.now().date())
            ws.catalogue.end_hold(hold.id)

    report = sweeping.sweep(ws, dry_run=False, tell=tell)
    assert "it is gone" in report.dropped.lines[0].reasons[0]
    assert len(receipted(ws)) == 1


def test_a_trash_that_refuses_leaves_the_copy_counting(ws: Workspace, staged: Artifact) -> None:
    """What cannot be moved is as it was before, with its day; a lasting copy must not stop counting for a read-only trash."""
    before = copy_at(ws, staged, "scratch")
    ws.stores["scratch"].faults["set_aside"] = vanish
    report = sweeping.sweep(ws, dry_run=False)
    assert (report.trashed.count, report.removed.count) == (0, 0)
    assert dataclasses.replace(copy_at(ws, staged, "scratch"), verified_at=None) == dataclasses.replace(before, verified_at=None)


def test_a_copy_that_moved_though_the_location_failed_does_not_count(ws: Workspace, clock: Any, staged: Artifact) -> None:
    """The location goes away right after the move: the copy is in the trash, and goes after its grace with one receipt."""
    ws = patient(ws)

    def moved_then_gone(_operation: str, _arguments: tuple[Any, ...], real: Callable[[], Any]) -> Any:
        real()
        raise LocationUnreachable("the location vanished after the move")

    ws.stores["scratch"].faults["set_aside"] = moved_then_gone
    report = sweeping.sweep(ws, dry_run=False)
    copy = copy_at(ws, staged, "scratch")
    assert copy.state is CopyState.TRASHED
    assert any("vanished after the move" in reason for line in report.dropped.lines for reason in line.reasons)
    ws.stores["scratch"].faults.clear()
    clock.forward(days=8)
    sweeping.sweep(ws, dry_run=False)
    assert receipted(ws) == [(staged.id, "scratch")]


def test_each_copy_that_is_leaned_on_is_read_once(ws: Workspace, staged: Artifact) -> None:
    """What was read back before the copy goes into the trash, and still stands, is not read again before the trash is emptied."""
    read = noted(ws, "nas", "read_back")
    assert sweeping.sweep(lazy(ws), dry_run=False).removed.count == 1
    assert read == [staged.folder]


def test_what_was_leaned_on_and_went_with_the_copy_is_read_again(ws: Workspace, staged: Artifact) -> None:
    """The original's folder turns out to be gone once the copy is in the trash: that holds the last bytes, and is not emptied."""

    def both(_operation: str, _arguments: tuple[Any, ...], real: Callable[[], Any]) -> Any:
        place = folder(ws, copy_at(ws, staged, "nas"))
        release(place)
        place.rename(ws.stores["nas"].store.root / "elsewhere")
        return real()

    ws.stores["scratch"].faults["set_aside"] = both
    report = sweeping.sweep(lazy(ws), dry_run=False)
    assert (report.removed.count, receipted(ws)) == (0, [])
    copy = copy_at(ws, staged, "scratch")
    assert copy.state is CopyState.TRASHED
    assert (ws.stores["scratch"].local(transfer.trash(copy)) / "0/c/0").read_bytes() == b"pixels"


@pytest.mark.parametrize("lacks", ["code_version", "lock_digest"])
def test_what_was_made_by_nobody_knows_what_is_not_made_again(ws: Workspace, corrected: Artifact, lacks: str) -> None:
    """To make it again, the code and the packages that made it have to be known."""
    ledger = ws.ledger()
    assert remakeable(corrected, ledger, ws.policy, ws.now())
    found = {name: dataclasses.replace(activity, **{lacks: ""}) for name, activity in ledger.activities.items()}
    assert not remakeable(corrected, dataclasses.replace(ledger, activities=found), ws.policy, ws.now())


# crashes


class Crash(BaseException):
    """The power went out: nothing catches it."""


EFFECTS = {"change_copy", "begin_deletion", "close_removals"}
STORE_EFFECTS = ("set_aside", "destroy")


class Failing:
    """The real catalogue; the power goes out at a chosen effect, before or after it happened."""

    def __init__(self, catalogue: Any, fuse: Callable[[Callable[[], Any]], Any]) -> None:
        """Send effects through the fuse."""
        self.catalogue, self.fuse = catalogue, fuse

    def __getattr__(self, name: str) -> Any:
        """Give the real method, or one that burns the fuse."""
        method = getattr(self.catalogue, name)
        return (lambda *a, **k: self.fuse(lambda: method(*a, **k))) if name in EFFECTS else method


def fuse_of(length: int, *, after: bool) -> Callable[[Callable[[], Any]], Any]:
    """Raise at the effect of that number, before or after it was done."""
    left = [length]

    def fuse(real: Callable[[], Any]) -> Any:
        left[0] -= 1
        if left[0] == 0 and not after:
            raise Crash
        result = real()
        if left[0] == 0:
            raise Crash
        return result

    return fuse


def crashed(ws: Workspace, at: int, *, after: bool) -> bool:
    """Sweep until the power goes out at the effect of that number; whether it did."""
    fuse = fuse_of(at, after=after)
    for operation in STORE_EFFECTS:
        ws.stores["scratch"].faults[operation] = lambda _operation, _arguments, real: fuse(real)
    try:
        sweeping.sweep(dataclasses.replace(ws, catalogue=Failing(ws.catalogue, fuse)), dry_run=False)
    except Crash:
        return True
    finally:
        ws.stores["scratch"].faults.clear()
    return False


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_crash_at_any_effect_is_finished_by_the_next_sweep(
    ws: Workspace, clock: Any, staged: Artifact, corrected: Artifact, after: bool
) -> None:
    """Cut off before or after each write: the next sweep removes the rest, and the receipts name each copy exactly once."""
    swept: set[tuple[str, str]] = set()
    for at in range(1, 100):
        for artifact in (staged, corrected):
            transfer.deliver(ws, artifact, "scratch")
            swept.add((artifact.id, "scratch"))
        before = len(receipted(ws))
        went_out = crashed(ws, at, after=after)
        for artifact in (staged, corrected):
            assert copy_at(ws, artifact, "nas").state is CopyState.VERIFIED
        sweeping.sweep(ws, dry_run=False)
        said = receipted(ws)[before:]
        assert sorted(said) == sorted(swept), f"effect {at}"
        assert not list((ws.site.path("scratch") / ".coldchain/trash").iterdir())
        if not went_out:
            break
    assert 5 < at < 40


@pytest.mark.parametrize("at", range(1, 9))
def test_a_restored_copy_is_whole_wherever_the_sweep_was_cut_off(ws: Workspace, staged: Artifact, at: int) -> None:
    """After a crash at any effect, staging gives a verified copy again."""
    crashed(ws, at, after=False)
    assert transfer.deliver(ws, staged, "scratch").state is CopyState.VERIFIED
    assert (ws.store("scratch").local(staged.folder) / "0/c/0").read_bytes() == b"pixels"


# neighbours and faults


def test_two_sweeps_at_once_remove_each_copy_once(ws: Workspace, staged: Artifact, corrected: Artifact) -> None:
    """Two sweeps side by side: every copy goes once, and stands in one receipt once."""
    failed: list[BaseException] = []
    together = threading.Barrier(2)

    def run() -> None:
        own = dataclasses.replace(ws, catalogue=SqlCatalogue(ws.catalogue.url))
        try:
            together.wait(timeout=20)
            sweeping.sweep(own, dry_run=False)
        except BaseException as error:  # noqa: BLE001 - shown by the assertion below
            failed.append(error)
        finally:
            own.catalogue.close()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sweeping.sweep(ws, dry_run=False)
    assert failed == []
    assert sorted(receipted(ws)) == sorted([(staged.id, "scratch"), (corrected.id, "scratch")])


@pytest.mark.parametrize("operation", ["read_back", "manifest", "names"])
def test_a_location_that_vanishes_while_it_is_read_is_not_suspect(ws: Workspace, staged: Artifact, operation: str) -> None:
    """A mount that goes away for a moment keeps everything this time; its copies are not called damaged, and go on the next."""
    ws.stores["nas"].faults[operation] = vanish
    report = sweeping.sweep(lazy(ws), dry_run=False)
    assert report.removed.lines == []
    assert copy_at(ws, staged, "nas").state is CopyState.VERIFIED
    assert any("not be read back" in reason for line in report.dropped.lines for reason in line.reasons)
    ws.stores["nas"].faults.clear()
    assert len(sweeping.sweep(lazy(ws), dry_run=False).removed.lines) == 1


@pytest.mark.parametrize("seems", ["to have no manifest", "to have no files", "to miss a file"])
def test_an_unmounted_folder_is_not_taken_for_damage(ws: Workspace, staged: Artifact, seems: str) -> None:
    """The NAS is unmounted during a reading, so that its files seem gone: its copies keep their state."""
    root = ws.site.path("nas")

    def unmount(_operation: str, _arguments: tuple[Any, ...], _real: Callable[[], Any]) -> Any:
        if root.exists():
            root.rename(root.with_name("elsewhere"))
        if seems == "to have no files":
            return []
        raise IntegrityError("a file is missing")

    ws.stores["nas"].faults[{"to have no manifest": "manifest", "to have no files": "names"}.get(seems, "read_back")] = unmount
    report = sweeping.sweep(lazy(ws), dry_run=False)
    root.with_name("elsewhere").rename(root)
    assert report.removed.lines == []
    assert copy_at(ws, staged, "nas").state is CopyState.VERIFIED


def test_what_the_cluster_purged_itself_is_closed(ws: Workspace, staged: Artifact) -> None:
    """The cluster was faster: the copy's bytes are gone already, and the sweep writes that down without stumbling."""
    shutil.rmtree(folder(ws, copy_at(ws, staged, "scratch")))
    assert [line.location for line in sweeping.sweep(ws, dry_run=False).removed.lines] == ["scratch"]
    assert copy_at(ws, staged, "scratch").state is CopyState.REMOVED


@pytest.mark.parametrize("operation", ["set_aside", "destroy"])
def test_one_copy_that_cannot_go_does_not_stop_the_others(ws: Workspace, staged: Artifact, corrected: Artifact, operation: str) -> None:
    """A folder that refuses to go is reported, and the other copies go, with their receipt."""

    def refuse(_operation: str, arguments: tuple[Any, ...], real: Callable[[], Any]) -> Any:
        if arguments[0] in {staged.folder, transfer.trash(copy_at(ws, staged, "scratch"))}:
            raise RemovalRefused("the location refuses a removal")
        return real()

    ws.stores["scratch"].faults[operation] = refuse
    report = sweeping.sweep(ws, dry_run=False)
    assert [line.artifact for line in report.removed.lines] == [corrected.label]
    assert any("refuses a removal" in reason for line in report.dropped.lines for reason in line.reasons)
    assert receipted(ws) == [(corrected.id, "scratch")]
    ws.stores["scratch"].faults.clear()
    sweeping.sweep(ws, dry_run=False)
    assert receipted(ws) == [(corrected.id, "scratch"), (staged.id, "scratch")]


def test_a_copy_read_back_in_the_future_is_read_again(ws: Workspace, clock: Any, staged: Artifact) -> None:
    """After a clock that ran ahead was put right, what it read counts for nothing until it is read again: this sweep does."""
    clock.forward(days=400)
    sweeping.sweep(lazy(ws), dry_run=True)
    clock.forward(days=-399)
    report = sweeping.sweep(lazy(ws), dry_run=False)
    assert report.read_back > 0
    assert copy_at(ws, staged, "nas").verified_at == ws.now()
    assert report.removed.count == 1


def test_a_copy_at_a_location_that_the_site_no_longer_names_does_not_stop_the_sweep(ws: Workspace, staged: Artifact) -> None:
    """An engineer took a location out of the site file: its copies are kept, and the sweep does its work."""
    wide = widened(ws, second_scratch())
    transfer.deliver(wide, staged, "scratch2")
    report = sweeping.sweep(ws, dry_run=False)
    assert [line.location for line in report.removed.lines] == ["scratch"]
    assert copy_at(ws, staged, "scratch2").state is CopyState.VERIFIED


def test_raw_is_never_removed_from_its_place(ws: Workspace, staged: Artifact, ingested: Artifact) -> None:
    """Whatever else goes, raw stays on the NAS."""
    for place in ("cold", "backup"):
        transfer.deliver(ws, ingested, place)
    sweeping.sweep(ws, dry_run=False)
    assert {copy.location: copy.state for copy in ws.catalogue.copies(artifact=ingested.id)} == dict.fromkeys(
        ("nas", "cold", "backup"), CopyState.VERIFIED
    )


def test_a_hostile_name_does_not_break_the_page(ws: Workspace, made: Callable[..., Artifact]) -> None:
    """A file name with a newline and a bar stands in one table cell of the page."""
    from tasks.sweeping import as_markdown

    artifact = made(Level.STANDARD, {"a\n| b |": b"pixels"}, at="nas")
    damage(ws, artifact, "nas", "a\n| b |")
    page = as_markdown(sweeping.sweep(ws, dry_run=True))
    assert all(line.startswith("|") and line.endswith("|") for line in page.splitlines() if "b \\|" in line)
    assert "b \\|" in page


def test_the_page_says_what_happened(ws: Workspace, staged: Artifact) -> None:
    """The page of a sweep has the policy, the receipt and a table of what was removed."""
    from tasks.sweeping import as_markdown

    report = sweeping.sweep(ws, dry_run=False)
    page = as_markdown(report)
    assert report.receipts[0]
    assert report.receipts[0] in page
    assert "## Copies removed" in page
    assert staged.label[:60] in page


@pytest.fixture
def released(ws: Workspace) -> Iterator[Workspace]:
    """Lift write protection below the site at the end."""
    yield ws
    release(ws.site.path("."))


def test_the_reading_before_a_removal_can_be_left_to_the_audit(ws: Workspace, staged: Artifact, released: Workspace) -> None:
    """A policy that does not ask for the reading relies on readings within its window."""
    read = noted(ws, "nas", "read_back")
    assert len(sweeping.sweep(lazy(ws, read_back_before_removal=False), dry_run=False).removed.lines) == 1
    assert read == []


def test_reports_are_of_the_clock_they_were_given(ws: Workspace) -> None:
    """The report's time is the workspace's."""
    assert sweeping.sweep(ws, dry_run=True).at == dt.datetime(2030, 1, 15, 12, tzinfo=dt.UTC)
