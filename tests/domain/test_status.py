"""The catalogue as people read it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from coldchain import __version__, status, transfer
from coldchain.copies import Artifact, CopyState
from coldchain.levels import Level
from coldchain.staleness import Today
from coldchain.workspace import Workspace


def row(ws: Workspace, artifact: Artifact) -> status.Row:
    """The row of an artifact."""
    return next(each for each in status.rows(ws.ledger(), ws.policy, ws.now()) if artifact.digest.startswith(each.digest))


def test_raw_alone_on_the_nas_is_not_protected(ws: Workspace, ingested: Artifact) -> None:
    """One copy of what cannot be made again is not what the policy wants, and the row says what is missing."""
    found = row(ws, ingested)
    assert (found.protected, found.wanted, found.counted) == ("no", "3-2-1", "1-1-0")
    assert "copies: wanted 3, found 1" in found.reasons
    assert found.copies == {"nas": "verified 2030-01-15 12:00"}
    assert found.falls_due is None


def test_three_copies_on_two_media_one_off_site_are(ws: Workspace, ingested: Artifact) -> None:
    """With backup and cold archive the row counts 3-2-1."""
    for place in ("cold", "backup"):
        transfer.deliver(ws, ingested, place)
    found = row(ws, ingested)
    assert (found.protected, found.counted) == ("yes", "3-2-1")


def test_what_can_be_made_again_says_so(ws: Workspace, made: Callable[..., Artifact]) -> None:
    """A corrected level on scratch alone is protected by what it was made from."""
    standard = made(Level.STANDARD, {"a": b"1"}, at="nas")
    corrected = made(Level.CORRECTED, {"b": b"2"}, inputs=(standard,))
    found = row(ws, corrected)
    assert (found.protected, found.wanted) == ("remake", "1-1-0 or made again")
    assert found.falls_due is not None


def test_the_oldest_reading_is_shown(ws: Workspace, clock: Callable[[], object], ingested: Artifact) -> None:
    """The time of reading is that of the copy that was read longest ago."""
    first = ws.now()
    clock.forward(days=3)
    transfer.deliver(ws, ingested, "cold")
    assert row(ws, ingested).read_back == first


def test_doubtful_copies_are_named(ws: Workspace, ingested: Artifact) -> None:
    """A suspect copy shows its state, and counts for nothing."""
    (copy,) = ws.catalogue.copies(artifact=ingested.id)
    ws.catalogue.change_copy(copy.id, state=CopyState.SUSPECT)
    found = row(ws, ingested)
    assert (found.copies, found.counted, found.read_back) == ({"nas": "suspect"}, "0-0-0", None)


def test_one_dataset_can_be_asked_for(ws: Workspace, ingested: Artifact) -> None:
    """Rows can be limited to a dataset."""
    ledger = ws.ledger()
    assert len(status.rows(ledger, ws.policy, ws.now(), ingested.dataset)) == 1
    assert status.rows(ledger, ws.policy, ws.now(), "PRJ-0001/OTHER") == []


def test_a_location_that_the_site_no_longer_names_is_shown(ws: Workspace, ingested: Artifact) -> None:
    """A copy at a place that is not in the site file any more is shown, and counts for nothing."""
    transfer.deliver(ws, ingested, "scratch")
    ledger = ws.ledger()
    fewer = dataclasses.replace(ledger, locations={name: place for name, place in ledger.locations.items() if name != "scratch"})
    (found,) = status.rows(fewer, ws.policy, ws.now())
    assert set(found.copies) == {"nas", "scratch"}
    assert any("the site does not know this location" in reason for reason in found.reasons)


def test_what_is_current_and_what_is_stale_is_marked(ws: Workspace, made: Callable[..., Artifact], clock: Callable[[], object]) -> None:
    """Of two artifacts of a level the newer one is current; what was made of the older one is neither, and says against what."""
    standard = made(Level.STANDARD, {"a": b"1"}, at="nas")
    old = made(Level.MASKS, {"m": b"old"}, inputs=(standard,))
    cells = made(Level.SINGLE_CELL_PROFILES, {"c": b"1"}, inputs=(standard, old))
    clock.forward(hours=1)
    new = made(Level.MASKS, {"m": b"new"}, inputs=(standard, standard))
    known = status.versions(ws.histories(), Today(__version__, {}))
    rows = {row.digest: row for row in status.rows(ws.ledger(), ws.policy, ws.now(), known=known)}
    assert [rows[each.digest[:12]].current for each in (standard, old, cells, new)] == [True, False, False, True]
    assert rows[cells.digest[:12]].stale == (f"input: masks {old.digest[:12]} is not current, {new.digest[:12]} is",)
    assert rows[new.digest[:12]].stale == ()
