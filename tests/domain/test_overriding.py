"""Overrides: one check for one dataset, asked for by one established person and approved by another."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

import pytest

from coldchain import overriding
from coldchain.approvers import Person
from coldchain.errors import InputError, NotInCatalogue, Refused
from coldchain.overrides import Check, Override
from coldchain.workspace import Workspace

DATASET = "PRJ-0001/PLATE-A"
ADA, GRACE, ROOT_FOR_ADA = Person("ada", "test"), Person("grace", "test"), Person("root", "test", "ada")
UNTIL = dt.date(2030, 2, 1)


def naming(ws: Workspace, *approvers: str, **of_rules: Any) -> Workspace:
    """The same site with approvers."""
    rules = tuple(rule.model_copy(update={"approvers": of_rules.get(rule.levels[0], ())}) for rule in ws.policy.rules)
    return dataclasses.replace(ws, policy=ws.policy.model_copy(update={"approvers": approvers, "rules": rules}))


def asked(ws: Workspace, who: Person = ADA) -> Override:
    """An override that waits."""
    return overriding.ask(ws, who, DATASET, Check.OFF_SITE, "the archive is closed", UNTIL)


def test_an_override_counts_once_a_second_person_approved_it(ws: Workspace) -> None:
    """Until then it does not hold; both are written down."""
    waiting = asked(ws)
    assert not waiting.holds(ws.now())
    approved = overriding.approve(ws, GRACE, waiting.id)
    assert approved.holds(ws.now())
    assert (approved.who, approved.approved_by, approved.approved_at) == ("ada", "grace", ws.now())
    receipts = ws.catalogue.receipts("override")
    assert [(each["what"], each["who"]) for each in receipts] == [("asked for", "ada"), ("approved", "grace")]


@pytest.mark.parametrize(
    ("asks", "approves"),
    [
        (ADA, ADA),
        (ADA, ROOT_FOR_ADA),
        (ROOT_FOR_ADA, ADA),
        (ROOT_FOR_ADA, Person("root", "test")),
        (ROOT_FOR_ADA, Person("root", "test", "bob")),
    ],
)
def test_nobody_approves_what_they_asked_for(ws: Workspace, asks: Person, approves: Person) -> None:
    """One person is one person, with sudo or without, and nothing is changed."""
    waiting = asked(ws, asks)
    with pytest.raises(Refused, match="a second person has to approve"):
        overriding.approve(ws, approves, waiting.id)
    assert ws.catalogue.overrides() == [waiting]


def test_the_only_approver_approves_alone(ws: Workspace) -> None:
    """Where the policy names exactly one, there is no second person; where it names two, there is."""
    assert overriding.approve(naming(ws, "ada"), ADA, asked(ws).id).approved_by == "ada"
    with pytest.raises(Refused, match="a second person"):
        overriding.approve(naming(ws, "ada", "grace"), ADA, asked(ws).id)
    with pytest.raises(Refused, match="a second person"):
        overriding.approve(ws, ADA, asked(ws).id)


def test_only_who_may_approve_all_levels_approves(ws: Workspace) -> None:
    """An override is for the whole dataset: an approver of some of its levels is not enough."""
    waiting = asked(ws)
    with pytest.raises(Refused, match="bob may"):
        overriding.approve(naming(ws, "bob"), GRACE, waiting.id)
    with pytest.raises(Refused, match="bob may"):
        overriding.approve(naming(ws, "grace", raw=("bob",)), GRACE, waiting.id)
    with pytest.raises(Refused, match="a second person"):
        overriding.approve(naming(ws, "ada", raw=("ada", "bob")), ADA, waiting.id)
    assert ws.catalogue.overrides() == [waiting]
    overriding.approve(naming(ws, "grace", raw=("bob", "grace")), GRACE, waiting.id)


def test_what_is_not_there_or_was_approved_is_not_approved(ws: Workspace) -> None:
    """An unknown number, one that ended, and one that was approved before."""
    first, second = asked(ws), asked(ws)
    overriding.approve(ws, GRACE, first.id)
    ws.catalogue.end_override(second.id, "ada", ws.now())
    for number in (99, second.id):
        with pytest.raises(NotInCatalogue, match="no such override"):
            overriding.approve(ws, GRACE, number)
    with pytest.raises(Refused, match="any more"):
        overriding.approve(ws, GRACE, first.id)


def test_an_override_says_why_and_ends(ws: Workspace) -> None:
    """Without a reason, or with a day that is over, or for a dataset that is not there, it is not asked for."""
    with pytest.raises(InputError, match="says why"):
        overriding.ask(ws, ADA, DATASET, Check.COPIES, "  ", UNTIL)
    with pytest.raises(InputError, match="in the future"):
        overriding.ask(ws, ADA, DATASET, Check.COPIES, "because", dt.date(2030, 1, 14))
    with pytest.raises(NotInCatalogue):
        overriding.ask(ws, ADA, "PRJ-0001/NONE", Check.COPIES, "because", UNTIL)
    assert ws.catalogue.overrides() == []
