"""The Store protocol: what each storage engine must be able to do, and nothing of how.

Paths are relative to the location's root, with POSIX separators. A store moves and reads bytes; it never decides whether
it may (that is `coldchain.transfer` and `coldchain.retention`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from coldchain.files import Progress
    from coldchain.location import Location
    from coldchain.manifest import Manifest


TRASH = ".coldchain/trash/"
"""Below this folder of a location removed copies wait out their grace."""


@dataclass(frozen=True)
class Capacity:
    """Bytes of a store, in all and free to us."""

    total: int
    free: int


@dataclass(frozen=True)
class Mismatch:
    """A file that is not what the manifest says; a missing file has no `got`, an unexpected one no `expected`."""

    name: str
    expected: str | None
    got: str | None

    def __str__(self) -> str:
        """Say which file, expected and got."""
        return f"{self.name!r}: expected {(self.expected or 'no such file')[:12]}, got {(self.got or 'nothing')[:12]}"


@dataclass(frozen=True)
class Probe:
    """What a location let us do to something it protects; each attempt that succeeded is a hole."""

    method: str
    holes: tuple[str, ...]

    @property
    def in_force(self) -> bool:
        """Whether every attempt was refused."""
        return self.method != "none" and not self.holes


class Store(Protocol):
    """A storage engine at one location."""

    location: Location

    def identity(self) -> str:
        """Identity that stands at the root; raises LocationUnreachable where it is not ours."""

    def register(self) -> str:
        """Make the location ours: write an identity at its root if there is none, and return it."""

    def place(self) -> str:
        """Name of the physical place: two locations with one place are one store, whatever their identities."""

    def capacity(self) -> Capacity:
        """Space, in bytes."""

    def exists(self, path: str) -> bool:
        """Whether a folder stands there."""

    def children(self, path: str) -> list[str]:
        """Names directly below a folder (the root where it is empty), sorted by bytes; no link is followed. None where no folder stands."""

    def names(self, path: str) -> list[str]:
        """Relative names of the files of a folder, without its manifest."""

    def local(self, path: str) -> Path:
        """Local path of a folder, for programs that need one."""

    def put(self, source: Path, path: str, names: list[str], progress: Progress) -> Manifest:
        """Copy files in, durably; returns the manifest of what was read from `source`."""

    def read_back(self, path: str, progress: Progress) -> Manifest:
        """Read the bytes that stand there, past any cache, and hash them."""

    def manifest(self, path: str) -> bytes:
        """Text of the manifest that stands there; raises IntegrityError where there is none."""

    def write_manifest(self, path: str, manifest: Manifest) -> None:
        """Write the manifest beside the files, durably."""

    def annotate(self, path: str, name: str, content: bytes) -> None:
        """Write a small file beside a folder, as ``<folder>.<name>``: it is not of the artifact, and may be written again."""

    def move(self, path: str, to: str) -> None:
        """Give a folder its other name, in one step, durably; raises where `to` exists."""

    def set_aside(self, path: str, to: str) -> None:
        """Move a folder though it is write-protected, as it is afterwards too; raises ProtectionError where this user may not."""

    def protect(self, path: str) -> Probe:
        """Make a folder write-once as the location says, and try to break it."""

    def destroy(self, path: str) -> None:
        """Remove a folder of the trash for good, though it is write-protected; refuses any other folder."""

    def delete(self, path: str) -> None:
        """Remove a folder for good; a folder that is gone already is no error."""


def compare(expected: Manifest, found: Manifest) -> list[Mismatch]:
    """List each file in which two manifests differ."""
    return [Mismatch(name, expected.entries.get(name), found.entries.get(name)) for name in expected.difference(found)]
