"""Making artifacts: one step, done once, with its provenance, and finished by the next run where it was cut off."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coldchain import files, finished, provenance, transfer
from coldchain.copies import Artifact, Copy, CopyState
from coldchain.errors import InputError, NotInCatalogue, UnsafePathError
from coldchain.holds import Use
from coldchain.levels import Level
from coldchain.manifest import MANIFEST, Manifest

if TYPE_CHECKING:
    import datetime as dt

    from coldchain.store import Store
    from coldchain.workspace import Workspace


@dataclass(frozen=True)
class Step:
    """What is to be made, of what, and how."""

    name: str
    dataset: str
    makes: Level
    inputs: tuple[Artifact, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """Names the step by what it does."""
        return provenance.fingerprint(self.name, self.dataset, [artifact.id for artifact in self.inputs], self.parameters)


@dataclass(frozen=True)
class Outcome:
    """What the work tells of itself, for the provenance."""

    findings: Mapping[str, Any] = field(default_factory=dict)
    model: Mapping[str, Any] = field(default_factory=dict)
    hardware: Mapping[str, Any] = field(default_factory=dict)
    job: str = ""


@dataclass(frozen=True)
class Made:
    """An artifact, and whether this run made it."""

    artifact: Artifact
    new: bool
    findings: Mapping[str, Any]


Work = Callable[[list[Path], Path], Outcome]
"""Told the local folders of the inputs and a folder to fill: empty, unless a cut-off run of the same code noted finished items in it."""


def make(ws: Workspace, step: Step, work: Work, *, at: str | None = None) -> Made:
    """Do a step at a location (scratch where none is named), or find what it made before.

    Raises:
        LeaseTaken: another run is doing the same step.
        NotInCatalogue: an input has no verified copy that can be read.
        IntegrityError: a file is not as the item that wrote it left it.
    """
    location = at or ws.site.roles.scratch
    with ws.catalogue.lease([step.fingerprint], Use.ALONE, ws.now()), ws.catalogue.lease(_ids(step), Use.READ, ws.now()):
        if (done := _made_before(ws, step, location)) is not None:
            return done
        ws.catalogue.asked(_ids(step), ws.now())
        return _make(ws, step, work, location)


def take_in(ws: Workspace, step: Step, source: Path, location: str, progress: files.Progress) -> Made:
    """Bring an instrument's files in as a new artifact, as they are; the source is only read.

    Raises:
        EgressRefused: the project's data may not go there.
        UnsafePathError: a link, a device or an impossible name among the files.
        InputError: a file changed while it was read.
    """
    transfer.permit(ws, step.dataset, location)
    with ws.catalogue.lease([step.fingerprint], Use.ALONE, ws.now()):
        done = _made_before(ws, step, location)
        if done is not None and not source.exists():
            return done
        started, found = ws.now(), _acquired(source)
        size = sum(size for size, _ in found.values())
        if done is not None:
            _refuse_another(done.artifact, source, list(found), size, progress)
            return done
        staged = transfer.staging(step.fingerprint)
        manifest = transfer.land(ws.store(location), source, staged, list(found), progress)
        _refuse_change(source, found, _acquired(source))
        return _record(ws, step, location, staged, manifest, size, started, Outcome(hardware=provenance.hardware()))


def _make(ws: Workspace, step: Step, work: Work, location: str) -> Made:
    started, store, staged = ws.now(), ws.store(location), transfer.staging(step.fingerprint)
    transfer.permit(ws, step.dataset, location)
    target = store.local(staged)
    if not finished.resume(target):
        store.delete(staged)
        finished.forget(target)
    target.mkdir(parents=True, exist_ok=True)
    outcome = work([local_folder(ws, artifact) for artifact in step.inputs], target)
    finished.tidy(target)
    manifest = store.read_back(staged, files.no_progress)
    finished.refuse_changed(target, manifest.entries)
    size = sum((target / name).stat().st_size for name in manifest.entries)
    return _record(ws, step, location, staged, manifest, size, started, outcome)


def local_folder(ws: Workspace, artifact: Artifact) -> Path:
    """Local folder of a verified copy that can be read, on scratch where there is one."""
    copies = [copy for copy in transfer.readable(ws, artifact, prefer=ws.site.roles.scratch) if ws.stores[copy.location].mounted]
    if not copies:
        raise NotInCatalogue(
            "no verified copy can be read",
            on=artifact.label,
            hint="run `stage`, or mount its location; `coldchain status` shows where it stands",
        )
    return ws.store(copies[0].location).local(copies[0].path)


def _made_before(ws: Workspace, step: Step, location: str) -> Made | None:
    """Find what the step made, finishing what a cut-off run left in staging."""
    for artifact in ws.catalogue.made(step.fingerprint):
        copies = ws.catalogue.copies(artifact=artifact.id)
        if any(copy.state in {CopyState.VERIFIED, CopyState.SUSPECT, CopyState.LOST} for copy in copies):
            return Made(artifact, new=False, findings=_findings(ws, artifact))
        for copy in copies:
            if copy.location == location and copy.state is CopyState.COPYING and _finish(ws, step, artifact, copy):
                return Made(artifact, new=True, findings=_findings(ws, artifact))
    return None


def _finish(ws: Workspace, step: Step, artifact: Artifact, copy: Copy) -> bool:
    """Finish a copy that was recorded and then cut off, if its bytes still stand in staging or under their name."""
    with ws.catalogue.lease([artifact.id], Use.READ, ws.now()):
        return _settle(ws, artifact, copy, transfer.staging(step.fingerprint))


def _settle(ws: Workspace, artifact: Artifact, copy: Copy, staged: str) -> bool:
    store = ws.store(copy.location)
    if store.exists(copy.path):
        _forget(store, staged)
        transfer.verify_in_place(ws, artifact, copy, files.no_progress)
        return True
    if not store.exists(staged):
        return False
    manifest: Manifest = store.read_back(staged, files.no_progress)
    if manifest.digest != artifact.digest:
        return False
    _forget(store, staged)
    transfer.settle(ws, artifact, copy, staged, manifest)
    return True


def _forget(store: Store, staged: str) -> None:
    """Drop what is only needed until a step is recorded: from then on the staged bytes are enough."""
    if store.mounted:
        finished.forget(store.local(staged))


def _record(
    ws: Workspace, step: Step, location: str, staged: str, manifest: Manifest, size: int, started: dt.datetime, outcome: Outcome
) -> Made:
    now = ws.now()
    activity = provenance.Activity(
        id=uuid.uuid4().hex,
        name=step.name,
        fingerprint=step.fingerprint,
        inputs=tuple(_ids(step)),
        parameters=step.parameters,
        code_version=provenance.code_version(),
        lock_digest=provenance.lock_digest(),
        who=provenance.who(),
        started_at=started,
        ended_at=now,
        model=outcome.model,
        hardware=outcome.hardware or provenance.hardware(),
        job=outcome.job,
        findings=outcome.findings,
    )
    artifact = Artifact(step.dataset, step.makes, manifest.digest, len(manifest.entries), size, activity.id, now)
    with ws.catalogue.lease([artifact.id], Use.READ, now):  # a sweep may be emptying the trash of what is made again
        copy = ws.catalogue.record(activity, artifact, location, now)
        _forget(ws.store(location), staged)
        transfer.settle(ws, artifact, copy, staged, manifest)
    return Made(artifact, new=True, findings=outcome.findings)


def _acquired(source: Path) -> files.Stamps:
    """List the files of an acquisition, with their sizes and times."""
    if not source.is_dir() or source.is_symlink():
        raise InputError(
            "no such acquisition folder", on=source, hint="look at the folder's name in the form, and at the mount of the workstation"
        )
    if (source / MANIFEST).exists():
        raise UnsafePathError("a file has the name of the manifest", on=source / MANIFEST, hint="rename it before it is ingested")
    if not (found := files.stamps_below(source)):
        raise InputError("an acquisition folder is empty", on=source)
    return found


def _refuse_change(source: Path, before: files.Stamps, after: files.Stamps) -> None:
    if changed := sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name)):
        raise InputError(
            "the acquisition changed while it was taken in",
            on=source,
            got=f"{len(changed)} files are new, gone or other, {changed[0]!r} among them",
            done="nothing was registered",
            hint="wait until the acquisition has ended, then start again",
        )


def _refuse_another(artifact: Artifact, source: Path, names: list[str], size: int, progress: files.Progress) -> None:
    """Hold an acquisition against what was taken in before: by count and size, and then by every byte."""
    other = (len(names), size) != (artifact.files, artifact.bytes)
    if other or files.hash_tree(source, names, progress).digest != artifact.digest:
        raise InputError(
            "the acquisition is not the one that was ingested",
            on=source,
            expected=f"{artifact.files} files, {artifact.bytes} bytes ({artifact.label})",
            got=f"{len(names)} files, {size} bytes" + ("" if other else ", and other bytes in them"),
            done="nothing was changed: raw data is never written to after ingest",
            hint="ingest it as another dataset",
        )


def _findings(ws: Workspace, artifact: Artifact) -> Mapping[str, Any]:
    return ws.catalogue.activity(artifact.activity).findings


def _ids(step: Step) -> list[str]:
    return [artifact.id for artifact in step.inputs]
