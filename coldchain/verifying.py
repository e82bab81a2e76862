"""Verifying: reading copies back on demand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from coldchain import files, inspecting
from coldchain.copies import Copy, CopyState
from coldchain.errors import LeaseTaken
from coldchain.holds import Use
from coldchain.reading import Outcome, read

if TYPE_CHECKING:
    from coldchain.copies import Artifact
    from coldchain.workspace import Workspace


@dataclass(frozen=True)
class Verified:
    """One copy that was read back."""

    artifact: str
    location: str
    files: int
    bytes: int
    ok: bool
    found: str


def verify(
    ws: Workspace, *, dataset: str | None = None, location: str | None = None, progress: files.Progress = files.no_progress
) -> list[Verified]:
    """Read back the verified and suspect copies of a dataset, or of a location; a mismatch makes a copy suspect.

    A suspect copy whose bytes match again stays suspect: a disk that gave wrong bytes once is for a person to judge.
    The instrument's own folders have no manifest, and are read when they are to go.

    There is no brake here: whoever asks for a reading wants what it finds written down.

    Raises:
        NotInCatalogue: no such dataset.
    """
    if dataset:
        ws.catalogue.dataset(dataset)
    states = [CopyState.VERIFIED, CopyState.SUSPECT]
    copies = [
        copy
        for copy in ws.catalogue.copies(location=location, states=states)
        if (dataset is None or copy.artifact.startswith(f"{dataset}/")) and copy.location != ws.site.roles.instrument
    ]
    return [_verify(ws, copy, progress) for copy in copies]


def _verify(ws: Workspace, copy: Copy, progress: files.Progress) -> Verified:
    """Read one copy back; one that could not be read now keeps its state."""
    artifact = ws.catalogue.artifact(copy.artifact)
    try:
        with ws.catalogue.lease([artifact.id], Use.READ, ws.now()):
            return _verify_leased(ws, artifact, copy, progress)
    except LeaseTaken as error:  # it is being removed or made
        return Verified(artifact.label, copy.location, artifact.files, artifact.bytes, ok=False, found=str(error))


def _verify_leased(ws: Workspace, artifact: Artifact, copy: Copy, progress: files.Progress) -> Verified:
    reading = read(ws, artifact, copy, progress)
    ok, found = reading.outcome is Outcome.MATCHES and copy.state is CopyState.VERIFIED, reading.found
    if reading.outcome is Outcome.DIFFERS:
        inspecting.doubt(ws, copy, reading.found)
    elif ok:
        ws.catalogue.change_copy(copy.id, verified_at=ws.now())
    elif reading.outcome is Outcome.MATCHES:
        found = copy.detail or reading.found
    return Verified(artifact.label, copy.location, artifact.files, artifact.bytes, ok, found)
