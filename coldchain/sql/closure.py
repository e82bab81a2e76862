"""What artifacts are made from, and what is made from them, step by step."""

from __future__ import annotations

import sqlalchemy as sa

from coldchain.sql import tables


def made_from(artifacts: sa.Select[tuple[int]]) -> sa.CTE:
    """Rows of some artifacts and of whatever is made from them; the first column given is called `id`."""
    below = artifacts.cte("below", recursive=True)
    step = tables.input_.join(tables.artifact, tables.artifact.c.activity_id == tables.input_.c.activity_id)
    joined = step.join(below, tables.input_.c.artifact_id == below.c.id)
    return below.union(sa.select(tables.artifact.c.id).select_from(joined))


def made_of(artifacts: sa.Select[tuple[int]]) -> sa.CTE:
    """Rows of some artifacts and of whatever they are made from; the first column given is called `id`."""
    above = artifacts.cte("above", recursive=True)
    step = tables.artifact.join(tables.input_, tables.artifact.c.activity_id == tables.input_.c.activity_id)
    joined = step.join(above, tables.artifact.c.id == above.c.id)
    return above.union(sa.select(tables.input_.c.artifact_id).select_from(joined))
