"""What a dataset still needs. Pure: the catalogue's state in, transitions and reasons out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from coldchain.copies import Artifact, Copy, CopyState
from coldchain.levels import IRREPLACEABLE, MADE_FROM, Level

if TYPE_CHECKING:
    from coldchain.site import Roles


class Transition(StrEnum):
    """Moving a dataset one step along its life, in order."""

    INGEST = "ingest"
    STAGE = "stage"
    CORRECT = "correct"
    SEGMENT = "segment"
    PROFILE = "profile"
    PROMOTE = "promote"
    ARCHIVE = "archive"
    PRESERVE = "preserve"
    SWEEP = "sweep"


ARCHIVED = (Level.MASKS, Level.SINGLE_CELL_PROFILES, Level.BULK_PROFILES, Level.RELEASE)
"""Levels whose results stay on the NAS; the others are made again when they are wanted."""

SETTLED = frozenset({CopyState.VERIFIED, CopyState.SUSPECT, CopyState.LOST})
"""States of copies that were verified once; what is wrong with one now is for the audit."""

PRESERVED = tuple(sorted(IRREPLACEABLE))
"""Levels that get a copy in the cold archive and one at the backup location, whatever the policy asks for."""


@dataclass(frozen=True)
class State:
    """One dataset as the catalogue has it: the current artifact of each level, all copies in use, and the copies that the policy misses.

    `makes` are the levels that can be made of it: of images that are no plate raw and standard, of what is opaque raw alone.
    """

    current: Mapping[Level, Artifact]
    copies: tuple[Copy, ...]
    roles: Roles
    wished: tuple[str, ...] = ()
    makes: frozenset[Level] = frozenset(Level)

    def states(self, level: Level) -> set[CopyState]:
        """States of a level's copies, wherever they are."""
        return {copy.state for copy in self.copies if level in self.current and copy.artifact == self.current[level].id}

    def needed(self, level: Level) -> bool:
        """Whether a level has to be made: never made, cut off while it was made, or gone before what is made from it was made."""
        if level not in self.makes:
            return False
        if level not in self.current:
            return True
        if self.states(level) & SETTLED:
            return False
        wanted = any(self.needed(later) for later, sources in MADE_FROM.items() if level in sources)
        return wanted or CopyState.COPYING in self.states(level)

    def stands(self, level: Level, location: str) -> bool:
        """Whether a level has a copy at a location that was verified once; a suspect one is for the audit, not for a second copy."""
        here = {
            copy.state
            for copy in self.copies
            if copy.location == location and level in self.current and copy.artifact == self.current[level].id
        }
        return bool(here & SETTLED)

    def missing(self, levels: tuple[Level, ...], *locations: str) -> list[str]:
        """Levels and locations where a copy is missing."""
        wanted = [level for level in levels if level in self.makes]
        return [f"{level} at {place}" for level in wanted for place in locations if not self.stands(level, place)]


def remaining(state: State) -> list[tuple[Transition, str]]:
    """List the transitions that a dataset still needs, in order, each with its reason."""
    return [(transition, why) for transition, need in _NEEDS.items() if (why := need(state))]


def _stage(state: State) -> str:
    if not state.needed(Level.CORRECTED) or state.stands(Level.STANDARD, state.roles.scratch):
        return ""
    return "the cluster has nothing to work on"


def _make(*levels: Level) -> Callable[[State], str]:
    def need(state: State) -> str:
        missing = [str(level) for level in levels if state.needed(level)]
        return f"to be made: {', '.join(missing)}" if missing else ""

    return need


def _archive(state: State) -> str:
    return _said(state.missing(ARCHIVED, state.roles.nas))


def _preserve(state: State) -> str:
    missing = state.missing(PRESERVED, state.roles.cold, state.roles.backup)
    return _said([*missing, *(wish for wish in state.wished if wish not in missing)])


def _sweep(state: State) -> str:
    left = [copy for copy in state.copies if copy.location == state.roles.scratch and copy.state in {CopyState.VERIFIED, CopyState.TRASHED}]
    return f"{len(left)} copies on scratch" if left else ""


def _said(missing: list[str]) -> str:
    return f"no copy of {', '.join(missing)}" if missing else ""


_NEEDS: Mapping[Transition, Callable[[State], str]] = {
    Transition.INGEST: _make(Level.RAW, Level.STANDARD),
    Transition.STAGE: _stage,
    Transition.CORRECT: _make(Level.CORRECTED),
    Transition.SEGMENT: _make(Level.MASKS),
    Transition.PROFILE: _make(Level.SINGLE_CELL_IMAGES, Level.SINGLE_CELL_PROFILES, Level.BULK_PROFILES),
    Transition.PROMOTE: _make(Level.RELEASE),
    Transition.ARCHIVE: _archive,
    Transition.PRESERVE: _preserve,
    Transition.SWEEP: _sweep,
}


def each_needed(look: Callable[[], State]) -> Iterator[tuple[Transition, str]]:
    """Yield the first transition that is needed, look again, and go on after it: what one step does decides the next.

    A transition that is still needed after it ran is not tried twice: it has said itself what hinders it.
    """
    order = list(Transition)
    at = 0
    while at < len(order):
        needed = {transition: why for transition, why in remaining(look()) if transition in order[at:]}
        if not needed:
            return
        transition, why = next(iter(needed.items()))
        at = order.index(transition) + 1
        yield transition, why
