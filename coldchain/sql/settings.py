"""Settings in the catalogue: what Coldchain notes for itself."""

from __future__ import annotations

import sqlalchemy as sa

from coldchain.sql import tables
from coldchain.sql.database import Database


class Settings(Database):
    """Settings in the catalogue."""

    def setting(self, name: str) -> str | None:
        """What was noted under a name."""
        with self.engine.connect() as db:
            return db.scalar(sa.select(tables.setting.c.value).where(tables.setting.c.name == name))

    def save_setting(self, name: str, value: str) -> None:
        """Note something under a name."""
        with self.writing.begin() as db:
            if not db.execute(sa.update(tables.setting).where(tables.setting.c.name == name).values(value=value)).rowcount:
                db.execute(sa.insert(tables.setting).values(name=name, value=value))
