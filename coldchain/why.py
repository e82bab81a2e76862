"""Why a file is here: which artifact it belongs to, how it was made, what protects it, when it may go."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from coldchain import retention
from coldchain.copies import Artifact, Copy, CopyState
from coldchain.errors import NotInCatalogue
from coldchain.manifest import MANIFEST, Manifest
from coldchain.retention import Decision
from coldchain.standing import standing
from coldchain.status import counted

if TYPE_CHECKING:
    from coldchain.provenance import Activity
    from coldchain.workspace import Workspace


@dataclass(frozen=True)
class Answer:
    """Everything that is known of one file or folder."""

    artifact: Artifact
    copy: Copy
    name: str | None
    sha256: str | None
    activity: Activity
    decision: Decision
    counted: str
    holds: tuple[str, ...]


def why(ws: Workspace, path: Path) -> Answer:
    """Explain a file or folder at any of the site's locations. Raises NotInCatalogue where it belongs to no artifact."""
    copy, rest = _find(ws, path)
    ledger = ws.ledger()
    artifact = ledger.artifacts[copy.artifact]
    decisions = retention.plan(ledger, ws.policy, ws.now()).decisions
    return Answer(
        artifact=artifact,
        copy=copy,
        name=rest,
        sha256=_listed(ws, copy, rest) if rest else None,
        activity=ws.catalogue.activity(artifact.activity),
        decision=next(each for each in decisions if each.copy == copy.id),
        counted=counted(ledger, standing(artifact, ledger, ws.policy, ws.now()).copies),
        holds=tuple(f"{hold.reason} (by {hold.who}, until {hold.until})" for hold in ledger.holds if hold.dataset == artifact.dataset),
    )


def _find(ws: Workspace, path: Path) -> tuple[Copy, str | None]:
    """Find the copy whose folder holds the path, and the file's name in it."""
    absolute = Path(os.path.realpath(path))  # unlike Path.resolve, a loop of links is no error here
    for location in (each for each in ws.site.locations if each.mounted):
        root = Path(os.path.realpath(ws.site.path(location.root)))
        if not absolute.is_relative_to(root):
            continue
        inside = absolute.relative_to(root).as_posix()
        for copy in ws.catalogue.copies(location=location.name, states=[state for state in CopyState if state is not CopyState.REMOVED]):
            if inside == copy.path or inside.startswith(copy.path + "/"):
                return copy, inside[len(copy.path) + 1 :] or None
    raise NotInCatalogue("this path belongs to no artifact", on=path, hint="it is outside the site's locations, or was never registered")


def _listed(ws: Workspace, copy: Copy, name: str) -> str:
    """Digest that the manifest gives a file; a file that is not listed is named as such."""
    manifest = Manifest.parse(ws.store(copy.location).manifest(copy.path))
    if name == MANIFEST:
        return manifest.digest
    return manifest.entries.get(name, "a folder, or not listed in the manifest")
