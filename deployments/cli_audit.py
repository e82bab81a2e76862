"""`coldchain audit`, `coldchain repair` and `coldchain clock`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from deployments.cli_common import JsonOption, SiteOption, printed, said

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coldchain.auditing import Audited
    from coldchain.repairing import Repaired
    from coldchain.workspace import Workspace

LocationsOption = Annotated[list[str] | None, typer.Option("--location", help="Only this location; may be given again.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; it is kept in the receipt.")]


def add(app: typer.Typer) -> None:
    """Give the command its subcommands `audit`, `repair` and `clock`."""
    app.command()(audit)
    app.command()(repair)
    app.command()(clock)


def audit(
    location: LocationsOption = None,
    budget_gb: Annotated[
        float, typer.Option("--budget-gb", min=0, help="At most so many GB this night, in all; 0: what the policy says.")
    ] = 0,
    strays: Annotated[
        bool, typer.Option("--strays", help="Also report files that belong to no copy, and copies that are missing.")
    ] = False,
    release: Annotated[str, typer.Option("--release", help="Let this location, whose audit was stopped, count again.")] = "",
    reason: ReasonOption = "",
    site: SiteOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read back what is due, the cheapest and oldest first; exit code 1 where a copy does not match or a location is stopped."""
    from coldchain import auditing
    from deployments import tables
    from tasks.workspace import open_workspace

    with said(as_json):
        ws = open_workspace(site)
        if release:
            auditing.release(ws, release, reason)
            printed({"released": release}, as_json, lambda: tables.tell(f"{release} counts again, and is audited in the next night."))
            return
        tell = (lambda _line: None) if as_json else tables.tell
        audited = auditing.audit(ws, budget=int(budget_gb * 1e9) or None, locations=location or (), tell=tell)
        _report(ws, audited, strays, as_json)
        if audited.suspect or audited.braked:
            raise typer.Exit(1)


def _report(ws: Workspace, audited: Audited, strays: bool, as_json: bool) -> None:
    from coldchain.strays import look
    from deployments import tables
    from tasks.auditing import headline, sections

    read = [place.location for place in audited.places if not place.ended or place.copies]
    found = [look(ws, name) for name in read] if strays else []

    def show() -> None:
        tables.tell(headline(audited))
        for title, lines in sections(audited, found).items():
            tables.tell(f"\n{title}:")
            for line in lines:
                tables.tell(f"  {line}")

    printed(asdict(audited) | {"strays": [asdict(each) for each in found]}, as_json, show)


def repair(
    dataset: Annotated[str | None, typer.Argument(help="Dataset, e.g. PRJ-0001/PLATE-SYNTH; all where not given.")] = None,
    location: Annotated[str | None, typer.Option(help="Only copies at this location.")] = None,
    act: Annotated[bool, typer.Option("--act", help="Repair; without it, only say from where.")] = False,
    readmit: Annotated[
        int | None, typer.Option(help="Let the damaged copy with this number count again, if all its bytes match now.")
    ] = None,
    reason: ReasonOption = "",
    site: SiteOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make damaged copies again from verified ones; exit code 1 where one stays damaged."""
    from coldchain import repairing
    from deployments import tables
    from tasks.workspace import open_workspace

    with said(as_json):
        ws = open_workspace(site)
        if readmit is not None:
            copy = repairing.readmit(ws, repairing.one(ws, readmit), reason)
            printed(asdict(copy), as_json, lambda: tables.tell(f"{copy.artifact} at {copy.location} is verified again."))
            return
        found = repairing.repair_all(ws, dataset=dataset, location=location, dry_run=not act)
        printed([asdict(each) for each in found], as_json, lambda: _show(found))
        if not all(each.done for each in found):
            raise typer.Exit(1)


def clock(
    right: Annotated[bool, typer.Option("--right", help="Say that the clock is right, so that things may go again.")] = False,
    reason: ReasonOption = "",
    site: SiteOption = None,
    as_json: JsonOption = False,
) -> None:
    """What time sweeps believe; exit code 1 where the clock has leaped ahead, so that nothing goes until a person says that it is right."""
    from coldchain import clock as time
    from deployments import tables
    from tasks.workspace import open_workspace

    with said(as_json):
        ws = open_workspace(site)
        if right:
            time.confirm(ws, reason)
        believed = time.read(ws.catalogue.setting(time.BELIEVED))
        doubt = time.doubt(believed, ws.now(), ws.policy.clock_leap_days)
        last = f"The newest time that was believed: {believed:%Y-%m-%d %H:%M} UTC." if believed else "No sweep ran yet."
        printed({"believed": believed, "now": ws.now(), "doubt": doubt}, as_json, lambda: tables.tell(doubt or last))
        if doubt:
            raise typer.Exit(1)


def _show(found: Sequence[Repaired]) -> None:
    from deployments import tables

    for each in found:
        tables.tell(f"copy {each.copy}, {each.artifact} at {each.location}, {each.state}: {each.said}")
    if not found:
        tables.tell("Nothing is damaged.")
