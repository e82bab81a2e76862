"""What the system says when a file cannot be read or written, in the product's words: the one border for local disks."""

from __future__ import annotations

import errno
from pathlib import Path
from types import TracebackType

from coldchain.errors import (
    ColdchainError,
    ConfigurationError,
    InputError,
    IntegrityError,
    LocationUnreachable,
    OutOfSpace,
    UnsafePathError,
)

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
VANISHED = frozenset(number for number, (kind, _) in _ON_READING.items() if kind is LocationUnreachable)
"""What the system says when a whole location went, and no file of it is to blame."""

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


class _Border:
    """A block in which what the system says is translated; a class, because it is entered for every file and a generator costs more."""

    __slots__ = ("path",)

    def __init__(self, path: Path | str) -> None:
        """Name the file or folder, for what the system does not name."""
        self.path = path

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Translate what the system says; other errors pass."""
        if isinstance(error, OSError):
            raise self._translated(error) from error

    def _translated(self, error: OSError) -> ColdchainError:
        raise NotImplementedError


class Reading(_Border):
    """A block in which a file or folder is read."""

    __slots__ = ()

    def _translated(self, error: OSError) -> ColdchainError:
        kind, what = _ON_READING.get(error.errno or 0, (InputError, "a file cannot be read"))
        return kind(what, on=repr(str(error.filename or self.path)), got=error.strerror, done="nothing was changed")


class Writing(_Border):
    """A block in which a file or folder is written."""

    __slots__ = ()

    def _translated(self, error: OSError) -> ColdchainError:
        kind, what = _ON_WRITING.get(error.errno or 0, (LocationUnreachable, "a location does not take bytes"))
        done, hint = "what is whole stays in staging", "mend that, then start again"
        return kind(what, on=repr(str(self.path)), got=error.strerror, done=done, hint=hint)
