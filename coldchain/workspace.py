"""A site at work: its catalogue, its policy and its stores, opened together."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from coldchain.errors import ColdchainError, LocationUnreachable, NotInCatalogue
from coldchain.ledger import Facts, Ledger

if TYPE_CHECKING:
    from coldchain.catalogue import Catalogue
    from coldchain.copies import Artifact
    from coldchain.levels import Level
    from coldchain.policy import HighWater, Policy
    from coldchain.site import Site
    from coldchain.store import Capacity, Store

DATED_BY = "policy that dated the copies"
"""Setting that says under which policy the copies' due dates were written."""


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
        """Give each location an identity, and write it down. Raises ConfigurationError where two locations are one store."""
        for name, store in self.stores.items():
            self.catalogue.save_identity(name, store.register(), self.now())
        if not self.catalogue.copies_page(0, 1):
            self.catalogue.save_setting(DATED_BY, self.policy.digest)

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
        """Names of the locations that show their identity now, and whose audit was not stopped."""
        braked = self.catalogue.brakes()
        return frozenset(name for name in self.stores if name not in braked and self._shows_identity(name))

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
        """Newest artifact of a level of a dataset.

        Raises:
            NotInCatalogue: that level was not made yet.
        """
        if found := self.catalogue.artifacts(dataset, level):
            return found[-1]
        self.catalogue.dataset(dataset)
        raise NotInCatalogue(
            f"{level} was not made yet", on=dataset, hint="run the transition before this one; `coldchain status` shows what there is"
        )

    def ledger(self, datasets: Sequence[str] = (), *, ours: frozenset[str] = frozenset()) -> Ledger:
        """What the retention decision may know now of some datasets, or of all; leases of the holders in `ours` do not hinder us."""
        now, reachable = self.now(), self.reachable()
        facts = self.catalogue.facts(datasets or [dataset.id for dataset in self.catalogue.datasets()], now)
        known = {field.name: getattr(facts, field.name) for field in fields(Facts)}
        known["leases"] = tuple(lease for lease in facts.leases if lease.holder not in ours)
        return Ledger(
            **known,
            locations=self.site.by_name,
            reachable=reachable,
            home=self.site.home,
            same=self.same(reachable),
            early=self.early(reachable),
            datasets=frozenset(datasets),
        )

    def early(self, reachable: frozenset[str]) -> dict[str, dt.datetime]:
        """Scratch over its high-water mark, and the day up to which what falls due there goes now."""
        mark, found = self.policy.high_water, {}
        for name in sorted(reachable) if mark else ():
            if self.site.location(name).transient and (excess := self._excess(name, mark)):
                found[name] = self.catalogue.pressure(name, excess)
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
