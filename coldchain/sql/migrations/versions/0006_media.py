"""Media that are taken away: disks and tapes on a shelf."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the table: nothing was taken away before."""
    words = ("state", "place", "holder", "who")
    op.create_table(
        "medium",
        sa.Column("location", sa.Text, primary_key=True),
        *(sa.Column(word, sa.Text, nullable=False) for word in words),
        sa.Column("since", sa.DateTime, nullable=False),
        sa.Column("seen_at", sa.DateTime),
    )
