"""What holds of every plan, whatever the ledger and the policy."""

from __future__ import annotations

import copy as copying
import dataclasses
import datetime as dt
import os
from collections.abc import Mapping
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from coldchain import retention
from coldchain.consent import terms_of
from coldchain.copies import Artifact, Copy, CopyState
from coldchain.dues import lifetime_end
from coldchain.ledger import Ledger
from coldchain.levels import IRREPLACEABLE, Level
from coldchain.location import Engine
from coldchain.overrides import Check, Override
from coldchain.policy import Approval, Ground
from coldchain.proposals import Answer, Proposal
from coldchain.retention import Action
from coldchain.standing import Judge, remakeable, standing
from coldchain.testing.ledgers import DATASET, Case, read_case

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
        elif draw(st.booleans()):
            found[name] |= {"engine": "offline", "offline": {"label": name}}
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


media = st.fixed_dictionaries({"state": st.sampled_from(["in", "shelf", "shelf", "out", "lost"])})


CHAIN = {
    "standard": ["raw"],
    "corrected": ["standard"],
    "masks": ["corrected"],
    "single_cell_images": ["corrected", "masks"],
    "single_cell_profiles": ["corrected", "masks"],
    "bulk_profiles": ["single_cell_profiles", "corrected"],
    "bulk_profiles.b": ["single_cell_profiles", "corrected"],
    "release": ["single_cell_profiles", "bulk_profiles"],
}
"""What each artifact of a plate is made from, as the flows make it; and bulk profiles that no release was made of."""


any_names = st.lists(st.sampled_from(NAMES), unique=True, min_size=1, max_size=6)


@st.composite
def cases(draw: st.DrawFn, names_of: st.SearchStrategy[list[str]] = any_names, chain: Mapping[str, list[str]] | None = None) -> Case:
    """Any ledger under any policy, with doubtful copies, holds, leases, circles and clocks that are wrong."""
    names = draw(names_of)
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
    made_from = chain or draw(
        st.dictionaries(st.sampled_from(names), st.lists(st.sampled_from([*names, "gone"]), max_size=3), max_size=len(names))
    )
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
        "unreachable": draw(st.lists(st.sampled_from(PLACES), max_size=2)),
        "media": draw(st.dictionaries(st.sampled_from(PLACES), media, max_size=4)),
        "holds": draw(st.sampled_from([[], [], [], [hold]])),
        "leases": [{"of": of, "use": "read", "until": days(-1)} for of in draw(st.lists(st.sampled_from(names), max_size=1))],
    }
    return read_case(said, draw(places()), draw(policies()))


plates = cases(st.lists(st.sampled_from(["raw", *CHAIN]), unique=True, min_size=2, max_size=8), CHAIN)
"""Ledgers of a plate whose levels are made as the flows make them, whichever of them there are."""


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


@given(st.one_of(cases(), plates))
@settings(max_examples=EXAMPLES, deadline=None)
def test_nothing_goes_that_does_not_stand_or_cannot_be_made_again(case: Case) -> None:
    """After the whole batch, every artifact that lost a copy stands as the policy wants, can be made again, or its lifetime is over."""
    plan = retention.plan(case.ledger, case.policy, case.now)
    gone = {decision.copy for decision in plan.of(*GONE)}
    left = without(case.ledger, gone)
    for name in {copy.artifact for copy in case.ledger.copies if copy.id in gone}:
        artifact = case.ledger.artifacts[name]
        assert stands_or_is_remade(case, left, artifact) or ended(case, artifact)


@given(st.one_of(cases(), plates))
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
def test_nothing_leans_on_what_is_not_there(case: Case) -> None:
    """Every copy that a removal leans on stands at a place that can be reached, or on a medium that is on its shelf, and with nobody."""
    plan = retention.plan(case.ledger, case.policy, case.now)
    for place in {case.ledger.by_id[key].location for decision in plan.decisions for key in decision.leans_on}:
        taken_away = case.ledger.locations[place].engine is Engine.OFFLINE
        said = str(case.ledger.media[place].state) if taken_away and place in case.ledger.media else ""
        assert said not in {"out", "lost"}
        assert place in case.ledger.reachable or said == "shelf"


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


def made_of(ledger: Ledger, artifact: Artifact) -> list[Artifact]:
    """An artifact, and whatever is made of it, by looking at every activity again and again until nothing new is found."""
    found = {artifact.id}
    while True:
        more = {
            each.id for each in ledger.artifacts.values() if found.intersection(getattr(ledger.activities.get(each.activity), "inputs", ()))
        }
        if more <= found:
            return [ledger.artifacts[key] for key in found]
        found |= more


def has_passed(case: Case, ledger: Ledger, table: Artifact) -> bool:
    """Whether a release of a table stands somewhere, or its lifetime is over; what was made since in the same place counts as well."""
    releases = [
        each
        for each in ledger.artifacts.values()
        if each.level is Level.RELEASE and table.id in getattr(ledger.activities.get(each.activity), "inputs", ())
    ]
    return any(
        ended(case, each) or any(copy.state is CopyState.VERIFIED for copy in ledger.by_artifact.get(each.id, ())) for each in releases
    )


def keepers(case: Case, ledger: Ledger, artifact: Artifact) -> list[Artifact]:
    """Tables made of an artifact that have not passed, and in whose place no later one has."""
    cut_by = [
        ledger.artifacts[name]
        for name in getattr(ledger.activities.get(artifact.activity), "inputs", ())
        if artifact.level is Level.SINGLE_CELL_IMAGES and "/masks@" in name and name in ledger.artifacts
    ]
    tables = [
        each
        for start in (artifact, *cut_by)
        for each in made_of(ledger, start)
        if each.level in {Level.SINGLE_CELL_PROFILES, Level.BULK_PROFILES}
    ]
    waiting = [each for each in tables if not ended(case, each) and not has_passed(case, ledger, each)]
    later = [each for each in ledger.artifacts.values() if has_passed(case, ledger, each)]
    return [table for table in waiting if not any((each.level, each.made_at > table.made_at) == (table.level, True) for each in later)]


@given(st.one_of(cases(), plates, plates))
@settings(max_examples=2 * EXAMPLES, deadline=None)
def test_what_tables_wait_for_stays(case: Case) -> None:
    """Until its tables passed the gate, nothing goes because it can be made again, and what was computed does not leave scratch."""
    plan = retention.plan(case.ledger, case.policy, case.now)
    left = without(case.ledger, {decision.copy for decision in plan.of(*GONE)})
    aside = any(each.check is Check.GATE and each.holds(case.now) for each in case.ledger.overrides)
    for decision in plan.of(Action.ASK, Action.NOTIFY, *GONE):
        artifact = case.ledger.artifacts[case.ledger.by_id[decision.copy].artifact]
        computed = artifact.level not in {Level.RAW, Level.STANDARD}
        if decision.ground is Ground.REMAKE or (computed and decision.ground is Ground.ORIGINAL_STANDS):
            assert aside or not keepers(case, left, artifact)


@given(st.one_of(cases(), plates, plates))
@settings(max_examples=EXAMPLES, deadline=None)
def test_the_gate_only_keeps(case: Case) -> None:
    """Looked at by itself, no copy goes on a ground that it would not have, were the gate's check set aside; it may only lack one."""
    aside = Override(99, DATASET, Check.GATE, "because", "ada", dt.date(2030, 2, 1), "grace")
    free = dataclasses.replace(case.ledger, overrides=(*case.ledger.overrides, aside))
    for copy in case.ledger.copies:
        artifact = case.ledger.artifacts[copy.artifact]
        if copy.location in case.ledger.locations:
            held, found = retention.ground_of(copy, artifact, Judge(case.ledger, case.policy, case.now).without(copy))
            ground, _ = retention.ground_of(copy, artifact, Judge(free, case.policy, case.now).without(copy))
            assert held in {None, Ground.MOVED, Ground.LIFETIME, ground}
            assert held is None or ground is not None
            assert ground is None or held is not None or (found.stands and "have not passed the gate" in found.reasons[0])


@given(cases())
@settings(max_examples=EXAMPLES, deadline=None)
def test_every_copy_has_one_decision_with_a_reason(case: Case) -> None:
    """Each copy is decided on exactly once, and each decision says why."""
    plan = retention.plan(case.ledger, case.policy, case.now)
    assert sorted(decision.copy for decision in plan.decisions) == sorted(copy.id for copy in case.ledger.copies)
    assert all(decision.reasons and all(decision.reasons) for decision in plan.decisions)


@given(st.one_of(cases(), plates), st.data())
@settings(max_examples=EXAMPLES, deadline=None)
def test_fewer_copies_never_let_more_go(case: Case, data: st.DataObject) -> None:
    """Taking copies out of the ledger, with what was said of them, never turns a keep into a removal: a no keeps its whole dataset."""
    refused = {proposal.copy for proposal in case.ledger.proposals if proposal.answer is Answer.NO}
    keys = [copy.id for copy in case.ledger.copies if copy.id not in refused]
    lost = set(data.draw(st.lists(st.sampled_from(keys), max_size=3))) if keys else set()
    before = {decision.copy: decision.action for decision in retention.plan(case.ledger, case.policy, case.now).decisions}
    for decision in retention.plan(without(case.ledger, lost), case.policy, case.now).decisions:
        assert before[decision.copy] is not Action.KEEP or decision.action is Action.KEEP


def brought_back(ledger: Ledger, recalled: set[int]) -> Ledger:
    """A ledger in which copies from the trash stand at their places again."""
    copies = [dataclasses.replace(each, state=CopyState.VERIFIED, due_at=None) if each.id in recalled else each for each in ledger.copies]
    return dataclasses.replace(ledger, copies=tuple(copies))


@given(st.one_of(cases(), plates))
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
        brought_back(without(case.ledger, {decision.copy for decision in plan.of(*GONE)}), recalled),
        proposals=(*(each for each in case.ledger.proposals if each.copy not in outdated or each.answer is Answer.NO), *told),
    )
    again = retention.plan(left, case.policy, case.now)
    assert not [each for each in again.of(*GONE) if not _told_now(each, told)]
    assert {each.copy for each in again.of(Action.NOTIFY)} <= outdated | recalled


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
