"""`coldchain media` and `coldchain medium`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from deployments.cli_common import JsonOption, SiteOption, printed, said

if TYPE_CHECKING:
    from coldchain.workspace import Workspace


def add(app: typer.Typer) -> None:
    """Give the command its subcommands `media` and `medium`."""
    app.command()(media)
    app.command()(medium)


def media(site: SiteOption = None, as_json: JsonOption = False) -> None:
    """Disks and tapes that are taken away: label, barcode, place, who has it, last seen, last read, and by when it is read again."""
    from coldchain import shelving
    from deployments import tables
    from tasks.media import row
    from tasks.workspace import open_workspace

    with said(as_json):
        ws = open_workspace(site)
        shelving.notice(ws)
        found, changers = shelving.look(ws), _changers(ws)
        data = {"media": [asdict(each) for each in found], "changers": changers}
        printed(data, as_json, lambda: tables.media([row(each) for each in found], changers))


def medium(
    location: Annotated[str, typer.Argument(help="Location of engine offline, e.g. disk07.")],
    check_in: Annotated[bool, typer.Option("--in", help="It is put in, and goes to --place; without a place it stays put in.")] = False,
    out: Annotated[bool, typer.Option("--out", help="--holder has it: nothing on it counts.")] = False,
    lost: Annotated[bool, typer.Option("--lost", help="Nobody finds it: nothing on it counts.")] = False,
    place: Annotated[str, typer.Option(help="With --in: room and shelf.")] = "",
    holder: Annotated[str, typer.Option(help="With --out: who has it.")] = "",
    load: Annotated[bool, typer.Option("--load", help="Have its changer put it into an empty drive.")] = False,
    act: Annotated[bool, typer.Option("--act", help="With --out or --lost: do it; without it, only say what would be short.")] = False,
    site: SiteOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check a disk or tape in or out, say that it is lost, or have a changer load it."""
    from coldchain import shelving
    from deployments import tables
    from tasks.media import checked_in
    from tasks.workspace import open_workspace

    if [check_in, out, lost, load].count(True) != 1:
        raise typer.BadParameter("say one of --in, --out, --lost and --load; `coldchain media` lists them")
    if out != bool(holder.strip()) or (place and not check_in):
        raise typer.BadParameter("--out needs --holder, and only it; --place is for --in")
    with said(as_json):
        ws = open_workspace(site)
        if check_in:
            found = shelving.check_in(ws, location, place)
            printed(asdict(found), as_json, lambda: tables.tell(checked_in(found)))
        elif load:
            done = _load(ws, location)
            printed({"loaded": done}, as_json, lambda: tables.tell(done))
        else:
            _check_out(ws, location, holder, act, as_json)


def _check_out(ws: Workspace, location: str, holder: str, act: bool, as_json: bool) -> None:
    from coldchain import shelving
    from deployments import tables
    from tasks.media import short_of

    short = shelving.short_without(ws, location)
    found = shelving.check_out(ws, location, holder, lost=not holder.strip()) if act else None

    def show() -> None:
        what = f"{location} is {found}" if found else f"Nothing was written down (--act does it). Without {location}"
        tables.tell(f"{what}: {short_of(list(short))}")
        for name, reasons in short.items():
            tables.tell(f"  {name}: {'; '.join(reasons)}")

    printed({"done": asdict(found) if found else None, "short": short}, as_json, show)


def _load(ws: Workspace, location: str) -> str:
    from coldchain.errors import InputError
    from tasks.stores import changer

    place = ws.site.by_name.get(location)
    if place is None or place.offline is None or not place.offline.changer:
        raise InputError("only a tape that stands in a changer is loaded", on=location, expected="`offline: {changer: ...}` in site.yaml")
    return changer.load(place.offline.changer, place.offline.barcode)


def _changers(ws: Workspace) -> dict[str, dict[str, str]]:
    """What stands in each slot and drive of the changers that the site names; why, where one does not say it."""
    from coldchain.errors import ColdchainError
    from tasks.stores import changer

    names = {each.offline.barcode: each.name for each in ws.site.locations if each.offline and each.offline.barcode}
    found: dict[str, dict[str, str]] = {}
    for device in sorted({each.offline.changer for each in ws.site.locations if each.offline and each.offline.changer}):
        try:
            full = [each for each in changer.inventory(device) if each.full]
            found[device] = {str(each): f"{each.barcode or 'no barcode'} ({names.get(each.barcode, 'none of ours')})" for each in full}
        except ColdchainError as error:  # the others, and the table, have their turn
            found[device] = {"": str(error)}
    return found
