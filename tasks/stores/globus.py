"""A folder on a collection of Globus: tasks bring the bytes there, and bring them back to be hashed, for Globus hashes nothing that stands.

Where ssh reaches the machine of the collection too, the store at the end of it does all but the moving: see `globus_ssh`.
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from coldchain import files
from coldchain.errors import Incomplete, IntegrityError, LocationUnreachable, RemovalRefused
from coldchain.location import Location
from coldchain.manifest import MANIFEST, Manifest, safe_name
from coldchain.store import TRASH, Capacity, Probe, not_mounted
from coldchain.store_posix import MARKER
from tasks.stores.globus_client import Credentials
from tasks.stores.globus_folders import Entry, modified
from tasks.stores.globus_moving import BATCH, moving, refuse_loss
from tasks.stores.globus_tasks import Document, Patience

ROOM = 10**15
"""Bytes that a collection is said to have, and to have free: Globus tells nothing of either."""

SPOOL = 10**11
"""Bytes that are brought back at once to be hashed; a file that is larger comes alone."""

_HOME = ".coldchain"


class GlobusStore:
    """A location that is a folder of a collection."""

    mounted = False

    def __init__(
        self,
        location: Location,
        here: Path,
        credentials: Callable[[], Credentials] | None = None,
        *,
        patience: Patience | None = None,
        batch: int = BATCH,
        spool: int = SPOOL,
        retries: int = 5,
    ) -> None:
        """Nothing is reached until a method is called; `here` is the folder that collection `globus.here` shows."""
        self.location, self._spool = location, spool
        self._moving = moving(location, here, credentials, patience or Patience(), batch, retries)
        self._folders, self._tasks = self._moving.folders, self._moving.tasks
        self._seen: tuple[Entry, str] | None = None

    def identity(self) -> str:
        """Read the marker at the root, by a task; as long as it is listed as it was, it is not brought again."""
        found = self._folders.entry(MARKER)
        if found is None:
            raise self._nobody("no such file")
        if self._seen is None or self._seen[0] != found:
            try:
                self._seen = found, str(json.loads(self._moving.read(_HOME, MARKER.rpartition("/")[2]))["identity"])
            except (ValueError, KeyError, TypeError) as error:
                raise self._nobody(f"{type(error).__name__}: {error}") from error
        return self._seen[1]

    def _nobody(self, got: str) -> LocationUnreachable:
        hint = "is the collection's disk mounted? a new location is registered by `coldchain doctor --register`"
        where = f"{self.location.name} ({self._folders.root})"
        return LocationUnreachable("a location does not show its identity", on=where, expected=f"a readable {MARKER}", got=got, hint=hint)

    def register(self) -> str:
        """Write an identity at the root if there is none."""
        if self._folders.entry(MARKER) is None:
            self._folders.make(_HOME)
            marker = {"identity": uuid.uuid4().hex, "name": self.location.name}
            self._moving.write(self._folders.at(MARKER), json.dumps(marker).encode() + b"\n")
        return self.identity()

    def place(self) -> str:
        """Collection and path of the root."""
        return f"globus:{self._folders.collection}{self._folders.root}"

    def capacity(self) -> Capacity:
        """A petabyte, all of it free: see `ROOM`."""
        return Capacity(ROOM, ROOM)

    def clock(self) -> dt.datetime:
        """Time, in whole seconds, that the collection gives a folder that is made now; a task removes it again."""
        path = f"{_HOME}/clock-{uuid.uuid4().hex}"
        self._folders.make(path)
        found = self._folders.entry(path)
        self.delete(path)
        if found is None:
            raise LocationUnreachable("a folder is gone that was just made", on=f"{self.location.name}:{path}")
        return modified(found)

    def staged(self, _path: str, name: str) -> str:
        """A folder of its own: it is renamed when it is whole."""
        return name

    def exists(self, path: str) -> bool:
        """Whether a folder stands there."""
        return self._folders.is_folder(path)

    def children(self, path: str) -> list[str]:
        """Names directly below a folder, sorted by bytes; no link is followed."""
        return self._folders.names(path)

    def names(self, path: str) -> list[str]:
        """Relative names of the files of a folder, without its manifest."""
        return list(self._folders.files(path))

    def changed(self, path: str, since: dt.datetime) -> list[str]:
        """Names of files written to since a moment, by what the collection lists: whole seconds, and whoever sets them back is not seen."""
        return [name for name, entry in self._folders.files(path).items() if modified(entry) >= since.replace(microsecond=0)]

    def local(self, path: str) -> Path:
        """There is no path of this machine; raises UnsafePathError first where the path leaves the root."""
        not_mounted(self.location, safe_name(path))

    def put(self, source: Path, path: str, names: list[str], progress: files.Progress = files.no_progress) -> Manifest:
        """Hash the source's files, and let Globus bring them, each with its digest; what stands there whole is not sent again.

        Raises:
            ConfigurationError: the source is not below `globus.here_folder`.
            UnsafePathError: a name that Globus cannot hold. Nothing was sent in either case.
        """
        self._folders.at(path)
        self._moving.ready(source, names)
        manifest = files.hash_tree(source, names)
        self._folders.make(path)
        self._moving.put(source, path, names, manifest, progress, times=not self.location.transient)
        return manifest

    def get(self, path: str, target: Path, names: list[str], progress: files.Progress = files.no_progress) -> Manifest:
        """Let Globus bring files here, and hash what arrived; raises ConfigurationError where that is not below `globus.here_folder`."""
        found = self._some(path, names)
        self._moving.here(target)
        target.mkdir(parents=True, exist_ok=True)
        self._moving.get(path, target, names, progress)
        refuse_loss(self.location.name, target, {name: found[name]["size"] for name in names})
        return files.hash_tree(target, names)

    def read_back(self, path: str, progress: files.Progress = files.no_progress, names: Sequence[str] | None = None) -> Manifest:
        """Bring every file back, or those that are named, and hash it here: Globus has nothing that hashes what stands there.

        So all bytes travel again, at most `SPOOL` of them at once through a folder below `globus.here_folder` that is emptied each time.
        Whether the other machine reads from its disk or from its page cache is not ours to say.
        """
        found = self._some(path, names)
        entries: dict[str, str] = {}
        for batch in _batches(found, self._spool, self._moving.batch):
            with self._moving.spool() as spool:
                self._moving.fetch(path, spool, batch)
                refuse_loss(self.location.name, spool, {name: found[name]["size"] for name in batch})
                entries |= files.hash_tree(spool, batch).entries
            progress(len(entries), len(found))
        return Manifest.of(entries.items())

    def _some(self, path: str, names: Sequence[str] | None) -> dict[str, Entry]:
        """Files of a folder, or those that are named; raises IntegrityError where one of these is missing."""
        found = self._folders.files(path)
        if names is None:
            return found
        if missing := sorted(set(names) - found.keys()):
            where = f"{self.location.name}:{path}"
            raise IntegrityError("a file is missing", on=where, got=f"no {missing[0]!r}", done="nothing was copied")
        return {name: found[name] for name in names}

    def manifest(self, path: str) -> bytes:
        """Text of the manifest that stands in a folder."""
        if self._folders.entry(f"{path}/{MANIFEST}") is None:
            raise IntegrityError("a file is missing", on=f"{self.location.name}:{path}/{MANIFEST}")
        return self._moving.read(path, MANIFEST)

    def write_manifest(self, path: str, manifest: Manifest) -> None:
        """Write the manifest beside the files."""
        self._moving.write(self._folders.at(path, MANIFEST), manifest.text)

    def annotate(self, path: str, name: str, content: bytes) -> None:
        """Write a small file beside a folder, as ``<folder>.<name>``."""
        self._moving.write(self._folders.at(f"{safe_name(path)}.{name}"), content)

    def move(self, path: str, to: str) -> None:
        """Rename a folder; never over another."""
        for each in (path, to):
            self._tasks.settle(self._folders.at(each))
        self._folders.rename(path, to)

    def set_aside(self, path: str, to: str) -> None:
        """Rename a folder: nothing protects it."""
        self.move(path, to)

    def protect(self, _path: str, _until: dt.datetime | None = None) -> Probe:
        """Globus protects nothing, and nothing is said to be protected."""
        return Probe("none", ())

    def destroy(self, path: str) -> None:
        """Remove a folder of the trash for good; refuses any other folder."""
        if not path.startswith(TRASH):
            raise RemovalRefused("only what is in the trash is removed for good", on=f"{self.location.name}:{path}")
        self.delete(path)

    def delete(self, path: str) -> None:
        """Let Globus remove a folder for good, and look whether it is gone; one that is gone already is no error."""
        full = self._folders.at(path)
        if self._folders.entry(path) is None:
            self._tasks.settle(full)
            return
        self._tasks.run([_removal(self._folders.collection, full)], full)
        if self._folders.entry(path) is not None:
            raise Incomplete("a Globus task says that it removed a folder, and it stands there", on=f"{self.location.name}:{path}")


def _removal(collection: str, full: str) -> Document:
    return {
        "DATA_TYPE": "delete",
        "endpoint": collection,
        "label": "coldchain",
        "recursive": True,
        "ignore_missing": True,
        "interpret_globs": False,
        "notify_on_succeeded": False,
        "notify_on_failed": False,
        "notify_on_inactive": False,
        "DATA": [{"DATA_TYPE": "delete_item", "path": full}],
    }


def _batches(found: dict[str, Entry], most_bytes: int, most_files: int) -> Iterator[list[str]]:
    """Names in batches of so many bytes and files at most; a file that is larger is one of its own."""
    batch: list[str] = []
    size = 0
    for name, entry in found.items():
        if batch and (size + entry["size"] > most_bytes or len(batch) == most_files):
            yield batch
            batch, size = [], 0
        batch.append(name)
        size += entry["size"]
    if batch:
        yield batch
