"""Strays: what stands at a location and is not in the catalogue, what is in the catalogue and does not stand there, what was set aside.

It only looks. Names are listed, a folder at a time; no file is opened and no link is followed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from coldchain import transfer
from coldchain.copies import Copy, CopyState
from coldchain.errors import UnsafePathError
from coldchain.zfs import CONTROL

if TYPE_CHECKING:
    from coldchain.store import Store
    from coldchain.workspace import Workspace

ROOTS = ("projects", ".coldchain/aside", ".coldchain/staging", ".coldchain/trash")
"""Where everything that is Coldchain's stands at a location."""

NOTES = ("README.md", "provenance.json", "prov.json", "ro-crate-metadata.json")
"""Small files beside a copy's folder, named after it."""

MOST = 500
"""Lines of a kind that are kept; the rest is counted."""


@dataclass
class Names:
    """Names of one kind: how many in all, and the first of them, as they can be written down."""

    most: int = MOST
    count: int = 0
    lines: list[str] = field(default_factory=list)

    def add(self, name: str, why: str = "") -> None:
        """Count a name, and keep it while there is room."""
        self.count += 1
        if len(self.lines) < self.most:
            self.lines.append(f"{shown(name)}: {why}" if why else shown(name))


@dataclass
class Strays:
    """What is astray at one location.

    Attributes:
        unregistered: files and folders that belong to no copy.
        missing: verified copies whose folder does not stand there; the audit judges them.
        aside: bytes of damaged copies, kept until a person throws them away.
    """

    location: str
    unregistered: Names
    missing: Names
    aside: Names


def look(ws: Workspace, location: str, most: int = MOST) -> Strays:
    """Hold what stands at a location against the catalogue; nothing is changed.

    Raises:
        LocationUnreachable: the location does not show its identity.
    """
    store, found = ws.store(location), Strays(location, Names(most), Names(most), Names(most))
    copies = [copy for copy in ws.catalogue.copies(location=location) if copy.state is not CopyState.REMOVED]
    verified = {copy.path for copy in copies if copy.state is CopyState.VERIFIED}
    asides = {each.path: each for each in ws.catalogue.asides(location)}
    known = _Known({copy.path for copy in copies} | asides.keys() | _working(ws, copies) | {transfer.trash(copy) for copy in copies})
    seen: set[str] = set()
    for root in ROOTS:
        for path, why in _strangers(store, root, known, seen):
            found.unregistered.add(path, why)
    ws.store(location)  # a location that went away meanwhile holds nothing, and would miss everything
    for path in sorted(verified - seen):
        found.missing.add(path)
    for path in sorted(asides.keys() & seen):
        found.aside.add(path, asides[path].why)
    return found


def shown(name: str) -> str:
    """A name as it is, or, where that cannot be written down or would not stay on its line, as Python writes it."""
    return name if name.isprintable() else repr(name)


class _Known:
    """Folders that belong to copies, and the folders on the way to them."""

    def __init__(self, folders: set[str]) -> None:
        self.folders = folders
        self.on_the_way = {"/".join(parts[:end]) for parts in (path.split("/") for path in folders) for end in range(1, len(parts))}

    def note(self, path: str) -> bool:
        """Whether a file is the note of a copy."""
        return any(path.removesuffix(f".{name}") in self.folders for name in NOTES if path.endswith(f".{name}"))


def _working(ws: Workspace, copies: list[Copy]) -> set[str]:
    """Staging of what is being put in place, and of what a living run has leased."""
    names = {lease.scope.rpartition(" at ")[0] or lease.scope for lease in ws.catalogue.leases(ws.now())}
    unfinished = [copy.artifact for copy in copies if copy.state in {CopyState.COPYING, CopyState.SUSPECT, CopyState.LOST}]
    steps = {ws.catalogue.activity(ws.catalogue.artifact(name).activity).fingerprint for name in unfinished}
    staged = {hashlib.sha256(name.encode()).hexdigest() for name in (*names, *unfinished)}
    return {transfer.staging(name) for name in (*names, *steps, *staged)}


def _strangers(store: Store, root: str, known: _Known, seen: set[str]) -> Iterator[tuple[str, str]]:
    """What stands below a folder and belongs to no copy, with what is odd about it; notes down the copies' folders that were seen."""
    stands, why = _is_folder(store, root, known.folders)
    if why:
        yield root, why
    waiting = [root] if stands else []
    while waiting:
        folder = waiting.pop()
        for name in store.children(folder):
            if folder == root and name == CONTROL:
                continue  # a file system of its own that shows its snapshots: nobody put them there
            path = f"{folder}/{name}"
            stands, why = _is_folder(store, path, known.folders)
            if path in known.folders and stands:
                seen.add(path)
            elif stands and path in known.on_the_way:
                waiting.append(path)
            elif why or (_holds_something(store, path) if stands else not known.note(path)):
                yield path, why


def _is_folder(store: Store, path: str, copies: Collection[str] = ()) -> tuple[bool, str]:
    """Whether a folder stands, and what is odd about it; a bucket has none on the way to its copies, only names that go on."""
    try:
        return store.exists(path) or (not store.mounted and path not in copies and bool(store.children(path))), ""
    except UnsafePathError as error:
        return False, error.what


def _holds_something(store: Store, path: str) -> bool:
    """Whether anything but empty folders stands in a folder."""
    waiting = [path]
    while waiting:
        folder = waiting.pop()
        for name in store.children(folder):
            below = f"{folder}/{name}"
            if not _is_folder(store, below)[0]:
                return True
            waiting.append(below)
    return False
