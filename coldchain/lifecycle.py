"""What a dataset still needs. Pure: the catalogue's state in, transitions and reasons out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from coldchain.copies import Artifact, Copy, CopyState
from coldchain.levels import IRREPLACEABLE, Level

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

PRESERVED = tuple(sorted(IRREPLACEABLE))
"""Levels that get a copy in the cold archive and one at the backup location."""


@dataclass(frozen=True)
class State:
    """One dataset as the catalogue has it: the newest artifact of each level, and all copies in use."""

    current: Mapping[Level, Artifact]
    copies: tuple[Copy, ...]
    roles: Roles

    def made(self, *levels: Level) -> bool:
        """Whether each of these levels was made."""
        return all(level in self.current for level in levels)

    def stands(self, level: Level, location: str) -> bool:
        """Whether a level has a copy at a location that was verified once; a suspect one is for the audit, not for a second copy."""
        here = {
            copy.state
            for copy in self.copies
            if copy.location == location and level in self.current and copy.artifact == self.current[level].id
        }
        return bool(here & {CopyState.VERIFIED, CopyState.SUSPECT, CopyState.LOST})

    def missing(self, levels: tuple[Level, ...], *locations: str) -> list[str]:
        """Levels and locations where a copy is missing."""
        return [f"{level} at {place}" for level in levels for place in locations if not self.stands(level, place)]


def remaining(state: State) -> list[tuple[Transition, str]]:
    """List the transitions that a dataset still needs, in order, each with its reason."""
    return [(transition, why) for transition, need in _NEEDS.items() if (why := need(state))]


def _ingest(state: State) -> str:
    return "" if state.made(Level.RAW, Level.STANDARD) else "raw and standard do not both stand"


def _stage(state: State) -> str:
    if state.made(Level.CORRECTED) or state.stands(Level.STANDARD, state.roles.scratch):
        return ""
    return "the cluster has nothing to work on"


def _make(*levels: Level) -> Callable[[State], str]:
    def need(state: State) -> str:
        missing = [str(level) for level in levels if level not in state.current]
        return f"not made yet: {', '.join(missing)}" if missing else ""

    return need


def _archive(state: State) -> str:
    return _said(state.missing(ARCHIVED, state.roles.nas))


def _preserve(state: State) -> str:
    return _said(state.missing(PRESERVED, state.roles.cold, state.roles.backup))


def _sweep(state: State) -> str:
    left = [copy for copy in state.copies if copy.location == state.roles.scratch and copy.state in {CopyState.VERIFIED, CopyState.TRASHED}]
    return f"{len(left)} copies on scratch" if left else ""


def _said(missing: list[str]) -> str:
    return f"no copy of {', '.join(missing)}" if missing else ""


_NEEDS: Mapping[Transition, Callable[[State], str]] = {
    Transition.INGEST: _ingest,
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
