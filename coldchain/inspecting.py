"""Inspecting: what stands in a copy's place, held against its manifest, and what that says of the copy."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from coldchain import files
from coldchain.copies import Artifact, Copy, CopyState
from coldchain.errors import IntegrityError, UnsafePathError
from coldchain.manifest import MANIFEST, Manifest
from coldchain.store import Mismatch, Store, compare

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coldchain.workspace import Workspace


def mismatches(store: Store, artifact: Artifact, copy: Copy, progress: files.Progress) -> list[Mismatch]:
    """Read a copy back and list what is not as its manifest says; a manifest that is not the artifact's is a mismatch too."""
    digest = manifest_digest(store, copy)
    if digest != artifact.digest:
        return [Mismatch(MANIFEST, artifact.digest, digest)]
    manifest = Manifest.parse(store.manifest(copy.path), f"{copy.location}:{copy.path}")
    missing = [Mismatch(name, manifest.entries[name], None) for name in sorted(manifest.entries.keys() - set(store.names(copy.path)))]
    return missing or compare(manifest, store.read_back(copy.path, progress))


def strangers(ws: Workspace, artifact: Artifact, copy: Copy) -> list[str]:
    """What stands in a copy's folder and is not the artifact's: names that its manifest does not know, and files that somebody changed.

    Only what was written to since the copy was read is read again. What is missing is no stranger.

    Raises:
        IntegrityError: no manifest of the artifact stands there or at another copy.
    """
    store, found = ws.store(copy.location), manifest_of(ws, artifact, copy)
    if found.digest != artifact.digest:
        return [MANIFEST]
    names = store.names(copy.path)
    if unknown := sorted(set(names) - found.entries.keys()):
        return unknown
    if copy.verified_at is not None and not store.changed(copy.path, copy.verified_at):
        return []
    read = store.read_back(copy.path, files.no_progress)
    return sorted(name for name, digest in read.entries.items() if found.entries.get(name) != digest)


def manifest_of(ws: Workspace, artifact: Artifact, copy: Copy) -> Manifest:
    """The manifest that stands at a copy or, where a cluster purged that file first, at another copy of the artifact.

    Raises:
        IntegrityError: none stands at either, or what stands there is none.
    """
    if manifest_digest(ws.store(copy.location), copy) is None:
        reachable, states = ws.reachable(), [CopyState.VERIFIED, CopyState.SUSPECT]  # a manifest may be whole where a file is not
        others = (each for each in ws.catalogue.copies(artifact=artifact.id, states=states) if each.location in reachable)
        copy = next((each for each in others if manifest_digest(ws.store(each.location), each) == artifact.digest), copy)
    return Manifest.parse(ws.store(copy.location).manifest(copy.path), f"{copy.location}:{copy.path}")


def manifest_digest(store: Store, copy: Copy) -> str | None:
    """SHA-256 of the manifest that stands there, or nothing where there is none."""
    try:
        return hashlib.sha256(store.manifest(copy.path)).hexdigest()
    except IntegrityError:
        return None


def mark_suspect(ws: Workspace, copy: Copy, wrong: Sequence[Mismatch]) -> Copy:
    """Write down that a copy's bytes are not what they were; the bytes stay where they are."""
    return doubt(ws, copy, listed(wrong))


def doubt(ws: Workspace, copy: Copy, detail: str) -> Copy:
    """Stop counting a copy: lost where its folder is gone, else suspect."""
    gone = _gone(ws.stores[copy.location], copy.path)
    return ws.catalogue.change_copy(copy.id, state=CopyState.LOST if gone else CopyState.SUSPECT, detail=detail)


def _gone(store: Store, path: str) -> bool:
    try:
        return not store.exists(path)
    except UnsafePathError:  # a link stands there: something does
        return False


def owns(store: Store, artifact: Artifact, copy: Copy) -> bool:
    """Whether the folder that stands in a copy's place is the copy's: it has its manifest; what has none, or another, is a stranger."""
    return store.exists(copy.path) and manifest_digest(store, copy) == artifact.digest


def listed(wrong: Sequence[Mismatch], most: int = 5) -> str:
    """Mismatches in a line, the first of them by name."""
    shown = "; ".join(str(mismatch) for mismatch in wrong[:most])
    return shown + (f"; and {len(wrong) - most} more" if len(wrong) > most else "")
