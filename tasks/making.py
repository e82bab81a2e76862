"""Following a recipe: how one level of a dataset is made of others, whichever flow asks for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coldchain.choices import currents
from coldchain.copies import Artifact
from coldchain.levels import Level
from coldchain.making import Made, Outcome, Step, make
from coldchain.staleness import CODE_PARAMETER
from coldchain.workspace import Workspace
from tasks.running import say


@dataclass(frozen=True)
class Job:
    """What the work of a recipe is told: for which dataset, with which parameters, of which folders, into which folder."""

    ws: Workspace
    dataset: str
    parameters: Mapping[str, Any]
    inputs: Mapping[Level, Path]
    target: Path


@dataclass(frozen=True)
class Recipe:
    """How a level is made: its name in the provenance, the levels it is made of, and the work."""

    name: str
    makes: Level
    of: tuple[Level, ...]
    work: Callable[[Job], Outcome]


@dataclass(frozen=True)
class Order:
    """One recipe for one dataset; of the current artifact of each level, where no other is named in `of`."""

    recipe: Recipe
    dataset: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    of: Mapping[Level, Artifact] = field(default_factory=dict)

    def step(self, ws: Workspace) -> Step:
        """The step that it comes to now."""
        inputs = tuple(self.of.get(level) or ws.current(self.dataset, level) for level in self.recipe.of)
        return Step(self.recipe.name, self.dataset, self.recipe.makes, inputs, self.parameters)


def follow(ws: Workspace, order: Order, *, at: str | None = None) -> Made:
    """Make what is ordered, on scratch where no location is named, or find what stands already; say which in the run's log."""

    def run(folders: list[Path], target: Path) -> Outcome:
        inputs = dict(zip(order.recipe.of, folders, strict=True))
        return order.recipe.work(Job(ws, order.dataset, told(order.parameters), inputs, target))

    made = make(ws, order.step(ws), run, at=at)
    say(f"{made.artifact.label}: {'made' if made.new else 'stands already, nothing to do'}{_beside(ws, made.artifact)}")
    return made


def told(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as a recipe's work is told them: without the one that only says for which code a step was made anew."""
    return {name: value for name, value in parameters.items() if name != CODE_PARAMETER}


def _beside(ws: Workspace, artifact: Artifact) -> str:
    """What to add where an artifact is not the current one of its level."""
    current = currents(ws.history(artifact.dataset)).get(artifact.level)
    if current is None or current.id == artifact.id:
        return ""
    return f"; it is not current, {current.digest[:12]} is: `choose` changes that"


def plain(found: Mapping[str, Any]) -> dict[str, Any]:
    """Findings without the paths of staging folders, which mean nothing afterwards."""
    return {key: value for key, value in found.items() if key not in {"table", "folder", "target", "source"}}
