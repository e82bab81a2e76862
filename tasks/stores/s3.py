"""The S3 store: a bucket with versions, of AWS or of anything that speaks S3.

Files stand under their final names, with their manifest beside them, and can be read without us in ten years. They go up in place, the
manifest last: a folder stands where its manifest does. Nothing is renamed; what is set aside is hidden (`s3_folders`).
"""

from __future__ import annotations

import datetime as dt
import os
import uuid
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from coldchain import files
from coldchain.errors import ConfigurationError, RemovalRefused
from coldchain.manifest import MANIFEST, Manifest, safe_name
from coldchain.store import TRASH, Capacity, Probe, Protection, Recalled, not_mounted
from tasks.stores import s3_archive, s3_download, s3_folders, s3_listing, s3_lock, s3_move, s3_removal, s3_trash, s3_upload
from tasks.stores.s3_connection import Connection, connect, load
from tasks.stores.s3_errors import NotThere
from tasks.stores.s3_marker import identity, mark

if TYPE_CHECKING:
    from coldchain.location import Location
    from tasks.stores.s3_listing import Version

ROOM = 10**15
"""Bytes that a bucket is said to have, and to have free: it has no end that it would tell of, and its quota is for the bill."""

PROBED = dt.timedelta(days=1)
"""So long a probe of the bucket's lock holds: it makes four requests that are to be refused, for a plate's copy and for a thousand."""


class S3Store:
    """A location that is a part of a bucket."""

    mounted = False

    def __init__(self, location: Location, block: Callable[[], Any] | None = None) -> None:
        """Use a location's block, or what `block` gives; nothing is loaded or sent until a method is called."""
        self.location = location
        self._block = block or partial(load, location.s3.block if location.s3 else "")
        self._probe: tuple[dt.datetime, Probe] | None = None

    @cached_property
    def conn(self) -> Connection:
        """The way to the bucket."""
        return connect(self.location, self._block())

    def identity(self) -> str:
        """Read the marker of the location."""
        return identity(self.conn)

    def register(self) -> str:
        """Have the bucket keep versions, and archive where the location says so; write an identity if there is none.

        Raises:
            ConfigurationError: this user may not, or the bucket was not made with the lock that the location asks for.
        """
        self._keep_versions()
        if self.location.protection is Protection.OBJECT_LOCK and not s3_removal.has_locks(self.conn):
            raise ConfigurationError(
                "a bucket has no Object Lock",
                on=f"{self.location.name}: bucket {self.conn.bucket}",
                hint="it is turned on when a bucket is made: make another, as docs/engineers.md says (S3)",
            )
        if self.location.s3:
            s3_archive.install(self.conn, self.location.s3.storage_class)
        return mark(self.conn)

    def _keep_versions(self) -> None:
        if self.conn.call("get_bucket_versioning").get("Status") != "Enabled":
            self.conn.call("put_bucket_versioning", VersioningConfiguration={"Status": "Enabled"})
        s3_removal.refuse_unversioned(self.conn)

    def place(self) -> str:
        """Endpoint, bucket and prefix."""
        return self.conn.place

    def capacity(self) -> Capacity:
        """A petabyte, all of it free: see `ROOM`."""
        return Capacity(ROOM, ROOM)

    def clock(self) -> dt.datetime:
        """Time that the server gives an object that is written now; all of it goes again."""
        key = self.conn.key(".coldchain", f"clock-{uuid.uuid4().hex}")
        s3_upload.put_small(self.conn, key, b"coldchain\n")
        found = s3_listing.versions(self.conn, key)
        s3_removal.remove_all(self.conn, found)
        return found[0].at

    def staged(self, path: str, _name: str) -> str:
        """The folder itself: nothing is renamed here, and it does not stand before its manifest does."""
        return path

    def exists(self, path: str) -> bool:
        """Whether a manifest stands in a folder, or it was set aside there."""
        return s3_folders.stands(self.conn, path)

    def children(self, path: str) -> list[str]:
        """Names directly below a folder, sorted by bytes."""
        return s3_listing.below(self.conn, self.conn.key(path) if path else self.conn.prefix)

    def names(self, path: str) -> list[str]:
        """Relative names of the files of a folder, without its manifest."""
        return self._names(s3_folders.look(self.conn, path))

    def _names(self, found: dict[str, Version]) -> list[str]:
        return sorted((safe_name(name) for name in found if name != MANIFEST), key=os.fsencode)

    def changed(self, path: str, since: dt.datetime) -> list[str]:
        """Names of files that were written since a moment, by the server's clock, which counts in whole seconds."""
        found = s3_folders.look(self.conn, path)
        return [name for name in self._names(found) if found[name].at >= since.replace(microsecond=0)]

    def local(self, path: str) -> NoReturn:
        """There is none: raises ConfigurationError."""
        not_mounted(self.location, safe_name(path))

    def put(self, source: Path, path: str, names: list[str], progress: files.Progress = files.no_progress) -> Manifest:
        """Copy files in; files that a cut-off run left whole are not sent again."""
        return s3_upload.put(self.conn, source, path, [safe_name(name) for name in names], progress)

    def get(self, path: str, target: Path, names: list[str], progress: files.Progress = files.no_progress) -> Manifest:
        """Copy files out, durably; files that a cut-off run left whole in the target are not fetched again."""
        return s3_download.get(self.conn, self._found(path, names), target, names, progress)

    def read_back(self, path: str, progress: files.Progress = files.no_progress, names: Sequence[str] | None = None) -> Manifest:
        """Fetch every file that stands in a folder, or those that are named, and hash it here."""
        found = self._found(path, names or ())
        return s3_download.read_back(self.conn, found, self._names(found) if names is None else list(names), progress)

    def _found(self, path: str, names: Sequence[str]) -> dict[str, Version]:
        """The files of a folder; raises NotThere where one that is named is missing."""
        found = s3_folders.look(self.conn, path)
        if missing := [name for name in names if safe_name(name) not in found]:
            raise NotThere("a file is missing", on=f"{self.location.name}:{path}", expected=", ".join(map(repr, missing[:5])))
        return found

    def manifest(self, path: str) -> bytes:
        """Text of the manifest that stands in a folder."""
        return s3_folders.manifest(self.conn, path)

    def write_manifest(self, path: str, manifest: Manifest) -> None:
        """Write the manifest beside the files: from then on the folder stands."""
        self._write(self.conn.key(path, MANIFEST), manifest.text)

    def annotate(self, path: str, name: str, content: bytes) -> None:
        """Write a small object beside a folder, as ``<folder>.<name>``."""
        self._write(self.conn.key(path).rstrip("/") + f".{safe_name(name)}", content)

    def _write(self, key: str, content: bytes) -> None:
        """Write a small object, unless it stands there: each writing would leave one more version."""
        try:
            if s3_download.small(self.conn, key) == content:
                return
        except NotThere:
            pass
        s3_upload.put_small(self.conn, key, content)

    def move(self, path: str, to: str) -> None:
        """Nothing, where a folder was put together under its own name; else its files are copied, and read back."""
        if safe_name(path) != safe_name(to):
            s3_move.move(self.conn, path, to)

    def set_aside(self, path: str, to: str) -> None:
        """Hide a folder, its versions noted in another below ``.coldchain/``, or bring it back; no byte is copied, and locks stay."""
        safe_name(path), safe_name(to)
        if aside := s3_folders.pointer(self.conn, path):
            if aside.path != to:
                self._refuse_rename(path, to)
            s3_folders.show(self.conn, path, aside)
        elif to.startswith(s3_folders.OURS):
            s3_folders.hide(self.conn, path, to)
        else:
            self._refuse_rename(path, to)

    def _refuse_rename(self, path: str, to: str) -> NoReturn:
        raise ConfigurationError(
            "a bucket renames nothing",
            on=f"{self.location.name}:{path}",
            expected=f"a place below {s3_folders.OURS}, or the one it came from",
            got=to,
            done="nothing was moved",
        )

    def protect(self, path: str, until: dt.datetime | None = None) -> Probe:
        """Let a folder that was read back be archived where the location says so; lock its versions until a moment, where it says so.

        Raises:
            ProtectionError: the bucket does not keep its locks; nothing more was locked.
        """
        asked = self.location.protection is Protection.OBJECT_LOCK and until is not None and until > dt.datetime.now(dt.UTC)
        archived = self.location.s3 is not None and self.location.s3.storage_class
        found = s3_folders.look(self.conn, path) if asked or archived else {}
        if archived:
            s3_archive.release(self.conn, found)
        if not asked or until is None:
            return Probe("none", ())
        probe = self._probed()
        s3_lock.demand(self.conn, probe)
        s3_lock.lock(self.conn, list(found.values()), until)
        return probe

    def _probed(self) -> Probe:
        """What a probe of the bucket found, today."""
        now = dt.datetime.now(dt.UTC)
        if self._probe is None or now - self._probe[0] > PROBED:
            self._probe = (now, s3_lock.probe(self.conn))
        return self._probe[1]

    def hold(self, path: str, *, on: bool) -> None:
        """Set a legal hold on every file of a folder and its manifest, or take it off."""
        s3_lock.hold(self.conn, list(s3_folders.look(self.conn, path).values()), on=on)

    def recall(self, path: str, days: int) -> None:
        """Ask for the files of a folder that are in the archive, to be read for so many days; it may be asked again."""
        s3_archive.recall(self.conn, s3_folders.look(self.conn, path), days)

    def recalled(self, path: str) -> Recalled:
        """How many of a folder's files can be read now."""
        return s3_archive.recalled(self.conn, s3_folders.look(self.conn, path))

    def destroy(self, path: str) -> None:
        """Remove a folder of the trash for good: exactly the versions that were set aside.

        Raises:
            RemovalRefused: another folder, or a lock keeps one of its files; nothing was removed.
        """
        if not safe_name(path).startswith(TRASH):
            raise RemovalRefused("only what is in the trash is removed for good", on=f"{self.location.name}:{path}")
        s3_trash.destroy(self.conn, path)

    def delete(self, path: str) -> None:
        """Remove what stands in a folder; what is locked is hidden, and what was set aside from it stays."""
        if s3_folders.pointer(self.conn, path):
            raise RemovalRefused(
                "what was set aside leaves by way of the trash", on=f"{self.location.name}:{path}", done="nothing was removed"
            )
        s3_upload.abandon(self.conn, self.conn.key(path))
        s3_removal.clear(self.conn, self.conn.key(path))
