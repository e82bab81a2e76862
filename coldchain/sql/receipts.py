"""Receipts in the catalogue: written once, never changed."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from coldchain.sql import tables
from coldchain.sql.database import Database

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


class Receipts(Database):
    """Receipts in the catalogue: written once, never changed."""

    def add_receipt(self, kind: str, body: Mapping[str, Any], who: str, now: dt.datetime) -> str:
        """Keep an account of what was done; returns its digest."""
        with self.writing.begin() as db:
            return add_to_chain(db, kind, body, who, now)

    def receipts(self, kind: str | None = None, *, since: dt.datetime | None = None, limit: int | None = None) -> list[dict[str, Any]]:
        """Receipts, oldest first, each with its digest; of a kind, since a moment and only the newest so many, where asked."""
        conditions = [tables.receipt.c.kind == kind] if kind else []
        if since is not None:
            conditions.append(tables.receipt.c.at >= since)
        with self.engine.connect() as db:
            return _read_receipts(db, *conditions, limit=limit)

    def last_receipt(self, kind: str) -> dict[str, Any] | None:
        """The newest receipt of a kind."""
        with self.engine.connect() as db:
            return _last(db, kind)

    def broken_receipts(self, limit: int) -> list[int]:
        """Of the newest so many receipts, those that are not what was written, or that follow one that is not there."""
        columns = (tables.receipt.c.id, tables.receipt.c.kind, tables.receipt.c.body, tables.receipt.c.digest)
        with self.engine.connect() as db:
            rows = db.execute(sa.select(*columns).order_by(tables.receipt.c.id.desc()).limit(limit)).all()
        return sorted(_broken(rows))


def _broken(newest_first: Iterable[Any]) -> Iterator[int]:
    follows: dict[str, str | None] = {}  # by kind: what the receipt after this one says that it follows; an old one says nothing
    for row in newest_first:
        if hashlib.sha256(row.body.encode()).hexdigest() != row.digest:
            yield row.id
            follows.pop(row.kind, None)
            continue
        if follows.get(row.kind, row.digest) != row.digest:
            yield row.id
        said = json.loads(row.body)
        follows = {kind: digest for kind, digest in follows.items() if kind != row.kind}
        if "follows" in said:
            follows[row.kind] = said["follows"]


def _read_receipts(db: sa.Connection, *conditions: sa.ColumnElement[bool], limit: int | None = None) -> list[dict[str, Any]]:
    newest = sa.select(tables.receipt.c.body, tables.receipt.c.digest).where(*conditions).order_by(tables.receipt.c.id.desc()).limit(limit)
    return [json.loads(row.body) | {"digest": row.digest} for row in reversed(db.execute(newest).all())]


def _last(db: sa.Connection, kind: str) -> dict[str, Any] | None:
    return next(iter(_read_receipts(db, tables.receipt.c.kind == kind, limit=1)), None)


def add_to_chain(db: sa.Connection, kind: str, body: Mapping[str, Any], who: str, now: dt.datetime) -> str:
    """Write a receipt that names the one of its kind before it, so that one that is missing is missed; returns its digest."""
    before = _last(db, kind)
    said = {"kind": kind, "at": now.isoformat(), "who": who, **body, "follows": before["digest"] if before else None}
    text = json.dumps(said, sort_keys=True, default=str)
    digest = hashlib.sha256(text.encode()).hexdigest()
    db.execute(sa.insert(tables.receipt).values(kind=kind, at=now, who=who, body=text, digest=digest))
    return digest
