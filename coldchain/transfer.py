"""The one place through which every byte goes from one location to another.

The order is derived from the invariants: may it go there → write bytes → read back → catalogue row (`copying`) → manifest
→ final name → protection → `verified`. A run that was cut off anywhere is finished by the next one: whole files in staging
are kept, and a folder that has its final name is read back before it counts.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from coldchain import files, inspecting
from coldchain.copies import Artifact, Copy, CopyState
from coldchain.dues import FOR_EVER, fall_due, lifetime_end, purge_due, years_later
from coldchain.errors import (
    ColdchainError,
    ConfigurationError,
    EgressRefused,
    InputError,
    IntegrityError,
    NotInCatalogue,
    NotReadableYet,
    UnsafePathError,
)
from coldchain.holds import Use
from coldchain.hours import refuse_closed
from coldchain.manifest import MANIFEST, Manifest
from coldchain.origins import may_go
from coldchain.solutions import refuse_large_file, refuse_too_large
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
        SizeRefused: the place does not take so much, or so large a file; nothing was moved.
        IntegrityError: no copy of the artifact has its bytes any more, or something else stands in its place.
        LocationUnreachable, OutOfSpace, LeaseTaken: try again later.
    """
    permit(ws, artifact.dataset, to)
    _refuse_retiring(ws, to)
    refuse_closed(ws.site.location(to), ws.now())
    refuse_too_large(ws.site.solution(to), artifact.label, to, bytes_=artifact.bytes, files=artifact.files)
    store = ws.store(to)
    with ws.catalogue.lease([artifact.id], Use.READ, ws.now()), ws.catalogue.lease([f"{artifact.id} at {to}"], Use.ALONE, ws.now()):
        copy = ws.catalogue.start_copy(artifact.id, to, artifact.folder, ws.now())
        if copy.state is CopyState.VERIFIED:
            return copy
        _refuse_doubtful(artifact, copy)
        _take_from_trash(ws, artifact, store, copy)
        if store.exists(copy.path):
            return verify_in_place(ws, artifact, copy, progress)
        staged = store.staged(copy.path, staging_of(artifact))
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


def _refuse_retiring(ws: Workspace, to: str) -> None:
    if ws.site.location(to).retiring:
        raise InputError(
            "a location is to be emptied, and takes nothing any more", on=to, done="nothing was moved", hint="see `retiring` in site.yaml"
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
            got=inspecting.listed(wrong),
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
    if wrong := inspecting.mismatches(ws.store(copy.location), artifact, copy, progress):
        raise _taken(artifact, copy, wrong)
    return count(ws, copy)


def _taken(artifact: Artifact, copy: Copy, wrong: Sequence[Mismatch]) -> IntegrityError:
    return IntegrityError(
        "something else stands in an artifact's place",
        on=f"{copy.location}:{copy.path}",
        expected=artifact.label,
        got=inspecting.listed(wrong),
        done="nothing was changed",
    )


def count(ws: Workspace, copy: Copy) -> Copy:
    """Protect a copy whose bytes were just read back, and let it count; what is left of it in the trash is not needed any more."""
    store = ws.store(copy.location)
    _refuse_same_folder(ws, store, copy)
    probe = store.protect(copy.path, kept_until(ws, copy))
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
        if (
            known
            and store.mounted
            and ws.stores[other.location].mounted
            and _same_folder(store.local(copy.path), ws.stores[other.location], other.path)
        ):
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


def due_at(ws: Workspace, copy: Copy, now: dt.datetime) -> dt.datetime | None:
    """When a copy that arrives now falls due; one that comes back from the trash is no younger to the cluster's own purge."""
    artifact, place = ws.catalogue.artifact(copy.artifact), ws.site.location(copy.location)
    rule = ws.policy.rule(artifact.level, ws.catalogue.project(artifact.dataset.split("/", 1)[0]))
    due = fall_due(artifact, place, now, None, ws.policy, rule)
    return min(due, purge_due(copy.created_at, place, FOR_EVER)) if due and place.transient else due


def kept_until(ws: Workspace, copy: Copy) -> dt.datetime | None:
    """Up to when nothing may remove a copy, so that it may be locked; nothing where the policy may let it go at any time."""
    artifact, place = ws.catalogue.artifact(copy.artifact), ws.site.location(copy.location)
    rule = ws.policy.rule(artifact.level, ws.catalogue.project(artifact.dataset.split("/", 1)[0]))
    if place.transient or rule.disposal is not None:
        return None
    return lifetime_end(artifact, rule) or years_later(artifact.made_at, ws.policy.protected_years)


def readable(ws: Workspace, artifact: Artifact, prefer: str | None = None) -> list[Copy]:
    """Verified copies at reachable locations, the preferred location first."""
    reachable = ws.reachable()
    found = [copy for copy in ws.catalogue.copies(artifact=artifact.id, states=[CopyState.VERIFIED]) if copy.location in reachable]
    return sorted(found, key=lambda copy: (copy.location != prefer, copy.id))


def _fetch(ws: Workspace, artifact: Artifact, copy: Copy, staged: str, progress: files.Progress) -> Manifest:
    """Fill staging from the first copy that still has the artifact's bytes; one that has not stops counting."""
    store, tried, asleep = ws.store(copy.location), [], list[NotReadableYet]()
    for source in readable(ws, artifact):
        try:
            manifest = take_from(ws, artifact, source, store, staged, progress)
        except NotReadableYet as error:  # another copy may be awake
            asleep.append(error)
        except (IntegrityError, InputError) as error:
            if source.location in ws.reachable():  # one that went away says nothing of its bytes
                inspecting.doubt(ws, source, str(error))
            tried.append(f"{source.location}: {error}")
        else:
            prove(store, staged, manifest, progress)
            return manifest
    if asleep:
        raise asleep[0]
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
    own = source.location != ws.site.roles.instrument  # an instrument's folder never had a manifest
    expected = Manifest.parse(reading.manifest(source.path), where) if own else inspecting.manifest_of(ws, artifact, source)
    drop_strangers(store, staged, list(expected.entries))
    manifest = carry(ws, artifact, (reading, source.path), (store, staged), list(expected.entries), progress)
    if manifest.digest != artifact.digest:
        wrong = compare(expected, manifest) or [Mismatch(MANIFEST, artifact.digest, expected.digest)]
        raise IntegrityError("a copy has not the bytes of its artifact", on=where, got=inspecting.listed(wrong))
    return manifest


def carry(
    ws: Workspace, artifact: Artifact, source: tuple[Store, str], target: tuple[Store, str], names: list[str], progress: files.Progress
) -> Manifest:
    """Move bytes from a folder of one store to a folder of another; returns the manifest of what was read.

    Between two places of which neither is mounted here they pass through the NAS, and leave nothing there.
    """
    (reading, path), (store, staged) = source, target
    if reading.mounted:
        folder = reading.local(path)
        _refuse_large_file(ws, artifact, folder, store, names)
        return store.put(folder, staged, names, progress)
    if store.mounted:
        return reading.get(path, store.local(staged), names, progress)
    scope = f"spool {artifact.id}"
    between, spool = ws.store(ws.site.roles.nas), staging(hashlib.sha256(scope.encode()).hexdigest())
    with ws.catalogue.lease([scope], Use.ALONE, ws.now()):
        read = reading.get(path, between.local(spool), names, files.no_progress)
        sent = store.put(between.local(spool), staged, names, progress)
        between.delete(spool)
    if wrong := compare(read, sent):
        raise IntegrityError(
            "bytes changed on their way", on=f"{between.location.name}:{spool}", got=inspecting.listed(wrong), done="they do not count"
        )
    return sent


def _refuse_large_file(ws: Workspace, artifact: Artifact, folder: Path, store: Store, names: Sequence[str]) -> None:
    """Raise SizeRefused where a file is larger than a place takes; they are only looked at where one may be."""
    solution, to = ws.site.solution(store.location.name), store.location.name
    if solution.file_bytes is not None and artifact.bytes > solution.file_bytes:
        paths = {name: folder / name for name in names}
        refuse_large_file(solution, artifact.label, to, {name: path.lstat().st_size for name, path in paths.items() if path.exists()})


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
        if wrong := inspecting.mismatches(store, artifact, copy, files.no_progress):
            if waiting or not inspecting.owns(store, artifact, copy):
                raise _taken(artifact, copy, wrong)
            store.set_aside(copy.path, trash(copy))
    elif waiting and not inspecting.mismatches(store, artifact, replace(copy, path=trash(copy)), files.no_progress):
        store.set_aside(trash(copy), copy.path)
    ws.catalogue.change_copy(copy.id, state=CopyState.COPYING, due_at=None, detail="")
