"""The standing review in the catalogue: what has to be looked at again, and what is short."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest

from coldchain.copies import Artifact, CopyState
from coldchain.dataset import Project
from coldchain.overrides import Check
from coldchain.sql.catalogue import SqlCatalogue

NOW = dt.datetime(2030, 6, 1, 12, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
LATER = NOW + 30 * DAY
A, B = "PRJ-0001/PLATE-A", "PRJ-0001/PLATE-B"
Stock = Callable[..., Artifact]


def reviewed(catalogue: SqlCatalogue, *artifacts: Artifact, short: tuple[str, ...] | None = None) -> None:
    """Look at everything that is due, and find the same of each of these artifacts."""
    while names := catalogue.to_review(NOW, 9):
        catalogue.save_reviews([(each.id, LATER, short) for each in artifacts if each.dataset in names])


def only(catalogue: SqlCatalogue, artifact: Artifact) -> int:
    """Number of an artifact's only copy."""
    (copy,) = catalogue.copies(artifact=artifact.id)
    return copy.id


def test_what_is_new_is_looked_at_once(catalogue: SqlCatalogue, stock: Stock) -> None:
    """A new artifact has to be looked at; then not until its next day has come."""
    artifact = stock("aa")
    assert catalogue.to_review(NOW, 9) == [A]
    catalogue.save_reviews([(artifact.id, LATER, None)])
    assert catalogue.to_review(LATER - dt.timedelta(microseconds=1), 9) == []
    assert catalogue.to_review(LATER, 9) == [A]
    catalogue.save_reviews([(artifact.id, None, None)])
    assert catalogue.to_review(NOW.replace(year=9000), 9) == []


def test_a_review_that_is_cut_off_is_done_again(catalogue: SqlCatalogue, stock: Stock) -> None:
    """What was taken and not saved is taken again."""
    stock("aa")
    assert catalogue.to_review(NOW, 9) == [A]
    assert catalogue.to_review(NOW, 9) == [A]


def test_no_more_datasets_than_wanted_longest_due_first(catalogue: SqlCatalogue, stock: Stock) -> None:
    """However many of their artifacts are due."""
    late = [stock("aa"), stock("bb")]
    early = stock("cc", dataset=B)
    reviewed(catalogue, *late, early)
    catalogue.review_all()
    catalogue.to_review(NOW, 9)
    catalogue.save_reviews([*((each.id, NOW, None) for each in late), (early.id, NOW - DAY, None)])
    assert catalogue.to_review(NOW, 1) == [B]
    catalogue.save_reviews([(early.id, LATER, None)])
    assert catalogue.to_review(NOW, 1) == [A]


@pytest.mark.parametrize("state", sorted(set(CopyState) - {CopyState.VERIFIED}))
def test_a_change_of_state_has_it_looked_at_again(catalogue: SqlCatalogue, stock: Stock, state: CopyState) -> None:
    """The artifact of the copy, and no other."""
    artifact, other = stock("aa"), stock("bb", dataset=B)
    reviewed(catalogue, artifact, other)
    catalogue.change_copy(only(catalogue, artifact), state=state)
    assert catalogue.to_review(NOW, 9) == [A]


def test_a_new_reading_does_not(catalogue: SqlCatalogue, stock: Stock) -> None:
    """A copy that stood and was read again stands as it did."""
    artifact = stock("aa")
    reviewed(catalogue, artifact)
    catalogue.change_copy(only(catalogue, artifact), state=CopyState.VERIFIED, verified_at=NOW, due_at=NOW, detail="x")
    assert catalogue.to_review(NOW, 9) == []


def test_a_new_reading_of_what_was_short_does(catalogue: SqlCatalogue, stock: Stock) -> None:
    """An old reading may have been what it lacked."""
    artifact = stock("aa")
    reviewed(catalogue, artifact, short=("copies: wanted 2, found 1",))
    catalogue.change_copy(only(catalogue, artifact), verified_at=NOW)
    assert catalogue.to_review(NOW, 9) == [A]


def test_what_is_made_from_it_is_looked_at_too(catalogue: SqlCatalogue, stock: Stock) -> None:
    """Whatever leans on being made again, in any dataset, has lost that when its input is lost."""
    raw = stock("aa")
    middle = stock("bb", dataset=B, inputs=[raw])
    last = stock("cc", dataset="PRJ-0001/PLATE-C", inputs=[middle])
    reviewed(catalogue, raw, middle, last)
    catalogue.change_copy(only(catalogue, middle), state=CopyState.LOST)
    assert catalogue.to_review(NOW, 9) == [B, "PRJ-0001/PLATE-C"]


def test_a_removal_has_it_looked_at_again(catalogue: SqlCatalogue, stock: Stock, gone: Callable[[list[int]], str]) -> None:
    """A removal is a change of state."""
    artifact = stock("aa")
    reviewed(catalogue, artifact)
    gone([only(catalogue, artifact)])
    assert catalogue.to_review(NOW, 9) == [A]


def test_a_change_between_reading_and_saving_is_not_lost(catalogue: SqlCatalogue, stock: Stock) -> None:
    """What a review decided before a change is not saved, and the artifact is looked at again."""
    artifact, other = stock("aa"), stock("bb")
    catalogue.to_review(NOW, 9)
    catalogue.change_copy(only(catalogue, artifact), state=CopyState.LOST)
    catalogue.save_reviews([(artifact.id, LATER, None), (other.id, LATER, ("x",))])
    assert catalogue.to_review(NOW, 9) == [A]
    assert catalogue.shortfalls(9) == [(other.id, ("x",))]


def test_of_two_reviews_at_once_the_one_that_came_last_saves(catalogue: SqlCatalogue, stock: Stock) -> None:
    """The first one's reading may be older than a change that the second one saw."""
    artifact = stock("aa")
    other = SqlCatalogue(catalogue.url)
    catalogue.to_review(NOW, 9)
    catalogue.change_copy(only(catalogue, artifact), state=CopyState.LOST)
    other.to_review(NOW, 9)
    catalogue.save_reviews([(artifact.id, LATER, None)])
    assert catalogue.to_review(NOW, 9) == [A]
    other.to_review(NOW, 9)
    other.save_reviews([(artifact.id, LATER, ("lost",))])
    catalogue.save_reviews([(artifact.id, LATER, None)])
    assert catalogue.shortfalls(9) == [(artifact.id, ("lost",))]
    other.close()


def test_what_people_decide_has_it_looked_at_again(catalogue: SqlCatalogue, stock: Stock) -> None:
    """An override that begins or ends, and a change of the project, in its own datasets."""
    artifact, other = stock("aa"), stock("bb", dataset="PRJ-0002/PLATE")
    reviewed(catalogue, artifact, other)
    override = catalogue.add_override(A, Check.COPIES, "r", "ada", NOW.date(), NOW)
    assert catalogue.to_review(NOW, 9) == []
    for change in (
        lambda: catalogue.approve_override(override.id, "bob", "here", NOW),
        lambda: catalogue.end_override(override.id),
        lambda: catalogue.save_project(Project(id="PRJ-0001", retention_class="other")),
    ):
        change()
        assert catalogue.to_review(NOW, 9) == [A]
        reviewed(catalogue, artifact, other)
    catalogue.save_project(catalogue.project("PRJ-0001"))
    assert catalogue.to_review(NOW, 9) == [], "a project that is saved as it was"


def test_everything_can_be_looked_at_again(catalogue: SqlCatalogue, stock: Stock) -> None:
    """After a change of the policy."""
    artifacts = [stock("aa"), stock("bb", dataset=B)]
    reviewed(catalogue, *artifacts)
    assert catalogue.to_review(NOW, 9) == []
    catalogue.review_all()
    assert catalogue.to_review(NOW, 9) == [A, B]


def test_what_is_short_is_told_and_counted(catalogue: SqlCatalogue, stock: Stock) -> None:
    """Oldest first, no more than asked for, with reasons; and not any more once it stands."""
    one, two, three = stock("aa"), stock("bb"), stock("cc", dataset=B)
    reviewed(catalogue, one, two, three)
    assert (catalogue.shortfalls(9), catalogue.count_short()) == ([], 0)
    catalogue.review_all()
    catalogue.to_review(NOW, 9)
    catalogue.save_reviews([(one.id, LATER, ("a", "b")), (two.id, LATER, None), (three.id, LATER, ("c",))])
    assert catalogue.shortfalls(9) == [(one.id, ("a", "b")), (three.id, ("c",))]
    assert catalogue.shortfalls(1) == [(one.id, ("a", "b"))]
    assert catalogue.count_short() == 2
    catalogue.review_all()
    reviewed(catalogue, one, two, three)
    assert (catalogue.shortfalls(9), catalogue.count_short()) == ([], 0)


def test_a_review_of_what_is_not_there_is_left_out(catalogue: SqlCatalogue, stock: Stock) -> None:
    """The others are saved."""
    artifact = stock("aa")
    catalogue.to_review(NOW, 9)
    catalogue.save_reviews([("PRJ-0001/PLATE-A/raw@none", LATER, None), (artifact.id, LATER, None)])
    catalogue.save_reviews([])
    assert catalogue.to_review(NOW, 9) == []
