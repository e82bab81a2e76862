"""Giving a folder that was put together elsewhere its name: a repair does, because damaged bytes stand in its place meanwhile.

A bucket renames nothing, so the objects are copied inside it. What a server says of its own copying counts for nothing either: each copy
is read back here before the manifest is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from coldchain.errors import IntegrityError
from coldchain.files import no_progress
from coldchain.manifest import MANIFEST, Manifest
from coldchain.store import compare
from tasks.stores import s3_download, s3_folders, s3_listing, s3_removal
from tasks.stores.s3_lanes import each
from tasks.stores.s3_upload import put_small, tag, tags_of

if TYPE_CHECKING:
    from tasks.stores.s3_connection import Connection
    from tasks.stores.s3_listing import Version

WHOLE = 5 << 30
"""Bytes that can be copied in one request."""

STEP = 1 << 30
"""Bytes of a part, where a file is larger."""


def move(conn: Connection, path: str, to: str) -> None:
    """Copy a folder's files to another name, read them back, write the manifest there, and remove the first.

    Raises:
        IntegrityError: a folder stands there, or the copies are not the files; these are removed, and the first folder stays.
    """
    if s3_folders.stands(conn, to):
        raise IntegrityError("a folder is already there", on=f"{conn.location}:{to}", done=f"the new bytes stay in {path}")
    text = s3_folders.manifest(conn, path)
    manifest, found = Manifest.parse(text, f"{conn.location}:{path}"), s3_folders.look(conn, path)
    each(lambda name: _copy(conn, found[name], conn.key(to, name)), list(manifest.entries))
    there = s3_listing.current(conn, conn.key(to))
    if wrong := compare(manifest, s3_download.read_back(conn, there, list(there), no_progress)):
        s3_removal.clear(conn, conn.key(to))
        raise IntegrityError(
            "files changed while a bucket copied them", on=f"{conn.location}:{to}", got=str(wrong[0]), done=f"they stay in {path}"
        )
    put_small(conn, conn.key(to, MANIFEST), text)
    s3_removal.clear(conn, conn.key(path))


def _copy(conn: Connection, version: Version, key: str) -> None:
    source = {"Bucket": conn.bucket, "Key": version.key, "VersionId": version.id}
    if version.size <= WHOLE:
        conn.call("copy_object", Key=key, CopySource=source)
        return
    upload = conn.call("create_multipart_upload", Key=key)["UploadId"]
    one = partial(_copy_part, conn, key, upload, source)
    parts = each(lambda part: one(*part), list(_ranges(version.size)))
    done = conn.call("complete_multipart_upload", Key=key, UploadId=upload, MultipartUpload={"Parts": parts})
    tag(conn, key, done.get("VersionId", "null"), tags_of(conn, version))


def _ranges(size: int) -> Iterator[tuple[int, str]]:
    for number, start in enumerate(range(0, size, STEP), 1):
        yield number, f"bytes={start}-{min(start + STEP, size) - 1}"


def _copy_part(conn: Connection, key: str, upload: str, source: dict[str, str], number: int, span: str) -> dict[str, Any]:
    answer = conn.call("upload_part_copy", Key=key, UploadId=upload, PartNumber=number, CopySource=source, CopySourceRange=span)
    return {"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]}
