"""The fault-injecting store: a real store that fails when it is told to."""

from __future__ import annotations

import datetime as dt
import errno
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from coldchain import files
from coldchain.errors import LocationUnreachable, OutOfSpace
from coldchain.manifest import Manifest
from coldchain.store import Capacity, Probe, Store

Fault = Callable[[str, tuple[Any, ...], Callable[[], Any]], Any]
"""Told the operation, its arguments and the real call; returns, raises, or does half of it."""


class FaultyStore:
    """Stands in front of a store; an operation with a fault goes through the fault, the others through as they are."""

    def __init__(self, store: Store, faults: Mapping[str, Fault] | None = None) -> None:
        """Name operations by the protocol's method names."""
        self.store, self.location, self.mounted = store, store.location, store.mounted
        self.faults: dict[str, Fault] = dict(faults or {})

    def _call(self, operation: str, *arguments: Any) -> Any:
        real: Callable[[], Any] = lambda: getattr(self.store, operation)(*arguments)  # noqa: E731 - a closure, named for the fault
        return self.faults[operation](operation, arguments, real) if operation in self.faults else real()

    def identity(self) -> str:
        """See Store."""
        return str(self._call("identity"))

    def register(self) -> str:
        """See Store."""
        return str(self._call("register"))

    def place(self) -> str:
        """See Store."""
        return str(self._call("place"))

    def capacity(self) -> Capacity:
        """See Store."""
        found: Capacity = self._call("capacity")
        return found

    def clock(self) -> dt.datetime:
        """See Store."""
        found: dt.datetime = self._call("clock")
        return found

    def staged(self, path: str, name: str) -> str:
        """See Store."""
        return str(self._call("staged", path, name))

    def exists(self, path: str) -> bool:
        """See Store."""
        return bool(self._call("exists", path))

    def children(self, path: str) -> list[str]:
        """See Store."""
        return list(self._call("children", path))

    def names(self, path: str) -> list[str]:
        """See Store."""
        return list(self._call("names", path))

    def changed(self, path: str, since: dt.datetime) -> list[str]:
        """See Store."""
        return list(self._call("changed", path, since))

    def local(self, path: str) -> Path:
        """See Store."""
        return Path(self._call("local", path))

    def put(self, source: Path, path: str, names: list[str], progress: files.Progress = files.no_progress) -> Manifest:
        """See Store."""
        found: Manifest = self._call("put", source, path, names, progress)
        return found

    def get(self, path: str, target: Path, names: list[str], progress: files.Progress = files.no_progress) -> Manifest:
        """See Store."""
        found: Manifest = self._call("get", path, target, names, progress)
        return found

    def read_back(self, path: str, progress: files.Progress = files.no_progress, names: Sequence[str] | None = None) -> Manifest:
        """See Store."""
        found: Manifest = self._call("read_back", path, progress, names)
        return found

    def manifest(self, path: str) -> bytes:
        """See Store."""
        return bytes(self._call("manifest", path))

    def write_manifest(self, path: str, manifest: Manifest) -> None:
        """See Store."""
        self._call("write_manifest", path, manifest)

    def annotate(self, path: str, name: str, content: bytes) -> None:
        """See Store."""
        self._call("annotate", path, name, content)

    def move(self, path: str, to: str) -> None:
        """See Store."""
        self._call("move", path, to)

    def set_aside(self, path: str, to: str) -> None:
        """See Store."""
        self._call("set_aside", path, to)

    def protect(self, path: str, until: dt.datetime | None = None) -> Probe:
        """See Store."""
        found: Probe = self._call("protect", path, until)
        return found

    def destroy(self, path: str) -> None:
        """See Store."""
        self._call("destroy", path)

    def delete(self, path: str) -> None:
        """See Store."""
        self._call("delete", path)


def vanish(operation: str, _arguments: tuple[Any, ...], _real: Callable[[], Any]) -> Any:
    """The location is gone."""
    raise LocationUnreachable(f"the location vanished during {operation}")


def fill_up(operation: str, _arguments: tuple[Any, ...], _real: Callable[[], Any]) -> Any:
    """The disk is full."""
    raise OutOfSpace(f"no space left during {operation}", got=OSError(errno.ENOSPC, "No space left on device"))


def lag(_operation: str, _arguments: tuple[Any, ...], real: Callable[[], Any]) -> Any:
    """A listing, or a reading by such a listing, that does not know the last file yet, as some object stores and network mounts have it."""
    found = real()
    if isinstance(found, Manifest):
        return Manifest(dict(list(found.entries.items())[:-1]))
    return found[:-1]


def skewed(by: dt.timedelta) -> Fault:
    """Make a clock that is off."""

    def fault(_operation: str, _arguments: tuple[Any, ...], real: Callable[[], Any]) -> Any:
        return real() + by

    return fault


def lose_bytes(store: Store) -> Fault:
    """Make a put that says it succeeded, and leaves its last file one byte short."""

    def fault(_operation: str, arguments: tuple[Any, ...], real: Callable[[], Any]) -> Any:
        manifest = real()
        _source, path, names, _progress = arguments
        with (store.local(path) / names[-1]).open("rb+") as file:
            file.truncate(max(0, file.seek(0, 2) - 1))
        return manifest

    return fault


def flip_bit(path: Path, at: int = 0) -> None:
    """Change one bit of a file, keeping its size and times."""
    times = path.stat()
    with path.open("rb+") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
