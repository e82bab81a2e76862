"""Files on a local disk: listing, copying, hashing and reading back, with hostile names in mind.

Bytes are hashed while they are copied, made durable, dropped from the page cache and read back from the disk itself. An acquisition may
be a hundred thousand small files: what is done for each of them works on open files and plain strings, and is counted in microseconds.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import stat
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from coldchain.errors import InputError, IntegrityError, UnsafePathError
from coldchain.file_errors import Reading, Writing
from coldchain.manifest import MANIFEST, Manifest, safe_name

BLOCK = 1 << 20
THREADS = 4
BATCH = 32
PARTIAL = ".coldchain-part"
_TO_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_TO_WRITE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
_blocks = threading.local()

Progress = Callable[[int, int], None]
"""Told files done and files in all."""

Stamps = dict[str, tuple[int, int]]
"""Of each file by its name: its bytes, and the time of its last change in ns."""


def no_progress(_done: int, _total: int) -> None:
    """Show nothing."""


def names_below(root: Path) -> list[str]:
    """List the regular files below a folder as relative names, sorted by bytes, without its manifest.

    Raises:
        UnsafePathError: a symbolic link, a device, or a name that cannot stand in a manifest.
    """
    with Reading(root):
        found = [safe_name(name) for name, _ in _walk(root) if name != MANIFEST]
    return sorted(found, key=os.fsencode)


def stamps_below(root: Path) -> Stamps:
    """The same files in the same order, each with its size and time; raises as `names_below` does."""
    with Reading(root):
        found = {safe_name(name): entry.stat(follow_symlinks=False) for name, entry in _walk(root) if name != MANIFEST}
    return {name: (found[name].st_size, found[name].st_mtime_ns) for name in sorted(found, key=os.fsencode)}


def changed_at(path: Path) -> dt.datetime:
    """When a file was last written to, or its attributes were: whoever sets the first time back moves the second."""
    with Reading(path):
        found = path.lstat()
    return dt.datetime.fromtimestamp(max(found.st_mtime, found.st_ctime), dt.UTC)


def _walk(root: Path) -> Iterator[tuple[str, os.DirEntry[str]]]:
    waiting = [""]
    while waiting:
        prefix = waiting.pop()
        with os.scandir(root / prefix) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(f"{prefix}{entry.name}/")
                elif entry.is_file(follow_symlinks=False):
                    yield prefix + entry.name, entry
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
    with Writing(target):
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
    return Manifest.of(zip(names, _parallel(lambda batch: [read_back(f"{root}/{name}") for name in batch], names, progress), strict=True))


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


def read_back(path: Path | str) -> str:
    """SHA-256 of a file's bytes as they stand on the disk: written out, dropped from the page cache, read again."""
    with Reading(path):
        handle, _ = _open_regular(path)
        try:
            _make_durable(handle)
            return _hash(handle)
        finally:
            os.close(handle)


def read_small(path: Path) -> bytes:
    """All bytes of a small file; raises IntegrityError where there is none."""
    with Reading(path):
        handle, _ = _open_regular(path)
        with os.fdopen(handle, "rb") as file:
            return file.read()


def partial_name(name: str) -> str:
    """Name under which a file is written until it is whole; short enough for any name, and its own for each."""
    return f".{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}{PARTIAL}"


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    with Writing(folder):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_durably(path: Path, content: bytes) -> None:
    """Write a small file whole or not at all."""
    partial = path.with_name(partial_name(path.name))
    with Writing(path):
        with open(_create(str(partial)), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    sync_folder(path.parent)


def _copy_batch(source: Path, target: Path, names: list[str], keep_times: bool) -> list[str]:
    """Copy some files and then make them durable: the first fsync writes down the names and sizes of all of them."""
    written: dict[str, int] = {}
    try:
        digests = [_copy_file(f"{source}/{name}", f"{target}/{name}", keep_times, written) for name in names]
        for path, handle in written.items():
            with Writing(path):
                _make_durable(handle)
    finally:
        for handle in written.values():
            os.close(handle)
    return digests


def _make_durable(handle: int) -> None:
    """Write a file out, and drop it from the page cache."""
    os.fsync(handle)
    os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)


def _copy_file(source: str, target: str, keep_times: bool, written: dict[str, int]) -> str:
    """Copy a file, unless it stands there whole; what is written stays open, among `written`, until it is durable."""
    with Reading(source):
        reading, before = _open_regular(source)
        try:
            times = before if keep_times else None
            digest = _left_whole(reading, before, target, times)
            if digest is None:
                written[target] = _create(target)
                digest = _write_whole(reading, written[target], target, times)
            _refuse_change(source, before, os.fstat(reading), os.lseek(reading, 0, os.SEEK_CUR))
        finally:
            os.close(reading)
    return digest


def _left_whole(reading: int, before: os.stat_result, target: str, times: os.stat_result | None) -> str | None:
    """The digest of a file that a run which was cut off left whole; nothing where none stands, or other bytes do."""
    if _size(target) != before.st_size:
        return None
    digest = _hash(reading)
    if not _holds(target, digest):
        return None
    if times is not None:
        _keep_times(target, times)
    return digest


def _holds(path: str, digest: str) -> bool:
    """Whether a file has these bytes; one that cannot be read is written again."""
    try:
        return read_back(path) == digest
    except (IntegrityError, InputError):
        return False


def _size(target: str) -> int | None:
    """Size of a file, or nothing where no regular file stands."""
    try:
        found = os.lstat(target)
    except OSError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def _keep_times(path: str, times: os.stat_result) -> None:
    """Give a file that was left whole its source's times: the run may have been cut off between its bytes and them."""
    with Writing(path):
        if os.lstat(path).st_mtime_ns != times.st_mtime_ns:
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns), follow_symlinks=False)


def _create(path: str) -> int:
    """Open a new or half-written file for writing, never through a link."""
    with Writing(path):
        return os.open(path, _TO_WRITE, 0o666)


def _write_whole(reading: int, writing: int, target: str, times: os.stat_result | None) -> str:
    """Copy all bytes from one open file to another through the hash, and have the system begin to write them out."""
    digest, block = hashlib.sha256(), _block()
    os.lseek(reading, 0, os.SEEK_SET)
    while count := os.readv(reading, [block]):
        digest.update(block[:count])
        with Writing(target):
            _write_all(writing, block[:count])
    with Writing(target):
        if times is not None:
            os.utime(writing, ns=(times.st_atime_ns, times.st_mtime_ns))
        os.posix_fadvise(writing, 0, 0, os.POSIX_FADV_DONTNEED)
    os.posix_fadvise(reading, 0, 0, os.POSIX_FADV_DONTNEED)
    return digest.hexdigest()


def _write_all(writing: int, content: memoryview) -> None:
    while content:
        content = content[os.write(writing, content) :]


def _hash(handle: int) -> str:
    digest, block = hashlib.sha256(), _block()
    while count := os.readv(handle, [block]):
        digest.update(block[:count])
    return digest.hexdigest()


def _block() -> memoryview:
    """Memory for one block, the same for all files of a thread: fresh pages would cost more than a small file's hash."""
    if not hasattr(_blocks, "block"):
        _blocks.block = memoryview(bytearray(BLOCK))
    found: memoryview = _blocks.block
    return found


def _open_regular(path: Path | str) -> tuple[int, os.stat_result]:
    """Open a file for reading, refusing links and anything that is not a regular file; gives what the system says of it, too."""
    handle = os.open(path, _TO_READ)
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode):
        os.close(handle)
        raise UnsafePathError("not a regular file", on=repr(str(path)))
    return handle, found


def _refuse_change(path: str, before: os.stat_result, after: os.stat_result, read: int) -> None:
    """Raise InputError where a file is not what it was, or where another number of bytes came from it than it has."""
    if (before.st_size, before.st_mtime_ns, before.st_size) != (after.st_size, after.st_mtime_ns, read):
        raise InputError(
            "a file changed while it was read",
            on=repr(path),
            expected=f"{before.st_size} bytes",
            got=f"{after.st_size} bytes, {read} of them read, or a new time",
            done="nothing was registered",
            hint="wait until the acquisition has ended, then start again",
        )
