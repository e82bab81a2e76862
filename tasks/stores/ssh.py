"""A folder on another machine: rsync brings the bytes there, and a POSIX store that runs there reads them back, so that they move once."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from coldchain import files
from coldchain.errors import IntegrityError
from coldchain.location import Location, Ssh
from coldchain.manifest import Manifest, safe_name
from coldchain.store import Capacity, Probe, not_mounted
from tasks.stores import rsync
from tasks.stores.ssh_link import Link


class SshStore:
    """A location that is a folder of a machine which ssh reaches."""

    mounted = False

    def __init__(self, location: Location, config: Path | None = None) -> None:
        """Nothing is reached until a method is called; `config` is ssh's configuration file where it is not the user's own."""
        self.location = location
        reach = location.ssh or Ssh(host=location.name)
        said = {"name": location.name, "root": location.root, "protection": location.protection, "transient": location.transient}
        self._link = Link(location.name, reach, config, said)

    def close(self) -> None:
        """End the line to the machine."""
        self._link.close()

    def identity(self) -> str:
        """Identity that stands at the root over there."""
        return str(self._link.ask("identity"))

    def register(self) -> str:
        """Write an identity at the root if there is none."""
        return str(self._link.ask("register"))

    def place(self) -> str:
        """Host, device and inode."""
        return f"{self._link.reach.host}:{self._link.ask('place')}"

    def capacity(self) -> Capacity:
        """Space of the file system that the root stands on, in bytes."""
        return Capacity(**self._link.ask("capacity"))

    def clock(self) -> dt.datetime:
        """Time that the file system over there gives a file that is written now."""
        return dt.datetime.fromisoformat(self._link.ask("clock"))

    def staged(self, _path: str, name: str) -> str:
        """A folder of its own: it is renamed when it is whole."""
        return name

    def exists(self, path: str) -> bool:
        """Whether a folder stands there."""
        return bool(self._link.ask("exists", path=path))

    def children(self, path: str) -> list[str]:
        """Names directly below a folder."""
        return list(self._link.ask("children", path=path))

    def names(self, path: str) -> list[str]:
        """Relative names of the files of a folder, without its manifest."""
        return list(self._link.ask("names", path=path))

    def changed(self, path: str, since: dt.datetime) -> list[str]:
        """Names of files that may have been written to since a moment, by the clock over there."""
        return list(self._link.ask("changed", path=path, since=since.isoformat()))

    def local(self, path: str) -> Path:
        """There is no path of this machine; raises UnsafePathError first where the path leaves the root."""
        not_mounted(self.location, safe_name(path))

    def put(self, source: Path, path: str, names: list[str], progress: files.Progress = files.no_progress) -> Manifest:
        """Hash the source's files, and let rsync bring them; what stands there whole is not sent again."""
        folder = self._link.ask("folder", path=path)
        manifest = files.hash_tree(source, names, progress)
        if names:
            self._rsync(str(source), self._remote(folder), names, times=not self.location.transient)
        return manifest

    def get(self, path: str, target: Path, names: list[str], progress: files.Progress = files.no_progress) -> Manifest:
        """Let rsync bring files here, and hash what arrived."""
        if missing := sorted(set(names) - set(self.names(path))):
            raise IntegrityError(
                "a file is missing", on=f"{self.location.name}:{path}", got=f"no {missing[0]!r}", done="nothing was copied"
            )
        target.mkdir(parents=True, exist_ok=True)
        if names:
            self._rsync(self._remote(self._link.ask("path", path=path)), str(target), names, times=True)
        return files.hash_tree(target, names, progress)

    def _remote(self, folder: str) -> str:
        return f"{self._link.reach.host}:{folder}"

    def _rsync(self, source: str, target: str, names: Sequence[str], *, times: bool) -> None:
        rsync.copy(self._link.ssh, source, target, names, times=times, on=self.location.name)

    def read_back(self, path: str, progress: files.Progress = files.no_progress, names: Sequence[str] | None = None) -> Manifest:
        """Let the machine hash its files, past its page cache."""
        return Manifest(self._link.ask("read_back", progress, path=path, names=None if names is None else list(names)))

    def manifest(self, path: str) -> bytes:
        """Text of the manifest that stands in a folder."""
        return base64.b64decode(self._link.ask("manifest", path=path))

    def write_manifest(self, path: str, manifest: Manifest) -> None:
        """Write the manifest beside the files, durably."""
        self._link.ask("write_manifest", path=path, manifest=dict(manifest.entries))

    def annotate(self, path: str, name: str, content: bytes) -> None:
        """Write a small file beside a folder."""
        self._link.ask("annotate", path=path, name=name, content=base64.b64encode(content).decode())

    def move(self, path: str, to: str) -> None:
        """Rename a folder; never over another."""
        self._link.ask("move", path=path, to=to)

    def set_aside(self, path: str, to: str) -> None:
        """Rename a folder though it is write-protected."""
        self._link.ask("set_aside", path=path, to=to)

    def protect(self, path: str, _until: dt.datetime | None = None) -> Probe:
        """Make a folder write-once as the location says, and try to break it, over there and as the user who logs in."""
        found: dict[str, Any] = self._link.ask("protect", path=path)
        return Probe(found["method"], tuple(found["holes"]))

    def destroy(self, path: str) -> None:
        """Remove a folder of the trash for good."""
        self._link.ask("destroy", path=path)

    def delete(self, path: str) -> None:
        """Remove a folder for good; one that is gone already is no error."""
        self._link.ask("delete", path=path)
