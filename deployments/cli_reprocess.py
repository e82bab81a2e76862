"""`coldchain stale`, `choose`, `provenance`, `rerun` and `reprocess`."""

from __future__ import annotations

import os
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coldchain.levels import Level
from coldchain.reprocessing import summary
from deployments.cli_common import JsonOption, SiteOption, printed, said

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from coldchain.choices import Choice
    from coldchain.rerunning import Rerun
    from coldchain.staleness import Stale

DatasetArgument = Annotated[str, typer.Argument(help="Dataset, e.g. PRJ-0001/PLATE-SYNTH.")]
ArtifactArgument = Annotated[str, typer.Argument(help="Id of an artifact, its label, or the first digits of its digest.")]
SHOWN = 20
AnyArgument = Annotated[str | None, typer.Argument(help="Dataset, e.g. PRJ-0001/PLATE-SYNTH; all where not given.")]


def add(app: typer.Typer) -> None:
    """Give the command its subcommands `stale`, `choose`, `provenance`, `rerun` and `reprocess`."""
    for command in (stale, choose, provenance, rerun, reprocess):
        app.command()(command)


def stale(dataset: AnyArgument = None, site: SiteOption = None, as_json: JsonOption = False) -> None:
    """What would be made otherwise today, and why: other inputs, parameters, model or code; and what people chose as current."""
    from coldchain.choices import in_force
    from coldchain.staleness import stale as judge
    from tasks.recipes import today
    from tasks.workspace import open_workspace

    with said(as_json):
        ws = open_workspace(site)
        if dataset is not None:
            ws.catalogue.dataset(dataset)
        histories = {dataset: ws.history(dataset)} if dataset else ws.histories()

        known = today(ws, histories.values())
        found = [each for history in histories.values() for each in judge(history, known)]
        chosen = [choice for history in histories.values() for choice in in_force(history)]
        data = {"stale": [_plain(each) for each in found], "choices": [asdict(choice) for choice in chosen]}
        printed(data, as_json, lambda: _stale(found, chosen))


def choose(
    dataset: DatasetArgument,
    level: Annotated[Level, typer.Argument(help="Level whose current artifact you choose.")],
    artifact: Annotated[str, typer.Argument(help="The first digits of its digest, as `coldchain status` lists it; or `newest`.")],
    reason: Annotated[str, typer.Option(help="Why; it is kept with the choice.")],
    site: SiteOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say which artifact of a level is current, with what it was made of; what was made of it comes with it. Nothing is removed."""
    from coldchain import approvers, choosing
    from tasks.workspace import open_workspace

    with said(as_json):
        chosen = choosing.choose(open_workspace(site), approvers.at_command_line(), dataset, level, artifact, reason)
        data = {
            "said": str(chosen),
            "choices": [asdict(choice) for choice in chosen.choices],
            "superseded": [each.id for each in chosen.superseded],
            "to_make": list(chosen.to_make),
        }
        printed(data, as_json, lambda: typer.echo(f"{dataset}, {level}: {chosen}."))


class Format(StrEnum):
    """How provenance is written."""

    README = "readme"
    JSON = "json"
    PROV = "prov"
    CRATE = "crate"


def provenance(
    artifact: ArtifactArgument,
    form: Annotated[Format, typer.Option("--format", help="readme and json tell of the artifact; prov and crate of its whole chain.")] = (
        Format.README
    ),
    site: SiteOption = None,
) -> None:
    """How an artifact was made: README, our own record, W3C PROV or RO-Crate, the last two with everything up to raw."""
    from coldchain.choosing import find_anywhere
    from tasks.hand_over import notes
    from tasks.workspace import open_workspace

    with said(False):
        ws = open_workspace(site)
        found = notes(ws, find_anywhere(ws, artifact))
        typer.echo(dict(zip(Format, found.values(), strict=True))[form], nl=False)


def rerun(
    artifact: ArtifactArgument,
    keep: Annotated[bool, typer.Option("--keep", help="Leave what came out on scratch, and say where.")] = False,
    inputs: Annotated[bool, typer.Option("--inputs", help="Make inputs again, too, that stand nowhere here.")] = False,
    site: SiteOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a level again from its provenance, beside all copies, and compare; exit code 0: every byte is the same, 1: it differs."""
    from coldchain.choosing import find_anywhere
    from deployments import demo, tables

    os.environ |= demo.QUIET  # before what reads it is imported
    from tasks.rerunning import rerun as make_again
    from tasks.workspace import open_workspace

    with said(as_json):
        ws = open_workspace(site)
        tell: Callable[[str], None] = (lambda _line: None) if as_json else tables.tell
        found = make_again(ws, find_anywhere(ws, artifact), keep=keep, inputs=inputs, tell=tell)
        printed(asdict(found) | {"verdict": found.verdict}, as_json, lambda: _rerun(found))
        if not found.identical:
            raise typer.Exit(1)


def reprocess(
    project: Annotated[str, typer.Argument(help="Project, e.g. PRJ-0001.")],
    datasets: Annotated[list[str] | None, typer.Option("--dataset", help="Only this dataset of it; may be given again.")] = None,
    start: Annotated[str, typer.Option("--from", help="The first recipe to follow anew, e.g. segment; what follows is, too.")] = "segment",
    model: Annotated[str, typer.Option(help="Name of a model for the first recipe; as before where not given.")] = "",
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Another parameter of the first recipe; may be given again.")
    ] = None,
    code: Annotated[bool, typer.Option("--code", help="Also make anew what only an older version of Coldchain made.")] = False,
    run: Annotated[bool, typer.Option("--run", help="Make it; without it, only show what would be made and what it costs.")] = False,
    site: SiteOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make datasets anew beside what stands, with another model, parameter or version; what is current stays until you choose."""
    from deployments import demo, tables

    os.environ |= demo.QUIET  # before what reads it is imported
    from tasks import comparing, reprocessing
    from tasks.planning_reprocess import wish
    from tasks.running import all_done, turn
    from tasks.workspace import open_workspace

    tell: Callable[[str], None] = (lambda _line: None) if as_json else tables.tell
    with said(as_json):
        ws, wanted = open_workspace(site), wish(start, model, settings or (), code=code)
        plans = reprocessing.plans(ws, reprocessing.chosen(ws, project, datasets or ()), wanted)
        if not as_json:
            tables.listed(f"Reprocessing {project} from {start}", reprocessing.rows(plans))
        line, done, failed = summary(plans, reprocessing.free_on_scratch(ws)), [], {}
        tell(line)
        for plan in plans if run else ():
            with turn(plan.dataset, failed):
                done.append(comparing.report(ws, reprocessing.carry_out(ws, plan, wanted)))
                tell(done[-1])
        data = {"summary": line, "plans": [asdict(plan) for plan in plans], "done": done, "failed": failed}
        printed(data, as_json, lambda: None)
        all_done(f"not all of {project} was made anew", failed, line)


def _rerun(found: Rerun) -> None:
    for line in found.warnings:
        typer.echo(f"Mind: {line}")
    for line in (*found.differing[:SHOWN], *found.details):
        typer.echo(f"  {line}")
    if len(found.differing) > SHOWN:
        typer.echo(f"  and {len(found.differing) - SHOWN} files more")
    if found.kept:
        typer.echo(f"Kept: {found.kept}")
    typer.echo(f"{found.verdict} ({found.seconds:g} s).")


def _plain(found: Stale) -> Mapping[str, Any]:
    reasons = [{"ground": each.ground, "why": each.why} for each in found.reasons]
    return {"artifact": found.artifact.id, "current": found.current, "alarming": found.alarming, "reasons": reasons}


def _stale(found: Sequence[Stale], chosen: Sequence[Choice]) -> None:
    for each in found:
        typer.echo(f"{each.artifact.label}, {'current' if each.current else 'not current'}: {'; '.join(map(str, each.reasons))}")
    if not found:
        typer.echo("Nothing is stale.")
    for choice in chosen:
        typer.echo(f"Chosen in {choice.dataset}: {choice}")
