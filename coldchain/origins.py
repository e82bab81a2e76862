"""Origins: who data came from, and so where it may go."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from coldchain.location import Location, Reach

if TYPE_CHECKING:
    import datetime as dt

    from coldchain.dataset import Project


class Origin(StrEnum):
    """Who data came from."""

    OWN = "own"
    COLLABORATOR_ACADEMIC = "collaborator_academic"
    COLLABORATOR_INDUSTRY = "collaborator_industry"
    PUBLIC = "public"


FREE = {
    Origin.OWN: frozenset({Reach.INSIDE, Reach.OUTSIDE, Reach.PUBLIC}),
    Origin.COLLABORATOR_ACADEMIC: frozenset({Reach.INSIDE}),
    Origin.COLLABORATOR_INDUSTRY: frozenset({Reach.INSIDE}),
    Origin.PUBLIC: frozenset({Reach.INSIDE, Reach.OUTSIDE, Reach.PUBLIC}),
}
"""Where data of an origin may go without an agreement that permits it."""


@dataclass(frozen=True)
class Verdict:
    """Whether data may go somewhere, and why."""

    allowed: bool
    reason: str


def may_go(project: Project, location: Location, today: dt.date) -> Verdict:
    """Decide whether a project's data may go to a location. What is not permitted is forbidden."""
    agreed = bool(project.agreement and project.agreement.strip())
    permitted = FREE[project.origin] | (frozenset(project.permits) if agreed else frozenset())
    if location.reach not in permitted:
        agreement = f"agreement {project.agreement!r}" if agreed else "no agreement"
        return Verdict(False, f"origin {project.origin}, {agreement}: may not go {location.reach} ({location.name})")
    if location.reach is Reach.PUBLIC and project.embargo_until is not None and today < project.embargo_until:
        return Verdict(False, f"embargo until {project.embargo_until.isoformat()}: may not become public")
    return Verdict(True, f"origin {project.origin} may go {location.reach}")
