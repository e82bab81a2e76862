"""The catalogue's database: opening it, bringing its tables up to date, and what it says in our words."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from coldchain.errors import ConfigurationError, LocationUnreachable, OutOfSpace

HEAD = "0007"
WRITERS = 0x636F6C64  # "cold": the advisory lock of whoever writes on PostgreSQL
_ONE_MOMENT = {"postgresql": {"isolation_level": "REPEATABLE READ"}}
"""How several questions are answered as of one moment; SQLite does so by itself."""


class Database:
    """A database, opened, with its tables as this version wants them."""

    def __init__(self, url: str) -> None:
        """Open the database, making or upgrading its tables where needed."""
        self.url = url
        self.engine = open_engine(url)
        self.writing = self.engine.execution_options(coldchain_writes=True)
        self.reading = self.engine.execution_options(**_ONE_MOMENT.get(self.engine.dialect.name, {}))
        try:
            upgrade(self.engine)
        except BaseException:  # whoever catches it has no catalogue to close
            self.close()
            raise

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


def upgrade(engine: sa.Engine) -> None:
    """Make or upgrade the tables where needed; raises ConfigurationError where a newer version made them."""
    with engine.connect() as db:
        known = sa.inspect(db).has_table("alembic_version")
        version = db.scalar(sa.text("select version_num from alembic_version")) if known else None
    if version is None or version < HEAD:
        _migrate(engine)
    elif version != HEAD:
        raise ConfigurationError(
            "the catalogue was made by a newer version",
            on=shown(engine),
            expected=HEAD,
            got=version,
            hint="install that version here too",
        )


def _migrate(engine: sa.Engine) -> None:
    """Make or upgrade the tables with Alembic."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["engine"] = engine
    command.upgrade(config, "head")


def open_engine(url: str) -> sa.Engine:
    """Open a database so that what is written is durable, writers take turns, and what it says becomes errors of ours."""
    if url.startswith("sqlite"):
        Path(sa.make_url(url).database or "").parent.mkdir(parents=True, exist_ok=True)
        engine = sa.create_engine(url, connect_args={"timeout": 30})
        sa.event.listen(engine, "connect", _prepare_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
    else:
        engine = sa.create_engine(url, pool_pre_ping=True)
        sa.event.listen(engine, "connect", _prepare_postgresql)
        sa.event.listen(engine, "begin", _begin_postgresql)
    sa.event.listen(engine, "handle_error", partial(_translate, shown(engine)))
    return engine


def _translate(name: str, context: sa.ExceptionContext) -> None:
    """Turn what the database says into errors of ours, wherever in this module it is said; raising here is SQLAlchemy's way."""
    said, error = context.original_exception, context.sqlalchemy_exception
    if isinstance(error, sa.exc.OperationalError) and "disk is full" in str(said):
        raise OutOfSpace("the catalogue's disk is full", on=name, got=said, done="this change was not made") from said
    if isinstance(error, sa.exc.OperationalError):
        raise LocationUnreachable(
            "the catalogue does not answer", on=name, got=said, done="this change was not made", hint="try later"
        ) from said
    if type(error) is sa.exc.DatabaseError:
        raise ConfigurationError(
            "the catalogue is no database", on=name, got=said, done="nothing was changed", hint="restore it from its backup"
        ) from said


def shown(engine: sa.Engine) -> str:
    """Name a database without its password."""
    return engine.url.render_as_string(hide_password=True)


def _prepare_sqlite(connection: Any, _record: object) -> None:
    """Durable, concurrent and with foreign keys; transactions are begun by `_begin_sqlite`."""
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=30000"):
        connection.execute(f"PRAGMA {pragma}")


def _prepare_postgresql(connection: Any, _record: object) -> None:
    """Without compiling queries first: ours take milliseconds, and compiling half a second."""
    with connection.cursor() as cursor:
        cursor.execute("SET jit = off")
    connection.commit()


def _begin_sqlite(connection: sa.Connection) -> None:
    """Take the write lock first where a transaction writes, so that what it read stays true."""
    writes = connection.get_execution_options().get("coldchain_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _begin_postgresql(connection: sa.Connection) -> None:
    """Let one writer in at a time, as SQLite does: what a transaction read, before it writes, stays true."""
    if connection.get_execution_options().get("coldchain_writes", False):
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITERS})")
