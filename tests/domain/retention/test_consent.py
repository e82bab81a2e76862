"""The terms on which a copy goes, of which no plan can tell: where the policy knows none."""

from __future__ import annotations

import pytest

from coldchain.consent import Terms, terms_of
from coldchain.levels import Level
from coldchain.location import Location, Medium
from coldchain.policy import Approval, Ground, Policy, Rule, Wanted

NAS = Location(name="nas", root="nas", medium=Medium.DISK, domain="nas", site="campus")
SCRATCH = Location(name="scratch", root="s", medium=Medium.DISK, domain="cluster", site="campus", purge_age_days=40)
POLICY = Policy(name="p", version=1, rules=(Rule(levels=tuple(Level), wanted=Wanted(copies=2)),))


@pytest.mark.parametrize(("location", "ground"), [(NAS, Ground.REMAKE), (NAS, Ground.LIFETIME), (SCRATCH, Ground.LIFETIME)])
def test_what_nothing_in_the_policy_lets_go_would_need_a_person(location: Location, ground: Ground) -> None:
    """A ground that the policy does not know any more, as in a notice of another policy, has the strictest terms there are."""
    assert terms_of(location, POLICY.rules[0], POLICY, ground) == Terms(0, 36_600, Approval.PERSON)
