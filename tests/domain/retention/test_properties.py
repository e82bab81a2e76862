"""What holds of every plan, whatever the ledger and the policy."""

from __future__ import annotations

import copy as copying
import dataclasses
import datetime as dt
import os
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from coldchain import retention
from coldchain.consent import terms_of
from coldchain.copies import Artifact, Copy, CopyState
from coldchain.dues import lifetime_end
from coldchain.ledger import Ledger
from coldchain.levels import IRREPLACEABLE, Level
from coldchain.overrides import Check
from coldchain.policy import Approval, Ground
from coldchain.proposals import Answer, Proposal
from coldchain.retention import Action
from coldchain.standing import remakeable, standing
from coldchain.testing.ledgers import Case, read_case

EXAMPLES = int(os.environ.get("COLDCHAIN_EXAMPLES", "100"))
"""Ledgers that each property is tried on."""

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
    rules = [{"levels": ["raw", "release"], "wanted": dear, "lifetime": draw(st.none() | st.just({"years": 10, "notice_days": 5}))}]
    rules += [draw(rule_of(part)) for part in (rest[:split], rest[split:]) if part]
    return {
        "name": "any",
        "version": 1,
        "rules": rules,
        "purge": draw(purges),
        "audit": {"every_days": 0.5},
        "high_water": draw(st.none() | st.just({"after_days": 0})),
    }


approvals = st.sampled_from(["none", "none", "person"])
purges = st.fixed_dictionaries(
    {
        "after_days": st.integers(0, 60),
        "idle_days": st.sampled_from([0, 0, 7]),
        "notice_days": st.sampled_from([0, 0, 7]),
        "approval": st.fixed_dictionaries({"original_stands": approvals, "remake": approvals}),
    }
)


@st.composite
def rule_of(draw: st.DrawFn, levels: list[str]) -> dict[str, Any]:
    """A rule for levels that may be made again, disposed of, or be asked for only so long."""
    remake = draw(st.booleans())
    leaving = {"notice_days": draw(st.sampled_from([0, 7])), "approval": draw(approvals)}
    return {
        "levels": levels,
        "wanted": draw(wanted()),
        "remake": remake,
        "disposal": draw(st.sampled_from([None, {"idle_days": 30, **leaving}])) if remake else None,
        "lifetime": draw(st.sampled_from([None, {"years": 1, **leaving}])),
    }


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


overrides = st.fixed_dictionaries(
    {
        "check": st.sampled_from([str(check) for check in Check]),
        "reason": st.just("because"),
        "who": st.just("ada"),
        "until": st.sampled_from(["2030-01-13", "2030-02-01"]),
        "approved_by": st.sampled_from(["", "grace"]),
    }
)


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
            "protection": draw(st.sampled_from(["none", "immutable"])),
        }
        for n, (of, at) in enumerate(seats, 1)
    ]
    made_from = draw(st.dictionaries(st.sampled_from(names), st.lists(st.sampled_from([*names, "gone"]), max_size=3), max_size=len(names)))
    hold = {"reason": "wait", "who": "ada", "until": (NOW + dt.timedelta(days=draw(st.integers(-2, 2)))).date().isoformat()}
    told = {
        "ground": st.sampled_from([str(ground) for ground in Ground]),
        "told": day.map(days),
        "answer": st.sampled_from(["none", "yes", "yes", "no"]),
        "who": st.just("ada"),
    }
    proposed = draw(st.lists(st.sampled_from([each["id"] for each in copies]), unique=True, max_size=6)) if copies else []
    said = {
        "made": {name: days(draw(st.sampled_from([1, 40, 400, 4000]))) for name in names},
        "asked_for": draw(st.dictionaries(st.sampled_from(names), day.map(days), max_size=3)),
        "proposals": [{"copy": key, **draw(st.fixed_dictionaries(told))} for key in proposed],
        "overrides": draw(st.lists(overrides, max_size=2)),
        "same": draw(st.sampled_from([{}, {}, {"backup": "nas"}, {"nas": "scratch"}])),
        "early": draw(st.sampled_from([{}, {"scratch": days(-20)}])),
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


def stands_or_is_remade(case: Case, left: Ledger, artifact: Artifact) -> bool:
    """Whether an artifact has what the policy wants, or can be made again, in a ledger."""
    own = standing(artifact, left, case.policy, case.now).stands
    return own or (artifact.level not in IRREPLACEABLE and remakeable(artifact, left, case.policy, case.now))


def ended(case: Case, artifact: Artifact) -> bool:
    """Whether an artifact's lifetime is over."""
    end = lifetime_end(artifact, case.policy.rule(artifact.level, case.ledger.project(artifact)))
    return end is not None and end <= case.now


@given(cases())
@settings(max_examples=EXAMPLES, deadline=None)
def test_nothing_goes_that_does_not_stand_or_cannot_be_made_again(case: Case) -> None:
    """After the whole batch, every artifact that lost a copy stands as the policy wants, can be made again, or its lifetime is over."""
    plan = retention.plan(case.ledger, case.policy, case.now)
    gone = {decision.copy for decision in plan.of(*GONE)}
    left = without(case.ledger, gone)
    for name in {copy.artifact for copy in case.ledger.copies if copy.id in gone}:
        artifact = case.ledger.artifacts[name]
        assert stands_or_is_remade(case, left, artifact) or ended(case, artifact)


@given(cases())
@settings(max_examples=EXAMPLES, deadline=None)
def test_nothing_goes_that_something_is_made_again_from(case: Case) -> None:
    """What stood or could be made again before the batch still does after it, unless its own lifetime is over."""
    plan = retention.plan(case.ledger, case.policy, case.now)
    left = without(case.ledger, {decision.copy for decision in plan.of(*GONE)})
    for artifact in case.ledger.artifacts.values():
        if stands_or_is_remade(case, case.ledger, artifact) and not ended(case, artifact):
            assert stands_or_is_remade(case, left, artifact)


@given(cases())
@settings(max_examples=EXAMPLES, deadline=None)
def test_raw_stays_at_a_protected_place(case: Case) -> None:
    """Raw data that stood protected at a lasting place still does after the batch, whatever people approved."""
    plan = retention.plan(case.ledger, case.policy, case.now)
    gone = {decision.copy for decision in plan.of(*GONE)}
    for artifact in case.ledger.artifacts.values():
        lasting = [each for each in case.ledger.by_artifact.get(artifact.id, []) if not is_scratch(case, each)]
        lost = [each for each in lasting if each.id in gone]
        if artifact.level is Level.RAW and lost:
            assert [each for each in lasting if each.id not in gone and each.protection != "none" and each.state is CopyState.VERIFIED]


def is_scratch(case: Case, copy: Copy) -> bool:
    """Whether a copy is at a place that removes files by itself, or that is not known."""
    return copy.location not in case.ledger.locations or case.ledger.locations[copy.location].transient


@given(cases())
@settings(max_examples=EXAMPLES, deadline=None)
def test_a_copy_that_goes_leans_on_copies_that_stay(case: Case) -> None:
    """What a removal leans on is verified, at a lasting place that can be reached, and is another store than the copy that goes."""
    plan = retention.plan(case.ledger, case.policy, case.now)
    copies = {copy.id: copy for copy in case.ledger.copies}
    gone = {decision.copy for decision in plan.of(*GONE)}
    for decision in plan.of(Action.ASK, Action.NOTIFY, *GONE):
        assert decision.leans_on or decision.ground is Ground.LIFETIME
        for key in decision.leans_on:
            assert copies[key].state is CopyState.VERIFIED
            assert copies[key].location in case.ledger.reachable
            assert not case.ledger.purge_age(copies[key].location)
            assert copies[key].artifact != copies[decision.copy].artifact or case.ledger.store(copies[key].location) != case.ledger.store(
                copies[decision.copy].location
            )
        if decision.copy in gone and decision.ground is Ground.ORIGINAL_STANDS:
            kept = standing(case.ledger.artifacts[copies[decision.copy].artifact], without(case.ledger, gone), case.policy, case.now)
            assert kept.stands or remakeable(
                case.ledger.artifacts[copies[decision.copy].artifact], without(case.ledger, gone), case.policy, case.now
            )


@given(cases())
@settings(max_examples=EXAMPLES, deadline=None)
def test_what_goes_was_free_to_go(case: Case) -> None:
    """Nothing goes that cannot be reached, that a person holds or refused, that a run uses, or that the policy lets go nowhere."""
    plan = retention.plan(case.ledger, case.policy, case.now)
    copies = {copy.id: copy for copy in case.ledger.copies}
    held = bool([hold for hold in case.ledger.holds if hold.until >= case.now.date()])
    for decision in plan.of(Action.ASK, Action.NOTIFY, *GONE):
        copy = copies[decision.copy]
        artifact = case.ledger.artifacts[copy.artifact]
        rule = case.policy.rule(artifact.level, case.ledger.project(artifact))
        assert is_scratch(case, copy) or rule.disposal or ended(case, artifact)
        assert copy.location in case.ledger.reachable
        assert copy.state is (CopyState.TRASHED if decision.action is Action.DELETE else CopyState.VERIFIED)
        assert copy.artifact not in {lease.scope for lease in case.ledger.leases}
        assert not held


@given(cases())
@settings(max_examples=EXAMPLES, deadline=None)
def test_consent(case: Case) -> None:
    """A verified copy goes without a proposal only where the policy asks for neither yes nor notice; a no is never overruled."""
    plan = retention.plan(case.ledger, case.policy, case.now)
    for decision in plan.of(Action.REMOVE):
        copy, proposal = case.ledger.by_id[decision.copy], case.ledger.proposed.get(decision.copy)
        artifact, location = case.ledger.artifacts[copy.artifact], case.ledger.locations[copy.location]
        assert decision.ground is not None
        terms = terms_of(location, case.policy.rule(artifact.level, case.ledger.project(artifact)), case.policy, decision.ground)
        if proposal is None:
            assert terms.approval is Approval.NONE
            assert not terms.notice_days or any(each.check is Check.NOTICE_DAYS for each in case.ledger.overrides)
        else:
            assert proposal.answer is not Answer.NO
            assert proposal.answer is Answer.YES or terms.approval is Approval.NONE
            assert proposal.ground is decision.ground or (terms.approval is Approval.NONE and not terms.notice_days)


@given(cases())
@settings(max_examples=EXAMPLES, deadline=None)
def test_every_copy_has_one_decision_with_a_reason(case: Case) -> None:
    """Each copy is decided on exactly once, and each decision says why."""
    plan = retention.plan(case.ledger, case.policy, case.now)
    assert sorted(decision.copy for decision in plan.decisions) == sorted(copy.id for copy in case.ledger.copies)
    assert all(decision.reasons and all(decision.reasons) for decision in plan.decisions)


@given(cases(), st.data())
@settings(max_examples=EXAMPLES, deadline=None)
def test_fewer_copies_never_let_more_go(case: Case, data: st.DataObject) -> None:
    """Taking copies out of the ledger never turns a keep into a removal."""
    keys = [copy.id for copy in case.ledger.copies]
    lost = set(data.draw(st.lists(st.sampled_from(keys), max_size=3))) if keys else set()
    before = {decision.copy: decision.action for decision in retention.plan(case.ledger, case.policy, case.now).decisions}
    for decision in retention.plan(without(case.ledger, lost), case.policy, case.now).decisions:
        assert before[decision.copy] is not Action.KEEP or decision.action is Action.KEEP


@given(cases())
@settings(max_examples=EXAMPLES, deadline=None)
def test_planning_on_the_outcome_does_nothing_new(case: Case) -> None:
    """A second plan, on what the first one left and told, has nothing to do that the first one could have done."""
    plan = retention.plan(case.ledger, case.policy, case.now)
    told = [
        Proposal(1000 + each.copy, 9, each.copy, each.ground, case.policy.digest, case.now)
        for each in plan.of(Action.NOTIFY)
        if each.ground
    ]
    outdated = {each.copy for each in plan.of(Action.KEEP, Action.VERIFY)}
    recalled = {each.copy for each in plan.of(Action.RECALL)}
    left = dataclasses.replace(
        without(case.ledger, {decision.copy for decision in plan.of(*GONE)} | recalled),
        proposals=(*(each for each in case.ledger.proposals if each.copy not in outdated or each.answer is Answer.NO), *told),
    )
    again = retention.plan(left, case.policy, case.now)
    assert not [each for each in again.of(*GONE) if not _told_now(each, told)]
    assert {each.copy for each in again.of(Action.NOTIFY)} <= outdated


def _told_now(decision: retention.Decision, told: list[Proposal]) -> bool:
    """Whether a removal waited for nothing but its notice, of no days."""
    return decision.copy in {each.copy for each in told}


@given(cases(), st.randoms(use_true_random=False))
@settings(max_examples=EXAMPLES, deadline=None)
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
