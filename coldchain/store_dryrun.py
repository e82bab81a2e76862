"""The dry-run store: reads are real, effects are only written down."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

from coldchain import files
from coldchain.manifest import Manifest
from coldchain.store import Capacity, Probe, Store


class DryRunStore:
    """Stands in front of a store; `would` lists what would have been done, in order."""

    def __init__(self, store: Store) -> None:
        """Read through `store`; change nothing."""
        self.store, self.location, self.mounted = store, store.location, store.mounted
        self.would: list[str] = []

    def identity(self) -> str:
        """Identity of the store behind."""
        return self.store.identity()

    def register(self) -> str:
        """Write down a registration, and return the identity that already stands there."""
        self.would.append(f"register {self.location.name}")
        return self.store.identity()

    def place(self) -> str:
        """Physical place of the store behind."""
        return self.store.place()

    def capacity(self) -> Capacity:
        """Space of the store behind."""
        return self.store.capacity()

    def clock(self) -> dt.datetime:
        """Write down a trial; the time is ours."""
        self.would.append(f"write to {self.location.name}")
        return dt.datetime.now(dt.UTC)

    def staged(self, path: str, name: str) -> str:
        """Where the store behind puts folders together."""
        return self.store.staged(path, name)

    def exists(self, path: str) -> bool:
        """Whether a folder stands in the store behind."""
        return self.store.exists(path)

    def children(self, path: str) -> list[str]:
        """Names directly below a folder in the store behind."""
        return self.store.children(path)

    def names(self, path: str) -> list[str]:
        """Names in the store behind."""
        return self.store.names(path)

    def changed(self, path: str, since: dt.datetime) -> list[str]:
        """Names in the store behind that may have changed."""
        return self.store.changed(path, since)

    def local(self, path: str) -> Path:
        """Local path in the store behind."""
        return self.store.local(path)

    def put(self, source: Path, path: str, names: list[str], progress: files.Progress = files.no_progress) -> Manifest:
        """Hash the source as a copy would, and write down the copy."""
        self.would.append(f"put {len(names)} files to {path}")
        return files.hash_tree(source, names, progress)

    def get(self, path: str, target: Path, names: list[str], progress: files.Progress = files.no_progress) -> Manifest:
        """Read what would be copied out, and write down the copy."""
        self.would.append(f"get {len(names)} files from {path} to {target}")
        return self.store.read_back(path, progress, names)

    def read_back(self, path: str, progress: files.Progress = files.no_progress, names: Sequence[str] | None = None) -> Manifest:
        """Read back from the store behind."""
        return self.store.read_back(path, progress, names)

    def manifest(self, path: str) -> bytes:
        """Manifest in the store behind."""
        return self.store.manifest(path)

    def write_manifest(self, path: str, manifest: Manifest) -> None:
        """Write down a manifest that would be written."""
        self.would.append(f"write the manifest {manifest.digest[:12]} of {path}")

    def annotate(self, path: str, name: str, content: bytes) -> None:
        """Write down a note that would be written."""
        self.would.append(f"write {len(content)} bytes to {path}.{name}")

    def move(self, path: str, to: str) -> None:
        """Write down a renaming."""
        self.would.append(f"move {path} to {to}")

    def set_aside(self, path: str, to: str) -> None:
        """Write down a renaming of what is protected."""
        self.would.append(f"set {path} aside as {to}")

    def protect(self, path: str, until: dt.datetime | None = None) -> Probe:  # noqa: ARG002 - the protocol's
        """Write down a protection; nothing is in force."""
        self.would.append(f"protect {path}")
        return Probe("none", ())

    def destroy(self, path: str) -> None:
        """Write down a removal from the trash."""
        self.would.append(f"destroy {path}")

    def delete(self, path: str) -> None:
        """Write down a removal."""
        self.would.append(f"delete {path}")
