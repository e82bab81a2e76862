"""Audits in the catalogue: what is to be read again, how much was read in a night, brakes, and what was set aside."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import sqlalchemy as sa

from coldchain import provenance
from coldchain.copies import Aside, Copy, CopyState
from coldchain.errors import NotInCatalogue, Refused
from coldchain.sql import tables
from coldchain.sql.copies import change_rows, read_copies
from coldchain.sql.database import Database
from coldchain.sql.receipts import add_to_chain

if TYPE_CHECKING:
    from collections.abc import Mapping


class Audits(Database):
    """Audits in the catalogue."""

    def audit_due(self, location: str, before: dt.datetime, limit: int, now: dt.datetime) -> list[Copy]:
        """Verified copies at a location that were never read back, in the future, or last before a moment, in this order; oldest first."""
        read_at, found = tables.copy.c.verified_at, list[Copy]()
        here = (tables.VERIFIED, tables.copy.c.location == location)
        with self.engine.connect() as db:
            for condition in (read_at.is_(None), read_at > now, sa.and_(read_at < before, read_at <= now)):
                found += read_copies(db, *here, condition, order=[read_at], limit=limit - len(found))
        return found

    def audited(self, night: dt.date) -> int:
        """Bytes that were read back in a night so far."""
        with self.engine.connect() as db:
            query = sa.select(sa.func.sum(tables.audit_night.c.bytes)).where(tables.audit_night.c.night == night)
            return int(db.scalar(query) or 0)

    def add_audited(self, night: dt.date, location: str, copies: int, size: int) -> None:
        """Note that more was read back in a night."""
        table = tables.audit_night
        row = {"night": night, "location": location}
        with self.writing.begin() as db:
            more = sa.update(table).filter_by(**row).values(copies=table.c.copies + copies, bytes=table.c.bytes + size)
            if not db.execute(more).rowcount:
                db.execute(sa.insert(table).values(**row, copies=copies, bytes=size))

    def set_brake(self, location: str, why: str, now: dt.datetime) -> None:
        """Stop counting on a location until a person releases it, and keep a receipt; the first reason stays."""
        with self.writing.begin() as db:
            if db.scalar(sa.select(tables.brake.c.why).where(tables.brake.c.location == location)) is None:
                db.execute(sa.insert(tables.brake).values(location=location, why=why, set_at=now))
                add_to_chain(db, "brake", {"what": "set", "location": location, "why": why}, provenance.who(), now)

    def brakes(self) -> Mapping[str, str]:
        """Locations that are stopped, and why."""
        with self.engine.connect() as db:
            return {row.location: row.why for row in db.execute(sa.select(tables.brake).order_by(tables.brake.c.location))}

    def release_brake(self, location: str, who: str, why: str, now: dt.datetime) -> None:
        """Count on a location again, and keep a receipt; raises NotInCatalogue where it was not stopped."""
        with self.writing.begin() as db:
            if not db.execute(sa.delete(tables.brake).where(tables.brake.c.location == location)).rowcount:
                raise NotInCatalogue("this location is not stopped", on=location)
            add_to_chain(db, "brake", {"what": "released", "location": location, "why": why}, who, now)

    def set_aside(self, copy: int, path: str, why: str, now: dt.datetime) -> None:
        """Note where the bytes of a damaged copy stand now, and let the copy be made anew; raises Refused where it is not damaged."""
        with self.writing.begin() as db:
            found = read_copies(db, tables.copy.c.id == copy)
            if not found:
                raise NotInCatalogue("no such copy", on=copy)
            if found[0].state not in {CopyState.SUSPECT, CopyState.LOST}:
                raise Refused("only a damaged copy is set aside", on=copy, got=found[0].state, done="nothing was changed")
            db.execute(sa.insert(tables.aside).values(copy_id=copy, path=path, why=why, at=now))
            change_rows(db, [copy], state=CopyState.COPYING, verified_at=None, due_at=None, detail="")

    def asides(self, location: str | None = None) -> list[Aside]:
        """What was set aside, oldest first."""
        joined = tables.aside.join(tables.copy).join(tables.artifact).join(tables.dataset)
        columns = (tables.copy.c.location, tables.dataset.c.name, tables.artifact.c.level, tables.artifact.c.digest)
        query = sa.select(tables.aside, *columns).select_from(joined).order_by(tables.aside.c.id)
        if location:
            query = query.where(tables.copy.c.location == location)
        with self.engine.connect() as db:
            return [
                Aside(row.id, row.copy_id, f"{row.name}/{row.level}@{row.digest}", row.location, row.path, row.why, row.at)
                for row in db.execute(query)
            ]
