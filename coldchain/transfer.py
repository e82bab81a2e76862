"""The one place through which every byte goes from one location to another.

The order is derived from the invariants: may it go there → write bytes → read back → catalogue row (`copying`) → manifest
→ final name → protection → `verified`. A run that was cut off anywhere is finished by the next one: whole files in staging
are kept, and a folder that has its final name is read back before it counts.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from coldchain import files
from coldchain.copies import Artifact, Copy, CopyState
from coldchain.dues import FOR_EVER, fall_due, purge_due
from coldchain.errors import ColdchainError, ConfigurationError, EgressRefused, InputError, IntegrityError, NotInCatalogue, UnsafePathError
from coldchain.holds import Use
from coldchain.manifest import MANIFEST, Manifest
from coldchain.origins import may_go
from coldchain.store import TRASH, Mismatch, Store, compare

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence
    from pathlib import Path

    from coldchain.workspace import Workspace


def deliver(ws: Workspace, artifact: Artifact, to: str, progress: files.Progress = files.no_progress) -> Copy:
    """Make a verified copy of an artifact at a location; does nothing where one stands.

    Raises:
        EgressRefused: the project's data may not go there; nothing was moved.
        IntegrityError: no copy of the artifact has its bytes any more, or something else stands in its place.
        LocationUnreachable, OutOfSpace, LeaseTaken: try again later.
    """
    permit(ws, artifact.dataset, to)
    store = ws.store(to)
    with ws.catalogue.lease([artifact.id], Use.READ, ws.now()), ws.catalogue.lease([f"{artifact.id} at {to}"], Use.ALONE, ws.now()):
        copy = ws.catalogue.start_copy(artifact.id, to, artifact.folder, ws.now())
        if copy.state is CopyState.VERIFIED:
            return copy
        _refuse_doubtful(artifact, copy)
        _take_from_trash(ws, artifact, store, copy)
        if store.exists(copy.path):
            return verify_in_place(ws, artifact, copy, progress)
        staged = staging_of(artifact)
        return finish(ws, copy, staged, _fetch(ws, artifact, copy, staged, progress))


def permit(ws: Workspace, dataset: str, to: str) -> None:
    """Raise EgressRefused where a project's data may not go to a location."""
    project = ws.catalogue.project(dataset.split("/", 1)[0])
    verdict = may_go(project, ws.site.location(to), ws.now().date())
    if not verdict.allowed:
        raise EgressRefused(
            "these data may not go there",
            on=f"{dataset} to {to}",
            got=verdict.reason,
            done="nothing was moved",
            hint="see the project's agreement",
        )


def staging(name: str) -> str:
    """Folder at a location where something is put together before it has its name."""
    return f".coldchain/staging/{name[:32]}"


def staging_of(artifact: Artifact) -> str:
    """Folder in which a copy of an artifact that comes from another location is put together."""
    return staging(hashlib.sha256(artifact.id.encode()).hexdigest())


def trash(copy: Copy) -> str:
    """Folder at a location where a removed copy waits out its grace."""
    return f"{TRASH}{copy.id}-{copy.artifact.rpartition('@')[2][:12]}"


def land(store: Store, source: Path, staged: str, names: Sequence[str], progress: files.Progress) -> Manifest:
    """Put files into staging and read them back; returns the manifest of what both the source and the store hold.

    Raises:
        IntegrityError: the store does not hold what was read from the source. Staging is emptied.
    """
    drop_strangers(store, staged, names)
    manifest = store.put(source, staged, list(names), progress)
    prove(store, staged, manifest, progress)
    return manifest


def prove(store: Store, staged: str, manifest: Manifest, progress: files.Progress) -> None:
    """Read staging back and hold it against what was read from the source; raises IntegrityError, with staging emptied."""
    if wrong := compare(manifest, store.read_back(staged, progress)):
        store.delete(staged)
        raise IntegrityError(
            "what was written is not what is read back",
            on=f"{store.location.name}:{staged}",
            got=listed(wrong),
            done="staging was emptied",
        )


def settle(ws: Workspace, artifact: Artifact, copy: Copy, staged: str, manifest: Manifest) -> Copy:
    """Give recorded bytes that stand verified in staging their final name."""
    store = ws.store(copy.location)
    _take_from_trash(ws, artifact, store, copy)
    if not store.exists(copy.path):
        return finish(ws, copy, staged, manifest)
    settled = verify_in_place(ws, artifact, copy, files.no_progress)
    store.delete(staged)
    return settled


def verify_in_place(ws: Workspace, artifact: Artifact, copy: Copy, progress: files.Progress) -> Copy:
    """Read a copy back under its final name, protect it, and let it count."""
    if wrong := mismatches(ws.store(copy.location), artifact, copy, progress):
        raise _taken(artifact, copy, wrong)
    return count(ws, copy)


def _taken(artifact: Artifact, copy: Copy, wrong: Sequence[Mismatch]) -> IntegrityError:
    return IntegrityError(
        "something else stands in an artifact's place",
        on=f"{copy.location}:{copy.path}",
        expected=artifact.label,
        got=listed(wrong),
        done="nothing was changed",
    )


def count(ws: Workspace, copy: Copy) -> Copy:
    """Protect a copy whose bytes were just read back, and let it count; what is left of it in the trash is not needed any more."""
    store = ws.store(copy.location)
    _refuse_same_folder(ws, store, copy)
    probe = store.protect(copy.path)
    force = probe.method if probe.in_force else "none"
    now = ws.now()
    if store.exists(trash(copy)):
        store.destroy(trash(copy))
    return ws.catalogue.change_copy(
        copy.id, state=CopyState.VERIFIED, verified_at=now, due_at=due_at(ws, copy, now), protection=force, detail=""
    )


def _refuse_same_folder(ws: Workspace, store: Store, copy: Copy) -> None:
    """Raise where another copy's folder is this one, mounted twice: it is one copy, however often it is read back."""
    for other in ws.catalogue.copies(artifact=copy.artifact, states=[CopyState.VERIFIED]):
        known = other.id != copy.id and other.location in ws.stores
        if known and _same_folder(store.local(copy.path), ws.stores[other.location], other.path):
            raise ConfigurationError(
                "the same folder stands at two locations",
                on=f"{copy.location}:{copy.path}",
                got=f"it is {other.location}:{other.path}",
                done="it does not count",
                hint="look at what is mounted below the locations' roots",
            )


def _same_folder(folder: Path, store: Store, path: str) -> bool:
    try:
        return folder.samefile(store.local(path))
    except (OSError, ColdchainError):  # what is not there is not the same
        return False


def mismatches(store: Store, artifact: Artifact, copy: Copy, progress: files.Progress) -> list[Mismatch]:
    """Read a copy back and list what is not as its manifest says; a manifest that is not the artifact's is a mismatch too."""
    digest = _manifest_digest(store, copy)
    if digest != artifact.digest:
        return [Mismatch(MANIFEST, artifact.digest, digest)]
    manifest = Manifest.parse(store.manifest(copy.path), f"{copy.location}:{copy.path}")
    missing = [Mismatch(name, manifest.entries[name], None) for name in sorted(manifest.entries.keys() - set(store.names(copy.path)))]
    return missing or compare(manifest, store.read_back(copy.path, progress))


def _manifest_digest(store: Store, copy: Copy) -> str | None:
    """SHA-256 of the manifest that stands there, or nothing where there is none."""
    try:
        return hashlib.sha256(store.manifest(copy.path)).hexdigest()
    except IntegrityError:
        return None


def due_at(ws: Workspace, copy: Copy, now: dt.datetime) -> dt.datetime | None:
    """When a copy that arrives now falls due; one that comes back from the trash is no younger to the cluster's own purge."""
    artifact, place = ws.catalogue.artifact(copy.artifact), ws.site.location(copy.location)
    rule = ws.policy.rule(artifact.level, ws.catalogue.project(artifact.dataset.split("/", 1)[0]))
    due = fall_due(artifact, place, now, None, ws.policy, rule)
    return min(due, purge_due(copy.created_at, place, FOR_EVER)) if due and place.transient else due


def readable(ws: Workspace, artifact: Artifact, prefer: str | None = None) -> list[Copy]:
    """Verified copies at reachable locations, the preferred location first."""
    reachable = ws.reachable()
    found = [copy for copy in ws.catalogue.copies(artifact=artifact.id, states=[CopyState.VERIFIED]) if copy.location in reachable]
    return sorted(found, key=lambda copy: (copy.location != prefer, copy.id))


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


def _fetch(ws: Workspace, artifact: Artifact, copy: Copy, staged: str, progress: files.Progress) -> Manifest:
    """Fill staging from the first copy that still has the artifact's bytes; one that has not stops counting."""
    store, tried = ws.store(copy.location), []
    for source in readable(ws, artifact):
        try:
            manifest = take_from(ws, artifact, source, store, staged, progress)
        except (IntegrityError, InputError) as error:
            if source.location in ws.reachable():  # one that went away says nothing of its bytes
                doubt(ws, source, str(error))
            tried.append(f"{source.location}: {error}")
        else:
            prove(store, staged, manifest, progress)
            return manifest
    if tried:
        raise IntegrityError(
            "no copy has the artifact's bytes any more", on=artifact.label, got="; ".join(tried), done="these copies are suspect now"
        )
    raise NotInCatalogue(
        "no verified copy can be read", on=artifact.label, hint="is its location mounted? `coldchain status` shows where it stands"
    )


def take_from(ws: Workspace, artifact: Artifact, source: Copy, store: Store, staged: str, progress: files.Progress) -> Manifest:
    """Copy into staging what a copy holds; raises IntegrityError or InputError where that is not the artifact."""
    reading, where = ws.store(source.location), f"{source.location}:{source.path}"
    expected = Manifest.parse(reading.manifest(source.path), where)
    drop_strangers(store, staged, list(expected.entries))
    manifest = store.put(reading.local(source.path), staged, list(expected.entries), progress)
    if manifest.digest != artifact.digest:
        wrong = compare(expected, manifest) or [Mismatch(MANIFEST, artifact.digest, expected.digest)]
        raise IntegrityError("a copy has not the bytes of its artifact", on=where, got=listed(wrong))
    return manifest


def finish(ws: Workspace, copy: Copy, staged: str, manifest: Manifest) -> Copy:
    """Give bytes that were just read back in staging their final name, and let them count."""
    store = ws.store(copy.location)
    store.write_manifest(staged, manifest)
    if store.manifest(staged) != manifest.text:
        raise IntegrityError("a manifest is not what was written", on=f"{copy.location}:{staged}", expected=manifest.digest)
    store.move(staged, copy.path)
    return count(ws, copy)


def drop_strangers(store: Store, staged: str, names: Sequence[str]) -> None:
    """Empty staging where an earlier run of something else left files that do not belong."""
    if store.exists(staged) and not _only(store, staged, names):
        store.delete(staged)


def _only(store: Store, staged: str, names: Sequence[str]) -> bool:
    try:
        return set(store.names(staged)) <= set(names)
    except UnsafePathError:  # nothing of ours: links are not followed when staging is emptied
        return False


def _refuse_doubtful(artifact: Artifact, copy: Copy) -> None:
    if copy.state in {CopyState.SUSPECT, CopyState.LOST}:
        raise IntegrityError(
            f"a {copy.state} copy stands in the place of a new one",
            on=f"{artifact.label} at {copy.location}",
            got=copy.detail,
            done="nothing was changed",
            hint="`coldchain repair` makes it again from a verified copy",
        )


def _take_from_trash(ws: Workspace, artifact: Artifact, store: Store, copy: Copy) -> None:
    """Bring a copy back from the trash: the bytes first, so that a run that is cut off is finished by the next.

    What was half deleted stays in the trash, and a fresh copy takes its place. Where something else has taken it, nothing is touched:
    the trash may hold the last good bytes.
    """
    if copy.state is not CopyState.TRASHED:
        return
    waiting = store.exists(trash(copy))
    if store.exists(copy.path):
        if wrong := mismatches(store, artifact, copy, files.no_progress):
            if waiting or not owns(store, artifact, copy):
                raise _taken(artifact, copy, wrong)
            store.set_aside(copy.path, trash(copy))
    elif waiting and not mismatches(store, artifact, replace(copy, path=trash(copy)), files.no_progress):
        store.set_aside(trash(copy), copy.path)
    ws.catalogue.change_copy(copy.id, state=CopyState.COPYING, due_at=None, detail="")


def owns(store: Store, artifact: Artifact, copy: Copy) -> bool:
    """Whether the folder that stands in a copy's place is the copy's: it has its manifest; what has none, or another, is a stranger."""
    return store.exists(copy.path) and _manifest_digest(store, copy) == artifact.digest


def listed(wrong: Sequence[Mismatch], most: int = 5) -> str:
    """Mismatches in a line, the first of them by name."""
    shown = "; ".join(str(mismatch) for mismatch in wrong[:most])
    return shown + (f"; and {len(wrong) - most} more" if len(wrong) > most else "")
