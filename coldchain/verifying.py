"""Verifying: reading copies back on demand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from coldchain import files, transfer
from coldchain.copies import Copy, CopyState
from coldchain.errors import PermanentError, TransientError

if TYPE_CHECKING:
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

    Raises:
        NotInCatalogue: no such dataset.
    """
    if dataset:
        ws.catalogue.dataset(dataset)
    states = [CopyState.VERIFIED, CopyState.SUSPECT]
    copies = [
        copy for copy in ws.catalogue.copies(location=location, states=states) if dataset is None or copy.artifact.startswith(f"{dataset}/")
    ]
    return [_verify(ws, copy, progress) for copy in copies]


def _verify(ws: Workspace, copy: Copy, progress: files.Progress) -> Verified:
    artifact = ws.catalogue.artifact(copy.artifact)
    try:
        wrong = transfer.mismatches(ws.store(copy.location), artifact, copy, progress)
    except PermanentError as error:  # it cannot be read back: it stops counting, and the others are still read
        doubted = transfer.doubt(ws, copy, str(error))
        return Verified(artifact.label, copy.location, artifact.files, artifact.bytes, False, doubted.detail)
    except TransientError as error:  # not reachable now: that says nothing of its bytes
        return Verified(artifact.label, copy.location, artifact.files, artifact.bytes, False, str(error))
    if wrong:
        suspect = transfer.mark_suspect(ws, copy, wrong)
        return Verified(artifact.label, copy.location, artifact.files, artifact.bytes, False, suspect.detail)
    if copy.state is CopyState.VERIFIED:
        ws.catalogue.change_copy(copy.id, verified_at=ws.now())
    return Verified(
        artifact.label, copy.location, artifact.files, artifact.bytes, copy.state is CopyState.VERIFIED, copy.detail or "every byte matches"
    )
