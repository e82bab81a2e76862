"""Manifests: the list of an artifact's files and digests, in the format that ``sha256sum -c`` reads.

A line is ``<64 hex digits>  <name>``; a name with a backslash, newline or carriage return is escaped and its line begins
with a backslash, as GNU coreutils writes it. Names are kept as Python's file-system strings, so that bytes that are not
UTF-8 survive.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Self

from coldchain.errors import IntegrityError, UnsafePathError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MANIFEST = "MANIFEST.sha256"
_LINE = re.compile(rb"(\\?)([0-9a-f]{64}) [ *](.+)", re.DOTALL)
_ESCAPES = {b"\\": b"\\\\", b"\n": b"\\n", b"\r": b"\\r"}
_UNESCAPES = {escaped: plain for plain, escaped in _ESCAPES.items()}


@dataclass(frozen=True)
class Manifest:
    """Names (relative, POSIX separators) and their SHA-256 digests, sorted by the names' bytes."""

    entries: Mapping[str, str]

    @classmethod
    def of(cls, entries: Iterable[tuple[str, str]]) -> Self:
        """Make a manifest, refusing unsafe and repeated names."""
        found: dict[str, str] = {}
        for name, digest in entries:
            if safe_name(name) in found:
                raise IntegrityError("a manifest names a file twice", on=repr(name))
            found[name] = digest
        return cls(dict(sorted(found.items(), key=lambda entry: os.fsencode(entry[0]))))

    @classmethod
    def parse(cls, text: bytes, source: object = MANIFEST) -> Self:
        """Read a manifest; `source` is only for the message.

        Raises:
            IntegrityError: a line that is not one of ours, or a name that stands twice.
            UnsafePathError: a name that leaves the folder.
        """
        if text and not text.endswith(b"\n"):
            raise IntegrityError("a manifest ends in the middle of a line", on=source, hint="take it from another copy")
        return cls.of(_parse_line(line, number, source) for number, line in enumerate(text.split(b"\n")[:-1], 1))

    @cached_property
    def text(self) -> bytes:
        """The file's content, as ``sha256sum`` would write it."""
        return b"".join(_line(os.fsencode(name), digest) for name, digest in self.entries.items())

    @cached_property
    def digest(self) -> str:
        """SHA-256 of `text`: the artifact's name."""
        return hashlib.sha256(self.text).hexdigest()

    def difference(self, other: Manifest) -> list[str]:
        """Names that are not the same in both, sorted."""
        names = self.entries.keys() | other.entries.keys()
        return sorted(name for name in names if self.entries.get(name) != other.entries.get(name))


def safe_name(name: str) -> str:
    """Give back a relative name that stays in its folder, or raise UnsafePathError."""
    parts = name.split("/")
    if not name or "\0" in name or name.startswith("/") or any(part in {"", ".", ".."} for part in parts):
        raise UnsafePathError("a name does not stay in its folder", on=repr(name), expected="a relative path without . or ..")
    if name == MANIFEST:
        raise UnsafePathError("a file has the name of the manifest", on=name, hint="rename it before it is ingested")
    return name


def _line(name: bytes, digest: str) -> bytes:
    escaped = name
    for plain, written in _ESCAPES.items():  # the backslash first: what it writes is not escaped again
        escaped = escaped.replace(plain, written)
    return (b"\\" if escaped != name else b"") + digest.encode() + b"  " + escaped + b"\n"


def _parse_line(line: bytes, number: int, source: object) -> tuple[str, str]:
    match = _LINE.fullmatch(line)
    if match is None:
        raise IntegrityError("not a line of a manifest", on=f"{source}, line {number}", got=line[:80])
    escaped, digest, name = match.groups()
    return os.fsdecode(_unescape(name, number, source) if escaped else name), digest.decode()


def _unescape(name: bytes, number: int, source: object) -> bytes:
    def plain(match: re.Match[bytes]) -> bytes:
        try:
            return _UNESCAPES[match.group()]
        except KeyError:
            raise IntegrityError("unknown escape in a manifest", on=f"{source}, line {number}", got=match.group()) from None

    return re.sub(rb"\\.?", plain, name, flags=re.DOTALL)
