"""Emptying the trash of a bucket: exactly the versions that were set aside go, and nothing where a lock keeps one of them."""

from __future__ import annotations

import datetime as dt
from itertools import groupby
from typing import TYPE_CHECKING

from coldchain.errors import RemovalRefused
from coldchain.manifest import MANIFEST
from tasks.stores import s3_folders, s3_listing, s3_removal
from tasks.stores.s3_folders import POINTER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tasks.stores.s3_connection import Connection
    from tasks.stores.s3_listing import Version


def destroy(conn: Connection, path: str) -> None:
    """Remove a folder of the trash for good.

    Raises:
        RemovalRefused: a lock keeps one of its files; nothing was removed.
    """
    aside = s3_folders.pointer(conn, path)
    doomed = _listed(conn, aside) if aside else []
    own = s3_listing.versions(conn, conn.key(path))
    _refuse_locked(conn, path, [each for each in (*doomed, *own) if not each.marker])
    s3_removal.remove_all(conn, doomed)
    if aside:
        s3_removal.remove_all(conn, _left_markers(s3_listing.versions(conn, conn.key(aside.path))))
    s3_removal.remove_all(conn, sorted(own, key=lambda each: each.key.endswith(f"/{POINTER}")))


def _listed(conn: Connection, aside: s3_folders.Pointer) -> list[Version]:
    """Versions that a pointer names, the manifest last.

    What is current while a folder stands in that place is that folder's: it was brought back, or made again from the same objects.
    """
    under = conn.key(aside.path)
    there = s3_listing.versions(conn, under)
    taken = any(each.current and each.key == under + MANIFEST for each in there)
    named = {(under + name, version) for name, (version, _size) in aside.files.items()}
    found = [each for each in there if (each.key, each.id) in named and not (taken and each.current)]
    return sorted(found, key=lambda each: each.key == under + MANIFEST)


def _left_markers(there: Sequence[Version]) -> list[Version]:
    """Markers of keys that have nothing else any more."""
    keys = {key: list(found) for key, found in groupby(there, key=lambda each: each.key)}
    return [each for found in keys.values() if all(one.marker for one in found) for each in found]


def _refuse_locked(conn: Connection, path: str, versions: list[Version]) -> None:
    if kept := s3_removal.locked(conn, versions, dt.datetime.now(dt.UTC)):
        raise RemovalRefused(
            "a lock keeps files that were to be removed",
            on=f"{conn.location}:{path}",
            got=f"{len(kept)} of {len(versions)}, {kept[0].removeprefix(conn.prefix)!r} among them",
            done="nothing was removed",
            hint="a lock in compliance mode ends on its day, and not before",
        )
