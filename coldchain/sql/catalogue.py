"""The catalogue on SQLAlchemy 2: SQLite (WAL) by default, PostgreSQL by its URL; each method is one transaction."""

from __future__ import annotations

from coldchain.sql.artifacts import Artifacts
from coldchain.sql.copies import Copies
from coldchain.sql.holds import Holds
from coldchain.sql.leases import Leases
from coldchain.sql.locations import Locations
from coldchain.sql.projects import Projects
from coldchain.sql.receipts import Receipts


class SqlCatalogue(Projects, Artifacts, Copies, Locations, Holds, Leases, Receipts):
    """A catalogue in a SQL database: each part in the file of its name."""
