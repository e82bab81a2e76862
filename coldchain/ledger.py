"""The ledger: everything the retention decision may know, at one moment, of some datasets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING

from coldchain.choices import History, Making, currents
from coldchain.media import State
from coldchain.proposals import Answer

if TYPE_CHECKING:
    import datetime as dt

    from coldchain.choices import Choice
    from coldchain.copies import Artifact, Copy
    from coldchain.dataset import Project
    from coldchain.holds import Hold, Lease
    from coldchain.location import Location
    from coldchain.media import Whereabouts
    from coldchain.overrides import Override
    from coldchain.proposals import Proposal
    from coldchain.provenance import Activity


@dataclass(frozen=True)
class Facts:
    """What the catalogue knows of some datasets, and of what they are made from and what is made from them.

    `asked_for` is when a run last asked for an artifact; `proposals` are the open ones; `leases` only those that still live;
    `media` is where people said that disks and tapes are that are taken away; `choices` what they said is current, the oldest first.
    """

    projects: Mapping[str, Project]
    artifacts: Mapping[str, Artifact]
    copies: tuple[Copy, ...]
    activities: Mapping[str, Activity]
    holds: tuple[Hold, ...] = ()
    leases: tuple[Lease, ...] = ()
    asked_for: Mapping[str, dt.datetime] = field(default_factory=dict)
    proposals: tuple[Proposal, ...] = ()
    overrides: tuple[Override, ...] = ()
    media: Mapping[str, Whereabouts] = field(default_factory=dict)
    choices: tuple[Choice, ...] = ()


@dataclass(frozen=True)
class Ledger(Facts):
    """The same with what the site knows: its locations, and which of them can be reached.

    Attributes:
        same: locations that turned out to be one store, each with the name that all of them go by.
        early: scratch over its high-water mark, and the day up to which what falls due there goes now.
        believed: the newest time that a sweep believed; nothing where none ever ran.
        datasets: those to decide on; the others are there because something is made from them. All where none is named.
    """

    locations: Mapping[str, Location] = field(default_factory=dict)
    reachable: frozenset[str] = frozenset()
    home: str = ""
    same: Mapping[str, str] = field(default_factory=dict)
    early: Mapping[str, dt.datetime] = field(default_factory=dict)
    believed: dt.datetime | None = None
    datasets: frozenset[str] = frozenset()

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

    @cached_property
    def made_from(self) -> Mapping[str, list[Artifact]]:
        """What was made from each artifact."""
        found: dict[str, list[Artifact]] = {}
        for artifact in self.artifacts.values():
            activity = self.activities.get(artifact.activity)
            for name in activity.inputs if activity else ():
                found.setdefault(name, []).append(artifact)
        return found

    @cached_property
    def of_level(self) -> Mapping[tuple[str, str], list[Artifact]]:
        """Artifacts by their dataset and level."""
        found: dict[tuple[str, str], list[Artifact]] = {}
        for artifact in self.artifacts.values():
            found.setdefault((artifact.dataset, artifact.level), []).append(artifact)
        return found

    @cached_property
    def chosen(self) -> Mapping[str, frozenset[str]]:
        """What is current of each dataset in which a person ever chose; only of those that are decided on, which are whole here."""
        found: dict[str, frozenset[str]] = {}
        for name in {choice.dataset for choice in self.choices if not self.datasets or choice.dataset in self.datasets}:
            own = sorted((each for each in self.artifacts.values() if each.dataset == name), key=lambda each: each.made_at)
            makings = [Making(each.id, self.activities[each.activity]) for each in own if each.activity in self.activities]
            said = [choice for choice in self.choices if choice.dataset == name]
            found[name] = frozenset(each.id for each in currents(History(own, makings, said)).values())
        return found

    @cached_property
    def proposed(self) -> Mapping[int, Proposal]:
        """Open proposals by their copy."""
        return {proposal.copy: proposal for proposal in self.proposals}

    @cached_property
    def refused_of(self) -> Mapping[str, list[Proposal]]:
        """Proposals that somebody said no to, by the dataset of their copy."""
        found: dict[str, list[Proposal]] = {}
        for proposal in self.proposals:
            copy = self.by_id.get(proposal.copy)
            if copy is not None and proposal.answer is Answer.NO:
                found.setdefault(copy.artifact.rpartition("/")[0], []).append(proposal)
        return found

    @cached_property
    def _groups(self) -> Mapping[str, str]:
        """Locations by what is lost together: one failure domain, or one store."""
        joined = {name: name for name in self.locations}
        for one, two in combinations(self.locations, 2):
            if self.locations[one].domain == self.locations[two].domain or self.store(one) == self.store(two):
                kept, merged = sorted((joined[one], joined[two]))
                joined = {name: kept if group == merged else group for name, group in joined.items()}
        return joined

    def group(self, location: str) -> str:
        """Name of what is lost together with a location."""
        return self._groups[location]

    def store(self, location: str) -> str:
        """Name of the store that a location is."""
        return self.same.get(location, location)

    def whereabouts(self, location: str) -> Whereabouts | None:
        """Where the medium of a location is, as a person said; nothing of a place that is never taken away."""
        place = self.locations.get(location)
        return self.media.get(location) if place is not None and place.removable else None

    @cached_property
    def shelved(self) -> frozenset[str]:
        """Locations that are not put in, and whose medium is on the shelf."""
        found = {name: self.whereabouts(name) for name in self.media if name not in self.reachable}
        return frozenset(name for name, medium in found.items() if medium is not None and medium.state is State.SHELF)

    @cached_property
    def _purge_ages(self) -> Mapping[str, int]:
        """Stores that remove files by themselves, and after how many days."""
        ages = {name: place.purge_age_days for name, place in self.locations.items() if place.purge_age_days is not None}
        return {self.store(name): min(age for other, age in ages.items() if self.store(other) == self.store(name)) for name in ages}

    def purge_age(self, location: str) -> int | None:
        """Days after which the store of a location removes files by itself; nothing where it does not."""
        return self._purge_ages.get(self.store(location))

    @cached_property
    def overrides_of(self) -> Mapping[str, list[Override]]:
        """Overrides by their dataset."""
        found: dict[str, list[Override]] = {}
        for override in self.overrides:
            found.setdefault(override.dataset, []).append(override)
        return found

    @cached_property
    def holds_of(self) -> Mapping[str, list[Hold]]:
        """Holds by their dataset."""
        found: dict[str, list[Hold]] = {}
        for hold in self.holds:
            found.setdefault(hold.dataset, []).append(hold)
        return found

    @cached_property
    def leases_of(self) -> Mapping[str, list[Lease]]:
        """Leases by what is in use."""
        found: dict[str, list[Lease]] = {}
        for lease in self.leases:
            found.setdefault(lease.scope, []).append(lease)
        return found

    def ours(self, artifact: Artifact) -> bool:
        """Whether the ledger is to decide on an artifact."""
        return not self.datasets or artifact.dataset in self.datasets

    def project(self, artifact: Artifact) -> Project:
        """Whose artifact it is."""
        return self.projects[artifact.dataset.split("/", 1)[0]]
