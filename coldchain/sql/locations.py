"""The locations' identities, in the catalogue."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa

from coldchain.errors import ConfigurationError
from coldchain.sql import tables
from coldchain.sql.database import Database


class Locations(Database):
    """The locations' identities, in the catalogue."""

    def identity(self, location: str) -> str | None:
        """Identity that a location had when it was registered."""
        with self.engine.connect() as db:
            return db.scalar(sa.select(tables.location.c.identity).where(tables.location.c.name == location))

    def save_identity(self, location: str, identity: str, now: dt.datetime) -> None:
        """Register a location's identity once; another identity later, or one of another location, is refused."""
        with self.writing.begin() as db:
            rows = db.execute(
                sa.select(tables.location).where(sa.or_(tables.location.c.name == location, tables.location.c.identity == identity))
            ).all()
            if any((row.name, row.identity) != (location, identity) for row in rows):
                raise ConfigurationError(
                    "a location is not the store it was, or is the same store as another",
                    on=location,
                    expected=f"identity {rows[0].identity} of {rows[0].name}",
                    got=identity,
                    hint="mount the right medium; give a new medium a new location name",
                )
            if not rows:
                db.execute(sa.insert(tables.location).values(name=location, identity=identity, registered_at=now))
