"""Notices, answers and overrides, in the catalogue."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from coldchain.copies import Artifact, CopyState
from coldchain.errors import NotInCatalogue, Refused
from coldchain.overrides import Check
from coldchain.policy import Ground
from coldchain.proposals import Answer, Notice, Proposal
from coldchain.sql import tables
from coldchain.sql.catalogue import SqlCatalogue

NOW = dt.datetime(2030, 6, 1, 12, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
DATASET, OTHER = "PRJ-0001/PLATE-A", "PRJ-0001/PLATE-B"
Stock = Callable[..., Artifact]


@pytest.fixture
def copies(catalogue: SqlCatalogue, stock: Stock) -> list[int]:
    """Numbers of three copies: two of one dataset, one of another."""
    stock("aa", size=1)
    stock("bb", size=10)
    stock("cc", dataset=OTHER, size=100)
    return [copy.id for copy in catalogue.copies()]


def tell(catalogue: SqlCatalogue, copies: list[int], *, notice: int | None = None, policy: str = "p1") -> int:
    """Tell of copies on the same ground."""
    return catalogue.propose([(copy, Ground.ORIGINAL_STANDS) for copy in copies], policy, NOW, notice=notice)


# notices


def test_a_notice_tells_of_copies_at_once(catalogue: SqlCatalogue, copies: list[int]) -> None:
    """One notice with a proposal for each copy, on its ground, under its policy, answered by nobody."""
    number = catalogue.propose([(copies[0], Ground.REMAKE), (copies[2], Ground.LIFETIME)], "p1", NOW)
    assert catalogue.notices() == [Notice(number, NOW, "p1", 2, 101, 2)]
    first, second = catalogue.proposals()
    assert first == Proposal(first.id, number, copies[0], Ground.REMAKE, "p1", NOW)
    assert (second.copy, second.ground, second.answer) == (copies[2], Ground.LIFETIME, Answer.NONE)


def test_nobody_is_told_twice_of_the_same(catalogue: SqlCatalogue, copies: list[int]) -> None:
    """A copy with an open proposal is left out; where nothing is left there is no notice; once it is closed it is told of anew."""
    first = tell(catalogue, copies[:1])
    assert tell(catalogue, copies[:1]) == 0
    assert tell(catalogue, []) == 0
    second = tell(catalogue, copies[:2])
    assert [(each.notice, each.copy) for each in catalogue.proposals()] == [(first, copies[0]), (second, copies[1])]
    catalogue.close_proposals({catalogue.proposals()[0].id: "held"}, NOW)
    third = tell(catalogue, copies[:1])
    assert [(notice.id, notice.copies, notice.open) for notice in catalogue.notices()] == [(first, 1, 0), (second, 1, 1), (third, 1, 1)]
    assert [notice.id for notice in catalogue.notices(open_only=True)] == [second, third]


def test_the_database_itself_refuses_a_second_open_proposal(catalogue: SqlCatalogue, copies: list[int]) -> None:
    """However it is written."""
    number = tell(catalogue, copies[:1])
    row = {"notice_id": number, "copy_id": copies[0], "ground": "remake", "told_at": NOW}
    with pytest.raises(sa.exc.IntegrityError), catalogue.writing.begin() as db:
        db.execute(sa.insert(tables.proposal).values(**row))


def test_a_notice_can_grow(catalogue: SqlCatalogue, copies: list[int]) -> None:
    """Later copies of the same sweep join its notice; one under another policy, or a notice that is not there, they cannot join."""
    number = tell(catalogue, copies[:1])
    assert tell(catalogue, copies[:1], notice=number) == number
    assert tell(catalogue, copies, notice=number) == number
    assert catalogue.notices() == [Notice(number, NOW, "p1", 3, 111, 3)]
    for refused in (lambda: tell(catalogue, copies, notice=number, policy="p2"), lambda: tell(catalogue, copies, notice=number + 1)):
        with pytest.raises(NotInCatalogue, match="no such notice"):
            refused()


def test_proposals_are_found_by_notice_and_dataset(catalogue: SqlCatalogue, copies: list[int]) -> None:
    """Only open ones, each filter narrowing."""
    first, second = tell(catalogue, copies[:1]), tell(catalogue, copies[1:])
    assert [each.copy for each in catalogue.proposals(notice=first)] == copies[:1]
    assert [each.copy for each in catalogue.proposals(dataset=DATASET)] == copies[:2]
    assert [each.copy for each in catalogue.proposals(notice=second, dataset=DATASET)] == copies[1:2]
    assert catalogue.proposals(dataset="PRJ-0001/NONE") == []


def test_a_closed_proposal_keeps_when_and_why(catalogue: SqlCatalogue, copies: list[int]) -> None:
    """It is no longer open, and closing it again changes nothing."""
    tell(catalogue, copies)
    one, two, _ = catalogue.proposals()
    catalogue.close_proposals({one.id: "in demand", two.id: "held"}, NOW + DAY)
    catalogue.close_proposals({one.id: "something else"}, NOW + 2 * DAY)
    catalogue.close_proposals({}, NOW)
    assert [each.copy for each in catalogue.proposals()] == copies[2:]
    with catalogue.engine.connect() as db:
        rows = db.execute(sa.select(tables.proposal).order_by(tables.proposal.c.id)).all()
    assert [(row.closed_at, row.closed_why) for row in rows] == [(NOW + DAY, "in demand"), (NOW + DAY, "held"), (None, "")]


def test_a_removal_closes_its_proposals(catalogue: SqlCatalogue, copies: list[int], gone: Callable[[list[int]], str]) -> None:
    """What is gone is no longer asked about; the others stay open."""
    tell(catalogue, copies)
    gone(copies[:2])
    assert [each.copy for each in catalogue.proposals()] == copies[2:]
    assert [copy.state for copy in catalogue.copies()] == [CopyState.REMOVED, CopyState.REMOVED, CopyState.VERIFIED]


# answers


def test_an_answer_is_kept_with_a_receipt(catalogue: SqlCatalogue, copies: list[int]) -> None:
    """Who said what, when and how, and of which copies: in the proposals, and in a receipt that stays."""
    number = tell(catalogue, copies)
    answered = catalogue.answer(number, Answer.YES, "ada", "command line", "go", NOW + DAY)
    assert answered == catalogue.proposals()
    assert {(each.answer, each.who, each.answered_at, each.note) for each in answered} == {(Answer.YES, "ada", NOW + DAY, "go")}
    receipt = catalogue.last_receipt("answer")
    assert receipt
    said = {"who": "ada", "how": "command line", "note": "go", "notice": number, "answer": "yes", "policy": "p1"}
    assert said.items() <= receipt.items()
    assert [each["copy"] for each in receipt["copies"]] == copies
    assert [each["artifact"] for each in receipt["copies"]] == [copy.artifact for copy in catalogue.copies()]


def test_no_for_one_dataset_leaves_the_others(catalogue: SqlCatalogue, copies: list[int]) -> None:
    """Only the datasets that are named are answered for, and no other notice."""
    number = tell(catalogue, [copies[0], copies[2]])
    tell(catalogue, [copies[1]])
    assert [each.copy for each in catalogue.answer(number, Answer.NO, "ada", "here", "", NOW, datasets=[DATASET])] == [copies[0]]
    assert {each.copy: each.answer for each in catalogue.proposals()} == {
        copies[0]: Answer.NO,
        copies[1]: Answer.NONE,
        copies[2]: Answer.NONE,
    }


def test_the_last_answer_counts(catalogue: SqlCatalogue, copies: list[int]) -> None:
    """A person may think again, even in the same moment; every answer keeps its receipt."""
    number = tell(catalogue, copies)
    for answer in (Answer.YES, Answer.NO, Answer.YES, Answer.NO):
        catalogue.answer(number, answer, "ada", "here", "", NOW)
    assert {each.answer for each in catalogue.proposals()} == {Answer.NO}
    assert [each["answer"] for each in catalogue.receipts("answer")] == ["yes", "no", "yes", "no"]


def test_an_answer_to_nothing_is_refused(catalogue: SqlCatalogue, copies: list[int]) -> None:
    """A notice that is not there, one that is closed, or one dataset of which nothing is open: nothing is answered at all."""
    number, closed = tell(catalogue, copies[:2]), tell(catalogue, copies[2:])
    catalogue.close_proposals({catalogue.proposals(notice=closed)[0].id: "held"}, NOW)
    for notice, datasets in ((99, []), (closed, []), (number, [DATASET, OTHER]), (number, ["PRJ-0001/NONE"])):
        with pytest.raises(NotInCatalogue):
            catalogue.answer(notice, Answer.YES, "ada", "here", "", NOW, datasets=datasets)
    assert {each.answer for each in catalogue.proposals()} == {Answer.NONE}
    assert catalogue.receipts("answer") == []


def test_a_closed_proposal_is_not_answered(catalogue: SqlCatalogue, copies: list[int]) -> None:
    """An answer reaches only what is open."""
    number = tell(catalogue, copies)
    catalogue.close_proposals({catalogue.proposals()[0].id: "held"}, NOW)
    assert [each.copy for each in catalogue.answer(number, Answer.YES, "ada", "here", "", NOW)] == copies[1:]
    with catalogue.engine.connect() as db:
        assert db.scalar(sa.select(tables.proposal.c.answer).where(tables.proposal.c.copy_id == copies[0])) == "none"


# overrides


def test_an_override_is_asked_for_approved_and_ended(catalogue: SqlCatalogue) -> None:
    """Each step is kept, with a receipt that says who did what."""
    asked = catalogue.add_override(DATASET, Check.OFF_SITE, "the line is down", "ada", dt.date(2030, 7, 1), NOW)
    assert catalogue.overrides() == [asked]
    assert (asked.check, asked.approved_by) == (Check.OFF_SITE, "")
    approved = catalogue.approve_override(asked.id, "bob", "command line", NOW + DAY)
    assert (approved.approved_by, approved.approved_at) == ("bob", NOW + DAY)
    assert catalogue.overrides(DATASET) == [approved]
    assert catalogue.overrides(OTHER) == []
    catalogue.end_override(asked.id, "eve", NOW + 2 * DAY)
    catalogue.end_override(asked.id, "eve", NOW + 3 * DAY)
    assert catalogue.overrides() == []
    receipts = catalogue.receipts("override")
    assert [(each["what"], each["who"], each["check"], each["override"]) for each in receipts] == [
        ("asked for", "ada", "off_site", asked.id),
        ("approved", "bob", "off_site", asked.id),
        ("ended", "eve", "off_site", asked.id),
    ]


def test_an_override_is_approved_once(catalogue: SqlCatalogue) -> None:
    """Neither twice, nor after its end; and nothing is changed by trying."""
    twice, ended = (catalogue.add_override(DATASET, Check.COPIES, "r", "ada", dt.date(2030, 7, 1), NOW) for _ in range(2))
    catalogue.approve_override(twice.id, "bob", "here", NOW)
    catalogue.end_override(ended.id)
    for override in (twice, ended):
        with pytest.raises(Refused, match="any more"):
            catalogue.approve_override(override.id, "eve", "here", NOW)
    assert [(each.id, each.approved_by) for each in catalogue.overrides()] == [(twice.id, "bob")]


def test_an_override_that_is_not_there_is_told(catalogue: SqlCatalogue) -> None:
    """Of an unknown dataset, or with an unknown number."""
    with pytest.raises(NotInCatalogue, match="no such dataset"):
        catalogue.add_override("PRJ-0001/NONE", Check.COPIES, "r", "ada", dt.date(2030, 7, 1))
    with pytest.raises(NotInCatalogue, match="no such override"):
        catalogue.approve_override(99, "bob", "here", NOW)
    with pytest.raises(NotInCatalogue, match="no such override"):
        catalogue.end_override(99)
    assert catalogue.receipts("override") == []
