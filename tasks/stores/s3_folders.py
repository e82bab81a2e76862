"""Folders of a bucket: one stands where its manifest does; one that was set aside is a pointer to versions that stay where they are.

A bucket renames nothing, and copying terabytes to throw them away would be absurd. So what is set aside stays under its own keys, each
hidden by a delete marker, and ``POINTER.json`` in the other folder says which version of each key it is. It is written before the first
key is hidden, and goes after the last one is shown again: cut off anywhere, the bytes are read through it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coldchain.errors import IntegrityError, LocationUnreachable
from coldchain.manifest import MANIFEST, safe_name
from tasks.stores import s3_listing, s3_removal
from tasks.stores.s3_download import small
from tasks.stores.s3_errors import NotThere
from tasks.stores.s3_upload import put_small

if TYPE_CHECKING:
    from tasks.stores.s3_connection import Connection
    from tasks.stores.s3_listing import Version

OURS = ".coldchain/"
"""Only below this folder of a location a pointer is looked for."""

POINTER = "POINTER.json"


@dataclass(frozen=True)
class Pointer:
    """Which version each file of a folder has that was set aside from `path`, its manifest among them, and its bytes."""

    path: str
    files: Mapping[str, tuple[str, int]]

    def text(self) -> bytes:
        """As it is written down: for people, too."""
        said = "These files were set aside, and stand under their own keys as the versions named here: name, version, bytes."
        return json.dumps({"what": said, "path": self.path, "files": self.files}, indent=0, ensure_ascii=False).encode() + b"\n"


def pointer(conn: Connection, path: str) -> Pointer | None:
    """The pointer that stands in a folder; nothing where none does.

    Raises:
        IntegrityError: something else stands in its place.
    """
    if not path.startswith(OURS):
        return None
    try:
        said = json.loads(small(conn, conn.key(path, POINTER)))
        return Pointer(safe_name(said["path"]), {name: (str(each[0]), int(each[1])) for name, each in said["files"].items()})
    except NotThere:
        return None
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise IntegrityError(
            "what says where a folder was set aside cannot be read", on=f"{conn.location}:{path}/{POINTER}", got=error
        ) from error


def stands(conn: Connection, path: str) -> bool:
    """Whether a folder stands, under its own keys or through a pointer."""
    names = (MANIFEST, POINTER) if path.startswith(OURS) else (MANIFEST,)
    return any(_has(conn, conn.key(path, name)) for name in names)


def look(conn: Connection, path: str) -> dict[str, Version]:
    """The files of a folder by name, its manifest among them: current versions, or those that a pointer names and that are still there."""
    aside, under = pointer(conn, path), conn.key(path)
    if aside is None:
        return s3_listing.current(conn, under)
    under = conn.key(aside.path)
    known = {(under + name, version) for name, (version, _size) in aside.files.items()}
    return {each.key.removeprefix(under): each for each in s3_listing.versions(conn, under) if (each.key, each.id) in known}


def manifest(conn: Connection, path: str) -> bytes:
    """Text of the manifest that stands in a folder; raises NotThere where there is none."""
    aside = pointer(conn, path)
    if aside is None:
        return small(conn, conn.key(path, MANIFEST))
    return small(conn, conn.key(aside.path, MANIFEST), aside.files.get(MANIFEST, ("null", 0))[0])


def hide(conn: Connection, path: str, to: str) -> None:
    """Set a folder aside: the pointer first, then its manifest goes from sight, then the rest. A run that was cut off is ended by the next.

    Raises:
        IntegrityError: something is there already.
    """
    s3_removal.refuse_unversioned(conn)
    under = conn.key(path)
    found = s3_listing.current(conn, under)
    if not found:
        raise NotThere("there is nothing to set aside", on=f"{conn.location}:{path}")
    ours = Pointer(path, {name: (each.id, each.size) for name, each in found.items()})
    if stands(conn, to) and pointer(conn, to) != ours:
        raise IntegrityError("a folder is already there", on=f"{conn.location}:{to}", done="nothing was moved")
    put_small(conn, conn.key(to, POINTER), ours.text())
    if pointer(conn, to) != ours:
        raise LocationUnreachable(
            "a bucket does not give back what was written", on=f"{conn.location}:{to}/{POINTER}", done="nothing was moved"
        )
    for keys in ([under + MANIFEST] if MANIFEST in found else [], [under + name for name in found if name != MANIFEST]):
        s3_removal.hide(conn, keys)


def show(conn: Connection, path: str, aside: Pointer) -> None:
    """Bring a folder back: the markers that hide its versions go, the manifest's last, then the pointer. No byte moves, every lock stays.

    Raises:
        IntegrityError: something else stands in its place.
    """
    under = conn.key(aside.path)
    wanted = {under + name: version for name, (version, _size) in aside.files.items()}
    _refuse_others(conn, aside.path, wanted)
    for keys in (wanted.keys() - {under + MANIFEST}, wanted.keys() & {under + MANIFEST}):
        while markers := [each for each in s3_listing.versions(conn, under) if each.marker and each.latest and each.key in keys]:
            s3_removal.remove_all(conn, markers)
            _refuse_others(conn, aside.path, wanted)
    s3_removal.remove_all(conn, s3_listing.versions(conn, conn.key(path, POINTER)))


def _refuse_others(conn: Connection, path: str, wanted: Mapping[str, str]) -> None:
    """Raise where other versions than those that are wanted are current in a folder."""
    found = s3_listing.current(conn, conn.key(path)).values()
    if others := [each.key for each in found if wanted.get(each.key) != each.id]:
        raise IntegrityError(
            "something else stands where a folder is to be brought back",
            on=f"{conn.location}:{path}",
            got=", ".join(map(repr, others[:5])),
            done="what was set aside can be read where it is",
        )


def _has(conn: Connection, key: str) -> bool:
    try:
        conn.call("head_object", Key=key)
    except NotThere:
        return False
    return True
