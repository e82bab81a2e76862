"""Holds (a person's "not yet") and leases (a running program's)."""

from __future__ import annotations

import datetime as dt
import os
import uuid
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

LAST_ZONE = dt.timezone(dt.timedelta(hours=-12))
"""Where a day ends last on Earth: a hold has no zone, so it is given the benefit."""


@dataclass(frozen=True, slots=True)
class Hold:
    """A person's "not yet" on a dataset, with a reason and an end date."""

    id: int
    dataset: str
    reason: str
    who: str
    until: dt.date

    def holds(self, now: dt.datetime) -> bool:
        """Whether the hold lasts: to the end of its last day, and that day ends last in UTC-12."""
        return self.until >= now.astimezone(LAST_ZONE).date()


class Use(StrEnum):
    """What a lease is for: many may read at once; making and removing are alone."""

    READ = "read"
    ALONE = "alone"


@dataclass(frozen=True, slots=True)
class Lease:
    """A program's use of something (an artifact's id, an activity's fingerprint) until a time."""

    scope: str
    use: Use
    holder: str
    until: dt.datetime


def blocks(held: Lease, wanted: Use, now: dt.datetime) -> bool:
    """Whether a lease that is held keeps another use away: not when it has ended, nor when its holder is dead."""
    if held.until <= now or not holder_lives(held.holder):
        return False
    return Use.ALONE in (held.use, wanted)


def new_holder() -> str:
    """Name this process so that others on this machine can tell whether it still lives: boot/pid/start/unique."""
    return f"{_boot()}/{os.getpid()}/{_started(str(os.getpid()))}/{uuid.uuid4().hex[:8]}"


def holder_lives(holder: str) -> bool:
    """Whether a holder may still be at work; one that we cannot judge (another machine, boot or form of name) may, until its lease ends."""
    parts = holder.split("/")
    if len(parts) != 4 or parts[0] != _boot():
        return True
    return _started(parts[1]) == parts[2]


@cache
def _boot() -> str:
    """Identify this machine and its current boot (and, in a container, its process namespace)."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    try:
        return f"{boot.read_text().strip()}:{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return f"unknown-{uuid.uuid4().hex}"


def _started(pid: str) -> str:
    """Kernel start time of a process in clock ticks, or ``gone`` (a zombie is gone)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return "gone"
    return "gone" if fields[0] in "ZX" else fields[19]
