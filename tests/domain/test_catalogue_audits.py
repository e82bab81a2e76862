"""Audits in the catalogue: what is to be read, budgets, brakes, what was set aside."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest

from coldchain.copies import Artifact, CopyState
from coldchain.errors import NotInCatalogue, Refused
from coldchain.sql.catalogue import SqlCatalogue

NOW = dt.datetime(2030, 6, 1, 12, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
TICK = dt.timedelta(microseconds=1)
Stock = Callable[..., Artifact]


def test_what_was_read_longest_ago_is_read_first(catalogue: SqlCatalogue, stock: Stock) -> None:
    """Before it what nobody knows when it was read: never, or in the future. What was read in time is left out."""
    named = {
        "in time": stock("aa", read=NOW - 30 * DAY),
        "late": stock("bb", read=NOW - 30 * DAY - TICK),
        "later": stock("cc", read=NOW - 40 * DAY),
        "never": stock("dd", read=None),
        "future": stock("ee", read=NOW + TICK),
        "now": stock("ff", read=NOW),
    }
    by_id = {artifact.id: name for name, artifact in named.items()}

    def due(limit: int, before: dt.datetime = NOW - 30 * DAY) -> list[str]:
        return [by_id[copy.artifact] for copy in catalogue.audit_due("nas", before, limit, NOW)]

    assert due(9) == ["never", "future", "later", "late"]
    assert due(3) == ["never", "future", "later"]
    assert due(1) == ["never"]
    assert due(9, before=NOW + DAY) == ["never", "future", "later", "late", "in time", "now"]


@pytest.mark.parametrize("state", sorted(set(CopyState) - {CopyState.VERIFIED}))
def test_only_verified_copies_here_are_read(catalogue: SqlCatalogue, stock: Stock, state: CopyState) -> None:
    """Neither those at another place, nor those in another state."""
    stock("aa", places=["cold"], read=None)
    stock("bb", read=None)
    catalogue.change_copy(catalogue.copies(location="nas")[0].id, state=state)
    assert catalogue.audit_due("nas", NOW, 9, NOW) == []


def test_a_night_adds_up(catalogue: SqlCatalogue) -> None:
    """Over all places, and each night for itself."""
    assert catalogue.audited(NOW.date()) == 0
    catalogue.add_audited(NOW.date(), "nas", 1, 5_000_000_000)
    catalogue.add_audited(NOW.date(), "nas", 2, 3)
    catalogue.add_audited(NOW.date(), "cold", 1, 4)
    catalogue.add_audited(NOW.date() + DAY, "cold", 1, 100)
    assert catalogue.audited(NOW.date()) == 5_000_000_007


def test_a_brake_holds_until_a_person_releases_it(catalogue: SqlCatalogue) -> None:
    """The first reason stays; setting and releasing leave a receipt each; it can be set again."""
    catalogue.set_brake("nas", "10 of 10 failed", NOW)
    catalogue.set_brake("nas", "another", NOW)
    catalogue.set_brake("cold", "gone", NOW)
    assert catalogue.brakes() == {"nas": "10 of 10 failed", "cold": "gone"}
    catalogue.release_brake("nas", "ada", "remounted", NOW)
    assert catalogue.brakes() == {"cold": "gone"}
    catalogue.set_brake("nas", "10 of 10 failed", NOW)
    catalogue.release_brake("nas", "ada", "remounted", NOW)
    told = [(each["what"], each["location"], each["why"]) for each in catalogue.receipts("brake")]
    stop, release = ("set", "nas", "10 of 10 failed"), ("released", "nas", "remounted")
    assert told == [stop, ("set", "cold", "gone"), release, stop, release]
    assert catalogue.receipts("brake")[2]["who"] == "ada"


def test_a_brake_that_is_not_set_cannot_be_released(catalogue: SqlCatalogue) -> None:
    """And leaves no receipt."""
    with pytest.raises(NotInCatalogue, match="not stopped"):
        catalogue.release_brake("nas", "ada", "r", NOW)
    assert catalogue.receipts() == []


@pytest.mark.parametrize("state", [CopyState.SUSPECT, CopyState.LOST])
def test_what_is_set_aside_can_be_made_anew(catalogue: SqlCatalogue, stock: Stock, state: CopyState) -> None:
    """In one step the bytes have their place aside, and the copy is one that is being put in place."""
    artifact = stock("aa", due=NOW)
    copy = catalogue.copies()[0]
    catalogue.change_copy(copy.id, state=state, detail="a.tif differs")
    catalogue.set_aside(copy.id, ".coldchain/aside/1-1", "a.tif differs", NOW)
    (kept,) = catalogue.asides()
    assert (kept.copy, kept.artifact, kept.location, kept.path) == (copy.id, artifact.id, "nas", ".coldchain/aside/1-1")
    assert (kept.why, kept.at) == ("a.tif differs", NOW)
    (found,) = catalogue.copies()
    assert (found.state, found.verified_at, found.due_at, found.detail) == (CopyState.COPYING, None, None, "")
    assert catalogue.asides("nas") == [kept]
    assert catalogue.asides("cold") == []


@pytest.mark.parametrize("state", sorted(set(CopyState) - {CopyState.SUSPECT, CopyState.LOST}))
def test_only_a_damaged_copy_is_set_aside(catalogue: SqlCatalogue, stock: Stock, state: CopyState) -> None:
    """A copy that counts, or waits in the trash, stays what it is."""
    stock("aa")
    copy = catalogue.change_copy(catalogue.copies()[0].id, state=state)
    with pytest.raises(Refused, match="damaged"):
        catalogue.set_aside(copy.id, "p", "w", NOW)
    assert catalogue.copies() == [copy]
    assert catalogue.asides() == []
    with pytest.raises(NotInCatalogue, match="no such copy"):
        catalogue.set_aside(99, "p", "w", NOW)
