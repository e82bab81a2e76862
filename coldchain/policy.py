"""Policy: what must stand where, for how long, and what may go, as one YAML file a site.

What is impossible in itself is refused here; what does not fit the site's locations is refused by `coldchain.policy_fit`.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, Strict, model_validator

from coldchain.levels import IRREPLACEABLE, Level
from coldchain.location import Name
from coldchain.origins import Origin

if TYPE_CHECKING:
    from coldchain.dataset import Project

PROTECTED_YEARS = 10
"""What cannot be made again is kept for so long at least, whatever a policy says."""

Count = Annotated[int, Strict()]
"""A whole number, and not a `yes` that would be read as one."""

Days = Annotated[float, Field(ge=0, le=36_600, allow_inf_nan=False)]
"""Days, up to a hundred years."""

Share = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
"""A part of a whole."""


class Approval(StrEnum):
    """Whose yes a removal needs."""

    NONE = "none"
    PERSON = "person"


class Ground(StrEnum):
    """Why a copy may go."""

    ORIGINAL_STANDS = "original_stands"
    REMAKE = "remake"
    LIFETIME = "lifetime"


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


class Approvals(_Part):
    """Whose yes a purge from scratch needs, by its ground."""

    original_stands: Approval = Field(Approval.NONE, description="what the policy wants stands without the copy")
    remake: Approval = Field(Approval.PERSON, description="the artifact could only be made again")


class _Leaving(_Part):
    """How a copy goes: told first, then put in the trash, then deleted."""

    notice_days: Days = Field(0, description="days between the notice and the removal")
    grace_days: Days = Field(0, description="days in the trash before the bytes go")


class Purge(_Leaving):
    """When copies on scratch go: by us, before the cluster does it."""

    after_days: Days = Field(30, description="days since the copy was made")
    idle_days: Days = Field(0, description="days since a run last asked for the artifact")
    approval: Approvals = Approvals()


class Disposal(_Leaving):
    """When copies at lasting places go, of what can be made again."""

    idle_days: Days = Field(180, description="days since a run last asked for the artifact, or since it was made")
    notice_days: Days = 14
    grace_days: Days = 30
    approval: Approval = Approval.PERSON


class Lifetime(_Leaving):
    """How long the policy asks for an artifact at all."""

    years: Count = Field(ge=1, le=100, description="calendar years since the artifact was made")
    notice_days: Days = 60
    grace_days: Days = 90
    approval: Approval = Approval.PERSON


class Rule(_Part):
    """What the policy says about some levels; the first rule that fits an artifact holds."""

    levels: tuple[Level, ...] = Field(min_length=1)
    origins: tuple[Origin, ...] = Field(tuple(Origin), min_length=1)
    classes: tuple[str, ...] = Field((), description="retention classes of projects; all where empty")
    wanted: Wanted
    lifetime: Lifetime | None = Field(None, description="none: for ever")
    remake: bool = Field(False, description="may go without copies, if it can be made again")
    disposal: Disposal | None = Field(None, description="none: what can be made again still stays at lasting places")
    purge: Purge | None = Field(None, description="instead of the policy's own `purge`")
    approvers: tuple[str, ...] = Field((), description="instead of the policy's own `approvers`")

    @model_validator(mode="after")
    def _protected(self) -> Self:
        held = sorted(IRREPLACEABLE & set(self.levels))
        if held and self.remake:
            raise ValueError(f"{', '.join(held)} cannot be made again: `remake` must be false")
        if held and self.lifetime and self.lifetime.approval is Approval.NONE:
            raise ValueError(f"{', '.join(held)} cannot be made again: the end of its lifetime needs a person's approval")
        if self.disposal and not self.remake:
            raise ValueError("`disposal` is for what can be made again: `remake` must be true")
        return self

    def fits(self, level: Level, project: Project) -> bool:
        """Whether the rule speaks of a level of a project."""
        return level in self.levels and project.origin in self.origins and (not self.classes or project.retention_class in self.classes)

    def covers(self, level: Level, origin: Origin, retention_class: str | None) -> bool:
        """Whether the rule speaks of a level and origin for a class, or, for none, for every class."""
        return level in self.levels and origin in self.origins and (not self.classes or retention_class in self.classes)


class HighWater(_Part):
    """When scratch is nearly full, what falls due next goes earlier."""

    start: Share = Field(0.85, description="share of the space in use at which copies start to go earlier")
    stop: Share = Field(0.70, description="share at which no more go earlier")
    after_days: Days = Field(7, description="days that a copy stays on scratch even so")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.stop >= self.start:
            raise ValueError(f"`stop` ({self.stop}) must be below `start` ({self.start})")
        return self


class Brake(_Part):
    """When so many copies at one location fail that the location is to blame, not its bytes."""

    failures: Count = Field(5, ge=1, description="failures at one location in one audit, and")
    share: Share = Field(0.10, description="share of the copies read there; above both, the audit of the location stops")


class Audit(_Part):
    """How often copies are read back."""

    every_days: Days = Field(30, description="days between two readings of a copy")
    locations: dict[Name, Days] = Field(default_factory=dict, description="the same for a location of its own")
    bytes_a_night: Count = Field(2_000_000_000_000, ge=1, description="at most so many bytes are read back in a night, in all")
    brake: Brake = Brake()

    def every(self, location: str) -> float:
        """Days between two readings at a location."""
        return self.locations.get(location, self.every_days)


class Policy(_Part):
    """One site's policy."""

    name: str
    version: Count = Field(ge=1)
    rules: tuple[Rule, ...] = Field(min_length=1)
    purge: Purge = Purge()
    high_water: HighWater | None = None
    audit: Audit = Audit()
    approvers: tuple[str, ...] = Field((), description="who may approve; empty: whoever can run the command on this site")
    protected_years: Count = Field(PROTECTED_YEARS, ge=PROTECTED_YEARS, description="no lifetime of raw and release may be shorter")
    read_back_before_removal: bool = Field(
        True, description="read the surviving copies again before anything goes, however recently they were read"
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        spoken = {level for rule in self.rules if set(rule.origins) == set(Origin) and not rule.classes for level in rule.levels}
        if missing := [str(level) for level in Level if level not in spoken]:
            raise ValueError(f"no rule for every origin and class speaks of: {', '.join(missing)}")
        return self

    @model_validator(mode="after")
    def _protected(self) -> Self:
        """Refuse what would let go of what cannot be made again."""
        for rule in (rule for rule in self.rules if IRREPLACEABLE & set(rule.levels)):
            if rule.wanted.copies < 2:
                raise ValueError("raw and release cannot be made again: they want at least two copies")
            if rule.lifetime and rule.lifetime.years < self.protected_years:
                raise ValueError(f"raw and release are kept for {self.protected_years} years at least, not for {rule.lifetime.years}")
        return self

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        """Refuse a policy that contradicts itself."""
        for number, rule in enumerate(self.rules):
            if not any(
                self._reached(number, level, origin, name)
                for level in rule.levels
                for origin in rule.origins
                for name in rule.classes or (None,)
            ):
                raise ValueError(f"rule {number + 1} never holds: the rules before it speak of everything that it speaks of")
        shortest = min(rule.wanted.verified_within_days for rule in self.rules)
        for name, days in {"every_days": self.audit.every_days, **self.audit.locations}.items():
            if days >= shortest:
                raise ValueError(f"audit {name}: copies read every {days:g} days would stop counting after {shortest}")
        return self

    def _reached(self, number: int, level: Level, origin: Origin, name: str | None) -> bool:
        return not any(rule.covers(level, origin, name) for rule in self.rules[:number])

    def rule(self, level: Level, project: Project) -> Rule:
        """Find the first rule that fits."""
        return next(rule for rule in self.rules if rule.fits(level, project))

    def purge_of(self, rule: Rule) -> Purge:
        """How copies that a rule speaks of leave scratch."""
        return rule.purge or self.purge

    def approvers_of(self, rule: Rule) -> tuple[str, ...]:
        """Who may approve removals that a rule speaks of; empty: whoever can run the command."""
        return rule.approvers or self.approvers

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all that the policy says, so that an approval given under another one is noticed."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()
