"""Running totals of copies and bytes: moved by whatever moves a copy, in the same transaction."""

from __future__ import annotations

import sqlalchemy as sa

from coldchain.copies import CopyState, Total
from coldchain.levels import Level
from coldchain.sql import tables
from coldchain.sql.database import Database


class Totals(Database):
    """Running totals of copies and bytes."""

    def totals(self) -> list[Total]:
        """Copies and bytes of what is there, by location, level and state."""
        there = (tables.total.c.state != CopyState.REMOVED, tables.total.c.copies != 0)
        query = sa.select(tables.total).where(*there).order_by(tables.total.c.location, tables.total.c.level, tables.total.c.state)
        with self.engine.connect() as db:
            return [Total(row.location, Level(row.level), CopyState(row.state), row.copies, row.bytes) for row in db.execute(query)]


def move_totals(db: sa.Connection, keys: sa.Select[tuple[int]], to: CopyState) -> None:
    """Move copies from the states that they are in to another one."""
    amounts = (sa.func.count().label("copies"), sa.cast(sa.func.sum(tables.artifact.c.bytes), sa.BigInteger).label("bytes"))
    group = (tables.copy.c.location, tables.artifact.c.level, tables.copy.c.state)
    query = sa.select(*group, *amounts).select_from(tables.copy.join(tables.artifact)).where(tables.copy.c.id.in_(keys)).group_by(*group)
    for row in db.execute(query).all():
        add_total(db, Total(row.location, Level(row.level), CopyState(row.state), -row.copies, -row.bytes))
        add_total(db, Total(row.location, Level(row.level), to, row.copies, row.bytes))


def add_total(db: sa.Connection, more: Total) -> None:
    """Add to a total, or take away where the numbers are negative."""
    row = {"location": more.location, "level": more.level, "state": more.state}
    sums = {"copies": tables.total.c.copies + more.copies, "bytes": tables.total.c.bytes + more.bytes}
    if not db.execute(sa.update(tables.total).filter_by(**row).values(**sums)).rowcount:
        db.execute(sa.insert(tables.total).values(**row, copies=more.copies, bytes=more.bytes))
