"""What falls due, in the catalogue: every question costs by its answer, not by what exists."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import sqlalchemy as sa

from coldchain.copies import Copy
from coldchain.errors import NotInCatalogue
from coldchain.holds import LAST_ZONE
from coldchain.sql import tables
from coldchain.sql.copies import read_copies
from coldchain.sql.database import Database
from coldchain.sql.keys import artifact_keys, numbers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Dues(Database):
    """What falls due, in the catalogue."""

    def due_datasets(self, now: dt.datetime, early: Mapping[str, dt.datetime]) -> list[str]:
        """Datasets, oldest first, with a copy that is due by now, or by its location's early day, or that people were told of."""
        due = [tables.copy.c.due_at <= now, *(_due_at(place, day) for place, day in early.items())]
        parts = [sa.select(tables.copy.c.artifact_id).where(tables.DATED, condition) for condition in due]
        told = sa.select(tables.copy.c.artifact_id).select_from(tables.proposal.join(tables.copy)).where(tables.OPEN)
        found = sa.union(*parts, told).subquery()
        keys = sa.select(tables.artifact.c.dataset_id).select_from(found.join(tables.artifact, tables.artifact.c.id == found.c.artifact_id))
        query = sa.select(tables.dataset.c.name).where(tables.dataset.c.id.in_(keys)).order_by(tables.dataset.c.id)
        with self.engine.connect() as db:
            return list(db.scalars(query))

    def pressure(self, location: str, wanted: int, now: dt.datetime) -> dt.datetime | None:
        """Day up to which copies at a location have to go until so many bytes are free; the last day where all are too few.

        What is held frees nothing.
        """
        held = sa.select(tables.hold.c.dataset_id).where(~tables.hold.c.ended, tables.hold.c.until >= now.astimezone(LAST_ZONE).date())
        here = (tables.DATED, tables.VERIFIED, tables.copy.c.location == location)
        joined = tables.copy.join(tables.artifact)
        columns = (tables.copy.c.due_at, tables.artifact.c.bytes, tables.artifact.c.dataset_id)
        query = sa.select(*columns).select_from(joined).where(*here).order_by(tables.copy.c.due_at)
        freed, last = 0, None
        with self.engine.connect() as db:
            stays = set(db.scalars(held))
            with db.execute(query.execution_options(stream_results=True)) as rows:
                for row in (row for row in rows if row.dataset_id not in stays):
                    freed, last = freed + row.bytes, row.due_at
                    if freed >= wanted:
                        break
        return last

    def falling_due(self, after: dt.datetime, until: dt.datetime, limit: int) -> list[Copy]:
        """Verified and trashed copies that fall due after a moment and until another, the first to fall due first."""
        with self.engine.connect() as db:
            return read_copies(db, *_between(after, until), order=[tables.copy.c.due_at], limit=limit)

    def count_due(self, after: dt.datetime, until: dt.datetime) -> tuple[int, int]:
        """How many copies, and how many bytes, fall due after a moment and until another."""
        amounts = (sa.func.count(), sa.func.coalesce(sa.func.sum(tables.artifact.c.bytes), 0))
        query = sa.select(*amounts).select_from(tables.copy.join(tables.artifact)).where(*_between(after, until))
        with self.engine.connect() as db:
            copies, size = db.execute(query).one()
        return int(copies), int(size)

    def set_due(self, days: Sequence[tuple[int, dt.datetime | None]]) -> None:
        """Set when verified copies fall due, all in one step; one that went to the trash meanwhile keeps its days there."""
        change = sa.update(tables.copy).where(tables.copy.c.id == sa.bindparam("key"), tables.VERIFIED).values(due_at=sa.bindparam("day"))
        if days:
            with self.writing.begin() as db:
                db.execute(change, [{"key": key, "day": day} for key, day in days])

    def asked(self, artifacts: Sequence[str], now: dt.datetime) -> None:
        """Note that a run asked for artifacts; raises NotInCatalogue."""
        with self.writing.begin() as db:
            keys = artifact_keys(db, artifacts)
            if unknown := sorted(set(artifacts) - keys.keys()):
                raise NotInCatalogue("no such artifact", on=unknown[0])
            concerned = tables.artifact.c.id.in_(numbers(db, list(keys.values())))
            db.execute(sa.update(tables.artifact).where(concerned).values(asked_at=now))


def _due_at(location: str, day: dt.datetime) -> sa.ColumnElement[bool]:
    return sa.and_(tables.copy.c.location == location, tables.copy.c.due_at <= day)


def _between(after: dt.datetime, until: dt.datetime) -> tuple[sa.ColumnElement[bool], ...]:
    return tables.DATED, tables.copy.c.due_at > after, tables.copy.c.due_at <= until
