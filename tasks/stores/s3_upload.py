"""Files into a bucket: each is read once, hashed while it is read, and goes up whole or not at all."""

from __future__ import annotations

import base64
import hashlib
import os
import stat
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coldchain.errors import ColdchainError, InputError, UnsafePathError
from coldchain.file_errors import Reading
from coldchain.manifest import Manifest
from tasks.stores import s3_listing
from tasks.stores.s3_lanes import PART, each, lanes, ordered, part_size

if TYPE_CHECKING:
    from coldchain.files import Progress
    from tasks.stores.s3_connection import Connection
    from tasks.stores.s3_listing import Version

DIGEST = "coldchain-sha256"
"""Metadata of an object, or tag of one that went up in parts, with the SHA-256 of all its bytes: its digest is known only at their end."""

LARGE_FILES = 2
"""Large files under way at once: each holds some parts in memory."""

_TO_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True)
class Source:
    """A file that is open for reading, as it was when it was opened."""

    path: str
    handle: int
    stat: os.stat_result

    def blocks(self, size: int) -> Iterator[bytes]:
        """All bytes from its beginning, in blocks of `size`; the last is shorter, and an empty file has one empty block.

        Raises:
            InputError: the file is not what it was when it was opened.
        """
        at, first = 0, True
        while (block := self._read(size, at)) or first:
            at, first = at + len(block), False
            yield block
        self._refuse_change(at)

    def _read(self, size: int, at: int) -> bytes:
        """A whole block, or what is left."""
        parts, wanted = [], size
        with Reading(self.path):
            while wanted and (part := os.pread(self.handle, wanted, at)):
                parts.append(part)
                at, wanted = at + len(part), wanted - len(part)
        return b"".join(parts)

    def _refuse_change(self, read: int) -> None:
        now, then = os.fstat(self.handle), self.stat
        if (then.st_size, then.st_mtime_ns, then.st_size) != (now.st_size, now.st_mtime_ns, read):
            raise InputError(
                "a file changed while it was read",
                on=repr(self.path),
                expected=f"{then.st_size} bytes",
                got=f"{now.st_size} bytes, {read} of them read, or a new time",
                done="nothing was registered",
                hint="wait until the acquisition has ended, then start again",
            )


@contextmanager
def opened(path: str) -> Iterator[Source]:
    """Open a regular file, through no link; raises UnsafePathError where it is another thing, IntegrityError where there is none."""
    with Reading(path):
        handle = os.open(path, _TO_READ)
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise UnsafePathError("not a regular file", on=repr(path))
        yield Source(path, handle, found)
    finally:
        os.close(handle)


def put(conn: Connection, source: Path, path: str, names: list[str], progress: Progress) -> Manifest:
    """Upload files below a folder; those that stand there whole are left alone. Parts that a cut-off run left are given back first."""
    under = conn.key(path)
    keys = {name: conn.key(path, name) for name in names}
    standing = s3_listing.current(conn, under)
    abandon(conn, under)
    large = threading.Semaphore(LARGE_FILES)
    with lanes() as parts:

        def one(name: str) -> str:
            with opened(f"{source}/{name}") as file:
                digest = _left_whole(conn, file, standing.get(name))
                return digest or _send(conn, keys[name], file, parts, large)

        digests = each(one, names, progress)
    return Manifest.of(zip(names, digests, strict=True))


def put_small(conn: Connection, key: str, content: bytes, **more: Any) -> str:
    """Upload a small object whole; gives its version."""
    digest = hashlib.sha256(content)
    answer = conn.call(
        "put_object",
        Key=key,
        Body=content,
        ChecksumSHA256=base64.b64encode(digest.digest()).decode(),
        Metadata={DIGEST: digest.hexdigest()},
        **more,
    )
    return str(answer.get("VersionId", "null"))


def holds(conn: Connection, version: Version, digest: str) -> bool:
    """Whether an object says that it has these bytes. It is only a reason not to send them again: what counts is what is read back."""
    head = conn.call("head_object", Key=version.key, VersionId=version.id, ChecksumMode="ENABLED")
    theirs = "" if "-" in head["ETag"] else head.get("ChecksumSHA256", "")  # of parts it would be one over their digests
    if theirs and base64.b64decode(theirs).hex() != digest:
        return False
    return digest in {head["Metadata"].get(DIGEST), tags_of(conn, version).get(DIGEST) if head.get("TagCount") else None}


def tags_of(conn: Connection, version: Version) -> dict[str, str]:
    """Tags of a version."""
    found = conn.call("get_object_tagging", Key=version.key, VersionId=version.id)["TagSet"]
    return {tag["Key"]: tag["Value"] for tag in found}


def tag(conn: Connection, key: str, version: str, tags: dict[str, str]) -> None:
    """Give a version these tags, and no others."""
    said = [{"Key": name, "Value": value} for name, value in tags.items()]
    conn.call("put_object_tagging", Key=key, VersionId=version, Tagging={"TagSet": said})


def abandon(conn: Connection, under: str) -> None:
    """Give up uploads in parts that were cut off below a folder: nobody sees their bytes, and they are paid for."""
    for found in conn.call("list_multipart_uploads", Prefix=under).get("Uploads", []):
        conn.ask("abort_multipart_upload", {"NoSuchUpload"}, Key=found["Key"], UploadId=found["UploadId"])


def _left_whole(conn: Connection, file: Source, standing: Version | None) -> str | None:
    """The digest of a file that stands there already; nothing where none stands, or other bytes do."""
    if standing is None or standing.size != file.stat.st_size:
        return None
    digest = hashlib.sha256()
    for block in file.blocks(PART):
        digest.update(block)
    return digest.hexdigest() if holds(conn, standing, digest.hexdigest()) else None


def _send(conn: Connection, key: str, file: Source, parts: ThreadPoolExecutor, large: threading.Semaphore) -> str:
    if file.stat.st_size <= PART:
        content = b"".join(file.blocks(PART))
        put_small(conn, key, content)
        return hashlib.sha256(content).hexdigest()
    with large:
        return _send_in_parts(conn, key, file, parts)


def _send_in_parts(conn: Connection, key: str, file: Source, parts: ThreadPoolExecutor) -> str:
    """Send a large file: it appears when its last part stands, and its digest is tagged then."""
    upload = conn.call("create_multipart_upload", Key=key, ChecksumAlgorithm="SHA256")["UploadId"]
    digest = hashlib.sha256()
    try:
        sent = list(ordered(parts, _parts(conn, key, upload, file, digest)))
        done = conn.call("complete_multipart_upload", Key=key, UploadId=upload, MultipartUpload={"Parts": sent})
    except ColdchainError:
        with _best_effort():
            conn.call("abort_multipart_upload", Key=key, UploadId=upload)
        raise
    tag(conn, key, done.get("VersionId", "null"), {DIGEST: digest.hexdigest()})
    return digest.hexdigest()


def _parts(conn: Connection, key: str, upload: str, file: Source, digest: Any) -> Iterator[Callable[[], dict[str, Any]]]:
    for number, block in enumerate(file.blocks(part_size(file.stat.st_size)), 1):
        digest.update(block)
        yield partial(_part, conn, key, upload, number, block)


def _part(conn: Connection, key: str, upload: str, number: int, block: bytes) -> dict[str, Any]:
    """Send one part with its own digest; where the server knows that digest, it is asked to hold the whole against it, too."""
    checksum = base64.b64encode(hashlib.sha256(block).digest()).decode()
    answer = conn.call("upload_part", Key=key, UploadId=upload, PartNumber=number, Body=block, ChecksumSHA256=checksum)
    known = {"ChecksumSHA256": checksum} if answer.get("ChecksumSHA256") else {}
    return {"PartNumber": number, "ETag": answer["ETag"], **known}


@contextmanager
def _best_effort() -> Iterator[None]:
    """A block that tidies up after an error, which is what people need to hear."""
    try:
        yield
    except ColdchainError:
        return
