"""Holds in the catalogue."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa

from coldchain.errors import NotInCatalogue
from coldchain.holds import Hold
from coldchain.sql import tables
from coldchain.sql.database import Database
from coldchain.sql.keys import dataset_key


class Holds(Database):
    """Holds in the catalogue."""

    def add_hold(self, dataset: str, reason: str, who: str, until: dt.date) -> Hold:
        """Hold a dataset until a day."""
        with self.writing.begin() as db:
            key = dataset_key(db, dataset)
            row = db.execute(sa.insert(tables.hold).values(dataset_id=key, reason=reason, who=who, until=until).returning(tables.hold.c.id))
            return Hold(row.scalar_one(), dataset, reason, who, until)

    def last_said(self) -> tuple[int, int]:
        """Numbers of the newest hold and of the newest receipt."""
        with self.engine.connect() as db:
            newest = (db.scalar(sa.select(sa.func.max(table.c.id))) for table in (tables.hold, tables.receipt))
            hold, receipt = (int(number or 0) for number in newest)
            return hold, receipt

    def end_hold(self, hold: int) -> None:
        """End a hold."""
        with self.writing.begin() as db:
            if not db.execute(sa.update(tables.hold).where(tables.hold.c.id == hold).values(ended=True)).rowcount:
                raise NotInCatalogue("no such hold", on=hold)

    def ever_held(self) -> list[str]:
        """Datasets that somebody ever held, in order."""
        query = sa.select(tables.dataset.c.name).join(tables.hold).distinct().order_by(tables.dataset.c.name)
        with self.engine.connect() as db:
            return list(db.scalars(query))

    def holds(self, dataset: str | None = None) -> list[Hold]:
        """Holds that were not ended."""
        with self.engine.connect() as db:
            return read_holds(db, *([tables.dataset.c.name == dataset] if dataset else []))


def read_holds(db: sa.Connection, *conditions: sa.ColumnElement[bool]) -> list[Hold]:
    """Holds that were not ended and fulfil conditions, oldest first."""
    query = sa.select(tables.hold, tables.dataset.c.name).join(tables.dataset).where(~tables.hold.c.ended, *conditions)
    return [Hold(row.id, row.name, row.reason, row.who, row.until) for row in db.execute(query.order_by(tables.hold.c.id))]
