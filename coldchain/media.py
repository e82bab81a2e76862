"""Media that are taken away: where a disk or a tape is, and who has it, as a person said. Pure.

What was said of a medium comes before what can be reached: one that is checked out does not count from that moment, though it may
still be put in.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datetime as dt


class State(StrEnum):
    """Where a medium is: put in here, on the shelf, with somebody, or nobody knows."""

    IN = "in"
    SHELF = "shelf"
    OUT = "out"
    LOST = "lost"


@dataclass(frozen=True)
class Whereabouts:
    """Where the medium of a location is, and since when; who said so, and when it last showed its identity to us."""

    location: str
    state: State
    since: dt.datetime
    place: str = ""
    holder: str = ""
    who: str = ""
    seen_at: dt.datetime | None = None

    @property
    def gone(self) -> bool:
        """Whether nothing may lean on it, be it put in or not."""
        return self.state in {State.OUT, State.LOST}

    def __str__(self) -> str:
        """Where it is when it is not put in, in a few words."""
        since = self.since.date().isoformat()
        return {
            State.IN: "not put in, and nobody said where it is",
            State.SHELF: f"on the shelf: {self.place}",
            State.OUT: f"checked out: {self.holder} has it since {since}",
            State.LOST: f"lost since {since}",
        }[self.state]
