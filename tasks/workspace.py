"""Opening a site: its files, its catalogue and a store for each location."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from coldchain.location import Engine, Location
from coldchain.settings import Settings
from coldchain.site import Site
from coldchain.sql.catalogue import SqlCatalogue
from coldchain.store import Store
from coldchain.store_posix import PosixStore
from coldchain.workspace import Workspace
from tasks.stores.globus_ssh import open_globus
from tasks.stores.rclone import RcloneStore
from tasks.stores.s3 import S3Store
from tasks.stores.ssh import SshStore


def open_workspace(site: Path | None = None) -> Workspace:
    """Open the site that is named, or the one of ``COLDCHAIN_SITE``.

    Raises:
        ConfigurationError: the site or policy file is wrong; file, line and field are named.
    """
    described = Site.load(site or Settings().site)
    stores = {location.name: open_store(described, location) for location in described.locations}
    return Workspace(described, described.load_policy(), SqlCatalogue(described.catalogue_url()), stores)


def open_store(site: Site, location: Location) -> Store:
    """Make the store of a location by its engine; what is far away is not asked yet."""
    return _ENGINES[location.engine](site, location)


def ssh_config(site: Site, location: Location) -> Path | None:
    """The configuration file of ssh for a location; nothing where it is the user's own."""
    return site.path(location.ssh.config) if location.ssh and location.ssh.config else None


def rclone_config(site: Site, location: Location) -> Path | None:
    """The configuration file of rclone for a location; nothing where it is the user's own."""
    return site.path(location.rclone.config) if location.rclone and location.rclone.config else None


_ENGINES: dict[Engine, Callable[[Site, Location], Store]] = {
    Engine.POSIX: lambda site, location: PosixStore(location, site.path(location.root)),
    Engine.OFFLINE: lambda site, location: PosixStore(location, site.path(location.root)),
    Engine.SSH: lambda site, location: SshStore(location, ssh_config(site, location)),
    Engine.S3: lambda _site, location: S3Store(location),
    Engine.RCLONE: lambda site, location: RcloneStore(location, rclone_config(site, location)),
    Engine.GLOBUS: lambda site, location: open_globus(location, site.path, ssh_config(site, location)),
}
