"""The audit: lasting copies are read back location by location, cheapest and oldest first, within a byte budget a night.

What matches is written down at once, so that an audit that is cut off goes on where it was. What does not match is held
back until it is clear that the location itself is not to blame: a broken mount looks like ten thousand corrupt files.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from coldchain import files, inspecting, provenance, shelving
from coldchain.copies import Copy, CopyState
from coldchain.errors import InputError, LeaseTaken
from coldchain.holds import Use
from coldchain.location import Location, Medium
from coldchain.reading import Outcome, Reading, absent, incomplete, read

if TYPE_CHECKING:
    from coldchain.workspace import Workspace

Tell = Callable[[str], None]

PAGE = 500
"""Copies that are asked for at a time."""

UNREAD_MOST = 20
"""So many copies that cannot be read now end the night at their location."""

STARVED = 2
"""So many times its own time a location waits for its turn, before it comes first."""

_COST = {Medium.DISK: 0, Medium.OBJECT: 1, Medium.TAPE: 2}


@dataclass(frozen=True)
class Failure:
    """A copy that is not as it should be, and how it was found."""

    copy: Copy
    artifact: str
    found: str


@dataclass
class Place:
    """What was read back at one location.

    Attributes:
        suspect: what does not match, and does not count any more.
        unjudged: what does not match, and was left as it is, because the location was to blame or went away.
        incomplete: conversions that are as they were written, and lack something by the rules of today; they count as before.
        left: copies that could not be read now, and why.
        ended: why the audit ended before everything that is due was read.
        braked: why the location was to blame.
    """

    location: str
    copies: int = 0
    bytes: int = 0
    suspect: list[Failure] = field(default_factory=list)
    unjudged: list[Failure] = field(default_factory=list)
    incomplete: list[Failure] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    ended: str = ""
    braked: str = ""


@dataclass
class Audited:
    """What an audit read in a night, location by location."""

    night: dt.date
    budget: int
    places: list[Place] = field(default_factory=list)

    @property
    def copies(self) -> int:
        """Copies that were read back."""
        return sum(place.copies for place in self.places)

    @property
    def bytes(self) -> int:
        """Bytes that were read back."""
        return sum(place.bytes for place in self.places)

    @property
    def suspect(self) -> list[Failure]:
        """Copies that do not count any more."""
        return [failure for place in self.places for failure in place.suspect]

    @property
    def braked(self) -> dict[str, str]:
        """Locations whose audit is stopped, and why."""
        return {place.location: place.braked for place in self.places if place.braked}


class Round:
    """Readings at one location: what matches is written down; what does not is judged when it is clear who is to blame."""

    def __init__(self, ws: Workspace, location: str, tell: Tell = lambda _line: None, progress: files.Progress = files.no_progress) -> None:
        """Nothing is read until a copy is given."""
        self.ws, self.tell, self.progress = ws, tell, progress
        self.place, self.unread = Place(location), 0

    def read(self, copy: Copy) -> Reading:
        """Read a copy back, under the caller's lease, as the catalogue has it now."""
        now = current(self.ws, copy)
        if now is None:
            self.leave(copy, "it does not count any more")
            return Reading(Outcome.UNREAD, "it does not count any more")
        artifact = self.ws.catalogue.artifact(copy.artifact)
        reading = read(self.ws, artifact, now, self.progress)
        if reading.outcome is Outcome.UNREAD:
            self.unread += 1
            self.leave(copy, reading.found)
            return reading
        self.place.copies += 1
        self.place.bytes += artifact.bytes
        if reading.outcome is Outcome.MATCHES:
            self.ws.catalogue.change_copy(copy.id, verified_at=self.ws.now())
        else:
            self._fail(Failure(now, artifact.label, reading.found))
        return reading

    def look(self, copy: Copy) -> None:
        """Look whether a conversion that was just read back is whole; it counts as before."""
        artifact = self.ws.catalogue.artifact(copy.artifact)
        if lacks := incomplete(self.ws, artifact, copy):
            self.tell(f"{artifact.label} at {copy.location} is as it was written, and not whole: {lacks}")
            self.place.incomplete.append(Failure(copy, artifact.label, lacks))

    def leave(self, copy: Copy, why: str) -> None:
        """Leave a copy for another night."""
        self.place.left.append(f"{copy.artifact[:80]}: {why}")

    def judge(self) -> None:
        """Stop counting what did not match, unless the location was to blame, or is not there any more."""
        if self.place.braked or not self.place.unjudged:
            return
        if why := absent(self.ws, self.place.location):
            self.place.ended = why
            return
        for failure in self.place.unjudged:
            now = current(self.ws, failure.copy)
            if now is not None and now.verified_at == failure.copy.verified_at:
                inspecting.doubt(self.ws, failure.copy, failure.found)
                self.place.suspect.append(failure)
        self.place.unjudged = []

    def _fail(self, failure: Failure) -> None:
        self.tell(f"{failure.artifact} at {self.place.location} does not match: {failure.found}")
        self.place.unjudged.append(failure)
        self._blame()

    def _blame(self) -> None:
        """Set the brake where so much fails that the location is to blame."""
        failed, limit = len(self.place.suspect) + len(self.place.unjudged), self.ws.policy.audit.brake
        if failed > limit.failures and failed > limit.share * self.place.copies:
            found = self.place.unjudged[0]
            self.place.braked = f"{failed} of {self.place.copies} copies read there do not match; {found.artifact}: {found.found}"
            self.ws.catalogue.set_brake(self.place.location, self.place.braked, self.ws.now())
            self.tell(f"the audit of {self.place.location} is stopped, and nothing was touched: {self.place.braked}")


class Rounds(dict[str, Round]):
    """A round for each location, begun when it is asked for."""

    def __init__(self, ws: Workspace) -> None:
        """No location yet."""
        super().__init__()
        self.ws = ws

    def __missing__(self, location: str) -> Round:
        """Begin a round."""
        return self.setdefault(location, Round(self.ws, location))


def audit(
    ws: Workspace,
    *,
    budget: int | None = None,
    locations: Sequence[str] = (),
    tell: Tell = lambda _line: None,
    progress: files.Progress = files.no_progress,
) -> Audited:
    """Read back what is due at lasting locations, at all or at some, within a budget of bytes a night (the policy's where none is given).

    Raises:
        InputError: the site has no such lasting location.
    """
    shelving.notice(ws)
    audited = Audited(night_of(ws.now()), ws.policy.audit.bytes_a_night if budget is None else budget)
    for location in order(_chosen(ws, locations), waits(ws)):
        audited.places.append(_audit(ws, location.name, audited, tell, progress))
    return audited


def read_back(ws: Workspace, copies: Iterable[Copy]) -> set[int]:
    """Read copies back under the caller's leases, and give the numbers of those that match.

    What does not match stops counting, unless so much of it fails that its location is to blame.
    """
    rounds, matching = Rounds(ws), set()
    for copy in copies:
        at = rounds[copy.location]
        if not at.place.braked and at.read(copy).outcome is Outcome.MATCHES:
            matching.add(copy.id)
    for each in rounds.values():
        each.judge()
    return matching


def release(ws: Workspace, location: str, reason: str) -> None:
    """Let a location be audited, and count, again; a person answers for it.

    Raises:
        InputError: no reason is given.
        NotInCatalogue: the location's audit is not stopped.
    """
    if not reason.strip():
        raise InputError("a brake is released with a reason", on=location, done="the location stays stopped")
    ws.catalogue.release_brake(location, provenance.who(), reason, ws.now())


def order(locations: Iterable[Location], waits: Mapping[str, float]) -> list[Location]:
    """The cheapest to read first: disk before object before tape; before all, what has waited for twice its time, the longest first.

    Without that, a budget that is always short would be spent on disks, and tape would never be read. Pure.
    """
    return sorted(locations, key=lambda location: (_overdue(waits.get(location.name, 0)), _COST[location.medium]))


def _overdue(wait: float) -> float:
    """Minus how often its time has passed where that is twice or more; 0: it can wait its turn."""
    return -wait if wait >= STARVED else 0


def waits(ws: Workspace) -> dict[str, float]:
    """How long the oldest reading at each lasting location has waited, in the policy's times; for ever where none is known."""
    found, now = {}, ws.now()
    for location in (each.name for each in ws.site.locations if not each.transient):
        every = dt.timedelta(days=max(ws.policy.audit.every(location), 1))
        for copy in ws.catalogue.audit_due(location, now, 1, now):
            known = copy.verified_at if copy.verified_at and copy.verified_at <= now else None
            found[location] = (now - known) / every if known else float("inf")
    return found


def night_of(now: dt.datetime) -> dt.date:
    """The night that a moment belongs to, from noon to noon UTC, named by its evening."""
    return (now.astimezone(dt.UTC) - dt.timedelta(hours=12)).date()


def current(ws: Workspace, copy: Copy) -> Copy | None:
    """The copy as the catalogue has it now, or nothing where it does not count any more."""
    found = ws.catalogue.copies(artifact=copy.artifact, location=copy.location, states=[CopyState.VERIFIED])
    return next((each for each in found if each.id == copy.id), None)


def _chosen(ws: Workspace, names: Sequence[str]) -> list[Location]:
    lasting = {location.name: location for location in ws.site.locations if not location.transient}
    if unknown := sorted(set(names) - set(lasting)):
        raise InputError("no such lasting location", on=", ".join(unknown), expected=", ".join(lasting), done="nothing was read")
    return [location for name, location in lasting.items() if name in names or not names]


def _audit(ws: Workspace, location: str, audited: Audited, tell: Tell, progress: files.Progress) -> Place:
    """Audit one location until nothing is due, the budget is used up, or the location is to blame or gone."""
    at = Round(ws, location, tell, progress)
    place = at.place
    place.braked = ws.catalogue.brakes().get(location, "")
    place.ended = "it is stopped until a person releases it" if place.braked else shelving.away(ws, location) or absent(ws, location)
    for copy in () if place.ended else _due(ws, location):
        place.ended = _over(at, audited)
        if place.ended:
            break
        _read_leased(at, copy, audited.night)
    at.judge()
    tell(f"{location}: {place.copies} copies, {place.bytes} bytes read back" + (f"; {place.ended}" if place.ended else ""))
    return place


def _over(at: Round, audited: Audited) -> str:
    """Why no other copy is begun; nothing where one is."""
    if at.place.braked:
        return "so much fails that the location is to blame"
    if at.unread >= UNREAD_MOST:
        return f"{at.unread} copies could not be read now"
    if at.ws.catalogue.audited(audited.night) >= audited.budget:
        return "the night's budget is used up; the rest is read in the nights that follow"
    return absent(at.ws, at.place.location) if at.unread else ""


def _read_leased(at: Round, copy: Copy, night: dt.date) -> None:
    """Read one copy back while nobody may remove it; one that is being removed or made is left."""
    try:
        with at.ws.catalogue.lease([copy.artifact], Use.READ, at.ws.now()):
            before, outcome = at.place.bytes, at.read(copy).outcome
            if outcome is Outcome.MATCHES:
                at.look(copy)
            if outcome is not Outcome.UNREAD:
                at.ws.catalogue.add_audited(night, copy.location, 1, at.place.bytes - before)
    except LeaseTaken as error:
        at.leave(copy, str(error))


def _due(ws: Workspace, location: str) -> Iterator[Copy]:
    """Copies whose last reading is too old, the oldest first, each once; what is read is not asked for again."""
    since = ws.now() - dt.timedelta(days=ws.policy.audit.every(location)) + dt.timedelta.resolution
    seen: set[int] = set()
    while True:
        page = ws.catalogue.audit_due(location, since, PAGE + len(seen), ws.now())
        seen &= {copy.id for copy in page}
        fresh = [copy for copy in page if copy.id not in seen]
        if not fresh:
            return
        for copy in fresh:
            seen.add(copy.id)
            yield copy
