"""The catalogue on SQLAlchemy 2: SQLite (WAL) by default, PostgreSQL by its URL."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import threading
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa

from coldchain import catalogue_tables as tables
from coldchain.catalogue_database import open_engine, upgrade
from coldchain.copies import Artifact, Copy, CopyState
from coldchain.dataset import Dataset, Project
from coldchain.errors import ConfigurationError, LeaseTaken, LocationUnreachable, NotInCatalogue
from coldchain.holds import Hold, Lease, Use, blocks, holder_lives, new_holder
from coldchain.levels import Level
from coldchain.provenance import Activity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Named = TypeVar("Named", Project, Dataset)

LEASE = dt.timedelta(minutes=15)
_MOMENTS = ("started_at", "ended_at")


class SqlCatalogue:
    """A catalogue in a SQL database; each method is one transaction."""

    def __init__(self, url: str) -> None:
        """Open the database, making or upgrading its tables where needed."""
        self.url = url
        self.engine = open_engine(url)
        self.writing = self.engine.execution_options(coldchain_writes=True)
        upgrade(self.engine)

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    # projects and datasets

    def save_project(self, project: Project) -> None:
        """Add or change a project."""
        with self.writing.begin() as db:
            _save(db, tables.project, project.id, body=project.model_dump(mode="json"))

    def projects(self) -> list[Project]:
        """All projects, by id."""
        with self.engine.connect() as db:
            return [Project.model_validate(body) for body in db.scalars(sa.select(tables.project.c.body).order_by(tables.project.c.name))]

    def project(self, project: str) -> Project:
        """One project; raises NotInCatalogue."""
        return _named(self.projects(), project, "project")

    def save_dataset(self, dataset: Dataset) -> None:
        """Add or change a dataset; its project must be known."""
        with self.writing.begin() as db:
            owner = db.scalar(sa.select(tables.project.c.id).where(tables.project.c.name == dataset.project))
            if owner is None:
                raise NotInCatalogue("no such project", on=dataset.project, hint="ingest creates it, or fill the project form")
            _save(db, tables.dataset, dataset.id, project_id=owner, body=dataset.model_dump(mode="json"))

    def datasets(self) -> list[Dataset]:
        """All datasets, by id."""
        with self.engine.connect() as db:
            return [Dataset.model_validate(body) for body in db.scalars(sa.select(tables.dataset.c.body).order_by(tables.dataset.c.name))]

    def dataset(self, dataset: str) -> Dataset:
        """One dataset by ``project/name``; raises NotInCatalogue."""
        return _named(self.datasets(), dataset, "dataset")

    # artifacts and activities

    def record(self, activity: Activity, artifact: Artifact, location: str, now: dt.datetime) -> Copy:
        """Write down, in one step, how an artifact was made and a copy that is being put in place."""
        with self.writing.begin() as db:
            _insert_activity(db, activity)
            _insert_artifact(db, artifact, activity.id)
            return _start_copy(db, artifact.id, location, artifact.folder, now)

    def made(self, fingerprint: str) -> list[Artifact]:
        """Artifacts of the step with this fingerprint."""
        joined = tables.output.join(tables.activity)
        outputs = sa.select(tables.output.c.artifact_id).select_from(joined).where(tables.activity.c.fingerprint == fingerprint)
        return self._artifacts(tables.artifact.c.id.in_(outputs))

    def artifact(self, artifact: str) -> Artifact:
        """One artifact by its id; raises NotInCatalogue."""
        with self.engine.connect() as db:
            key = _artifact_key(db, artifact)
        return self._artifacts(tables.artifact.c.id == key)[0]

    def artifacts(self, dataset: str | None = None, level: Level | None = None) -> list[Artifact]:
        """Artifacts, newest last."""
        conditions = [tables.dataset.c.name == dataset] if dataset else []
        return self._artifacts(*conditions, *([tables.artifact.c.level == level] if level else []))

    def _artifacts(self, *conditions: sa.ColumnElement[bool]) -> list[Artifact]:
        columns = [tables.dataset.c.name, *(c for c in tables.artifact.c if c.name not in {"id", "dataset_id"})]
        joined = tables.artifact.join(tables.dataset)
        query = sa.select(*columns).select_from(joined).where(*conditions).order_by(tables.artifact.c.made_at, tables.artifact.c.id)
        with self.engine.connect() as db:
            return [
                Artifact(row.name, Level(row.level), row.digest, row.files, row.bytes, row.activity_id, row.made_at)
                for row in db.execute(query)
            ]

    def activity(self, activity: str) -> Activity:
        """How something was made; raises NotInCatalogue."""
        with self.engine.connect() as db:
            row = db.execute(sa.select(tables.activity).where(tables.activity.c.id == activity)).one_or_none()
        if row is None:
            raise NotInCatalogue("no such activity", on=activity)
        body = row.body | {"inputs": tuple(row.body["inputs"])}
        return Activity(id=row.id, fingerprint=row.fingerprint, started_at=row.started_at, ended_at=row.ended_at, **body)

    # copies

    def copies(self, *, artifact: str | None = None, location: str | None = None, states: Sequence[CopyState] = ()) -> list[Copy]:
        """Copies, oldest first."""
        with self.engine.connect() as db:
            conditions = [tables.copy.c.artifact_id == _artifact_key(db, artifact)] if artifact else []
            if location:
                conditions.append(tables.copy.c.location == location)
            if states:
                conditions.append(tables.copy.c.state.in_(states))
            return _copies(db, *conditions)

    def start_copy(self, artifact: str, location: str, path: str, now: dt.datetime) -> Copy:
        """Give the copy of an artifact at a location, starting one where there is none in use."""
        with self.writing.begin() as db:
            return _start_copy(db, artifact, location, path, now)

    def change_copy(self, copy: int, **changes: Any) -> Copy:
        """Change a copy's state, times, protection or detail."""
        with self.writing.begin() as db:
            db.execute(sa.update(tables.copy).where(tables.copy.c.id == copy).values(**changes))
            found = _copies(db, tables.copy.c.id == copy)
        if not found:
            raise NotInCatalogue("no such copy", on=copy)
        return found[0]

    def close_removals(self, copies: Sequence[int], receipt: Mapping[str, Any], who: str, now: dt.datetime) -> str:
        """Mark copies whose bytes are gone as removed and keep the receipt, in one step."""
        with self.writing.begin() as db:
            db.execute(sa.update(tables.copy).where(tables.copy.c.id.in_(copies)).values(state=CopyState.REMOVED))
            return _add_receipt(db, "removal", receipt, who, now)

    # locations

    def identity(self, location: str) -> str | None:
        """Identity that a location had when it was registered."""
        with self.engine.connect() as db:
            return db.scalar(sa.select(tables.location.c.identity).where(tables.location.c.name == location))

    def save_identity(self, location: str, identity: str, now: dt.datetime) -> None:
        """Register a location's identity once; another identity later, or one of another location, is refused."""
        with self.writing.begin() as db:
            rows = db.execute(
                sa.select(tables.location).where(sa.or_(tables.location.c.name == location, tables.location.c.identity == identity))
            ).all()
            if any((row.name, row.identity) != (location, identity) for row in rows):
                raise ConfigurationError(
                    "a location is not the store it was, or is the same store as another",
                    on=location,
                    expected=f"identity {rows[0].identity} of {rows[0].name}",
                    got=identity,
                    hint="mount the right medium; give a new medium a new location name",
                )
            if not rows:
                db.execute(sa.insert(tables.location).values(name=location, identity=identity, registered_at=now))

    # holds

    def add_hold(self, dataset: str, reason: str, who: str, until: dt.date) -> Hold:
        """Hold a dataset until a day."""
        with self.writing.begin() as db:
            key = db.scalar(sa.select(tables.dataset.c.id).where(tables.dataset.c.name == dataset))
            if key is None:
                raise NotInCatalogue("no such dataset", on=dataset, hint="`coldchain status` lists them")
            row = db.execute(sa.insert(tables.hold).values(dataset_id=key, reason=reason, who=who, until=until).returning(tables.hold.c.id))
            return Hold(row.scalar_one(), dataset, reason, who, until)

    def end_hold(self, hold: int) -> None:
        """End a hold."""
        with self.writing.begin() as db:
            if not db.execute(sa.update(tables.hold).where(tables.hold.c.id == hold).values(ended=True)).rowcount:
                raise NotInCatalogue("no such hold", on=hold)

    def holds(self, dataset: str | None = None) -> list[Hold]:
        """Holds that were not ended."""
        query = sa.select(tables.hold, tables.dataset.c.name).join(tables.dataset).where(~tables.hold.c.ended).order_by(tables.hold.c.id)
        if dataset:
            query = query.where(tables.dataset.c.name == dataset)
        with self.engine.connect() as db:
            return [Hold(row.id, row.name, row.reason, row.who, row.until) for row in db.execute(query)]

    # leases

    @contextmanager
    def lease(self, scopes: Sequence[str], use: Use, now: dt.datetime) -> Iterator[str]:
        """Use things together while the context lasts, renewing the lease; gives the holder's name; raises LeaseTaken."""
        holder = new_holder()
        self._take(sorted(set(scopes)), use, holder, now)
        ended = threading.Event()
        renewal = threading.Thread(target=self._renew, args=(holder, ended), daemon=True)
        renewal.start()
        try:
            yield holder
        finally:
            ended.set()
            renewal.join()
            with self.writing.begin() as db:
                db.execute(sa.delete(tables.lease).where(tables.lease.c.holder == holder))

    def _take(self, scopes: Sequence[str], use: Use, holder: str, now: dt.datetime) -> None:
        with self.writing.begin() as db:
            held = _leases(db, tables.lease.c.scope.in_(scopes))
            if taken := [lease for lease in held if blocks(lease, use, now)]:
                raise LeaseTaken(
                    "in use by another run",
                    on=taken[0].scope,
                    got=f"{taken[0].use} until {taken[0].until:%H:%M:%S} UTC by {taken[0].holder}",
                    hint="try later",
                )
            for lease in held:
                if not blocks(lease, Use.ALONE, now):  # ended, or its holder is dead
                    db.execute(sa.delete(tables.lease).filter_by(scope=lease.scope, holder=lease.holder))
            rows = [{"scope": scope, "use": use, "holder": holder, "until": now + LEASE} for scope in scopes]
            if rows:
                db.execute(sa.insert(tables.lease), rows)

    def _renew(self, holder: str, ended: threading.Event) -> None:
        while not ended.wait(LEASE.total_seconds() / 5):
            with suppress(LocationUnreachable), self.writing.begin() as db:  # a round may fail: a lease lasts for five
                db.execute(sa.update(tables.lease).where(tables.lease.c.holder == holder).values(until=dt.datetime.now(dt.UTC) + LEASE))

    def leases(self, now: dt.datetime) -> list[Lease]:
        """Leases that have not ended and whose holders live."""
        with self.engine.connect() as db:
            return [lease for lease in _leases(db, tables.lease.c.until > now) if holder_lives(lease.holder)]

    # receipts

    def add_receipt(self, kind: str, body: Mapping[str, Any], who: str, now: dt.datetime) -> str:
        """Keep an account of what was done; returns its digest."""
        with self.writing.begin() as db:
            return _add_receipt(db, kind, body, who, now)

    def receipts(self, kind: str | None = None) -> list[dict[str, Any]]:
        """Receipts, oldest first, each with its digest."""
        query = sa.select(tables.receipt.c.body, tables.receipt.c.digest).order_by(tables.receipt.c.id)
        with self.engine.connect() as db:
            rows = db.execute(query.where(tables.receipt.c.kind == kind) if kind else query).all()
        return [json.loads(row.body) | {"digest": row.digest} for row in rows]


def _save(db: sa.Connection, table: sa.Table, name: str, **values: Any) -> None:
    if not db.execute(sa.update(table).where(table.c.name == name).values(**values)).rowcount:
        db.execute(sa.insert(table).values(name=name, **values))


def _named(found: list[Named], name: str, kind: str) -> Named:
    for each in found:
        if each.id == name:
            return each
    raise NotInCatalogue(f"no such {kind}", on=name, got=", ".join(each.id for each in found) or f"no {kind} at all")


def _artifact_key(db: sa.Connection, artifact: str) -> int:
    dataset, _, rest = artifact.rpartition("/")
    level, _, digest = rest.partition("@")
    joined = tables.artifact.join(tables.dataset)
    conditions = (tables.dataset.c.name == dataset, tables.artifact.c.level == level, tables.artifact.c.digest == digest)
    key = db.scalar(sa.select(tables.artifact.c.id).select_from(joined).where(*conditions))
    if key is None:
        raise NotInCatalogue("no such artifact", on=artifact)
    return int(key)


def _insert_activity(db: sa.Connection, activity: Activity) -> None:
    if db.scalar(sa.select(tables.activity.c.id).where(tables.activity.c.id == activity.id)) is None:
        body = {key: value for key, value in asdict(activity).items() if key not in {"id", "fingerprint", *_MOMENTS}}
        moments = {key: getattr(activity, key) for key in _MOMENTS}
        db.execute(sa.insert(tables.activity).values(id=activity.id, fingerprint=activity.fingerprint, body=body, **moments))


def _insert_artifact(db: sa.Connection, artifact: Artifact, activity: str) -> None:
    """Write an artifact down once, and each activity that made it."""
    dataset = db.scalar(sa.select(tables.dataset.c.id).where(tables.dataset.c.name == artifact.dataset))
    if dataset is None:
        raise NotInCatalogue("no such dataset", on=artifact.dataset, hint="ingest creates it")
    unique = (
        tables.artifact.c.dataset_id == dataset,
        tables.artifact.c.level == artifact.level,
        tables.artifact.c.digest == artifact.digest,
    )
    if db.scalar(sa.select(tables.artifact.c.id).where(*unique)) is None:
        row = {"dataset_id": dataset, "level": artifact.level, "digest": artifact.digest, "files": artifact.files, "bytes": artifact.bytes}
        db.execute(sa.insert(tables.artifact).values(**row, activity_id=artifact.activity, made_at=artifact.made_at))
    output = {"activity_id": activity, "artifact_id": db.scalar(sa.select(tables.artifact.c.id).where(*unique))}
    if db.scalar(sa.select(tables.output.c.artifact_id).filter_by(**output)) is None:
        db.execute(sa.insert(tables.output).values(**output))


def _start_copy(db: sa.Connection, artifact: str, location: str, path: str, now: dt.datetime) -> Copy:
    key = _artifact_key(db, artifact)
    conditions = (tables.copy.c.artifact_id == key, tables.copy.c.location == location, tables.copy.c.state != CopyState.REMOVED)
    if found := _copies(db, *conditions):
        return found[0]
    row = {"artifact_id": key, "location": location, "path": path, "state": CopyState.COPYING, "created_at": now}
    db.execute(sa.insert(tables.copy).values(**row))
    return _copies(db, *conditions)[0]


def _copies(db: sa.Connection, *conditions: sa.ColumnElement[bool]) -> list[Copy]:
    joined = tables.copy.join(tables.artifact).join(tables.dataset)
    columns = (*tables.copy.c, tables.dataset.c.name, tables.artifact.c.level, tables.artifact.c.digest)
    query = sa.select(*columns).select_from(joined).where(*conditions).order_by(tables.copy.c.id)
    return [
        Copy(
            id=row.id,
            artifact=f"{row.name}/{row.level}@{row.digest}",
            location=row.location,
            path=row.path,
            state=CopyState(row.state),
            created_at=row.created_at,
            verified_at=row.verified_at,
            due_at=row.due_at,
            protection=row.protection,
            detail=row.detail,
        )
        for row in db.execute(query)
    ]


def _add_receipt(db: sa.Connection, kind: str, body: Mapping[str, Any], who: str, now: dt.datetime) -> str:
    text = json.dumps({"kind": kind, "at": now.isoformat(), "who": who, **body}, sort_keys=True, default=str)
    digest = hashlib.sha256(text.encode()).hexdigest()
    db.execute(sa.insert(tables.receipt).values(kind=kind, at=now, who=who, body=text, digest=digest))
    return digest


def _leases(db: sa.Connection, *conditions: sa.ColumnElement[bool]) -> list[Lease]:
    query = sa.select(tables.lease).where(*conditions).order_by(tables.lease.c.id)
    return [Lease(row.scope, Use(row.use), row.holder, row.until) for row in db.execute(query)]
