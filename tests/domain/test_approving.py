"""Answers to a notice: who may give them, for what, and what they change; and holds for so many days."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from coldchain import approving, making, sweeping, transfer
from coldchain.approvers import Person
from coldchain.copies import Artifact, CopyState
from coldchain.dataset import Dataset
from coldchain.errors import NotInCatalogue, Refused
from coldchain.files import no_progress
from coldchain.levels import Level
from coldchain.policy import Ground, Policy
from coldchain.proposals import Answer, Proposal
from coldchain.protection import release
from coldchain.sql.catalogue import SqlCatalogue
from coldchain.workspace import Workspace

A, B = "PRJ-0001/PLATE-A", "PRJ-0001/PLATE-B"
ADA, GRACE = Person("ada", "command line, uid 1000 ada@lab"), Person("grace", "command line, uid 1001 grace@lab")
LASTING = {"levels": ["raw", "release"], "wanted": {"copies": 3, "media": 2, "off_site": 1}}
REST = {
    "levels": ["standard", "masks", "single_cell_profiles", "bulk_profiles", "corrected", "single_cell_images"],
    "wanted": {"copies": 1},
    "remake": True,
}
PERSON = {"after_days": 0, "notice_days": 7, "approval": {"original_stands": "person", "remake": "person"}}


def under(ws: Workspace, **changes: Any) -> Workspace:
    """The same site under a policy that asks people."""
    said = {"name": "people", "version": 1, "rules": [LASTING, REST], "purge": PERSON, "clock_leap_days": 400}
    return dataclasses.replace(ws, policy=Policy.model_validate(said | changes))


@pytest.fixture
def asking(ws: Workspace, ingested: Artifact, made: Callable[..., Artifact]) -> Iterator[Workspace]:
    """A site that has told, in notice 1, of one copy on scratch of each of two datasets."""
    del ingested
    space = under(ws)
    space.catalogue.save_dataset(Dataset(project="PRJ-0001", name="PLATE-B", pattern="plain", channels={1: "DNA"}))
    folder = ws.site.path(ws.site.acquisition) / "PLATE-B"
    folder.mkdir()
    (folder / "B01.tif").write_bytes(b"other pixels")
    raw = making.take_in(space, making.Step("ingest", B, Level.RAW), folder, "nas", no_progress).artifact
    step = making.Step("make-standard", B, Level.STANDARD, (raw,))
    for artifact in (made(Level.STANDARD, {"0": A.encode()}, at="nas"), making.make(space, step, write(B.encode()), at="nas").artifact):
        transfer.deliver(space, artifact, "scratch")
    report = sweeping.sweep(space, dry_run=False)
    assert (report.notice, report.noticed.count) == (1, 2)
    yield space
    release(space.site.path("."))


def write(content: bytes) -> Callable[..., making.Outcome]:
    """Work that writes one file."""

    def work(_inputs: object, target: Any) -> making.Outcome:
        (target / "0").write_bytes(content)
        return making.Outcome()

    return work


def answers(ws: Workspace) -> dict[str, Answer]:
    """What was answered, by dataset."""
    return {each.dataset: each.answer for each in approving.told(ws, 1)}


def on_scratch(ws: Workspace) -> set[str]:
    """Datasets that still have a verified copy on scratch."""
    copies = ws.catalogue.copies(location="scratch", states=[CopyState.VERIFIED])
    return {copy.artifact.rsplit("/", 1)[0] for copy in copies}


def test_a_notice_is_shown_copy_by_copy(asking: Workspace) -> None:
    """Each copy with its dataset, ground, the day it was told, the first day it may go, no answer, and its reasons."""
    first, second = approving.told(asking, 1)
    assert (first.dataset, second.dataset) == (A, B)
    assert (first.location, first.bytes, first.ground) == ("scratch", len(A), Ground.ORIGINAL_STANDS)
    assert first.told_at == asking.now()
    assert first.goes_from == asking.now() + dt.timedelta(days=7)
    assert (first.answer, first.who) == (Answer.NONE, "")
    assert any("may go from" in reason for reason in first.reasons)
    assert [each.dataset for each in approving.told(asking, 1, [B])] == [B]


@pytest.mark.parametrize(("notice", "datasets"), [(2, ()), (0, ()), (1, ["PRJ-0001/PLATE-C"]), (1, [A, "PRJ-0001/PLATE-C"]), (1, [""])])
def test_what_is_not_open_is_neither_shown_nor_answered(asking: Workspace, notice: int, datasets: list[str]) -> None:
    """An unknown notice, or a dataset (also an empty name) that it does not tell of, is an error, and nothing is answered."""
    with pytest.raises(NotInCatalogue, match="nothing is open"):
        approving.told(asking, notice, datasets)
    with pytest.raises(NotInCatalogue, match="nothing is open"):
        approving.answer(asking, ADA, notice, Answer.YES, datasets=datasets)
    assert answers(asking) == {A: Answer.NONE, B: Answer.NONE}


def test_only_what_was_approved_goes(asking: Workspace, clock: Any) -> None:
    """After its notice period the approved dataset goes; one that got a no stays, and says whose."""
    said = approving.answer(asking, ADA, 1, Answer.YES, datasets=[A])
    assert said.startswith("ada said yes to 1 copies")
    assert "before 2030-01-22 12:00 UTC" in said
    approving.answer(asking, GRACE, 1, Answer.NO, datasets=[B], note="a reviewer asks")
    assert sweeping.sweep(asking, dry_run=False).removed.count == 0
    clock.forward(days=7)
    assert sweeping.sweep(asking, dry_run=False).removed.count == 1
    assert on_scratch(asking) == {B}
    (left,) = approving.told(asking, 1)
    assert any("grace said no to notice 1: a reviewer asks" in reason for reason in left.reasons)


def test_silence_leaves_what_was_not_named(asking: Workspace, clock: Any) -> None:
    """A yes to one dataset is none to the other one of the same notice."""
    approving.answer(asking, ADA, 1, Answer.YES, datasets=[A])
    assert answers(asking) == {A: Answer.YES, B: Answer.NONE}
    clock.forward(days=30)
    sweeping.sweep(asking, dry_run=False)
    assert on_scratch(asking) == {B}


def test_the_latest_answer_counts(asking: Workspace, clock: Any) -> None:
    """A yes that was followed by a no removes nothing; a yes after that does."""
    approving.answer(asking, ADA, 1, Answer.YES)
    assert "They stay" in approving.answer(asking, ADA, 1, Answer.NO)
    clock.forward(days=8)
    assert sweeping.sweep(asking, dry_run=False).removed.count == 0
    approving.answer(asking, ADA, 1, Answer.YES)
    assert sweeping.sweep(asking, dry_run=False).removed.count == 2


def test_the_receipt_says_who_how_and_what_exactly(asking: Workspace) -> None:
    """Who, how it was established, the note, and each copy by number and artifact."""
    approving.answer(asking, Person("root", "command line, uid 0", "ada"), 1, Answer.YES, datasets=[B], note="seen by all")
    receipt = asking.catalogue.last_receipt("answer")
    (copy,) = approving.told(asking, 1, [B])
    assert (receipt["who"], receipt["how"], receipt["note"]) == ("root for ada", "command line, uid 0", "seen by all")
    assert (receipt["notice"], receipt["answer"]) == (1, "yes")
    assert [(each["copy"], each["artifact"].split("@")[0]) for each in receipt["copies"]] == [(copy.copy, f"{B}/standard")]


@pytest.mark.parametrize("said", [Answer.YES, Answer.NO])
def test_who_is_no_approver_answers_nothing(asking: Workspace, said: Answer) -> None:
    """Where the policy names approvers, somebody else's answer is refused, and neither answers nor receipts change."""
    space = dataclasses.replace(asking, policy=asking.policy.model_copy(update={"approvers": ("ada",)}))
    with pytest.raises(Refused, match="grace may not answer") as refused:
        approving.answer(space, GRACE, 1, said)
    assert "nothing in it" in str(refused.value)
    assert "expected: ada" in str(refused.value)
    assert answers(space) == {A: Answer.NONE, B: Answer.NONE}
    assert space.catalogue.receipts("answer") == []
    approving.answer(space, ADA, 1, said)
    assert answers(space) == {A: said, B: said}


def test_only_the_established_name_counts_and_not_the_one_behind_it(asking: Workspace) -> None:
    """An approver's name in SUDO_UID, which root may set to anything, makes nobody an approver."""
    space = dataclasses.replace(asking, policy=asking.policy.model_copy(update={"approvers": ("ada",)}))
    with pytest.raises(Refused):
        approving.answer(space, Person("root", "test", "ada"), 1, Answer.YES)


def test_one_dataset_too_many_and_nothing_is_approved(asking: Workspace) -> None:
    """Who may answer for one dataset of a notice only, is told which, and the whole answer is refused."""
    other = making.make(asking, making.Step("make-masks", B, Level.MASKS, (asking.current(B, Level.STANDARD),)), write(b"masks")).artifact
    copy = asking.catalogue.copies(artifact=other.id)[0]
    asking.catalogue.propose([(copy.id, Ground.REMAKE)], asking.policy.digest, asking.now(), notice=1)
    masks = {"levels": ["masks"], "wanted": {"copies": 1}, "approvers": ["grace"]}
    space = under(asking, rules=[masks, LASTING, REST], approvers=["ada"])

    with pytest.raises(Refused) as refused:
        approving.answer(space, ADA, 1, Answer.YES)

    assert f"on: {B}" in str(refused.value)
    assert "expected: grace" in str(refused.value)
    assert f"ada, who may answer for {A}\n" in str(refused.value)
    assert answers(space) == {A: Answer.NONE, B: Answer.NONE}
    approving.answer(space, ADA, 1, Answer.YES, datasets=[A])
    assert answers(space) == {A: Answer.YES, B: Answer.NONE}


def test_a_copy_that_nothing_is_known_of_may_not_be_answered_for(asking: Workspace) -> None:
    """Unknown counts as no: a proposal whose copy is not in the ledger lets nobody answer."""
    stray = Proposal(9, 1, 999, Ground.REMAKE, "p", asking.now())
    right = approving.may_answer(ADA, [stray], asking.policy, asking.ledger([A]))
    assert right.may == ()
    assert list(right.others) == ["copy 999"]


def test_who_may_for_the_whole_of_a_dataset_is_named(asking: Workspace) -> None:
    """Where rules name other people for single levels of a dataset, only those whom all of them name may answer for it."""
    masks = making.make(asking, making.Step("make-masks", A, Level.MASKS, (asking.current(A, Level.STANDARD),)), write(b"m")).artifact
    copies = [asking.catalogue.copies(artifact=each.id)[0] for each in (asking.current(A, Level.STANDARD), masks)]
    both = [Proposal(key, 1, copy.id, Ground.REMAKE, "p", asking.now()) for key, copy in enumerate(copies)]
    named = {"levels": ["masks"], "wanted": {"copies": 1}, "approvers": ["grace", "ada"]}
    policy = under(asking, rules=[named, LASTING, REST], approvers=["linus", "grace"]).policy
    eve = Person("eve", "test")
    assert approving.may_answer(eve, both, policy, asking.ledger([A])).others == {A: ("grace",)}
    assert approving.may_answer(eve, both[::-1], policy, asking.ledger([A])).others == {A: ("grace",)}
    assert approving.may_answer(ADA, both, policy, asking.ledger([A])).may == ()
    assert approving.may_answer(GRACE, both, policy, asking.ledger([A])).may == (A,)
    apart = under(asking, rules=[named, LASTING, REST], approvers=["linus"]).policy
    with pytest.raises(Refused, match="nobody may for all of it"):
        approving._refuse_others(eve, 1, [approving.may_answer(eve, both, apart, asking.ledger([A]))])


def test_a_copy_that_went_since_is_not_shown(asking: Workspace) -> None:
    """What was removed between the reading of the notice and that of the copies is left out."""
    gone = Proposal(9, 1, 999, Ground.REMAKE, "p", asking.now())
    assert approving._read(asking, asking.ledger([A]), [gone]) == []


def test_a_place_that_the_site_knows_no_more_has_no_day(asking: Workspace) -> None:
    """A copy at a location that was taken out of the site is shown, with no day on which it may go, and stays."""
    ledger = asking.ledger([A, B])
    without = dataclasses.replace(ledger, locations={name: place for name, place in ledger.locations.items() if name != "scratch"})
    shown = approving._read(asking, without, ledger.proposals)
    assert [each.goes_from for each in shown] == [None, None]
    assert all("location is not known here" in each.reasons[0] for each in shown)
    assert "before the policy knows a day for it" in approving._sentence(ADA, 1, Answer.YES, shown)


def test_a_ground_that_the_policy_knows_no_more_has_a_day(asking: Workspace) -> None:
    """A notice of another policy is shown and answered, though this one lets nothing go on its ground."""
    copy = asking.catalogue.copies(artifact=asking.current(B, Level.STANDARD).id, location="nas")[0]
    asking.catalogue.propose([(copy.id, Ground.LIFETIME)], asking.policy.digest, asking.now(), notice=1)
    (shown,) = (each for each in approving.told(asking, 1) if each.copy == copy.id)
    assert (shown.ground, shown.goes_from) == (Ground.LIFETIME, asking.now())
    said = approving.answer(asking, ADA, 1, Answer.YES)
    assert "said yes to 3 copies" in said
    assert "before 2030-01-15 12:00 UTC" in said  # the first of their days


class Growing(SqlCatalogue):
    """A catalogue in which a sweep adds to a notice between the look and the answer."""

    late: tuple[int, str] = (0, "")

    def answer(self, notice: int, *args: Any, **kwargs: Any) -> list[Proposal]:
        """Add, then answer."""
        copy, policy = self.late
        if copy:
            self.propose([(copy, Ground.REMAKE)], policy, args[4], notice=notice)
        return super().answer(notice, *args, **kwargs)


def test_what_nobody_looked_at_is_not_approved(asking: Workspace) -> None:
    """A copy that a sweep adds to the notice between the look and the answer has no answer."""
    late = making.make(asking, making.Step("make-masks", A, Level.MASKS, (asking.current(A, Level.STANDARD),)), write(b"m")).artifact
    catalogue = Growing(asking.catalogue.url)
    catalogue.late = (asking.catalogue.copies(artifact=late.id)[0].id, asking.policy.digest)
    approving.answer(dataclasses.replace(asking, catalogue=catalogue), ADA, 1, Answer.YES)
    catalogue.close()
    assert [each.answer for each in approving.told(asking, 1)].count(Answer.YES) == 2
    assert [each.answer for each in approving.told(asking, 1)].count(Answer.NONE) == 1


def test_proposals_that_lie_far_apart_are_all_found(asking: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A notice is whole, however many other copies lie between those that it tells of."""
    monkeypatch.setattr(approving, "PAGE", 1)
    assert [each.dataset for each in approving.told(asking, 1)] == [A, B]


@pytest.mark.parametrize("days", [1, 14, 365])
def test_a_hold_lasts_at_least_as_many_days_as_were_asked_for(ws: Workspace, clock: Any, days: int) -> None:
    """Nothing goes on any of these days, in any time zone; a longer hold prolongs a shorter one."""
    held = approving.prolong(ws, A, days, "a reviewer", "ada")
    assert held.holds(ws.now() + dt.timedelta(days=days))
    assert not held.holds(ws.now() + dt.timedelta(days=days + 2))
    clock.forward(hours=11, minutes=59)
    assert approving.last_day(ws.now(), days) == held.until
    assert [each.reason for each in ws.catalogue.holds(A)] == ["a reviewer"]


def test_a_held_dataset_stays_although_it_was_approved(asking: Workspace, clock: Any) -> None:
    """A hold is stronger than a yes."""
    approving.answer(asking, ADA, 1, Answer.YES)
    approving.prolong(asking, A, 30, "a reviewer", "grace")
    clock.forward(days=8)
    sweeping.sweep(asking, dry_run=False)
    assert on_scratch(asking) == {A}
