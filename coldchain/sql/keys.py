"""Rows by the names that the rest of Coldchain uses."""

from __future__ import annotations

import sqlalchemy as sa

from coldchain.errors import NotInCatalogue
from coldchain.sql import tables


def dataset_key(db: sa.Connection, dataset: str) -> int:
    """Row of a dataset; raises NotInCatalogue."""
    key = db.scalar(sa.select(tables.dataset.c.id).where(tables.dataset.c.name == dataset))
    if key is None:
        raise NotInCatalogue("no such dataset", on=dataset, hint="ingest creates it; `coldchain status` lists them")
    return int(key)


def artifact_key(db: sa.Connection, artifact: str) -> int:
    """Row of an artifact by its id; raises NotInCatalogue."""
    dataset, _, rest = artifact.rpartition("/")
    level, _, digest = rest.partition("@")
    joined = tables.artifact.join(tables.dataset)
    conditions = (tables.dataset.c.name == dataset, tables.artifact.c.level == level, tables.artifact.c.digest == digest)
    key = db.scalar(sa.select(tables.artifact.c.id).select_from(joined).where(*conditions))
    if key is None:
        raise NotInCatalogue("no such artifact", on=artifact)
    return int(key)
