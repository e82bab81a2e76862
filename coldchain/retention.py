"""The retention decision: what stays, what goes, and why. Pure: no clock, no disk, no database.

`plan` looks at each copy and gives an action with its reasons. A copy may go only where everything that the policy asks
for stands without it, in the ledger as it will be after all removals before it in the same batch. Whatever is unknown
counts as no.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING

from coldchain.copies import Artifact, Copy, CopyState
from coldchain.policy import Approval, Policy, Rule, Wanted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from collections.abc import Set as AbstractSet

    from coldchain.dataset import Project
    from coldchain.holds import Hold, Lease
    from coldchain.location import Location
    from coldchain.provenance import Activity


class Action(StrEnum):
    """What to do with a copy."""

    KEEP = "keep"
    REMOVE = "remove"
    ASK = "ask"
    DELETE = "delete"


@dataclass(frozen=True)
class Ledger:
    """Everything the decision may know, at one moment. `leases` holds only those that still live."""

    projects: Mapping[str, Project]
    artifacts: Mapping[str, Artifact]
    copies: tuple[Copy, ...]
    activities: Mapping[str, Activity]
    locations: Mapping[str, Location]
    reachable: frozenset[str]
    home: str
    holds: tuple[Hold, ...] = ()
    leases: tuple[Lease, ...] = ()

    @cached_property
    def by_id(self) -> Mapping[int, Copy]:
        """Copies by their number."""
        return {copy.id: copy for copy in self.copies}

    @cached_property
    def by_artifact(self) -> Mapping[str, list[Copy]]:
        """Copies by their artifact, so that a plan costs by copies, not by copies times artifacts."""
        found: dict[str, list[Copy]] = {}
        for copy in self.copies:
            found.setdefault(copy.artifact, []).append(copy)
        return found

    def project(self, artifact: Artifact) -> Project:
        """Whose artifact it is."""
        return self.projects[artifact.dataset.split("/", 1)[0]]


@dataclass(frozen=True)
class Decision:
    """One copy, what to do with it, why, and which copies that reasoning leans on."""

    copy: int
    action: Action
    reasons: tuple[str, ...]
    leans_on: tuple[int, ...] = ()


@dataclass(frozen=True)
class Standing:
    """Whether what the policy wants of an artifact stands, on which copies, and what is missing or does not count."""

    stands: bool
    copies: tuple[int, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """Every copy with its decision, and what is missing or in danger."""

    decisions: tuple[Decision, ...]
    shortfalls: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def of(self, *actions: Action) -> list[Decision]:
        """Decisions with one of these actions."""
        return [decision for decision in self.decisions if decision.action in actions]


def plan(ledger: Ledger, policy: Policy, now: dt.datetime) -> Plan:
    """Decide for every copy of the ledger."""
    removed: set[int] = set()
    judge = _Judge(ledger, policy, now, removed)
    decisions = []
    for copy in sorted(ledger.copies, key=lambda copy: (due(copy, policy), copy.id)):
        decision = _decide(copy, judge)
        if decision.action is Action.REMOVE:
            removed.add(copy.id)
        decisions.append(decision)
    before = _Judge(ledger, policy, now)
    return Plan(tuple(decisions), _shortfalls(before), tuple(_warnings(before)))


def standing(artifact: Artifact, ledger: Ledger, policy: Policy, now: dt.datetime) -> Standing:
    """Whether what the policy wants of an artifact stands in the ledger as it is."""
    return _Judge(ledger, policy, now).standing(artifact)


def remakeable(artifact: Artifact, ledger: Ledger, policy: Policy, now: dt.datetime) -> bool:
    """Whether an artifact can be made again from what stands in the ledger as it is."""
    return _Judge(ledger, policy, now).remakeable(artifact).stands


def due(copy: Copy, policy: Policy) -> dt.datetime:
    """When a copy on scratch falls due."""
    return copy.due_at or copy.created_at + dt.timedelta(days=policy.purge.after_days)


Counted = tuple[tuple["Copy", "Location"], ...]
"""One copy of each failure domain, and where it stands."""


@dataclass(frozen=True)
class _Judge:
    """The ledger without what the batch has removed up to this point, and without one copy more."""

    ledger: Ledger
    policy: Policy
    now: dt.datetime
    removed: AbstractSet[int] = frozenset()
    apart: int | None = None

    def without(self, copy: Copy) -> _Judge:
        return replace(self, apart=copy.id)

    def rule(self, artifact: Artifact) -> Rule:
        return self.policy.rule(artifact.level, self.ledger.project(artifact))

    def standing(self, artifact: Artifact) -> Standing:
        """Count copies, one for each failure domain, against what the rule wants."""
        wanted = self.rule(artifact).wanted
        domains: dict[str, list[tuple[Copy, Location]]] = {}
        reasons: list[str] = []
        for copy in sorted(self.copies_of(artifact), key=lambda copy: (str(copy.verified_at), copy.id), reverse=True):
            location = self.ledger.locations.get(copy.location)
            if why := self.discounted(copy, location, wanted.verified_within_days):
                reasons.append(f"{copy.location} does not count: {why}")
            elif location is not None:
                domains.setdefault(location.domain, []).append((copy, location))
        counted = min(product(*domains.values()), key=lambda chosen: len(_missing(chosen, wanted, self.ledger.home)))
        reasons += [
            f"{copy.location} does not count: failure domain {location.domain} is counted already"
            for found in domains.values()
            for copy, location in found
            if (copy, location) not in counted
        ]
        missing = _missing(counted, wanted, self.ledger.home)
        return Standing(not missing, tuple(copy.id for copy, _ in counted), (_stands_at(counted), *missing, *reasons))

    def cover(self, artifact: Artifact) -> Standing:
        """What covers an artifact: its own copies or, where they do not do, what it can be made again from."""
        own = self.standing(artifact)
        if own.stands:
            return own
        again = self.remakeable(artifact)
        return again if again.stands else Standing(False, (), (*own.reasons, *again.reasons))

    def copies_of(self, artifact: Artifact) -> Iterable[Copy]:
        found = self.ledger.by_artifact.get(artifact.id, ())
        return (copy for copy in found if copy.state is CopyState.VERIFIED and copy.id not in self.removed and copy.id != self.apart)

    def discounted(self, copy: Copy, location: Location | None, window_days: int) -> str | None:
        """Why a copy does not count, or nothing where it does."""
        if location is None:
            return "the site does not know this location"
        if location.transient:
            return f"it removes files by itself after {location.purge_age_days} days"
        if location.name not in self.ledger.reachable:
            return "it cannot be reached"
        return self.discounted_reading(copy.verified_at, window_days)

    def discounted_reading(self, read_at: dt.datetime | None, window_days: int) -> str | None:
        """Why a reading does not count, or nothing where it does."""
        if read_at is None:
            return "its bytes were never read back"
        if read_at > self.now:
            return f"it was read back in the future ({_day(read_at)}): a clock is wrong"
        if self.now - read_at > dt.timedelta(days=window_days):
            return f"it was last read back on {_day(read_at)}, more than {window_days} days ago"
        return None

    def remakeable(self, artifact: Artifact, above: frozenset[str] = frozenset()) -> Standing:
        """Whether an artifact can be made again: its activity is known, and each input stands or can be made again in turn."""
        activity = self.ledger.activities.get(artifact.activity)
        if not self.rule(artifact).remake:
            return Standing(False, (), (f"the policy does not let {artifact.level} be made again",))
        if activity is None or not activity.inputs:
            return Standing(False, (), ("how it was made is not recorded",))
        supports = [self._support(name, above | {artifact.id}) for name in activity.inputs]
        stands = all(each.stands for each in supports)
        said = "can be made again by" if stands else "cannot be made again now by"
        reasons = (f"{said} {activity.name}", *(reason for each in supports for reason in each.reasons))
        return Standing(stands, tuple(copy for each in supports for copy in each.copies), reasons)

    def _support(self, name: str, above: frozenset[str]) -> Standing:
        artifact = self.ledger.artifacts.get(name)
        if artifact is None or name in above:
            return Standing(False, (), (f"its input {name[:60]} is not in the catalogue, or leads back to itself",))
        own = self.standing(artifact)
        found = own if own.stands else self.remakeable(artifact, above)
        return Standing(found.stands, found.copies, tuple(f"input {artifact.level}: {reason}" for reason in found.reasons))


def _decide(copy: Copy, judge: _Judge) -> Decision:
    artifact = judge.ledger.artifacts.get(copy.artifact)
    location = judge.ledger.locations.get(copy.location)
    if artifact is None or location is None:
        return Decision(copy.id, Action.KEEP, ("its artifact or location is not known here",))
    if copy.state is CopyState.TRASHED:
        return _empty_trash(copy, artifact, judge)
    if copy.state is not CopyState.VERIFIED:
        return Decision(copy.id, Action.KEEP, (f"its state is {copy.state}: {copy.detail or 'nothing is removed in doubt'}",))
    if not location.transient:
        return Decision(copy.id, Action.KEEP, judge.standing(artifact).reasons)
    if blocking := _blocked(copy, artifact, judge):
        return Decision(copy.id, Action.KEEP, tuple(blocking))
    return _purge(copy, artifact, judge.without(copy))


def _purge(copy: Copy, artifact: Artifact, judge: _Judge) -> Decision:
    """Decide for a scratch copy that is due and that nobody holds."""
    cover = judge.cover(artifact)
    if not cover.stands:
        return Decision(copy.id, Action.KEEP, ("not covered", *cover.reasons))
    return Decision(copy.id, _removal(judge.policy), (f"due since {_day(due(copy, judge.policy))}", *cover.reasons), cover.copies)


def _removal(policy: Policy) -> Action:
    return Action.REMOVE if policy.purge.approval is Approval.NONE else Action.ASK


def _blocked(copy: Copy, artifact: Artifact, judge: _Judge) -> list[str]:
    """Why a copy must stay whatever else stands."""
    found = []
    if due(copy, judge.policy) > judge.now:
        found.append(f"not due before {_day(due(copy, judge.policy))}")
    if copy.created_at > judge.now:
        found.append("it was made in the future: a clock is wrong")
    return found + _kept_by_others(copy, artifact, judge)


def _kept_by_others(copy: Copy, artifact: Artifact, judge: _Judge) -> list[str]:
    """Who or what keeps a copy, on scratch as in the trash: its location, a person, a run."""
    ledger, now = judge.ledger, judge.now
    found = [] if copy.location in ledger.reachable else ["its location cannot be reached"]
    found += [f"held by {hold.who} until {hold.until}: {hold.reason}" for hold in _holds(artifact, ledger, now)]
    found += [
        f"in use ({lease.use}) until {lease.until.isoformat(timespec='minutes')}" for lease in ledger.leases if lease.scope == artifact.id
    ]
    return found


def _holds(artifact: Artifact, ledger: Ledger, now: dt.datetime) -> list[Hold]:
    return [hold for hold in ledger.holds if hold.dataset == artifact.dataset and hold.holds(now)]


def _empty_trash(copy: Copy, artifact: Artifact, judge: _Judge) -> Decision:
    """Decide for a copy in the trash: what covered it when it was put there may be gone by now."""
    if copy.due_at is None or copy.due_at > judge.now:
        return Decision(copy.id, Action.KEEP, (f"in the trash until {_day(copy.due_at) if copy.due_at else 'an unknown day'}",))
    if blocking := _kept_by_others(copy, artifact, judge):
        return Decision(copy.id, Action.KEEP, ("in the trash", *blocking))
    cover = judge.cover(artifact)
    if not cover.stands:
        return Decision(copy.id, Action.KEEP, ("in the trash, and not covered any more", *cover.reasons))
    return Decision(copy.id, Action.DELETE, (f"its grace in the trash ended on {_day(copy.due_at)}", *cover.reasons), cover.copies)


def _missing(counted: Counted, wanted: Wanted, home: str) -> tuple[str, ...]:
    """What a choice of copies lacks of what the policy wants."""
    counts = {
        "copies": (wanted.copies, len(counted)),
        "media": (wanted.media, len({place.medium for _, place in counted})),
        "off site": (wanted.off_site, sum(place.site != home for _, place in counted)),
    }
    return tuple(f"{name}: wanted {wish}, found {found}" for name, (wish, found) in counts.items() if found < wish)


def _stands_at(counted: Counted) -> str:
    return "stands at " + (", ".join(f"{place.name} ({place.medium}, {place.site})" for _, place in counted) or "no counting place")


def _shortfalls(judge: _Judge) -> dict[str, tuple[str, ...]]:
    """List artifacts that do not stand as the policy wants, and cannot be made again."""
    found = {}
    for artifact in judge.ledger.artifacts.values():
        own = judge.standing(artifact)
        if not judge.cover(artifact).stands:
            found[artifact.id] = own.reasons
    return found


def _warnings(judge: _Judge) -> Iterable[str]:
    """Tell of scratch copies that the cluster will remove within a week and that nothing else covers."""
    for copy in judge.ledger.copies:
        location = judge.ledger.locations.get(copy.location)
        artifact = judge.ledger.artifacts.get(copy.artifact)
        if location is None or artifact is None or location.purge_age_days is None or copy.state is not CopyState.VERIFIED:
            continue
        lost_at = copy.created_at + dt.timedelta(days=location.purge_age_days)
        if lost_at - judge.now < dt.timedelta(days=7) and not judge.without(copy).cover(artifact).stands:
            yield f"{artifact.label} at {location.name} goes on {_day(lost_at)} by the cluster's own purge, and nothing covers it"


def _day(moment: dt.datetime) -> str:
    return moment.date().isoformat()
