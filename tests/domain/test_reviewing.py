"""Reviewing: what an artifact lacks is noted, and when it has to be looked at again though nothing changes."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from coldchain import making, reviewing, transfer
from coldchain.copies import Artifact, CopyState
from coldchain.dataset import Dataset
from coldchain.levels import Level
from coldchain.overrides import Check
from coldchain.policy import Policy
from coldchain.protection import release
from coldchain.sql import tables
from coldchain.workspace import Workspace

DATASET, OTHER = "PRJ-0001/PLATE-A", "PRJ-0001/PLATE-B"
SECOND, DAY = dt.timedelta(seconds=1), dt.timedelta(days=1)
WINDOW = 90 * DAY + SECOND
"""After so long a reading does not count any more, and the copy is looked at."""


def under(ws: Workspace, **of_masks: Any) -> Workspace:
    """The same site under a policy that asks for two copies of what cannot be made again, and for one of the rest."""
    wanted = {"copies": 1, "verified_within_days": 90}
    lasting = {"levels": ["raw", "release"], "wanted": wanted | {"copies": 2}}
    rest = {"levels": sorted(set(Level) - {Level.RAW, Level.RELEASE, Level.MASKS}), "wanted": wanted}
    rules = [lasting, {"levels": ["masks"], "wanted": wanted} | of_masks, rest]
    return dataclasses.replace(ws, policy=Policy.model_validate({"name": "reviewed", "version": 1, "rules": rules}))


def next_look(ws: Workspace, artifact: Artifact) -> dt.datetime | None:
    """When an artifact has to be looked at again, as the catalogue has it."""
    with ws.catalogue.engine.connect() as db:
        return db.scalar(sa.select(tables.artifact.c.check_at).where(tables.artifact.c.digest == artifact.digest))


@pytest.fixture(autouse=True)
def released(ws: Workspace) -> Iterator[None]:
    """Lift write protection below the site at the end."""
    yield
    release(ws.site.path("."))


class TestWhatItNotes:
    """How many were looked at, and what they lack."""

    def test_what_is_short_is_noted_and_looked_at_once(self, ws: Workspace, ingested: Artifact) -> None:
        """An artifact without its copies is noted as short until they stand; a second review looks at nothing."""
        space = under(ws)
        assert reviewing.review(space) == 1
        ((name, reasons),) = ws.catalogue.shortfalls(9)
        assert (name, "copies: wanted 2, found 1" in reasons) == (ingested.id, True)
        assert reviewing.review(space) == 0
        transfer.deliver(ws, ingested, "backup")
        assert reviewing.review(space) == 1
        assert ws.catalogue.shortfalls(9) == []

    def test_only_what_has_to_be_looked_at_is(self, ws: Workspace, ingested: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
        """What another dataset is made from helps to judge it, and is not looked at for that; one dataset at a time finds the same."""

        def work(_inputs: list[Path], target: Path) -> making.Outcome:
            (target / "m").write_bytes(b"masks")
            return making.Outcome()

        monkeypatch.setattr(reviewing, "DATASETS", 1)
        ws.catalogue.save_dataset(Dataset(project="PRJ-0001", name="PLATE-B", pattern="plain", channels={1: "DNA"}))
        other = making.make(ws, making.Step("other", OTHER, Level.MASKS, (ingested,)), work, at="nas").artifact
        space = under(ws)
        assert reviewing.review(space) == 2
        ws.catalogue.change_copy(ws.catalogue.copies(artifact=other.id)[0].id, state=CopyState.SUSPECT)
        assert reviewing.review(space) == 1
        assert [name for name, _reasons in ws.catalogue.shortfalls(9)] == [ingested.id, other.id]


class TestTheNextLook:
    """When an artifact has to be looked at again though nothing changes."""

    def test_when_the_oldest_reading_grows_too_old(self, ws: Workspace, ingested: Artifact) -> None:
        """A second after the first reading that stops counting, whatever others there are."""
        read = ws.catalogue.copies(artifact=ingested.id)[0].verified_at
        ws.now.forward(days=10)
        transfer.deliver(ws, ingested, "backup")
        reviewing.review(under(ws))
        assert next_look(ws, ingested) == read + WINDOW

    def test_what_is_too_old_already_is_not_waited_for(self, ws: Workspace, ingested: Artifact) -> None:
        """Only a day that is still to come counts; where there is none it is not looked at again by itself."""
        ws.now.forward(days=10)
        transfer.deliver(ws, ingested, "backup")
        ws.now.at += WINDOW - 10 * DAY
        reviewing.review(under(ws))
        assert next_look(ws, ingested) == ws.now() + 10 * DAY
        ws.now.forward(days=20)
        assert reviewing.review(under(ws)) == 1
        assert next_look(ws, ingested) is None

    def test_a_copy_that_was_never_read_has_no_day(self, ws: Workspace, ingested: Artifact) -> None:
        """One that is being put in place does not count, and does not stop the review."""
        ws.catalogue.start_copy(ingested.id, "backup", ingested.folder, ws.now())
        assert reviewing.review(under(ws)) == 1
        assert next_look(ws, ingested) == ws.now() + WINDOW

    def test_a_place_that_is_away_is_asked_for_every_day(self, ws: Workspace, ingested: Artifact) -> None:
        """Its copies do not count while it is away, and nobody tells when it comes back; where all are there, nothing is asked."""
        transfer.deliver(ws, ingested, "backup")
        root = ws.site.path("backup")
        root.rename(root.with_name("away"))
        reviewing.review(under(ws))
        assert next_look(ws, ingested) == ws.now() + DAY
        root.with_name("away").rename(root)
        ws.now.forward(days=1)
        assert reviewing.review(under(ws)) == 1
        assert next_look(ws, ingested) == ws.now() - DAY + WINDOW

    def test_when_its_lifetime_ends(self, ws: Workspace, made: Callable[..., Artifact]) -> None:
        """From then on nothing is missed of it: it is looked at on that day, and at that very moment once."""
        masks = made(Level.MASKS, {"m": b"masks"}, at="nas")
        space = under(ws, lifetime={"years": 1, "notice_days": 0, "grace_days": 0})
        reviewing.review(space)
        assert next_look(ws, masks) == masks.made_at + WINDOW
        ws.now.at = masks.made_at + WINDOW
        reviewing.review(space)
        ends = masks.made_at.replace(year=masks.made_at.year + 1)
        assert next_look(ws, masks) == ends
        ws.now.at = ends
        assert reviewing.review(space) == 2
        assert next_look(ws, masks) is None

    def test_the_morning_after_an_override(self, ws: Workspace, ingested: Artifact) -> None:
        """From then on the check holds again; one that holds to the end of the calendar has no morning after."""
        today = ws.now().date()
        for until in (today + 2 * DAY, dt.date.max):
            override = ws.catalogue.add_override(DATASET, Check.COPIES, "moving house", "ada", until, ws.now())
            ws.catalogue.approve_override(override.id, "bob", "command line", ws.now())
        reviewing.review(under(ws))
        assert next_look(ws, ingested) == dt.datetime.combine(today + 3 * DAY, dt.time(), dt.UTC)
