"""Artifacts and their copies: what exists, where, and how sure we are of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from coldchain.levels import Level

if TYPE_CHECKING:
    import datetime as dt


class CopyState(StrEnum):
    """What we know of a copy."""

    COPYING = "copying"
    VERIFIED = "verified"
    SUSPECT = "suspect"
    LOST = "lost"
    TRASHED = "trashed"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Artifact:
    """One immutable version of one level of one dataset, named by the SHA-256 of its manifest."""

    dataset: str
    level: Level
    digest: str
    files: int
    bytes: int
    activity: str
    made_at: dt.datetime

    @property
    def id(self) -> str:
        """Dataset, level and whole digest: ``PRJ-0001/PLATE-A/raw@3fe2…``."""
        return f"{self.dataset}/{self.level}@{self.digest}"

    @property
    def label(self) -> str:
        """The same with a short digest, for people."""
        return f"{self.dataset}/{self.level}@{self.digest[:12]}"

    @property
    def folder(self) -> str:
        """Where a copy stands below the root of any location (POSIX separators)."""
        project, name = self.dataset.split("/", 1)
        if self.level is Level.RAW:
            return f"projects/{project}/raw/{name}"
        area = f"standard/{name}" if self.level is Level.STANDARD else f"results/{name}/{self.level}"
        return f"projects/{project}/{area}/{self.digest[:12]}"


@dataclass(frozen=True, slots=True)
class Copy:
    """An artifact at a location, with the time its bytes were last read back and matched."""

    id: int
    artifact: str
    location: str
    path: str
    state: CopyState
    created_at: dt.datetime
    verified_at: dt.datetime | None = None
    due_at: dt.datetime | None = None
    protection: str = "none"
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Total:
    """Copies and bytes at a location, of one level and in one state."""

    location: str
    level: Level
    state: CopyState
    copies: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Aside:
    """Damaged bytes that were set aside: of which copy, where they stand now, and why."""

    id: int
    copy: int
    artifact: str
    location: str
    path: str
    why: str
    at: dt.datetime
