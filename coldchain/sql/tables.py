"""Tables of the SQLAlchemy catalogue; `coldchain/sql/migrations` makes and changes them in real databases."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from coldchain.copies import CopyState

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

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Callable[[Any], dt.datetime | None]:
        """From the database, in one step for each value: most of what reading many copies costs."""
        del coltype
        return _from_text if dialect.name == "sqlite" else _from_moment


def _from_text(value: str | None) -> dt.datetime | None:
    return None if value is None else dt.datetime.fromisoformat(value + "+00:00")


def _from_moment(value: dt.datetime | None) -> dt.datetime | None:
    return None if value is None else value.replace(tzinfo=dt.UTC)


EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
"""When an artifact has to be looked at again that has to be looked at now."""


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
    sa.Column("asked_at", Utc),
    sa.Column("check_at", Utc),
    sa.Column("short", sa.JSON(none_as_null=True)),
    sa.UniqueConstraint("dataset_id", "level", "digest"),
    sa.Index("artifact_activity", "activity_id"),
)
TO_REVIEW, SHORT = artifact.c.check_at.is_not(None), artifact.c.short.is_not(None)
sa.Index("artifact_check", artifact.c.check_at, artifact.c.dataset_id, sqlite_where=TO_REVIEW, postgresql_where=TO_REVIEW)
sa.Index("artifact_short", artifact.c.id, sqlite_where=SHORT, postgresql_where=SHORT)

output = sa.Table(
    "output",
    metadata,
    sa.Column("activity_id", sa.Text, sa.ForeignKey("activity.id"), primary_key=True),
    sa.Column("artifact_id", sa.Integer, sa.ForeignKey("artifact.id"), primary_key=True),
    sa.Index("output_artifact", "artifact_id"),
)

input_ = sa.Table(
    "input",
    metadata,
    sa.Column("activity_id", sa.Text, sa.ForeignKey("activity.id"), primary_key=True),
    sa.Column("artifact_id", sa.Integer, sa.ForeignKey("artifact.id"), primary_key=True),
    sa.Index("input_artifact", "artifact_id"),
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


def _states(*states: CopyState) -> list[sa.ColumnElement[str]]:
    """States as they stand in a partial index: SQLite uses the index only where the query says the same, not where it binds it."""
    return [sa.literal_column(f"'{state}'", sa.Text) for state in states]


VERIFIED = copy.c.state == _states(CopyState.VERIFIED)[0]
DATED = sa.and_(copy.c.state.in_(_states(CopyState.VERIFIED, CopyState.TRASHED)), copy.c.due_at.is_not(None))
UNSETTLED = copy.c.state.not_in(_states(CopyState.VERIFIED, CopyState.REMOVED))
IN_USE = copy.c.state != _states(CopyState.REMOVED)[0]
sa.Index("copy_due", copy.c.due_at, copy.c.artifact_id, sqlite_where=DATED, postgresql_where=DATED)
sa.Index("copy_due_at", copy.c.location, copy.c.due_at, copy.c.artifact_id, sqlite_where=DATED, postgresql_where=DATED)
sa.Index("copy_read", copy.c.location, copy.c.verified_at, sqlite_where=VERIFIED, postgresql_where=VERIFIED)
sa.Index("copy_unsettled", copy.c.state, sqlite_where=UNSETTLED, postgresql_where=UNSETTLED)
sa.Index("copy_in_use", copy.c.artifact_id, copy.c.location, unique=True, sqlite_where=IN_USE, postgresql_where=IN_USE)

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
    sa.Index("receipt_kind", "kind", "id"),
)

setting = sa.Table("setting", metadata, sa.Column("name", sa.Text, primary_key=True), sa.Column("value", sa.Text, nullable=False))

total = sa.Table(
    "total",
    metadata,
    sa.Column("location", sa.Text, primary_key=True),
    sa.Column("level", sa.Text, primary_key=True),
    sa.Column("state", sa.Text, primary_key=True),
    sa.Column("copies", sa.Integer, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
)

notice = sa.Table(
    "notice",
    metadata,
    _id(),
    sa.Column("told_at", Utc, nullable=False),
    sa.Column("policy", sa.Text, nullable=False),
    sa.Column("copies", sa.Integer, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
)

proposal = sa.Table(
    "proposal",
    metadata,
    _id(),
    _to("notice"),
    _to("copy"),
    sa.Column("ground", sa.Text, nullable=False),
    sa.Column("told_at", Utc, nullable=False),
    sa.Column("answer", sa.Text, nullable=False, server_default="none"),
    sa.Column("who", sa.Text, nullable=False, server_default=""),
    sa.Column("answered_at", Utc),
    sa.Column("note", sa.Text, nullable=False, server_default=""),
    sa.Column("closed_at", Utc),
    sa.Column("closed_why", sa.Text, nullable=False, server_default=""),
)
OPEN = proposal.c.closed_at.is_(None)
sa.Index("proposal_open", proposal.c.copy_id, unique=True, sqlite_where=OPEN, postgresql_where=OPEN)
sa.Index("proposal_open_notice", proposal.c.notice_id, sqlite_where=OPEN, postgresql_where=OPEN)

deletion = sa.Table(
    "deletion",
    metadata,
    sa.Column("copy_id", sa.Integer, sa.ForeignKey("copy.id"), primary_key=True),
    sa.Column("account", sa.Text, nullable=False),
)

acquisition = sa.Table(
    "acquisition",
    metadata,
    sa.Column("folder", sa.Text, primary_key=True),
    *(sa.Column(word, sa.Text, nullable=False) for word in ("state", "digest", "dataset", "taken", "why", "described")),
    sa.Column("since", Utc, nullable=False),
    sa.Column("looks", sa.Integer, nullable=False),
)

recall = sa.Table(
    "recall",
    metadata,
    sa.Column("artifact", sa.Text, primary_key=True),
    sa.Column("to", sa.Text, primary_key=True),
    sa.Column("days", sa.Integer, nullable=False),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("asked_at", Utc, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("ended_at", Utc),
)

medium = sa.Table(
    "medium",
    metadata,
    sa.Column("location", sa.Text, primary_key=True),
    *(sa.Column(word, sa.Text, nullable=False) for word in ("state", "place", "holder", "who")),
    sa.Column("since", Utc, nullable=False),
    sa.Column("seen_at", Utc),
)

choice = sa.Table(
    "choice",
    metadata,
    _id(),
    _to("dataset"),
    sa.Column("level", sa.Text, nullable=False),
    sa.Column("artifact_id", sa.Integer, sa.ForeignKey("artifact.id")),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("at", Utc, nullable=False),
    sa.Index("choice_dataset", "dataset_id"),
)

override = sa.Table(
    "override",
    metadata,
    _id(),
    _to("dataset"),
    sa.Column("check", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("until", sa.Date, nullable=False),
    sa.Column("approved_by", sa.Text, nullable=False, server_default=""),
    sa.Column("approved_at", Utc),
    sa.Column("ended", sa.Boolean, nullable=False, server_default=sa.false()),
)

audit_night = sa.Table(
    "audit_night",
    metadata,
    sa.Column("night", sa.Date, primary_key=True),
    sa.Column("location", sa.Text, primary_key=True),
    sa.Column("copies", sa.Integer, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
)

brake = sa.Table(
    "brake",
    metadata,
    sa.Column("location", sa.Text, primary_key=True),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("set_at", Utc, nullable=False),
)

aside = sa.Table(
    "aside",
    metadata,
    _id(),
    _to("copy"),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("at", Utc, nullable=False),
)
