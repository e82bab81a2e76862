"""The truth of a history: what every artifact is, byte by byte, what people said, and what the disks hold at a moment."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from coldchain.copies import Artifact, Copy, CopyState, Total
from coldchain.levels import Level
from coldchain.overrides import Check
from coldchain.proposals import Answer
from coldchain.sql import tables

MANIFEST = "MANIFEST.sha256"

LASTING = {
    "nas": ("nas", "disk", False, True),
    "shelf": ("nas", "disk", False, False),
    "backup": ("backup", "disk", False, False),
    "cold": ("vault", "tape", True, True),
}
"""Lasting places: failure domain, medium, whether off site, whether protected."""


@dataclass(frozen=True)
class Thing:
    """What an artifact really is: its bytes, and what it is made from."""

    dataset: str
    level: Level
    version: int
    inputs: tuple[Thing, ...] = ()

    @cached_property
    def files(self) -> Mapping[str, bytes]:
        """Its files by name."""
        word = " ".join([self.dataset, self.level, str(self.version), *(each.id for each in self.inputs)]).encode()
        return {"0/c": word * 3, "1/c": word, "zarr.json": b"{}"}

    @cached_property
    def manifest(self) -> bytes:
        """What its manifest says."""
        return b"".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n".encode() for name, data in self.files.items())

    @cached_property
    def whole(self) -> Mapping[str, bytes]:
        """All that stands in the folder of an intact copy."""
        return {**self.files, MANIFEST: self.manifest}

    @cached_property
    def id(self) -> str:
        """Its artifact's id."""
        return f"{self.dataset}/{self.level}@{hashlib.sha256(self.manifest).hexdigest()}"

    def write(self, folder: Path) -> None:
        """Write its files."""
        for name, data in self.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)


def _plate() -> tuple[Thing, ...]:
    raw = Thing("PRJ-0001/P0", Level.RAW, 0)
    standard = Thing(raw.dataset, Level.STANDARD, 0, (raw,))
    return raw, standard, Thing(raw.dataset, Level.CORRECTED, 0, (standard,))


PLATE = _plate()
"""What every history begins with, each made from the one before it."""


@dataclass
class Known:
    """What the history knows without asking the product: true bytes, what people said, what is in use, and what it spoilt itself.

    Attributes:
        holds: by number, the dataset and the last day.
        overrides: dataset, check and last day; all are approved.
        leases: artifact, end, and what ends it before.
        said: by copy, the proposal and the answer.
        spoilt: disk and artifact of copies that were damaged since they were last seen intact.
    """

    things: dict[str, Thing] = field(default_factory=lambda: {thing.id: thing for thing in PLATE})
    holds: dict[int, tuple[str, dt.date]] = field(default_factory=dict)
    overrides: list[tuple[str, Check, dt.date]] = field(default_factory=list)
    leases: list[tuple[str, dt.datetime, ExitStack]] = field(default_factory=list)
    said: dict[int, tuple[int, Answer]] = field(default_factory=dict)
    spoilt: set[tuple[str, str]] = field(default_factory=set)

    def datasets(self) -> list[str]:
        """Datasets of which something may exist."""
        return sorted({thing.dataset for thing in self.things.values()})


@dataclass
class Moment:
    """What stands on the disks and in the catalogue at one moment."""

    files: dict[str, dict[str, bytes]]
    copies: dict[int, Copy]
    artifacts: dict[str, Artifact]
    brakes: frozenset[str]
    receipted: frozenset[int]
    open: frozenset[int]
    believed: dt.datetime | None
    folders: dict[tuple[str, str], dict[str, bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Sort the files into the folders of copies, in their place, in the trash or set aside."""
        paths = {copy.path for copy in self.copies.values()} | {artifact.folder for artifact in self.artifacts.values()}
        for disk, found in self.files.items():
            for name, data in found.items():
                parts = name.split("/")
                tops = ["/".join(parts[:end]) for end in (3, 4, 5, 6)]
                top = next((top for top in tops if top in paths or (top.startswith(".coldchain/") and top.count("/") == 2)), None)
                if top is not None and not top.startswith(".coldchain/staging"):
                    self.folders.setdefault((disk, top), {})[name[len(top) + 1 :]] = data

    def at(self, disk: str, path: str) -> dict[str, bytes] | None:
        """What stands in a folder, if anything."""
        return self.folders.get((disk, path))

    def elsewhere(self, disk: str, content: Mapping[str, bytes]) -> bool:
        """Whether a folder stands whole in the trash or aside."""
        return any(disk == where and path.startswith(".coldchain/") and content == there for (where, path), there in self.folders.items())


def later(moment: dt.datetime, years: int) -> dt.datetime:
    """The same day so many years later; there, the day after the 28 February where it has no 29th."""
    leap = (moment.month, moment.day) == (2, 29) and (moment.year + years) % 4
    return moment.replace(year=moment.year + years, month=3, day=1) if leap else moment.replace(year=moment.year + years)


def counted(catalogue: Any) -> list[Any]:
    """The totals as counting every row gives them."""
    group = (tables.copy.c.location, tables.artifact.c.level, tables.copy.c.state)
    amounts = (sa.func.count().label("copies"), sa.func.sum(tables.artifact.c.bytes).label("bytes"))
    query = sa.select(*group, *amounts).select_from(tables.copy.join(tables.artifact)).group_by(*group).order_by(*group)
    with catalogue.engine.connect() as db:
        rows = db.execute(query.where(tables.copy.c.state != "removed")).all()
    return [Total(location, Level(level), CopyState(state), copies, int(size)) for location, level, state, copies, size in rows]
