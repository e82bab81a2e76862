"""Recalls: what somebody wants back from an archive that takes hours, and how far that has come."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum


class RecallState(StrEnum):
    """How far a recall has come; what waits was asked for, and cannot be read yet."""

    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True)
class Recall:
    """One artifact that is wanted at a place.

    Attributes:
        days: how long the archive lets it be read, where it has to be asked.
        why: what it waits for, or why it failed.
    """

    artifact: str
    to: str
    days: int
    who: str
    asked_at: dt.datetime
    state: RecallState = RecallState.WAITING
    why: str = ""
    ended_at: dt.datetime | None = None
