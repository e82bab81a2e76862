"""Recalls in the catalogue: the latest for each artifact and place."""

from __future__ import annotations

from dataclasses import asdict

import sqlalchemy as sa

from coldchain.recall import Recall, RecallState
from coldchain.sql import tables
from coldchain.sql.database import Database


class Recalls(Database):
    """What somebody wants back, and how far that has come."""

    def save_recall(self, found: Recall) -> None:
        """Write a recall down; another of the same artifact to the same place is this one."""
        table, values = tables.recall, asdict(found)
        own = (table.c.artifact == found.artifact, table.c.to == found.to)
        with self.writing.begin() as db:
            if not db.execute(sa.update(table).where(*own).values(**values)).rowcount:
                db.execute(sa.insert(table).values(**values))

    def recalls(self, state: RecallState | None = None) -> list[Recall]:
        """Recalls in some state, or all; the oldest first."""
        table = tables.recall
        query = sa.select(table).where(*([table.c.state == state] if state else [])).order_by(table.c.asked_at, table.c.artifact)
        with self.engine.connect() as db:
            return [Recall(**{**row._asdict(), "state": RecallState(row.state)}) for row in db.execute(query)]
