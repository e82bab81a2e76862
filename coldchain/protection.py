"""Write-once on POSIX file systems: set it, then try to break it and report what held.

Permission bits do not stop root; the immutable flag of ext4, XFS and Btrfs does, and only root can set it. A ZFS snapshot with a hold
stops root until the hold is released. Only a refused attempt counts, so what is reported is what was in force for the user who ran it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from coldchain import zfs
from coldchain.errors import ProtectionError
from coldchain.manifest import MANIFEST
from coldchain.store import Probe, Protection

GET_FLAGS, SET_FLAGS, IMMUTABLE = 0x80086601, 0x40086602, 0x10  # linux/fs.h: FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, FS_IMMUTABLE_FL
_PROBE_NAME = ".coldchain-probe"
_IF_NOT = {
    Protection.PERMISSIONS: "run the service as an ordinary user, or set `protection: immutable` or `strongest`",
    Protection.IMMUTABLE: "is it ext4, XFS or Btrfs? If not, set `protection: strongest`",
    Protection.ZFS: "look at `zfs holds` and at what is mounted below `.zfs/snapshot`; protecting again takes the snapshot anew",
}


def protect(folder: Path, wanted: Protection) -> Probe:
    """Protect a folder and everything in it, then probe.

    Raises:
        ProtectionError: a method was asked for by name and is not in force afterwards. `strongest` takes what the
            system gives and reports it.
    """
    if wanted is Protection.NONE:
        return Probe("none", ())
    if wanted is Protection.ZFS:
        return _demand(folder, wanted, _hold_snapshot(folder))
    if wanted is not Protection.STRONGEST:
        return _demand(folder, wanted, _apply(folder, wanted))
    found = _try(folder, Protection.PERMISSIONS)
    if found.in_force and not _immutable(folder):
        return found
    strongest = _try(folder, Protection.IMMUTABLE)
    return strongest if strongest.in_force else found


def _hold_snapshot(folder: Path) -> Probe:
    """Protect by a ZFS snapshot with a hold, and try to write to it and to destroy it.

    The bytes in the snapshot are what is protected. What the live file system allows is not: its write bits are taken as far as this
    user may, which keeps accidents away, and whoever can give them back can change and delete the live files, not the snapshot.
    """
    for path in _bottom_up(folder):
        with suppress(ProtectionError):
            _take_write_bits(path)
    snapshot = zfs.keep(folder)
    holes = probe(snapshot.folder, Protection.ZFS).holes
    return Probe(str(Protection.ZFS), (*holes, "destroy the snapshot") if zfs.gives_way(snapshot) else holes)


def _immutable(folder: Path) -> bool:
    """Whether a folder has the immutable flag already, as a run that was cut off leaves it."""
    handle = _open_folder(folder)
    try:
        return bool(_flags(handle) & IMMUTABLE)
    finally:
        os.close(handle)


def probe(folder: Path, method: Protection) -> Probe:
    """Try to add, change, truncate, rename and delete; what succeeds is reported as a hole.

    No attempt can harm: being cut off in the middle leaves at most an empty folder.
    """
    victim = folder / MANIFEST
    attempts: dict[str, Callable[[], None]] = {
        "add a file": lambda: _attempt_add(folder),
        "write or truncate a file": lambda: os.close(os.open(victim, os.O_WRONLY | os.O_APPEND)),
        "rename or delete a file": victim.rmdir,  # "not a directory" is said only to one who may remove it
    }
    return Probe(str(method), tuple(name for name, attempt in attempts.items() if _succeeds(attempt)))


def set_immutable(path: Path, *, on: bool) -> None:
    """Set or clear the immutable flag of one file or folder. Raises OSError where the system does not allow it."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        flags = struct.unpack("l", fcntl.ioctl(handle, GET_FLAGS, b"\0" * 8))[0]
        changed = flags | IMMUTABLE if on else flags & ~IMMUTABLE
        if changed != flags:
            fcntl.ioctl(handle, SET_FLAGS, struct.pack("l", changed))
    finally:
        os.close(handle)


@contextmanager
def movable(folder: Path) -> Iterator[None]:
    """Let a folder be renamed while the context lasts: what is in it stays protected, and so is the folder again, under any name.

    Raises:
        ProtectionError: this user may not lift the folder's protection.
    """
    handle = _open_folder(folder)
    try:
        mode, flags = stat.S_IMODE(os.fstat(handle).st_mode), _flags(handle)
        try:
            _guard(handle, mode | stat.S_IWUSR, flags & ~IMMUTABLE, folder)
            yield
        finally:
            _guard(handle, mode, flags, folder)
    finally:
        os.close(handle)


def _open_folder(folder: Path) -> int:
    try:
        return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        raise _unchangeable(folder, error) from error


def _unchangeable(folder: Path, error: OSError) -> ProtectionError:
    return ProtectionError(
        "the protection of a folder cannot be changed",
        on=str(folder),
        got=error.strerror,
        done="its bytes are as they were",
        hint="needs the user who protected it",
    )


def _flags(handle: int) -> int:
    """Flags of an open file or folder; none on a file system that has none."""
    try:
        found: int = struct.unpack("l", fcntl.ioctl(handle, GET_FLAGS, b"\0" * 8))[0]
    except OSError:
        return 0
    return found


def _guard(handle: int, mode: int, flags: int, folder: Path) -> None:
    """Give an open folder this mode and these flags, where it has others; an immutable one takes no mode."""
    try:
        if _flags(handle) & IMMUTABLE and not flags & IMMUTABLE:
            fcntl.ioctl(handle, SET_FLAGS, struct.pack("l", flags))
        if stat.S_IMODE(os.fstat(handle).st_mode) != mode:
            os.fchmod(handle, mode)
        if _flags(handle) != flags:
            fcntl.ioctl(handle, SET_FLAGS, struct.pack("l", flags))
    except OSError as error:
        raise _unchangeable(folder, error) from error


def release(folder: Path) -> None:
    """Lift every protection from a folder: what waited out its grace in the trash, a demo, or a test.

    A file that has another name elsewhere keeps its protection there, and so here: it goes without, unless it is immutable.
    """
    paths = [path for path in reversed(list(_bottom_up(folder))) if _alone(path)]
    for path in paths:
        try:
            set_immutable(path, on=False)
        except OSError:
            continue  # a file system without the flag has nothing to lift
    for path in paths:
        with suppress(FileNotFoundError):  # a database's side files come and go
            path.chmod(path.stat().st_mode | 0o700)


def _alone(path: Path) -> bool:
    """Whether a path is the only name of its bytes; a folder always is."""
    with suppress(FileNotFoundError):
        found = path.lstat()
        return stat.S_ISDIR(found.st_mode) or found.st_nlink == 1
    return False


def _try(folder: Path, method: Protection) -> Probe:
    """Protect as far as this user may; where it cannot be set on every file nothing is said to be in force."""
    try:
        return _apply(folder, method)
    except ProtectionError:
        return Probe("none", ())


def _demand(folder: Path, wanted: Protection, found: Probe) -> Probe:
    if found.holes:
        raise ProtectionError(
            "write-protection is not in force",
            on=str(folder),
            expected=f"{wanted} to refuse every attempt",
            got="it was possible to " + ", ".join(found.holes),
            done="the data is verified and stays",
            hint=_IF_NOT[wanted],
        )
    return found


def _apply(folder: Path, method: Protection) -> Probe:
    for path in _bottom_up(folder):
        if method is Protection.PERMISSIONS:
            _take_write_bits(path)
        else:
            _make_immutable(path)
    return probe(folder, method)


def _take_write_bits(path: Path) -> None:
    mode = path.stat().st_mode
    try:
        if mode & 0o222:
            path.chmod(mode & ~0o222)
    except OSError as error:
        raise ProtectionError("write permission cannot be taken away", on=str(path), got=error.strerror, hint="needs the owner") from error


def _make_immutable(path: Path) -> None:
    try:
        set_immutable(path, on=True)
    except OSError as error:
        raise ProtectionError(
            "the immutable flag cannot be set", on=str(path), got=error.strerror, hint="needs root and ext4, XFS or Btrfs"
        ) from error


def _bottom_up(folder: Path) -> Iterator[Path]:
    """Yield every regular file, then its folder: a link leads elsewhere, and whoever opens a pipe waits for ever."""
    for parent, _, names in os.walk(folder, topdown=False):
        yield from (path for path in (Path(parent) / name for name in names) if stat.S_ISREG(path.lstat().st_mode))
        yield Path(parent)


def _succeeds(attempt: Callable[[], None]) -> bool:
    """Whether an attempt went through; only a refusal is a refusal, any other failure counts as a hole."""
    try:
        attempt()
    except OSError as error:
        return error.errno not in {errno.EACCES, errno.EPERM, errno.EROFS}
    return True


def _attempt_add(folder: Path) -> None:
    """Make an empty folder, which is no file of the artifact if we are cut off before it is gone again."""
    path = folder / _PROBE_NAME
    with suppress(FileExistsError):
        path.mkdir()
    path.rmdir()
