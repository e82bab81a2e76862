"""Emptying a location that is to be retired: what stands there, and what of it does not stand elsewhere yet. It only looks.

Copies elsewhere are made as any others are (`planning.wished`); what stands there goes by the sweep, on the ground that it was moved.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from coldchain.copies import CopyState
from coldchain.errors import InputError
from coldchain.planning import DATASETS, batches
from coldchain.retention import plan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coldchain.retention import Decision
    from coldchain.workspace import Workspace


@dataclass(frozen=True)
class Left:
    """One copy that still stands at a place that is to be emptied: what happens to it next, and why."""

    copy: int
    artifact: str
    bytes: int
    action: str
    why: str


def datasets_at(ws: Workspace, location: str) -> list[str]:
    """Datasets with copies at a location that is to be emptied, in order.

    Raises:
        InputError: there is no such location, or the site does not say that it is to be emptied.
    """
    place = ws.site.by_name.get(location)
    if place is None or not place.retiring:
        raise InputError(
            "only a location that is to be emptied is emptied",
            on=location,
            expected="`retiring: true` in site.yaml",
            got="not so" if place else "no such location",
            done="nothing was copied or removed",
            hint="another location needs its role first; see docs/engineers.md",
        )
    states = [state for state in CopyState if state not in {CopyState.REMOVED, CopyState.LOST}]
    return sorted({copy.artifact.rsplit("/", 1)[0] for copy in ws.catalogue.copies(location=location, states=states)})


def left_at(ws: Workspace, location: str) -> Iterator[Left]:
    """What stands there still, and what the sweep would do with it now."""
    for names in batches(datasets_at(ws, location), DATASETS):
        ledger = ws.ledger(names)
        decisions = {decision.copy: decision for decision in plan(ledger, ws.policy, ws.now()).decisions}
        for copy in ledger.copies:
            if copy.location == location and copy.id in decisions and copy.state is not CopyState.LOST:
                artifact = ledger.artifacts[copy.artifact]
                yield Left(copy.id, artifact.label, artifact.bytes, *_next(decisions[copy.id]))


def _next(decision: Decision) -> tuple[str, str]:
    return str(decision.action), "; ".join(decision.reasons)
