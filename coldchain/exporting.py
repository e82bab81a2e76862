"""Hand-outs: images of a dataset in a format that other programs read, laid out at a location for whoever asked.

A hand-out is no copy: it counts for nothing, is not audited, and belongs to whoever asked for it. Like every transfer it passes the one
check of what may go where. It stands below `exports`, under its name only when every plane of it was proved.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coldchain import files, provenance, transfer
from coldchain.errors import InputError
from coldchain.holds import Use
from coldchain.making import local_folder

if TYPE_CHECKING:
    from coldchain.copies import Artifact
    from coldchain.store import Store
    from coldchain.workspace import Workspace

EXPORTS = "exports"

Writer = Callable[[str, str], Mapping[str, Any]]
"""Told the folder of the images and a new folder to fill; gives what it wrote."""


@dataclass(frozen=True)
class HandOut:
    """Where a hand-out stands, and whether this run made it."""

    location: str
    path: str
    new: bool
    findings: Mapping[str, Any]


def hand_out(ws: Workspace, artifact: Artifact, to: str, kind: str, wells: Sequence[str], write: Writer) -> HandOut:
    """Let images of an artifact be written at a location; does nothing where the same was handed out before.

    Raises:
        EgressRefused: the project's data may not go there; nothing was written.
        InputError: the site has no such location.
        LeaseTaken: another run writes the same.
    """
    if to not in ws.stores:
        raise InputError("no such location", on=to, expected=", ".join(ws.stores), done="nothing was written")
    transfer.permit(ws, artifact.dataset, to)
    path = place(artifact, kind, wells)
    scope, store = f"hand-out {path} to {to}", ws.store(to)
    with ws.catalogue.lease([artifact.id], Use.READ, ws.now()), ws.catalogue.lease([scope], Use.ALONE, ws.now()):
        if store.exists(path):
            return HandOut(to, path, new=False, findings={})
        ws.catalogue.asked([artifact.id], ws.now())
        return HandOut(to, path, new=True, findings=_write(ws, artifact, store, path, scope, write))


def place(artifact: Artifact, kind: str, wells: Sequence[str] = ()) -> str:
    """Folder of a hand-out below a location's root: of an artifact, in a format, of all wells or of some."""
    some = hashlib.sha256("\n".join(sorted({well.upper() for well in wells})).encode()).hexdigest()[:8]
    return f"{EXPORTS}/{artifact.dataset}/{artifact.digest[:12]}-{kind}" + (f"-{len(set(wells))}-wells-{some}" if wells else "")


def _write(ws: Workspace, artifact: Artifact, store: Store, path: str, scope: str, write: Writer) -> Mapping[str, Any]:
    staged = transfer.staging(hashlib.sha256(scope.encode()).hexdigest())
    store.delete(staged)
    target = store.local(staged)
    target.mkdir(parents=True)
    try:
        findings = write(str(local_folder(ws, artifact)), str(target))
        store.write_manifest(staged, store.read_back(staged, files.no_progress))
    except BaseException:
        store.delete(staged)  # half a hand-out is of no use to anybody
        raise
    store.move(staged, path)
    store.annotate(path, "README.md", _readme(artifact, Path(path).name).encode())
    return findings


def _readme(artifact: Artifact, name: str) -> str:
    return (
        f"# {artifact.dataset}: a hand-out\n\n{name} was made of {artifact.label} by coldchain {provenance.code_version()} for"
        f" {provenance.who()}.\n\nIt is no copy: it counts for nothing, nobody looks after it, and it can be made again from the dataset."
        " Check the files: `sha256sum -c MANIFEST.sha256` in the folder.\n"
    )
