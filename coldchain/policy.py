"""Policy: what must stand where, for how long, and what may go, as one YAML file a site."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, Strict, model_validator

from coldchain.levels import IRREPLACEABLE, Level
from coldchain.origins import Origin

if TYPE_CHECKING:
    from coldchain.dataset import Project


Count = Annotated[int, Strict()]
"""A whole number, and not a `yes` that would be read as one."""

Days = Annotated[float, Field(ge=0, le=36_600, allow_inf_nan=False)]
"""Days, up to a hundred years."""


class Approval(StrEnum):
    """Whose yes a removal needs."""

    NONE = "none"
    PERSON = "person"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Wanted(_Part):
    """What must stand of an artifact, and how recently it was read back."""

    copies: Count = Field(1, ge=1, le=9, description="verified copies, each in a failure domain of its own")
    media: Count = Field(1, ge=1, le=9, description="different media")
    off_site: Count = Field(0, ge=0, le=9, description="copies away from the home site")
    verified_within_days: Count = Field(90, ge=1, le=3660, description="a copy counts only if its bytes were read back within so many days")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.media > self.copies or self.off_site > self.copies:
            raise ValueError(f"{self.copies} copies cannot be on {self.media} media with {self.off_site} off site")
        return self


class Rule(_Part):
    """What the policy says about some levels; the first rule that fits an artifact holds."""

    levels: tuple[Level, ...] = Field(min_length=1)
    origins: tuple[Origin, ...] = tuple(Origin)
    classes: tuple[str, ...] = Field((), description="retention classes of projects; all where empty")
    wanted: Wanted
    remake: bool = Field(False, description="may go without copies, if it can be made again")

    @model_validator(mode="after")
    def _protected(self) -> Self:
        if self.remake and (held := sorted(IRREPLACEABLE & set(self.levels))):
            raise ValueError(f"{', '.join(held)} cannot be made again: `remake` must be false")
        return self

    def fits(self, level: Level, project: Project) -> bool:
        """Whether the rule speaks of a level of a project."""
        return level in self.levels and project.origin in self.origins and (not self.classes or project.retention_class in self.classes)


class Purge(_Part):
    """When copies on scratch go: by us, before the cluster does it."""

    after_days: Days = Field(30, description="days since the copy was made")
    grace_days: Days = Field(0, description="days in the trash before the bytes go")
    approval: Approval = Field(Approval.PERSON, description="whose yes it needs")


class Policy(_Part):
    """One site's policy."""

    name: str
    version: Count = Field(ge=1)
    rules: tuple[Rule, ...] = Field(min_length=1)
    purge: Purge = Purge()
    read_back_before_removal: bool = Field(
        True, description="read the surviving copies again before anything goes, however recently they were read"
    )
    audit_after_days: Days = Field(30, description="the sweep reads a copy again when its last reading is older")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        spoken = {level for rule in self.rules if set(rule.origins) == set(Origin) and not rule.classes for level in rule.levels}
        if missing := [str(level) for level in Level if level not in spoken]:
            raise ValueError(f"no rule for every origin and class speaks of: {', '.join(missing)}")
        weak = [rule for rule in self.rules if IRREPLACEABLE & set(rule.levels) and rule.wanted.copies < 2]
        if weak:
            raise ValueError("raw and release cannot be made again: they want at least two copies")
        return self

    def rule(self, level: Level, project: Project) -> Rule:
        """Find the first rule that fits."""
        return next(rule for rule in self.rules if rule.fits(level, project))
