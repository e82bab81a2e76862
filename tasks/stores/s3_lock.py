"""Object Lock in compliance mode: set on each version after its bytes were read back, looked at, and tried on canaries.

Servers take a lock with an upload and drop it without a word (Ceph 16 does, for uploads in parts), so it is never asked for there: each
version is locked by itself, and only what the server says of it afterwards counts. Whether the server means it is tried on two small
objects of our own, one of them sent in parts, that are locked for a minute: their lock is to be shortened, they are to be overwritten and
deleted. The data themselves are never tried on.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator, Sequence
from email.utils import parsedate_to_datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from coldchain.errors import ColdchainError, IntegrityError, ProtectionError
from coldchain.store import Probe, Protection
from tasks.stores import s3_listing, s3_removal
from tasks.stores.s3_download import small
from tasks.stores.s3_lanes import each
from tasks.stores.s3_upload import put_small

if TYPE_CHECKING:
    from tasks.stores.s3_connection import Connection
    from tasks.stores.s3_listing import Version

CANARIES = ".coldchain/canaries"
LOCKED = dt.timedelta(seconds=60)
"""So long canaries are locked: long enough to be tried on a slow line; what is left of them is removed by the next probe."""

LAST = dt.datetime(9999, 12, 31, tzinfo=dt.UTC)
REFUSALS = {"AccessDenied", "403", "Forbidden", "MethodNotAllowed", "ObjectLocked", "InvalidRequest"}
"""Codes that say no; MinIO says InvalidRequest of what is locked."""

SONG = b"coldchain\n"


def lock(conn: Connection, versions: Sequence[Version], until: dt.datetime) -> None:
    """Lock versions until a moment; what is locked for longer stays so.

    Raises:
        ProtectionError: the bucket took a lock and does not have it. What is locked stays locked.
        ConfigurationError: the bucket has no Object Lock, or this user may not use it.
    """
    each(partial(_lock, conn, whole_seconds(until)), versions)


def hold(conn: Connection, versions: Sequence[Version], *, on: bool) -> None:
    """Set a legal hold on versions, or take it off.

    Raises:
        ProtectionError: the bucket took the request and does not say so afterwards.
    """
    each(partial(_hold, conn, "ON" if on else "OFF"), versions)


def _hold(conn: Connection, status: str, version: Version) -> None:
    conn.call("put_object_legal_hold", Key=version.key, VersionId=version.id, LegalHold={"Status": status})
    found = conn.call("head_object", Key=version.key, VersionId=version.id).get("ObjectLockLegalHoldStatus", "OFF")
    if found != status:
        raise ProtectionError(
            "a bucket took a legal hold, and does not have it" if status == "ON" else "a bucket does not give up a legal hold",
            on=f"{conn.location}:{version.key.removeprefix(conn.prefix)!r}",
            expected=status,
            got=found,
            done="the data is verified and stays",
        )


def whole_seconds(until: dt.datetime) -> dt.datetime:
    """The next whole second: never a moment too early."""
    until = min(until.astimezone(dt.UTC), LAST)
    return until if not until.microsecond else until.replace(microsecond=0) + dt.timedelta(seconds=1)


def probe(conn: Connection) -> Probe:
    """Lock canaries, and try to break them: each attempt that succeeded is a hole."""
    _tidy(conn)
    holes = [f"{hole} ({kind})" for kind, send in (("small", _send_small), ("in parts", _send_in_parts)) for hole in _tried(conn, send)]
    return Probe(str(Protection.OBJECT_LOCK), tuple(holes))


def demand(conn: Connection, found: Probe) -> None:
    """Raise ProtectionError where a probe found holes."""
    if found.holes:
        raise ProtectionError(
            "the bucket's lock is not in force",
            on=f"{conn.location}: bucket {conn.bucket}",
            expected="every attempt on a locked canary to be refused",
            got="it was possible to " + ", ".join(found.holes),
            done="the data is verified and stays",
            hint="was the bucket made with Object Lock, and does this server keep its locks?",
        )


def _lock(conn: Connection, until: dt.datetime, version: Version) -> None:
    if _locked_until(conn, version.key, version.id, until):
        return
    _retain(conn, version.key, version.id, until)
    if not _locked_until(conn, version.key, version.id, until):
        raise ProtectionError(
            "a bucket took a lock, and does not have it",
            on=f"{conn.location}:{version.key.removeprefix(conn.prefix)!r}",
            expected=f"compliance mode until {until:%Y-%m-%d}",
            done="the data is verified and stays",
        )


def _retain(conn: Connection, key: str, version: str, until: dt.datetime) -> None:
    conn.call("put_object_retention", Key=key, VersionId=version, Retention={"Mode": "COMPLIANCE", "RetainUntilDate": until})


def _locked_until(conn: Connection, key: str, version: str, until: dt.datetime) -> bool:
    """Whether the server says that a version is locked, in compliance mode and so long."""
    head = conn.call("head_object", Key=key, VersionId=version)
    return head.get("ObjectLockMode") == "COMPLIANCE" and head["ObjectLockRetainUntilDate"] >= until


def _tried(conn: Connection, send: Any) -> Iterator[str]:
    """What could be done to a canary that is locked; to delete it is tried last."""
    key = conn.key(CANARIES, uuid.uuid4().hex)
    version, now = send(conn, key)
    until = now + LOCKED
    _retain(conn, key, version, until)
    if not _locked_until(conn, key, version, until):
        yield "have a lock taken and not set"
        return
    sooner = {"Mode": "COMPLIANCE", "RetainUntilDate": until - LOCKED / 2}
    refused = _refused(conn, "put_object_retention", Key=key, VersionId=version, Retention=sooner)
    if not refused or not _locked_until(conn, key, version, until):
        yield "shorten a lock"
    put_small(conn, key, b"cuckoo\n")
    if not _sings(conn, key, version):
        yield "overwrite a locked version"
    plain = _refused(conn, "delete_object", Key=key, VersionId=version)
    forced = _refused(conn, "delete_object", Key=key, VersionId=version, BypassGovernanceRetention=True)
    if not plain or not forced or not _sings(conn, key, version):
        yield "delete a locked version"


def _refused(conn: Connection, operation: str, **parameters: Any) -> bool:
    """Whether the server said no; any other failure is an error, and no refusal."""
    return not conn.ask(operation, REFUSALS, **parameters)


def _sings(conn: Connection, key: str, version: str) -> bool:
    """Whether a canary has its bytes still."""
    try:
        return small(conn, key, version) == SONG
    except IntegrityError:
        return False


def _send_small(conn: Connection, key: str) -> tuple[str, dt.datetime]:
    return put_small(conn, key, SONG), _now(conn)


def _send_in_parts(conn: Connection, key: str) -> tuple[str, dt.datetime]:
    upload = conn.call("create_multipart_upload", Key=key)["UploadId"]
    part = conn.call("upload_part", Key=key, UploadId=upload, PartNumber=1, Body=SONG)
    sent = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    return str(conn.call("complete_multipart_upload", Key=key, UploadId=upload, MultipartUpload=sent)["VersionId"]), _now(conn)


def _now(conn: Connection) -> dt.datetime:
    """The server's time, in whole seconds."""
    headers = conn.call("head_bucket")["ResponseMetadata"]["HTTPHeaders"]
    return parsedate_to_datetime(headers["date"]) if "date" in headers else dt.datetime.now(dt.UTC).replace(microsecond=0)


def _tidy(conn: Connection) -> None:
    """Remove canaries whose lock has ended; one that cannot be removed yet harms nobody."""
    try:
        s3_removal.remove(conn, s3_listing.versions(conn, conn.key(CANARIES)))
    except ColdchainError:
        return
