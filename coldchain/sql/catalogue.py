"""The catalogue on SQLAlchemy 2: SQLite (WAL) by default, PostgreSQL by its URL; each method is one transaction."""

from __future__ import annotations

from coldchain.sql.acquisitions import Acquisitions
from coldchain.sql.artifacts import Artifacts
from coldchain.sql.audits import Audits
from coldchain.sql.choices import Choices
from coldchain.sql.copies import Copies
from coldchain.sql.deletions import Deletions
from coldchain.sql.dues import Dues
from coldchain.sql.facts import Knowledge
from coldchain.sql.holds import Holds
from coldchain.sql.leases import Leases
from coldchain.sql.locations import Locations
from coldchain.sql.media import Media
from coldchain.sql.overrides import Overrides
from coldchain.sql.projects import Projects
from coldchain.sql.proposals import Proposals
from coldchain.sql.recalls import Recalls
from coldchain.sql.receipts import Receipts
from coldchain.sql.reviews import Reviews
from coldchain.sql.settings import Settings
from coldchain.sql.totals import Totals


class SqlCatalogue(
    Projects,
    Acquisitions,
    Artifacts,
    Choices,
    Copies,
    Deletions,
    Locations,
    Media,
    Holds,
    Leases,
    Receipts,
    Settings,
    Totals,
    Knowledge,
    Dues,
    Proposals,
    Overrides,
    Reviews,
    Audits,
    Recalls,
):
    """A catalogue in a SQL database: each part in the file of its name."""
