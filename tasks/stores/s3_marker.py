"""The marker of a location in a bucket: its identity, given once, whoever asks at the same time."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING

from coldchain.errors import LocationUnreachable
from tasks.stores import s3_listing, s3_removal
from tasks.stores.s3_download import small
from tasks.stores.s3_errors import NotThere
from tasks.stores.s3_upload import put_small

if TYPE_CHECKING:
    from tasks.stores.s3_connection import Connection

MARKER = ".coldchain", "location.json"


def identity(conn: Connection) -> str:
    """The identity that stands in the location's marker; raises LocationUnreachable where none does."""
    try:
        return str(json.loads(small(conn, conn.key(*MARKER)))["identity"])
    except (NotThere, ValueError, KeyError, TypeError) as error:
        raise LocationUnreachable(
            "a location does not show its identity",
            on=f"{conn.location}: bucket {conn.bucket}, {conn.prefix!r}",
            expected="a readable " + "/".join(MARKER),
            got=f"{type(error).__name__}",
            hint="is it the right bucket? A new location is registered by `coldchain doctor --register`",
        ) from error


def mark(conn: Connection) -> str:
    """Write an identity if there is none, and give the one that stands.

    That nobody else writes one at the same time cannot be asked of every server (Ceph ignores the condition in a bucket with versions):
    of several the oldest stays, and each writer takes its own away where another was first. Whoever was told one that did not stay finds
    the location unreachable, and registers again.
    """
    key = conn.key(*MARKER)
    if not s3_listing.current(conn, key):
        content = json.dumps({"identity": uuid.uuid4().hex, "name": conn.location}).encode() + b"\n"
        settle(conn, put_small(conn, key, content))
    return identity(conn)


def settle(conn: Connection, ours: str) -> None:
    """Take our marker away where another was written first, after the last one that was removed."""
    there = s3_listing.versions(conn, conn.key(*MARKER))
    removed = max((each.at for each in there if each.marker), default=None)
    rivals = sorted(
        (each for each in there if not each.marker and (removed is None or each.at >= removed)), key=lambda each: (each.at, each.id)
    )
    if rivals and rivals[0].id != ours:
        s3_removal.remove_all(conn, [each for each in rivals if each.id == ours])
