"""Overriding: one person asks for one check to be set aside for one dataset, and another one approves it."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from coldchain.approving import lets
from coldchain.errors import InputError, NotInCatalogue, Refused
from coldchain.levels import Level
from coldchain.overrides import Check, Override

if TYPE_CHECKING:
    from coldchain.approvers import Person
    from coldchain.dataset import Project
    from coldchain.policy import Policy
    from coldchain.workspace import Workspace


def ask(ws: Workspace, person: Person, dataset: str, check: Check, reason: str, until: dt.date) -> Override:
    """Ask for a check to be set aside until a day; it counts once somebody approved it. Raises InputError, NotInCatalogue."""
    if not reason.strip():
        raise InputError("an override says why", on=dataset, expected="a reason")
    if until < ws.now().date():
        raise InputError("an override ends in the future", on=dataset, got=until)
    return ws.catalogue.add_override(dataset, check, reason.strip(), str(person), until, ws.now())


def approve(ws: Workspace, person: Person, number: int) -> Override:
    """Approve an override that another person asked for.

    Raises:
        NotInCatalogue: there is no such override, or it has ended.
        Refused: the person may not, asked for it, or it was approved before.
    """
    override = _find(ws, number)
    if why := hindrance(person, override, ws.policy, ws.catalogue.project(override.dataset.split("/", 1)[0])):
        raise Refused(f"{person} may not approve override {number}", on=override.dataset, got=why, done="nothing was changed")
    return ws.catalogue.approve_override(number, str(person), person.how, ws.now())


def hindrance(person: Person, override: Override, policy: Policy, project: Project) -> str:
    """Why a person may not approve an override; nothing where they may. Pure.

    It is for all levels of a dataset, so the policy has to let the person approve for each. Who asked for it approves it only where the
    policy names nobody else.
    """
    lists = {policy.approvers_of(policy.rule(level, project)) for level in Level}
    if barred := [named for named in lists if not lets(person, named)]:
        return f"{' and '.join(sorted(', '.join(named) for named in barred))} may"
    if person.was(override.who) and lists != {(person.name,)}:
        return f"{override.who} asked for it, and a second person has to approve"
    return ""


def _find(ws: Workspace, number: int) -> Override:
    known = ws.catalogue.overrides()
    for override in known:
        if override.id == number:
            return override
    raise NotInCatalogue("no such override, or it has ended", on=number, got=", ".join(str(each.id) for each in known) or "there is none")
