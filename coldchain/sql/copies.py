"""Copies in the catalogue: each change of one goes through `change_rows`, which keeps totals and reviews true."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from coldchain.copies import Copy, CopyState, Total
from coldchain.errors import NotInCatalogue
from coldchain.levels import Level
from coldchain.proposals import Answer
from coldchain.sql import tables
from coldchain.sql.database import Database
from coldchain.sql.keys import artifact_key, numbers
from coldchain.sql.reviews import look_again
from coldchain.sql.totals import add_total, move_totals

if TYPE_CHECKING:
    from collections.abc import Sequence

_REMOVED = sa.literal_column(f"'{CopyState.REMOVED}'", sa.Text)
_SETTLED = {CopyState.VERIFIED, CopyState.REMOVED}


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
            if states and not _SETTLED & set(states):
                conditions.append(tables.UNSETTLED)
            return read_copies(db, *conditions)

    def copies_page(self, after: int, limit: int) -> list[Copy]:
        """The first copies after one, by their numbers; those that are not removed."""
        with self.engine.connect() as db:
            return read_copies(db, tables.copy.c.id > after, tables.copy.c.state != CopyState.REMOVED, limit=limit)

    def start_copy(self, artifact: str, location: str, path: str, now: dt.datetime) -> Copy:
        """Give the copy of an artifact at a location, starting one where there is none in use."""
        with self.writing.begin() as db:
            return insert_copy(db, artifact, location, path, now)

    def change_copy(self, copy: int, **changes: Any) -> Copy:
        """Change a copy's state, times, protection or detail."""
        with self.writing.begin() as db:
            change_rows(db, [copy], **changes)
            found = read_copies(db, tables.copy.c.id == copy)
        if not found:
            raise NotInCatalogue("no such copy", on=copy)
        return found[0]


def read_copies(
    db: sa.Connection, *conditions: sa.ColumnElement[bool], order: Sequence[sa.ColumnElement[Any]] = (), limit: int | None = None
) -> list[Copy]:
    """Copies that fulfil conditions, oldest first where no order is named."""
    joined = tables.copy.join(tables.artifact).join(tables.dataset)
    columns = (*tables.copy.c, tables.dataset.c.name, tables.artifact.c.level, tables.artifact.c.digest)
    query = sa.select(*columns).select_from(joined).where(*conditions).order_by(*(order or [tables.copy.c.id])).limit(limit)
    return [copy_of(row, f"{row.name}/{row.level}@{row.digest}") for row in db.execute(query)]


def copy_of(row: Any, artifact: str) -> Copy:
    """A copy from its row."""
    return Copy(
        id=row.id,
        artifact=artifact,
        location=row.location,
        path=row.path,
        state=CopyState(row.state),
        created_at=row.created_at,
        verified_at=row.verified_at,
        due_at=row.due_at,
        protection=row.protection,
        detail=row.detail,
    )


def insert_copy(db: sa.Connection, artifact: str, location: str, path: str, now: dt.datetime) -> Copy:
    """Give the copy of an artifact at a location, starting one (`copying`) where there is none in use."""
    key = artifact_key(db, artifact)
    conditions = (tables.copy.c.artifact_id == key, tables.copy.c.location == location, tables.copy.c.state != _REMOVED)
    if found := read_copies(db, *conditions):
        return found[0]
    row = {"artifact_id": key, "location": location, "path": path, "state": CopyState.COPYING, "created_at": now}
    db.execute(sa.insert(tables.copy).values(**row))
    about = db.execute(sa.select(tables.artifact.c.level, tables.artifact.c.bytes).where(tables.artifact.c.id == key)).one()
    add_total(db, Total(location, Level(about.level), CopyState.COPYING, 1, about.bytes))
    return read_copies(db, *conditions)[0]


def _come_back(db: sa.Connection, keys: sa.Select[tuple[int]]) -> None:
    """Close what people were told of copies that leave the trash alive: a yes was to another matter. A no stays."""
    back = sa.select(tables.copy.c.id).where(tables.copy.c.id.in_(keys), tables.copy.c.state == CopyState.TRASHED)
    concerned = (tables.OPEN, tables.proposal.c.answer != Answer.NO, tables.proposal.c.copy_id.in_(back))
    why = {"closed_at": dt.datetime.now(dt.UTC), "closed_why": "it was brought back from the trash"}
    db.execute(sa.update(tables.proposal).where(*concerned).values(**why))


def _forget_deletions(db: sa.Connection, keys: sa.Select[tuple[int]]) -> None:
    """A copy that leaves the trash alive is not being deleted."""
    db.execute(sa.delete(tables.deletion).where(tables.deletion.c.copy_id.in_(keys)))


def change_rows(db: sa.Connection, copies: Sequence[int], **changes: Any) -> None:
    """Change copies, move the totals, and have what depends on a changed state looked at again.

    A new reading alone changes nothing for what stands; it may make stand what was short.
    """
    keys = numbers(db, copies)
    concerned = sa.select(tables.copy.c.artifact_id.label("id")).where(tables.copy.c.id.in_(keys))
    if "state" in changes:
        move_totals(db, keys, changes["state"])
        look_again(db, concerned.where(tables.copy.c.state != changes["state"]))
    if "verified_at" in changes:
        look_again(db, concerned, tables.SHORT)
    if changes.get("state") not in {None, CopyState.TRASHED, CopyState.REMOVED}:
        _come_back(db, keys)
        _forget_deletions(db, keys)
    db.execute(sa.update(tables.copy).where(tables.copy.c.id.in_(keys)).values(**changes))
