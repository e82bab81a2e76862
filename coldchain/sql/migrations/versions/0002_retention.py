"""Retention: inputs, due dates, standing, proposals, overrides, totals, audits, brakes; receipts that cannot be changed."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

PAGE = 500


def upgrade() -> None:
    """Add tables, columns and indexes, and fill them from what is there."""
    _columns()
    _indexes()
    _tables()
    _consent()
    _fill_inputs(op.get_bind())
    op.execute(
        "INSERT INTO total (location, level, state, copies, bytes) SELECT copy.location, artifact.level, copy.state, count(*),"
        " sum(artifact.bytes) FROM copy JOIN artifact ON artifact.id = copy.artifact_id GROUP BY 1, 2, 3"
    )
    _seal_receipts()


def _columns() -> None:
    for column in (sa.Column("asked_at", sa.DateTime), sa.Column("check_at", sa.DateTime), sa.Column("short", sa.JSON)):
        op.add_column("artifact", column)
    op.execute("UPDATE artifact SET check_at = '1970-01-01 00:00:00.000000'")


def _indexes() -> None:
    op.create_index("artifact_activity", "artifact", ["activity_id"])
    _partial("artifact_check", "artifact", ["check_at", "dataset_id"], "check_at IS NOT NULL")
    _partial("artifact_short", "artifact", ["id"], "short IS NOT NULL")
    op.drop_index("copy_due", "copy")
    dated = "state IN ('verified', 'trashed') AND due_at IS NOT NULL"
    _partial("copy_due", "copy", ["due_at", "artifact_id"], dated)
    _partial("copy_due_at", "copy", ["location", "due_at", "artifact_id"], dated)
    _partial("copy_read", "copy", ["location", "verified_at"], "state = 'verified'")
    _partial("copy_unsettled", "copy", ["state"], "state NOT IN ('verified', 'removed')")
    op.create_index("receipt_kind", "receipt", ["kind", "id"])


def _tables() -> None:
    op.create_table(
        "input",
        sa.Column("activity_id", sa.Text, sa.ForeignKey("activity.id"), primary_key=True),
        sa.Column("artifact_id", sa.Integer, sa.ForeignKey("artifact.id"), primary_key=True),
    )
    op.create_index("input_artifact", "input", ["artifact_id"])
    op.create_table("setting", _key("name"), _text("value"))
    op.create_table("total", _key("location"), _key("level"), _key("state"), *_amount())
    op.create_table("audit_night", sa.Column("night", sa.Date, primary_key=True), _key("location"), *_amount())
    op.create_table("brake", _key("location"), _text("why"), _moment("set_at"))
    op.create_table("aside", _id(), _to("copy"), _text("path"), _text("why"), _moment("at"))


def _consent() -> None:
    op.create_table("notice", _id(), _moment("told_at"), _text("policy"), *_amount())
    op.create_table(
        "proposal",
        _id(),
        _to("notice"),
        _to("copy"),
        _text("ground"),
        _moment("told_at"),
        _text("answer", server_default="none"),
        _text("who", server_default=""),
        sa.Column("answered_at", sa.DateTime),
        _text("note", server_default=""),
        sa.Column("closed_at", sa.DateTime),
        _text("closed_why", server_default=""),
    )
    _partial("proposal_open", "proposal", ["copy_id"], "closed_at IS NULL", unique=True)
    _partial("proposal_open_notice", "proposal", ["notice_id"], "closed_at IS NULL")
    op.create_table(
        "override",
        _id(),
        _to("dataset"),
        _text("check"),
        _text("reason"),
        _text("who"),
        sa.Column("until", sa.Date, nullable=False),
        _text("approved_by", server_default=""),
        sa.Column("approved_at", sa.DateTime),
        sa.Column("ended", sa.Boolean, nullable=False, server_default=sa.false()),
    )


def _fill_inputs(db: sa.Connection) -> None:
    """Write down which known artifacts each activity was made from, some activities at a time."""
    activity = sa.table("activity", sa.column("id", sa.Text), sa.column("body", sa.JSON))
    made_from = sa.table("input", sa.column("activity_id", sa.Text), sa.column("artifact_id", sa.Integer))
    page = sa.select(activity).order_by(activity.c.id).limit(PAGE)
    after = ""
    while rows := db.execute(page.where(activity.c.id > after)).all():
        after = rows[-1].id
        keys = _artifacts(db, sorted({name.rpartition("/")[0] for row in rows for name in row.body["inputs"]}))
        pairs = sorted({(row.id, keys[name]) for row in rows for name in row.body["inputs"] if name in keys})
        if pairs:
            db.execute(sa.insert(made_from), [{"activity_id": key, "artifact_id": artifact} for key, artifact in pairs])


def _artifacts(db: sa.Connection, datasets: list[str]) -> dict[str, int]:
    """Rows of the artifacts of some datasets, by their ids."""
    query = sa.text(
        "SELECT dataset.name || '/' || artifact.level || '@' || artifact.digest, artifact.id"
        " FROM artifact JOIN dataset ON dataset.id = artifact.dataset_id WHERE dataset.name IN :names"
    ).bindparams(sa.bindparam("names", expanding=True))
    parts = (datasets[start : start + PAGE] for start in range(0, len(datasets), PAGE))
    return {row[0]: row[1] for part in parts for row in db.execute(query, {"names": part})}


def _seal_receipts() -> None:
    """Let the database itself refuse to change or delete a receipt."""
    if op.get_bind().dialect.name == "sqlite":
        for event in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER receipt_stays_{event.lower()} BEFORE {event} ON receipt"
                " BEGIN SELECT RAISE(ABORT, 'a receipt is never changed'); END"
            )
        return
    op.execute(
        "CREATE FUNCTION receipt_stays() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'a receipt is never changed' USING ERRCODE = 'integrity_constraint_violation'; END $$"
    )
    op.execute(
        "CREATE TRIGGER receipt_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON receipt FOR EACH STATEMENT EXECUTE FUNCTION receipt_stays()"
    )


def _partial(name: str, table: str, columns: list[str], where: str, *, unique: bool = False) -> None:
    op.create_index(name, table, columns, unique=unique, sqlite_where=sa.text(where), postgresql_where=sa.text(where))


def _id() -> sa.Column[int]:
    return sa.Column("id", sa.Integer, primary_key=True)


def _to(table: str) -> sa.Column[int]:
    return sa.Column(f"{table}_id", sa.Integer, sa.ForeignKey(f"{table}.id"), nullable=False)


def _key(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, primary_key=True)


def _text(name: str, server_default: str | None = None) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False, server_default=server_default)


def _moment(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime, nullable=False)


def _amount() -> tuple[sa.Column[Any], sa.Column[Any]]:
    return sa.Column("copies", sa.Integer, nullable=False), sa.Column("bytes", sa.BigInteger, nullable=False)
