"""Tables of the SQLAlchemy catalogue; `coldchain/sql/migrations` makes and changes them in real databases."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa

metadata = sa.MetaData()


class Utc(sa.types.TypeDecorator[dt.datetime]):
    """A moment, kept as UTC; refuses one without a time zone."""

    impl = sa.DateTime
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: sa.Dialect) -> dt.datetime | None:
        """To the database."""
        del dialect
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a moment without a time zone: {value}")
        return value.astimezone(dt.UTC).replace(tzinfo=None)

    def process_result_value(self, value: dt.datetime | None, dialect: sa.Dialect) -> dt.datetime | None:
        """From the database."""
        del dialect
        return None if value is None else value.replace(tzinfo=dt.UTC)


def _id() -> sa.Column[int]:
    return sa.Column("id", sa.Integer, primary_key=True)


def _to(table: str) -> sa.Column[int]:
    return sa.Column(f"{table}_id", sa.Integer, sa.ForeignKey(f"{table}.id"), nullable=False)


project = sa.Table(
    "project", metadata, _id(), sa.Column("name", sa.Text, unique=True, nullable=False), sa.Column("body", sa.JSON, nullable=False)
)

dataset = sa.Table(
    "dataset",
    metadata,
    _id(),
    _to("project"),
    sa.Column("name", sa.Text, unique=True, nullable=False),
    sa.Column("body", sa.JSON, nullable=False),
)

activity = sa.Table(
    "activity",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("fingerprint", sa.Text, nullable=False, index=True),
    sa.Column("started_at", Utc, nullable=False),
    sa.Column("ended_at", Utc, nullable=False),
    sa.Column("body", sa.JSON, nullable=False),
)

artifact = sa.Table(
    "artifact",
    metadata,
    _id(),
    _to("dataset"),
    sa.Column("level", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("files", sa.Integer, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("activity_id", sa.Text, sa.ForeignKey("activity.id"), nullable=False),
    sa.Column("made_at", Utc, nullable=False),
    sa.UniqueConstraint("dataset_id", "level", "digest"),
)

output = sa.Table(
    "output",
    metadata,
    sa.Column("activity_id", sa.Text, sa.ForeignKey("activity.id"), primary_key=True),
    sa.Column("artifact_id", sa.Integer, sa.ForeignKey("artifact.id"), primary_key=True),
)

copy = sa.Table(
    "copy",
    metadata,
    _id(),
    _to("artifact"),
    sa.Column("location", sa.Text, nullable=False),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("created_at", Utc, nullable=False),
    sa.Column("verified_at", Utc),
    sa.Column("due_at", Utc),
    sa.Column("protection", sa.Text, nullable=False, server_default="none"),
    sa.Column("detail", sa.Text, nullable=False, server_default=""),
    sa.Index("copy_location_path", "location", "path"),
    sa.Index("copy_artifact", "artifact_id"),
)
sa.Index("copy_due", copy.c.due_at, sqlite_where=copy.c.due_at.is_not(None), postgresql_where=copy.c.due_at.is_not(None))
sa.Index(
    "copy_in_use",
    copy.c.artifact_id,
    copy.c.location,
    unique=True,
    sqlite_where=copy.c.state != "removed",
    postgresql_where=copy.c.state != "removed",
)

location = sa.Table(
    "location",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("identity", sa.Text, nullable=False, unique=True),
    sa.Column("registered_at", Utc, nullable=False),
)

hold = sa.Table(
    "hold",
    metadata,
    _id(),
    _to("dataset"),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("until", sa.Date, nullable=False),
    sa.Column("ended", sa.Boolean, nullable=False, server_default=sa.false()),
)

lease = sa.Table(
    "lease",
    metadata,
    _id(),
    sa.Column("scope", sa.Text, nullable=False, index=True),
    sa.Column("use", sa.Text, nullable=False),
    sa.Column("holder", sa.Text, nullable=False, index=True),
    sa.Column("until", Utc, nullable=False),
)

receipt = sa.Table(
    "receipt",
    metadata,
    _id(),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("at", Utc, nullable=False),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False, unique=True),
)
