"""What stands in a bucket: every version of every key below a folder, and which of them are current.

Pages are asked for by the last key that was seen, and not by the marker that the server gives: Ceph does not encode it, botocore decodes
it all the same, and names with ``+`` or ``%`` were listed twice or never.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

if TYPE_CHECKING:
    from tasks.stores.s3_connection import Connection


@dataclass(frozen=True)
class Version:
    """One version of a key; a *marker* says that the key was deleted, and has no bytes."""

    key: str
    id: str
    at: dt.datetime
    latest: bool
    size: int = 0
    marker: bool = False
    storage: str = "STANDARD"

    @property
    def current(self) -> bool:
        """Whether this is what a reader who names no version gets."""
        return self.latest and not self.marker


def versions(conn: Connection, under: str) -> list[Version]:
    """Every version and marker of the keys that begin so, sorted by key; of one key in no order but that of `latest`."""
    return sorted((found for page in _pages(conn, under) for found in _of_page(page)), key=lambda found: found.key.encode())


def current(conn: Connection, under: str) -> dict[str, Version]:
    """Current version of each key that begins so, by what follows."""
    return {found.key.removeprefix(under): found for found in versions(conn, under) if found.current}


def below(conn: Connection, under: str) -> list[str]:
    """Names directly below a folder, of files and of folders, sorted by bytes; what is gone has none."""
    found: set[str] = set()
    after: dict[str, Any] = {}
    while True:
        page = conn.call("list_objects_v2", Prefix=under, Delimiter="/", **after)
        found |= {each["Key"] for each in page.get("Contents", [])} | {each["Prefix"] for each in page.get("CommonPrefixes", [])}
        if not page.get("IsTruncated"):
            return sorted({key.removeprefix(under).rstrip("/") for key in found} - {""}, key=str.encode)
        after = {"ContinuationToken": page["NextContinuationToken"]}


def _pages(conn: Connection, under: str) -> Iterator[dict[str, Any]]:
    after: dict[str, Any] = {}
    while True:
        page = conn.call("list_object_versions", Prefix=under, EncodingType="url", **after)
        yield page
        if not page.get("IsTruncated"):
            return
        after = _after(page)


def _after(page: dict[str, Any]) -> dict[str, str]:
    """Where the next page begins: after the last key of this one, and after the last of its versions that was listed."""
    last = max((_plain(each["Key"]) for kind in ("Versions", "DeleteMarkers") for each in page.get(kind, [])), key=str.encode)
    return {"KeyMarker": last, "VersionIdMarker": page["NextVersionIdMarker"]}


def _of_page(page: dict[str, Any]) -> Iterator[Version]:
    for kind in ("Versions", "DeleteMarkers"):
        for each in page.get(kind, []):
            yield Version(
                key=_plain(each["Key"]),
                id=each["VersionId"],
                at=each["LastModified"],
                latest=each["IsLatest"],
                size=each.get("Size", 0),
                marker=kind == "DeleteMarkers",
                storage=each.get("StorageClass", "STANDARD"),
            )


def _plain(encoded: str) -> str:
    return unquote_plus(encoded)
