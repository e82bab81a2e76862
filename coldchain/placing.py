"""Placing: where copies have to be made so that what the policy wants stands. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from coldchain.copies import Artifact, Copy, CopyState
from coldchain.origins import may_go
from coldchain.standing import Counted, Judge, lacking

if TYPE_CHECKING:
    from coldchain.location import Location


@dataclass(frozen=True)
class Wish:
    """A copy that has to be made: of what, where, from which copies one could, and why."""

    artifact: str
    to: str
    sources: tuple[int, ...]
    reasons: tuple[str, ...]


def wishes(judge: Judge) -> Iterable[Wish]:
    """List the copies that are missing, at places where they may stand and would count; what is at a place to be emptied counts as gone."""
    leaving = {copy.id for copy in judge.ledger.copies if _retiring(copy, judge)}
    then = replace(judge, removed=judge.removed | leaving) if leaving else judge
    for artifact in judge.ledger.artifacts.values():
        moves = any(copy.id in leaving for copy in judge.ledger.by_artifact.get(artifact.id, ()))
        stands = then.standing(artifact).stands if moves else judge.cover(artifact).stands
        if judge.ledger.ours(artifact) and not judge.ended(artifact) and not stands:
            yield from _wishes(artifact, then, judge)


def _retiring(copy: Copy, judge: Judge) -> bool:
    place = judge.ledger.locations.get(copy.location)
    return place is not None and place.retiring and copy.state is CopyState.VERIFIED


def _wishes(artifact: Artifact, judge: Judge, now: Judge) -> Iterable[Wish]:
    """Choose places one by one, each time the one that fills most of what is missing; `now` is what can be copied from."""
    ledger, standing = judge.ledger, judge.standing(artifact)
    sources = [copy for copy in now.copies_of(artifact) if copy.location in ledger.reachable]
    counted: Counted = tuple((ledger.by_id[key], ledger.locations[ledger.by_id[key].location]) for key in standing.copies)
    places = _free_places(artifact, judge) if sources else []
    while lacks := _lacks(counted, artifact, judge):
        taken = {ledger.group(place.name) for _, place in counted}
        open_to_it = [place for place in places if ledger.group(place.name) not in taken]
        best = min(open_to_it, key=lambda place: _lacks((*counted, (sources[0], place)), artifact, judge), default=None)
        if best is None or _lacks((*counted, (sources[0], best)), artifact, judge) >= lacks:
            return
        counted = (*counted, (sources[0], best))
        yield Wish(artifact.id, best.name, tuple(copy.id for copy in sources), standing.reasons)


def _lacks(counted: Counted, artifact: Artifact, judge: Judge) -> int:
    """How many copies, media and places off site are missing."""
    return sum(wish - found for wish, found in lacking(counted, judge.rule(artifact).wanted, judge.ledger.home).values())


def _free_places(artifact: Artifact, judge: Judge) -> list[Location]:
    """Lasting places that can be reached, where the data may go, and where no copy of the artifact is, or one that was begun and cut off.

    Making that one again finishes it.
    """
    ledger, today = judge.ledger, judge.now.date()
    held = {ledger.store(copy.location) for copy in ledger.by_artifact.get(artifact.id, ()) if copy.state is not CopyState.COPYING}
    return [
        place
        for name, place in ledger.locations.items()
        if name in ledger.reachable and not ledger.purge_age(name) and not place.retiring and ledger.store(name) not in held
        if may_go(ledger.project(artifact), place, today).allowed
    ]
