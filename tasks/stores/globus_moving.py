"""Files between this site's own collection and another one, and a spool for what is only looked at."""

from __future__ import annotations

import fcntl
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from coldchain import files
from coldchain.errors import ConfigurationError, LocationUnreachable
from coldchain.file_errors import Writing
from coldchain.location import Globus, Location
from coldchain.manifest import Manifest
from tasks.stores.globus_client import Client, Credentials, load
from tasks.stores.globus_folders import Folders, refuse_unwritable, sent
from tasks.stores.globus_tasks import Document, Patience, Tasks

OURS = ".coldchain-globus"
"""Folder below `here_folder` for records of tasks and for the spool."""

BATCH = 10_000
"""Files of a task: a document of some megabytes. A task may have 100 million files; for its document the service names no limit."""

_ALWAYS = {
    "DATA_TYPE": "transfer",
    "label": "coldchain",
    "verify_checksum": True,
    "encrypt_data": True,
    "fail_on_quota_errors": True,
    "skip_source_errors": False,
    "notify_on_succeeded": False,
    "notify_on_failed": False,
    "notify_on_inactive": False,
}
CHECKSUM = 3
"""Sync level: what stands there with other bytes is sent again, what has the same bytes is left alone."""


class Moving:
    """Moves files by tasks between folders of this site and of the collection."""

    def __init__(self, settings: Globus, here_folder: Path, folders: Folders, tasks: Tasks, *, batch: int = BATCH) -> None:
        """`here_folder` is a folder of this machine, which collection `here` shows at `here_path`."""
        self.settings, self.here_folder, self.folders, self.tasks, self.batch = settings, here_folder, folders, tasks, batch
        self.home = here_folder / OURS / folders.client.location

    def here(self, folder: Path) -> str:
        """Path of a folder of this machine on our collection.

        Raises:
            ConfigurationError: it is not below `here_folder`. Nothing is staged there: that would double bytes and disk behind one's back.
        """
        root = self.here_folder.resolve()
        try:
            inside = folder.resolve().relative_to(root)
        except ValueError as error:
            raise ConfigurationError(
                "Globus does not reach a folder of this machine",
                on=f"{self.folders.client.location}: {str(folder)!r}",
                expected=f"a folder below {str(root)!r}",
                done="nothing was sent",
                hint="let `globus.here_folder` be a folder that holds every location that data come from, and share it as `globus.here`",
            ) from error
        return "/".join([self.settings.here_path.rstrip("/"), *inside.parts])

    def put(self, source: Path, path: str, names: Sequence[str], manifest: Manifest, progress: files.Progress, *, times: bool) -> None:
        """Send files into a folder that stands there; each with the digest that was read here."""
        ends = {"source_endpoint": self.settings.here, "destination_endpoint": self.settings.collection}
        base, target = self.here(source), self.folders.at(path)
        items = [_item(f"{base}/{name}", f"{target}/{name}", manifest.entries[name]) for name in names]
        self.tasks.run(self._documents(items, ends, times=times), target, progress)

    def ready(self, source: Path, names: Sequence[str]) -> None:
        """Refuse what cannot be sent, before anything is."""
        self.here(source)
        refuse_unwritable(names)

    def get(self, path: str, target: Path, names: Sequence[str], progress: files.Progress) -> None:
        """Bring files into a folder of this machine; what stands there whole is left alone."""
        items = self._back(path, self.here(target), names)
        self.tasks.run(self._documents(items, self._backwards, times=True), f"here:{self.here(target)}", progress)

    def fetch(self, path: str, spool: Path, names: Sequence[str]) -> None:
        """Bring files into the spool, to be looked at."""
        for document in self._documents(self._back(path, self.here(spool), names), self._backwards, times=False):
            self.tasks.run_once(document)

    def write(self, full: str, content: bytes) -> None:
        """Write a small file, over another too."""
        with self.spool() as spool:
            files.write_durably(spool / "small", content)
            ends = {"source_endpoint": self.settings.here, "destination_endpoint": self.settings.collection}
            self.tasks.run([_ALWAYS | ends | {"DATA": [_item(f"{self.here(spool)}/small", full)]}], full)

    def read(self, path: str, name: str) -> bytes:
        """Bytes of a small file."""
        with self.spool() as spool:
            self.fetch(path, spool, [name])
            try:
                return (spool / name).read_bytes()
            except FileNotFoundError as error:
                raise lost(self.folders.client.location, name) from error

    @property
    def _backwards(self) -> dict[str, str]:
        return {"source_endpoint": self.settings.collection, "destination_endpoint": self.settings.here}

    def _back(self, path: str, target: str, names: Sequence[str]) -> list[Document]:
        return [_item(self.folders.at(path, name), f"{target}/{sent(name)}") for name in names]

    def _documents(self, items: list[Document], ends: dict[str, str], *, times: bool) -> list[Document]:
        options: dict[str, Any] = {"sync_level": CHECKSUM, "preserve_timestamp": times}
        return [_ALWAYS | ends | options | {"DATA": items[start : start + self.batch]} for start in range(0, len(items), self.batch)]

    @contextmanager
    def spool(self) -> Iterator[Path]:
        """A folder that Globus reaches, gone afterwards; what a process that was killed left is removed first."""
        home = self.home / "spool"
        with Writing(home):
            home.mkdir(parents=True, exist_ok=True)
        _tidy(home)
        name = uuid.uuid4().hex
        with (home / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                (home / name).mkdir()
                yield home / name
            finally:
                shutil.rmtree(home / name, ignore_errors=True)
                (home / f"{name}.lock").unlink(missing_ok=True)


def moving(
    location: Location, here: Path, credentials: Callable[[], Credentials] | None, patience: Patience, batch: int, retries: int
) -> Moving:
    """What a location's files are moved with; `here` is the folder that collection `globus.here` shows."""
    if location.globus is None:
        raise ConfigurationError("a location has no settings for Globus", on=location.name)
    settings: Globus = location.globus
    client = Client(location.name, credentials or partial(load, settings.block), retries=retries)
    folders = Folders(client, settings.collection, settings.path or location.root)
    state = here / OURS / location.name / "tasks"
    return Moving(settings, here, folders, Tasks(client, state, patience), batch=batch)


def refuse_loss(where: str, folder: Path, sizes: Mapping[str, int]) -> None:
    """Raise LocationUnreachable where a file that stands over there did not arrive whole: the way lost it, and not the copy."""
    for name, size in sizes.items():
        try:
            arrived = (folder / name).lstat().st_size
        except OSError:
            arrived = None
        if arrived != size:
            raise lost(where, name, size, arrived)


def lost(where: str, name: str, size: int | None = None, arrived: int | None = None) -> LocationUnreachable:
    """A file that a task said it had brought."""
    return LocationUnreachable(
        "a Globus task says that it brought a file, and it is not here whole",
        on=f"{where}: {name!r}",
        expected=None if size is None else f"{size} bytes",
        got="nothing" if arrived is None else f"{arrived} bytes",
        hint="nothing is said of the copy over there by that: try again",
    )


def _item(source: str, target: str, digest: str | None = None) -> Document:
    item = {"DATA_TYPE": "transfer_item", "source_path": source, "destination_path": target}
    return item | ({"external_checksum": digest, "checksum_algorithm": "SHA256"} if digest else {})


def _tidy(home: Path) -> None:
    """Remove what belongs to nobody any more: a lock that can be had is a dead process's."""
    for lock in home.glob("*.lock"):
        with suppress(OSError), lock.open() as held:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
            lock.unlink(missing_ok=True)
    for folder in home.iterdir():
        if folder.suffix != ".lock" and not folder.with_suffix(".lock").exists():
            shutil.rmtree(folder, ignore_errors=True)
