"""The half of every engine's contract that changes nothing."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from coldchain.errors import IntegrityError, UnsafePathError
from coldchain.files import no_progress
from coldchain.manifest import MANIFEST
from coldchain.store import Mismatch, compare
from tests.contracts.benches import CONTENTS, MANIFEST_OF_ALL, NAMES, Bench


def wrong(filled: Bench) -> list[Mismatch]:
    """How what stands there differs from what was put."""
    return compare(MANIFEST_OF_ALL, filled.store.read_back("data", no_progress))


def test_names_are_listed_without_the_manifest(filled: Bench) -> None:
    """A folder's files are listed in the order of their bytes, without its manifest."""
    assert filled.store.names("data") == NAMES


def test_bytes_are_read_back(filled: Bench) -> None:
    """What is read back is what stood in the source."""
    assert wrong(filled) == []


def test_some_files_are_read_back(filled: Bench) -> None:
    """Only those that are named are hashed; one that is not there is an error that names it."""
    assert filled.store.read_back("data", no_progress, ["empty"]).entries == {"empty": MANIFEST_OF_ALL.entries["empty"]}
    with pytest.raises(IntegrityError, match="none"):
        filled.store.read_back("data", no_progress, ["empty", "none"])


def test_progress_is_told_to_the_end(filled: Bench) -> None:
    """A long reading shows how far it is."""
    told: list[tuple[int, int]] = []
    filled.store.read_back("data", lambda done, total: told.append((done, total)))
    assert told[-1] == (3, 3)


def test_the_manifest_is_given(filled: Bench) -> None:
    """The manifest is given byte for byte."""
    assert filled.store.manifest("data") == MANIFEST_OF_ALL.text


def test_a_missing_manifest_is_an_error(filled: Bench) -> None:
    """A folder without a manifest is not verified quietly."""
    with pytest.raises(IntegrityError):
        filled.store.manifest("none")


def test_exists(filled: Bench) -> None:
    """What stands there is told from what does not."""
    assert filled.store.exists("data")
    assert not filled.store.exists("none")
    assert not filled.store.exists("dat")


def test_children_are_the_names_directly_below(filled: Bench) -> None:
    """Files, folders and the manifest are listed by name, in the order of their bytes; nothing below them is."""
    assert filled.store.children("data") == [MANIFEST, "a.tif", "deep", "empty"]
    assert filled.store.children("") == [".coldchain", "data"]


def test_children_of_what_is_no_folder(filled: Bench) -> None:
    """A file and a name where nothing stands have none."""
    assert filled.store.children("data/a.tif") == filled.store.children("none") == []


def test_a_changed_byte_is_seen(filled: Bench) -> None:
    """Other bytes are read back as another digest, though the size is the same."""
    filled.spoil("data", "a.tif", b"a" * 4999 + b"b")
    assert [(each.name, each.expected is not None) for each in wrong(filled)] == [("a.tif", True)]


def test_an_added_file_is_seen(filled: Bench) -> None:
    """A file that is not in the manifest is read back too."""
    filled.spoil("data", "deep/new", b"")
    assert [(each.name, each.expected) for each in wrong(filled)] == [("deep/new", None)]


def test_a_missing_file_is_seen(filled: Bench) -> None:
    """A file that is gone is missing in what is read back."""
    filled.lose("data", "empty")
    assert [(each.name, each.got) for each in wrong(filled)] == [("empty", None)]


def test_what_changed_since_a_moment_is_found(filled: Bench) -> None:
    """By the location's own clock: what was written to after it is named, and nothing where nothing was."""
    at = filled.store.clock()
    assert filled.store.changed("data", at + dt.timedelta(hours=1)) == []
    assert filled.store.changed("data", at - dt.timedelta(hours=1)) == NAMES


def test_files_are_copied_out(filled: Bench, tmp_path: Path) -> None:
    """Those that are named arrive with their bytes; the manifest says what was read; nothing else is written."""
    read = filled.store.get("data", tmp_path / "out", ["a.tif", "deep/b\n.tif"], no_progress)
    assert read.entries == {name: MANIFEST_OF_ALL.entries[name] for name in NAMES[:2]}
    if filled.store.__class__.__name__ != "DryRunStore":
        out = {str(path.relative_to(tmp_path / "out")): path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
        assert out == {name: CONTENTS[name] for name in NAMES[:2]}


def test_what_is_missing_is_not_copied_out(filled: Bench, tmp_path: Path) -> None:
    """A name without a file is an error, and not a shorter manifest."""
    with pytest.raises(IntegrityError, match="none"):
        filled.store.get("data", tmp_path / "out", ["a.tif", "none"], no_progress)


def test_half_of_a_file_is_copied_out_again(filled: Bench, tmp_path: Path) -> None:
    """What a run that was cut off left in the target is completed."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.tif").write_bytes(b"a" * 17)
    assert filled.store.get("data", tmp_path / "out", NAMES, no_progress) == MANIFEST_OF_ALL
    if filled.store.__class__.__name__ != "DryRunStore":
        assert (tmp_path / "out" / "a.tif").read_bytes() == CONTENTS["a.tif"]


@pytest.mark.parametrize("path", ["../out", "a/../../out", "/etc", "", "a//b", "."])
def test_paths_stay_below_the_root(filled: Bench, path: str) -> None:
    """No path leads out of the location."""
    for call in (filled.store.exists, filled.store.names, filled.store.manifest, filled.store.local):
        with pytest.raises(UnsafePathError):
            call(path)


@pytest.mark.parametrize("path", ["..", "/etc", "data/.."])
def test_no_names_are_listed_outside(filled: Bench, path: str) -> None:
    """Nor are its neighbours."""
    with pytest.raises(UnsafePathError):
        filled.store.children(path)


def test_identity_is_kept(filled: Bench) -> None:
    """A location shows the same identity, and the same place, each time."""
    assert filled.store.identity() == filled.store.identity()
    assert filled.store.place() == filled.store.place()


def test_capacity(filled: Bench) -> None:
    """There is no more room free than there is in all."""
    assert 0 < filled.store.capacity().free <= filled.store.capacity().total
