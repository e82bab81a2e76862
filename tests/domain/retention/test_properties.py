"""What holds of every plan, whatever the ledger and the policy."""

from __future__ import annotations

import copy as copying
import dataclasses
import datetime as dt
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from coldchain import retention
from coldchain.copies import CopyState
from coldchain.levels import IRREPLACEABLE, Level
from coldchain.retention import Action, Ledger
from coldchain.testing.ledgers import Case, read_case

NOW = dt.datetime(2030, 1, 15, 12, tzinfo=dt.UTC)
GONE = {Action.REMOVE, Action.DELETE}
LEVELS = [str(level) for level in Level]
NAMES = [*LEVELS, "standard.b", "corrected.b", "single_cell_images.b"]
PLACES = ["nas", "shelf", "backup", "cold", "scratch", "scratch2"]


def days(text: int) -> str:
    """A moment so many days before now."""
    return (NOW - dt.timedelta(days=text)).isoformat()


def wanted(most: int = 3) -> st.SearchStrategy[dict[str, int]]:
    """What a rule may want: never more media or off site copies than copies."""
    return st.integers(1, most).flatmap(
        lambda copies: st.fixed_dictionaries(
            {
                "copies": st.just(copies),
                "media": st.integers(1, min(copies, 2)),
                "off_site": st.integers(0, min(copies, 2)),
                "verified_within_days": st.integers(1, 120),
            }
        )
    )


@st.composite
def policies(draw: st.DrawFn) -> dict[str, Any]:
    """Any policy that is valid: what cannot be made again wants two copies at least."""
    dear = draw(wanted().filter(lambda wish: wish["copies"] >= 2))
    rest = [level for level in LEVELS if Level(level) not in IRREPLACEABLE]
    split = draw(st.integers(0, len(rest)))
    rules = [{"levels": ["raw", "release"], "wanted": dear}]
    rules += [{"levels": part, "wanted": draw(wanted()), "remake": draw(st.booleans())} for part in (rest[:split], rest[split:]) if part]
    purge = {"after_days": draw(st.integers(0, 60)), "approval": draw(st.sampled_from(["none", "none", "person"]))}
    return {"name": "any", "version": 1, "rules": rules, "purge": purge}


@st.composite
def places(draw: st.DrawFn) -> dict[str, Any]:
    """Two scratches and four lasting places, which may share failure domains, media and sites in any way."""
    found: dict[str, Any] = {}
    for name in PLACES:
        found[name] = {
            "medium": draw(st.sampled_from(["disk", "tape"])),
            "domain": draw(st.sampled_from(["a", "b", "c"])),
            "site": draw(st.sampled_from(["campus", "centre"])),
        }
        if name.startswith("scratch"):
            found[name] |= {"purge_age_days": 60}
    return found


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Any ledger under any policy, with doubtful copies, holds, leases, circles and clocks that are wrong."""
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, min_size=1, max_size=6))
    seats = draw(st.lists(st.tuples(st.sampled_from(names), st.sampled_from([*PLACES, "attic"])), unique=True, max_size=14))
    states = st.sampled_from(["verified"] * 6 + ["trashed", "trashed", "suspect", "lost", "copying"])
    day = st.integers(-3, 130)
    copies = [
        {
            "id": n,
            "of": of,
            "at": at,
            "state": draw(states),
            "read": draw(st.none() | day.map(days)),
            "due": draw(st.none() | day.map(days)),
            "created": days(draw(day)),
        }
        for n, (of, at) in enumerate(seats, 1)
    ]
    made_from = draw(st.dictionaries(st.sampled_from(names), st.lists(st.sampled_from([*names, "gone"]), max_size=3), max_size=len(names)))
    hold = {"reason": "wait", "who": "ada", "until": (NOW + dt.timedelta(days=draw(st.integers(-2, 2)))).date().isoformat()}
    said = {
        "now": NOW.isoformat(),
        "artifacts": names,
        "copies": copies,
        "made_from": made_from,
        "unreachable": draw(st.lists(st.sampled_from(PLACES), max_size=1)),
        "holds": draw(st.sampled_from([[], [], [], [hold]])),
        "leases": [{"of": of, "use": "read", "until": days(-1)} for of in draw(st.lists(st.sampled_from(names), max_size=1))],
    }
    return read_case(said, draw(places()), draw(policies()))


def without(ledger: Ledger, gone: set[int]) -> Ledger:
    """The ledger with some copies not there any more."""
    return dataclasses.replace(ledger, copies=tuple(copy for copy in ledger.copies if copy.id not in gone))


@given(cases())
@settings(max_examples=300, deadline=None)
def test_nothing_goes_that_does_not_stand_or_cannot_be_made_again(case: Case) -> None:
    """After the whole batch, every artifact that lost a copy stands as the policy wants, or can be made again from what is left."""
    plan = retention.plan(case.ledger, case.policy, case.now)
    gone = {decision.copy for decision in plan.of(*GONE)}
    left = without(case.ledger, gone)
    for name in {copy.artifact for copy in case.ledger.copies if copy.id in gone}:
        artifact = case.ledger.artifacts[name]
        stands = retention.standing(artifact, left, case.policy, case.now).stands
        assert stands or retention.remakeable(artifact, left, case.policy, case.now)
        assert stands or artifact.level not in IRREPLACEABLE


@given(cases())
@settings(max_examples=200, deadline=None)
def test_a_copy_that_goes_leans_on_copies_that_stay(case: Case) -> None:
    """What a removal leans on is verified, at a lasting place that can be reached, and is not removed by the same plan."""
    plan = retention.plan(case.ledger, case.policy, case.now)
    copies = {copy.id: copy for copy in case.ledger.copies}
    gone = {decision.copy for decision in plan.of(*GONE)}
    for decision in plan.of(Action.ASK, *GONE):
        assert decision.leans_on
        assert not gone & set(decision.leans_on)
        for key in decision.leans_on:
            assert copies[key].state is CopyState.VERIFIED
            assert copies[key].location in case.ledger.reachable
            assert not case.ledger.locations[copies[key].location].transient


@given(cases())
@settings(max_examples=200, deadline=None)
def test_only_scratch_goes(case: Case) -> None:
    """Nothing goes but verified and trashed copies on scratch that can be reached, and nothing that a person holds or a run uses."""
    plan = retention.plan(case.ledger, case.policy, case.now)
    copies = {copy.id: copy for copy in case.ledger.copies}
    held = bool([hold for hold in case.ledger.holds if hold.until >= case.now.date()])
    for decision in plan.of(Action.ASK, *GONE):
        copy = copies[decision.copy]
        assert case.ledger.locations[copy.location].transient
        assert copy.location in case.ledger.reachable
        assert copy.state is (CopyState.TRASHED if decision.action is Action.DELETE else CopyState.VERIFIED)
        assert copy.artifact not in {lease.scope for lease in case.ledger.leases}
        assert not held


@given(cases())
@settings(max_examples=200, deadline=None)
def test_every_copy_has_one_decision_with_a_reason(case: Case) -> None:
    """Each copy is decided on exactly once, and each decision says why."""
    plan = retention.plan(case.ledger, case.policy, case.now)
    assert sorted(decision.copy for decision in plan.decisions) == sorted(copy.id for copy in case.ledger.copies)
    assert all(decision.reasons and all(decision.reasons) for decision in plan.decisions)


@given(cases(), st.data())
@settings(max_examples=300, deadline=None)
def test_fewer_copies_never_let_more_go(case: Case, data: st.DataObject) -> None:
    """Taking copies out of the ledger never turns a keep into a removal."""
    keys = [copy.id for copy in case.ledger.copies]
    lost = set(data.draw(st.lists(st.sampled_from(keys), max_size=3))) if keys else set()
    before = {decision.copy: decision.action for decision in retention.plan(case.ledger, case.policy, case.now).decisions}
    for decision in retention.plan(without(case.ledger, lost), case.policy, case.now).decisions:
        assert before[decision.copy] is not Action.KEEP or decision.action is Action.KEEP


@given(cases())
@settings(max_examples=200, deadline=None)
def test_planning_on_the_outcome_removes_nothing_new(case: Case) -> None:
    """A second plan, on what the first one left, has the same decisions for what is left."""
    plan = retention.plan(case.ledger, case.policy, case.now)
    left = without(case.ledger, {decision.copy for decision in plan.of(*GONE)})
    assert not retention.plan(left, case.policy, case.now).of(*GONE)


@given(cases(), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_the_plan_is_a_function_of_its_input(case: Case, random: Any) -> None:
    """The same ledger gives the same plan, in whatever order its copies come, and is not changed by planning."""
    before = copying.deepcopy(case.ledger)
    plan = retention.plan(case.ledger, case.policy, case.now)
    shuffled = list(case.ledger.copies)
    random.shuffle(shuffled)
    assert case.ledger == before
    assert retention.plan(case.ledger, case.policy, case.now) == plan
    again = retention.plan(dataclasses.replace(case.ledger, copies=tuple(shuffled)), case.policy, case.now)
    assert sorted(again.decisions, key=lambda each: each.copy) == sorted(plan.decisions, key=lambda each: each.copy)
