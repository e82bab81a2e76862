"""What is stale against what: inputs that are not current, and what a recipe would be told or made with today. Pure.

Another version of the code is reported as such and is no alarm: it may or may not make other bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from coldchain.choices import History, currents, own_inputs
from coldchain.levels import Level

if TYPE_CHECKING:
    from coldchain.copies import Artifact
    from coldchain.provenance import Activity

CODE_PARAMETER = "code_version"
"""Parameter of a step that was made anew for the sake of the code alone: no recipe's work is told of it."""

WEIGHTS = "weights"
"""End of the name of a parameter that is the digest of a model's weights."""


class Ground(StrEnum):
    """Why an artifact is stale."""

    INPUT = "input"
    PARAMETERS = "parameters"
    MODEL = "model"
    CODE = "code"


@dataclass(frozen=True, slots=True)
class Reason:
    """One ground, and what it is about."""

    ground: Ground
    why: str

    def __str__(self) -> str:
        """Say both."""
        return f"{self.ground}: {self.why}"


@dataclass(frozen=True, slots=True)
class Stale:
    """An artifact that would be made otherwise today, and why; `current` says whether it is the current one of its level."""

    artifact: Artifact
    current: bool
    reasons: tuple[Reason, ...]

    @property
    def alarming(self) -> bool:
        """Whether anything but the version of the code differs."""
        return any(reason.ground is not Ground.CODE for reason in self.reasons)


@dataclass(frozen=True)
class Today:
    """What would be recorded today: parameters by activity id (of those whose recipe is known), and the version of the code."""

    code_version: str
    parameters: Mapping[str, Mapping[str, Any]]


def stale(history: History, today: Today) -> list[Stale]:
    """What of a dataset is stale, in the order of the levels; of several ways to the same bytes the best one counts."""
    found = currents(history)
    ids = {artifact.id for artifact in found.values()}
    made = history.by_artifact
    judged = [
        Stale(artifact, artifact.id in ids, _fewest([_reasons(artifact, way, found, today) for way in made.get(artifact.id, ())]))
        for artifact in history.artifacts
        if artifact.level is not Level.RAW
    ]
    return sorted((each for each in judged if each.reasons), key=lambda each: list(Level).index(each.artifact.level))


def _fewest(ways: Sequence[tuple[Reason, ...]]) -> tuple[Reason, ...]:
    """The fewest reasons, those that are no alarm counting least."""
    return min(ways, key=lambda reasons: (sum(each.ground is not Ground.CODE for each in reasons), len(reasons)), default=())


def _reasons(artifact: Artifact, activity: Activity, current: Mapping[Level, Artifact], today: Today) -> tuple[Reason, ...]:
    inputs = [_input(name, current) for name in own_inputs(artifact.dataset, activity)]
    told = today.parameters.get(activity.id)
    return (
        *(Reason(Ground.INPUT, why) for why in inputs if why),
        *(_told(activity.parameters, told) if told is not None else ()),
        *([Reason(Ground.CODE, f"made by {activity.code_version}, today {today.code_version}")] if _other_code(activity, today) else []),
    )


def _input(name: str, current: Mapping[Level, Artifact]) -> str:
    """Why an input is not what would be taken today; nothing where it is."""
    level, _, digest = name.rpartition("/")[2].partition("@")
    now = next((each for each in current.values() if each.level == level), None)
    if now is not None and now.id == name:
        return ""
    return f"{level} {digest[:12]} is not current, {f'{now.digest[:12]} is' if now else 'and none is'}"


def _told(recorded: Mapping[str, Any], today: Mapping[str, Any]) -> list[Reason]:
    """Parameters that differ, each as a reason."""
    then, now = as_recorded(recorded), as_recorded(today)
    return [
        Reason(Ground.MODEL if name.endswith(WEIGHTS) else Ground.PARAMETERS, f"{name} was {_short(then, name)}, today {_short(now, name)}")
        for name in differing(recorded, today)
    ]


def as_recorded(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as they come back from the catalogue: through JSON."""
    return dict(json.loads(json.dumps(dict(parameters), default=str)))


def differing(recorded: Mapping[str, Any], today: Mapping[str, Any]) -> list[str]:
    """Names of parameters that differ, sorted; for which code a step was made anew does not count."""
    then, now = as_recorded(recorded), as_recorded(today)
    return sorted(name for name in (then.keys() | now.keys()) - {CODE_PARAMETER} if then.get(name) != now.get(name))


def _short(parameters: Mapping[str, Any], name: str) -> str:
    said = json.dumps(parameters.get(name), sort_keys=True)
    return said if len(said) <= 60 else f"{said[:60]}…"


def _other_code(activity: Activity, today: Today) -> bool:
    return bool(activity.code_version) and activity.code_version != today.code_version
