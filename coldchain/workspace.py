"""A site at work: its catalogue, its policy and its stores, opened together."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coldchain.errors import ColdchainError, LocationUnreachable, NotInCatalogue
from coldchain.ledger import Ledger

if TYPE_CHECKING:
    from coldchain.catalogue import Catalogue
    from coldchain.copies import Artifact
    from coldchain.levels import Level
    from coldchain.policy import Policy
    from coldchain.site import Site
    from coldchain.store import Store


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
        """Names of the locations that show their identity now."""
        return frozenset(name for name in self.stores if self._shows_identity(name))

    def _shows_identity(self, name: str) -> bool:
        try:
            self.store(name)
        except ColdchainError:  # whatever hinders it, it does not count now
            return False
        return True

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

    def ledger(self, *, ours: frozenset[str] = frozenset()) -> Ledger:
        """Everything the retention decision may know now; leases of the holders in `ours` do not hinder us."""
        catalogue = self.catalogue
        artifacts = {artifact.id: artifact for artifact in catalogue.artifacts()}
        names = {artifact.activity for artifact in artifacts.values()}
        return Ledger(
            projects={project.id: project for project in catalogue.projects()},
            artifacts=artifacts,
            copies=tuple(copy for copy in catalogue.copies() if copy.state != "removed"),
            activities={name: catalogue.activity(name) for name in names},
            locations=self.site.by_name,
            reachable=self.reachable(),
            home=self.site.home,
            holds=tuple(catalogue.holds()),
            leases=tuple(lease for lease in catalogue.leases(self.now()) if lease.holder not in ours),
        )
