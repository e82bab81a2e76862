"""Opening a site: its files, its catalogue and a store for each location."""

from __future__ import annotations

from pathlib import Path

from coldchain.location import Engine, Location
from coldchain.settings import Settings
from coldchain.site import Site
from coldchain.sql.catalogue import SqlCatalogue
from coldchain.store import Store
from coldchain.store_posix import PosixStore
from coldchain.workspace import Workspace


def open_workspace(site: Path | None = None) -> Workspace:
    """Open the site that is named, or the one of ``COLDCHAIN_SITE``.

    Raises:
        ConfigurationError: the site or policy file is wrong; file, line and field are named.
    """
    described = Site.load(site or Settings().site)
    stores = {location.name: open_store(described, location) for location in described.locations}
    return Workspace(described, described.load_policy(), SqlCatalogue(described.catalogue_url()), stores)


def open_store(site: Site, location: Location) -> Store:
    """Make the store of a location by its engine."""
    return _ENGINES[location.engine](location, site.path(location.root))


_ENGINES = {Engine.POSIX: PosixStore}
