"""Policy: what must stand where, for how long, and what may go, as one YAML file a site.

A value that cannot be is refused here, what the policy says against itself by `coldchain.contradictions`, and what does not fit the
site's locations by `coldchain.policy_fit`.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, Strict, model_validator

from coldchain import complaints, contradictions
from coldchain.complaints import Complaint
from coldchain.levels import Level
from coldchain.location import Name
from coldchain.origins import Origin

if TYPE_CHECKING:
    from coldchain.dataset import Project

PROTECTED_YEARS = 10
"""What cannot be made again is kept for so long at least, whatever a policy says."""

Count = Annotated[int, Strict()]
"""A whole number, and not a `yes` that would be read as one."""

Days = Annotated[float, Strict(), Field(ge=0, le=36_600, allow_inf_nan=False)]
"""Days, up to a hundred years."""

Share = Annotated[float, Strict(), Field(gt=0, le=1, allow_inf_nan=False)]
"""A part of a whole."""

Flag = Annotated[bool, Strict()]
"""True or false, and not a number or a word that would be read as one."""

Text = Annotated[str, Field(pattern=r"^\S(.*\S)?$", max_length=200)]
"""A name of a person or thing: a line that is not empty, without blanks around it."""


class Approval(StrEnum):
    """Whose yes a removal needs."""

    NONE = "none"
    PERSON = "person"


class Ground(StrEnum):
    """Why a copy may go."""

    ORIGINAL_STANDS = "original_stands"
    REMAKE = "remake"
    LIFETIME = "lifetime"
    MOVED = "moved"


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
        most = f"at most {self.copies}, the number of copies"
        wished = {"media": self.media, "off_site": self.off_site}
        complaints.refuse(
            "wanted",
            (Complaint((name,), "more than there are copies", most, count) for name, count in wished.items() if count > self.copies),
        )
        return self


class Approvals(_Part):
    """Whose yes a purge from scratch needs, by its ground."""

    original_stands: Approval = Field(Approval.NONE, description="what the policy wants stands without the copy")
    remake: Approval = Field(Approval.PERSON, description="the artifact could only be made again")


_NOTICE = "days between the notice and the removal"
_GRACE = "days in the trash before the bytes go"
_APPROVAL = "whose yes it needs: `none`, or a `person`'s"


class _Leaving(_Part):
    """How a copy goes: told first, then put in the trash, then deleted."""

    notice_days: Days = Field(0, description=_NOTICE)
    grace_days: Days = Field(0, description=_GRACE)


class Purge(_Leaving):
    """When copies on scratch go: by us, before the cluster does it."""

    after_days: Days = Field(30, description="days since the copy was made")
    idle_days: Days = Field(0, description="days since a run last asked for the artifact")
    approval: Approvals = Approvals()


class Disposal(_Leaving):
    """When copies at lasting places go, of what can be made again."""

    idle_days: Days = Field(180, description="days since a run last asked for the artifact, or since it was made")
    notice_days: Days = Field(14, description=_NOTICE)
    grace_days: Days = Field(30, description=_GRACE)
    approval: Approval = Field(Approval.PERSON, description=_APPROVAL)


class Lifetime(_Leaving):
    """How long the policy asks for an artifact at all."""

    years: Count = Field(ge=1, le=100, description="calendar years since the artifact was made")
    notice_days: Days = Field(60, description=_NOTICE)
    grace_days: Days = Field(90, description=_GRACE)
    approval: Approval = Field(Approval.PERSON, description=_APPROVAL)


class Retiring(_Leaving):
    """When copies go from a place that is to be emptied (`retiring` in the site), and what the policy wants stands without them."""

    notice_days: Days = Field(7, description=_NOTICE)
    grace_days: Days = Field(30, description=_GRACE)
    approval: Approval = Field(Approval.PERSON, description=_APPROVAL)


class Rule(_Part):
    """What the policy says about some levels; the first rule that fits an artifact holds."""

    levels: tuple[Level, ...] = Field(min_length=1, description="levels the rule speaks of")
    origins: tuple[Origin, ...] = Field(tuple(Origin), min_length=1, description="origins of projects; all where not given")
    classes: tuple[Text, ...] = Field((), description="retention classes of projects; all where empty")
    wanted: Wanted
    lifetime: Lifetime | None = Field(None, description="how long the policy asks for it at all; none: for ever")
    remake: Flag = Field(False, description="may go without copies, if it can be made again from what stands")
    disposal: Disposal | None = Field(
        None, description="when it goes from lasting places, if it can be made again from what stands; none: it stays there"
    )
    purge: Purge | None = Field(None, description="when it goes from scratch, instead of the policy's own `purge`")
    approvers: tuple[Text, ...] = Field((), description="who may approve, instead of the policy's own `approvers`")

    @model_validator(mode="after")
    def _protected(self) -> Self:
        complaints.refuse("rule", contradictions.of_rule(self))
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
            complaints.refuse("high water", [Complaint(("stop",), "purging would never stop", f"below `start`, {self.start:g}", self.stop)])
        return self


class Brake(_Part):
    """When so many copies at one location fail that the location is to blame, not its bytes."""

    failures: Count = Field(5, ge=1, le=1_000_000, description="failures at one location in one audit; above this and `share` it stops")
    share: Share = Field(0.10, description="share of the copies read there; above this and `failures` the audit of the location stops")


class Audit(_Part):
    """How often copies are read back."""

    every_days: Days = Field(30, description="days between two readings of a copy")
    locations: dict[Name, Days] = Field(default_factory=dict, description="the same for single locations: `name: days`")
    bytes_a_night: Count = Field(2_000_000_000_000, ge=1, le=10**15, description="at most so many bytes are read back in a night, in all")
    brake: Brake = Brake()

    def every(self, location: str) -> float:
        """Days between two readings at a location."""
        return self.locations.get(location, self.every_days)


class Policy(_Part):
    """One site's policy."""

    name: Text = Field(description="the policy's name, written into every receipt")
    version: Count = Field(ge=1, le=1_000_000, description="raise it whenever something changes; it is written into every receipt")
    rules: tuple[Rule, ...] = Field(min_length=1, description="the first rule that fits an artifact holds")
    purge: Purge = Purge()
    retiring: Retiring = Retiring()
    high_water: HighWater | None = Field(None, description="when scratch is nearly full; none: nothing goes earlier")
    audit: Audit = Audit()
    approvers: tuple[Text, ...] = Field((), description="who may approve; empty: whoever can run the command on this site")
    protected_years: Count = Field(PROTECTED_YEARS, ge=PROTECTED_YEARS, le=100, description="no lifetime of raw and release may be shorter")
    clock_leap_days: Annotated[float, Strict(), Field(ge=1, le=36_600, allow_inf_nan=False)] = Field(
        10, description="where the last sweep is longer ago, nothing goes until a person says that the clock is right"
    )
    read_back_before_removal: Flag = Field(
        True,
        description="read the surviving copies again before anything goes, however recently they were read; "
        "what is on the shelf counts by its last reading, and never alone",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        complaints.refuse("policy", contradictions.of_policy(self))
        return self

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
