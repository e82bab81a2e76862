"""Planning a reprocessing: which steps a dataset needs, of what, with which parameters, and what they would cost. Nothing is changed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from coldchain import provenance
from coldchain.choices import History, above, currents
from coldchain.copies import Artifact, CopyState
from coldchain.errors import ColdchainError, InputError
from coldchain.imaging import models
from coldchain.levels import Level
from coldchain.lifecycle import SETTLED
from coldchain.making import Step
from coldchain.provenance import Activity
from coldchain.reprocessing import Estimate, Plan, Planned, Run, estimate, following, sizes_of
from coldchain.rerunning import readable
from coldchain.staleness import CODE_PARAMETER, differing
from coldchain.workspace import Workspace
from tasks.making import Recipe, told
from tasks.recipes import RECIPES, SETTABLE, parameters_today

LAST = Level.BULK_PROFILES


@dataclass(frozen=True)
class Wish:
    """What people ask for: from which recipe on, with which other parameters of it, and whether another version of the code is enough."""

    recipe: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    code: bool = False


def wish(recipe: str, model: str = "", settings: Iterable[str] = (), *, code: bool = False) -> Wish:
    """A wish as people type it: settings are ``name=value``, a value being JSON or plain text. Raises InputError."""
    if recipe not in RECIPES:
        raise InputError("there is no such recipe", on=repr(recipe[:60]), expected=", ".join(RECIPES), done="nothing was planned")
    parameters = dict(_setting(text) for text in settings) | ({"model": model} if model else {})
    return Wish(recipe, parameters, code)


def _setting(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise InputError("this is no setting", on=repr(text[:80]), expected="name=value", done="nothing was planned")
    try:
        return name.strip(), json.loads(value)
    except ValueError:
        return name.strip(), value.strip()


def plan(ws: Workspace, dataset: str, wanted: Wish, runs: Sequence[Run]) -> Plan:
    """What a wish comes to for one dataset, or why it cannot be."""
    try:
        return _Planner(ws, dataset, wanted, runs).plan()
    except ColdchainError as error:
        return Plan(dataset, refused=str(error))


def earlier_runs(histories: Mapping[str, History]) -> list[Run]:
    """Every time that a known recipe was followed, with how much work it was."""
    return [run for history in histories.values() for run in _runs(history)]


def _runs(history: History) -> list[Run]:
    by_id = {artifact.id: artifact for artifact in history.artifacts}
    return [
        Run(
            dataset=by_id[making.artifact].dataset,
            recipe=making.activity.name,
            model=str(making.activity.model.get("name", "")),
            seconds=(making.activity.ended_at - making.activity.started_at).total_seconds(),
            sizes=sizes_of(_with_activities(history, above(by_id[making.artifact], history))),
        )
        for making in history.makings
        if making.activity.name in RECIPES and making.artifact in by_id
    ]


def _with_activities(history: History, artifacts: Iterable[Artifact]) -> list[tuple[Artifact, Activity]]:
    made = history.by_artifact
    return [(each, made[each.id][0]) for each in artifacts if each.id in made]


def settled(ws: Workspace, dataset: str, recipe: Recipe, of: Sequence[Artifact], parameters: Mapping[str, Any], *, code: bool) -> Step:
    """The step that a recipe comes to; made anew for the sake of the code alone where that is wished and only older code made it."""
    step = Step(recipe.name, dataset, recipe.makes, tuple(of), parameters)
    made = ws.catalogue.made(step.fingerprint)
    if not (code and made):
        return step
    versions = {each.activity.code_version for each in ws.catalogue.makings(dataset) if each.artifact == made[-1].id}
    if provenance.code_version() in versions:
        return step
    return Step(recipe.name, dataset, recipe.makes, tuple(of), {**parameters, CODE_PARAMETER: provenance.code_version()})


def changes(then: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, ...]:
    """Which parameters are others now, as people read it."""
    said = tuple(f"{name} {_short(then.get(name))} → {_short(now.get(name))}" for name in differing(then, now))
    return (*said, f"by coldchain {now[CODE_PARAMETER]}") if now.get(CODE_PARAMETER) else said


def _short(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 24 else f"{text[:12]}…"


@dataclass(frozen=True)
class _Planner:
    ws: Workspace
    dataset: str
    wanted: Wish
    runs: Sequence[Run]

    @cached_property
    def history(self) -> History:
        self.ws.catalogue.dataset(self.dataset)
        return self.ws.history(self.dataset)

    @cached_property
    def current(self) -> dict[Level, Artifact]:
        return currents(self.history)

    def plan(self) -> Plan:
        """Every step in the order in which it has to be made."""
        first = self._present_maker(RECIPES[self.wanted.recipe])
        self._refuse_missing(first)
        known: dict[Level, Artifact | None] = dict(self.current)
        steps: list[Planned] = []
        for recipe in self._chain(first):
            planned = self._step(recipe, first, known)
            known[recipe.makes] = self.ws.catalogue.artifact(planned.stands) if planned.stands else None
            if planned.makes:
                steps += self._again([known[level] for level in recipe.of], steps)
            steps.append(planned)
        return Plan(self.dataset, tuple(steps))

    def _present_maker(self, recipe: Recipe) -> Recipe:
        """The recipe that made what is there of a level, where several make it, e.g. masks of a plate and of single images."""
        recorded = self._activity(recipe.makes)
        other = RECIPES.get(recorded.name) if recorded else None
        return other if other is not None and other.makes is recipe.makes else recipe

    def _refuse_missing(self, first: Recipe) -> None:
        if missing := [level for level in (*first.of, first.makes) if level not in self.current]:
            raise InputError(
                f"there is no current {', '.join(missing)} of it",
                on=self.dataset,
                done="nothing was planned",
                hint="`lifecycle` makes what was never made; `coldchain stale` says what is current",
            )

    def _chain(self, first: Recipe) -> list[Recipe]:
        """The recipes to follow: down to bulk profiles, and to the side only where what is there can be read."""
        there = {*self.current, first.makes}
        usual = [each for each in RECIPES.values() if each is self._present_maker(each) and there.issuperset(each.of)]
        chain = following(usual, first)
        into: set[Level] = {LAST}
        for recipe in reversed(chain):
            into |= set(recipe.of) if recipe.makes in into else set()
        return [each for each in chain if each is first or each.makes in into or self._stands(each.makes)]

    def _stands(self, level: Level) -> bool:
        return level in self.current and readable(self.ws, self.current[level]) is not None

    def _step(self, recipe: Recipe, first: Recipe, known: Mapping[Level, Artifact | None]) -> Planned:
        parameters = self._parameters(recipe, self.wanted.parameters if recipe is first else {})
        inputs = [known.get(level) for level in recipe.of]
        there = [each for each in inputs if each is not None]
        stands = ""
        if len(there) == len(inputs):
            step = settled(self.ws, self.dataset, recipe, there, parameters, code=self.wanted.code)
            parameters, stands = dict(step.parameters), self._made(step)
        present = self.current.get(recipe.makes)
        return Planned(
            recipe=recipe.name,
            level=recipe.makes,
            parameters=parameters,
            of={level: each.id for level, each in zip(recipe.of, inputs, strict=True) if each is not None},
            stands=stands,
            estimate=Estimate(0.0, "stands already") if stands else self._estimate(recipe, parameters),
            bytes=present.bytes if present else None,
            changes=changes(self._recorded(recipe), parameters),
        )

    def _made(self, step: Step) -> str:
        """Id of what a step made, where a copy of it was verified once."""
        for artifact in self.ws.catalogue.made(step.fingerprint):
            if SETTLED.intersection(copy.state for copy in self.ws.catalogue.copies(artifact=artifact.id)):
                return artifact.id
        return ""

    def _parameters(self, recipe: Recipe, others: Mapping[str, Any]) -> dict[str, Any]:
        """What was recorded of the present artifact, as it would be today, and what is wished."""
        recorded = told(self._recorded(recipe))
        names = {**recorded, **dict.fromkeys(SETTABLE.get(recipe.name, ()))}
        if unknown := sorted(others.keys() - names.keys()):
            raise InputError(
                f"{recipe.name} has no such parameter",
                on=", ".join(map(repr, unknown))[:200],
                expected=", ".join(names) or "none: it takes no parameters",
                done="nothing was planned",
            )
        found = parameters_today(self.ws, self.dataset, recipe, {**recorded, **others})
        return found | ({"weights": models.digest_of(str(others["model"]))} if "model" in others and "weights" in found else {})

    def _recorded(self, recipe: Recipe) -> Mapping[str, Any]:
        """Parameters of what is there of the level that a recipe makes; none where there is nothing."""
        recorded = self._activity(recipe.makes)
        return recorded.parameters if recorded else {}

    def _activity(self, level: Level) -> Activity | None:
        """How the current artifact of a level was made, or else the newest; nothing where there is none."""
        newest = [artifact for artifact in self.history.artifacts if artifact.level is level][-1:]
        present = [self.current[level]] if level in self.current else newest
        return self.ws.catalogue.activity(present[0].activity) if present else None

    def _estimate(self, recipe: Recipe, parameters: Mapping[str, Any]) -> Estimate:
        before = [artifact for level, artifact in self.current.items() if list(Level).index(level) < list(Level).index(recipe.makes)]
        sizes = sizes_of(_with_activities(self.history, before))
        return estimate(self.runs, recipe.name, str(parameters.get("model", "")), recipe.makes, sizes)

    def _again(self, inputs: Iterable[Artifact | None], steps: Sequence[Planned]) -> list[Planned]:
        """Steps that make inputs again that stand nowhere, each before what is made of it."""
        found: list[Planned] = []
        for artifact in inputs:
            if artifact is None or artifact.id in {each.again for each in (*steps, *found)} or readable(self.ws, artifact) is not None:
                continue
            recorded = self._refuse_elsewhere(artifact)
            recipe = RECIPES[recorded.name]
            made_of = [self.ws.catalogue.artifact(name) for name in recorded.inputs]
            found += self._again(made_of, (*steps, *found))
            found.append(
                Planned(
                    recipe=recipe.name,
                    level=artifact.level,
                    parameters=dict(recorded.parameters),
                    of={each.level: each.id for each in made_of},
                    again=artifact.id,
                    estimate=self._estimate(recipe, recorded.parameters),
                    bytes=artifact.bytes,
                )
            )
        return found

    def _refuse_elsewhere(self, artifact: Artifact) -> Activity:
        """How an artifact that cannot be read here was made; raises InputError where it cannot simply be made again."""
        copies = self.ws.catalogue.copies(artifact=artifact.id)
        recorded = self.ws.catalogue.activity(artifact.activity)
        verified = sorted(copy.location for copy in copies if copy.state is CopyState.VERIFIED)
        if verified:
            hint = f"`recall` it, or `stage` it, from {', '.join(verified)}"
        elif SETTLED.intersection(copy.state for copy in copies):
            hint = "`repair` it first"
        elif artifact.level is Level.RAW or recorded.name not in RECIPES:
            hint = "it cannot be made again; put in the medium that holds it"
        else:
            return recorded
        raise InputError(f"no copy of {artifact.level} can be read here", on=artifact.label, done="nothing was planned", hint=hint)
