"""Projects and datasets in the catalogue."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from coldchain.dataset import Dataset, Project
from coldchain.errors import NotInCatalogue
from coldchain.sql import tables
from coldchain.sql.database import Database
from coldchain.sql.reviews import look_again

_SOME = 20  # names that an error lists


class Projects(Database):
    """Projects and datasets in the catalogue."""

    def save_project(self, project: Project) -> None:
        """Add or change a project; a change may change what the policy wants of all it holds."""
        body = project.model_dump(mode="json")
        with self.writing.begin() as db:
            before = db.scalar(sa.select(tables.project.c.body).where(tables.project.c.name == project.id))
            if before != body:
                _save(db, tables.project, project.id, body=body)
                look_again(db, _artifacts_of(project.id))

    def projects(self) -> list[Project]:
        """All projects, by id."""
        with self.engine.connect() as db:
            return [Project.model_validate(body) for body in db.scalars(sa.select(tables.project.c.body).order_by(tables.project.c.name))]

    def project(self, project: str) -> Project:
        """One project; raises NotInCatalogue."""
        with self.engine.connect() as db:
            return Project.model_validate(_body(db, tables.project, project))

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
        with self.engine.connect() as db:
            return Dataset.model_validate(_body(db, tables.dataset, dataset))


def _artifacts_of(project: str) -> sa.Select[tuple[int]]:
    """Rows of a project's artifacts."""
    joined = tables.artifact.join(tables.dataset).join(tables.project)
    return sa.select(tables.artifact.c.id).select_from(joined).where(tables.project.c.name == project)


def _save(db: sa.Connection, table: sa.Table, name: str, **values: Any) -> None:
    if not db.execute(sa.update(table).where(table.c.name == name).values(**values)).rowcount:
        db.execute(sa.insert(table).values(name=name, **values))


def _body(db: sa.Connection, table: sa.Table, name: str) -> Any:
    """What was saved under a name; raises NotInCatalogue."""
    body = db.scalar(sa.select(table.c.body).where(table.c.name == name))
    if body is None:
        some = db.scalars(sa.select(table.c.name).order_by(table.c.name).limit(_SOME)).all()
        raise NotInCatalogue(f"no such {table.name}", on=name, got=", ".join(some) or f"no {table.name} at all")
    return body
