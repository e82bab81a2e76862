"""What artifacts are made from, and what is made from them, step by step.

The rows are fetched before anything is asked of them: PostgreSQL takes a closure for a thousand times what it is, and would rather
read the whole table.
"""

from __future__ import annotations

import sqlalchemy as sa

from coldchain.sql import tables


def around(db: sa.Connection, artifacts: sa.Select[tuple[int]]) -> list[int]:
    """Rows of some artifacts, of whatever they are made from and of whatever is made from them."""
    above, below = _made_of(artifacts), _made_from(artifacts)
    return sorted(db.scalars(sa.union(sa.select(above.c.id), sa.select(below.c.id))))


def downstream(db: sa.Connection, artifacts: sa.Select[tuple[int]]) -> list[int]:
    """Rows of some artifacts and of whatever is made from them."""
    return sorted(db.scalars(sa.select(_made_from(artifacts).c.id)))


def _made_from(artifacts: sa.Select[tuple[int]]) -> sa.CTE:
    below = artifacts.cte("below", recursive=True)
    step = tables.input_.join(tables.artifact, tables.artifact.c.activity_id == tables.input_.c.activity_id)
    joined = step.join(below, tables.input_.c.artifact_id == below.c.id)
    return below.union(sa.select(tables.artifact.c.id).select_from(joined))


def _made_of(artifacts: sa.Select[tuple[int]]) -> sa.CTE:
    above = artifacts.cte("above", recursive=True)
    step = tables.artifact.join(tables.input_, tables.artifact.c.activity_id == tables.input_.c.activity_id)
    joined = step.join(above, tables.artifact.c.id == above.c.id)
    return above.union(sa.select(tables.input_.c.artifact_id).select_from(joined))
