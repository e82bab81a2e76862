"""What only the POSIX engine shows, and what the stores that stand in front of another do."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from coldchain.errors import LocationUnreachable, OutOfSpace, RemovalRefused
from coldchain.store import Protection, compare
from coldchain.store_dryrun import DryRunStore
from coldchain.store_posix import PosixStore
from coldchain.testing.faults import FaultyStore, fill_up, lose_bytes, vanish
from tests.contracts.benches import MANIFEST_OF_ALL, NAMES, Bench, FolderBench, place


def _tree(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


class TestPosix:
    """What only the POSIX engine shows."""

    def test_what_is_protected_cannot_be_deleted(self, tmp_path: Path, source: Path) -> None:
        """A removal that the file system refuses is a refusal in our words, and the data stays."""
        store = PosixStore(place("x", protection=Protection.STRONGEST), tmp_path / "place")
        store.register()
        manifest = store.put(source, "data", NAMES)
        store.write_manifest("data", manifest)
        if not store.protect("data").in_force:
            pytest.skip("this user cannot protect anything on this file system")
        for refused in (lambda: store.delete("data"), lambda: store.move("data", "other")):
            with pytest.raises(RemovalRefused):
                refused()
        assert store.read_back("data") == manifest


class TestDurable:
    """A name is on the disk before the catalogue speaks of it."""

    def test_move_makes_every_folder_on_the_way_durable(self, tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """After a move both parents and every folder up to the root were written out, new ones among them."""
        store = PosixStore(place("x"), tmp_path.resolve() / "place")
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

    def test_leaves_no_trace_and_writes_down_what_it_would_do(self, folders: FolderBench, source: Path, tmp_path: Path) -> None:
        """Every effect is listed in order, and not one byte changes."""
        store, before = DryRunStore(folders.store), _tree(tmp_path)
        paths = sorted(path for path in tmp_path.rglob("*") if path.is_dir())
        assert store.put(source, "new", NAMES) == MANIFEST_OF_ALL
        store.write_manifest("new", MANIFEST_OF_ALL)
        store.move("new", "other")
        store.set_aside("other", "aside")
        store.annotate("other", "README.md", b"12345")
        assert not store.protect("other").in_force
        store.get("data", tmp_path / "out", ["empty"])
        store.clock()
        store.delete("data")
        store.register()
        assert _tree(tmp_path) == before
        assert sorted(path for path in tmp_path.rglob("*") if path.is_dir()) == paths
        assert store.would == [
            "put 3 files to new",
            f"write the manifest {MANIFEST_OF_ALL.digest[:12]} of new",
            "move new to other",
            "set other aside as aside",
            "write 5 bytes to other.README.md",
            "protect other",
            f"get 1 files from data to {tmp_path / 'out'}",
            "write to place",
            "delete data",
            "register place",
        ]


class TestFaults:
    """The fault-injecting store fails as told, and only there."""

    @pytest.mark.parametrize(("fault", "error"), [(vanish, LocationUnreachable), (fill_up, OutOfSpace)])
    def test_fails_only_where_it_is_told(self, filled: Bench, source: Path, fault: object, error: type[Exception]) -> None:
        """The named operation fails, the others go through."""
        store = FaultyStore(filled.store, {"put": fault})
        with pytest.raises(error):
            store.put(source, "new", NAMES)
        assert store.read_back("data") == MANIFEST_OF_ALL
        assert not filled.store.exists("new")

    def test_a_lying_put_is_seen_by_reading_back(self, tmp_path: Path, source: Path) -> None:
        """A store that says it wrote what it did not is found out by its own bytes."""
        store = PosixStore(place("x"), tmp_path / "place")
        lying = FaultyStore(store, {"put": lose_bytes(store)})
        said = lying.put(source, "new", NAMES[:2])
        assert [wrong.name for wrong in compare(said, lying.read_back("new"))] == [NAMES[1]]
