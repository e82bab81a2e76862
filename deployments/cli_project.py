"""`coldchain project`."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

import typer

from coldchain.location import Reach
from coldchain.origins import Origin
from deployments.cli_common import JsonOption, SiteOption, printed, said


def add(app: typer.Typer) -> None:
    """Give the command its subcommand `project`."""
    app.command()(project)


def project(
    name: Annotated[str, typer.Argument(metavar="PROJECT", help="Project, e.g. PRJ-0001.")],
    title: Annotated[str | None, typer.Option(help="Its title.")] = None,
    people: Annotated[list[str] | None, typer.Option("--person", help="Somebody of the project; may be given again.")] = None,
    origin: Annotated[Origin | None, typer.Option(help="Whose data it is: it decides where copies may go.")] = None,
    agreement: Annotated[str | None, typer.Option(help="Name of the agreement with a collaborator.")] = None,
    permits: Annotated[
        list[Reach] | None, typer.Option("--permit", help="Where the agreement lets copies go beyond inside; may be given again.")
    ] = None,
    embargo_until: Annotated[
        dt.datetime | None, typer.Option("--embargo", formats=["%Y-%m-%d"], help="Nothing becomes public before this day.")
    ] = None,
    retention_class: Annotated[str | None, typer.Option("--class", help="Retention class, as the policy's `classes` name it.")] = None,
    site: SiteOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a project, or change what options name of it, with a receipt; one that is not known yet is written down."""
    from coldchain import projects
    from coldchain.provenance import who
    from deployments import tables
    from tasks.workspace import open_workspace

    named = {
        "title": title,
        "people": people,
        "origin": origin,
        "agreement": agreement,
        "permits": permits,
        "embargo_until": embargo_until.date() if embargo_until else None,
        "retention_class": retention_class,
    }
    changes = {key: value for key, value in named.items() if value is not None}
    with said(as_json):
        ws = open_workspace(site)
        found = projects.change(ws, name, changes, who()) if changes else ws.catalogue.project(name)
        body = found.model_dump(mode="json")
        printed(body, as_json, lambda: [tables.tell(f"{key}: {_plain(value)}") for key, value in body.items()] and None)


def _plain(value: object) -> str:
    """A value as people read it."""
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "-"
    return "-" if value in {None, ""} else str(value)
