"""Strays: what stands where nothing should, what does not stand where it should; and that looking changes nothing."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from coldchain import inspecting, provenance, repairing, strays, transfer
from coldchain.copies import Artifact, CopyState
from coldchain.errors import LocationUnreachable
from coldchain.holds import Use
from coldchain.protection import release
from coldchain.testing.faults import flip_bit, vanish
from coldchain.workspace import Workspace


@pytest.fixture
def root(ws: Workspace, ingested: Artifact) -> Path:
    """Root of the backup, where the raw artifact stands with its README."""
    copy = transfer.deliver(ws, ingested, "backup")
    text = provenance.readme(ingested, ws.catalogue.activity(ingested.activity)).encode()
    for name in strays.NOTES:
        ws.stores["backup"].annotate(copy.path, name, text)
    found: Path = ws.stores["backup"].store.root
    return found


def look(ws: Workspace, most: int = strays.MOST) -> tuple[list[str], list[str], list[str]]:
    """What is astray at the backup: unregistered, missing, aside."""
    found = strays.look(ws, "backup", most)
    assert found.location == "backup"
    return found.unregistered.lines, found.missing.lines, found.aside.lines


@pytest.mark.usefixtures("root")
def test_nothing_is_astray_where_everything_is_registered(ws: Workspace) -> None:
    """A copy, its notes, and the folders on the way to it belong where they stand."""
    assert look(ws) == ([], [], [])


@pytest.mark.parametrize(
    "path",
    [
        "projects/PRJ-0001/raw/PLATE-B/file",
        "projects/PRJ-0001/raw/PLATE-B/deep/er/file",
        "projects/PRJ-0002/raw/PLATE-A/file",
        "projects/file",
        "projects/PRJ-0001/raw/PLATE-B.README.md",
        "projects/PRJ-0001/raw/PLATE-A.README.txt",
        ".coldchain/trash/99/file",
        ".coldchain/aside/99-1/file",
        ".coldchain/staging/99/file",
    ],
)
def test_what_belongs_to_no_copy_is_told(ws: Workspace, root: Path, path: str) -> None:
    """A file or folder that the catalogue does not know is told once, by the name where it leaves what is known."""
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_bytes(b"")
    unregistered, missing, _aside = look(ws)
    assert (len(unregistered), missing) == (1, [])
    assert path.startswith(unregistered[0])
    assert unregistered[0] not in {"projects", ".coldchain", "projects/PRJ-0001", "projects/PRJ-0001/raw"}


def test_empty_folders_are_not_worth_a_line(ws: Workspace, root: Path) -> None:
    """Folders that a removal left empty hold no bytes."""
    (root / "projects/PRJ-0009/raw/gone").mkdir(parents=True)
    assert look(ws)[0] == []


@pytest.mark.usefixtures("root")
def test_what_was_removed_and_stands_is_told(ws: Workspace) -> None:
    """A removed copy whose folder stands belongs to no copy any more."""
    (copy,) = ws.catalogue.copies(location="backup")
    ws.catalogue.change_copy(copy.id, state=CopyState.REMOVED)
    assert look(ws)[0] == ["projects/PRJ-0001"]


def test_a_copy_whose_folder_is_gone_is_told_and_stays_verified(ws: Workspace, root: Path, ingested: Artifact) -> None:
    """It is only told: the audit judges."""
    shutil.rmtree(root / ingested.folder)
    before = ws.catalogue.copies()
    assert look(ws) == ([], [ingested.folder], [])
    assert ws.catalogue.copies() == before


@pytest.mark.parametrize("stands", ["link", "loop", "outside", "file"])
def test_no_link_is_followed(ws: Workspace, root: Path, ingested: Artifact, stands: str) -> None:
    """A link or a file in a copy's place is told as what it is, and the copy is missing."""
    moved = (root / ingested.folder).rename(root.with_name("elsewhere"))
    place = root / ingested.folder
    {
        "link": lambda: place.symlink_to(moved),
        "loop": lambda: place.symlink_to(place),
        "outside": lambda: place.symlink_to("/"),
        "file": place.touch,
    }[stands]()
    unregistered, missing, _aside = look(ws)
    assert missing == [ingested.folder]
    assert unregistered == [ingested.folder + ("" if stands == "file" else ": a path passes a symbolic link")]


def test_linked_roots_are_told(ws: Workspace, root: Path, ingested: Artifact) -> None:
    """A location whose data folder is a link: the link is told, and nothing behind it is looked at."""
    (root / "projects").rename(root / "moved")
    (root / "projects").symlink_to(root / "moved")
    assert look(ws) == (["projects: a path passes a symbolic link"], [ingested.folder], [])


@pytest.mark.parametrize("name", ["new\nline", "\udcff\udcfe", "\x1b[2J", "tab\t", "-rf *", "ünïcode", " ", "MANIFEST.sha256"])
def test_hostile_names_are_told_on_a_line_of_their_own(ws: Workspace, root: Path, name: str) -> None:
    """A name that cannot be written down, or that would break out of its line, is told as Python writes it."""
    (root / "projects" / os.fsencode(name).decode(errors="surrogateescape")).mkdir()
    (root / "projects" / name / "file").touch()
    (line,) = look(ws)[0]
    assert line.isprintable()
    assert line.encode()
    assert line == (f"projects/{name}" if name.isprintable() else repr(f"projects/{name}"))


@pytest.mark.usefixtures("root")
def test_what_is_in_the_trash_or_set_aside_is_known(ws: Workspace, ingested: Artifact) -> None:
    """A trashed copy is no stray; bytes set aside are listed with the reason, for as long as they stand."""
    (copy,) = ws.catalogue.copies(location="backup")
    flip_bit(ws.stores["backup"].local(ingested.folder) / "A02_f1_c1.tif")
    repairing.repair(ws, inspecting.doubt(ws, copy, "a flipped bit"))
    path = repairing.aside(copy, 1)
    assert look(ws) == ([], [], [f"{path}: a flipped bit"])
    ws.catalogue.change_copy(copy.id, state=CopyState.TRASHED)
    ws.stores["backup"].store.move(copy.path, transfer.trash(copy))
    assert look(ws) == ([], [], [f"{path}: a flipped bit"])
    shutil.rmtree(ws.stores["backup"].local(path))
    assert look(ws) == ([], [], [])


def test_staging_of_work_in_hand_is_known(ws: Workspace, root: Path, ingested: Artifact) -> None:
    """What a living run leased, and what is being put in place, may stand in staging; what a dead run left is told."""
    fingerprint = "f" * 64
    names = {
        "step": transfer.staging(fingerprint),
        "transfer": transfer.staging(hashlib.sha256(f"{ingested.id}".encode()).hexdigest()),
    }
    for path in names.values():
        (root / path).mkdir(parents=True)
        (root / path / "file").touch()
    assert sorted(look(ws)[0]) == sorted(names.values())
    with ws.catalogue.lease([fingerprint, f"{ingested.id} at backup"], Use.ALONE, ws.now()):
        assert look(ws)[0] == []
    (copy,) = ws.catalogue.copies(location="backup")
    ws.catalogue.change_copy(copy.id, state=CopyState.COPYING)
    assert look(ws)[0] == [names["step"]]


def test_lines_are_limited_and_all_are_counted(ws: Workspace, root: Path) -> None:
    """However much is astray, a report stays short and says how much there is."""
    for number in range(5):
        (root / "projects" / f"file {number}").touch()
    found = strays.look(ws, "backup", 2).unregistered
    assert (found.count, found.lines) == (5, ["projects/file 0", "projects/file 1"])


def test_looking_changes_nothing(ws: Workspace, root: Path) -> None:
    """No file is opened and no name is changed: only listings and looks are asked of the store."""
    (root / "projects" / "stray").mkdir()
    (root / "projects" / "stray" / "file").touch()
    effects = ("put", "move", "set_aside", "delete", "annotate", "write_manifest", "protect", "register", "manifest", "read_back", "names")
    ws.stores["backup"].faults.update(dict.fromkeys(effects, vanish))
    assert look(ws)[0] == ["projects/stray"]


def test_a_location_that_is_away_is_an_error(ws: Workspace, root: Path) -> None:
    """Before, or while it is looked at: nothing is called missing because its mount is."""

    def unmount(_operation: str, _arguments: object, real: Callable[[], object]) -> object:
        root.rename(root.with_name("unmounted"))
        return real()

    release(root)
    ws.stores["backup"].faults["children"] = unmount
    with pytest.raises(LocationUnreachable):
        strays.look(ws, "backup")
    del ws.stores["backup"].faults["children"]
    with pytest.raises(LocationUnreachable):
        strays.look(ws, "backup")
