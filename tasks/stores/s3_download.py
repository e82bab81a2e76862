"""Bytes out of a bucket: each version is read whole, in order, some parts ahead, and hashed here. No checksum of the server's counts."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coldchain import files
from coldchain.errors import ColdchainError, IntegrityError, LocationUnreachable
from coldchain.file_errors import Writing
from coldchain.manifest import Manifest
from tasks.stores.s3_lanes import PART, each, lanes, ordered
from tasks.stores.s3_upload import holds

if TYPE_CHECKING:
    from tasks.stores.s3_connection import Connection
    from tasks.stores.s3_listing import Version

WAITS_S = (0.2, 0.5, 1.0)
"""Seconds before bytes are asked for again that were cut off on their way: the client itself tries again only until the first one."""

_TO_WRITE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC


def read_back(conn: Connection, found: Mapping[str, Version], names: list[str], progress: files.Progress) -> Manifest:
    """Read versions whole and hash them."""
    with lanes() as parts:
        digests = each(lambda name: _hash(stream(conn, found[name], parts)), names, progress)
    return Manifest.of(zip(names, digests, strict=True))


def get(conn: Connection, found: Mapping[str, Version], target: Path, names: list[str], progress: files.Progress) -> Manifest:
    """Copy versions into a local folder, durably; what a cut-off run left whole there is not fetched again."""
    folders = [target / folder for folder in files.folders_of(names)]
    with Writing(target):
        target.mkdir(parents=True, exist_ok=True)
        for folder in folders[1:]:
            folder.mkdir(exist_ok=True)
    with lanes() as parts:
        digests = each(lambda name: _fetch(conn, found[name], target / name, parts), names, progress)
    for folder in folders:
        files.sync_folder(folder)
    return Manifest.of(zip(names, digests, strict=True))


def stream(conn: Connection, version: Version, parts: ThreadPoolExecutor) -> Iterator[bytes]:
    """All bytes of a version, in order."""
    if version.size <= PART:
        yield _bytes(conn, version.key, {"VersionId": version.id})
    else:
        yield from ordered(parts, _ranges(conn, version))


def small(conn: Connection, key: str, version: str | None = None) -> bytes:
    """All bytes of a small object, or of one of its versions; raises NotThere where there is none."""
    return _bytes(conn, key, {"VersionId": version} if version else {})


def _ranges(conn: Connection, version: Version) -> Iterator[Callable[[], bytes]]:
    for start in range(0, version.size, PART):
        which = {"VersionId": version.id, "Range": f"bytes={start}-{min(start + PART, version.size) - 1}"}
        yield partial(_bytes, conn, version.key, which)


def _bytes(conn: Connection, key: str, which: Mapping[str, Any]) -> bytes:
    """Bytes of an object, asked for again where they were cut off on their way."""
    for wait in WAITS_S:
        body = conn.call("get_object", Key=key, **which)["Body"]
        try:
            return _read(conn, key, body)
        except LocationUnreachable:
            time.sleep(wait)
    return _read(conn, key, conn.call("get_object", Key=key, **which)["Body"])


def _read(conn: Connection, key: str, body: Any) -> bytes:
    with conn.border(key):
        return bytes(body.read())


def _hash(blocks: Iterator[bytes]) -> str:
    digest = hashlib.sha256()
    for block in blocks:
        digest.update(block)
    return digest.hexdigest()


def _fetch(conn: Connection, version: Version, target: Path, parts: ThreadPoolExecutor) -> str:
    """Write a version beside its name, whole and durable, and then give it its name."""
    if known := _left_whole(conn, version, target):
        return known
    digest, length, beside = hashlib.sha256(), 0, target.with_name(files.partial_name(target.name))
    with Writing(target):
        handle = os.open(beside, _TO_WRITE, 0o666)
    with os.fdopen(handle, "wb") as file:
        for block in stream(conn, version, parts):
            digest.update(block)
            length += len(block)
            with Writing(target):
                file.write(block)
        _refuse_short(conn, version, length)
        with Writing(target):
            file.flush()
            os.fsync(file.fileno())
            beside.replace(target)
    return digest.hexdigest()


def _refuse_short(conn: Connection, version: Version, length: int) -> None:
    if length != version.size:
        raise IntegrityError(
            "a bucket does not give all bytes of a file",
            on=f"{conn.location}:{version.key.removeprefix(conn.prefix)!r}",
            expected=f"{version.size} bytes",
            got=length,
        )


def _left_whole(conn: Connection, version: Version, target: Path) -> str | None:
    """The digest of a file that a run which was cut off left whole; what it is held against is what was known when the object was sent."""
    try:
        if target.lstat().st_size != version.size:
            return None
        digest = files.read_back(target)
    except (OSError, ColdchainError):  # what cannot be read is fetched
        return None
    return digest if holds(conn, version, digest) else None
