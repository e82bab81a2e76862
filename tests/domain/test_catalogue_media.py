"""Media that are taken away, in the catalogue: where each is, where it was, and who is told."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

from coldchain.copies import Artifact
from coldchain.media import State, Whereabouts
from coldchain.sql.catalogue import SqlCatalogue

NOW = dt.datetime(2030, 6, 1, 12, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
Stock = Callable[..., Artifact]

IN = Whereabouts("disk07", State.IN, NOW, who="ada@lab", seen_at=NOW)
SHELF = Whereabouts("disk07", State.SHELF, NOW + DAY, "room 3", "", "bob@lab", NOW + DAY)
OUT = Whereabouts("disk07", State.OUT, NOW + 2 * DAY, "", "grace", "bob@lab", NOW + DAY)


def test_where_a_medium_is_now_is_what_was_said_last(catalogue: SqlCatalogue) -> None:
    """Each for itself, to the last field; nothing is known of others."""
    assert catalogue.media() == {}
    other = Whereabouts("tape01", State.LOST, NOW)
    for found in (IN, other, SHELF, OUT):
        catalogue.save_medium(found)
    assert catalogue.media() == {"disk07": OUT, "tape01": other}
    assert list(catalogue.media()) == ["disk07", "tape01"]


def test_receipts_keep_where_it_was(catalogue: SqlCatalogue) -> None:
    """Each change with what was before, by whom and when; that it was seen is no change."""
    catalogue.save_medium(IN)
    catalogue.save_medium(SHELF)
    catalogue.seen_medium("disk07", NOW + 2 * DAY)
    first, second = catalogue.receipts("medium")
    assert first["before"] is None
    assert (second["before"]["state"], second["after"]["state"], second["after"]["place"]) == ("in", "shelf", "room 3")
    assert (second["who"], second["at"], second["follows"]) == ("bob@lab", (NOW + DAY).isoformat(), first["digest"])


def test_that_it_was_seen_changes_nothing_else(catalogue: SqlCatalogue) -> None:
    """One that nobody knows is not made known by it."""
    catalogue.save_medium(SHELF)
    catalogue.seen_medium("disk07", NOW + 5 * DAY)
    catalogue.seen_medium("tape01", NOW)
    assert catalogue.media() == {"disk07": Whereabouts("disk07", State.SHELF, SHELF.since, "room 3", "", "bob@lab", NOW + 5 * DAY)}


def test_facts_tell_it(catalogue: SqlCatalogue, stock: Stock) -> None:
    """Of every medium, in the moment of all that is told."""
    artifact = stock("aa", places=["nas", "disk07"])
    catalogue.save_medium(OUT)
    assert catalogue.facts([artifact.dataset], NOW).media == {"disk07": OUT}


def test_what_stands_on_it_is_looked_at_again(catalogue: SqlCatalogue, stock: Stock) -> None:
    """With what is made from that; not what stands elsewhere only, and not because it was seen."""
    on_it = stock("aa", dataset="PRJ-0001/ON-IT", places=["nas", "disk07"])
    stock("bb", dataset="PRJ-0001/FROM-IT", inputs=[on_it])
    stock("cc", dataset="PRJ-0001/ELSEWHERE")
    catalogue.to_review(NOW, 9)
    catalogue.save_reviews([(artifact.id, None, None) for artifact in catalogue.artifacts()])
    assert catalogue.to_review(NOW, 9) == []
    catalogue.save_medium(OUT)
    catalogue.seen_medium("disk07", NOW)
    assert catalogue.to_review(NOW, 9) == ["PRJ-0001/ON-IT", "PRJ-0001/FROM-IT"]
