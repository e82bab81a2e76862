"""Whether what the policy wants of an artifact stands: which copies count, and what an artifact can be made again from. Pure.

Whatever is unknown counts as no.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from itertools import product
from typing import TYPE_CHECKING

from coldchain.copies import Artifact, Copy, CopyState
from coldchain.dues import lifetime_end
from coldchain.overrides import Check, Override
from coldchain.policy import Disposal, Lifetime, Policy, Purge, Rule, Wanted

if TYPE_CHECKING:
    from coldchain.ledger import Ledger
    from coldchain.location import Location


@dataclass(frozen=True)
class Standing:
    """Whether what the policy wants of an artifact stands, on which copies, and what is missing or does not count."""

    stands: bool
    copies: tuple[int, ...]
    reasons: tuple[str, ...]


def standing(artifact: Artifact, ledger: Ledger, policy: Policy, now: dt.datetime) -> Standing:
    """Whether what the policy wants of an artifact stands in the ledger as it is."""
    return Judge(ledger, policy, now).standing(artifact)


def remakeable(artifact: Artifact, ledger: Ledger, policy: Policy, now: dt.datetime) -> bool:
    """Whether an artifact can be made again from what stands in the ledger as it is."""
    return Judge(ledger, policy, now).remakeable(artifact).stands


Counted = tuple[tuple["Copy", "Location"], ...]
"""One copy of each failure domain, and where it stands."""


@dataclass(frozen=True)
class Judge:
    """The ledger without what the batch has removed up to this point, and without one copy more."""

    ledger: Ledger
    policy: Policy
    now: dt.datetime
    removed: AbstractSet[int] = frozenset()
    apart: Copy | None = None
    rules: dict[str, Rule] = field(default_factory=dict)

    def without(self, copy: Copy) -> Judge:
        """The same ledger without one copy."""
        return replace(self, apart=copy)

    def rule(self, artifact: Artifact) -> Rule:
        """What the policy says of an artifact, where no override sets a check aside."""
        if artifact.id not in self.rules:
            rule = self.policy.rule(artifact.level, self.ledger.project(artifact))
            self.rules[artifact.id] = relaxed(rule, self.policy, {each.check for each in self.overrides(artifact)})
        return self.rules[artifact.id]

    def overrides(self, artifact: Artifact) -> list[Override]:
        """Approved overrides that hold for an artifact's dataset now."""
        return [each for each in self.ledger.overrides_of.get(artifact.dataset, ()) if each.holds(self.now)]

    def ended(self, artifact: Artifact) -> bool:
        """Whether the policy does not ask for an artifact any more: its lifetime is over."""
        ends = lifetime_end(artifact, self.rule(artifact))
        return ends is not None and ends <= self.now

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
                domains.setdefault(self.ledger.group(location.name), []).append((copy, location))
        counted = min(product(*domains.values()), key=lambda chosen: len(_missing(chosen, wanted, self.ledger.home)))
        reasons += [
            f"{copy.location} does not count: failure domain {location.domain} is counted already"
            for found in domains.values()
            for copy, location in found
            if (copy, location) not in counted
        ]
        reasons += [
            f"{copy.location} is {self.ledger.whereabouts(copy.location)}, last read back on {day(copy.verified_at)}"
            for copy, _ in counted
            if copy.location in self.ledger.shelved and copy.verified_at is not None
        ]
        reasons += [str(override) for override in self.overrides(artifact) if override.check in _COUNTING]
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
        """Verified copies that are left; a copy at the same store as one that goes is the same bytes, and goes with it."""
        found = self.ledger.by_artifact.get(artifact.id, ())
        gone = {self.ledger.store(copy.location) for copy in found if copy.id in self.removed or (self.apart and copy.id == self.apart.id)}
        return (copy for copy in found if copy.state is CopyState.VERIFIED and self.ledger.store(copy.location) not in gone)

    def discounted(self, copy: Copy, location: Location | None, window_days: int) -> str | None:
        """Why a copy does not count, or nothing where it does."""
        if location is None:
            return "the site does not know this location"
        if days := self.ledger.purge_age(location.name):
            return f"it removes files by itself after {days} days"
        if why := self._discounted_place(location.name):
            return why
        if why := self._discounted_reading(copy.verified_at, window_days):
            return why + (f" ({self.ledger.whereabouts(location.name)})" if location.name in self.ledger.shelved else "")
        return self._discounted_stranger(copy)

    def _discounted_place(self, name: str) -> str | None:
        """A place that is not there; a medium that is on the shelf does for one, and one that somebody has does not."""
        medium = self.ledger.whereabouts(name)
        if medium is not None and medium.gone:
            return f"it is {medium}"
        if name in self.ledger.reachable or name in self.ledger.shelved:
            return None
        return f"it is {medium}" if medium is not None else "it cannot be reached"

    def _discounted_reading(self, read_at: dt.datetime | None, window_days: int) -> str | None:
        if read_at is None:
            return "its bytes were never read back"
        if read_at > self.now:
            return f"it was read back in the future ({day(read_at)}): a clock is wrong"
        if self.now - read_at > dt.timedelta(days=window_days):
            return f"it was last read back on {day(read_at)}, more than {window_days} days ago"
        return None

    def _discounted_stranger(self, copy: Copy) -> str | None:
        """A copy of a dataset that is not decided on here, and that may go in the same batch."""
        artifact = self.ledger.artifacts[copy.artifact]
        if self.ledger.ours(artifact) or copy.due_at is None or copy.due_at > self.now:
            return None
        return f"it belongs to {artifact.dataset} and falls due itself"

    def remakeable(self, artifact: Artifact, above: frozenset[str] = frozenset()) -> Standing:
        """Whether an artifact can be made again: its activity is known, and each input stands or can be made again in turn."""
        activity = self.ledger.activities.get(artifact.activity)
        if not self.rule(artifact).remake:
            return Standing(False, (), (f"the policy does not let {artifact.level} be made again",))
        if activity is None or not activity.inputs:
            return Standing(False, (), ("how it was made is not recorded",))
        if not (activity.code_version and activity.lock_digest):
            return Standing(False, (), ("with which code and packages it was made is not recorded",))
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

    def needed_by(self, artifact: Artifact) -> list[Artifact]:
        """What was made from an artifact, is still asked for, and does not stand on copies of its own."""
        return [each for each in self.descendants(artifact) if not self.ended(each) and not self.standing(each).stands]

    def heirs(self, artifact: Artifact) -> list[int]:
        """Copies on which what was made from an artifact, and is still asked for, stands: the last that is left of it."""
        return [key for each in self.descendants(artifact) if not self.ended(each) for key in self.standing(each).copies]

    def descendants(self, artifact: Artifact) -> Iterator[Artifact]:
        """What was made from an artifact, step by step, each once."""
        seen, waiting = {artifact.id}, [artifact.id]
        while waiting:
            for each in self.ledger.made_from.get(waiting.pop(), ()):
                if each.id not in seen:
                    seen.add(each.id)
                    waiting.append(each.id)
                    yield each


def relaxed(rule: Rule, policy: Policy, checks: AbstractSet[Check]) -> Rule:
    """The rule with some checks set aside. At least one copy that was read back must stand whatever is set aside."""
    if not checks:
        return rule
    wanted = {str(check): value for check, value in _RELAXED_WANTED.items() if check in checks}
    leaving = {str(check): 0 for check in (Check.AFTER_DAYS, Check.IDLE_DAYS, Check.NOTICE_DAYS, Check.GRACE_DAYS) if check in checks}
    parts: Mapping[str, Purge | Disposal | Lifetime | None] = {
        "purge": policy.purge_of(rule),
        "disposal": rule.disposal,
        "lifetime": rule.lifetime,
    }
    changed = {
        name: part.model_copy(update={name: value for name, value in leaving.items() if name in type(part).model_fields})
        for name, part in parts.items()
        if part is not None
    }
    return rule.model_copy(update={"wanted": rule.wanted.model_copy(update=wanted), **changed})


_RELAXED_WANTED = {Check.COPIES: 1, Check.MEDIA: 1, Check.OFF_SITE: 0, Check.VERIFIED_WITHIN_DAYS: 3660}
_COUNTING = frozenset(_RELAXED_WANTED)


def lacking(counted: Counted, wanted: Wanted, home: str) -> dict[str, tuple[int, int]]:
    """What a choice of copies lacks of what the policy wants: how many are wanted, and how many there are."""
    counts = {
        "copies": (wanted.copies, len(counted)),
        "media": (wanted.media, len({place.medium for _, place in counted})),
        "off site": (wanted.off_site, sum(place.site != home for _, place in counted)),
    }
    return {name: (wish, found) for name, (wish, found) in counts.items() if found < wish}


def _missing(counted: Counted, wanted: Wanted, home: str) -> tuple[str, ...]:
    return tuple(f"{name}: wanted {wish}, found {found}" for name, (wish, found) in lacking(counted, wanted, home).items())


def _stands_at(counted: Counted) -> str:
    return "stands at " + (", ".join(f"{place.name} ({place.medium}, {place.site})" for _, place in counted) or "no counting place")


def day(moment: dt.datetime) -> str:
    """A moment's day, for people."""
    return moment.date().isoformat()
