"""Repair: a damaged copy is made again from a verified one, and its own bytes are set aside, never deleted.

The new bytes stand read back in staging before anything is moved. Then: the damaged folder is moved aside → receipt →
catalogue row (`copying`, and where the old bytes stand) → final name → `verified`. A run that was cut off anywhere is finished by the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from coldchain import files, gathering, inspecting, provenance, transfer
from coldchain.auditing import Rounds
from coldchain.copies import Artifact, Copy, CopyState
from coldchain.errors import ColdchainError, InputError, IntegrityError, NotInCatalogue, Refused
from coldchain.holds import Use
from coldchain.reading import Outcome

if TYPE_CHECKING:
    from coldchain.manifest import Manifest
    from coldchain.store import Store
    from coldchain.workspace import Workspace

Tell = Callable[[str], None]

DAMAGED = (CopyState.SUSPECT, CopyState.LOST)


@dataclass(frozen=True)
class Repaired:
    """One damaged copy, and what became of it, or would."""

    copy: int
    artifact: str
    location: str
    state: CopyState
    wrong: str
    done: bool
    said: str


def aside(copy: Copy, number: int) -> str:
    """Folder at a location where the bytes of a damaged copy are kept."""
    return f"{gathering.ASIDE}/{copy.id}-{number}"


def repair(ws: Workspace, copy: Copy, progress: files.Progress = files.no_progress, rounds: Rounds | None = None) -> Copy:
    """Make a suspect or lost copy again from a verified one that was read back whole, or from what the damaged ones still have.

    `rounds` are the readings of repairs before this one: where too many sources fail, their location is to blame.

    Raises:
        IntegrityError: no copy, and not all copies together, have the artifact's bytes; every byte stays where it is.
        Refused: the copy is not damaged, its location's audit is stopped, or the data may not go there.
        LocationUnreachable, OutOfSpace, LeaseTaken: try again later.
    """
    artifact = ws.catalogue.artifact(copy.artifact)
    _refuse_place(ws, copy)
    transfer.permit(ws, artifact.dataset, copy.location)
    with (
        ws.catalogue.lease([artifact.id], Use.READ, ws.now()),
        ws.catalogue.lease([f"{artifact.id} at {copy.location}"], Use.ALONE, ws.now()),
    ):
        now = _as_it_is(ws, copy)
        if now.state is CopyState.VERIFIED:
            return now
        if now.state is not CopyState.SUSPECT and _stands(ws, artifact, now, progress):
            return _found_again(ws, artifact, now)
        return _replace(ws, artifact, now, progress, Rounds(ws) if rounds is None else rounds)


def repair_all(
    ws: Workspace,
    *,
    dataset: str | None = None,
    location: str | None = None,
    dry_run: bool = True,
    tell: Tell = lambda _line: None,
    progress: files.Progress = files.no_progress,
) -> list[Repaired]:
    """Repair every damaged copy of a dataset or a location, and what a cut-off repair left; a dry run says from where.

    Raises:
        NotInCatalogue: no such dataset.
    """
    if dataset:
        ws.catalogue.dataset(dataset)
    rounds, found = Rounds(ws), []
    for copy in damaged(ws, dataset, location):
        found.append(_would(ws, copy) if dry_run else _attempt(ws, copy, progress, rounds))
        tell(f"{found[-1].artifact} at {copy.location}: {found[-1].said}")
    return found


def damaged(ws: Workspace, dataset: str | None = None, location: str | None = None) -> list[Copy]:
    """Copies that are suspect or lost, and those whose repair was cut off."""
    begun = {each.copy for each in ws.catalogue.asides(location)}
    found = ws.catalogue.copies(location=location, states=[*DAMAGED, CopyState.COPYING])
    wanted = (copy for copy in found if copy.state in DAMAGED or copy.id in begun)
    return [copy for copy in wanted if dataset is None or copy.artifact.startswith(f"{dataset}/")]


def one(ws: Workspace, number: int) -> Copy:
    """The damaged copy with a number. Raises NotInCatalogue."""
    found = {copy.id: copy for copy in damaged(ws)}
    if number not in found:
        raise NotInCatalogue("no such damaged copy", on=number, got=", ".join(map(str, found)) or "nothing is damaged")
    return found[number]


def readmit(ws: Workspace, copy: Copy, reason: str, progress: files.Progress = files.no_progress) -> Copy:
    """Let a suspect or lost copy count again, because all its bytes match on a new reading; a person answers for it.

    Raises:
        IntegrityError: it does not match; nothing was changed.
        Refused: the copy is not suspect or lost.
        InputError: no reason is given.
    """
    artifact = ws.catalogue.artifact(copy.artifact)
    if not reason.strip():
        raise InputError("a copy is let back in with a reason", on=f"{artifact.label} at {copy.location}", done="nothing was changed")
    _refuse_place(ws, copy)
    with (
        ws.catalogue.lease([artifact.id], Use.READ, ws.now()),
        ws.catalogue.lease([f"{artifact.id} at {copy.location}"], Use.ALONE, ws.now()),
    ):
        now = _as_it_is(ws, copy)
        if now.state not in DAMAGED:
            raise Refused("a copy is not damaged", on=f"{artifact.label} at {copy.location}", got=now.state, done="nothing was changed")
        if wrong := inspecting.mismatches(ws.store(copy.location), artifact, now, progress):
            raise IntegrityError(
                "a copy does not match", on=f"{artifact.label} at {copy.location}", got=inspecting.listed(wrong), done="nothing was changed"
            )
        ws.catalogue.add_receipt("readmission", _account(artifact, now) | {"reason": reason}, provenance.who(), ws.now())
        return transfer.count(ws, now)


def sources(ws: Workspace, artifact: Artifact, copy: Copy) -> Iterator[Copy]:
    """Verified copies at other places that can be reached; a location that is the same store has the same bytes."""
    same = ws.same(ws.reachable())
    return (each for each in transfer.readable(ws, artifact) if same.get(each.location) != same.get(copy.location))


def _attempt(ws: Workspace, copy: Copy, progress: files.Progress, rounds: Rounds) -> Repaired:
    """Repair one copy; where that cannot be done, say why and leave the others their turn."""
    try:
        repair(ws, copy, progress, rounds)
    except ColdchainError as error:  # whatever hinders one copy hinders no other
        return _said(ws, copy, str(error), done=False)
    return _said(ws, copy, "repaired", done=True)


def _would(ws: Workspace, copy: Copy) -> Repaired:
    artifact = ws.catalogue.artifact(copy.artifact)
    try:
        _refuse_place(ws, copy)
    except ColdchainError as error:
        return _said(ws, copy, str(error), done=False)
    source = next(sources(ws, artifact, copy), None)
    if source is None:
        return _said(ws, copy, "no verified copy can be read; what the damaged ones still have would be gathered", done=False)
    return _said(ws, copy, f"would be repaired from {source.location}, after that was read back", done=False)


def _said(ws: Workspace, copy: Copy, said: str, *, done: bool) -> Repaired:
    return Repaired(copy.id, ws.catalogue.artifact(copy.artifact).label, copy.location, copy.state, copy.detail, done, said)


def _refuse_place(ws: Workspace, copy: Copy) -> None:
    """Raise where nothing is repaired at a copy's location now."""
    if copy.location not in ws.stores:
        raise NotInCatalogue("the site does not know a location", on=copy.location, done="nothing was changed")
    ws.store(copy.location)
    if why := ws.catalogue.brakes().get(copy.location):
        raise Refused(
            "the audit of a location is stopped",
            on=copy.location,
            got=why,
            done="nothing was changed",
            hint=f"look at the location; then `coldchain audit --release {copy.location} --reason ...`",
        )


def _as_it_is(ws: Workspace, copy: Copy) -> Copy:
    """The copy as the catalogue has it now; raises Refused where it is none that is repaired."""
    found = ws.catalogue.copies(artifact=copy.artifact, location=copy.location)
    now = next((each for each in found if each.id == copy.id), copy)
    if now.state in {CopyState.TRASHED, CopyState.REMOVED}:
        raise Refused("a copy is on its way out", on=f"{copy.artifact} at {copy.location}", got=now.state, done="nothing was changed")
    return now


def _stands(ws: Workspace, artifact: Artifact, copy: Copy, progress: files.Progress) -> bool:
    """Whether a copy that was lost, or whose repair was cut off, has all its bytes in its place."""
    store = ws.store(copy.location)
    return store.exists(copy.path) and not inspecting.mismatches(store, artifact, copy, progress)


def _found_again(ws: Workspace, artifact: Artifact, copy: Copy) -> Copy:
    """Count a copy whose bytes stand in its place; that a lost one was found is told."""
    if copy.state is CopyState.LOST:
        _receipt(ws, artifact, copy, [], ["its own bytes, found in their place"])
    return transfer.count(ws, copy)


def _replace(ws: Workspace, artifact: Artifact, copy: Copy, progress: files.Progress, rounds: Rounds) -> Copy:
    """Put new bytes in staging, make room for them, and give them the copy's name."""
    staged = transfer.staging_of(artifact)
    manifest, origins = _stage(ws, artifact, copy, staged, progress, rounds)
    paths = _move_aside(ws, copy)
    if paths or copy.state is not CopyState.COPYING:
        _receipt(ws, artifact, copy, paths, origins)
    for path in paths:
        ws.catalogue.change_copy(copy.id, state=CopyState.SUSPECT)  # also where something took the place of a copy being made
        ws.catalogue.set_aside(copy.id, path, copy.detail or "it stood in the copy's place", ws.now())
    return transfer.finish(ws, copy, staged, manifest)


def _stage(
    ws: Workspace, artifact: Artifact, copy: Copy, staged: str, progress: files.Progress, rounds: Rounds
) -> tuple[Manifest, list[str]]:
    """Fill staging from the first verified copy that was read back whole, or else from what damaged copies still have."""
    store, tried = ws.store(copy.location), []
    for source in sources(ws, artifact, copy):
        try:
            manifest = _from(ws, artifact, source, store, staged, progress, rounds)
        except (IntegrityError, InputError) as error:
            tried.append(f"{source.location}: {error}")
        else:
            transfer.prove(store, staged, manifest, progress)
            return manifest, [f"{source.location}:{source.path}"]
    return gathering.gather(ws, artifact, store, staged, tried, progress)


def _from(ws: Workspace, artifact: Artifact, source: Copy, store: Store, staged: str, progress: files.Progress, rounds: Rounds) -> Manifest:
    """Read a source back whole, then copy it into staging; raises IntegrityError or InputError where it is not the artifact."""
    at = rounds[source.location]
    reading = at.read(source)
    at.judge()
    if reading.outcome is not Outcome.MATCHES:
        raise IntegrityError("a copy was not read back", on=f"{source.location}:{source.path}", got=reading.found)
    return transfer.take_from(ws, artifact, source, store, staged, progress)


def _move_aside(ws: Workspace, copy: Copy) -> list[str]:
    """Move what stands in a copy's place aside, never over anything; gives every folder that is not written down yet."""
    store, known = ws.store(copy.location), {each.path for each in ws.catalogue.asides(copy.location)}
    moved = []
    for number in count(1):
        path = aside(copy, number)
        if path in known:
            continue
        if not store.exists(path):
            break
        moved.append(path)
    if store.exists(copy.path):
        store.set_aside(copy.path, path)
        moved.append(path)
    return moved


def _receipt(ws: Workspace, artifact: Artifact, copy: Copy, paths: list[str], origins: list[str]) -> None:
    """Tell what is repaired, from where, and where its old bytes are kept; cut off after it, the next run tells it again."""
    ws.catalogue.add_receipt("repair", _account(artifact, copy) | {"aside": paths, "from": origins}, provenance.who(), ws.now())


def _account(artifact: Artifact, copy: Copy) -> dict[str, object]:
    return {
        "copy": copy.id,
        "artifact": artifact.id,
        "location": copy.location,
        "path": copy.path,
        "files": artifact.files,
        "bytes": artifact.bytes,
        "was": copy.state,
        "wrong": copy.detail,
    }
