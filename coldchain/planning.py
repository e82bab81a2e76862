"""Planning: the retention decision over everything that falls due, some datasets at a time, so that it costs by what falls due."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from coldchain import retention
from coldchain.dues import fall_due
from coldchain.placing import Wish, wishes
from coldchain.standing import Judge
from coldchain.workspace import DATED_BY

if TYPE_CHECKING:
    import datetime as dt

    from coldchain.copies import Copy
    from coldchain.ledger import Ledger
    from coldchain.retention import Plan
    from coldchain.workspace import Workspace

Each = TypeVar("Each")

DATASETS = 50
"""Datasets that are planned at a time: what a plan holds in memory."""

COPIES = 20_000
"""Copies that are dated anew at a time."""


def planned(ws: Workspace) -> Iterator[tuple[Ledger, Plan]]:
    """Plan for what falls due, and for what people were told of; each dataset once, with everything it is made from."""
    reachable = ws.reachable()
    for names in batches(ws.catalogue.due_datasets(ws.now(), ws.early(reachable)), DATASETS):
        ledger = ws.ledger(names)
        yield ledger, retention.plan(ledger, ws.policy, ws.now())


def wished(ws: Workspace, dataset: str) -> list[Wish]:
    """The copies that the policy misses of what stands at a lasting place; what stands on scratch alone is for the archive."""
    ledger = ws.ledger([dataset])
    lasting = {copy.id for copy in ledger.copies if (place := ledger.locations.get(copy.location)) and not place.transient}
    return [wish for wish in wishes(Judge(ledger, ws.policy, ws.now())) if lasting.intersection(wish.sources)]


def batches(items: Iterable[Each], size: int) -> Iterator[list[Each]]:
    """Some items at a time."""
    waiting = iter(items)
    while found := list(islice(waiting, size)):
        yield found


def date_anew(ws: Workspace) -> int:
    """Give every copy its day again where another policy or site, or a project that changed since, dated them; returns how many changed.

    A run that is cut off is begun again by the next, since what they were dated by is noted at the end.
    """
    if ws.catalogue.setting(DATED_BY) == ws.rules:
        return 0
    changed, after = 0, 0
    while copies := ws.catalogue.copies_page(after, COPIES):
        after = copies[-1].id
        changed += redate(ws, copies)
    ws.catalogue.review_all()
    ws.catalogue.save_setting(DATED_BY, ws.rules)
    return changed


def redate(ws: Workspace, copies: Sequence[Copy]) -> int:
    """Write down when verified copies fall due, where that is not what is written; returns how many changed."""
    datasets = sorted({copy.artifact.rsplit("/", 1)[0] for copy in copies})
    changed = 0
    for names in batches(datasets, DATASETS):
        ledger = ws.ledger(names)
        wanted = set(names)
        new = [(copy, falls_due(ledger, copy, ws)) for copy in copies if copy.artifact.rsplit("/", 1)[0] in wanted]
        moved = [(copy.id, day) for copy, day in new if copy.state == "verified" and day != copy.due_at]
        ws.catalogue.set_due(moved)
        changed += len(moved)
    return changed


def falls_due(ledger: Ledger, copy: Copy, ws: Workspace) -> dt.datetime | None:
    """When the sweep has to look at a copy."""
    artifact, location = ledger.artifacts[copy.artifact], ledger.locations.get(copy.location)
    if location is None:
        return copy.due_at
    rule = Judge(ledger, ws.policy, ws.now()).rule(artifact)
    return fall_due(artifact, location, copy.created_at, ledger.asked_for.get(artifact.id), ws.policy, rule)
