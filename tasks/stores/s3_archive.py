"""Storage classes: what was verified moves into the archive by a rule of the bucket, and is recalled before it is read.

Objects go up in the standard class, are read back and hashed there, and only then get a tag; the bucket's own lifecycle rule moves what
has that tag. So it is the very object whose bytes were read that is archived: to send it straight to the archive would be to believe it
unread, and to copy it there after reading would make another object. Manifests and notes get no tag: what stands in the archive can
always be told without a recall.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from coldchain.errors import ConfigurationError
from coldchain.manifest import MANIFEST
from coldchain.store import Recalled
from tasks.stores.s3_lanes import each
from tasks.stores.s3_upload import tag, tags_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tasks.stores.s3_connection import Connection
    from tasks.stores.s3_listing import Version

READ = "coldchain-read-back"
"""Tag of an object whose bytes were read back and matched: it may be archived."""

ARCHIVED = {"GLACIER", "DEEP_ARCHIVE"}
"""Classes that cannot be read without a recall."""


def install(conn: Connection, storage_class: str) -> None:
    """Have the bucket move what was read back into a class, or, with none, take that rule out; every other rule stays.

    Raises:
        ConfigurationError: this user may not, or the bucket has not the rules that it was given.
    """
    there = _rules(conn)
    name = f"coldchain {conn.prefix}"[:255]
    others = [rule for rule in there if rule.get("ID") != name]
    wanted = [*others, _rule(name, conn.prefix, storage_class)] if storage_class else others
    if len(wanted) == len(there) and all(_moves(rule, storage_class) for rule in there if rule.get("ID") == name):
        return
    if wanted:
        conn.call("put_bucket_lifecycle_configuration", LifecycleConfiguration={"Rules": wanted})
    else:
        conn.call("delete_bucket_lifecycle")
    if missing := {rule.get("ID") for rule in wanted} - {rule.get("ID") for rule in _rules(conn)}:
        raise ConfigurationError(
            "a bucket has not the rules that it was given", on=f"{conn.location}: bucket {conn.bucket}", got=f"without {missing}"
        )


def release(conn: Connection, found: Mapping[str, Version]) -> None:
    """Let the bucket archive files whose bytes were just read back."""
    each(partial(_release, conn), [version for name, version in found.items() if name != MANIFEST])


def recall(conn: Connection, found: Mapping[str, Version], days: int) -> None:
    """Ask for files of the archive, for so many days; what was asked for already comes no sooner."""
    request = {"Days": days, "GlacierJobParameters": {"Tier": "Standard"}}
    asked = partial(_ask, conn, request)
    each(asked, [version for version in found.values() if version.storage in ARCHIVED])


def recalled(conn: Connection, found: Mapping[str, Version]) -> Recalled:
    """How many files there are, and how many of them can be read now."""
    return Recalled(len(found), sum(each(partial(_readable, conn), list(found.values()))))


def _ask(conn: Connection, request: dict[str, Any], version: Version) -> None:
    conn.ask("restore_object", {"RestoreAlreadyInProgress"}, Key=version.key, VersionId=version.id, RestoreRequest=request)


def _readable(conn: Connection, version: Version) -> bool:
    if version.storage not in ARCHIVED:
        return True
    head = conn.call("head_object", Key=version.key, VersionId=version.id)
    return 'ongoing-request="false"' in head.get("Restore", "")


def _release(conn: Connection, version: Version) -> None:
    tags = tags_of(conn, version)
    if READ not in tags:
        tag(conn, version.key, version.id, {**tags, READ: "yes"})


def _rules(conn: Connection) -> list[dict[str, Any]]:
    return list(conn.ask("get_bucket_lifecycle_configuration", {"NoSuchLifecycleConfiguration"}).get("Rules", []))


def _rule(name: str, prefix: str, storage_class: str) -> dict[str, Any]:
    """Colder after a day; the infrequent-access classes take nothing younger than 30."""
    tagged = {"Key": READ, "Value": "yes"}
    which = {"And": {"Prefix": prefix, "Tags": [tagged]}} if prefix else {"Tag": tagged}
    days = 30 if storage_class.endswith("_IA") else 1
    return {"ID": name, "Status": "Enabled", "Filter": which, "Transitions": [{"Days": days, "StorageClass": storage_class}]}


def _moves(rule: dict[str, Any], storage_class: str) -> bool:
    return rule.get("Status") == "Enabled" and [each.get("StorageClass") for each in rule.get("Transitions", [])] == [storage_class]
