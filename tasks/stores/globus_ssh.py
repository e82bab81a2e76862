"""A collection of Globus whose machine ssh reaches too: Globus moves the bytes, and they are looked at where they stand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from coldchain import files
from coldchain.errors import IntegrityError
from coldchain.location import Location
from coldchain.manifest import Manifest, safe_name
from tasks.stores.globus import GlobusStore
from tasks.stores.globus_client import Credentials
from tasks.stores.globus_moving import BATCH, moving
from tasks.stores.globus_tasks import Patience
from tasks.stores.ssh import SshStore


def open_globus(location: Location, path: Callable[[str], Path], ssh: Path | None) -> GlobusStore | GlobusSshStore:
    """Make the store of a location; `path` makes a path of the site file absolute, `ssh` is ssh's configuration file."""
    here = path(location.globus.here_folder) if location.globus else Path()
    return GlobusSshStore(location, here, config=ssh) if location.ssh else GlobusStore(location, here)


class GlobusSshStore(SshStore):
    """The same where ssh reaches the collection's machine: Globus moves the bytes, and they are hashed and protected where they stand."""

    def __init__(
        self,
        location: Location,
        here: Path,
        credentials: Callable[[], Credentials] | None = None,
        *,
        config: Path | None = None,
        patience: Patience | None = None,
        batch: int = BATCH,
        retries: int = 5,
    ) -> None:
        """`root` is the folder as the machine knows it, `globus.path` as the collection does, where that is another."""
        super().__init__(location, config)
        self._moving = moving(location, here, credentials, patience or Patience(), batch, retries)

    def put(self, source: Path, path: str, names: list[str], progress: files.Progress = files.no_progress) -> Manifest:
        """Hash the source's files, and let Globus bring them, each with its digest; what stands there whole is not sent again."""
        safe_name(path)
        self._moving.ready(source, names)
        manifest = files.hash_tree(source, names)
        self._link.ask("folder", path=path)
        self._moving.put(source, path, names, manifest, progress, times=not self.location.transient)
        return manifest

    def get(self, path: str, target: Path, names: list[str], progress: files.Progress = files.no_progress) -> Manifest:
        """Let Globus bring files here, and hash what arrived."""
        if missing := sorted(set(names) - set(self.names(path))):
            where = f"{self.location.name}:{path}"
            raise IntegrityError("a file is missing", on=where, got=f"no {missing[0]!r}", done="nothing was copied")
        self._moving.here(target)
        target.mkdir(parents=True, exist_ok=True)
        self._moving.get(path, target, names, progress)
        return files.hash_tree(target, names)

    def move(self, path: str, to: str) -> None:
        """Rename a folder, when no task that a run left behind writes to it any more; never over another."""
        self._settle(path, to)
        super().move(path, to)

    def delete(self, path: str) -> None:
        """Remove a folder for good, when no task that a run left behind writes to it any more."""
        self._settle(path)
        super().delete(path)

    def _settle(self, *paths: str) -> None:
        for each in paths:
            self._moving.tasks.settle(self._moving.folders.at(each))
