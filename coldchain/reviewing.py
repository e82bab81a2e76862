"""Reviewing: which artifacts do not stand as the policy wants, looked at again where something changed or a reading grew too old."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from coldchain.dues import later, lifetime_end
from coldchain.media import State
from coldchain.retention import shortfalls
from coldchain.standing import Judge

if TYPE_CHECKING:
    from coldchain.copies import Artifact
    from coldchain.ledger import Ledger
    from coldchain.workspace import Workspace

DATASETS = 50
"""Datasets that are looked at a time."""


def review(ws: Workspace) -> int:
    """Note for each artifact that has to be looked at again what it lacks; returns how many were looked at."""
    looked_at = 0
    while names := ws.catalogue.to_review(ws.now(), DATASETS):
        as_of = ws.now()
        ledger = ws.ledger(names)
        judge = Judge(ledger, ws.policy, as_of)
        short = shortfalls(judge)
        ours = [artifact for artifact in ledger.artifacts.values() if ledger.ours(artifact)]
        ws.catalogue.save_reviews([(artifact.id, _next(artifact, ledger, judge), short.get(artifact.id)) for artifact in ours])
        looked_at += len(ours)
    return looked_at


def _next(artifact: Artifact, ledger: Ledger, judge: Judge) -> dt.datetime | None:
    """When an artifact has to be looked at again though nothing changes: a reading grows too old, a place comes back, a lifetime ends."""
    window = judge.rule(artifact).wanted.verified_within_days
    copies = ledger.by_artifact.get(artifact.id, [])
    dates = [later(copy.verified_at, window) + _AFTER for copy in copies if copy.verified_at is not None]
    dates += [judge.now + dt.timedelta(days=1) for copy in copies if _comes_and_goes(copy.location, ledger)]
    dates += _overrides_end(artifact, judge)
    if ends := lifetime_end(artifact, judge.rule(artifact)):
        dates.append(ends)
    return min((date for date in dates if date > judge.now), default=None)


_AFTER = dt.timedelta(seconds=1)


def _comes_and_goes(location: str, ledger: Ledger) -> bool:
    """Whether a place may be there tomorrow or not, and nobody tells: one that is away, or a medium that is put in; not one on a shelf."""
    medium = ledger.whereabouts(location)
    if medium is not None:
        return medium.state is State.IN
    return location not in ledger.reachable


def _overrides_end(artifact: Artifact, judge: Judge) -> list[dt.datetime]:
    """The mornings after overrides that hold now."""
    days = (override.until + dt.timedelta(days=1) for override in judge.overrides(artifact) if override.until < dt.date.max)
    return [dt.datetime(day.year, day.month, day.day, tzinfo=dt.UTC) for day in days]
