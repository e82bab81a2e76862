"""Bringing an older catalogue up to date: what was there is there, and what is new is filled from it."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from coldchain.choices import Choice
from coldchain.copies import CopyState, Total
from coldchain.errors import ColdchainError
from coldchain.levels import Level
from coldchain.sql import database, tables
from coldchain.sql.catalogue import SqlCatalogue
from coldchain.sql.database import open_engine

NOW = dt.datetime(2030, 6, 1, 12, tzinfo=dt.UTC)
THEN = dt.datetime(2029, 1, 1)  # noqa: DTZ001 - as the database keeps it
DATASET = "PRJ-0001/PLATE-A"
FAN = 1200  # more activities than the migration takes at a time


def digest(number: int) -> str:
    """A digest."""
    return f"{number:064}"


def row(db: sa.Connection, table: sa.Table, **values: Any) -> None:
    """Insert a row into a table as it was."""
    db.execute(sa.insert(table).values(**values))


@pytest.fixture
def old(url: str) -> str:
    """URL of a catalogue of the first version: raw data and twelve hundred artifacts made from it; one copy in the trash, one removed."""
    engine = open_engine(url)
    config = Config()
    config.set_main_option("script_location", str(Path(database.__file__).parent / "migrations"))
    config.attributes["engine"] = engine
    command.upgrade(config, "0001")
    raw = f"{DATASET}/raw@{digest(1)}"
    about: dict[str, Any] = {"name": "correct", "parameters": {}, "code_version": "0", "lock_digest": "l", "who": "ada"}
    with engine.execution_options(coldchain_writes=True).begin() as db:
        was = sa.MetaData()
        was.reflect(db)
        row(db, was.tables["project"], id=1, name="PRJ-0001", body={"id": "PRJ-0001"})
        body = {"project": "PRJ-0001", "name": "PLATE-A", "pattern": "plain", "channels": {"1": "DNA"}}
        row(db, was.tables["dataset"], id=1, project_id=1, name=DATASET, body=body)
        for key in range(1, FAN + 1):
            inputs = [] if key == 1 else [raw, raw, "a disk", f"{DATASET}/raw@none", "PRJ-0009/NONE/raw@x"]
            said = about | {"inputs": inputs}
            row(db, was.tables["activity"], id=f"a{key}", fingerprint=f"f{key}", started_at=THEN, ended_at=THEN, body=said)
            level = "raw" if key == 1 else "masks"
            made = {"level": level, "digest": digest(key), "files": 1, "bytes": 5_000_000_000, "activity_id": f"a{key}", "made_at": THEN}
            row(db, was.tables["artifact"], id=key, dataset_id=1, **made)
        for key, (artifact, place, state) in enumerate([(1, "nas", "verified"), (1, "cold", "verified"), (2, "nas", "trashed")], 1):
            row(db, was.tables["copy"], id=key, artifact_id=artifact, location=place, path="p", state=state, created_at=THEN, due_at=THEN)
        row(db, was.tables["copy"], id=4, artifact_id=3, location="nas", path="p", state="removed", created_at=THEN)
        receipt = json.dumps({"kind": "removal", "who": "ada"})
        row(
            db, was.tables["receipt"], kind="removal", at=THEN, who="ada", body=receipt, digest=hashlib.sha256(receipt.encode()).hexdigest()
        )
    engine.dispose()
    return url


def test_an_older_catalogue_is_brought_up_to_date(old: str) -> None:
    """Totals, inputs and reviews are what they would be, had they been kept from the beginning; nothing that was there is changed."""
    catalogue = SqlCatalogue(old)
    assert catalogue.totals() == [
        Total("cold", Level.RAW, CopyState.VERIFIED, 1, 5_000_000_000),
        Total("nas", Level.MASKS, CopyState.TRASHED, 1, 5_000_000_000),
        Total("nas", Level.RAW, CopyState.VERIFIED, 1, 5_000_000_000),
    ]
    with catalogue.engine.connect() as db:
        made_from = db.execute(sa.select(tables.input_)).all()
    assert sorted(made_from) == sorted((f"a{key}", 1) for key in range(2, FAN + 1))
    assert len(catalogue.facts([DATASET], NOW).artifacts) == FAN
    assert catalogue.to_review(NOW, 9) == [DATASET]
    assert catalogue.due_datasets(NOW, {}) == [DATASET]
    assert [copy.state for copy in catalogue.copies()] == ["verified", "verified", "trashed", "removed"]
    assert [receipt["who"] for receipt in catalogue.receipts("removal")] == ["ada"]
    assert catalogue.choices() == [], "nobody chose before; the newest was current"
    newest = catalogue.artifacts(DATASET)[-1]
    catalogue.choose([Choice(DATASET, newest.level, newest.id, "ada", "why", NOW)], "test")
    assert [choice.artifact for choice in catalogue.choices(DATASET)] == [newest.id]
    catalogue.close()


def test_what_was_received_before_is_sealed_too(old: str) -> None:
    """A receipt of the older version cannot be changed any more."""
    catalogue = SqlCatalogue(old)
    with pytest.raises(sa.exc.IntegrityError, match="never changed"), catalogue.writing.begin() as db:
        db.execute(sa.text("update receipt set who = 'eve'"))
    catalogue.close()


def test_a_migration_that_is_cut_off_leaves_the_catalogue_as_it_was(old: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is one step; the next opening takes it."""

    def cut_off(_db: object, _cursor: object, statement: str, *_rest: object) -> None:
        if "receipt_stays" in statement:  # the last thing that the migration does
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        opened = database.open_engine

        def listened(url: str) -> sa.Engine:
            engine = opened(url)
            sa.event.listen(engine, "before_cursor_execute", cut_off)
            return engine

        patched.setattr(database, "open_engine", listened)
        with pytest.raises((KeyboardInterrupt, ColdchainError)):
            SqlCatalogue(old)
    engine = open_engine(old)
    with engine.connect() as db:
        assert db.scalar(sa.text("select version_num from alembic_version")) == "0001"
        assert not sa.inspect(db).has_table("total")
    engine.dispose()
    catalogue = SqlCatalogue(old)
    assert len(catalogue.totals()) == 3
    catalogue.close()
