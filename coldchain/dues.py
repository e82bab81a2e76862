"""When things fall due: purges, lifetimes, disposals. Pure arithmetic on dates."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coldchain.copies import Artifact
    from coldchain.location import Location
    from coldchain.policy import Policy, Rule

CLUSTER_MARGIN = dt.timedelta(days=2)
"""So long before the cluster's own purge a copy on scratch falls due, whatever the policy says."""

FOR_EVER = 36_600
"""Days that nobody waits for."""

FAR = dt.datetime.max.replace(tzinfo=dt.UTC)


def later(moment: dt.datetime, days: float) -> dt.datetime:
    """A moment so many days later; the last one there is where that lies beyond the calendar."""
    try:
        return moment + dt.timedelta(days=days)
    except OverflowError:
        return FAR


def years_later(moment: dt.datetime, years: int) -> dt.datetime:
    """The same day and hour so many years later; the 29 February becomes the 1 March where there is none: never a day too early."""
    try:
        return moment.replace(year=moment.year + years)
    except ValueError:
        return moment.replace(year=moment.year + years, month=3, day=1) if moment.year + years <= dt.MAXYEAR else FAR


def purge_due(arrived: dt.datetime, location: Location, after_days: float) -> dt.datetime:
    """When a copy on scratch falls due: by the policy, and in time before the cluster's own purge."""
    theirs = dt.timedelta(days=location.purge_age_days or FOR_EVER) - CLUSTER_MARGIN
    return min(later(arrived, after_days), later(arrived, max(theirs.days, 0)))


def lifetime_end(artifact: Artifact, rule: Rule) -> dt.datetime | None:
    """When the policy stops asking for an artifact; nothing where it never does."""
    return years_later(artifact.made_at, rule.lifetime.years) if rule.lifetime else None


def disposal_due(artifact: Artifact, arrived: dt.datetime, asked: dt.datetime | None, rule: Rule) -> dt.datetime | None:
    """When a copy at a lasting place may go, because nobody asked for what can be made again; nothing where it stays."""
    if rule.disposal is None:
        return None
    return later(max(artifact.made_at, arrived, asked or arrived), rule.disposal.idle_days)


def fall_due(
    artifact: Artifact, location: Location, arrived: dt.datetime, asked: dt.datetime | None, policy: Policy, rule: Rule
) -> dt.datetime | None:
    """When the sweep has to look at a copy that arrived at a moment; nothing where nothing ever falls due."""
    if location.transient:
        purge, last = policy.purge_of(rule), purge_due(arrived, location, FOR_EVER)
        idle = later(asked, purge.idle_days) if asked else arrived
        return min(last, max(purge_due(arrived, location, purge.after_days), idle))
    if location.retiring:
        return arrived
    dates = (lifetime_end(artifact, rule), disposal_due(artifact, arrived, asked, rule))
    return min((date for date in dates if date is not None), default=None)
