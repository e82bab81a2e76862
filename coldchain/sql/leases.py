"""Leases in the catalogue: taken, renewed and ended."""

from __future__ import annotations

import datetime as dt
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import sqlalchemy as sa

from coldchain.errors import LeaseTaken, TransientError
from coldchain.holds import Lease, Use, blocks, holder_lives, new_holder
from coldchain.sql import tables
from coldchain.sql.database import Database

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LEASE = dt.timedelta(minutes=15)


class Leases(Database):
    """Leases in the catalogue: taken, renewed and ended."""

    @contextmanager
    def lease(self, scopes: Sequence[str], use: Use, now: dt.datetime) -> Iterator[str]:
        """Use things together while the context lasts, renewing the lease; gives the holder's name; raises LeaseTaken."""
        holder = new_holder()
        self._take(sorted(set(scopes)), use, holder, now)
        ended = threading.Event()
        renewal = threading.Thread(target=self._renew, args=(holder, ended), daemon=True)
        renewal.start()
        try:
            yield holder
        finally:
            ended.set()
            renewal.join()
            with self.writing.begin() as db:
                db.execute(sa.delete(tables.lease).where(tables.lease.c.holder == holder))

    def _take(self, scopes: Sequence[str], use: Use, holder: str, now: dt.datetime) -> None:
        with self.writing.begin() as db:
            held = read_leases(db, tables.lease.c.scope.in_(scopes))
            if taken := [lease for lease in held if blocks(lease, use, now)]:
                raise LeaseTaken(
                    "in use by another run",
                    on=taken[0].scope,
                    got=f"{taken[0].use} until {taken[0].until:%H:%M:%S} UTC by {taken[0].holder}",
                    hint="try later",
                )
            for lease in held:
                if not blocks(lease, Use.ALONE, now):  # ended, or its holder is dead
                    db.execute(sa.delete(tables.lease).filter_by(scope=lease.scope, holder=lease.holder))
            rows = [{"scope": scope, "use": use, "holder": holder, "until": now + LEASE} for scope in scopes]
            if rows:
                db.execute(sa.insert(tables.lease), rows)

    def _renew(self, holder: str, ended: threading.Event) -> None:
        while not ended.wait(LEASE.total_seconds() / 5):
            with suppress(TransientError), self.writing.begin() as db:  # a round may fail: a lease lasts for five
                db.execute(sa.update(tables.lease).where(tables.lease.c.holder == holder).values(until=dt.datetime.now(dt.UTC) + LEASE))

    def leases(self, now: dt.datetime) -> list[Lease]:
        """Leases that have not ended and whose holders live."""
        with self.engine.connect() as db:
            return living_leases(db, now)


def living_leases(db: sa.Connection, now: dt.datetime) -> list[Lease]:
    """Leases that have not ended and whose holders live."""
    return [lease for lease in read_leases(db, tables.lease.c.until > now) if holder_lives(lease.holder)]


def read_leases(db: sa.Connection, *conditions: sa.ColumnElement[bool]) -> list[Lease]:
    """Leases that fulfil conditions, dead holders' too."""
    query = sa.select(tables.lease).where(*conditions).order_by(tables.lease.c.id)
    return [Lease(row.scope, Use(row.use), row.holder, row.until) for row in db.execute(query)]
