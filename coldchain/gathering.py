"""Gathering: where no copy is whole any more, the files that some copy still has intact make the artifact again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from coldchain import files, transfer
from coldchain.copies import Artifact, Copy, CopyState
from coldchain.errors import ColdchainError, IntegrityError
from coldchain.manifest import Manifest
from coldchain.reading import absent

if TYPE_CHECKING:
    from coldchain.store import Store
    from coldchain.workspace import Workspace

ASIDE = ".coldchain/aside"
"""Below this folder of a location the bytes of damaged copies are kept."""

MOST = 5
"""Files that a message names."""


def gather(
    ws: Workspace, artifact: Artifact, to: Store, staged: str, tried: Sequence[str], progress: files.Progress
) -> tuple[Manifest, list[str]]:
    """Fill staging at a location with each file of an artifact from whatever folder still has it; gives where they came from.

    Raises:
        IntegrityError: a file, or the list of files, is intact nowhere; every byte stays where it is.
    """
    folders = list(_folders(ws, artifact))
    manifest = _manifest(artifact, folders, tried)
    found = _found(artifact, manifest, folders, tried)
    transfer.drop_strangers(to, staged, list(manifest.entries))
    for store, path, names in found:
        transfer.carry(ws, artifact, (store, path), (to, staged), names, progress)
    transfer.prove(to, staged, manifest, progress)
    return manifest, [f"{store.location.name}:{path} ({len(names)} files)" for store, path, names in found]


def _found(
    artifact: Artifact, manifest: Manifest, folders: Sequence[tuple[Store, str]], tried: Sequence[str]
) -> list[tuple[Store, str, list[str]]]:
    """Which files to take from which folder; raises IntegrityError where one is intact nowhere."""
    missing, found = dict(manifest.entries), []
    for store, path in folders:
        intact = [name for name, digest in missing.items() if _intact(store, path, name, digest)]
        if intact:
            found.append((store, path, intact))
        for name in intact:
            del missing[name]
    if missing:
        raise _gone(artifact, _named(list(missing)), tried)
    return found


def _folders(ws: Workspace, artifact: Artifact) -> Iterator[tuple[Store, str]]:
    """Every folder that holds, or held, bytes of an artifact, at locations that show their identity."""
    copies = [copy for copy in ws.catalogue.copies(artifact=artifact.id) if copy.state is not CopyState.REMOVED]
    places = [(copy.location, path) for copy in copies for path in (copy.path, transfer.trash(copy))]
    places += [(each.location, each.path) for each in ws.catalogue.asides() if each.artifact == artifact.id]
    places += [(copy.location, path) for copy in copies for path in _moved(ws, copy)]
    return ((ws.stores[name], path) for name, path in dict.fromkeys(places) if name in ws.stores and not absent(ws, name))


def _moved(ws: Workspace, copy: Copy) -> list[str]:
    """Folders of a copy that were moved aside; a repair that was cut off may not have written the last one down."""
    if copy.location not in ws.stores or absent(ws, copy.location):
        return []
    return [f"{ASIDE}/{name}" for name in ws.stores[copy.location].children(ASIDE) if name.startswith(f"{copy.id}-")]


def _manifest(artifact: Artifact, folders: Sequence[tuple[Store, str]], tried: Sequence[str]) -> Manifest:
    """The artifact's list of files: as it stands somewhere, or made again where every file stands."""
    for read in (_written, _made_again):
        for store, path in folders:
            found = read(store, path)
            if found is not None and found.digest == artifact.digest:
                return found
    raise _gone(artifact, "its manifest", tried)


def _written(store: Store, path: str) -> Manifest | None:
    try:
        return Manifest.parse(store.manifest(path), f"{store.location.name}:{path}")
    except ColdchainError:  # damaged here: it is looked for elsewhere
        return None


def _made_again(store: Store, path: str) -> Manifest | None:
    try:
        return store.read_back(path, files.no_progress)
    except ColdchainError:  # damaged here: it is looked for elsewhere
        return None


def _intact(store: Store, path: str, name: str, digest: str) -> bool:
    try:
        return store.read_back(path, files.no_progress, [name]).entries[name] == digest
    except ColdchainError:  # damaged here: it is looked for elsewhere
        return False


def _gone(artifact: Artifact, what: str, tried: Sequence[str]) -> IntegrityError:
    return IntegrityError(
        "no copy has the artifact's bytes any more",
        on=artifact.label,
        expected=f"{what} intact somewhere",
        got="; ".join(tried) or "no verified copy can be read",
        done="every byte stays where it is",
        hint="is every location mounted? `coldchain status` shows where it stands",
    )


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
    return ", ".join(repr(name) for name in names[:MOST]) + more
