"""Deletions in the catalogue: what a receipt will say is written down before the bytes go, so that no crash leaves bytes without one."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from coldchain.copies import CopyState
from coldchain.errors import RemovalRefused
from coldchain.sql import tables
from coldchain.sql.copies import change_rows
from coldchain.sql.database import Database
from coldchain.sql.keys import numbers
from coldchain.sql.receipts import add_to_chain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Deletions(Database):
    """Deletions that were begun, and the receipts that end them."""

    def begin_deletion(self, copy: int, account: Mapping[str, Any]) -> None:
        """Write down what the receipt of a copy in the trash will say, before its bytes go; the latest account counts.

        Raises:
            RemovalRefused: the copy is not in the trash.
        """
        with self.writing.begin() as db:
            _refuse_alive(db, [copy])
            db.execute(sa.delete(tables.deletion).where(tables.deletion.c.copy_id == copy))
            db.execute(sa.insert(tables.deletion).values(copy_id=copy, account=json.dumps(account, default=str)))

    def deleting(self, copy: int) -> bool:
        """Whether the deletion of a copy was begun, and has no receipt yet."""
        with self.engine.connect() as db:
            return bool(db.scalar(sa.select(sa.func.count()).where(tables.deletion.c.copy_id == copy)))

    def close_removals(self, copies: Sequence[int], policy: str, who: str, now: dt.datetime) -> str:
        """Mark copies whose bytes are gone as removed, close their proposals and write the receipt from their accounts, in one step.

        Raises:
            RemovalRefused: one of them is not in the trash, or its deletion was never begun; nothing was changed.
        """
        with self.writing.begin() as db:
            _refuse_alive(db, copies)
            keys = numbers(db, copies)
            begun = sa.select(tables.deletion.c.account).where(tables.deletion.c.copy_id.in_(keys)).order_by(tables.deletion.c.copy_id)
            accounts = [json.loads(account) for account in db.scalars(begun)]
            if len(accounts) != len(set(copies)):
                raise RemovalRefused(
                    "a deletion was never begun", on=sorted(copies), got=f"{len(accounts)} accounts", done="nothing was changed"
                )
            change_rows(db, copies, state=CopyState.REMOVED)
            concerned = tables.proposal.c.copy_id.in_(keys)
            db.execute(sa.update(tables.proposal).where(tables.OPEN, concerned).values(closed_at=now, closed_why="removed"))
            db.execute(sa.delete(tables.deletion).where(tables.deletion.c.copy_id.in_(keys)))
            return add_to_chain(db, "removal", {"policy": policy, "removed": accounts}, who, now)


def _refuse_alive(db: sa.Connection, copies: Sequence[int]) -> None:
    """Raise where a copy is not in the trash: what counts, or was removed before, is not deleted."""
    others = sa.select(tables.copy.c.id, tables.copy.c.state).where(tables.copy.c.id.in_(numbers(db, copies)))
    found = {row.id: row.state for row in db.execute(others)}
    if wrong := {key: found.get(key, "unknown") for key in copies if found.get(key) != CopyState.TRASHED}:
        raise RemovalRefused(
            "a copy is not in the trash", on=sorted(wrong), got=", ".join(sorted(set(wrong.values()))), done="nothing was changed"
        )
