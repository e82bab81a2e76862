"""Recalls from archives that take hours."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the table: nothing was recalled before."""
    op.create_table(
        "recall",
        sa.Column("artifact", sa.Text, primary_key=True),
        sa.Column("to", sa.Text, primary_key=True),
        sa.Column("days", sa.Integer, nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("asked_at", sa.DateTime, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("ended_at", sa.DateTime),
    )
