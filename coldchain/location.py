"""Locations: the places that can hold copies, as a site's YAML describes them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$", description="lower case, digits, - and _")]


class Engine(StrEnum):
    """How bytes get to a location."""

    POSIX = "posix"


class Medium(StrEnum):
    """What the bytes stand on."""

    DISK = "disk"
    OBJECT = "object"
    TAPE = "tape"


class Reach(StrEnum):
    """Who can get at a location: it decides what may go there."""

    INSIDE = "inside"
    OUTSIDE = "outside"
    PUBLIC = "public"


class Protection(StrEnum):
    """What makes a location write-once."""

    NONE = "none"
    PERMISSIONS = "permissions"
    IMMUTABLE = "immutable"
    STRONGEST = "strongest"


class Location(BaseModel):
    """A place that can hold copies."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    engine: Engine = Engine.POSIX
    root: str = Field(min_length=1, description="folder; relative to the site file")
    medium: Medium
    domain: Name = Field(description="failure domain: what is lost together")
    site: Name = Field(description="where it stands")
    reach: Reach = Reach.INSIDE
    protection: Protection = Protection.NONE
    solution: str = Field("internal_drive", description="row of the storage table")
    purge_age_days: int | None = Field(None, ge=1, description="for scratch: the cluster removes files of this age by itself")

    @property
    def transient(self) -> bool:
        """Whether the place removes files by itself; a copy there never counts."""
        return self.purge_age_days is not None
