"""Which artifact of each level is current: the one that a person chose, else the newest. Pure.

What is current is made of what is current: of a level only those artifacts come into question whose inputs are all current. So a choice
of masks carries the profiles that were made of them, and a level of which nothing was made of the current parents yet has to be made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coldchain.levels import Level

if TYPE_CHECKING:
    import datetime as dt

    from coldchain.copies import Artifact
    from coldchain.provenance import Activity


@dataclass(frozen=True, slots=True)
class Choice:
    """What a person said is current of a level of a dataset; no artifact: the newest again. The last one said holds."""

    dataset: str
    level: Level
    artifact: str
    who: str
    why: str
    at: dt.datetime

    def __str__(self) -> str:
        """Say what was chosen, by whom, when and why."""
        chosen = self.artifact.rpartition("@")[2][:12] or "the newest"
        return f"{self.level}: {chosen}, chosen by {self.who} on {self.at:%Y-%m-%d}: {self.why}"


@dataclass(frozen=True, slots=True)
class Making:
    """One time that an artifact was made; the same bytes may have been made in several ways."""

    artifact: str
    activity: Activity


@dataclass(frozen=True)
class History:
    """What there is of one dataset: its artifacts, newest last, every way each was made, and what people chose, oldest first."""

    artifacts: Sequence[Artifact]
    makings: Sequence[Making]
    choices: Sequence[Choice] = ()

    @property
    def chosen(self) -> dict[Level, Choice]:
        """The choice that was said last of each level."""
        return {choice.level: choice for choice in self.choices}

    @property
    def by_artifact(self) -> dict[str, list[Activity]]:
        """Activities that made each artifact, oldest first."""
        found: dict[str, list[Activity]] = {}
        for making in self.makings:
            found.setdefault(making.artifact, []).append(making.activity)
        return found


def currents(history: History) -> dict[Level, Artifact]:
    """The current artifact of each level that has one."""
    found: dict[Level, Artifact] = {}
    made = history.by_artifact
    for level in Level:
        ids = frozenset(artifact.id for artifact in found.values())
        fitting = [each for each in history.artifacts if each.level is level and made_of(each, made.get(each.id, ()), ids)]
        if fitting:
            found[level] = _preferred(fitting, history.chosen.get(level))
    return found


def _preferred(fitting: Sequence[Artifact], choice: Choice | None) -> Artifact:
    """The artifact that was chosen, where it comes into question, else the newest."""
    return next((each for each in fitting if choice is not None and each.id == choice.artifact), fitting[-1])


def made_of(artifact: Artifact, activities: Iterable[Activity], current: frozenset[str]) -> bool:
    """Whether an artifact was made, in at least one way, of what is current; inputs of other datasets are not asked."""
    ways = [own_inputs(artifact.dataset, activity) for activity in activities]
    return not ways or any(current.issuperset(inputs) for inputs in ways)


def own_inputs(dataset: str, activity: Activity) -> tuple[str, ...]:
    """Inputs of an activity that are of the same dataset."""
    return tuple(name for name in activity.inputs if name.rpartition("/")[0] == dataset)


def above(artifact: Artifact, history: History, prefer: frozenset[str] = frozenset()) -> list[Artifact]:
    """What an artifact was made of, step by step, in the order of the levels.

    Of several ways the one with most of what it was made of anyway, so that there is one of each level; then with most of `prefer`.
    """
    by_id, made = {each.id: each for each in history.artifacts}, history.by_artifact
    found: dict[str, Artifact] = {}
    waiting = [artifact]
    while waiting:
        each = waiting.pop()
        ways = [own_inputs(each.dataset, activity) for activity in made.get(each.id, ())]
        inputs = max(ways, key=lambda names: (len(found.keys() & names), len(prefer.intersection(names))), default=())
        fresh = [by_id[name] for name in inputs if name in by_id and name not in found]
        found |= {each.id: each for each in fresh}
        waiting += fresh
    return sorted(found.values(), key=lambda each: list(Level).index(each.level))


def in_force(history: History) -> list[Choice]:
    """Choices that hold now; one of what is not made of what is current waits until that is current again."""
    current = {artifact.id for artifact in currents(history).values()}
    return [choice for choice in history.chosen.values() if choice.artifact in current]


def changed(before: Mapping[Level, Artifact], after: Mapping[Level, Artifact]) -> dict[Level, tuple[Artifact | None, Artifact | None]]:
    """Levels whose current artifact is another one afterwards, or none: what it was and what it is."""
    pairs = {level: (before.get(level), after.get(level)) for level in Level}
    return {level: (was, now) for level, (was, now) in pairs.items() if (was and was.id) != (now and now.id)}
