"""Overrides in the catalogue: asked for, approved and ended, each with a receipt."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa

from coldchain import provenance
from coldchain.errors import NotInCatalogue, Refused
from coldchain.overrides import Check, Override
from coldchain.sql import tables
from coldchain.sql.database import Database
from coldchain.sql.keys import dataset_key
from coldchain.sql.receipts import add_to_chain
from coldchain.sql.reviews import look_again


class Overrides(Database):
    """Overrides in the catalogue."""

    def add_override(self, dataset: str, check: Check, reason: str, who: str, until: dt.date, now: dt.datetime | None = None) -> Override:
        """Ask to set one check aside for a dataset until a day; it holds once it is approved."""
        with self.writing.begin() as db:
            row = {"dataset_id": dataset_key(db, dataset), "check": check, "reason": reason, "who": who, "until": until}
            key = db.execute(sa.insert(tables.override).values(**row).returning(tables.override.c.id)).scalar_one()
            return _receipt(db, key, "asked for", who, now)

    def approve_override(self, override: int, who: str, how: str, now: dt.datetime) -> Override:
        """Approve an override; raises Refused where it was approved or ended before."""
        with self.writing.begin() as db:
            found = _known(db, override)
            if found.approved_by or found.ended:
                raise Refused(
                    "this override cannot be approved any more",
                    on=override,
                    got=f"approved by {found.approved_by}" if found.approved_by else "ended",
                    done="nothing was changed",
                    hint="ask for a new one",
                )
            _change(db, override, approved_by=who, approved_at=now)
            return _receipt(db, override, "approved", who, now, how=how)

    def end_override(self, override: int, who: str | None = None, now: dt.datetime | None = None) -> None:
        """End an override; raises NotInCatalogue."""
        with self.writing.begin() as db:
            if _known(db, override).ended:
                return
            _receipt(db, override, "ended", who or provenance.who(), now)
            _change(db, override, ended=True)

    def overrides(self, dataset: str | None = None) -> list[Override]:
        """Overrides that were not ended, whatever their day and whether approved or not."""
        with self.engine.connect() as db:
            return read_overrides(db, *([tables.dataset.c.name == dataset] if dataset else []))


def read_overrides(db: sa.Connection, *conditions: sa.ColumnElement[bool]) -> list[Override]:
    """Overrides that were not ended and fulfil conditions, oldest first."""
    joined = tables.override.join(tables.dataset)
    query = sa.select(tables.override, tables.dataset.c.name).select_from(joined).where(~tables.override.c.ended, *conditions)
    return [
        Override(
            id=row.id,
            dataset=row.name,
            check=Check(row.check),
            reason=row.reason,
            who=row.who,
            until=row.until,
            approved_by=row.approved_by,
            approved_at=row.approved_at,
        )
        for row in db.execute(query.order_by(tables.override.c.id))
    ]


def _known(db: sa.Connection, override: int) -> sa.Row[Any]:
    found = db.execute(sa.select(tables.override).where(tables.override.c.id == override)).one_or_none()
    if found is None:
        raise NotInCatalogue("no such override", on=override, hint="`coldchain override list` lists them")
    return found


def _change(db: sa.Connection, override: int, **changes: Any) -> None:
    """Change an override, and have what stands on it looked at again."""
    db.execute(sa.update(tables.override).where(tables.override.c.id == override).values(**changes))
    dataset = sa.select(tables.override.c.dataset_id).where(tables.override.c.id == override)
    look_again(db, sa.select(tables.artifact.c.id).where(tables.artifact.c.dataset_id.in_(dataset)))


def _receipt(db: sa.Connection, override: int, what: str, who: str, now: dt.datetime | None, **more: str) -> Override:
    """Keep what was done to an override that has not ended."""
    (found,) = read_overrides(db, tables.override.c.id == override)
    body = {"what": what, "override": found.id, "dataset": found.dataset, "check": found.check, "reason": found.reason}
    add_to_chain(db, "override", body | {"asked_by": found.who, "until": found.until} | more, who, now or dt.datetime.now(dt.UTC))
    return found
