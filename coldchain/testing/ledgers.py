"""Small ledgers from plain values, as golden cases write them down: what stands where, in a few lines of JSON."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from coldchain.choices import Choice
from coldchain.copies import Artifact, Copy, CopyState
from coldchain.dataset import Project
from coldchain.holds import Hold, Lease, Use
from coldchain.ledger import Ledger
from coldchain.levels import Level
from coldchain.location import Location
from coldchain.media import State, Whereabouts
from coldchain.overrides import Check, Override
from coldchain.policy import Ground, Policy
from coldchain.proposals import Answer, Proposal
from coldchain.provenance import Activity
from coldchain.retention import Decision, Plan

DATASET = "PRJ-0001/PLATE-A"
LONG_AGO = dt.datetime(2029, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True)
class Case:
    """A ledger, a policy and a moment."""

    ledger: Ledger
    policy: Policy
    now: dt.datetime


def read_case(case: Mapping[str, Any], places: Mapping[str, Any], policy: Mapping[str, Any]) -> Case:
    """Read a case over a common set of places and a common policy, which the case may add to or replace.

    An artifact is named by a short word, ``<level>`` or ``<level>.<version>``, one of another dataset ``PLATE-B/<level>``; its copies
    say ``of`` and ``at``.
    """
    artifacts = {name: _artifact(name) for name in case.get("artifacts", ())}
    locations = {name: Location(name=name, root=name, **each) for name, each in {**places, **case.get("locations", {})}.items()}
    made = {name: moment(day) for name, day in case.get("made", {}).items()}
    artifacts = {name: replace(each, made_at=made.get(name, each.made_at)) for name, each in artifacts.items()}
    read_policy = Policy.model_validate({**policy, **case.get("policy", {})})
    ledger = Ledger(
        projects={"PRJ-0001": Project(id="PRJ-0001", **case.get("project", {}))},
        artifacts={artifact.id: artifact for artifact in artifacts.values()},
        copies=tuple(_copy(each, artifacts) for each in case.get("copies", ())),
        same=case.get("same", {}),
        asked_for={artifacts[name].id: moment(day) for name, day in case.get("asked_for", {}).items()},
        proposals=tuple(_proposal(n, each, read_policy) for n, each in enumerate(case.get("proposals", ()), 1)),
        overrides=tuple(_override(n, each) for n, each in enumerate(case.get("overrides", ()), 1)),
        media={name: _whereabouts(name, each) for name, each in case.get("media", {}).items()},
        choices=tuple(_choice(each, artifacts) for each in case.get("choices", ())),
        early={name: moment(day) for name, day in case.get("early", {}).items()},
        datasets=frozenset(case.get("datasets", ())),
        activities={name: _activity(name, inputs, artifacts) for name, inputs in case.get("made_from", {}).items()},
        locations=locations,
        reachable=frozenset(locations) - set(case.get("unreachable", ())),
        home="campus",
        holds=tuple(
            Hold(n, DATASET, each["reason"], each["who"], dt.date.fromisoformat(each["until"]))
            for n, each in enumerate(case.get("holds", ()), 1)
        ),
        leases=tuple(
            Lease(artifacts[each["of"]].id, Use(each["use"]), "another", moment(each["until"])) for each in case.get("leases", ())
        ),
    )
    return Case(ledger, read_policy, moment(case["now"]))


def moment(text: str) -> dt.datetime:
    """Read a moment or a day; without a zone it is UTC."""
    found = dt.datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=dt.UTC)


def written(plan: Plan) -> dict[str, Any]:
    """A plan as plain values, the way golden cases keep it; artifacts by their short words."""
    return {
        "decisions": {str(each.copy): _decision(each) for each in plan.decisions},
        "shortfalls": {_word(name): list(reasons) for name, reasons in plan.shortfalls.items()},
        "warnings": list(plan.warnings),
        "wishes": [{"of": _word(each.artifact), "to": each.to, "from": list(each.sources)} for each in plan.wishes],
    }


def _decision(decision: Decision) -> dict[str, Any]:
    return {"action": str(decision.action), "reasons": list(decision.reasons), "leans_on": list(decision.leans_on)} | (
        {"ground": str(decision.ground), "grace_days": decision.grace_days} if decision.ground else {}
    )


def _artifact(name: str) -> Artifact:
    plate, _, short = name.rpartition("/")
    level, _, version = short.partition(".")
    dataset = f"PRJ-0001/{plate}" if plate else DATASET
    return Artifact(dataset, Level(level), (version or level).encode().hex().ljust(64, "0")[:64], 1, 1000, name, LONG_AGO)


def _word(artifact: str) -> str:
    dataset, _, rest = artifact.rpartition("/")
    level, _, digest = rest.partition("@")
    version = bytes.fromhex(digest).rstrip(b"\0").decode()
    plate = "" if dataset == DATASET else dataset.rpartition("/")[2] + "/"
    return plate + (level if version == level else f"{level}.{version}")


def _copy(said: Mapping[str, Any], artifacts: Mapping[str, Artifact]) -> Copy:
    known = artifacts.get(said["of"])
    return Copy(
        id=said["id"],
        artifact=known.id if known else said["of"],
        location=said["at"],
        path="somewhere",
        state=CopyState(said.get("state", "verified")),
        created_at=moment(said.get("created", "2029-12-01")),
        verified_at=moment(said["read"]) if said.get("read") else None,
        due_at=moment(said["due"]) if said.get("due") else None,
        protection=said.get("protection", "none"),
        detail=said.get("detail", ""),
    )


def _proposal(number: int, said: Mapping[str, Any], policy: Policy) -> Proposal:
    answered = said.get("answered")
    return Proposal(
        id=number,
        notice=said.get("notice", 1),
        copy=said["copy"],
        ground=Ground(said.get("ground", "original_stands")),
        policy=said.get("policy", policy.digest),
        told_at=moment(said["told"]),
        answer=Answer(said.get("answer", "none")),
        who=said.get("who", ""),
        answered_at=moment(answered) if answered else None,
        note=said.get("note", ""),
    )


def _choice(said: Mapping[str, Any], artifacts: Mapping[str, Artifact]) -> Choice:
    chosen = artifacts[said["of"]]
    return Choice(chosen.dataset, chosen.level, chosen.id, "ada", "it is better", moment(said.get("at", "2030-01-01")))


def _whereabouts(name: str, said: Mapping[str, Any]) -> Whereabouts:
    return Whereabouts(name, State(said["state"]), moment(said.get("since", "2030-01-11")), said.get("place", ""), said.get("holder", ""))


def _override(number: int, said: Mapping[str, Any]) -> Override:
    return Override(
        number,
        DATASET,
        Check(said["check"]),
        said["reason"],
        said["who"],
        dt.date.fromisoformat(said["until"]),
        said.get("approved_by", ""),
    )


def _activity(name: str, inputs: list[str], artifacts: Mapping[str, Artifact]) -> Activity:
    ids = tuple(artifacts[each].id if each in artifacts else each for each in inputs)
    return Activity(name, f"make {name}", name, ids, {}, "1", "lock", "ada@lab", LONG_AGO, LONG_AGO)
