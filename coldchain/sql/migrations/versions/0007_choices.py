"""Choices: which artifact of a level a person said is current; never changed, only followed by another. Makings by their artifact."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the table, and let the database itself refuse to change it: nothing was chosen before, the newest was current."""
    op.create_table(
        "choice",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("dataset_id", sa.Integer, sa.ForeignKey("dataset.id"), nullable=False),
        sa.Column("level", sa.Text, nullable=False),
        sa.Column("artifact_id", sa.Integer, sa.ForeignKey("artifact.id")),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("at", sa.DateTime, nullable=False),
    )
    op.create_index("choice_dataset", "choice", ["dataset_id"])
    op.create_index("output_artifact", "output", ["artifact_id"])
    if op.get_bind().dialect.name == "sqlite":
        _seal_sqlite()
        return
    op.execute(
        "CREATE FUNCTION choice_stays() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'a choice is never changed' USING ERRCODE = 'integrity_constraint_violation'; END $$"
    )
    op.execute(
        "CREATE TRIGGER choice_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON choice FOR EACH STATEMENT EXECUTE FUNCTION choice_stays()"
    )


def _seal_sqlite() -> None:
    for event in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER choice_stays_{event.lower()} BEFORE {event} ON choice"
            " BEGIN SELECT RAISE(ABORT, 'a choice is never changed'); END"
        )
    op.execute(
        "CREATE TRIGGER choice_stays_insert BEFORE INSERT ON choice WHEN EXISTS (SELECT 1 FROM choice WHERE id = NEW.id)"
        " BEGIN SELECT RAISE(ABORT, 'a choice is never changed'); END"
    )
