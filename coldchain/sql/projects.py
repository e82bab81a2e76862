"""Projects and datasets in the catalogue."""

from __future__ import annotations

from typing import Any, TypeVar

import sqlalchemy as sa

from coldchain.dataset import Dataset, Project
from coldchain.errors import NotInCatalogue
from coldchain.sql import tables
from coldchain.sql.database import Database

Named = TypeVar("Named", Project, Dataset)


class Projects(Database):
    """Projects and datasets in the catalogue."""

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


def _save(db: sa.Connection, table: sa.Table, name: str, **values: Any) -> None:
    if not db.execute(sa.update(table).where(table.c.name == name).values(**values)).rowcount:
        db.execute(sa.insert(table).values(name=name, **values))


def _named(found: list[Named], name: str, kind: str) -> Named:
    for each in found:
        if each.id == name:
            return each
    raise NotInCatalogue(f"no such {kind}", on=name, got=", ".join(each.id for each in found) or f"no {kind} at all")
