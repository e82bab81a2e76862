"""The report of a sweep: what went, what stays and why, what falls due. Bounded, however much there is to tell."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

from coldchain.copies import Copy, Total
from coldchain.ledger import Ledger
from coldchain.shelving import Looked

MOST = 500
"""Lines that a part of a report keeps; the rest is counted."""


@dataclass(frozen=True)
class Line:
    """One copy, or one artifact where no location is named, in a report."""

    artifact: str
    location: str
    bytes: int
    reasons: tuple[str, ...]


def line_of(ledger: Ledger, copy: Copy, reasons: tuple[str, ...]) -> Line:
    """A copy's line in a report."""
    artifact = ledger.artifacts.get(copy.artifact)
    return Line(artifact.label if artifact else copy.artifact, copy.location, artifact.bytes if artifact else 0, reasons)


@dataclass
class Part:
    """Lines of one kind: how many in all, how many bytes, and the first of them."""

    count: int = 0
    bytes: int = 0
    lines: list[Line] = field(default_factory=list)

    def add(self, line: Line) -> None:
        """Count a line, and keep it while there is room."""
        self.count += 1
        self.bytes += line.bytes
        if len(self.lines) < MOST:
            self.lines.append(line)


@dataclass
class Report:
    """What a sweep did, or would do, and why.

    Attributes:
        removed: deleted, or what a dry run would delete now.
        trashed: put in the trash, or what a dry run would put there; deleted after their grace.
        noticed: told for the first time in this sweep, in `notice`.
        waiting: told before; their notice period runs, or nobody has answered.
        refused: a person said no.
        kept: due, and kept for a reason.
        dropped: approved or planned, and not any more.
        recalled: brought back from the trash, because nothing covered them any more.
        damaged: suspect or lost.
        falling_due: what falls due in the next 30 days.
        short: artifacts without the copies that the policy wants.
        space: copies and bytes by location, level and state.
        unreachable: locations that do not show their identity, and are never taken away.
        media: disks and tapes that are taken away, wherever they are.
        unknown: locations of copies that the site does not name.
        doubted_clock: why the clock is not believed, so that nothing went; empty where it is.
        braked: locations whose audit was stopped, and why.
        receipts: digests of the receipts that this sweep left.
    """

    at: dt.datetime
    dry_run: bool
    policy: str
    site: str = ""
    read_back: int = 0
    notice: int = 0
    removed: Part = field(default_factory=Part)
    trashed: Part = field(default_factory=Part)
    noticed: Part = field(default_factory=Part)
    waiting: Part = field(default_factory=Part)
    refused: Part = field(default_factory=Part)
    kept: Part = field(default_factory=Part)
    dropped: Part = field(default_factory=Part)
    recalled: Part = field(default_factory=Part)
    damaged: Part = field(default_factory=Part)
    falling_due: Part = field(default_factory=Part)
    short: Part = field(default_factory=Part)
    warnings: Part = field(default_factory=Part)
    space: tuple[Total, ...] = ()
    unreachable: tuple[str, ...] = ()
    media: tuple[Looked, ...] = ()
    unknown: tuple[str, ...] = ()
    doubted_clock: str = ""
    braked: Mapping[str, str] = field(default_factory=dict)
    receipts: list[str] = field(default_factory=list)
