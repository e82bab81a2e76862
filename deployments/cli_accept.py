"""`coldchain accept`: what the gate found, and a person's word that one failure is no reason against a release."""

from __future__ import annotations

from typing import Annotated

import typer

from deployments.cli_common import JsonOption, SiteOption, printed, said

DatasetArgument = Annotated[str, typer.Argument(help="Dataset, e.g. PRJ-0001/PLATE-SYNTH.")]


def add(app: typer.Typer) -> None:
    """Give the command its subcommand `accept`."""
    app.command()(accept)


def accept(
    dataset: DatasetArgument,
    mark: Annotated[
        str, typer.Argument(help="Mark of the failure, as the report of `promote` has it; all are listed where none is given.")
    ] = "",
    reason: Annotated[str, typer.Option(help="Why; it travels with the release.")] = "",
    site: SiteOption = None,
    as_json: JsonOption = False,
) -> None:
    """Accept one failure that the gate found, with a reason; `promote` then judges again."""
    from coldchain import accepting, approvers
    from tasks.workspace import open_workspace

    with said(as_json):
        ws = open_workspace(site)
        if mark:
            accepted = accepting.accept(ws, approvers.at_command_line(), dataset, mark, reason)
            printed(accepted.model_dump(mode="json"), as_json, lambda: typer.echo(f"{accepted.message}. Now promote again."))
            return
        ws.catalogue.dataset(dataset)
        failures = [each for _, report in accepting.found(ws, dataset) for each in report.failures]
        lines = [f"{'nobody may accept' if each.final else each.mark}  {each.message}" for each in failures]
        shown = [each.model_dump(mode="json") for each in failures]
        printed(shown, as_json, lambda: typer.echo("\n".join(lines) or "The gate found nothing to accept the last time."))
