"""Making a level again from its provenance, and holding what comes out against what was made: the same bytes, or which files differ."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from coldchain import files, provenance, transfer
from coldchain.choices import own_inputs
from coldchain.errors import ColdchainError, NotInCatalogue, Refused
from coldchain.holds import Use
from coldchain.inspecting import manifest_of
from coldchain.levels import Level
from coldchain.making import local_folder
from coldchain.manifest import Manifest
from coldchain.staleness import differing

if TYPE_CHECKING:
    from pathlib import Path

    from coldchain.copies import Artifact
    from coldchain.provenance import Activity
    from coldchain.workspace import Workspace

SHOWN = 20
"""Files that differ and are named."""


@dataclass(frozen=True)
class Rerun:
    """What came out of making a level again.

    Attributes:
        identical: whether every byte is the same: the digests of the two manifests are.
        warnings: what was not as it was, and may explain a difference.
        differing: names of files that are not the same in both, all of them; none where no copy of the old one can be read.
        details: how tables and labels differ.
        kept: where what came out stands, where it was kept.
        remade: whether it was made again; a release is not, its tables are held against their sources.
    """

    artifact: str
    made_by: str
    identical: bool
    expected: str
    got: str
    seconds: float
    warnings: tuple[str, ...] = ()
    differing: tuple[str, ...] = ()
    details: tuple[str, ...] = ()
    kept: str = ""
    remade: bool = True

    @property
    def verdict(self) -> str:
        """Say in one line what came out."""
        if self.identical and not self.remade:
            return f"{self.artifact}: identical, its tables are those that it was put together of"
        if self.identical:
            return f"{self.artifact}: identical, every byte is the same"
        return f"{self.artifact}: differs, {len(self.differing) or 'unknown'} files are not the same"


def refuse_raw(artifact: Artifact) -> None:
    """Raise Refused for what no recipe makes."""
    if artifact.level is Level.RAW:
        raise Refused(
            "raw data is not made again: it came from an instrument",
            on=artifact.label,
            done="nothing was made",
            hint="`coldchain verify` reads its copies back",
        )


def doubts(recorded: Activity, today: Mapping[str, Any] | None) -> list[str]:
    """What is not as it was when something was made: code, packages, and what its recipe would be told today. Pure."""
    found = []
    if recorded.code_version != provenance.code_version():
        found.append(f"code: made by coldchain {recorded.code_version}, this is {provenance.code_version()}")
    if recorded.lock_digest != provenance.lock_digest():
        found.append(f"packages: made with lock {recorded.lock_digest[:12]}, this is {provenance.lock_digest()[:12]}")
    if others := differing(recorded.parameters, today or recorded.parameters):
        found.append(f"parameters: {', '.join(others)} would be told otherwise today; what was recorded was used")
    return found


@contextmanager
def scratch(ws: Workspace, artifact: Artifact, *, keep: bool) -> Iterator[Path]:
    """An empty folder on scratch that is no copy, for one rerun of an artifact at a time; gone afterwards, unless it is kept.

    Raises:
        EgressRefused: the project's data may not go there.
        LeaseTaken: the same is being made again by another.
    """
    location = ws.site.roles.scratch
    transfer.permit(ws, artifact.dataset, location)
    scope = f"rerun of {artifact.id}"
    with ws.catalogue.lease([scope], Use.ALONE, ws.now()):
        folder = ws.store(location).local(transfer.staging(hashlib.sha256(scope.encode()).hexdigest()))
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            if not keep:
                shutil.rmtree(folder)


def readable(ws: Workspace, artifact: Artifact) -> Path | None:
    """Local folder of a verified copy, or nothing where none can be read here."""
    try:
        return local_folder(ws, artifact)
    except NotInCatalogue:
        return None


def what_it_takes(ws: Workspace, artifact: Artifact, recorded: Activity) -> list[Artifact]:
    """The recorded inputs of an artifact; raises NotInCatalogue where one is not known any more."""
    return [ws.catalogue.artifact(name) for name in recorded.inputs if name in own_inputs(artifact.dataset, recorded)]


def refuse_unreadable(artifact: Artifact, inputs: Sequence[Artifact]) -> None:
    """Raise NotInCatalogue where inputs stand nowhere that can be read here."""
    if inputs:
        raise NotInCatalogue(
            "an input stands nowhere that can be read here",
            on=artifact.label,
            got=", ".join(each.label for each in inputs),
            done="nothing was made",
            hint="`--inputs` makes what can be made again on the way; else `stage` or `recall` it, or mount its location",
        )


def manifest_here(folder: Path) -> Manifest:
    """Manifest of what came out."""
    return files.hash_tree(folder, files.names_below(folder))


def manifest_then(ws: Workspace, artifact: Artifact) -> Manifest | None:
    """Manifest of an artifact, from any copy that shows one; nothing where none does."""
    for copy in ws.catalogue.copies(artifact=artifact.id):
        if copy.location in ws.stores:
            try:
                found = manifest_of(ws, artifact, copy)
            except ColdchainError:  # gone, away, damaged: the next one may show it
                continue
            if found.digest == artifact.digest:
                return found
    return None


def details(old: Path | None, new: Path, names: Sequence[str], compare: Callable[[Path, Path], str]) -> tuple[str, ...]:
    """How files that differ do so, of those that both have."""
    both = [name for name in names if old is not None and (old / name).is_file() and (new / name).is_file()]
    return tuple(f"{name}: {said}" for name in both if old is not None and (said := compare(old / name, new / name)))
