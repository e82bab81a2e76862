"""Reprocessing: new artifacts beside the old ones, down to bulk profiles; nothing switches by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prefect import task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

from coldchain import choosing, provenance, reprocessing
from coldchain.choices import currents
from coldchain.copies import Artifact
from coldchain.errors import ColdchainError, InputError, Refused
from coldchain.forms_reprocess import ReprocessForm
from coldchain.levels import Level
from coldchain.reprocessing import Plan, Planned, duration
from coldchain.workspace import Workspace
from tasks.making import Order, follow
from tasks.planning_reprocess import Wish, earlier_runs, plan, settled, wish
from tasks.recipes import RECIPES, place
from tasks.running import say, work
from tasks.show import key
from tasks.workspace import open_workspace

SHOWN = 500


@dataclass(frozen=True)
class Done:
    """What a reprocessing left of a dataset: what was current before, by level, and what was made beside it."""

    dataset: str
    old: Mapping[Level, Artifact]
    new: Mapping[Level, Artifact]

    @property
    def other(self) -> dict[Level, Artifact]:
        """Of what was made, that which is not what was current anyway."""
        return {level: each for level, each in self.new.items() if level not in self.old or each.id != self.old[level].id}


def plans(ws: Workspace, datasets: Sequence[str], wanted: Wish) -> list[Plan]:
    """What a wish comes to, dataset by dataset; nothing is changed."""
    runs = earlier_runs(ws.histories())
    return [plan(ws, dataset, wanted, runs) for dataset in datasets]


def chosen(ws: Workspace, project: str, datasets: Sequence[str]) -> list[str]:
    """The datasets of a project, or those that are named; raises NotInCatalogue, InputError where there is none."""
    ws.catalogue.project(project)
    found = [f"{project}/{name}" for name in datasets] or [each.id for each in ws.catalogue.datasets() if each.project == project]
    for name in found:
        ws.catalogue.dataset(name)
    if not found:
        raise InputError("the project has no datasets", on=project, done="nothing was planned")
    return list(dict.fromkeys(found))


def free_on_scratch(ws: Workspace) -> int | None:
    """Bytes that are free where the new artifacts come; nothing where nobody can tell."""
    try:
        return ws.stores[ws.site.roles.scratch].capacity().free
    except ColdchainError:  # it is away: making says so
        return None


def carry_out(ws: Workspace, planned: Plan, wanted: Wish) -> Done:
    """Follow a plan: pin what is current, then make each step of what is named; a second run finds what stands.

    Raises Refused where the plan says that it cannot be, and whatever making raises; what was made until then stands, and the next run
    goes on from there.
    """
    if planned.refused:
        raise Refused("it cannot be made anew now", on=planned.dataset, got=planned.refused, done="nothing was made")
    old = currents(ws.history(planned.dataset))
    levels = [step.level for step in planned.steps if planned.to_make]
    why = f"kept while it was made again beside, by {wanted.recipe} and what follows"
    if pinned := choosing.pin(ws, planned.dataset, levels, provenance.who(), why, "reprocess").choices:
        say(f"{planned.dataset}: {', '.join(choice.level for choice in pinned)} stay current until somebody chooses")
    made: dict[Level, Artifact] = {}
    for step in planned.steps:
        made[step.level] = _follow(ws, planned.dataset, step, made, wanted)
    return Done(planned.dataset, old, {step.level: made[step.level] for step in planned.steps if not step.again})


def _follow(ws: Workspace, dataset: str, step: Planned, made: Mapping[Level, Artifact], wanted: Wish) -> Artifact:
    if step.stands:
        return ws.catalogue.artifact(step.stands)
    recipe = RECIPES[step.recipe]
    of = {level: made[level] if level in made else ws.catalogue.artifact(step.of[level]) for level in recipe.of}
    code = wanted.code and not step.again
    found = settled(ws, dataset, recipe, list(of.values()), step.parameters, code=code)
    artifact = follow(ws, Order(recipe, dataset, found.parameters, of), at=place(ws, recipe)).artifact
    if step.again not in {"", artifact.id}:
        say(f"{artifact.label} was made again and is not what it was: {step.again}")
    return artifact


@work
def plan_all(form: ReprocessForm) -> list[Plan]:
    """Plan what a form asks for, and show each step with what it costs; raises InputError, NotInCatalogue."""
    ws = open_workspace()
    found = plans(ws, chosen(ws, form.project, form.datasets), wanted_of(form))
    show(form, found, reprocessing.summary(found, free_on_scratch(ws)))
    return found


def to_make(found: Sequence[Plan], form: ReprocessForm) -> Sequence[Plan]:
    """The plans that are carried out: none in a dry run."""
    return () if form.dry_run else found


def wanted_of(form: ReprocessForm) -> Wish:
    """What a form asks for."""
    return wish(form.start, form.model, form.parameters, code=form.code)


@work
def make_beside(planned: Plan, form: ReprocessForm) -> Done:
    """Follow the plan of one dataset; raises Refused where it cannot be."""
    return carry_out(open_workspace(), planned, wanted_of(form))


@task(cache_policy=NO_CACHE)
def summed(found: Sequence[Plan]) -> str:
    """What the plans come to, in one line."""
    return reprocessing.summary(found, free_on_scratch(open_workspace()))


def show(form: ReprocessForm, found: Sequence[Plan], said: str) -> None:
    """Show each step of the plans as a table."""
    create_table_artifact(rows(found)[:SHOWN], key=key("reprocess", form.project), description=f"Reprocessing {form.project}: {said}")


def rows(found: Sequence[Plan]) -> list[dict[str, Any]]:
    """Each step of the plans as a line of a table."""
    refused = [
        {"dataset": each.dataset, "makes": "cannot be", "rests on": " ".join(each.refused.split())} for each in found if each.refused
    ]
    return [*refused, *(_row(each.dataset, step) for each in found for step in each.steps)]


def _row(dataset: str, step: Planned) -> dict[str, Any]:
    return {
        "dataset": dataset,
        "makes": str(step.level),
        "how": "stands already" if step.stands else "again, as it was" if step.again else f"{step.recipe}, beside the old",
        "time": duration(step.estimate.seconds) if step.makes else "",
        "MB": "" if step.bytes is None or not step.makes else round(step.bytes / 1e6, 2),
        "rests on": step.estimate.rests_on,
        "otherwise": ", ".join(step.changes),
    }
