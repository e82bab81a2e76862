"""Media that are taken away, in the catalogue: where each is now; the receipts say where it was before."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict

import sqlalchemy as sa

from coldchain.media import State, Whereabouts
from coldchain.sql import tables
from coldchain.sql.database import Database
from coldchain.sql.receipts import add_to_chain
from coldchain.sql.reviews import look_again


class Media(Database):
    """Media that are taken away, in the catalogue."""

    def media(self) -> Mapping[str, Whereabouts]:
        """Where each medium is, by its location."""
        with self.engine.connect() as db:
            return read_media(db)

    def save_medium(self, found: Whereabouts) -> None:
        """Write down where a medium is now, with a receipt, and have what stands on it looked at again."""
        table, values = tables.medium, asdict(found)
        here = sa.select(tables.copy.c.artifact_id.label("id")).where(tables.copy.c.location == found.location, tables.IN_USE)
        with self.writing.begin() as db:
            before = read_media(db).get(found.location)
            if before is None:
                db.execute(sa.insert(table).values(**values))
            else:
                db.execute(sa.update(table).where(table.c.location == found.location).values(**values))
            add_to_chain(db, "medium", {"before": asdict(before) if before else None, "after": values}, found.who, found.since)
            look_again(db, here)

    def seen_medium(self, location: str, now: dt.datetime) -> None:
        """Note that a medium showed its identity."""
        with self.writing.begin() as db:
            db.execute(sa.update(tables.medium).where(tables.medium.c.location == location).values(seen_at=now))


def read_media(db: sa.Connection) -> dict[str, Whereabouts]:
    """Where each medium is, by its location, in a transaction of another question."""
    rows = db.execute(sa.select(tables.medium).order_by(tables.medium.c.location))
    return {row.location: Whereabouts(**{**row._asdict(), "state": State(row.state)}) for row in rows}
