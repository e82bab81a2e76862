"""Reading one copy back, and what that says of it. Nothing is written down here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from coldchain import files, transfer
from coldchain.errors import ColdchainError, PermanentError, TransientError

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
        wrong = transfer.mismatches(ws.store(copy.location), artifact, copy, progress)
    except TransientError as error:  # not to be read now: its bytes may well be sound
        return Reading(Outcome.UNREAD, str(error))
    except PermanentError as error:  # it stands there and cannot be read: that is not the artifact
        return _differs(ws, copy, str(error))
    return _differs(ws, copy, transfer.listed(wrong)) if wrong else Reading(Outcome.MATCHES, "every byte matches")


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
