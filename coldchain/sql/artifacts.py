"""Artifacts and the activities that made them, in the catalogue."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from coldchain.copies import Artifact, Copy
from coldchain.errors import NotInCatalogue
from coldchain.levels import Level
from coldchain.provenance import Activity
from coldchain.sql import tables
from coldchain.sql.copies import insert_copy
from coldchain.sql.database import Database
from coldchain.sql.keys import artifact_key, artifact_keys, dataset_key

_MOMENTS = ("started_at", "ended_at")
_DESCRIBING = {"level", "digest", "files", "bytes", "activity_id", "made_at"}


class Artifacts(Database):
    """Artifacts and the activities that made them, in the catalogue."""

    def record(self, activity: Activity, artifact: Artifact, location: str, now: dt.datetime) -> Copy:
        """Write down, in one step, how an artifact was made and a copy that is being put in place."""
        with self.writing.begin() as db:
            _insert_activity(db, activity)
            _insert_artifact(db, artifact, activity.id)
            return insert_copy(db, artifact.id, location, artifact.folder, now)

    def made(self, fingerprint: str) -> list[Artifact]:
        """Artifacts of the step with this fingerprint."""
        joined = tables.output.join(tables.activity)
        outputs = sa.select(tables.output.c.artifact_id).select_from(joined).where(tables.activity.c.fingerprint == fingerprint)
        return self._artifacts(tables.artifact.c.id.in_(outputs))

    def artifact(self, artifact: str) -> Artifact:
        """One artifact by its id; raises NotInCatalogue."""
        with self.engine.connect() as db:
            key = artifact_key(db, artifact)
        return self._artifacts(tables.artifact.c.id == key)[0]

    def artifacts(self, dataset: str | None = None, level: Level | None = None) -> list[Artifact]:
        """Artifacts, newest last."""
        conditions = [tables.dataset.c.name == dataset] if dataset else []
        return self._artifacts(*conditions, *([tables.artifact.c.level == level] if level else []))

    def _artifacts(self, *conditions: sa.ColumnElement[bool]) -> list[Artifact]:
        columns = [tables.dataset.c.name, *(c for c in tables.artifact.c if c.name in _DESCRIBING)]
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
        return activity_of(row)


def activity_of(row: Any) -> Activity:
    """An activity from its row."""
    body = row.body | {"inputs": tuple(row.body["inputs"])}
    return Activity(id=row.id, fingerprint=row.fingerprint, started_at=row.started_at, ended_at=row.ended_at, **body)


def _insert_activity(db: sa.Connection, activity: Activity) -> None:
    if db.scalar(sa.select(tables.activity.c.id).where(tables.activity.c.id == activity.id)) is None:
        body = {key: value for key, value in asdict(activity).items() if key not in {"id", "fingerprint", *_MOMENTS}}
        moments = {key: getattr(activity, key) for key in _MOMENTS}
        db.execute(sa.insert(tables.activity).values(id=activity.id, fingerprint=activity.fingerprint, body=body, **moments))
        inputs = [{"activity_id": activity.id, "artifact_id": key} for key in artifact_keys(db, activity.inputs).values()]
        if inputs:
            db.execute(sa.insert(tables.input_), inputs)


def _insert_artifact(db: sa.Connection, artifact: Artifact, activity: str) -> None:
    """Write an artifact down once, and each activity that made it."""
    dataset = dataset_key(db, artifact.dataset)
    unique = (
        tables.artifact.c.dataset_id == dataset,
        tables.artifact.c.level == artifact.level,
        tables.artifact.c.digest == artifact.digest,
    )
    if db.scalar(sa.select(tables.artifact.c.id).where(*unique)) is None:
        row = {"dataset_id": dataset, "level": artifact.level, "digest": artifact.digest, "files": artifact.files, "bytes": artifact.bytes}
        db.execute(sa.insert(tables.artifact).values(**row, activity_id=artifact.activity, made_at=artifact.made_at, check_at=tables.EPOCH))
    output = {"activity_id": activity, "artifact_id": db.scalar(sa.select(tables.artifact.c.id).where(*unique))}
    if db.scalar(sa.select(tables.output.c.artifact_id).filter_by(**output)) is None:
        db.execute(sa.insert(tables.output).values(**output))
