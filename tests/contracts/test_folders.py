"""What holds where a location is a folder of files: links, odd names, folders without a manifest."""

from __future__ import annotations

from pathlib import Path

import pytest

from coldchain.errors import IntegrityError, LocationUnreachable, UnsafePathError
from coldchain.files import no_progress
from coldchain.manifest import MANIFEST
from tests.contracts.benches import MANIFEST_OF_ALL, NAMES, FolderBench


def test_children_are_listed_whatever_they_are(folders: FolderBench) -> None:
    """Links and names that are no text are listed by name; no link is followed."""
    (folders.root / "data" / "link").symlink_to(folders.root / "data")
    (folders.root / "data" / "new\n\udcff").touch()
    assert folders.store.children("data") == [MANIFEST, "a.tif", "deep", "empty", "link", "new\n\udcff"]
    with pytest.raises(UnsafePathError):
        folders.store.children("data/link")


def test_a_link_among_the_files_is_refused(folders: FolderBench) -> None:
    """A link that took a file's place is not followed, even to the same bytes."""
    (folders.root / "data" / "link").symlink_to(folders.root / "data" / "a.tif")
    with pytest.raises(UnsafePathError):
        folders.store.read_back("data", no_progress)


def test_paths_pass_no_link(folders: FolderBench, source: Path, tmp_path: Path) -> None:
    """A linked folder in a path is refused, wherever it stands in it."""
    (tmp_path / "outside" / "data").mkdir(parents=True)
    (folders.root / "linked").symlink_to(tmp_path / "outside")
    for path in ("linked", "linked/data"):
        for call in (folders.store.exists, folders.store.names, folders.store.delete):
            with pytest.raises(UnsafePathError):
                call(path)
        with pytest.raises(UnsafePathError):
            folders.store.put(source, path, NAMES, no_progress)
    assert list((tmp_path / "outside").rglob("*")) == [tmp_path / "outside" / "data"]


def test_a_folder_that_cannot_be_looked_at_is_said(folders: FolderBench) -> None:
    """What the system says of a name that it cannot look at becomes an error of ours."""
    for look in (folders.store.exists, folders.store.children):
        with pytest.raises(LocationUnreachable):
            look("y" * 300)


def test_move_gives_the_other_name(folders: FolderBench, source: Path) -> None:
    """A folder moves whole, to a place whose folders do not exist yet."""
    manifest = folders.store.put(source, "staged", NAMES, no_progress)
    folders.store.move("staged", "a/b/data")
    assert not folders.store.exists("staged")
    assert folders.store.read_back("a/b/data", no_progress) == manifest


def test_move_never_over_another(folders: FolderBench, source: Path) -> None:
    """A folder never takes another's place: both stay, the empty one too."""
    folders.store.put(source, "one", ["a.tif"], no_progress)
    folders.store.put(source, "two", ["empty"], no_progress)
    folders.store.put(source, "three", [], no_progress)
    for there in ("two", "three"):
        with pytest.raises(IntegrityError):
            folders.store.move("one", there)
    assert [folders.store.names(path) for path in ("one", "two", "three")] == [["a.tif"], ["empty"], []]


def test_delete_follows_no_link(folders: FolderBench, tmp_path: Path) -> None:
    """What a link in a folder points to stays."""
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_bytes(b"")
    (folders.root / "data" / "link").symlink_to(tmp_path / "precious")
    folders.store.delete("data")
    assert not folders.store.exists("data")
    assert (tmp_path / "precious" / "file").exists()


def test_a_source_with_folders_only(folders: FolderBench) -> None:
    """A folder without files stands, and is read back as nothing."""
    (folders.root / "hollow" / "deep").mkdir(parents=True)
    assert folders.store.exists("hollow")
    assert folders.store.read_back("hollow", no_progress).entries == {}
    assert folders.store.read_back("data", no_progress) == MANIFEST_OF_ALL
