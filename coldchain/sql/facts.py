"""What the catalogue knows of some datasets: a fixed number of questions, whatever the number of datasets."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from coldchain.copies import Artifact, Copy, CopyState
from coldchain.dataset import Project
from coldchain.ledger import Facts
from coldchain.levels import Level
from coldchain.sql import tables
from coldchain.sql.artifacts import activity_of
from coldchain.sql.choices import read_choices
from coldchain.sql.closure import around
from coldchain.sql.database import Database
from coldchain.sql.holds import read_holds
from coldchain.sql.keys import names, numbers
from coldchain.sql.leases import living_leases
from coldchain.sql.media import read_media
from coldchain.sql.overrides import read_overrides
from coldchain.sql.proposals import read_proposals

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coldchain.provenance import Activity

_STATES = {str(state): state for state in CopyState}
_LEVELS = {str(level): level for level in Level}
_REST = ("created_at", "verified_at", "due_at", "protection", "detail")
_LEFT_OUT = {"check_at", "short", "dataset_id"}


class Knowledge(Database):
    """What the catalogue knows of some datasets."""

    def facts(self, datasets: Sequence[str], now: dt.datetime) -> Facts:
        """Everything at one moment of some datasets, of what they are made from and of what is made from them."""
        with self.reading.begin() as db:
            rows = _artifacts(db, datasets)
            artifacts = {row.id: _artifact(row) for row in rows}
            named = sorted({*datasets, *(artifact.dataset for artifact in artifacts.values())})
            ids = {key: artifact.id for key, artifact in artifacts.items()}
            known = frozenset(ids.values())
            ours = tables.dataset.c.name.in_(names(db, named))
            return Facts(
                projects=_projects(db, named),
                artifacts={artifact.id: artifact for artifact in artifacts.values()},
                copies=_copies(db, ids),
                activities=_activities(db, [artifact.activity for artifact in artifacts.values()]),
                holds=tuple(read_holds(db, ours)),
                leases=tuple(lease for lease in living_leases(db, now) if lease.scope in known),
                asked_for={ids[row.id]: row.asked_at for row in rows if row.asked_at is not None},
                proposals=tuple(read_proposals(db, tables.copy.c.artifact_id.in_(numbers(db, list(ids))))),
                overrides=tuple(read_overrides(db, ours)),
                media=read_media(db),
                choices=tuple(read_choices(db, ours)),
            )


def _artifacts(db: sa.Connection, datasets: Sequence[str]) -> Sequence[sa.Row[Any]]:
    """Rows of the artifacts of some datasets, of what they are made from, and of what is made from them."""
    joined = tables.artifact.join(tables.dataset)
    ours = sa.select(tables.artifact.c.id).select_from(joined).where(tables.dataset.c.name.in_(names(db, datasets)))
    concerned = tables.artifact.c.id.in_(numbers(db, around(db, ours)))
    columns = (*(column for column in tables.artifact.c if column.name not in _LEFT_OUT), tables.dataset.c.name)
    return db.execute(sa.select(*columns).select_from(joined).where(concerned).order_by(tables.artifact.c.id)).all()


def _artifact(row: Any) -> Artifact:
    return Artifact(row.name, _LEVELS[row.level], row.digest, row.files, row.bytes, row.activity_id, row.made_at)


def _projects(db: sa.Connection, datasets: Sequence[str]) -> dict[str, Project]:
    projects = sorted({name.split("/", 1)[0] for name in datasets})
    query = sa.select(tables.project).where(tables.project.c.name.in_(names(db, projects)))
    return {row.name: Project.model_validate(row.body) for row in db.execute(query)}


def _copies(db: sa.Connection, artifacts: dict[int, str]) -> tuple[Copy, ...]:
    of_these = (tables.copy.c.artifact_id.in_(numbers(db, list(artifacts))), tables.copy.c.state != CopyState.REMOVED)
    query = sa.select(*(tables.copy.c[name] for name in ("id", "artifact_id", "location", "path", "state", *_REST)))
    rows = db.execute(query.where(*of_these).order_by(tables.copy.c.id))
    return tuple(Copy(key, artifacts[of], place, path, _STATES[state], *rest) for key, of, place, path, state, *rest in rows)


def _activities(db: sa.Connection, activities: Sequence[str]) -> dict[str, Activity]:
    query = sa.select(tables.activity).where(tables.activity.c.id.in_(names(db, sorted(set(activities)))))
    return {row.id: activity_of(row) for row in db.execute(query)}
