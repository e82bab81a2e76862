"""Files on a local disk: listing, copying, hashing and reading back, with hostile names in mind.

Bytes are hashed while they are copied, made durable, dropped from the page cache and read back from the disk itself.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from coldchain.errors import InputError, IntegrityError, OutOfSpace, UnsafePathError
from coldchain.manifest import MANIFEST, Manifest, safe_name

BLOCK = 1 << 20
THREADS = 2
PARTIAL = ".coldchain-part"

Progress = Callable[[int, int], None]
"""Told files done and files in all."""


def no_progress(_done: int, _total: int) -> None:
    """Show nothing."""


def names_below(root: Path) -> list[str]:
    """List the regular files below a folder as relative names, sorted by bytes, without its manifest.

    Raises:
        UnsafePathError: a symbolic link, a device, or a name that cannot stand in a manifest.
    """
    found = [safe_name(name) for name in _walk(root, "") if name != MANIFEST]
    return sorted(found, key=os.fsencode)


def _walk(folder: Path, prefix: str) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            name = prefix + entry.name
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(folder / entry.name, name + "/")
            elif entry.is_file(follow_symlinks=False):
                yield name
            else:
                kind = "a symbolic link" if entry.is_symlink() else "not a regular file"
                raise UnsafePathError(f"{kind} stands among the data", on=repr(str(folder / entry.name)), hint="replace it by the file itself")


def copy_tree(source: Path, target: Path, names: list[str], progress: Progress = no_progress) -> Manifest:
    """Copy files by name, hashing what is read; each becomes durable under its name only when whole.

    A file that already stands in `target` with the same bytes (from a run that was cut off) is not written again.

    Returns:
        The manifest of what was read from `source`.
    """
    for folder in sorted({(target / name).parent for name in names} | {target}):
        folder.mkdir(parents=True, exist_ok=True)
    digests = _parallel(lambda name: _copy_file(source / name, target / name), names, progress)
    for folder in {(target / name).parent for name in names} | {target}:
        sync_folder(folder)
    return Manifest.of(zip(names, digests, strict=True))


def hash_tree(root: Path, names: list[str], progress: Progress = no_progress) -> Manifest:
    """Read files back from the disk itself (not the page cache) and hash them; their names are made durable first."""
    for folder in {(root / name).parent for name in names}:
        sync_folder(folder)
    return Manifest.of(zip(names, _parallel(lambda name: read_back(root / name), names, progress), strict=True))


def _parallel(work: Callable[[str], str], names: list[str], progress: Progress) -> list[str]:
    results: list[str] = []
    with ThreadPoolExecutor(THREADS) as pool:
        for result in pool.map(work, names):
            results.append(result)
            progress(len(results), len(names))
    return results


def read_back(path: Path) -> str:
    """SHA-256 of a file's bytes as they stand on the disk: written out, dropped from the page cache, read again."""
    with _open_regular(path) as file:
        os.fsync(file)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        return _hash(file)


def partial_name(name: str) -> str:
    """Name under which a file is written until it is whole; short enough for any name, and its own for each."""
    return f".{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}{PARTIAL}"


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_durably(path: Path, content: bytes) -> None:
    """Write a small file whole or not at all."""
    partial = path.with_name(partial_name(path.name))
    with _space(path), partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    sync_folder(path.parent)


def _copy_file(source: Path, target: Path) -> str:
    with _open_regular(source) as reading:
        before = os.fstat(reading)
        if (digest := _already_there(target, before.st_size, reading)) is None:
            digest = _write_whole(reading, target, before)
        _refuse_change(source, before, os.fstat(reading))
        return digest


def _already_there(target: Path, size: int, source: int) -> str | None:
    """Digest of the source where the target holds the same bytes, else nothing."""
    if not target.is_file() or target.stat().st_size != size:
        return None
    digest = _hash(source)
    return digest if read_back(target) == digest else None


def _write_whole(reading: int, target: Path, before: os.stat_result) -> str:
    partial = target.with_name(partial_name(target.name))
    with _space(target), partial.open("wb", buffering=0) as writing:
        digest = _pump(reading, writing.fileno())
        os.utime(writing.fileno(), ns=(before.st_atime_ns, before.st_mtime_ns))
        os.fsync(writing.fileno())
    partial.replace(target)
    return digest


def _pump(reading: int, writing: int) -> str:
    """Copy all bytes from one open file to another through the hash."""
    digest, buffer = hashlib.sha256(), memoryview(bytearray(BLOCK))
    os.lseek(reading, 0, os.SEEK_SET)
    while count := os.readv(reading, [buffer]):
        digest.update(buffer[:count])
        written = 0
        while written < count:
            written += os.write(writing, buffer[written:count])
    return digest.hexdigest()


def _hash(handle: int) -> str:
    digest, buffer = hashlib.sha256(), memoryview(bytearray(BLOCK))
    os.lseek(handle, 0, os.SEEK_SET)
    while count := os.readv(handle, [buffer]):
        digest.update(buffer[:count])
    return digest.hexdigest()


@contextmanager
def _open_regular(path: Path) -> Iterator[int]:
    """Open a file for reading, refusing links and anything that is not a regular file."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise IntegrityError("a file is missing", on=repr(str(path)), expected="a file", got="nothing") from error
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENXIO}:
            raise UnsafePathError("not a regular file", on=repr(str(path)), got=error.strerror) from error
        raise InputError("a file cannot be read", on=repr(str(path)), got=error.strerror) from error
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise UnsafePathError("not a regular file", on=repr(str(path)))
        yield handle
    finally:
        os.close(handle)


def _refuse_change(path: Path, before: os.stat_result, after: os.stat_result) -> None:
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise InputError(
            "a file changed while it was read",
            on=repr(str(path)),
            expected=f"{before.st_size} bytes",
            got=f"{after.st_size} bytes, or a new time",
            done="nothing was registered",
            hint="wait until the acquisition has ended, then start again",
        )


@contextmanager
def _space(path: Path) -> Iterator[None]:
    """Translate a full disk or quota."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise OutOfSpace(
                "no space left", on=repr(str(path)), got=error.strerror, done="what is whole stays in staging", hint="free space, then start again"
            ) from error
        raise
