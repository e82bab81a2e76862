"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables as they stood at this revision; a second process that comes at the same time finds them."""
    moment = sa.DateTime
    op.create_table("project", _id(), _text("name", unique=True), sa.Column("body", sa.JSON, nullable=False), if_not_exists=True)
    op.create_table(
        "dataset", _id(), _to("project"), _text("name", unique=True), sa.Column("body", sa.JSON, nullable=False), if_not_exists=True
    )
    op.create_table(
        "activity",
        sa.Column("id", sa.Text, primary_key=True),
        _text("fingerprint", index=True),
        sa.Column("started_at", moment, nullable=False),
        sa.Column("ended_at", moment, nullable=False),
        sa.Column("body", sa.JSON, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "artifact",
        _id(),
        _to("dataset"),
        _text("level"),
        _text("digest"),
        sa.Column("files", sa.Integer, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("activity_id", sa.Text, sa.ForeignKey("activity.id"), nullable=False),
        sa.Column("made_at", moment, nullable=False),
        sa.UniqueConstraint("dataset_id", "level", "digest"),
        if_not_exists=True,
    )
    op.create_table(
        "output",
        sa.Column("activity_id", sa.Text, sa.ForeignKey("activity.id"), primary_key=True),
        sa.Column("artifact_id", sa.Integer, sa.ForeignKey("artifact.id"), primary_key=True),
        if_not_exists=True,
    )
    _copies(moment)
    op.create_table(
        "location",
        sa.Column("name", sa.Text, primary_key=True),
        _text("identity", unique=True),
        sa.Column("registered_at", moment, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "hold",
        _id(),
        _to("dataset"),
        _text("reason"),
        _text("who"),
        sa.Column("until", sa.Date, nullable=False),
        sa.Column("ended", sa.Boolean, nullable=False, server_default=sa.false()),
        if_not_exists=True,
    )
    op.create_table(
        "lease",
        _id(),
        _text("scope", index=True),
        _text("use"),
        _text("holder", index=True),
        sa.Column("until", moment, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "receipt",
        _id(),
        _text("kind"),
        sa.Column("at", moment, nullable=False),
        _text("who"),
        _text("body"),
        _text("digest", unique=True),
        if_not_exists=True,
    )


def _copies(moment: type[sa.DateTime]) -> None:
    op.create_table(
        "copy",
        _id(),
        _to("artifact"),
        _text("location"),
        _text("path"),
        _text("state"),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("verified_at", moment),
        sa.Column("due_at", moment),
        sa.Column("protection", sa.Text, nullable=False, server_default="none"),
        sa.Column("detail", sa.Text, nullable=False, server_default=""),
        if_not_exists=True,
    )
    op.create_index("copy_location_path", "copy", ["location", "path"], if_not_exists=True)
    op.create_index("copy_artifact", "copy", ["artifact_id"], if_not_exists=True)
    due, used = sa.text("due_at IS NOT NULL"), sa.text("state <> 'removed'")
    op.create_index("copy_due", "copy", ["due_at"], sqlite_where=due, postgresql_where=due, if_not_exists=True)
    op.create_index(
        "copy_in_use", "copy", ["artifact_id", "location"], unique=True, sqlite_where=used, postgresql_where=used, if_not_exists=True
    )


def _id() -> sa.Column[int]:
    return sa.Column("id", sa.Integer, primary_key=True)


def _to(table: str) -> sa.Column[int]:
    return sa.Column(f"{table}_id", sa.Integer, sa.ForeignKey(f"{table}.id"), nullable=False)


def _text(name: str, *, unique: bool = False, index: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False, unique=unique, index=index)
