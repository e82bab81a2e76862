"""Deletions that were begun: what each copy's receipt will say, before its bytes go; SQLite refuses to replace a receipt, too."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the table, and close the way around the triggers: `INSERT OR REPLACE` deletes without telling them."""
    op.create_table(
        "deletion",
        sa.Column("copy_id", sa.Integer, sa.ForeignKey("copy.id"), primary_key=True),
        sa.Column("account", sa.Text, nullable=False),
    )
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            "CREATE TRIGGER receipt_stays_insert BEFORE INSERT ON receipt"
            " WHEN EXISTS (SELECT 1 FROM receipt WHERE id = NEW.id OR digest = NEW.digest)"
            " BEGIN SELECT RAISE(ABORT, 'a receipt is never changed'); END"
        )
