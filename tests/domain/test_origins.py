"""Where data may go: origin x reach x agreement x embargo, each combination written down."""

from __future__ import annotations

import datetime as dt
from itertools import product

import pytest

from coldchain.dataset import Project
from coldchain.location import Location, Medium, Reach
from coldchain.origins import Origin, may_go

TODAY = dt.date(2030, 1, 15)
INSIDE, OUTSIDE, PUBLIC = Reach.INSIDE, Reach.OUTSIDE, Reach.PUBLIC
FREE = [Origin.OWN, Origin.PUBLIC]
OTHERS = [origin for origin in Origin if origin not in FREE]


def place(reach: Reach) -> Location:
    """A location of a reach."""
    return Location(name="there", root="there", medium=Medium.DISK, domain="there", site="there", reach=reach)


def allowed(reach: Reach, **project: object) -> bool:
    """Whether a project's data may go to a reach today."""
    return may_go(Project(id="PRJ-0001", **project), place(reach), TODAY).allowed


@pytest.mark.parametrize(("origin", "reach"), list(product(Origin, Reach)))
def test_without_an_agreement(origin: Origin, reach: Reach) -> None:
    """Own and public data may go anywhere, a collaborator's stays inside."""
    assert allowed(reach, origin=origin) == (origin in FREE or reach is INSIDE)


@pytest.mark.parametrize(("origin", "reach"), list(product(OTHERS, Reach)))
def test_an_agreement_permits_what_it_names(origin: Origin, reach: Reach) -> None:
    """An agreement lets a collaborator's data go where it says, and nowhere else."""
    for permits in ((), (OUTSIDE,), (PUBLIC,), (OUTSIDE, PUBLIC)):
        assert allowed(reach, origin=origin, agreement="MTA-7", permits=permits) == (reach is INSIDE or reach in permits)


@pytest.mark.parametrize("origin", OTHERS)
def test_permission_without_an_agreement_is_none(origin: Origin) -> None:
    """Permits that no agreement carries permit nothing; an agreement with an empty name is none."""
    for agreement in (None, "", "  "):
        assert not allowed(OUTSIDE, origin=origin, permits=(OUTSIDE, PUBLIC), agreement=agreement)


@pytest.mark.parametrize(
    ("until", "public"), [(None, True), ("2030-01-14", True), ("2030-01-15", True), ("2030-01-16", False), ("9999-12-31", False)]
)
@pytest.mark.parametrize("origin", FREE)
def test_an_embargo_keeps_from_the_public_until_its_day(origin: Origin, until: str | None, public: bool) -> None:
    """Before the day nothing becomes public; inside and outside are not its matter."""
    embargo = dt.date.fromisoformat(until) if until else None
    assert allowed(PUBLIC, origin=origin, embargo_until=embargo) == public
    assert allowed(INSIDE, origin=origin, embargo_until=embargo)
    assert allowed(OUTSIDE, origin=origin, embargo_until=embargo)


def test_an_agreement_does_not_lift_an_embargo() -> None:
    """What may become public by its agreement still waits for its day."""
    given = {"origin": Origin.COLLABORATOR_ACADEMIC, "agreement": "MTA-7", "permits": (PUBLIC,)}
    assert not allowed(PUBLIC, **given, embargo_until=TODAY + dt.timedelta(days=1))
    assert allowed(PUBLIC, **given, embargo_until=TODAY)


def test_a_refusal_says_why() -> None:
    """The reason names origin, agreement, reach and place, or the embargo's day."""
    refused = may_go(Project(id="PRJ-0001", origin=Origin.COLLABORATOR_INDUSTRY), place(OUTSIDE), TODAY)
    assert refused.reason == "origin collaborator_industry, no agreement: may not go outside (there)"
    named = may_go(Project(id="PRJ-0001", origin=Origin.COLLABORATOR_INDUSTRY, agreement="MTA-7"), place(PUBLIC), TODAY)
    assert "agreement 'MTA-7'" in named.reason
    embargoed = may_go(Project(id="PRJ-0001", embargo_until=dt.date(2031, 2, 3)), place(PUBLIC), TODAY)
    assert embargoed.reason == "embargo until 2031-02-03: may not become public"
