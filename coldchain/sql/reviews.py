"""The standing review in the catalogue: which artifacts have to be looked at again, and which are short of copies."""

from __future__ import annotations

import datetime as dt
import secrets
from typing import TYPE_CHECKING

import sqlalchemy as sa

from coldchain.sql import tables
from coldchain.sql.closure import downstream
from coldchain.sql.database import Database
from coldchain.sql.keys import artifact_keys, numbers

if TYPE_CHECKING:
    from collections.abc import Sequence

_YEAR = 365 * 24 * 3600 * 1_000_000  # in microseconds


class Reviews(Database):
    """Which artifacts have to be looked at again, and which are short of copies.

    A review marks what it takes with a moment of its own. Whatever changes meanwhile takes the mark off, and so what was decided
    before the change is not saved. Of two reviews at once, the one that took a dataset last saves.
    """

    _mark: dt.datetime | None = None

    def to_review(self, now: dt.datetime, limit: int) -> list[str]:
        """Datasets with an artifact that has to be looked at again by now; a change of one of these from here on is not lost."""
        self._mark = tables.EPOCH + dt.timedelta(microseconds=1 + secrets.randbelow(_YEAR))
        with self.writing.begin() as db:
            keys = _due_for_review(db, now, limit)
            taken = tables.artifact.c.dataset_id.in_(numbers(db, keys))
            db.execute(sa.update(tables.artifact).where(taken).values(check_at=self._mark))
            query = sa.select(tables.dataset.c.name).where(tables.dataset.c.id.in_(numbers(db, keys))).order_by(tables.dataset.c.id)
            return list(db.scalars(query))

    def save_reviews(self, reviews: Sequence[tuple[str, dt.datetime | None, tuple[str, ...] | None]]) -> None:
        """Save when artifacts have to be looked at next, and what they lack; what changed since `to_review` is left to the next one."""
        marked = tables.artifact.c.check_at == self._mark
        change = sa.update(tables.artifact).where(tables.artifact.c.id == sa.bindparam("key"), marked)
        with self.writing.begin() as db:
            keys = artifact_keys(db, [name for name, _, _ in reviews])
            rows = [{"key": keys[name], "check_at": again, "short": short} for name, again, short in reviews if name in keys]
            if rows:
                db.execute(change.values(check_at=sa.bindparam("check_at"), short=sa.bindparam("short")), rows)

    def review_all(self) -> None:
        """Have every artifact looked at again: what the policy or the site wants has changed."""
        with self.writing.begin() as db:
            db.execute(sa.update(tables.artifact).values(check_at=tables.EPOCH))

    def shortfalls(self, limit: int) -> list[tuple[str, tuple[str, ...]]]:
        """Artifacts that are short of copies, oldest first, and what each lacks."""
        columns = (tables.dataset.c.name, tables.artifact.c.level, tables.artifact.c.digest, tables.artifact.c.short)
        query = sa.select(*columns).select_from(tables.artifact.join(tables.dataset)).where(tables.SHORT)
        with self.engine.connect() as db:
            found = db.execute(query.order_by(tables.artifact.c.id).limit(limit))
            return [(f"{row.name}/{row.level}@{row.digest}", tuple(row.short)) for row in found]

    def count_short(self) -> int:
        """How many artifacts are short of copies."""
        with self.engine.connect() as db:
            return db.scalar(sa.select(sa.func.count()).select_from(tables.artifact).where(tables.SHORT)) or 0


def _due_for_review(db: sa.Connection, now: dt.datetime, limit: int) -> list[int]:
    """Rows of the first so many datasets, longest due first."""
    columns = (tables.artifact.c.check_at, tables.artifact.c.dataset_id)
    query = sa.select(tables.artifact.c.dataset_id).where(tables.TO_REVIEW, tables.artifact.c.check_at <= now).order_by(*columns)
    found: dict[int, None] = {}
    with db.execute(query.execution_options(stream_results=True)) as rows:
        for row in rows:
            found[row.dataset_id] = None
            if len(found) == limit:
                break
    return sorted(found)


def look_again(db: sa.Connection, artifacts: sa.Select[tuple[int]], *conditions: sa.ColumnElement[bool]) -> None:
    """Have artifacts, and whatever is made from them, looked at again; only those that fulfil the conditions."""
    affected = tables.artifact.c.id.in_(numbers(db, downstream(db, artifacts)))
    db.execute(sa.update(tables.artifact).where(affected, *conditions).values(check_at=tables.EPOCH))
