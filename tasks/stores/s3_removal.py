"""Removing from a bucket: hiding keys, and removing versions for good, which a lock refuses. Each answer for each key is looked at."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from coldchain.errors import ConfigurationError, LocationUnreachable, RemovalRefused
from coldchain.manifest import MANIFEST
from tasks.stores import s3_listing
from tasks.stores.s3_errors import NotThere, by_code
from tasks.stores.s3_lanes import each

if TYPE_CHECKING:
    from tasks.stores.s3_connection import Connection
    from tasks.stores.s3_listing import Version

MOST = 1000
"""Keys that one request may name."""

NO_LOCKS = {"ObjectLockConfigurationNotFoundError", "NotImplemented", "ObjectLockConfigurationNotFound"}


def refuse_unversioned(conn: Connection) -> None:
    """Raise ConfigurationError where a bucket keeps no versions, or not any more: to hide a file there would be to lose it."""
    if (status := conn.call("get_bucket_versioning").get("Status")) != "Enabled":
        raise ConfigurationError(
            "a bucket does not keep versions",
            on=f"{conn.location}: bucket {conn.bucket}",
            expected="versioning enabled",
            got=status or "none",
            done="nothing was changed",
            hint="`coldchain doctor --register` turns it on, where this user may",
        )


def hide(conn: Connection, keys: Sequence[str]) -> None:
    """Put a delete marker on each key: its versions stay."""
    if refused := _delete(conn, [{"Key": key} for key in keys]):
        raise _refusal(conn, refused)


def remove_all(conn: Connection, versions: Sequence[Version]) -> None:
    """Remove versions or markers for good; raises RemovalRefused where the bucket keeps one."""
    if refused := remove(conn, versions):
        raise _refusal(conn, refused)


def remove(conn: Connection, versions: Sequence[Version]) -> list[str]:
    """Remove versions for good; gives the keys of those that the bucket keeps."""
    return _delete(conn, [{"Key": each.key, "VersionId": each.id} for each in versions])


def clear(conn: Connection, under: str) -> None:
    """Remove what is current below a folder, the manifest first, with what it had replaced; what is locked is hidden.

    What was set aside from there lies below a marker, and stays.

    Raises:
        LocationUnreachable: the bucket says that it removed what is still there.
    """
    seen: Counter[str] = Counter()
    while found := sorted(s3_listing.current(conn, under).values(), key=lambda each: each.key != under + MANIFEST):
        seen.update(each.id for each in found)
        if max(seen.values()) > 1:
            raise LocationUnreachable(
                "a bucket does not remove what it says it removed", on=f"{conn.location}:{under.removeprefix(conn.prefix)}"
            )
        for some in (found[:1], found[1:]):
            hide(conn, remove(conn, some))


def locked(conn: Connection, versions: Sequence[Version], now: dt.datetime) -> list[str]:
    """Keys of those versions that a lock or a legal hold keeps at a moment."""
    if not versions or not has_locks(conn):
        return []
    found = each(lambda version: _kept(conn, version, now), versions)
    return [version.key for version, kept in zip(versions, found, strict=True) if kept]


def has_locks(conn: Connection) -> bool:
    """Whether a bucket was made with Object Lock."""
    answer = conn.ask("get_object_lock_configuration", NO_LOCKS)
    return bool(answer.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") == "Enabled")


def _kept(conn: Connection, version: Version, now: dt.datetime) -> bool:
    try:
        head = conn.call("head_object", Key=version.key, VersionId=version.id)
    except NotThere:
        return False
    until = head.get("ObjectLockRetainUntilDate")
    return head.get("ObjectLockLegalHoldStatus") == "ON" or (until is not None and until > now)


def _delete(conn: Connection, objects: Iterable[dict[str, str]]) -> list[str]:
    """Delete in large requests; names that do not fit into their XML in requests of their own. Gives the keys that were refused."""
    rest, refused = iter(objects), []
    while some := list(islice(rest, MOST)):
        plain = [each for each in some if each["Key"].isprintable()]
        refused += _delete_many(conn, plain) if plain else []
        refused += [each["Key"] for each in some if not each["Key"].isprintable() and _refuses(conn, each)]
    return refused


def _delete_many(conn: Connection, objects: list[dict[str, str]]) -> list[str]:
    """The answer is 200 however many of the keys were refused."""
    answer = conn.call("delete_objects", RemovalRefused, Delete={"Objects": objects, "Quiet": True})
    refused = []
    for error in answer.get("Errors", []):
        kind = by_code(error.get("Code", ""))
        if kind is RemovalRefused:
            refused.append(error["Key"])
        elif kind is not NotThere:
            raise kind(
                "a bucket does not remove a file", on=f"{conn.location}:{error['Key'].removeprefix(conn.prefix)!r}", got=error.get("Code")
            )
    return refused


def _refuses(conn: Connection, which: dict[str, Any]) -> bool:
    try:
        conn.call("delete_object", RemovalRefused, **which)
    except RemovalRefused:
        return True
    except NotThere:
        return False
    return False


def _refusal(conn: Connection, keys: Sequence[str]) -> RemovalRefused:
    more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
    return RemovalRefused(
        "the bucket refuses a removal",
        on=f"{conn.location}:" + ", ".join(repr(key.removeprefix(conn.prefix)) for key in keys[:3]) + more,
        hint="it is locked (`coldchain why`), or this user has no right to remove",
    )
