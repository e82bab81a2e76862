"""What the contract is tried on: a location of an engine, and a way past the engine to what really stands there.

An engine that needs a server brings a bench of its own kind, and its factory in `conftest.py`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from coldchain.location import Location, Medium
from coldchain.manifest import Manifest
from coldchain.store import Store

NAMES = ["a.tif", "deep/b\n.tif", "empty"]
CONTENTS = {"a.tif": b"a" * 5000, "deep/b\n.tif": b"b" * 100, "empty": b""}
MANIFEST_OF_ALL = Manifest.of((name, hashlib.sha256(content).hexdigest()) for name, content in CONTENTS.items())


class Bench(Protocol):
    """A location, and hands that reach what stands there without its engine."""

    store: Store

    def tree(self, path: str = "") -> Mapping[str, bytes]:
        """Every file below a folder (the root where it is empty), by its relative name."""

    def state(self, path: str) -> Mapping[str, Any]:
        """For each file below a folder something that changes whenever the file is written again, to the same bytes too."""

    def spoil(self, path: str, name: str, content: bytes) -> None:
        """Let a file hold other bytes."""

    def lose(self, path: str, name: str) -> None:
        """Let a file be gone."""


class FolderBench:
    """A location whose bytes are files of this machine, whatever way the engine takes to them."""

    def __init__(self, store: Store, root: Path) -> None:
        """Look at `root`, where the engine puts what it is given."""
        self.store, self.root = store, root

    def tree(self, path: str = "") -> Mapping[str, bytes]:
        """See Bench."""
        return {name: (self.root / path / name).read_bytes() for name in self.state(path)}

    def state(self, path: str) -> Mapping[str, Any]:
        """Inode and times."""
        files = {each: each.lstat() for each in (self.root / path).rglob("*") if each.is_file()}
        return {str(each.relative_to(self.root / path)): (at.st_ino, at.st_mtime_ns, at.st_ctime_ns) for each, at in files.items()}

    def spoil(self, path: str, name: str, content: bytes) -> None:
        """See Bench."""
        target = self.root / path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)

    def lose(self, path: str, name: str) -> None:
        """See Bench."""
        (self.root / path / name).unlink()


def place(root: str, **more: Any) -> Location:
    """A location for a bench."""
    return Location(name="place", root=root, medium=Medium.DISK, domain="place", site="here", **more)


def source_in(folder: Path) -> Path:
    """Three files, one of them empty and one with a newline in its name."""
    for name, content in CONTENTS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder
