"""Files on a local disk: listing, copying, hashing and reading back, with hostile names in mind.

Bytes are hashed while they are copied, made durable, dropped from the page cache and read back from the disk itself.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from coldchain.errors import (
    ColdchainError,
    ConfigurationError,
    InputError,
    IntegrityError,
    LocationUnreachable,
    OutOfSpace,
    UnsafePathError,
)
from coldchain.manifest import MANIFEST, Manifest, safe_name

BLOCK = 1 << 20
THREADS = 2
BATCH = 32
PARTIAL = ".coldchain-part"
_blocks = threading.local()

_ON_READING: dict[int, tuple[type[ColdchainError], str]] = {
    errno.ENOENT: (IntegrityError, "a file is missing"),
    errno.ENOTDIR: (IntegrityError, "a file is missing"),
    errno.EIO: (IntegrityError, "the disk does not give a file's bytes back"),
    errno.ELOOP: (UnsafePathError, "not a regular file"),
    errno.ENXIO: (UnsafePathError, "not a regular file"),
    errno.ESTALE: (LocationUnreachable, "a location vanished while it was read"),
    errno.ENOTCONN: (LocationUnreachable, "a location vanished while it was read"),
    errno.ENODEV: (LocationUnreachable, "a location vanished while it was read"),
    errno.ETIMEDOUT: (LocationUnreachable, "a location vanished while it was read"),
}
_ON_WRITING: dict[int, tuple[type[ColdchainError], str]] = {
    errno.ENOSPC: (OutOfSpace, "no space left"),
    errno.EDQUOT: (OutOfSpace, "no space left"),
    errno.EACCES: (ConfigurationError, "this user may not write here"),
    errno.EPERM: (ConfigurationError, "this user may not write here"),
    errno.EROFS: (ConfigurationError, "the file system is mounted read-only"),
    errno.ENAMETOOLONG: (ConfigurationError, "a name is too long for the location's file system"),
    errno.EILSEQ: (ConfigurationError, "a name is not possible on the location's file system"),
    errno.EINVAL: (ConfigurationError, "a name is not possible on the location's file system"),
    errno.EFBIG: (ConfigurationError, "a file is too large for the location's file system"),
    errno.ELOOP: (ConfigurationError, "a symbolic link stands where a file is to be written"),
    errno.EISDIR: (ConfigurationError, "a folder stands where a file is to be written"),
    errno.ENOTDIR: (ConfigurationError, "a file stands where a folder is to be written"),
    errno.EEXIST: (ConfigurationError, "a file stands where a folder is to be written"),
}

Progress = Callable[[int, int], None]
"""Told files done and files in all."""


def no_progress(_done: int, _total: int) -> None:
    """Show nothing."""


def names_below(root: Path) -> list[str]:
    """List the regular files below a folder as relative names, sorted by bytes, without its manifest.

    Raises:
        UnsafePathError: a symbolic link, a device, or a name that cannot stand in a manifest.
    """
    with _reading(root):
        found = [safe_name(name) for name in _walk(root) if name != MANIFEST]
    return sorted(found, key=os.fsencode)


def _walk(root: Path) -> Iterator[str]:
    waiting = [""]
    while waiting:
        prefix = waiting.pop()
        with os.scandir(root / prefix) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(f"{prefix}{entry.name}/")
                elif entry.is_file(follow_symlinks=False):
                    yield prefix + entry.name
                else:
                    kind = "a symbolic link" if entry.is_symlink() else "not a regular file"
                    raise UnsafePathError(f"{kind} stands among the data", on=repr(entry.path), hint="replace it by the file itself")


def folders_of(names: Iterable[str]) -> list[str]:
    """Every folder that relative names pass through, the root (an empty name) first and parents before children."""
    found = {""}
    for name in names:
        folder = name.rpartition("/")[0]
        while folder not in found:
            found.add(folder)
            folder = folder.rpartition("/")[0]
    return sorted(found)


def copy_tree(source: Path, target: Path, names: list[str], progress: Progress = no_progress, *, keep_times: bool = True) -> Manifest:
    """Copy files by name into a folder that has only a temporary name, hashing what is read and making all of it durable.

    A file that already stands in `target` with the same bytes (from a run that was cut off) is not written again; one that
    was cut off in the middle is. Nothing here says that `target` holds what was read: `hash_tree` does. Without `keep_times`
    the files are as old as their copy: a cluster's scratch removes what looks old.

    Returns:
        The manifest of what was read from `source`.
    """
    folders = [target / folder for folder in folders_of(names)]
    with _writing(target):
        target.mkdir(parents=True, exist_ok=True)
        for folder in folders[1:]:
            folder.mkdir(exist_ok=True)
    digests = _parallel(lambda batch: _copy_batch(source, target, batch, keep_times), names, progress)
    for folder in folders:
        sync_folder(folder)
    return Manifest.of(zip(names, digests, strict=True))


def hash_tree(root: Path, names: list[str], progress: Progress = no_progress) -> Manifest:
    """Read files back from the disk itself (not the page cache) and hash them; their names are made durable first."""
    for folder in folders_of(names):
        sync_folder(root / folder)
    return Manifest.of(zip(names, _parallel(lambda batch: [read_back(root / name) for name in batch], names, progress), strict=True))


def _parallel(work: Callable[[list[str]], list[str]], names: list[str], progress: Progress) -> list[str]:
    """Work on names in batches, in threads; a batch a turn, because waking a thread costs as much as a small file."""
    size = max(1, min(BATCH, len(names) // (THREADS * 8)))
    batches = [names[start : start + size] for start in range(0, len(names), size)]
    results: list[str] = []
    with ThreadPoolExecutor(THREADS) as pool:
        for batch in pool.map(work, batches):
            results += batch
            progress(len(results), len(names))
    return results


def read_back(path: Path) -> str:
    """SHA-256 of a file's bytes as they stand on the disk: written out, dropped from the page cache, read again."""
    with _open_regular(path) as file:
        os.fsync(file)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        return _hash(file)


def read_small(path: Path) -> bytes:
    """All bytes of a small file; raises IntegrityError where there is none."""
    with _open_regular(path) as handle, open(handle, "rb", closefd=False) as file:
        return file.read()


def partial_name(name: str) -> str:
    """Name under which a file is written until it is whole; short enough for any name, and its own for each."""
    return f".{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}{PARTIAL}"


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    with _writing(folder):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_durably(path: Path, content: bytes) -> None:
    """Write a small file whole or not at all."""
    partial = path.with_name(partial_name(path.name))
    with _writing(path):
        with open(_create(partial), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    sync_folder(path.parent)


def _create(path: Path) -> int:
    """Open a new or half-written file for writing, never through a link."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)


def _copy_batch(source: Path, target: Path, names: list[str], keep_times: bool) -> list[str]:
    """Copy some files and then make them durable: the first fsync writes down the names and sizes of all of them."""
    digests = [_copy_file(source / name, target / name, keep_times) for name in names]
    for name in names:
        _make_durable(target / name)
    return digests


def _make_durable(path: Path) -> None:
    """Write a file out, and drop it from the page cache."""
    with _writing(path):
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.fsync(handle)
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(handle)


def _copy_file(source: Path, target: Path, keep_times: bool) -> str:
    with _open_regular(source) as reading:
        before = os.fstat(reading)
        digest = _hash(reading) if _size(target) == before.st_size else None
        if digest is None or not _holds(target, digest):
            digest = _write_whole(reading, target, before if keep_times else None)
        elif keep_times:
            _keep_times(target, before)
        _refuse_change(source, before, os.fstat(reading))
        return digest


def _holds(path: Path, digest: str) -> bool:
    """Whether a file from a run that was cut off has these bytes; one that cannot be read is written again."""
    try:
        return read_back(path) == digest
    except (IntegrityError, InputError):
        return False


def _size(path: Path) -> int | None:
    """Size of a file, or nothing where no regular file stands."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def _keep_times(path: Path, times: os.stat_result) -> None:
    """Give a file that was left whole its source's times: the run may have been cut off between its bytes and them."""
    with _writing(path):
        if path.lstat().st_mtime_ns != times.st_mtime_ns:
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns), follow_symlinks=False)


def _write_whole(reading: int, target: Path, times: os.stat_result | None) -> str:
    with _writing(target):
        writing = _create(target)
    try:
        digest = _pump(reading, writing, target)
        with _writing(target):
            if times is not None:
                os.utime(writing, ns=(times.st_atime_ns, times.st_mtime_ns))
            os.posix_fadvise(writing, 0, 0, os.POSIX_FADV_DONTNEED)  # begins to write it out
    finally:
        os.close(writing)
    os.posix_fadvise(reading, 0, 0, os.POSIX_FADV_DONTNEED)
    return digest


def _pump(reading: int, writing: int, target: Path) -> str:
    """Copy all bytes from one open file to another through the hash."""
    digest, block = hashlib.sha256(), _block()
    os.lseek(reading, 0, os.SEEK_SET)
    while count := os.readv(reading, [block]):
        digest.update(block[:count])
        with _writing(target):
            _write_all(writing, block[:count])
    return digest.hexdigest()


def _write_all(writing: int, content: memoryview) -> None:
    while content:
        content = content[os.write(writing, content) :]


def _hash(handle: int) -> str:
    digest, block = hashlib.sha256(), _block()
    os.lseek(handle, 0, os.SEEK_SET)
    while count := os.readv(handle, [block]):
        digest.update(block[:count])
    return digest.hexdigest()


def _block() -> memoryview:
    """Memory for one block, the same for all files of a thread: fresh pages would cost more than a small file's hash."""
    if not hasattr(_blocks, "block"):
        _blocks.block = memoryview(bytearray(BLOCK))
    found: memoryview = _blocks.block
    return found


@contextmanager
def _open_regular(path: Path) -> Iterator[int]:
    """Open a file for reading, refusing links and anything that is not a regular file."""
    with _reading(path):
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
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
def _reading(path: Path) -> Iterator[None]:
    """Translate what the system says when a file or folder cannot be read."""
    try:
        yield
    except OSError as error:
        kind, what = _ON_READING.get(error.errno or 0, (InputError, "a file cannot be read"))
        raise kind(what, on=repr(str(error.filename or path)), got=error.strerror, done="nothing was changed") from error


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Translate what the system says when a file or folder cannot be written."""
    try:
        yield
    except OSError as error:
        kind, what = _ON_WRITING.get(error.errno or 0, (LocationUnreachable, "a location does not take bytes"))
        raise kind(
            what, on=repr(str(path)), got=error.strerror, done="what is whole stays in staging", hint="mend that, then start again"
        ) from error
