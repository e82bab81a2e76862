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
            return insert_receipt(db, kind, body, who, now)

    def receipts(self, kind: str | None = None) -> list[dict[str, Any]]:
        """Receipts, oldest first, each with its digest."""
        query = sa.select(tables.receipt.c.body, tables.receipt.c.digest).order_by(tables.receipt.c.id)
        with self.engine.connect() as db:
            rows = db.execute(query.where(tables.receipt.c.kind == kind) if kind else query).all()
        return [json.loads(row.body) | {"digest": row.digest} for row in rows]


def insert_receipt(db: sa.Connection, kind: str, body: Mapping[str, Any], who: str, now: dt.datetime) -> str:
    """Write a receipt; returns its digest."""
    text = json.dumps({"kind": kind, "at": now.isoformat(), "who": who, **body}, sort_keys=True, default=str)
    digest = hashlib.sha256(text.encode()).hexdigest()
    db.execute(sa.insert(tables.receipt).values(kind=kind, at=now, who=who, body=text, digest=digest))
    return digest
