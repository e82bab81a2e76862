"""Legal holds: what a person holds is held by the bucket too, where a bucket can do that, until nobody holds it any more.

A hold of ours keeps our own sweep from a dataset. A legal hold of Object Lock keeps everybody from it, whatever the retention says; it has
no end of its own. Which copies have one stands in the catalogue as part of their protection.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from coldchain.copies import Copy, CopyState
from coldchain.errors import ColdchainError
from coldchain.store import Holdable, Protection

if TYPE_CHECKING:
    from coldchain.workspace import Workspace

Tell = Callable[[str], None]

HELD = " and legal hold"
"""Stands behind a copy's protection while its bucket holds it."""


def keep_up(ws: Workspace, datasets: Sequence[str] = (), tell: Tell = lambda _line: None) -> int:
    """Set legal holds on what is held now and take them off what is not, for some datasets or for all that ever were; returns how many.

    What cannot be reached now is told, and done by the next sweep.
    """
    changed = 0
    for dataset in datasets or ws.catalogue.ever_held():
        held = any(hold.holds(ws.now()) for hold in ws.catalogue.holds(dataset))
        for copy in _holdable(ws, dataset):
            if held != copy.protection.endswith(HELD):
                changed += _set(ws, copy, tell, on=held)
    return changed


def _holdable(ws: Workspace, dataset: str) -> list[Copy]:
    """Copies of a dataset in buckets that have locks."""
    locked = {place.name for place in ws.site.locations if place.protection is Protection.OBJECT_LOCK and place.name in ws.stores}
    artifacts = ws.catalogue.artifacts(dataset) if locked else []
    found = (copy for each in artifacts for copy in ws.catalogue.copies(artifact=each.id, states=[CopyState.VERIFIED]))
    return [copy for copy in found if copy.location in locked]


def _set(ws: Workspace, copy: Copy, tell: Tell, *, on: bool) -> int:
    """Set a legal hold or take it off, and then write it down: a run that is cut off between does it again."""
    try:
        store = ws.store(copy.location)
        if not isinstance(store, Holdable):
            return 0
        store.hold(copy.path, on=on)
    except ColdchainError as error:
        tell(f"the legal hold of {copy.location}:{copy.path} is not {'set' if on else 'taken off'} yet: {error}")
        return 0
    ws.catalogue.change_copy(copy.id, protection=copy.protection.removesuffix(HELD) + (HELD if on else ""))
    tell(f"{copy.location}:{copy.path}: legal hold {'set' if on else 'taken off'}")
    return 1
