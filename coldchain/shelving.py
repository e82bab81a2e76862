"""Shelving: disks and tapes are checked in and out, and one learns where each is and by when it has to be read again.

A medium is checked in while it is put in, so that its identity says which one it is; then it may be taken away.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from coldchain.copies import CopyState
from coldchain.dues import later
from coldchain.errors import ColdchainError, InputError
from coldchain.media import State, Whereabouts
from coldchain.planning import DATASETS, batches
from coldchain.provenance import who
from coldchain.retention import shortfalls
from coldchain.standing import Judge

if TYPE_CHECKING:
    from collections.abc import Mapping

    from coldchain.location import Offline
    from coldchain.workspace import Workspace

SOON = dt.timedelta(days=30)
"""So long before its copies stop counting, people are asked to bring a medium."""


@dataclass(frozen=True)
class Looked:
    """One medium as a look found it.

    Attributes:
        where: what people said of it.
        here: it shows its identity at its mount point.
        other: what another that is put in there shows: its identity, or none.
        read_at: the oldest reading of a copy on it; nothing where no copy is on it.
        read_again: when the audit wants it read again.
        counts_until: when the first copy on it stops counting, by the shortest window that the policy has for the levels on it.
    """

    location: str
    label: str
    barcode: str
    where: Whereabouts
    here: bool
    other: str = ""
    read_at: dt.datetime | None = None
    read_again: dt.datetime | None = None
    counts_until: dt.datetime | None = None

    def wanted(self, now: dt.datetime) -> bool:
        """Whether somebody has to bring it: it is on the shelf, and copies on it stop counting soon, or did."""
        ends = self.counts_until
        return not self.here and self.where.state is State.SHELF and ends is not None and ends - now <= SOON


def notice(ws: Workspace) -> None:
    """Note which media are put in now; one that was another kind of location before is written down."""
    known = ws.catalogue.media()
    for name in _offline(ws):
        shown = _shown(ws, name)
        if not shown or shown != ws.catalogue.identity(name):
            continue
        if name in known:
            ws.catalogue.seen_medium(name, ws.now())
        else:
            ws.catalogue.save_medium(Whereabouts(name, State.IN, ws.now(), who=who(), seen_at=ws.now()))


def look(ws: Workspace) -> list[Looked]:
    """Every medium that was ever put in here, in the order of the site; it only looks."""
    known = ws.catalogue.media()
    return [_looked(ws, settings, known[name]) for name, settings in _offline(ws).items() if name in known]


def away(ws: Workspace, location: str) -> str:
    """Where a medium is that is not put in; nothing where it is here, or where another is, or of a place that is never taken away."""
    medium = ws.catalogue.media().get(location) if location in _offline(ws) else None
    return str(medium) if medium is not None and not _shown(ws, location) and not ws.put_in(location) else ""


def check_in(ws: Workspace, location: str, place: str = "") -> Looked:
    """Write down that a medium is on the shelf, at a place; where none is named, that it stays put in here.

    One that is on the shelf may move to another place without being put in.

    Raises:
        InputError: it does not show its identity, or another medium does; nothing was written down.
    """
    before, shown = _known(ws, location), _shown(ws, location)
    expected, place = ws.catalogue.identity(location), " ".join(place.split())
    moves = bool(place) and before is not None and before.state is State.SHELF and not shown and not ws.put_in(location)
    if shown != expected and not moves:
        raise InputError(
            "another medium is put in"
            if shown or ws.put_in(location)
            else "a medium is checked in while it is put in, so that it shows its identity",
            on=f"{location} ({_offline(ws)[location].label})",
            expected=f"identity {expected}",
            got=f"identity {shown}" if shown else "none",
            done="nothing was written down",
            hint=f"mount it at {ws.site.path(ws.site.location(location).root)}",
        )
    seen = before.seen_at if moves and before is not None else ws.now()
    ws.catalogue.save_medium(Whereabouts(location, State.SHELF if place else State.IN, ws.now(), place, "", who(), seen))
    return next(each for each in look(ws) if each.location == location)


def check_out(ws: Workspace, location: str, holder: str = "", *, lost: bool = False) -> Whereabouts:
    """Write down that somebody has a medium, or that it is lost: from now on nothing on it counts.

    Raises:
        InputError: there is no such medium, or it is not said who has it; nothing was written down.
    """
    before, holder = _known(ws, location), " ".join(holder.split())
    if lost == bool(holder):
        got = f"lost, and {holder} has it" if lost else "neither"
        raise InputError("a medium is with somebody, or it is lost", on=location, got=got, done="nothing was written down")
    seen = before.seen_at if before is not None else None
    found = Whereabouts(location, State.LOST if lost else State.OUT, ws.now(), "", holder, who(), seen)
    ws.catalogue.save_medium(found)
    return found


def short_without(ws: Workspace, location: str) -> Mapping[str, tuple[str, ...]]:
    """What would be short of copies, and is not now, were a medium checked out: artifacts, and what each would lack."""
    _known(ws, location)
    found: dict[str, tuple[str, ...]] = {}
    copies = ws.catalogue.copies(location=location, states=[CopyState.VERIFIED])
    for names in batches(sorted({copy.artifact.rsplit("/", 1)[0] for copy in copies}), DATASETS):
        ledger, now = ws.ledger(names), ws.now()
        without = replace(ledger, media={**ledger.media, location: Whereabouts(location, State.LOST, now)})
        short = shortfalls(Judge(ledger, ws.policy, now))
        then = shortfalls(Judge(without, ws.policy, now))
        found |= {ledger.artifacts[name].label: reasons for name, reasons in then.items() if name not in short}
    return found


def _looked(ws: Workspace, settings: Offline, medium: Whereabouts) -> Looked:
    name, now = medium.location, ws.now()
    shown = _shown(ws, name)
    here = bool(shown) and shown == ws.catalogue.identity(name)
    found = Looked(name, settings.label, settings.barcode, medium, here, "" if here else _other(ws, name, shown))
    oldest = ws.catalogue.audit_due(name, now + dt.timedelta.resolution, 1, now)
    if not oldest:
        return found
    read_at = oldest[0].verified_at
    if read_at is None or read_at > now:  # never read, or by a clock that is wrong
        return replace(found, read_again=now, counts_until=now)
    again, ends = later(read_at, ws.policy.audit.every(name)), later(read_at, _window(ws, name))
    return replace(found, read_at=read_at, read_again=again, counts_until=ends)


def _other(ws: Workspace, name: str, shown: str) -> str:
    return f"identity {shown}" if shown else "no identity" if ws.put_in(name) else ""


def _window(ws: Workspace, location: str) -> int:
    """Days within which copies at a location have to be read back: the fewest that any rule has for a level that stands there."""
    there = {total.level for total in ws.catalogue.totals() if total.location == location and total.state is CopyState.VERIFIED}
    return min((rule.wanted.verified_within_days for rule in ws.policy.rules if there.intersection(rule.levels)), default=0)


def _offline(ws: Workspace) -> dict[str, Offline]:
    """What the site says of each medium that is taken away, by its location."""
    return {place.name: place.offline for place in ws.site.locations if place.offline is not None}


def _known(ws: Workspace, location: str) -> Whereabouts | None:
    """What is said of a medium; raises InputError where there is no such one, or where it was never put in here."""
    names = _offline(ws)
    if location not in names:
        raise InputError(
            "no such medium", on=location, expected=", ".join(names) or "a location of engine offline", done="nothing was changed"
        )
    if ws.catalogue.identity(location) is None:
        raise InputError(
            "a medium that was never put in here is not known",
            on=location,
            done="nothing was changed",
            hint="put it in, then `coldchain doctor --register`",
        )
    return ws.catalogue.media().get(location)


def _shown(ws: Workspace, location: str) -> str:
    """Identity that shows at a mount point now; nothing where none does."""
    try:
        return ws.stores[location].identity()
    except ColdchainError:  # whatever hinders it, it does not show it
        return ""
