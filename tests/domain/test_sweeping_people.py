"""The sweep with people in it: notices, answers, what changes in between, and what is brought back."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from coldchain import making, planning, sweeping, transfer
from coldchain.copies import Artifact, Copy, CopyState
from coldchain.dataset import Dataset
from coldchain.errors import LeaseTaken
from coldchain.holds import Use
from coldchain.levels import Level
from coldchain.origins import Origin
from coldchain.overrides import Check
from coldchain.policy import Policy
from coldchain.proposals import Answer
from coldchain.protection import release
from coldchain.testing.faults import flip_bit
from coldchain.workspace import Workspace

DATASET = "PRJ-0001/PLATE-A"
LASTING = {"levels": ["raw", "release"], "wanted": {"copies": 3, "media": 2, "off_site": 1}}
REST = {"levels": ["standard", "masks", "single_cell_profiles", "bulk_profiles"], "wanted": {"copies": 1}}
REMADE = {"levels": ["corrected", "single_cell_images"], "wanted": {"copies": 1}, "remake": True}
PERSON = {"after_days": 0, "approval": {"original_stands": "person", "remake": "person"}}
NOBODY = {"after_days": 0, "approval": {"original_stands": "none", "remake": "none"}}


def under(ws: Workspace, **changes: Any) -> Workspace:
    """The same site under another policy, whose audits are monthly."""
    said = {"name": "people", "version": 1, "rules": [LASTING, REST, REMADE], "purge": PERSON, "clock_leap_days": 400}
    return dataclasses.replace(ws, policy=Policy.model_validate(said | changes))


@pytest.fixture(autouse=True)
def released(ws: Workspace) -> Iterator[None]:
    """Lift write protection below the site at the end."""
    yield
    release(ws.site.path("."))


@pytest.fixture
def staged(ws: Workspace, made: Callable[..., Artifact]) -> Artifact:
    """A standard artifact on the NAS, staged on scratch, due at once."""
    artifact = made(Level.STANDARD, {"0/c/0": b"pixels"}, at="nas")
    transfer.deliver(ws, artifact, "scratch")
    return artifact


@pytest.fixture
def corrected(ws: Workspace, staged: Artifact, made: Callable[..., Artifact]) -> Artifact:
    """A corrected artifact on the NAS, made from the standard, that may be made again."""
    artifact = made(Level.CORRECTED, {"0/c/0": b"corrected"}, (staged,), at="nas")
    transfer.deliver(ws, artifact, "scratch")
    return artifact


def copy_at(ws: Workspace, artifact: Artifact, location: str) -> Copy:
    """The newest copy of an artifact at a location."""
    return ws.catalogue.copies(artifact=artifact.id, location=location)[-1]


def answer(ws: Workspace, notice: int, said: Answer, *datasets: str) -> None:
    """Answer a notice as ada."""
    ws.catalogue.answer(notice, said, "ada@lab", "command line", "because", ws.now(), datasets=datasets)


def test_silence_is_no(ws: Workspace, clock: Any, staged: Artifact) -> None:
    """What needs a yes is told once, waits as long as nobody answers, and stays."""
    ws = under(ws)
    first = sweeping.sweep(ws, dry_run=False)
    assert (first.notice, first.noticed.count, first.removed.count) == (1, 1, 0)
    for _month in range(12):
        clock.forward(days=30)
        again = sweeping.sweep(ws, dry_run=False)
        assert (again.notice, again.noticed.count, again.waiting.count, again.removed.count) == (0, 0, 1, 0)
    assert copy_at(ws, staged, "scratch").state is CopyState.VERIFIED
    assert len(ws.catalogue.notices()) == 1


def test_what_was_approved_goes_and_the_receipt_says_by_whom(ws: Workspace, staged: Artifact) -> None:
    """A yes lets exactly the approved copies go; the receipt names who said it, and what the removal leaned on."""
    ws = under(ws)
    notice = sweeping.sweep(ws, dry_run=False).notice
    answer(ws, notice, Answer.YES)
    report = sweeping.sweep(ws, dry_run=False)
    assert [line.location for line in report.removed.lines] == ["scratch"]
    (receipt,) = ws.catalogue.receipts("removal")
    (removed,) = receipt["removed"]
    assert (removed["approved_by"], removed["notice"], removed["ground"]) == ("ada@lab", notice, "original_stands")
    assert [each["location"] for each in removed["leans_on"]] == ["nas"]
    assert not ws.catalogue.notices(open_only=True)


def test_a_yes_reaches_nothing_that_was_not_told(ws: Workspace, staged: Artifact, made: Callable[..., Artifact]) -> None:
    """What falls due after the notice is not in it, and waits for an answer of its own."""
    ws = under(ws)
    notice = sweeping.sweep(ws, dry_run=False).notice
    later = made(Level.MASKS, {"m": b"masks"}, at="nas")
    transfer.deliver(ws, later, "scratch")
    answer(ws, notice, Answer.YES)
    report = sweeping.sweep(ws, dry_run=False)
    assert [line.artifact for line in report.removed.lines] == [staged.label]
    assert [line.artifact for line in report.noticed.lines] == [later.label]
    assert copy_at(ws, later, "scratch").state is CopyState.VERIFIED


def test_no_leaves_the_dataset_alone(ws: Workspace, clock: Any, staged: Artifact) -> None:
    """A no holds, and is not asked again."""
    ws = under(ws)
    answer(ws, sweeping.sweep(ws, dry_run=False).notice, Answer.NO, DATASET)
    for _month in range(3):
        clock.forward(days=31)
        report = sweeping.sweep(ws, dry_run=False)
        assert (report.removed.count, report.noticed.count, report.refused.count) == (0, 0, 1)
    assert "ada@lab said no to notice 1: because" in report.refused.lines[0].reasons
    assert copy_at(ws, staged, "scratch").state is CopyState.VERIFIED


def test_a_no_to_what_is_in_the_trash_is_told_once(ws: Workspace, staged: Artifact) -> None:
    """The copy comes back, and stands in the report as brought back, not as refused as well."""
    ws = under(ws, purge={**PERSON, "grace_days": 7})
    notice = sweeping.sweep(ws, dry_run=False).notice
    answer(ws, notice, Answer.YES)
    assert sweeping.sweep(ws, dry_run=False).trashed.count == 1
    answer(ws, notice, Answer.NO)
    copy = copy_at(ws, staged, "scratch")
    ws.catalogue.change_copy(copy.id, due_at=ws.now())
    report = sweeping.sweep(ws, dry_run=False)
    assert (report.recalled.count, report.refused.count) == (1, 0)
    assert copy_at(ws, staged, "scratch").state is CopyState.VERIFIED


def test_a_no_keeps_what_falls_due_later_too(ws: Workspace, clock: Any, staged: Artifact, made: Callable[..., Artifact]) -> None:
    """Another copy of that dataset stays, though nobody had to be asked for it, until the same notice gets a yes."""
    ws = under(ws)
    answer(ws, sweeping.sweep(ws, dry_run=False).notice, Answer.NO)
    later = made(Level.MASKS, {"m": b"masks"}, at="nas")
    transfer.deliver(ws, later, "scratch")
    nobody = under(ws, purge=NOBODY)
    clock.forward(days=10)
    report = sweeping.sweep(nobody, dry_run=False)
    assert (report.removed.count, report.noticed.count) == (0, 0)
    assert "ada@lab said no to notice 1: because" in [reason for line in report.kept.lines for reason in line.reasons]
    answer(nobody, 1, Answer.YES)
    assert sweeping.sweep(nobody, dry_run=False).removed.count == 2


@pytest.mark.parametrize(("grace", "goes"), [(0, 0), (7, 1)])
def test_a_yes_of_somebody_who_may_not_say_it_any_more_counts_no_more(
    ws: Workspace, clock: Any, staged: Artifact, grace: int, goes: int
) -> None:
    """The project becomes another one's to decide on between the answer and the removal, or the deletion: it waits, or comes back."""
    industry = {**REST, "origins": ["collaborator_industry"], "approvers": ["grace"]}
    rules = [LASTING, industry, {**REST, "approvers": ["bob"]}, REMADE]
    ws = under(ws, rules=rules, purge={**PERSON, "grace_days": grace})
    notice = sweeping.sweep(ws, dry_run=False).notice
    ws.catalogue.answer(notice, Answer.YES, "bob for ada", "command line", "", ws.now())
    trashed = sweeping.sweep(ws, dry_run=False).trashed.count if grace else 0
    project = ws.catalogue.project("PRJ-0001")
    ws.catalogue.save_project(project.model_copy(update={"origin": Origin.COLLABORATOR_INDUSTRY}))
    clock.forward(days=8)
    report = sweeping.sweep(ws, dry_run=False)
    assert (trashed, report.recalled.count, report.removed.count) == (goes, goes, 0)
    if not grace:
        assert any("bob for ada said yes, and may not any more" in reason for line in report.waiting.lines for reason in line.reasons)


def test_a_dry_run_tells_nobody(ws: Workspace, staged: Artifact) -> None:
    """A dry run says what would be told, and makes no notice."""
    report = sweeping.sweep(under(ws), dry_run=True)
    assert report.noticed.count == 1
    assert ws.catalogue.notices() == []


def test_a_dry_run_says_what_the_trash_would_take_and_lose(ws: Workspace, clock: Any, staged: Artifact) -> None:
    """What would wait in the trash, what would be deleted from it and what would be brought back stand where a sweep would report them."""
    ws = under(ws, purge={**NOBODY, "grace_days": 7})

    def would() -> tuple[int, int, int]:
        report = sweeping.sweep(ws, dry_run=True)
        return report.trashed.count, report.removed.count, report.recalled.count

    assert would() == (1, 0, 0)
    sweeping.sweep(ws, dry_run=False)
    assert would() == (0, 0, 0)
    clock.forward(days=8)
    assert would() == (0, 1, 0)
    ws.catalogue.change_copy(copy_at(ws, staged, "nas").id, state=CopyState.SUSPECT)
    assert would() == (0, 0, 1)
    assert copy_at(ws, staged, "scratch").state is CopyState.TRASHED


def test_the_notice_period_is_kept(ws: Workspace, clock: Any, staged: Artifact) -> None:
    """Where no yes is asked for, a removal waits out its notice, to the day."""
    ws = under(ws, purge={**NOBODY, "notice_days": 14})
    sweeping.sweep(ws, dry_run=False)
    clock.forward(days=13, hours=23)
    assert sweeping.sweep(ws, dry_run=False).waiting.count == 1
    clock.forward(hours=1)
    assert sweeping.sweep(ws, dry_run=False).removed.count == 1


def test_what_changed_since_the_yes_drops_out_with_its_reason(ws: Workspace, staged: Artifact) -> None:
    """A hold after the yes ends the proposal: when the hold has ended, people are told anew."""
    ws = under(ws)
    notice = sweeping.sweep(ws, dry_run=False).notice
    answer(ws, notice, Answer.YES)
    held = ws.catalogue.add_hold(DATASET, "figure 3", "grace", ws.now().date())
    report = sweeping.sweep(ws, dry_run=False)
    assert (report.removed.count, report.refused.count) == (0, 0)
    assert "held by grace" in report.dropped.lines[0].reasons[0]
    ws.catalogue.end_hold(held.id)
    again = sweeping.sweep(ws, dry_run=False)
    assert (again.removed.count, again.noticed.count, again.notice) == (0, 1, notice + 1)


def test_another_policy_needs_another_yes(ws: Workspace, staged: Artifact) -> None:
    """An approval given under one policy does not hold under the next."""
    answer(ws, sweeping.sweep(under(ws), dry_run=False).notice, Answer.YES)
    report = sweeping.sweep(under(ws, version=2), dry_run=False)
    assert report.removed.count == 0
    assert "the policy has changed since" in report.dropped.lines[0].reasons[0]


def test_a_place_out_of_reach_for_a_night_keeps_its_yes(ws: Workspace, staged: Artifact) -> None:
    """What cannot be reached tonight is not told anew tomorrow."""
    ws = under(ws)
    answer(ws, sweeping.sweep(ws, dry_run=False).notice, Answer.YES)
    marker = ws.site.path("scratch") / ".coldchain/location.json"
    marker.rename(marker.with_suffix(".away"))
    report = sweeping.sweep(ws, dry_run=False)
    assert (report.removed.count, report.dropped.count, report.unreachable) == (0, 0, ("scratch",))
    marker.with_suffix(".away").rename(marker)
    assert sweeping.sweep(ws, dry_run=False).removed.count == 1


def test_what_is_in_use_tonight_keeps_its_yes(ws: Workspace, staged: Artifact) -> None:
    """A run that reads it now puts it off by a night; it is not told anew for that."""
    ws = under(ws)
    answer(ws, sweeping.sweep(ws, dry_run=False).notice, Answer.YES)
    with ws.catalogue.lease([staged.id], Use.READ, ws.now()):
        report = sweeping.sweep(ws, dry_run=False)
    assert (report.removed.count, report.dropped.count) == (0, 0)
    assert sweeping.sweep(ws, dry_run=False).removed.count == 1


def test_what_waits_in_the_trash_keeps_its_yes(ws: Workspace, clock: Any, staged: Artifact) -> None:
    """The nights of its grace do not end what was told, and so it goes with the name of who said yes."""
    ws = under(ws, purge={**PERSON, "grace_days": 7})
    notice = sweeping.sweep(ws, dry_run=False).notice
    answer(ws, notice, Answer.YES)
    for _night in range(3):
        assert sweeping.sweep(ws, dry_run=False).dropped.count == 0
    clock.forward(days=7)
    assert sweeping.sweep(ws, dry_run=False).removed.count == 1
    (receipt,) = ws.catalogue.receipts("removal")
    assert (receipt["removed"][0]["approved_by"], receipt["removed"][0]["notice"]) == ("ada@lab", notice)


@pytest.mark.usefixtures("staged")
def test_a_clock_that_is_not_believed_ends_nothing_that_was_told(ws: Workspace, clock: Any) -> None:
    """The yes of before the leap holds once the clock is right again."""
    ws = under(ws, clock_leap_days=10)
    answer(ws, sweeping.sweep(ws, dry_run=False).notice, Answer.YES)
    clock.forward(days=11)
    report = sweeping.sweep(ws, dry_run=False)
    assert bool(report.doubted_clock)
    assert (report.removed.count, report.dropped.count) == (0, 0)
    clock.forward(days=-10)
    assert sweeping.sweep(ws, dry_run=False).removed.count == 1


def test_one_notice_a_sweep_however_much_there_is_to_tell(
    ws: Workspace, staged: Artifact, ingested: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two datasets that are planned one after the other stand in the same notice."""

    def work(_inputs: list[Path], target: Path) -> making.Outcome:
        (target / "file").write_bytes(b"other pixels")
        return making.Outcome()

    ws.catalogue.save_dataset(Dataset(project="PRJ-0001", name="PLATE-B", pattern="plain", channels={1: "DNA"}))
    step = making.Step("another", "PRJ-0001/PLATE-B", Level.STANDARD, (ingested,))
    other = making.make(ws, step, work, at="nas").artifact
    transfer.deliver(ws, other, "scratch")
    monkeypatch.setattr(planning, "DATASETS", 1)
    report = sweeping.sweep(under(ws), dry_run=False)
    assert (report.notice, {line.artifact for line in report.noticed.lines}) == (1, {staged.label, other.label})
    assert {proposal.notice for proposal in ws.catalogue.proposals()} == {1}
    assert len(ws.catalogue.proposals()) == 2


def test_a_run_that_asked_since_is_heard(ws: Workspace, clock: Any, staged: Artifact, made: Callable[..., Artifact]) -> None:
    """A run that uses an artifact after people were told puts it off: it is told anew."""
    ws = under(ws)
    answer(ws, sweeping.sweep(ws, dry_run=False).notice, Answer.YES)
    clock.forward(hours=1)
    made(Level.MASKS, {"m": b"masks"}, (staged,), at="nas")
    report = sweeping.sweep(ws, dry_run=False)
    assert report.removed.count == 0
    assert "a run has asked for it since" in report.dropped.lines[0].reasons[0]


def test_demand_puts_the_day_off(ws: Workspace, clock: Any, staged: Artifact, made: Callable[..., Artifact]) -> None:
    """What a run asked for lately stays on scratch for the policy's days, and is not looked at before."""
    ws = under(ws, purge={**NOBODY, "idle_days": 7})
    made(Level.MASKS, {"m": b"masks"}, (staged,), at="nas")
    sweeping.sweep(ws, dry_run=False)
    assert copy_at(ws, staged, "scratch").due_at == dt.datetime(2030, 1, 22, 12, tzinfo=dt.UTC)
    clock.forward(days=6)
    made(Level.SINGLE_CELL_PROFILES, {"m": b"profiles"}, (staged,), at="nas")
    clock.forward(days=1)
    report = sweeping.sweep(ws, dry_run=False)
    assert [line.reasons[0] for line in report.kept.lines] == ["in demand: a run asked for it on 2030-01-21, due 7 days later"]
    assert copy_at(ws, staged, "scratch").due_at == dt.datetime(2030, 1, 28, 12, tzinfo=dt.UTC)
    clock.forward(days=6)
    assert sweeping.sweep(ws, dry_run=False).removed.count == 1


def test_what_nobody_asks_for_goes_from_lasting_places_too(ws: Workspace, clock: Any, corrected: Artifact, staged: Artifact) -> None:
    """What can be made again leaves the NAS after its idle days, notice and grace; what it is made from stays."""
    disposal = {"idle_days": 30, "notice_days": 5, "grace_days": 10, "approval": "none"}
    ws = under(ws, rules=[LASTING, REST, {**REMADE, "disposal": disposal}], purge=NOBODY)
    sweeping.sweep(ws, dry_run=False)
    clock.forward(days=31)
    assert [line.location for line in sweeping.sweep(ws, dry_run=False).noticed.lines] == ["nas"]
    clock.forward(days=5)
    assert [line.location for line in sweeping.sweep(ws, dry_run=False).trashed.lines] == ["nas"]
    assert copy_at(ws, corrected, "nas").state is CopyState.TRASHED
    clock.forward(days=10)
    report = sweeping.sweep(ws, dry_run=False)
    assert [(line.artifact, line.location) for line in report.removed.lines] == [(corrected.label, "nas")]
    assert copy_at(ws, staged, "nas").state is CopyState.VERIFIED
    assert corrected.id[:80] not in [line.artifact for line in report.short.lines]


def test_why_a_copy_stays_is_told_where_people_expect_it_to_go(ws: Workspace, clock: Any, corrected: Artifact, staged: Artifact) -> None:
    """What is due to the moment, and what stands on scratch; not every other copy of the lab that nobody thought would go."""
    disposal = {"idle_days": 31, "notice_days": 5, "grace_days": 10, "approval": "none"}
    ws = under(ws, rules=[LASTING, REST, {**REMADE, "disposal": disposal}], purge={**NOBODY, "after_days": 60})
    sweeping.sweep(ws, dry_run=False)
    ws.catalogue.add_hold(DATASET, "paper in review", "ada", dt.date(2031, 1, 1))
    clock.at = copy_at(ws, corrected, "nas").due_at
    report = sweeping.sweep(ws, dry_run=False)
    told = sorted((line.artifact, line.location) for line in report.kept.lines)
    assert told == sorted([(corrected.label, "nas"), (corrected.label, "scratch"), (staged.label, "scratch")])


def test_a_copy_at_a_place_that_is_no_more_is_told_where_it_is_due(ws: Workspace, staged: Artifact) -> None:
    """The site does not name its location any more: nobody can say that it is scratch, but it was to go, so its stay is told."""
    ws = under(ws, purge=NOBODY)
    sweeping.sweep(ws, dry_run=True)
    kept = tuple(place for place in ws.site.locations if place.name != "scratch")
    site = ws.site.model_copy(update={"locations": kept, "_folder": ws.site._folder})
    site.__dict__.pop("by_name", None)
    space = dataclasses.replace(ws, site=site, stores={place.name: ws.stores[place.name] for place in kept})
    report = sweeping.sweep(space, dry_run=False)
    assert [(line.location, line.reasons) for line in report.kept.lines] == [("scratch", ("its artifact or location is not known here",))]
    assert report.unknown == ("scratch",)


@pytest.mark.usefixtures("ingested")
def test_a_day_that_has_not_come_is_left_as_it_is(ws: Workspace, staged: Artifact) -> None:
    """A sweep dates anew what was due and stays, and nothing else of the dataset."""
    ws = under(ws)
    sweeping.sweep(ws, dry_run=False)
    day = ws.now() + dt.timedelta(days=5)
    ws.catalogue.change_copy(copy_at(ws, staged, "nas").id, due_at=day)
    ws.catalogue.add_hold(DATASET, "wait", "ada", ws.now().date())
    assert sweeping.sweep(ws, dry_run=False).kept.count == 1
    assert copy_at(ws, staged, "nas").due_at == day


def test_what_is_in_the_trash_comes_back_when_nothing_covers_it(ws: Workspace, clock: Any, staged: Artifact) -> None:
    """The original rots while its scratch copy waits out its grace: the copy is brought back, and is not deleted."""
    ws = under(ws, purge={**NOBODY, "grace_days": 7})
    sweeping.sweep(ws, dry_run=False)
    release(ws.site.path("nas"))
    flip_bit(ws.site.path("nas") / staged.folder / "0/c/0")
    clock.forward(days=8)
    sweeping.sweep(ws, dry_run=False)  # reads the original before it deletes, and finds it damaged
    report = sweeping.sweep(ws, dry_run=False)
    copy = copy_at(ws, staged, "scratch")
    assert copy.state is CopyState.VERIFIED
    assert (ws.site.path("scratch") / copy.path / "0/c/0").read_bytes() == b"pixels"
    assert copy_at(ws, staged, "nas").state is CopyState.SUSPECT
    assert report.removed.count == 0


def test_raw_stays_at_its_last_protected_place(ws: Workspace, clock: Any, ingested: Artifact) -> None:
    """The lifetime of raw data is over, and a person said yes to all of it: its last protected copy stays all the same."""
    for place in ("cold", "backup"):
        transfer.deliver(ws, ingested, place)
    ws = under(ws, rules=[{**LASTING, "lifetime": {"years": 10, "notice_days": 0, "grace_days": 0}}, REST, REMADE])
    clock.forward(days=3653)
    notice = sweeping.sweep(ws, dry_run=False).notice
    answer(ws, notice, Answer.YES)
    sweeping.sweep(ws, dry_run=False)
    left = ws.catalogue.copies(artifact=ingested.id, states=[CopyState.VERIFIED])
    assert [copy.location for copy in left if copy.protection != "none"]
    for _night in range(3):
        sweeping.sweep(ws, dry_run=False)
    assert ws.catalogue.copies(artifact=ingested.id, states=[CopyState.VERIFIED]) != []


def test_what_a_removal_leans_on_is_leased(ws: Workspace, corrected: Artifact, staged: Artifact) -> None:
    """While a copy goes that can be made again, nobody else may take what it is made from."""
    ws = under(ws, rules=[LASTING, REST, REMADE], purge=NOBODY)
    ws.catalogue.change_copy(copy_at(ws, corrected, "nas").id, state=CopyState.SUSPECT)
    taken: list[str] = []

    def try_to_take(_operation: str, _arguments: tuple[Any, ...], real: Callable[[], Any]) -> Any:
        try:
            with ws.catalogue.lease([staged.id], Use.ALONE, ws.now()):
                taken.append("alone")
        except LeaseTaken:
            taken.append("refused")
        return real()

    ws.stores["scratch"].faults["destroy"] = try_to_take  # type: ignore[attr-defined]
    assert sweeping.sweep(ws, dry_run=False).removed.count
    assert set(taken) == {"refused"}


def test_an_override_lets_one_check_go(ws: Workspace, ingested: Artifact) -> None:
    """One check of one dataset is set aside with two names and a reason, and the removal says so."""
    for place in ("backup", "scratch"):
        transfer.deliver(ws, ingested, place)
    two = {"levels": ["raw", "release"], "wanted": {"copies": 2, "off_site": 1}}
    ws = under(ws, rules=[two, REST, REMADE], purge=NOBODY)
    assert sweeping.sweep(ws, dry_run=False).removed.count == 0
    override = ws.catalogue.add_override(
        DATASET, Check.OFF_SITE, "the tape robot is broken", "ada", ws.now().date() + dt.timedelta(2), ws.now()
    )
    assert sweeping.sweep(ws, dry_run=False).removed.count == 0
    ws.catalogue.approve_override(override.id, "grace", "command line", ws.now())
    report = sweeping.sweep(ws, dry_run=False)
    assert [line.location for line in report.removed.lines] == ["scratch"]
    assert "off_site set aside by ada, approved by grace" in str(report.removed.lines[0].reasons)


def test_what_is_short_is_reported_until_it_is_not(ws: Workspace, ingested: Artifact) -> None:
    """An artifact without its copies is in every report; once they stand, in none."""
    for _night in range(2):
        report = sweeping.sweep(under(ws), dry_run=False)
        assert [line.artifact for line in report.short.lines] == [ingested.id[:80]]
    for place in ("cold", "backup"):
        transfer.deliver(ws, ingested, place)
    assert sweeping.sweep(under(ws), dry_run=False).short.count == 0


def test_a_reading_that_grows_too_old_makes_it_short(ws: Workspace, clock: Any, ingested: Artifact) -> None:
    """Time alone makes an artifact short: a place that is away is looked at again, and its copies stop counting."""
    for place in ("cold", "backup"):
        transfer.deliver(ws, ingested, place)
    assert sweeping.sweep(under(ws), dry_run=False).short.count == 0
    ws.site.path("cold").rename(ws.site.path("cold.away"))
    clock.forward(days=100)
    report = sweeping.sweep(under(ws), dry_run=False)
    assert (report.short.count, report.unreachable) == (1, ("cold",))
    ws.site.path("cold.away").rename(ws.site.path("cold"))
    clock.forward(days=1)
    sweeping.sweep(under(ws), dry_run=False)
    assert sweeping.sweep(under(ws), dry_run=False).short.count == 0


def test_the_space_is_the_catalogues(ws: Workspace, staged: Artifact) -> None:
    """The report says how much stands where, by level and state."""
    report = sweeping.sweep(under(ws), dry_run=True)
    found = {(total.location, total.level, total.state): (total.copies, total.bytes) for total in report.space}
    assert found["nas", Level.STANDARD, CopyState.VERIFIED] == (1, staged.bytes)
    assert found["scratch", Level.STANDARD, CopyState.VERIFIED] == (1, staged.bytes)


def test_every_sweep_leaves_a_receipt(ws: Workspace, staged: Artifact) -> None:
    """That a sweep ran stays on record, whether it was a dry run, and how much of what it did."""
    sweeping.sweep(under(ws), dry_run=True)
    sweeping.sweep(under(ws), dry_run=False)
    dry, real = ws.catalogue.receipts("sweep")
    assert [receipt["dry_run"] for receipt in (dry, real)] == [True, False]
    assert real["notice"] == 1
    assert {name: count for name, count in real["counts"].items() if count} == {"noticed": 1, "short": 1}


def test_what_falls_due_is_named_before(ws: Workspace, staged: Artifact) -> None:
    """The report names what falls due in the next 30 days."""
    sweeping.sweep(under(ws), dry_run=True)
    day = ws.now() + dt.timedelta(days=29)
    ws.catalogue.change_copy(copy_at(ws, staged, "scratch").id, due_at=day)
    assert [line.reasons for line in sweeping.sweep(under(ws), dry_run=True).falling_due.lines] == [("falls due on 2030-02-13",)]
    ws.catalogue.change_copy(copy_at(ws, staged, "scratch").id, due_at=day + dt.timedelta(days=2))
    assert sweeping.sweep(under(ws), dry_run=True).falling_due.count == 0


def test_what_the_cluster_will_take_and_nothing_covers_is_warned_of(ws: Workspace, clock: Any, staged: Artifact) -> None:
    """Days before the cluster's own purge, the report names the copy that it will take, and that the policy is not met then."""
    ws = under(ws)
    ws.catalogue.change_copy(copy_at(ws, staged, "nas").id, state=CopyState.SUSPECT)
    assert sweeping.sweep(ws, dry_run=False).warnings.count == 0
    clock.forward(days=55)
    report = sweeping.sweep(ws, dry_run=False)
    assert ["the cluster's own purge" in line.artifact for line in report.warnings.lines] == [True]
