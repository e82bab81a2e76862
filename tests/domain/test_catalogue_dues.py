"""What falls due, in the catalogue."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest

from coldchain.copies import Artifact, CopyState
from coldchain.errors import NotInCatalogue
from coldchain.policy import Ground
from coldchain.sql.catalogue import SqlCatalogue

NOW = dt.datetime(2030, 6, 1, 12, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
Stock = Callable[..., Artifact]


def only(catalogue: SqlCatalogue, artifact: Artifact) -> int:
    """Number of an artifact's only copy."""
    (copy,) = catalogue.copies(artifact=artifact.id)
    return copy.id


def test_what_is_due_now_is_found(catalogue: SqlCatalogue, stock: Stock) -> None:
    """A copy that falls due in this moment is due, one a moment later is not, and one without a day never is."""
    stock("aa", dataset="PRJ-0001/THEN", due=NOW)
    stock("bb", dataset="PRJ-0001/LATER", due=NOW + dt.timedelta(microseconds=1))
    stock("cc", dataset="PRJ-0001/NEVER")
    assert catalogue.due_datasets(NOW, {}) == ["PRJ-0001/THEN"]


@pytest.mark.parametrize("state", CopyState)
def test_only_verified_and_trashed_copies_fall_due(catalogue: SqlCatalogue, stock: Stock, state: CopyState) -> None:
    """What is being copied, damaged, lost or gone is not for the sweep, whatever its day says."""
    copy = only(catalogue, stock("aa", due=NOW - DAY))
    catalogue.change_copy(copy, state=state)
    expected = state in {CopyState.VERIFIED, CopyState.TRASHED}
    assert bool(catalogue.due_datasets(NOW, {})) is expected
    assert bool(catalogue.due_datasets(NOW - 2 * DAY, {"nas": NOW})) is expected
    assert bool(catalogue.falling_due(NOW - 2 * DAY, NOW, 9)) is expected
    assert catalogue.count_due(NOW - 2 * DAY, NOW) == ((1, 1000) if expected else (0, 0))


def test_a_place_under_pressure_is_due_earlier(catalogue: SqlCatalogue, stock: Stock) -> None:
    """Copies at such a place are due up to its early day; copies elsewhere are not."""
    stock("aa", dataset="PRJ-0001/HERE", places=["scratch"], due=NOW + 3 * DAY)
    stock("bb", dataset="PRJ-0001/LATER", places=["scratch"], due=NOW + 5 * DAY)
    stock("cc", dataset="PRJ-0001/ELSEWHERE", places=["nas"], due=NOW + 3 * DAY)
    assert catalogue.due_datasets(NOW, {"scratch": NOW + 3 * DAY}) == ["PRJ-0001/HERE"]


def test_what_people_were_told_of_is_looked_at(catalogue: SqlCatalogue, stock: Stock) -> None:
    """A dataset with an open proposal is due until the proposal is closed, whatever its copies' days."""
    copy = only(catalogue, stock("aa"))
    notice = catalogue.propose([(copy, Ground.REMAKE)], "p1", NOW)
    assert catalogue.due_datasets(NOW, {}) == ["PRJ-0001/PLATE-A"]
    catalogue.close_proposals({catalogue.proposals(notice=notice)[0].id: "held"}, NOW)
    assert catalogue.due_datasets(NOW, {}) == []


def test_datasets_come_once_and_oldest_first(catalogue: SqlCatalogue, stock: Stock) -> None:
    """However many of its copies are due, and whichever was due first."""
    stock("aa", dataset="PRJ-0001/PLATE-A", due=NOW, places=["nas", "scratch"])
    stock("bb", dataset="PRJ-0001/PLATE-B", due=NOW - DAY)
    stock("cc", dataset="PRJ-0001/PLATE-A", due=NOW)
    assert catalogue.due_datasets(NOW, {"scratch": NOW}) == ["PRJ-0001/PLATE-A", "PRJ-0001/PLATE-B"]


def test_pressure_gives_the_day_up_to_which_copies_go(catalogue: SqlCatalogue, stock: Stock) -> None:
    """The first to fall due are summed until the bytes are there; copies without a day, elsewhere or in the trash do not count."""
    for number, digest in enumerate(["aa", "bb", "cc"]):
        stock(digest, places=["scratch"], due=NOW + (3 - number) * DAY, size=100)
    stock("dd", places=["scratch"], size=100)
    stock("ee", places=["nas"], due=NOW, size=100)
    trashed = stock("ff", places=["scratch"], due=NOW, size=100)
    catalogue.change_copy(only(catalogue, trashed), state=CopyState.TRASHED)
    wanted = {1: 1, 100: 1, 101: 2, 200: 2, 300: 3, 301: 3}
    assert {size: catalogue.pressure("scratch", size, NOW) for size in wanted} == {size: NOW + days * DAY for size, days in wanted.items()}
    assert catalogue.pressure("cold", 1, NOW) is None


def test_what_is_held_frees_nothing(catalogue: SqlCatalogue, stock: Stock) -> None:
    """A hold that lasts, or that ends today somewhere on Earth, leaves its dataset out of the sum; one that ended does not."""
    stock("aa", dataset="PRJ-0001/PLATE-A", places=["scratch"], due=NOW + DAY, size=100)
    stock("bb", dataset="PRJ-0001/PLATE-B", places=["scratch"], due=NOW + 2 * DAY, size=100)
    held = catalogue.add_hold("PRJ-0001/PLATE-A", "wait", "ada", NOW.date())
    assert catalogue.pressure("scratch", 1, NOW) == NOW + 2 * DAY
    assert catalogue.pressure("scratch", 1, NOW + 2 * DAY) == NOW + DAY
    catalogue.end_hold(held.id)
    assert catalogue.pressure("scratch", 1, NOW) == NOW + DAY


def test_what_falls_due_soon_comes_first_due_first(catalogue: SqlCatalogue, stock: Stock) -> None:
    """After one moment, up to and with another, no more than asked for; and all of it is counted."""
    stock("aa", due=NOW, size=1)
    later, sooner = stock("bb", due=NOW + 2 * DAY, size=10), stock("cc", due=NOW + DAY, size=100)
    stock("dd", due=NOW + 3 * DAY, size=1000)
    assert [copy.artifact for copy in catalogue.falling_due(NOW, NOW + 2 * DAY, 9)] == [sooner.id, later.id]
    assert [copy.artifact for copy in catalogue.falling_due(NOW, NOW + 2 * DAY, 1)] == [sooner.id]
    assert catalogue.count_due(NOW, NOW + 2 * DAY) == (2, 110)


def test_days_are_set_in_one_step(catalogue: SqlCatalogue, stock: Stock) -> None:
    """Each copy gets its own day, or none; an error leaves all as they were."""
    first, second = (only(catalogue, stock(digest, due=NOW)) for digest in ("aa", "bb"))
    catalogue.set_due([])
    catalogue.set_due([(first, NOW + DAY), (second, None)])
    assert [copy.due_at for copy in catalogue.copies()] == [NOW + DAY, None]
    with pytest.raises(Exception, match="without a time zone"):
        catalogue.set_due([(first, None), (second, NOW.replace(tzinfo=None))])
    assert [copy.due_at for copy in catalogue.copies()] == [NOW + DAY, None]


def test_pages_of_copies_leave_out_what_is_removed(catalogue: SqlCatalogue, stock: Stock, gone: Callable[[list[int]], str]) -> None:
    """Each copy that is not removed comes once, by its number."""
    numbers = [only(catalogue, stock(digest)) for digest in ("aa", "bb", "cc", "dd")]
    gone([numbers[1]])
    first = catalogue.copies_page(0, 2)
    assert [copy.id for copy in first] == [numbers[0], numbers[2]]
    assert [copy.id for copy in catalogue.copies_page(first[-1].id, 2)] == [numbers[3]]
    assert catalogue.copies_page(numbers[3], 2) == []


def test_asking_for_an_artifact_is_noted(catalogue: SqlCatalogue, stock: Stock) -> None:
    """The last time counts; an artifact that is not known is told, and nothing is noted then."""
    one, two = stock("aa"), stock("bb")
    catalogue.asked([one.id], NOW - DAY)
    catalogue.asked([one.id], NOW)
    assert catalogue.facts([one.dataset], NOW).asked_for == {one.id: NOW}
    with pytest.raises(NotInCatalogue, match="no such artifact"):
        catalogue.asked([two.id, "PRJ-0001/PLATE-A/raw@none"], NOW)
    assert catalogue.facts([one.dataset], NOW).asked_for == {one.id: NOW}
    catalogue.asked([], NOW)
