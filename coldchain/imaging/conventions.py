"""Naming conventions: how an instrument names a plate's TIFF images. Several vendors' are built in; a site adds its own in site.yaml.

A convention is data: one regular expression with named groups, and an example of a name. A site's own one is held against its example
when the site is loaded, so that a slip shows there, and not as a plate that nobody can take in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from coldchain.dataset import FILES, OPAQUE
from coldchain.errors import InputError

GROUPS = frozenset({"plate", "well", "row", "column", "field", "channel", "z", "t"})


class Convention(BaseModel):
    """How an instrument names its images; case does not matter."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    expression: str = Field(
        min_length=1,
        max_length=1000,
        description="regular expression for a whole file name, with the groups `channel`, `well` or `row` and `column` (numbers), and where"
        " the names have them `field`, `z`, `t`, `plate`",
    )
    example: str = Field(min_length=1, max_length=255, description="a file name of this convention; errors show it")
    previews: str = Field(
        "", max_length=1000, description="names of small pictures made by the instrument, which are kept and are no images"
    )

    @model_validator(mode="after")
    def _sound(self) -> Self:
        """Refuse an expression that says too little, or not even its own example."""
        groups = frozenset(_compiled(self.expression).groupindex)
        if unknown := sorted(groups - GROUPS):
            raise ValueError(f"groups {', '.join(unknown)} are not known; known are {', '.join(sorted(GROUPS))}")
        if "channel" not in groups or ("well" in groups) == ({"row", "column"} <= groups):
            raise ValueError("an expression has the group `channel`, and either `well` or both `row` and `column`")
        _compiled(self.previews)
        if self.matched(self.example) is None:
            raise ValueError(f"the example {self.example!r} is not of its own convention")
        if self.shows_preview(self.example):
            raise ValueError(f"the example {self.example!r} would be taken for a preview")
        return self

    @cached_property
    def _names(self) -> re.Pattern[str]:
        return _compiled(self.expression)

    def matched(self, name: str) -> dict[str, str] | None:
        """What a file name says, by group; nothing where it is not of this convention."""
        found = self._names.fullmatch(name)
        return {group: text for group, text in found.groupdict().items() if text is not None} if found else None

    def shows_preview(self, name: str) -> bool:
        """Whether a file is a small picture that the instrument made beside its images."""
        return bool(self.previews) and _compiled(self.previews).fullmatch(name) is not None


def _compiled(expression: str) -> re.Pattern[str]:
    try:
        return re.compile(expression, re.IGNORECASE)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"not a regular expression: {error}") from error


_PLATE = r"(?P<plate>[^/\x00-\x1f]{1,128}?)"
_WELL = r"(?P<well>[A-Z]{1,2}[0-9]{2})"
_GUID = r"[0-9A-F]{8}(?:-[0-9A-F]{4}){3}-[0-9A-F]{12}"

BUILT_IN: Mapping[str, Convention] = MappingProxyType(
    {
        "operetta": Convention(  # Revvity Operetta and Opera Phenix, Harmony export
            expression=r"r(?P<row>\d{2})c(?P<column>\d{2})f(?P<field>\d{2,4})p(?P<z>\d{2,4})-ch(?P<channel>\d{1,2})sk(?P<t>\d{1,5})fk\d+fl\d+\.tiff?",
            example="r01c02f03p01-ch1sk1fk1fl1.tiff",
        ),
        "imagexpress": Convention(  # Molecular Devices ImageXpress, MetaXpress
            expression=rf"{_PLATE}_{_WELL}(?:_s(?P<field>\d{{1,4}}))?(?:_z(?P<z>\d{{1,4}}))?_w(?P<channel>\d)(?:{_GUID})?\.tiff?",
            example="PLATE-1_A01_s1_w1.TIF",
            previews=rf".*_thumb(?:{_GUID})?\.tiff?",
        ),
        "cellvoyager": Convention(  # Yokogawa CellVoyager
            expression=rf"{_PLATE}_{_WELL}_T(?P<t>\d{{4}})F(?P<field>\d{{3,4}})L\d{{2}}A\d{{2}}Z(?P<z>\d{{2,4}})C(?P<channel>\d{{2}})\.tiff?",
            example="PLATE-1_A01_T0001F001L01A01Z01C01.tif",
        ),
        "roche": Convention(  # Cellomics-style names of the SBS (Roche Transfluor) and Broad plates
            expression=rf"{_PLATE}_{_WELL}f(?P<field>\d{{2,4}})d(?P<channel>\d{{1,2}})\.tiff?",
            example="AS_09047_050428030001_O01f00d2.TIF",
        ),
    }
)


def find_convention(name: str, own: Mapping[str, Convention] = MappingProxyType({})) -> Convention:
    """Return the convention of that name, a site's own ones included. Raises InputError with the known ones."""
    every = {**BUILT_IN, **own}
    if name not in every:
        known = ", ".join(f"{key} ({convention.example})" for key, convention in every.items())
        raise InputError(
            "Unknown naming convention", expected=known, got=repr(name), hint="an engineer adds one under `conventions` in site.yaml"
        )
    return every[name]


def refuse_taken(own: Mapping[str, Convention]) -> None:
    """Raise ValueError where a site's own convention has a name that means something else already."""
    if taken := sorted(own.keys() & {*BUILT_IN, FILES, OPAQUE}):
        raise ValueError(f"conventions named {', '.join(taken)} are there already: choose other names")
