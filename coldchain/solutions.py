"""The storage table: what kinds of places there are, how long they last, and what they take. A location names its row."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, RootModel

from coldchain import yamlfile
from coldchain.errors import SizeRefused
from coldchain.location import Name

TABLE = Path(__file__).with_name("solutions.yaml")


class Solution(BaseModel):
    """A row of the storage table. Limits are left out where there is none, or none is known."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str = Field(min_length=1, description="what it is")
    longevity: str = Field(min_length=1, description="how long it keeps data")
    versioning: str = Field(min_length=1, description="what becomes of older versions")
    access: str = Field(min_length=1, description="who gets at it")
    speed: str = Field(min_length=1, description="how fast it takes and gives data")
    cost: str = Field(min_length=1, description="what it costs, and whom")
    file_bytes: int | None = Field(None, ge=0, description="largest file, in bytes")
    deposit_bytes: int | None = Field(None, ge=0, description="largest artifact, in bytes")
    deposit_files: int | None = Field(None, ge=0, description="most files of an artifact")
    source: str = Field(min_length=1, description="where this was looked up")
    looked_up: dt.date = Field(description="the day on which it was looked up")


class _Table(RootModel[dict[Name, Solution]]):
    """The file."""


@cache
def built_in() -> Mapping[str, Solution]:
    """The rows that ship. Raises ConfigurationError with file, line and field."""
    return yamlfile.load(TABLE, _Table).root


def refuse_too_large(solution: Solution, what: str, to: str, *, bytes_: int, files: int) -> None:
    """Raise SizeRefused where a place does not take so much in one."""
    for limit, got, unit in ((solution.deposit_bytes, bytes_, "bytes"), (solution.deposit_files, files, "files")):
        if limit is not None and got > limit:
            raise _refused(solution, what, to, f"at most {limit:,} {unit}", f"{got:,} {unit}")


def refuse_large_file(solution: Solution, what: str, to: str, sizes: Mapping[str, int]) -> None:
    """Raise SizeRefused where a file is larger than a place takes; it is named."""
    for name, size in sizes.items():
        if solution.file_bytes is not None and size > solution.file_bytes:
            raise _refused(solution, what, to, f"files of at most {solution.file_bytes:,} bytes", f"{name!r} of {size:,} bytes")


def _refused(solution: Solution, what: str, to: str, expected: str, got: str) -> SizeRefused:
    return SizeRefused(
        "this is more than a place takes",
        on=f"{what} to {to} ({solution.title})",
        expected=expected,
        got=got,
        done="nothing was moved",
        hint="choose another location; where your contract allows more, write its row under `solutions` in site.yaml",
    )
