"""Reading one copy back, and what that says of it. Nothing is written down here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from coldchain import files, inspecting
from coldchain.errors import ColdchainError, PermanentError, TransientError
from coldchain.imaging import completeness
from coldchain.levels import Level

if TYPE_CHECKING:
    from coldchain.copies import Artifact, Copy
    from coldchain.workspace import Workspace


class Outcome(Enum):
    """What a reading says of a copy."""

    MATCHES = "matches"
    DIFFERS = "differs"
    UNREAD = "unread"


@dataclass(frozen=True)
class Reading:
    """One copy that was read back, or could not be read now; then nothing is said of its bytes."""

    outcome: Outcome
    found: str


def read(ws: Workspace, artifact: Artifact, copy: Copy, progress: files.Progress = files.no_progress) -> Reading:
    """Read a copy back, past any cache; a location that does not show its identity afterwards says nothing of its copies."""
    if copy.location not in ws.stores:
        return Reading(Outcome.UNREAD, "the site does not know this location")
    try:
        wrong = inspecting.mismatches(ws.store(copy.location), artifact, copy, progress)
    except TransientError as error:  # not to be read now: its bytes may well be sound
        return Reading(Outcome.UNREAD, str(error))
    except PermanentError as error:  # it stands there and cannot be read: that is not the artifact
        return _differs(ws, copy, str(error))
    return _differs(ws, copy, inspecting.listed(wrong)) if wrong else Reading(Outcome.MATCHES, "every byte matches")


def incomplete(ws: Workspace, artifact: Artifact, copy: Copy) -> str:
    """What a conversion lacks by the rules of today, though its bytes are what was written; nothing where it is whole, or is none.

    Only what is mounted here is looked at: elsewhere the same bytes stand, and were found whole where they were made. Nothing is said of a
    conversion whose location went away meanwhile.
    """
    if artifact.level is not Level.STANDARD:
        return ""
    try:
        store = ws.store(copy.location)
        if store.mounted:
            completeness.check(store.local(copy.path))
    except ColdchainError as error:
        return "" if absent(ws, copy.location) else str(error)
    return ""


def absent(ws: Workspace, location: str) -> str:
    """Why a location cannot be judged by now; nothing where it shows its identity."""
    try:
        ws.store(location)
    except ColdchainError as error:  # whatever hinders it, nothing is judged on it
        return str(error)
    return ""


def _differs(ws: Workspace, copy: Copy, found: str) -> Reading:
    if why := absent(ws, copy.location):
        return Reading(Outcome.UNREAD, why)
    return Reading(Outcome.DIFFERS, found)
