"""What golden cases do not say of a plan."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from pathlib import Path

import pytest

from coldchain import retention
from coldchain.retention import Action
from coldchain.testing.ledgers import Case, read_case

HERE = Path(__file__).parent


def case(name: str) -> Case:
    """The ledger, policy and moment of a golden case."""
    common = json.loads((HERE / "common.json").read_text())
    return read_case(json.loads((HERE / "cases" / f"{name}.json").read_text()), common["places"], common["policy"])


def test_decisions_are_picked_by_their_action() -> None:
    """Whoever carries a plan out gets the decisions with the actions that were asked for, and no other one."""
    read = case("staged_input_goes")
    plan = retention.plan(read.ledger, read.policy, read.now)
    assert [each.copy for each in plan.of(Action.REMOVE)] == [1]
    assert [each.copy for each in plan.of(Action.KEEP)] == [2]
    assert [each.copy for each in plan.of(Action.KEEP, Action.REMOVE)] == [each.copy for each in plan.decisions]
    assert plan.of(Action.DELETE) == []


@pytest.mark.parametrize("name", ["staged_input_goes", "trash_after_its_grace", "lifetime_over_goes", "disposable_goes"])
def test_nothing_goes_by_a_clock_that_leapt_ahead(name: str) -> None:
    """Whatever would go stays where the last believed time is longer ago than the policy lets a clock leap, and says why."""
    read = case(name)
    going = {each.copy for each in retention.plan(read.ledger, read.policy, read.now).of(Action.REMOVE, Action.DELETE)}
    leap = dt.timedelta(days=read.policy.clock_leap_days, seconds=1)
    leapt = dataclasses.replace(read.ledger, believed=read.now - leap)
    kept = {each.copy: each for each in retention.plan(leapt, read.policy, read.now).of(Action.KEEP)}
    assert going
    assert going <= set(kept)
    assert all(any("the clock is not believed" in reason for reason in kept[key].reasons) for key in going)
    believed = dataclasses.replace(read.ledger, believed=read.now - leap + dt.timedelta(seconds=1))
    assert retention.plan(believed, read.policy, read.now) == retention.plan(read.ledger, read.policy, read.now)


@pytest.mark.parametrize("unknown", ["code_version", "lock_digest"])
def test_what_was_made_with_unknown_code_or_packages_cannot_be_made_again(unknown: str) -> None:
    """A step that does not record with what it was done gives no ground to go."""
    read = case("remade_from_standing_parents")
    activities = {name: dataclasses.replace(each, **{unknown: ""}) for name, each in read.ledger.activities.items()}
    plan = retention.plan(dataclasses.replace(read.ledger, activities=activities), read.policy, read.now)
    assert retention.plan(read.ledger, read.policy, read.now).of(Action.REMOVE)
    assert [each.action for each in plan.decisions] == [Action.KEEP, Action.KEEP]
    assert any("with which code and packages it was made is not recorded" in reason for each in plan.decisions for reason in each.reasons)


def test_a_copy_that_nobody_dated_falls_due_by_its_own_rule() -> None:
    """Not by the policy's general purge, where a rule has one of its own."""
    read = case("staged_input_goes")
    (copy,) = (each for each in read.ledger.copies if each.id == 1)
    undated = dataclasses.replace(copy, due_at=None)
    rule = read.policy.rule(read.ledger.artifacts[copy.artifact].level, read.ledger.projects["PRJ-0001"])
    days = (read.now - copy.created_at).days
    for more, action in ((1, Action.KEEP), (0, Action.REMOVE)):
        purge = read.policy.purge.model_copy(update={"after_days": days + more})
        rules = tuple(each.model_copy(update={"purge": purge}) if each == rule else each for each in read.policy.rules)
        general = read.policy.purge.model_copy(update={"after_days": 0 if more else 36_000})
        policy = read.policy.model_copy(update={"rules": rules, "purge": general})
        ledger = dataclasses.replace(read.ledger, copies=(undated, *(each for each in read.ledger.copies if each.id != 1)))
        assert {each.copy: each.action for each in retention.plan(ledger, policy, read.now).decisions}[1] is action
