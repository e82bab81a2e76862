"""Copies in the catalogue."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from coldchain.copies import Copy, CopyState
from coldchain.errors import NotInCatalogue
from coldchain.sql import tables
from coldchain.sql.database import Database
from coldchain.sql.keys import artifact_key
from coldchain.sql.receipts import insert_receipt

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Copies(Database):
    """Copies in the catalogue."""

    def copies(self, *, artifact: str | None = None, location: str | None = None, states: Sequence[CopyState] = ()) -> list[Copy]:
        """Copies, oldest first."""
        with self.engine.connect() as db:
            conditions = [tables.copy.c.artifact_id == artifact_key(db, artifact)] if artifact else []
            if location:
                conditions.append(tables.copy.c.location == location)
            if states:
                conditions.append(tables.copy.c.state.in_(states))
            return read_copies(db, *conditions)

    def start_copy(self, artifact: str, location: str, path: str, now: dt.datetime) -> Copy:
        """Give the copy of an artifact at a location, starting one where there is none in use."""
        with self.writing.begin() as db:
            return insert_copy(db, artifact, location, path, now)

    def change_copy(self, copy: int, **changes: Any) -> Copy:
        """Change a copy's state, times, protection or detail."""
        with self.writing.begin() as db:
            db.execute(sa.update(tables.copy).where(tables.copy.c.id == copy).values(**changes))
            found = read_copies(db, tables.copy.c.id == copy)
        if not found:
            raise NotInCatalogue("no such copy", on=copy)
        return found[0]

    def close_removals(self, copies: Sequence[int], receipt: Mapping[str, Any], who: str, now: dt.datetime) -> str:
        """Mark copies whose bytes are gone as removed and keep the receipt, in one step."""
        with self.writing.begin() as db:
            db.execute(sa.update(tables.copy).where(tables.copy.c.id.in_(copies)).values(state=CopyState.REMOVED))
            return insert_receipt(db, "removal", receipt, who, now)


def read_copies(db: sa.Connection, *conditions: sa.ColumnElement[bool]) -> list[Copy]:
    """Copies that fulfil conditions, oldest first."""
    joined = tables.copy.join(tables.artifact).join(tables.dataset)
    columns = (*tables.copy.c, tables.dataset.c.name, tables.artifact.c.level, tables.artifact.c.digest)
    query = sa.select(*columns).select_from(joined).where(*conditions).order_by(tables.copy.c.id)
    return [
        Copy(
            id=row.id,
            artifact=f"{row.name}/{row.level}@{row.digest}",
            location=row.location,
            path=row.path,
            state=CopyState(row.state),
            created_at=row.created_at,
            verified_at=row.verified_at,
            due_at=row.due_at,
            protection=row.protection,
            detail=row.detail,
        )
        for row in db.execute(query)
    ]


def insert_copy(db: sa.Connection, artifact: str, location: str, path: str, now: dt.datetime) -> Copy:
    """Give the copy of an artifact at a location, starting one (`copying`) where there is none in use."""
    key = artifact_key(db, artifact)
    conditions = (tables.copy.c.artifact_id == key, tables.copy.c.location == location, tables.copy.c.state != CopyState.REMOVED)
    if found := read_copies(db, *conditions):
        return found[0]
    row = {"artifact_id": key, "location": location, "path": path, "state": CopyState.COPYING, "created_at": now}
    db.execute(sa.insert(tables.copy).values(**row))
    return read_copies(db, *conditions)[0]
