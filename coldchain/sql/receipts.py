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
    from collections.abc import Mapping


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


def _read_receipts(db: sa.Connection, *conditions: sa.ColumnElement[bool], limit: int | None = None) -> list[dict[str, Any]]:
    newest = sa.select(tables.receipt.c.body, tables.receipt.c.digest).where(*conditions).order_by(tables.receipt.c.id.desc()).limit(limit)
    return [json.loads(row.body) | {"digest": row.digest} for row in reversed(db.execute(newest).all())]


def _last(db: sa.Connection, kind: str) -> dict[str, Any] | None:
    return next(iter(_read_receipts(db, tables.receipt.c.kind == kind, limit=1)), None)


def add_to_chain(db: sa.Connection, kind: str, body: Mapping[str, Any], who: str, now: dt.datetime) -> str:
    """Write a receipt that names the one of its kind before it, so that the same may be done twice in one moment."""
    before = _last(db, kind)
    return insert_receipt(db, kind, {**body, "follows": before["digest"] if before else None}, who, now)


def insert_receipt(db: sa.Connection, kind: str, body: Mapping[str, Any], who: str, now: dt.datetime) -> str:
    """Write a receipt; returns its digest."""
    text = json.dumps({"kind": kind, "at": now.isoformat(), "who": who, **body}, sort_keys=True, default=str)
    digest = hashlib.sha256(text.encode()).hexdigest()
    db.execute(sa.insert(tables.receipt).values(kind=kind, at=now, who=who, body=text, digest=digest))
    return digest
