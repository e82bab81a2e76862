"""The POSIX store: any mounted file system. It needs nothing, and is the reference for every other engine."""

from __future__ import annotations

import errno
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from coldchain import files, zfs
from coldchain.errors import (
    ColdchainError,
    ConfigurationError,
    IntegrityError,
    LocationUnreachable,
    OutOfSpace,
    RemovalRefused,
    UnsafePathError,
)
from coldchain.manifest import MANIFEST, Manifest, safe_name
from coldchain.protection import movable, protect, release
from coldchain.store import TRASH, Capacity, Probe, Protection

if TYPE_CHECKING:
    import datetime as dt

    from coldchain.location import Location

MARKER = ".coldchain/location.json"

_ON_CHANGING: dict[int, type[ColdchainError]] = {
    errno.EACCES: RemovalRefused,
    errno.EPERM: RemovalRefused,
    errno.EROFS: RemovalRefused,
    errno.ENOSPC: OutOfSpace,
    errno.EDQUOT: OutOfSpace,
    errno.EXDEV: ConfigurationError,
    errno.EEXIST: ConfigurationError,
    errno.ENOTDIR: ConfigurationError,
}
"""What it means that a folder cannot be moved or removed; whatever else hinders it may pass, as a file that somebody keeps open does."""

_HINTS = {
    errno.EXDEV: "a location is one file system, from its root down",
    errno.EEXIST: "a file stands where a folder is to be: take it away",
    errno.ENOTDIR: "a file stands where a folder is to be: take it away",
}


class PosixStore:
    """A location that is a folder of a mounted file system."""

    mounted = True

    def __init__(self, location: Location, root: Path) -> None:
        """Use an absolute root folder; nothing is touched until a method is called."""
        self.location, self.root = location, root

    def identity(self) -> str:
        """Read the marker at the root, so that an unmounted or exchanged disk is noticed."""
        try:
            return str(json.loads((self.root / MARKER).read_text())["identity"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise LocationUnreachable(
                "a location does not show its identity",
                on=f"{self.location.name} ({self.root})",
                expected=f"a readable {MARKER}",
                got=f"{type(error).__name__}: {error}",
                hint="mount it; a new location is registered by `coldchain doctor --register`",
            ) from error

    def register(self) -> str:
        """Write an identity at the root if there is none."""
        marker = self.root / MARKER
        if not marker.exists():
            marker.parent.mkdir(parents=True, exist_ok=True)
            files.write_durably(marker, json.dumps({"identity": uuid.uuid4().hex, "name": self.location.name}).encode() + b"\n")
        return self.identity()

    def place(self) -> str:
        """Device and inode of the root."""
        try:
            found = self.root.stat()
        except OSError as error:
            raise LocationUnreachable(
                "a location cannot be read", on=f"{self.location.name} ({self.root})", got=error, hint="mount it"
            ) from error
        return f"posix:{found.st_dev}:{found.st_ino}"

    def capacity(self) -> Capacity:
        """Space of the file system that the root stands on, in bytes."""
        with self._looking(self.root):
            usage = shutil.disk_usage(self.root)
        return Capacity(usage.total, usage.free)

    def clock(self) -> dt.datetime:
        """Time that the file system gives a file that is written now; the file goes again."""
        path = self.local(f".coldchain/clock-{uuid.uuid4().hex}")
        files.write_durably(path, b"coldchain\n")
        found = files.changed_at(path)
        with self._refusing("the location refuses a removal", path.name):
            path.unlink()
        return found

    def staged(self, _path: str, name: str) -> str:
        """A folder of its own: it is renamed when it is whole."""
        return name

    def exists(self, path: str) -> bool:
        """Whether a folder stands there."""
        folder = self.local(path)
        with self._looking(folder):
            return folder.is_dir()

    def children(self, path: str) -> list[str]:
        """Names directly below a folder, sorted by bytes; no link is followed."""
        folder = self.local(path) if path else self.root
        with self._looking(folder):
            try:
                return sorted((child.name for child in folder.iterdir()), key=os.fsencode)
            except (FileNotFoundError, NotADirectoryError):
                return []

    def names(self, path: str) -> list[str]:
        """Relative names of the files of a folder, without its manifest."""
        return files.names_below(self.local(path))

    def changed(self, path: str, since: dt.datetime) -> list[str]:
        """Names of files whose bytes or attributes changed since a moment, by the file system's clock."""
        folder = self.local(path)
        return [name for name in self.names(path) if files.changed_at(folder / name) > since]

    def local(self, path: str) -> Path:
        """Local path of a folder below the root, none of whose parts is a link.

        Raises:
            UnsafePathError: the path leaves the root, or passes a symbolic link.
        """
        step = self.root
        for part in safe_name(path).split("/"):
            step = step / part
            if self._is_link(step):
                raise UnsafePathError("a path passes a symbolic link", on=repr(str(step)), hint="replace the link by a folder")
        return step

    def _is_link(self, step: Path) -> bool:
        with self._looking(step):
            return step.is_symlink()

    @contextmanager
    def _looking(self, path: Path) -> Iterator[None]:
        """Translate what the system says when a folder cannot be looked at."""
        try:
            yield
        except OSError as error:
            raise LocationUnreachable(
                "a folder cannot be looked at", on=f"{self.location.name}: {str(path)!r}", got=error.strerror, done="nothing was changed"
            ) from error

    def put(self, source: Path, path: str, names: list[str], progress: files.Progress = files.no_progress) -> Manifest:
        """Copy files in, durably; files that a cut-off run left whole are not written again."""
        return files.copy_tree(source, self.local(path), names, progress, keep_times=not self.location.transient)

    def get(self, path: str, target: Path, names: list[str], progress: files.Progress = files.no_progress) -> Manifest:
        """Copy files out, durably; files that a cut-off run left whole in the target are not written again."""
        return files.copy_tree(self.local(path), target, names, progress)

    def read_back(self, path: str, progress: files.Progress = files.no_progress, names: Sequence[str] | None = None) -> Manifest:
        """Hash every file that stands in a folder, or those that are named, past the page cache."""
        return files.hash_tree(self.local(path), self.names(path) if names is None else [safe_name(name) for name in names], progress)

    def manifest(self, path: str) -> bytes:
        """Text of the manifest that stands in a folder."""
        return files.read_small(self.local(path) / MANIFEST)

    def write_manifest(self, path: str, manifest: Manifest) -> None:
        """Write the manifest beside the files, durably."""
        files.write_durably(self.local(path) / MANIFEST, manifest.text)

    def annotate(self, path: str, name: str, content: bytes) -> None:
        """Write a small file beside a folder, as ``<folder>.<name>``."""
        folder = self.local(path)
        files.write_durably(folder.with_name(f"{folder.name}.{name}"), content)

    def set_aside(self, path: str, to: str) -> None:
        """Rename a folder though it is write-protected; its protection is put back."""
        with movable(self.local(path)):
            self.move(path, to)

    def move(self, path: str, to: str) -> None:
        """Rename a folder; never over another."""
        source, target = self.local(path), self.local(to)
        with self._refusing("the location refuses a folder", to):
            target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            raise IntegrityError("a folder is already there", on=f"{self.location.name}:{to}", done=f"the new bytes stay in {path}")
        with self._refusing("the location refuses to move a folder", path):
            source.rename(target)
        files.sync_folder(source.parent)
        for folder in (target.parent, *target.parent.parents):
            files.sync_folder(folder)
            if folder == self.root:
                break

    def protect(self, path: str, _until: dt.datetime | None = None) -> Probe:
        """Make a folder write-once as the location says, for as long as it stands, and try to break it."""
        return protect(self.local(path), self.location.protection)

    def destroy(self, path: str) -> None:
        """Remove a folder of the trash for good, though it is write-protected; on ZFS its own snapshot first.

        Raises:
            RemovalRefused: another folder, or this user may not lift its protection.
            ProtectionError: this user may not give up its snapshot; nothing was deleted.
        """
        if not path.startswith(TRASH):
            raise RemovalRefused("only what is in the trash is removed for good", on=f"{self.location.name}:{path}")
        if self.location.protection is Protection.ZFS:
            zfs.give_up(self.local(path))
        with self._refusing("the location refuses a removal", path), suppress(FileNotFoundError):
            release(self.local(path))
        self.delete(path)

    def delete(self, path: str) -> None:
        """Remove a folder for good; one that is gone already is no error."""
        with self._refusing("the location refuses a removal", path), suppress(FileNotFoundError):
            shutil.rmtree(self.local(path))

    @contextmanager
    def _refusing(self, what: str, path: str) -> Iterator[None]:
        """Translate the system's refusal of a change."""
        try:
            yield
        except OSError as error:
            kind = _ON_CHANGING.get(error.errno or 0, LocationUnreachable)
            raise kind(what, on=f"{self.location.name}:{path}", got=error.strerror, hint=_HINTS.get(error.errno or 0)) from error
