"""The rclone store: a folder on any service that rclone speaks to; rclone moves the bytes, and what it says of them counts for nothing.

What is read back is fetched, and hashed here. A hash that the service has may be one that the sender wrote beside the bytes, and two
services may have none in common, at which `rclone check` is content; so hashes decide only what need not be sent again.

Remotes that rename a folder in one step (SFTP, WebDAV, the drives) are folders like any other. Object stores rename nothing: there a folder
is put together under its own name, stands where its manifest does, and is set aside by copying it inside the service.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from coldchain import files
from coldchain.errors import ConfigurationError, IntegrityError, LocationUnreachable, RemovalRefused
from coldchain.location import Location, Rclone
from coldchain.manifest import MANIFEST, Manifest, safe_name
from coldchain.store import TRASH, Capacity, Probe, compare, not_mounted
from coldchain.store_posix import MARKER
from tasks.stores.rclone_daemon import Daemon
from tasks.stores.rclone_errors import NotThere
from tasks.stores.rclone_remote import Remote
from tasks.stores.s3_lanes import each

ROOM = 10**15
"""Bytes that a service is said to have, and to have free, where it does not tell."""


class RcloneStore:
    """A location that is a folder of a remote of rclone's configuration."""

    mounted = False

    def __init__(self, location: Location, config: Path | None = None) -> None:
        """Nothing is started or reached until a method is called; `config` is rclone's configuration where it is not the user's own."""
        self.location = location
        self._reach = location.rclone or Rclone(remote=location.name)
        self._daemon = Daemon(location.name, config)
        self._remote: Remote | None = None

    def close(self) -> None:
        """End rclone."""
        self._daemon.close()

    def _look(self) -> Remote:
        """The remote, as it is now: what rclone remembers of its folders is forgotten."""
        if self._remote is None:
            self._remote = Remote(self._daemon, self._reach.remote, self.location.root)
        self._remote.forget()
        return self._remote

    def _on(self, path: str) -> str:
        return f"{self.location.name}:{path}"

    def identity(self) -> str:
        """Read the marker at the root."""
        try:
            return str(json.loads(self._look().read(MARKER))["identity"])
        except (NotThere, ValueError, KeyError, TypeError) as error:
            raise LocationUnreachable(
                "a location does not show its identity",
                on=f"{self.location.name} ({self._reach.remote}:{self.location.root})",
                expected=f"a readable {MARKER}",
                got=type(error).__name__,
                hint="is it the right remote and root? A new location is registered by `coldchain doctor --register`",
            ) from error

    def register(self) -> str:
        """Write an identity at the root if there is none."""
        remote = self._look()
        if remote.stat(MARKER) is None:
            remote.write(MARKER, json.dumps({"identity": uuid.uuid4().hex, "name": self.location.name}).encode() + b"\n")
        return self.identity()

    def place(self) -> str:
        """What rclone's configuration says of the service, but no secret, and the root."""
        return f"rclone:{self._look().where}"

    def capacity(self) -> Capacity:
        """Space that the service gives us, in bytes; a petabyte where it does not tell (`ROOM`)."""
        total, free = self._look().space()
        free = free if free is not None else total if total is not None else ROOM
        return Capacity(max(total if total is not None else ROOM, free), free)

    def clock(self) -> dt.datetime:
        """Time that the service gives a folder that is made now; ours where it has no folders, since a file has the time that we say."""
        remote, folder, at = self._look(), f".coldchain/clock-{uuid.uuid4().hex}", dt.datetime.now(dt.UTC)
        remote.write(f"{folder}/clock", b"coldchain\n")
        found = remote.stat(folder) if remote.has_folders else None
        remote.purge(folder)
        return dt.datetime.fromisoformat(found.at) if found and found.at else at

    def staged(self, path: str, name: str) -> str:
        """A folder of its own where it can be renamed; else the folder itself, which does not stand before its manifest does."""
        return name if self._look().renames else path

    def exists(self, path: str) -> bool:
        """Whether a folder stands there; where nothing can be renamed, whether a manifest does."""
        remote = self._look()
        found = remote.stat(safe_name(path) if remote.renames else f"{safe_name(path)}/{MANIFEST}")
        return found is not None and found.folder is remote.renames

    def children(self, path: str) -> list[str]:
        """Names directly below a folder, sorted by bytes."""
        try:
            return sorted((entry.name for entry in self._look().entries(safe_name(path) if path else "")), key=os.fsencode)
        except NotThere:
            return []

    def names(self, path: str) -> list[str]:
        """Relative names of the files of a folder, without its manifest."""
        found = (entry.name for entry in self._look().entries(safe_name(path), deep=True))
        return sorted((safe_name(name) for name in found if name != MANIFEST), key=os.fsencode)

    def changed(self, path: str, since: dt.datetime) -> list[str]:
        """Names of files that may have been written to since a moment: all of them where whoever writes says when it was."""
        remote, names = self._look(), self.names(path)
        if since > dt.datetime.now(dt.UTC):
            return []
        if remote.keeps_times:
            return names
        at = {entry.name: entry.at for entry in remote.entries(path, deep=True)}
        return [name for name in names if not at[name] or dt.datetime.fromisoformat(at[name]) >= since.replace(microsecond=0)]

    def local(self, path: str) -> NoReturn:
        """There is none: raises ConfigurationError."""
        not_mounted(self.location, safe_name(path))

    def put(self, source: Path, path: str, names: list[str], progress: files.Progress = files.no_progress) -> Manifest:
        """Hash the source's files, and have rclone send them; what stands there whole is not sent again."""
        remote = self._look()
        self._refuse(remote, safe_name(path), names)
        manifest = files.hash_tree(source, names)
        try:
            there = {entry.name: entry for entry in remote.entries(path, deep=True)}
        except NotThere:
            there = {}
        each(lambda name: remote.bring(source, name, f"{path}/{name}", there.get(name)), names, progress)
        return manifest

    def _refuse(self, remote: Remote, path: str, names: Sequence[str]) -> None:
        """Raise ConfigurationError where the remote cannot hold a name, before anything is sent."""
        for name in names:
            remote.written(safe_name(name))
        if remote.same_in_any_case and len({name.casefold() for name in names}) < len(set(names)):
            raise ConfigurationError(
                "names differ only in upper and lower case, and the service takes them for one", on=self._on(path), done="nothing was sent"
            )

    def get(self, path: str, target: Path, names: list[str], progress: files.Progress = files.no_progress) -> Manifest:
        """Have rclone bring files here, and hash what arrived."""
        if missing := sorted(set(names) - set(self.names(path))):
            raise IntegrityError("a file is missing", on=self._on(path), got=f"no {missing[0]!r}", done="nothing was copied")
        remote = self._look()
        target.mkdir(parents=True, exist_ok=True)
        each(lambda name: remote.fetch(f"{path}/{name}", target, name), names, progress)
        return files.hash_tree(target, names)

    def read_back(self, path: str, progress: files.Progress = files.no_progress, names: Sequence[str] | None = None) -> Manifest:
        """Fetch every file that stands in a folder, or those that are named, and hash it here."""
        wanted = self.names(path) if names is None else [safe_name(name) for name in names]
        remote = self._look()
        return Manifest.of(zip(wanted, each(lambda name: remote.digest(f"{safe_name(path)}/{name}"), wanted, progress), strict=True))

    def manifest(self, path: str) -> bytes:
        """Text of the manifest that stands in a folder."""
        return self._look().read(f"{safe_name(path)}/{MANIFEST}")

    def write_manifest(self, path: str, manifest: Manifest) -> None:
        """Write the manifest beside the files."""
        self._look().write(f"{safe_name(path)}/{MANIFEST}", manifest.text)

    def annotate(self, path: str, name: str, content: bytes) -> None:
        """Write a small file beside a folder, as ``<folder>.<name>``."""
        self._look().write(f"{safe_name(path)}.{safe_name(name)}", content)

    def move(self, path: str, to: str) -> None:
        """Give a folder its other name; where nothing can be renamed its files are copied, and read back."""
        self._move(path, to, proved=True)

    def set_aside(self, path: str, to: str) -> None:
        """The same, with whatever stands there; a copy inside the service is held against it by sizes and the service's own hashes."""
        self._move(path, to, proved=False)

    def _move(self, path: str, to: str, *, proved: bool) -> None:
        if safe_name(path) == safe_name(to):
            return None
        if not self.exists(path):
            raise NotThere("no folder stands there", on=self._on(path), done="nothing was moved")
        if self.exists(to):
            raise IntegrityError("a folder is already there", on=self._on(to), done=f"the new bytes stay in {path}")
        remote = self._look()
        if not remote.renames:
            return self._carry(remote, path, to, proved=proved)
        remote.rename(path, to)
        if self.exists(path) or not self.exists(to):
            raise LocationUnreachable("a remote does not rename what it says it renamed", on=self._on(path), expected=to)
        return None

    def _carry(self, remote: Remote, path: str, to: str, *, proved: bool) -> None:
        """Copy a folder inside the service, the manifest last, and only then remove the first: it stands whole at one of the places."""
        text, names = self.manifest(path), self.names(path)
        each(lambda name: remote.copy(f"{path}/{name}", f"{to}/{name}"), names)
        wrong = sorted(_looks(remote, path) ^ _looks(remote, to)) if names else []
        if proved and not wrong:
            wrong = [str(each) for each in compare(Manifest.parse(text, self._on(path)), self.read_back(to))]
        if wrong:
            raise IntegrityError("files inside a service are not their copies", on=self._on(to), got=wrong[0], done=f"all stay in {path}")
        remote.write(f"{to}/{MANIFEST}", text)
        self.delete(path)

    def protect(self, _path: str, _until: dt.datetime | None = None) -> Probe:
        """Nothing is write-once here."""
        return Probe("none", ())

    def destroy(self, path: str) -> None:
        """Remove a folder of the trash for good; the service may keep it in a trash of its own."""
        if not safe_name(path).startswith(TRASH):
            raise RemovalRefused("only what is in the trash is removed for good", on=self._on(path))
        self.delete(path)

    def delete(self, path: str) -> None:
        """Remove a folder for good, its manifest first: what is half removed does not stand; one that is gone already is no error."""
        remote = self._look()
        if remote.stat(safe_name(path)) is None:
            return
        remote.remove(f"{path}/{MANIFEST}")
        remote.purge(path)
        if remote.stat(path) is not None:
            raise LocationUnreachable(
                "a remote does not remove what it says it removed", on=self._on(path), hint="does a link stand in it?"
            )


def _looks(remote: Remote, path: str) -> set[str]:
    """What a service says of the files of a folder."""
    found = (entry for entry in remote.entries(path, deep=True, hashes=True) if entry.name != MANIFEST)
    return {f"{entry.name!r}: {entry.size} bytes, {dict(sorted(entry.hashes.items()))}" for entry in found}
