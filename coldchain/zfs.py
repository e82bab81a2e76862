"""The `zfs` command: a snapshot of a folder's file system with a hold on it, taken, looked at, tried and given up.

A snapshot is named after the folder's manifest and the folder's own number (inode), as ``tank/nas@coldchain-<16 digits>-<number>``.
The number stays when the folder is renamed, so what was set aside finds its own again; it is another for each folder, so two copies
of one artifact never share a snapshot, and a copy that was repaired is not taken for the damaged one that stood in its place.

Words and exit codes are those of OpenZFS (zfs-snapshot(8), zfs-hold(8), zfs-destroy(8), libzfs_dataset.c).
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from coldchain.errors import ColdchainError, ConfigurationError, LocationUnreachable, OutOfSpace, ProtectionError
from coldchain.files import read_small
from coldchain.manifest import MANIFEST

TAG = "coldchain"
CONTROL = ".zfs"
"""Folder at the root of a file system below which its snapshots stand; `snapdir=visible` lists it, and it is nobody's data."""

PATIENCE_S = 300.0
"""A snapshot, a hold and a release wait for the pool's next transaction; a pool that lost its disks answers never."""

SBIN = ("/usr/sbin", "/sbin", "/usr/local/sbin")
"""Where `zfs` stands though an ordinary user's PATH does not say so."""

_EXISTS, _TAGGED, _UNTAGGED = "dataset already exists", "tag already exists on this dataset", "no such tag on this dataset"
_ABSENT = ("dataset does not exist", "could not find any snapshots to destroy")
_HELD = ("dataset is busy", "being held")  # until OpenZFS 2.2, and from 2.3 on
_DENIED, _NO_ZFS, _CLONED = "permission denied", "not a ZFS filesystem", "dependent clones"

_STAYS = "the data is verified and stays"

_KINDS: dict[str, tuple[type[ColdchainError], str]] = {
    _DENIED: (ProtectionError, "as root: `zfs allow -u USER snapshot,hold,release,destroy,mount FILESYSTEM`"),
    _NO_ZFS: (ConfigurationError, "set another `protection`: this one needs ZFS, on the machine where its disks are and not over NFS"),
    "out of space": (OutOfSpace, "make room"),
    "quota exceeded": (OutOfSpace, "make room, or raise the quota"),
    "I/O is currently suspended": (LocationUnreachable, "look at `zpool status`"),
    "dataset is busy": (LocationUnreachable, "someone looks into the snapshot or sends it: it may pass"),
}

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Snapshot:
    """The snapshot that belongs to a folder, whether it was taken or not: its name, and where the folder stands in it."""

    name: str
    folder: Path


@dataclass(frozen=True)
class _Answer:
    failed: bool
    out: str
    said: str

    def says(self, *words: str) -> bool:
        return self.failed and any(each in self.said for each in words)


def snapshot_of(folder: Path) -> Snapshot:
    """Name the snapshot of a folder in which a manifest stands.

    Raises:
        ConfigurationError: the folder is not on ZFS, or the `zfs` command is missing.
        ProtectionError: the file system is mounted where ZFS does not say.
    """
    here = folder.resolve()
    found = _run("list", "-H", "-p", "-t", "filesystem", "-o", "name,mountpoint", str(here))
    if found.failed:
        raise _failed("the file system of a folder is not known to ZFS", here, found, "nothing was changed")
    system, _, point = found.out.rstrip("\n").partition("\t")
    root = Path(point).resolve()
    if not Path(point).is_absolute() or root not in here.parents:
        raise ProtectionError(
            "snapshots of a file system cannot be looked into",
            on=system,
            expected=f"a mountpoint above {here}",
            got=point,
            done="nothing was changed",
            hint="mount it where its `mountpoint` says (`zfs set mountpoint=...`), not as `legacy` and not in parts",
        )
    digest = hashlib.sha256(read_small(here / MANIFEST)).hexdigest()
    short = f"{TAG}-{digest[:16]}-{here.stat().st_ino}"
    return Snapshot(f"{system}@{short}", root / CONTROL / "snapshot" / short / here.relative_to(root))


def keep(folder: Path) -> Snapshot:
    """Take the snapshot of a folder and hold it; one that was cut off in the middle is finished.

    Raises:
        ProtectionError: this user may not, or the snapshot does not hold what the folder does.
    """
    snapshot = snapshot_of(folder)
    taken = _run("snapshot", snapshot.name)
    if taken.failed and not taken.says(_EXISTS):
        raise _failed("a snapshot cannot be taken", snapshot.name, taken)
    _refuse_other(snapshot, folder)
    held = _run("hold", TAG, snapshot.name)
    if held.failed and not held.says(_TAGGED):
        raise _failed("a snapshot cannot be held", snapshot.name, held)
    if TAG not in holds(snapshot):
        raise ProtectionError("a snapshot is not held, though `zfs hold` said so", on=snapshot.name, done=_STAYS)
    return snapshot


def holds(snapshot: Snapshot) -> set[str]:
    """Tags of the holds on a snapshot; none where there is no such snapshot."""
    found = _run("holds", "-H", snapshot.name)
    if found.failed and not found.says(*_ABSENT):
        raise _failed("the holds on a snapshot cannot be listed", snapshot.name, found, "nothing was changed")
    return {line.split("\t")[1] for line in found.out.splitlines()}


def gives_way(snapshot: Snapshot) -> bool:
    """Whether a snapshot can be destroyed: by destroying it. Only a refusal is a refusal, any other failure counts as a yes.

    ``zfs destroy -n`` proves nothing: it never asks for holds. A canary with a hold of its own would prove that holds work here, not
    that this snapshot has one, and a user who may hold and not release could never remove it: held, it would keep every byte that the
    file system ever loses. So the snapshot itself is tried, and it must only be tried where losing it loses nothing: it was just seen
    to hold what the folder holds, the folder was just read back and stands, and the hold is listed. The list is needed as well: a
    snapshot that someone looks into is busy too.
    """
    return not _run("destroy", snapshot.name).says(*_HELD, _DENIED, _CLONED)


def give_up(folder: Path) -> None:
    """Release the hold on a folder's own snapshot and destroy it, before the folder goes; what others hold stays, and is said.

    Raises:
        ProtectionError: this user may not.
        LocationUnreachable: someone is looking into it.
    """
    if not (folder / MANIFEST).is_file():
        return  # never protected, or a removal that was cut off: the snapshot went first
    snapshot = snapshot_of(folder)
    released = _run("release", TAG, snapshot.name)
    if released.failed and not released.says(_UNTAGGED, *_ABSENT):
        raise _failed("a snapshot cannot be released", snapshot.name, released, "nothing was removed")
    if others := holds(snapshot):
        _log.warning("%s stays, and keeps its bytes on the disk: others hold it (%s)", snapshot.name, ", ".join(sorted(others)))
        return
    _destroy(snapshot)


def _destroy(snapshot: Snapshot) -> None:
    gone = _run("destroy", snapshot.name)
    if gone.says(_CLONED):
        _log.warning("%s stays, and keeps its bytes on the disk: it has clones", snapshot.name)
    elif gone.failed and not gone.says(*_ABSENT):
        raise _failed("a snapshot cannot be destroyed", snapshot.name, gone, "its hold is released, no byte of the folder was removed")


def _refuse_other(snapshot: Snapshot, folder: Path) -> None:
    """Raise where a snapshot does not hold the folder: it is older, of something else, or empty."""
    wanted, found = dict(_files(folder)), dict(_files(snapshot.folder))
    wrong = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
    if not wrong and read_small(folder / MANIFEST) == read_small(snapshot.folder / MANIFEST):
        return
    raise ProtectionError(
        "a snapshot does not hold what it is named after",
        on=snapshot.name,
        expected=f"the {len(wanted)} files of {folder}",
        got=f"{len(wrong)} of them missing or others, {wrong[0]!r} is the first" if wrong else f"another {MANIFEST}",
        done=f"{_STAYS}; the snapshot was not touched",
        hint=f"can this user look into {snapshot.folder}? If nobody needs it: `zfs release {TAG} {snapshot.name}` (where it is held), "
        f"then `zfs destroy {snapshot.name}`",
    )


def _files(folder: Path) -> Iterator[tuple[str, tuple[int, int]]]:
    """Regular files below a folder: name, and size in bytes with the time of the last write in ns, both of which a snapshot keeps."""
    for parent, _, names in os.walk(folder):
        for path in (Path(parent) / name for name in names):
            found = path.lstat()
            if stat.S_ISREG(found.st_mode):
                yield str(path.relative_to(folder)), (found.st_size, found.st_mtime_ns)


def _run(*arguments: str) -> _Answer:
    """Run `zfs` once, in English, without a shell, and with an end to our patience."""
    process = subprocess.Popen(
        [_command(), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "LC_ALL": "C"},
        encoding="utf-8",
        errors="surrogateescape",
    )
    try:
        out, said = process.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired as error:
        process.kill()
        with suppress(subprocess.TimeoutExpired):  # what waits for a dead disk cannot even be killed
            process.communicate(timeout=5)
        raise LocationUnreachable(
            "`zfs` does not answer",
            on=" ".join(arguments),
            got=f"nothing for {PATIENCE_S:g} s",
            done="whether it did what it was told is not known; the next run finds out",
            hint="look at `zpool status`",
        ) from error
    return _Answer(process.returncode != 0, out, said)


def _command() -> str:
    found = shutil.which("zfs", path=os.pathsep.join((os.environ.get("PATH", ""), *SBIN)))
    if found is None:
        raise ConfigurationError(
            "the `zfs` command is not there",
            on="`protection: zfs`",
            done="nothing was changed",
            hint="run the service on the machine that has the pool, with zfsutils installed, or set another `protection`",
        )
    return found


def _failed(what: str, on: object, answer: _Answer, done: str = _STAYS) -> ColdchainError:
    """Translate what `zfs` said."""
    kind, hint = next((_KINDS[words] for words in _KINDS if answer.says(words)), (ProtectionError, None))
    return kind(what, on=on, got=answer.said.strip() or answer.out.strip(), done=done, hint=hint)
