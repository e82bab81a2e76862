"""What a reprocessing would make, and what it would cost: planned before anything is done. Pure.

Time is estimated from earlier activities of the same recipe: the median of their seconds for each megapixel, field, cell or megabyte,
of those that were about as much work where there are such.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from coldchain.levels import Level

if TYPE_CHECKING:
    from coldchain.copies import Artifact
    from coldchain.provenance import Activity

UNITS: Mapping[Level, tuple[str, ...]] = {
    Level.STANDARD: ("megabytes",),
    Level.CORRECTED: ("megapixels", "fields", "megabytes"),
    Level.MASKS: ("megapixels", "fields", "megabytes"),
    Level.SINGLE_CELL_IMAGES: ("cells", "fields", "megabytes"),
    Level.SINGLE_CELL_PROFILES: ("cells", "fields", "megabytes"),
    Level.BULK_PROFILES: ("cells", "megabytes"),
}
"""By what the time of a level is scaled: the first of these that is known of an earlier run and of the one that is planned."""


class Makes(Protocol):
    """As much of a recipe as planning asks for."""

    @property
    def name(self) -> str:
        """Its name in the provenance."""

    @property
    def makes(self) -> Level:
        """The level that it makes."""

    @property
    def of(self) -> tuple[Level, ...]:
        """The levels that it is made of."""


SomeRecipe = TypeVar("SomeRecipe", bound=Makes)


def following(recipes: Iterable[SomeRecipe], first: SomeRecipe) -> list[SomeRecipe]:
    """A recipe and those that work on what it makes, step by step, in the order of the levels."""
    made, found = {first.makes}, [first]
    for recipe in sorted(recipes, key=lambda each: list(Level).index(each.makes)):
        if recipe is not first and made.intersection(recipe.of):
            made.add(recipe.makes)
            found.append(recipe)
    return found


NEAR = 3.0
"""Runs of up to so many times as much work, or as little, are preferred: starting workers costs the same whatever the work is."""

Sizes = Mapping[str, float]
"""How much work something is, by the name of the unit."""


@dataclass(frozen=True)
class Run:
    """One time that a recipe was followed: of which dataset, by which model, how long it took and how much work it was."""

    dataset: str
    recipe: str
    model: str
    seconds: float
    sizes: Sizes


@dataclass(frozen=True)
class Estimate:
    """Seconds that something will take, and on what that rests; no seconds where nothing is known."""

    seconds: float | None
    rests_on: str


def estimate(runs: Sequence[Run], recipe: str, model: str, level: Level, sizes: Sizes) -> Estimate:
    """Estimate from earlier runs of the same recipe, with the same model where there is such a run."""
    ours = [run for run in runs if run.recipe == recipe]
    alike = [run for run in ours if run.model == model] or ours
    for unit in UNITS.get(level, ()):
        known = [run for run in alike if run.sizes.get(unit)]
        if known and sizes.get(unit):
            near = [run for run in known if 1 / NEAR <= run.sizes[unit] / sizes[unit] <= NEAR] or known
            return _scaled(near, unit, sizes[unit], "" if alike[0].model == model else f", by {alike[0].model or 'another model'}")
    return Estimate(None, "never made here before" if not ours else "nothing to scale earlier runs by")


def _scaled(runs: Sequence[Run], unit: str, size: float, other: str) -> Estimate:
    rates = [run.seconds / run.sizes[unit] for run in runs]
    middle = median(rates)
    spread = f" ({min(rates):.3g} to {max(rates):.3g})" if len(rates) > 1 else ""
    many = "1 earlier run" if len(rates) == 1 else f"{len(rates)} earlier runs"
    return Estimate(middle * size, f"{many}{other}: {middle:.3g} s a {unit.removesuffix('s')}{spread}")


def sizes_of(made_of: Iterable[tuple[Artifact, Activity]]) -> dict[str, float]:
    """How much work it is to make something of artifacts, as far as those that made them and what they were made of say it.

    Args:
        made_of: everything above, the nearest last; what is said nearer replaces what is said before.
    """
    found: dict[str, float] = {}
    for artifact, activity in made_of:
        found |= {"megabytes": artifact.bytes / 1e6} | _counted(activity.findings)
    return {name: value for name, value in found.items() if value > 0 and math.isfinite(value)}


def _counted(findings: Mapping[str, Any]) -> dict[str, float]:
    """Megapixels, fields and cells that the findings of a step speak of, as each level's step writes them down."""
    found: dict[str, float] = {}
    wells, fields, shape = (_listed(findings, name) for name in ("wells", "fields", "shape"))
    if "planes" in findings and len(shape) >= 2:
        found["megapixels"] = _number(findings["planes"]) * math.prod(map(_number, shape[-2:])) / 1e6
    if fields:
        found["fields"] = float(len(fields) * max(len(wells), 1))
    for name in ("objects", "nuclei"):
        if name in findings:
            found["cells"] = _number(findings[name])
    return found


def _listed(findings: Mapping[str, Any], name: str) -> Sequence[Any]:
    value = findings.get(name)
    return value if isinstance(value, list | tuple) else ()


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


@dataclass(frozen=True)
class Planned:
    """One step of a plan: what it makes of what, with which parameters, whether it has to be made at all, and what that costs.

    `again` marks an input that is made again as it was, because it stands nowhere here. `bytes` is what the present artifact of the level
    takes; nothing where there is none. `changes` says which parameters are others than those of the present artifact.
    """

    recipe: str
    level: Level
    parameters: Mapping[str, Any]
    of: Mapping[Level, str] = field(default_factory=dict)
    again: str = ""
    stands: str = ""
    estimate: Estimate = Estimate(0.0, "")
    bytes: int | None = None
    changes: tuple[str, ...] = ()

    @property
    def makes(self) -> bool:
        """Whether there is anything to do."""
        return not self.stands


@dataclass(frozen=True)
class Plan:
    """What a reprocessing makes of one dataset, or why it cannot."""

    dataset: str
    steps: tuple[Planned, ...] = ()
    refused: str = ""

    @property
    def to_make(self) -> list[Planned]:
        """Steps that make something."""
        return [step for step in self.steps if step.makes]

    @property
    def seconds(self) -> float | None:
        """Time of all steps; nothing where one of them is unknown."""
        known = [step.estimate.seconds for step in self.to_make]
        return None if None in known else sum(each for each in known if each is not None)

    @property
    def bytes(self) -> int:
        """Space of all steps, as far as it is known."""
        return sum(step.bytes or 0 for step in self.to_make)

    @property
    def unknown(self) -> list[Level]:
        """Levels of which nobody knows how much space they take."""
        return [step.level for step in self.to_make if step.bytes is None]


def duration(seconds: float | None) -> str:
    """Seconds as people say them."""
    if seconds is None:
        return "unknown"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def summary(plans: Sequence[Plan], free: int | None) -> str:
    """What a reprocessing comes to, in one line: datasets, time, space, and what is refused."""
    going = [plan for plan in plans if not plan.refused and plan.to_make]
    still = [plan for plan in plans if not plan.refused and not plan.to_make]
    refused = [plan for plan in plans if plan.refused]
    times = [plan.seconds for plan in going]
    known = sum(each for each in times if each is not None)
    said = [f"{len(going)} of {len(plans)} datasets"]
    if going:
        size = sum(plan.bytes for plan in going)
        at_least = "at least " if None in times else ""
        more = "more than " if any(plan.unknown for plan in going) else ""
        said.append(f"{at_least}{duration(known)}, {more}{size / 1e6:.1f} MB")
        if free is not None and size > free:
            said.append(f"only {free / 1e6:.1f} MB are free on scratch")
    if still:
        said.append(f"{len(still)} stand already")
    if refused:
        said.append(f"{len(refused)} cannot be: {', '.join(plan.dataset for plan in refused[:9])}")
    return "; ".join(said)
