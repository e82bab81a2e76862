"""What people chose as current, and every way an artifact was made, in the catalogue; a choice is only followed by another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from coldchain.choices import Choice, Making
from coldchain.levels import Level
from coldchain.sql import tables
from coldchain.sql.artifacts import activity_of
from coldchain.sql.database import Database
from coldchain.sql.keys import artifact_key, dataset_key
from coldchain.sql.receipts import add_to_chain

if TYPE_CHECKING:
    from collections.abc import Sequence


class Choices(Database):
    """What people chose as current, in the catalogue."""

    def choose(self, choices: Sequence[Choice], how: str) -> None:
        """Write choices down, all in one step with a receipt of each; raises NotInCatalogue."""
        with self.writing.begin() as db:
            for choice in choices:
                _insert(db, choice, how)

    def choices(self, dataset: str | None = None) -> list[Choice]:
        """Choices, oldest first."""
        with self.engine.connect() as db:
            return read_choices(db, *([tables.dataset.c.name == dataset] if dataset else []))

    def makings(self, dataset: str | None = None) -> list[Making]:
        """Every activity that made an artifact, oldest first."""
        joined = tables.output.join(tables.activity).join(tables.artifact, tables.artifact.c.id == tables.output.c.artifact_id)
        columns = (tables.activity, tables.dataset.c.name, tables.artifact.c.level, tables.artifact.c.digest)
        query = sa.select(*columns).select_from(joined.join(tables.dataset))
        query = query.where(*([tables.dataset.c.name == dataset] if dataset else []))
        with self.engine.connect() as db:
            rows = db.execute(query.order_by(tables.activity.c.ended_at, tables.activity.c.id)).all()
        return [Making(f"{row.name}/{row.level}@{row.digest}", activity_of(row)) for row in rows]


def read_choices(db: sa.Connection, *conditions: sa.ColumnElement[bool]) -> list[Choice]:
    """Choices that fulfil conditions, oldest first."""
    made = tables.artifact.alias("chosen")
    joined = tables.choice.join(tables.dataset).outerjoin(made, made.c.id == tables.choice.c.artifact_id)
    columns = (tables.choice, tables.dataset.c.name, made.c.digest)
    rows = db.execute(sa.select(*columns).select_from(joined).where(*conditions).order_by(tables.choice.c.id)).all()
    ids = [f"{row.name}/{row.level}@{row.digest}" if row.digest else "" for row in rows]
    return [Choice(row.name, Level(row.level), id_, row.who, row.why, row.at) for row, id_ in zip(rows, ids, strict=True)]


def _insert(db: sa.Connection, choice: Choice, how: str) -> None:
    row = {
        "dataset_id": dataset_key(db, choice.dataset),
        "level": choice.level,
        "artifact_id": artifact_key(db, choice.artifact) if choice.artifact else None,
        "who": choice.who,
        "why": choice.why,
        "at": choice.at,
    }
    db.execute(sa.insert(tables.choice).values(**row))
    body = {"dataset": choice.dataset, "level": choice.level, "artifact": choice.artifact or "the newest", "reason": choice.why}
    add_to_chain(db, "choice", body | {"how": how}, choice.who, choice.at)
