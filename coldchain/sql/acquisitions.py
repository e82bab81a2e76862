"""Acquisition folders in the catalogue: what the looks at them found, and how far each has come."""

from __future__ import annotations

from dataclasses import asdict

import sqlalchemy as sa

from coldchain.sql import tables
from coldchain.sql.database import Database
from coldchain.watching import Acquisition, State


class Acquisitions(Database):
    """Acquisition folders in the catalogue."""

    def acquisitions(self) -> list[Acquisition]:
        """What is known of every folder, by name."""
        table = tables.acquisition
        with self.engine.connect() as db:
            rows = db.execute(sa.select(table).order_by(table.c.folder))
            return [Acquisition(**{**row._asdict(), "state": State(row.state)}) for row in rows]

    def save_acquisition(self, found: Acquisition) -> None:
        """Write down what is known of a folder."""
        table, values = tables.acquisition, asdict(found)
        with self.writing.begin() as db:
            if not db.execute(sa.update(table).where(table.c.folder == found.folder).values(**values)).rowcount:
                db.execute(sa.insert(table).values(**values))

    def forget_acquisition(self, folder: str) -> None:
        """A folder is not there any more."""
        with self.writing.begin() as db:
            db.execute(sa.delete(tables.acquisition).where(tables.acquisition.c.folder == folder))
