"""Acquisition folders that are watched."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the table: nothing was watched before."""
    words = ("state", "digest", "dataset", "taken", "why", "described")
    op.create_table(
        "acquisition",
        sa.Column("folder", sa.Text, primary_key=True),
        *(sa.Column(word, sa.Text, nullable=False) for word in words),
        sa.Column("since", sa.DateTime, nullable=False),
        sa.Column("looks", sa.Integer, nullable=False),
    )
