"""A site at work: its catalogue, its policy and its stores, opened together."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from coldchain import clock
from coldchain.choices import History, currents
from coldchain.errors import ColdchainError, LocationUnreachable, NotInCatalogue
from coldchain.ledger import Facts, Ledger
from coldchain.media import State, Whereabouts
from coldchain.provenance import who

if TYPE_CHECKING:
    from coldchain.catalogue import Catalogue
    from coldchain.choices import Choice, Making
    from coldchain.copies import Artifact
    from coldchain.levels import Level
    from coldchain.policy import HighWater, Policy
    from coldchain.site import Site
    from coldchain.store import Capacity, Store

DATED_BY = "policy that dated the copies"
"""Setting that says under which policy, and at which locations, the copies' due dates were written and their standing was reviewed."""


def utc_now() -> dt.datetime:
    """Now, with a time zone."""
    return dt.datetime.now(dt.UTC)


@dataclass(frozen=True)
class Workspace:
    """What every transition needs: where things stand, what the rules are, and what time it is."""

    site: Site
    policy: Policy
    catalogue: Catalogue
    stores: Mapping[str, Store]
    now: Callable[[], dt.datetime] = utc_now

    def register(self) -> None:
        """Give each location an identity, and write it down; a medium that is taken away has to be put in for that, once.

        Raises:
            ConfigurationError: two locations are one store.
        """
        for name, store in self.stores.items():
            if self._registrable(name):
                self.catalogue.save_identity(name, store.register(), self.now())
                self._know_medium(name)
        if not self.catalogue.copies_page(0, 1):
            self.catalogue.save_setting(DATED_BY, self.rules)

    def _registrable(self, name: str) -> bool:
        """Whether a location may be written to now: the mount point of a medium that is not put in is a folder of another disk."""
        return not self.site.location(name).removable or (self.catalogue.identity(name) is None and self.put_in(name))

    def put_in(self, name: str) -> bool:
        """Whether something is mounted where a medium is put in that is taken away, be it the right one or not."""
        place = self.site.by_name.get(name)
        return place is not None and place.removable and os.path.ismount(os.path.realpath(self.site.path(place.root)))

    def _know_medium(self, name: str) -> None:
        if self.site.location(name).removable:
            self.catalogue.save_medium(Whereabouts(name, State.IN, self.now(), who=who(), seen_at=self.now()))

    @property
    def rules(self) -> str:
        """SHA-256 over the policy and what it is held against: the site's locations and its home."""
        places = sorted(place.model_dump_json() for place in self.site.locations)
        return hashlib.sha256("\n".join([self.policy.digest, self.site.home, *places]).encode()).hexdigest()

    def store(self, name: str) -> Store:
        """Store of a location that shows the identity it was registered with.

        Raises:
            LocationUnreachable: not mounted, or another medium in its place.
        """
        store, known = self.stores[name], self.catalogue.identity(name)
        if (found := store.identity()) != known:
            raise LocationUnreachable(
                "another medium stands at a location",
                on=name,
                expected=f"identity {known or 'of a registered location'}",
                got=found,
                hint="mount the right one",
            )
        return store

    def reachable(self) -> frozenset[str]:
        """Names of the locations that show their identity now, whose audit was not stopped, and whose medium nobody took away."""
        barred = self.catalogue.brakes().keys() | self._gone()
        return frozenset(name for name in self.stores if name not in barred and self._shows_identity(name))

    def _gone(self) -> set[str]:
        """Locations whose medium is checked out or lost, be it put in or not."""
        removable = {place.name for place in self.site.locations if place.removable}
        return {name for name, medium in self.catalogue.media().items() if medium.gone and name in removable}

    def _shows_identity(self, name: str) -> bool:
        try:
            self.store(name)
        except ColdchainError:  # whatever hinders it, it does not count now
            return False
        return True

    def same(self, reachable: frozenset[str]) -> dict[str, str]:
        """Locations that are one store under several names, each with the name that all of them go by."""
        first: dict[str, str] = {}
        return {name: first.setdefault(self._place(name), name) for name in sorted(reachable)}

    def _place(self, name: str) -> str:
        try:
            return self.stores[name].place()
        except ColdchainError:  # it went since it was looked at: it is a place of its own until it comes back
            return name

    def current(self, dataset: str, level: Level) -> Artifact:
        """Current artifact of a level of a dataset: the one that a person chose, else the newest, of those made of what is current.

        Raises:
            NotInCatalogue: that level was not made yet, or not of what is current.
        """
        history = self.history(dataset)
        if (found := currents(history).get(level)) is not None:
            return found
        self.catalogue.dataset(dataset)
        older = [artifact.label for artifact in history.artifacts if artifact.level is level]
        raise NotInCatalogue(
            f"{level} was not made yet" + (" of what is current" if older else ""),
            on=dataset,
            got=", ".join(older) or None,
            hint="run the transition before this one, or choose an older one; `coldchain status` shows what there is",
        )

    def history(self, dataset: str) -> History:
        """Artifacts of a dataset, every way each was made, and what people chose."""
        known = self.catalogue
        return History(known.artifacts(dataset), known.makings(dataset), known.choices(dataset))

    def histories(self) -> dict[str, History]:
        """The same of every dataset that has an artifact, by its id."""
        found: dict[str, tuple[list[Artifact], list[Making], list[Choice]]] = {}
        for artifact in self.catalogue.artifacts():
            found.setdefault(artifact.dataset, ([], [], []))[0].append(artifact)
        for making in self.catalogue.makings():
            found.setdefault(making.artifact.rpartition("/")[0], ([], [], []))[1].append(making)
        for choice in self.catalogue.choices():
            found.setdefault(choice.dataset, ([], [], []))[2].append(choice)
        return {dataset: History(*parts) for dataset, parts in found.items()}

    def ledger(self, datasets: Sequence[str] = (), *, ours: frozenset[str] = frozenset()) -> Ledger:
        """What the retention decision may know now of some datasets, or of all; leases of the holders in `ours` do not hinder us."""
        now, reachable = self.now(), self.reachable()
        facts = self.catalogue.facts(datasets or [dataset.id for dataset in self.catalogue.datasets()], now)
        known = {field.name: getattr(facts, field.name) for field in fields(Facts)}
        known["media"] = self._trusted(facts.media)
        known["leases"] = tuple(lease for lease in facts.leases if lease.holder not in ours)
        return Ledger(
            **known,
            locations=self.site.by_name,
            reachable=reachable,
            home=self.site.home,
            same=self.same(reachable),
            early=self.early(reachable),
            believed=clock.read(self.catalogue.setting(clock.BELIEVED)),
            datasets=frozenset(datasets),
        )

    def _trusted(self, media: Mapping[str, Whereabouts]) -> dict[str, Whereabouts]:
        """What people said of media, save of those that were stopped, and of those that were mixed up: another is put in there."""
        doubted = {*self.catalogue.brakes(), *(name for name in media if self.put_in(name) and not self._shows_identity(name))}
        return {name: medium for name, medium in media.items() if medium.gone or name not in doubted}

    def early(self, reachable: frozenset[str]) -> dict[str, dt.datetime]:
        """Scratch over its high-water mark, and the day up to which what falls due there goes now."""
        mark, found = self.policy.high_water, {}
        for name in sorted(reachable) if mark else ():
            if self.site.location(name).transient and (excess := self._excess(name, mark)):
                found[name] = self.catalogue.pressure(name, excess, self.now())
        return {name: until for name, until in found.items() if until is not None}

    def _excess(self, name: str, mark: HighWater | None) -> int:
        try:
            return _excess(self.stores[name].capacity(), mark)
        except ColdchainError:  # it went since it was looked at: nothing goes early there
            return 0


def _excess(capacity: Capacity, mark: HighWater | None) -> int:
    """Bytes that have to go until a store is below its mark; none where it is not over it."""
    used = capacity.total - capacity.free
    if mark is None or used < mark.start * capacity.total:
        return 0
    return int(used - mark.stop * capacity.total)
