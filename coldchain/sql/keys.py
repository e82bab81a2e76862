"""Rows by the names that the rest of Coldchain uses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from coldchain.errors import NotInCatalogue
from coldchain.sql import tables

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


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


def artifact_keys(db: sa.Connection, artifacts: Iterable[str]) -> dict[str, int]:
    """Rows of those of some artifacts that are known, by their ids."""
    wanted = frozenset(artifacts)
    datasets = names(db, sorted({name.rpartition("/")[0] for name in wanted}))
    columns = (tables.artifact.c.id, tables.dataset.c.name, tables.artifact.c.level, tables.artifact.c.digest)
    query = sa.select(*columns).select_from(tables.artifact.join(tables.dataset)).where(tables.dataset.c.name.in_(datasets))
    found = {f"{row.name}/{row.level}@{row.digest}": row.id for row in db.execute(query)}
    return {name: found[name] for name in sorted(wanted & found.keys())}


def numbers(db: sa.Connection, values: Sequence[int]) -> sa.Select[tuple[int]]:
    """Any number of rows as one parameter: databases allow some ten thousand parameters, not more."""
    return _among(db, values, sa.Integer())


def names(db: sa.Connection, values: Sequence[str]) -> sa.Select[tuple[str]]:
    """Any number of names as one parameter."""
    return _among(db, values, sa.Text())


def _among(db: sa.Connection, values: Sequence[Any], kind: sa.types.TypeEngine[Any]) -> sa.Select[Any]:
    if db.dialect.name == "sqlite":
        each = sa.func.json_each(json.dumps(list(values))).table_valued(sa.column("value", kind))
        return sa.select(each.c.value)
    return sa.select(sa.func.unnest(sa.literal(list(values), ARRAY(kind))).column_valued("each"))
