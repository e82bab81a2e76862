"""`coldchain notices`, `approve`, `refuse`, `override` and `approver`."""

from __future__ import annotations

import datetime as dt
import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from coldchain.overrides import Check
from coldchain.proposals import Answer
from deployments.cli_common import JsonOption, SiteOption, printed, said

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from coldchain.approving import Told
    from coldchain.overrides import Override
    from coldchain.proposals import Notice
    from coldchain.workspace import Workspace

override = typer.Typer(no_args_is_help=True, help="Set one check aside for one dataset: one person asks, another one approves.")
approver = typer.Typer(no_args_is_help=True, help="Keys for the one-time codes with which people answer in the Prefect UI.")

NoticeArgument = Annotated[int, typer.Argument(help="Number of the notice, as `coldchain notices` lists it.")]
DatasetsOption = Annotated[list[str] | None, typer.Option("--dataset", help="Only for this dataset; may be given again.")]
NoteOption = Annotated[str, typer.Option(help="Why; it is kept with the answer.")]
OverrideArgument = Annotated[int, typer.Argument(help="Number of the override.")]
NameArgument = Annotated[str, typer.Argument(help="Name of the approver, as the policy's `approvers` has it: lower case, digits and -.")]


def add(app: typer.Typer) -> None:
    """Give the command its subcommands `notices`, `approve`, `refuse`, `override` and `approver`."""
    for command in (notices, approve, refuse):
        app.command()(command)
    app.add_typer(override, name="override")
    app.add_typer(approver, name="approver")


def notices(
    notice: Annotated[int | None, typer.Argument(help="Show each copy of this notice.")] = None,
    site: SiteOption = None,
    as_json: JsonOption = False,
) -> None:
    """What is to go, and waits for its day or for an answer: open notices, or the copies of one with their reasons."""
    from coldchain import approving

    with said(as_json):
        ws = _opened(site)
        if notice is None:
            listed = ws.catalogue.notices(open_only=True)
            printed([asdict(each) for each in listed], as_json, lambda: _list(listed))
        else:
            found = approving.told(ws, notice)
            printed([asdict(each) for each in found], as_json, lambda: _show(found))


def approve(
    notice: NoticeArgument, dataset: DatasetsOption = None, note: NoteOption = "", site: SiteOption = None, as_json: JsonOption = False
) -> None:
    """Say yes to a notice; each copy goes when its notice period is over, if nothing has changed by then."""
    with said(as_json):
        _answer(notice, Answer.YES, dataset or (), note, _opened(site), as_json)


def refuse(
    notice: NoticeArgument, dataset: DatasetsOption = None, note: NoteOption = "", site: SiteOption = None, as_json: JsonOption = False
) -> None:
    """Say no to a notice; its copies stay until somebody says yes."""
    with said(as_json):
        _answer(notice, Answer.NO, dataset or (), note, _opened(site), as_json)


def _answer(notice: int, answer: Answer, datasets: Sequence[str], note: str, ws: Workspace, as_json: bool) -> None:
    from coldchain import approvers, approving

    line = approving.answer(ws, approvers.at_command_line(), notice, answer, datasets=datasets, note=note)
    printed({"notice": notice, "answer": answer, "said": line}, as_json, lambda: typer.echo(line))


@override.command("add")
def add_override(
    dataset: Annotated[str, typer.Argument(help="Dataset, e.g. PRJ-0001/PLATE-SYNTH.")],
    check: Annotated[Check, typer.Option(help="The one check to set aside.")],
    until: Annotated[dt.datetime, typer.Option(formats=["%Y-%m-%d"], help="Last day.")],
    reason: Annotated[str, typer.Option(help="Why; it is kept, and shown wherever the override counts.")],
    site: SiteOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask for a check to be set aside; it counts once another person approved it."""
    from coldchain import approvers, overriding

    with said(as_json):
        asked = overriding.ask(_opened(site), approvers.at_command_line(), dataset, check, reason, until.date())
        printed(asdict(asked), as_json, lambda: typer.echo(f"Override {asked.id} waits for another person's `coldchain override approve`."))


@override.command("approve")
def approve_override(number: OverrideArgument, site: SiteOption = None, as_json: JsonOption = False) -> None:
    """Approve an override that another person asked for."""
    from coldchain import approvers, overriding

    with said(as_json):
        approved = overriding.approve(_opened(site), approvers.at_command_line(), number)
        printed(asdict(approved), as_json, lambda: typer.echo(f"{approved}"))


@override.command("end")
def end_override(number: OverrideArgument, site: SiteOption = None, as_json: JsonOption = False) -> None:
    """End an override: the check counts again."""
    from coldchain import approvers

    with said(as_json):
        ws = _opened(site)
        ws.catalogue.end_override(number, str(approvers.at_command_line()), ws.now())
        printed({"ended": number}, as_json, lambda: typer.echo(f"Override {number} has ended."))


@override.command("list")
def list_overrides(site: SiteOption = None, as_json: JsonOption = False) -> None:
    """Overrides that were not ended, approved or not."""
    with said(as_json):
        ws = _opened(site)
        found = ws.catalogue.overrides()
        printed([asdict(each) for each in found], as_json, lambda: _overrides(found, ws.now()))


@approver.command("add")
def add_approver(name: NameArgument, site: SiteOption = None) -> None:
    """Make a key for a name's codes, and print the address for a phone's app: once, and to nobody else."""
    from coldchain import approvers
    from tasks import approving

    with said(False):
        ws, by = _opened(site), approvers.at_command_line()
        approvers.check_may_name(name, by, may_change_policy=os.access(ws.site.path(ws.site.policy), os.W_OK))
        address = approving.add_approver(ws, name, by)
        typer.echo(f"For {name}'s phone (an app for one-time codes); it is not shown again:", err=True)
        typer.echo(address)


@approver.command("remove")
def remove_approver(name: NameArgument, site: SiteOption = None) -> None:
    """Throw a name's key away: its codes count no more, and another key may be made."""
    from coldchain import approvers

    with said(False):
        approvers.remove(_opened(site), name, approvers.at_command_line())
        typer.echo(f"{name} has no key any more.")


def _opened(site: Path | None) -> Workspace:
    from tasks.workspace import open_workspace

    return open_workspace(site)


def _list(found: Sequence[Notice]) -> None:
    for each in found:
        size = f"{each.bytes / 1e6:.1f} MB"
        typer.echo(f"notice {each.id}, told {each.told_at:%Y-%m-%d %H:%M} UTC: {each.copies} copies, {size}; {each.open} open")
    if not found:
        typer.echo("No notice is open.")


def _show(found: Sequence[Told]) -> None:
    from tasks.approving import answered

    for each in found:
        goes = f"may go from {each.goes_from:%Y-%m-%d}" if each.goes_from else "no day known"
        typer.echo(f"{each.artifact} at {each.location}, {each.bytes / 1e6:.2f} MB, on the ground {each.ground}")
        typer.echo(f"  told {each.told_at:%Y-%m-%d}, {goes}, {answered(each)}: {'; '.join(each.reasons)}")


def _overrides(found: Sequence[Override], now: dt.datetime) -> None:
    for each in found:
        typer.echo(f"{each.dataset}, {'counts' if each.holds(now) else 'does not count'}: {each}")
    if not found:
        typer.echo("No override.")
