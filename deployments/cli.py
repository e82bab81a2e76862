"""The ``coldchain`` command."""

from __future__ import annotations

import datetime as dt
import sys
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from deployments import (
    cli_accept,
    cli_approve,
    cli_audit,
    cli_medium,
    cli_project,
    cli_register,
    cli_reprocess,
    cli_solutions,
)
from deployments.cli_common import JsonOption, SiteOption, printed, said

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help="The unbroken, checked hand-over of microscopy data.")

FolderOption = Annotated[Path, typer.Option("--folder", help="Where the demo's site stands.")]


@app.command()
def status(site: SiteOption = None, as_json: JsonOption = False) -> None:
    """Projects, datasets, levels and locations; when each copy was last read back, and what falls due."""
    from coldchain import status as reading
    from deployments import tables
    from tasks.recipes import today
    from tasks.workspace import open_workspace

    with said(as_json):
        ws = open_workspace(site)
        ledger, histories = ws.ledger(), ws.histories()
        rows = reading.rows(ledger, ws.policy, ws.now(), known=reading.versions(histories, today(ws, histories.values())))
        data = {
            "site": ws.site.site,
            "reachable": sorted(ledger.reachable),
            "projects": [project.model_dump(mode="json") for project in ledger.projects.values()],
            "artifacts": [asdict(row) for row in rows],
            "holds": [asdict(hold) for hold in ledger.holds],
        }
        printed(data, as_json, lambda: tables.status(ws, ledger, rows))


@app.command()
def why(path: Path, site: SiteOption = None, as_json: JsonOption = False) -> None:
    """Which artifact a file belongs to, how it was made, what protects it, and when it may go."""
    from coldchain.why import why as explain
    from deployments import tables
    from tasks.workspace import open_workspace

    with said(as_json):
        answer = explain(open_workspace(site), path)
        printed(asdict(answer), as_json, lambda: tables.why(answer))


@app.command()
def verify(
    dataset: Annotated[str | None, typer.Argument(help="Dataset, e.g. PRJ-0001/PLATE-SYNTH; all where not given.")] = None,
    location: Annotated[str | None, typer.Option(help="Only copies at this location.")] = None,
    site: SiteOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read copies back from their disks and compare each byte with the manifest; exit code 1 where one does not match."""
    from coldchain.verifying import verify as read_back
    from deployments import tables
    from tasks.workspace import open_workspace

    with said(as_json):
        results = read_back(open_workspace(site), dataset=dataset, location=location)
        printed([asdict(result) for result in results], as_json, lambda: tables.verified(results))
        if not all(result.ok for result in results):
            raise typer.Exit(1)


@app.command()
def sweep(
    remove: Annotated[bool, typer.Option("--remove", help="Remove what the policy lets go; without it, only report.")] = False,
    site: SiteOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read copies back, and report what may go from scratch, what stays and why; exit code 1 where a copy is damaged."""
    from coldchain import sweeping
    from deployments import tables
    from tasks.sweeping import headline, sections
    from tasks.workspace import open_workspace

    with said(as_json):
        report = sweeping.sweep(open_workspace(site), dry_run=not remove, tell=lambda line: None if as_json else tables.tell(line))
        printed(asdict(report), as_json, lambda: tables.swept(headline(report), sections(report)))
        if report.damaged.count:
            raise typer.Exit(1)


@app.command()
def hold(
    dataset: Annotated[str, typer.Argument(help="Dataset, e.g. PRJ-0001/PLATE-SYNTH.")],
    reason: Annotated[str, typer.Option(help="Why it must stay.")] = "",
    until: Annotated[dt.datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Last day of the hold.")] = None,
    days: Annotated[int | None, typer.Option(min=1, help="Days from now, instead of a last day: puts off what is to go.")] = None,
    end: Annotated[int | None, typer.Option(help="End the hold with this number instead.")] = None,
    site: SiteOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say "not yet": nothing of a dataset is removed until a day."""
    from coldchain import approving, legal_holds
    from coldchain.provenance import who
    from deployments import tables
    from tasks.workspace import open_workspace

    with said(as_json):
        ws = open_workspace(site)
        if end is not None:
            datasets = [hold.dataset for hold in ws.catalogue.holds() if hold.id == end]
            ws.catalogue.end_hold(end)
            if datasets:
                legal_holds.keep_up(ws, datasets, lambda line: None if as_json else tables.tell(line))
            printed({"ended": end}, as_json, lambda: typer.echo(f"Hold {end} has ended."))
            return
        if not reason or (until is None) == (days is None):
            raise typer.BadParameter("a hold needs --reason, and either --until YYYY-MM-DD or --days N")
        last = until.date() if until else approving.last_day(ws.now(), days or 0)
        held = ws.catalogue.add_hold(dataset, reason, who(), last)
        legal_holds.keep_up(ws, [dataset], lambda line: None if as_json else tables.tell(line))
        printed(asdict(held), as_json, lambda: typer.echo(f"Hold {held.id}: nothing of {dataset} is removed until {held.until}."))


@app.command()
def doctor(
    register: Annotated[bool, typer.Option(help="Register locations that have no identity yet.")] = False,
    heartbeat: Annotated[bool, typer.Option("--heartbeat", help="Only say whether a sweep ended in time.")] = False,
    hours: Annotated[float, typer.Option(min=1, help="With --heartbeat: how long ago the last sweep may have ended.")] = 26,
    site: SiteOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check the site: tools, rights, space, clocks, write-protection, server; exit code 1 where something is wrong."""
    from deployments import doctor as looking
    from deployments import tables
    from tasks.workspace import open_workspace

    with said(as_json):
        ws = open_workspace(site)
        if register:
            ws.register()
        findings = [looking.heartbeat(ws, hours)] if heartbeat else looking.examine(ws)
        printed([asdict(finding) for finding in findings], as_json, lambda: tables.findings(findings))
        if not all(finding.ok for finding in findings):
            raise typer.Exit(1)


@app.command()
def demo(
    folder: FolderOption = Path("demo-site"), clean: Annotated[bool, typer.Option(help="Throw the demo's site away.")] = False
) -> None:
    """Run the main job on embedded defaults: two plates, from the instrument to the cold archive."""
    from deployments import demo as job
    from deployments import tables
    from tasks.workspace import open_workspace

    with said(False):
        if clean:
            job.remove(folder.resolve())
            return
        result = job.run(folder, tables.tell)
        ws = open_workspace(folder.resolve() / job.SITE)
        tables.demo(ws, result, folder)


@app.command()
def ui(
    folder: FolderOption = Path("demo-site"),
    site: SiteOption = None,
    port: Annotated[int | None, typer.Option(help="Port; 4200 where it is free.")] = None,
) -> None:
    """Start a Prefect server, a worker and all deployments on a site, print the address, and stay until Ctrl-C."""
    from deployments import demo as job
    from deployments.ui import serve

    with said(False):
        if site is None:
            job.prepare(folder.resolve())
        described = (site or folder / job.SITE).resolve()
        serve(described, home=described.parent / "prefect", port=port, say=typer.echo)


class Schema(StrEnum):
    """A file that editors can check while it is written."""

    POLICY = "policy"
    SITE = "site"


@app.command()
def schema(which: Schema) -> None:
    """Print the JSON schema of a policy or site file, for editors."""
    from coldchain import schemas

    typer.echo({Schema.POLICY: schemas.policy, Schema.SITE: schemas.site}[which](), nl=False)


cli_audit.add(app)
cli_accept.add(app)
cli_approve.add(app)
cli_register.add(app)
cli_project.add(app)
cli_medium.add(app)
cli_solutions.add(app)
cli_reprocess.add(app)

if __name__ == "__main__":
    sys.exit(app())
