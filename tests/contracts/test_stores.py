"""What every storage engine must do, whatever it stands on; `conftest.py` lists the engines."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from coldchain.errors import IntegrityError, LocationUnreachable, OutOfSpace, RemovalRefused, UnsafePathError
from coldchain.files import no_progress
from coldchain.manifest import MANIFEST, Manifest
from coldchain.store import Store, compare
from coldchain.store_dryrun import DryRunStore
from coldchain.store_posix import MARKER, PosixStore
from coldchain.testing.faults import FaultyStore, fill_up, flip_bit, lose_bytes, vanish

NAMES = ["a.tif", "deep/b\n.tif", "empty"]


def _manifest(source: Path) -> Manifest:
    return Manifest.of((name, hashlib.sha256((source / name).read_bytes()).hexdigest()) for name in NAMES)


def _tree(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


class TestReading:
    """The half of the contract that changes nothing."""

    def test_names_are_listed_without_the_manifest(self, filled: Store) -> None:
        """A folder's files are listed in the order of their bytes, without its manifest."""
        assert filled.names("data") == NAMES

    def test_bytes_are_read_back(self, filled: Store, source: Path) -> None:
        """What is read back is what stood in the source."""
        assert filled.read_back("data", no_progress) == _manifest(source)

    def test_the_manifest_is_given(self, filled: Store, source: Path) -> None:
        """The manifest is given byte for byte."""
        assert filled.manifest("data") == _manifest(source).text

    def test_a_missing_manifest_is_an_error(self, filled: Store) -> None:
        """A folder without a manifest is not verified quietly."""
        with pytest.raises(IntegrityError):
            filled.manifest("none")

    def test_exists(self, filled: Store) -> None:
        """What stands there is told from what does not."""
        assert filled.exists("data")
        assert not filled.exists("none")

    def test_children_are_the_names_directly_below(self, filled: Store) -> None:
        """Files, folders, the manifest, links and odd names are listed by name, in the order of their bytes; nothing below them is."""
        folder = filled.local("data")
        (folder / "link").symlink_to(folder)
        (folder / "new\n\udcff").touch()
        assert filled.children("data") == [MANIFEST, "a.tif", "deep", "empty", "link", "new\n\udcff"]
        assert filled.children("") == [".coldchain", "data"]

    def test_children_of_what_is_no_folder(self, filled: Store) -> None:
        """A file and a name where nothing stands have none."""
        assert filled.children("data/a.tif") == filled.children("none") == []

    def test_children_are_not_listed_through_a_link(self, filled: Store) -> None:
        """A linked folder is not looked into, and no path leads out."""
        (filled.local("data") / "link").symlink_to(filled.local("data").parent)
        for path in ("data/link", "..", "/etc"):
            with pytest.raises(UnsafePathError):
                filled.children(path)

    def test_a_changed_byte_is_seen(self, filled: Store, source: Path) -> None:
        """A flipped bit is read back as another digest, though size and times are the same."""
        flip_bit(filled.local("data") / "a.tif", at=4999)
        assert [wrong.name for wrong in compare(_manifest(source), filled.read_back("data", no_progress))] == ["a.tif"]

    def test_an_added_file_is_seen(self, filled: Store, source: Path) -> None:
        """A file that is not in the manifest is read back too."""
        (filled.local("data") / "deep" / "new").write_bytes(b"")
        wrong = compare(_manifest(source), filled.read_back("data", no_progress))
        assert [(each.name, each.expected) for each in wrong] == [("deep/new", None)]

    def test_a_missing_file_is_seen(self, filled: Store, source: Path) -> None:
        """A file that is gone is missing in what is read back."""
        (filled.local("data") / "empty").unlink()
        wrong = compare(_manifest(source), filled.read_back("data", no_progress))
        assert [(each.name, each.got) for each in wrong] == [("empty", None)]

    def test_a_link_among_the_files_is_refused(self, filled: Store) -> None:
        """A link that took a file's place is not followed, even to the same bytes."""
        (filled.local("data") / "link").symlink_to(filled.local("data") / "a.tif")
        with pytest.raises(UnsafePathError):
            filled.read_back("data", no_progress)

    @pytest.mark.parametrize("path", ["../out", "a/../../out", "/etc", "", "a//b", "."])
    def test_paths_stay_below_the_root(self, filled: Store, path: str) -> None:
        """No path leads out of the location."""
        with pytest.raises(UnsafePathError):
            filled.local(path)
        with pytest.raises(UnsafePathError):
            filled.exists(path)

    def test_paths_pass_no_link(self, filled: Store, tmp_path: Path) -> None:
        """A linked folder in a path is refused, wherever it stands in it."""
        (tmp_path / "outside" / "data").mkdir(parents=True)
        (filled.local("data").parent / "linked").symlink_to(tmp_path / "outside")
        for path in ("linked", "linked/data"):
            with pytest.raises(UnsafePathError):
                filled.local(path)

    def test_identity_is_kept(self, filled: Store) -> None:
        """A location shows the same identity each time."""
        assert filled.identity() == filled.identity()

    def test_capacity(self, filled: Store) -> None:
        """There is no more room free than there is in all."""
        assert 0 < filled.capacity().free <= filled.capacity().total


class TestWriting:
    """The half of the contract that changes what stands there."""

    def test_registering_again_changes_nothing(self, store: Store) -> None:
        """A location is given an identity once."""
        first = store.identity()
        assert store.register() == first == store.identity()

    def test_put_tells_what_was_read(self, store: Store, source: Path) -> None:
        """Putting files gives the manifest of the source, leaves it as it is, and shows progress to the end."""
        before, told = _tree(source), []
        assert store.put(source, "new/data", NAMES, lambda done, total: told.append((done, total))) == _manifest(source)
        assert store.read_back("new/data", no_progress) == _manifest(source)
        assert _tree(source) == before
        assert told[-1] == (3, 3)

    def test_put_again_writes_nothing(self, store: Store, source: Path) -> None:
        """Files that stand whole are left alone."""
        store.put(source, "data", NAMES, no_progress)
        before = [(store.local("data") / name).stat() for name in NAMES]
        store.put(source, "data", NAMES, no_progress)
        assert [(each.st_ino, each.st_mtime_ns, each.st_ctime_ns) for each in before] == [
            (each.st_ino, each.st_mtime_ns, each.st_ctime_ns) for each in ((store.local("data") / name).stat() for name in NAMES)
        ]

    def test_put_completes_what_was_cut_off(self, store: Store, source: Path) -> None:
        """A truncated file is written again."""
        store.put(source, "data", NAMES, no_progress)
        os.truncate(store.local("data") / "a.tif", 10)
        assert store.put(source, "data", NAMES, no_progress) == store.read_back("data", no_progress)

    def test_put_takes_only_what_is_named(self, store: Store, source: Path) -> None:
        """A file that is not named stays where it is."""
        store.put(source, "data", ["a.tif"], no_progress)
        assert store.names("data") == ["a.tif"]

    def test_put_refuses_a_missing_file(self, store: Store, source: Path) -> None:
        """A name without a file is an error, not a shorter manifest."""
        with pytest.raises(IntegrityError, match="none"):
            store.put(source, "data", [*NAMES, "none"], no_progress)

    def test_move_gives_the_other_name(self, store: Store, source: Path) -> None:
        """A folder moves whole, to a place whose folders do not exist yet."""
        manifest = store.put(source, "staged", NAMES, no_progress)
        store.write_manifest("staged", manifest)
        store.move("staged", "a/b/data")
        assert not store.exists("staged")
        assert store.read_back("a/b/data", no_progress) == manifest
        assert store.manifest("a/b/data") == manifest.text

    def test_move_never_over_another(self, store: Store, source: Path) -> None:
        """A folder never takes another's place: both stay, the empty one too."""
        store.put(source, "one", ["a.tif"], no_progress)
        store.put(source, "two", ["empty"], no_progress)
        store.put(source, "three", [], no_progress)
        for there in ("two", "three"):
            with pytest.raises(IntegrityError):
                store.move("one", there)
        assert (store.names("one"), store.names("two"), store.names("three")) == (["a.tif"], ["empty"], [])

    def test_set_aside_moves_like_any_other_folder(self, store: Store, source: Path) -> None:
        """A folder is set aside whole, never over another."""
        manifest = store.put(source, "one", NAMES, no_progress)
        store.put(source, "two", NAMES, no_progress)
        store.set_aside("one", ".coldchain/aside/1-1")
        with pytest.raises(IntegrityError):
            store.set_aside("two", ".coldchain/aside/1-1")
        assert store.read_back(".coldchain/aside/1-1", no_progress) == store.read_back("two", no_progress) == manifest
        assert not store.exists("one")

    def test_set_aside_stays_below_the_root(self, store: Store, source: Path) -> None:
        """Nothing is set aside from outside, or to it."""
        store.put(source, "one", NAMES, no_progress)
        for path, to in (("../source", "x"), ("one", "../x")):
            with pytest.raises(UnsafePathError):
                store.set_aside(path, to)
        assert store.exists("one")

    def test_delete_again_is_no_error(self, store: Store, source: Path) -> None:
        """What is gone already is gone."""
        store.put(source, "data", NAMES, no_progress)
        store.delete("data")
        store.delete("data")
        assert not store.exists("data")

    def test_delete_takes_only_its_folder(self, store: Store, source: Path, tmp_path: Path) -> None:
        """Neighbours with a longer name, and what a link in the folder points to, stay."""
        for path in ("run1", "run10"):
            store.put(source, path, NAMES, no_progress)
        (tmp_path / "precious").mkdir()
        (tmp_path / "precious" / "file").write_bytes(b"")
        (store.local("run1") / "link").symlink_to(tmp_path / "precious")
        store.delete("run1")
        assert store.names("run10") == NAMES
        assert (tmp_path / "precious" / "file").exists()

    @pytest.mark.parametrize("path", ["../source", "", "/etc"])
    def test_delete_stays_below_the_root(self, store: Store, source: Path, path: str) -> None:
        """No path lets anything outside be deleted or written."""
        for call in (lambda: store.delete(path), lambda: store.move(path, "x"), lambda: store.put(source, path, NAMES, no_progress)):
            with pytest.raises(UnsafePathError):
                call()
        assert len(_tree(source)) == 3

    def test_annotate_stands_beside(self, store: Store, source: Path) -> None:
        """A note stands beside the folder, is not of the artifact, and may be written again."""
        manifest = store.put(source, "data", NAMES, no_progress)
        for content in (b"one", b"two"):
            store.annotate("data", "README.md", content)
        assert store.read_back("data", no_progress) == manifest
        assert store.local("data").with_name("data.README.md").read_bytes() == b"two"

    def test_protection_says_what_holds(self, store: Store, source: Path) -> None:
        """A location without protection does not say that it has one."""
        store.write_manifest("data", store.put(source, "data", NAMES, no_progress))
        assert not store.protect("data").in_force


class TestIdentity:
    """An unmounted or exchanged disk is noticed."""

    def test_no_marker(self, tmp_path: Path, store: Store) -> None:
        """A location whose root is empty, as an unmounted disk's is, is not reachable."""
        (tmp_path / "place" / MARKER).unlink()
        with pytest.raises(LocationUnreachable):
            store.identity()

    @pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b"{}", b"null", b"not json"])
    def test_damaged_marker(self, tmp_path: Path, store: Store, content: bytes) -> None:
        """A marker that cannot be read is no identity, and registering does not write over it."""
        (tmp_path / "place" / MARKER).write_bytes(content)
        for call in (store.identity, store.register):
            with pytest.raises(LocationUnreachable):
                call()
        assert (tmp_path / "place" / MARKER).read_bytes() == content


class TestPosix:
    """What only the POSIX engine shows."""

    def test_what_is_protected_cannot_be_deleted(self, tmp_path: Path, source: Path) -> None:
        """A removal that the file system refuses is a refusal in our words, and the data stays."""
        from coldchain.location import Location, Protection

        place = Location(name="place", root="x", medium="disk", domain="place", site="here", protection=Protection.STRONGEST)
        store = PosixStore(place, tmp_path / "place")
        store.register()
        manifest = store.put(source, "data", NAMES)
        store.write_manifest("data", manifest)
        if not store.protect("data").in_force:
            pytest.skip("this user cannot protect anything on this file system")
        for refused in (lambda: store.delete("data"), lambda: store.move("data", "other")):
            with pytest.raises(RemovalRefused):
                refused()
        assert store.read_back("data") == manifest

    def test_a_folder_that_cannot_be_looked_at_is_said(self, store: Store) -> None:
        """What the system says of a name that it cannot look at becomes an error of ours."""
        for look in (store.exists, store.children, store.local):
            with pytest.raises(LocationUnreachable):
                look("y" * 300)


class TestDurable:
    """A name is on the disk before the catalogue speaks of it."""

    def test_move_makes_every_folder_on_the_way_durable(self, tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """After a move both parents and every folder up to the root were written out, new ones among them."""
        from coldchain.location import Location

        store = PosixStore(Location(name="place", root="x", medium="disk", domain="place", site="here"), tmp_path.resolve() / "place")
        store.put(source, "staging/one", NAMES)
        synced, fsync = set(), os.fsync

        def seen(handle: int) -> None:
            synced.add(str(Path(f"/proc/self/fd/{handle}").readlink()))
            fsync(handle)

        monkeypatch.setattr(os, "fsync", seen)
        store.move("staging/one", "a/b/data")
        assert synced == {str(store.root / part) for part in ("", "a", "a/b", "staging")}


class TestDryRun:
    """A rehearsal reads for real and writes down what it would do."""

    def test_leaves_no_trace_and_writes_down_what_it_would_do(self, filled: Store, source: Path, tmp_path: Path) -> None:
        """Every effect is listed in order, and not one byte changes."""
        store, before = DryRunStore(filled), _tree(tmp_path)
        folders = sorted(path for path in tmp_path.rglob("*") if path.is_dir())
        assert store.put(source, "new", NAMES) == _manifest(source)
        store.write_manifest("new", _manifest(source))
        store.move("new", "other")
        store.set_aside("other", "aside")
        store.annotate("other", "README.md", b"12345")
        assert not store.protect("other").in_force
        store.delete("data")
        store.register()
        assert _tree(tmp_path) == before
        assert sorted(path for path in tmp_path.rglob("*") if path.is_dir()) == folders
        assert store.would == [
            "put 3 files to new",
            f"write the manifest {_manifest(source).digest[:12]} of new",
            "move new to other",
            "set other aside as aside",
            "write 5 bytes to other.README.md",
            "protect other",
            "delete data",
            "register place",
        ]


class TestFaults:
    """The fault-injecting store fails as told, and only there."""

    @pytest.mark.parametrize(("fault", "error"), [(vanish, LocationUnreachable), (fill_up, OutOfSpace)])
    def test_fails_only_where_it_is_told(self, filled: Store, source: Path, fault: object, error: type[Exception]) -> None:
        """The named operation fails, the others go through."""
        store = FaultyStore(filled, {"put": fault})
        with pytest.raises(error):
            store.put(source, "new", NAMES)
        assert store.read_back("data") == _manifest(source)
        assert not filled.exists("new")

    def test_a_lying_put_is_seen_by_reading_back(self, store: Store, source: Path) -> None:
        """A store that says it wrote what it did not is found out by its own bytes."""
        lying = FaultyStore(store, {"put": lose_bytes(store)})
        names = ["a.tif", "deep/b\n.tif"]
        said = lying.put(source, "data", names)
        assert [wrong.name for wrong in compare(said, lying.read_back("data"))] == ["deep/b\n.tif"]
