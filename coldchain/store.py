"""The Store protocol: what each storage engine must be able to do, and nothing of how.

Paths are relative to the location's root, with POSIX separators. A store moves and reads bytes; it never decides whether
it may (that is `coldchain.transfer` and `coldchain.retention`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NoReturn, Protocol, runtime_checkable

from coldchain.errors import ConfigurationError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence
    from pathlib import Path

    from coldchain.files import Progress
    from coldchain.location import Location
    from coldchain.manifest import Manifest


TRASH = ".coldchain/trash/"
"""Below this folder of a location removed copies wait out their grace."""


class Protection(StrEnum):
    """What makes a location write-once; `zfs` is a snapshot with a hold, and is never chosen by `strongest`."""

    NONE = "none"
    PERMISSIONS = "permissions"
    IMMUTABLE = "immutable"
    ZFS = "zfs"
    STRONGEST = "strongest"
    OBJECT_LOCK = "object_lock"


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


@dataclass(frozen=True)
class Recalled:
    """Files of a folder in all, and those of them that can be read now."""

    files: int
    readable: int

    @property
    def all(self) -> bool:
        """Whether every file can be read now."""
        return self.readable == self.files


@runtime_checkable
class Recallable(Protocol):
    """A store of which parts are in an archive that has to be asked before it can be read."""

    def recall(self, path: str, days: int) -> None:
        """Ask for the files of a folder, to be read for so many days; asking again does no harm."""

    def recalled(self, path: str) -> Recalled:
        """How many files of a folder can be read now."""


class Store(Protocol):
    """A storage engine at one location."""

    location: Location

    mounted: bool
    """Whether its folders are paths of this machine; `local` raises where they are not."""

    def identity(self) -> str:
        """Identity that stands at the root; raises LocationUnreachable where it is not ours."""

    def register(self) -> str:
        """Make the location ours: write an identity at its root if there is none, and return it."""

    def place(self) -> str:
        """Name of the physical place: two locations with one place are one store, whatever their identities."""

    def capacity(self) -> Capacity:
        """Space, in bytes; of a store that has no end, what the location's solution gives it."""

    def clock(self) -> dt.datetime:
        """Write something small, remove it again, and say when that was by the location's own clock."""

    def staged(self, path: str, name: str) -> str:
        """Folder in which what will be `path` is put together: one of that name or, where nothing can be renamed, `path` itself."""

    def exists(self, path: str) -> bool:
        """Whether a folder stands there; where there are no folders, whether a manifest does."""

    def children(self, path: str) -> list[str]:
        """Names directly below a folder (the root where it is empty), sorted by bytes; no link is followed. None where no folder stands."""

    def names(self, path: str) -> list[str]:
        """Relative names of the files of a folder, without its manifest."""

    def changed(self, path: str, since: dt.datetime) -> list[str]:
        """Names of the files of a folder that may have been written to since a moment: they have to be read to know."""

    def local(self, path: str) -> Path:
        """Local path of a folder, for programs that need one; raises ConfigurationError where the location is not mounted."""

    def put(self, source: Path, path: str, names: list[str], progress: Progress) -> Manifest:
        """Copy files in, durably; returns the manifest of what was read from `source`."""

    def get(self, path: str, target: Path, names: list[str], progress: Progress) -> Manifest:
        """Copy files out into a local folder, durably; returns the manifest of what was read here."""

    def read_back(self, path: str, progress: Progress, names: Sequence[str] | None = None) -> Manifest:
        """Read the bytes that stand there, of all files or of some, past any cache, and hash them."""

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

    def protect(self, path: str, until: dt.datetime | None = None) -> Probe:
        """Make a folder write-once as the location says, and try to break it; a protection with an end holds until then, or is not set."""

    def destroy(self, path: str) -> None:
        """Remove a folder of the trash for good, though it is write-protected; refuses any other folder."""

    def delete(self, path: str) -> None:
        """Remove a folder for good; a folder that is gone already is no error."""


def not_mounted(location: Location, path: str) -> NoReturn:
    """Raise ConfigurationError: a program needs a path of this machine, and the location gives none."""
    raise ConfigurationError(
        "a location gives no path of this machine",
        on=f"{location.name}:{path}",
        expected="a mounted location",
        got=f"engine {location.engine}",
        hint="bring the data to a mounted location first",
    )


@runtime_checkable
class Holdable(Protocol):
    """A store that can hold a folder for everybody, without an end, beside what locks it until a moment."""

    def hold(self, path: str, *, on: bool) -> None:
        """Set the hold on every file of a folder, or take it off; raises ProtectionError where it is not so afterwards."""


def compare(expected: Manifest, found: Manifest) -> list[Mismatch]:
    """List each file in which two manifests differ."""
    return [Mismatch(name, expected.entries.get(name), found.entries.get(name)) for name in expected.difference(found)]
