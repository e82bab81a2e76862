"""When things fall due."""

from __future__ import annotations

import dataclasses
import datetime as dt

import pytest

from coldchain.copies import Artifact
from coldchain.dues import FAR, disposal_due, fall_due, later, lifetime_end, purge_due, years_later
from coldchain.levels import Level
from coldchain.location import Location, Medium
from coldchain.policy import Disposal, Lifetime, Policy, Purge, Rule, Wanted

NOON = dt.time(12, tzinfo=dt.UTC)
ARTIFACT = Artifact("PRJ-0001/PLATE-A", Level.CORRECTED, "ab" * 32, 1, 1, "act", dt.datetime(2029, 1, 1, 12, tzinfo=dt.UTC))
NAS = Location(name="nas", root="nas", medium=Medium.DISK, domain="nas", site="campus")
SCRATCH = Location(name="scratch", root="s", medium=Medium.DISK, domain="cluster", site="campus", purge_age_days=40)
PLAIN = Rule(levels=(Level.CORRECTED,), wanted=Wanted(), remake=True)
REST = tuple(level for level in Level if level not in {Level.RAW, Level.RELEASE, Level.CORRECTED})


def day(text: str) -> dt.datetime:
    """Noon of a day."""
    return dt.datetime.combine(dt.date.fromisoformat(text), NOON)


def policy(rule: Rule, **purge: float) -> Policy:
    """A policy with one rule of interest."""
    dear = Rule(levels=(Level.RAW, Level.RELEASE), wanted=Wanted(copies=2))
    return Policy(name="p", version=1, rules=(dear, rule, Rule(levels=REST, wanted=Wanted())), purge=Purge(**purge))


@pytest.mark.parametrize(
    ("start", "years", "end"),
    [
        ("2020-03-01", 10, "2030-03-01"),
        ("2020-02-29", 10, "2030-03-01"),
        ("2020-02-29", 4, "2024-02-29"),
        ("2020-12-31", 1, "2021-12-31"),
    ],
)
def test_years_are_calendar_years(start: str, years: int, end: str) -> None:
    """The same day so many years later; a leap day's is the 1 March where there is no 29 February."""
    assert years_later(day(start), years) == day(end)


def test_a_lifetime_beyond_the_calendar_never_ends() -> None:
    """The last year there is has no year after it."""
    assert years_later(dt.datetime(9990, 1, 1, tzinfo=dt.UTC), 100) == FAR
    assert years_later(dt.datetime(9996, 2, 29, tzinfo=dt.UTC), 3) == dt.datetime(9999, 3, 1, tzinfo=dt.UTC)
    assert years_later(dt.datetime(9996, 2, 29, tzinfo=dt.UTC), 4) == FAR
    assert later(dt.datetime(9999, 12, 1, tzinfo=dt.UTC), 60) == FAR


def test_scratch_falls_due_by_the_policy_and_before_the_cluster() -> None:
    """The policy's days, but two days before the cluster's own purge at the latest; never before the copy was made."""
    assert purge_due(day("2030-01-01"), SCRATCH, 30) == day("2030-01-31")
    assert purge_due(day("2030-01-01"), SCRATCH, 60) == day("2030-02-08")
    assert purge_due(day("2030-01-01"), NAS, 36_600) == later(day("2030-01-01"), 36_598)
    hasty = SCRATCH.model_copy(update={"purge_age_days": 1})
    assert purge_due(day("2030-01-01"), hasty, 30) == day("2030-01-01")


def test_a_lifetime_ends_by_the_rule() -> None:
    """Without a lifetime an artifact is asked for for ever."""
    assert lifetime_end(ARTIFACT, PLAIN) is None
    assert lifetime_end(ARTIFACT, PLAIN.model_copy(update={"lifetime": Lifetime(years=2)})) == day("2031-01-01")


def test_disposal_counts_from_the_last_demand() -> None:
    """The last of: made, arrived, asked for."""
    rule = PLAIN.model_copy(update={"disposal": Disposal(idle_days=10)})
    assert disposal_due(ARTIFACT, day("2029-02-01"), None, PLAIN) is None
    assert disposal_due(ARTIFACT, day("2029-02-01"), None, rule) == day("2029-02-11")
    assert disposal_due(ARTIFACT, day("2029-02-01"), day("2029-03-01"), rule) == day("2029-03-11")
    assert disposal_due(dataclasses.replace(ARTIFACT, made_at=day("2029-04-01")), day("2029-02-01"), None, rule) == day("2029-04-11")


def test_a_copy_at_a_lasting_place_falls_due_by_lifetime_or_disposal() -> None:
    """The first of the two; never, where the rule has neither."""
    both = PLAIN.model_copy(update={"disposal": Disposal(idle_days=10), "lifetime": Lifetime(years=1)})
    arrived = day("2029-02-01")
    assert fall_due(ARTIFACT, NAS, arrived, None, policy(PLAIN), PLAIN) is None
    assert fall_due(ARTIFACT, NAS, arrived, None, policy(both), both) == day("2029-02-11")
    assert fall_due(ARTIFACT, NAS, arrived, day("2029-12-30"), policy(both), both) == day("2030-01-01")


def test_a_copy_on_scratch_falls_due_by_purge_and_demand() -> None:
    """Demand puts the day off, but not beyond the cluster's own purge."""
    arrived = day("2030-01-01")
    plan = policy(PLAIN, after_days=5, idle_days=7)
    assert fall_due(ARTIFACT, SCRATCH, arrived, None, plan, PLAIN) == day("2030-01-06")
    assert fall_due(ARTIFACT, SCRATCH, arrived, day("2030-01-04"), plan, PLAIN) == day("2030-01-11")
    assert fall_due(ARTIFACT, SCRATCH, arrived, day("2030-02-05"), plan, PLAIN) == day("2030-02-08")
    own = PLAIN.model_copy(update={"purge": Purge(after_days=9)})
    assert fall_due(ARTIFACT, SCRATCH, arrived, None, plan, own) == day("2030-01-10")
