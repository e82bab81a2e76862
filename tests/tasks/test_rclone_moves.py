"""Moving a folder on a remote: in one step where it renames, and by a copy that may be cut off anywhere where it does not."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from coldchain.errors import ConfigurationError, IntegrityError, LocationUnreachable
from coldchain.manifest import Manifest
from coldchain.store import TRASH
from tasks.stores.rclone import RcloneStore
from tasks.stores.rclone_remote import Remote
from tests.contracts.bench_rclone import FORTY, Open, put_rclone


def test_a_folder_is_renamed_in_one_step_or_not(rclone: Open, forty: Path, tmp_path: Path) -> None:
    """Where a service would move it file by file, a file system within another here, nothing is moved, and a person is told."""
    point = tmp_path / "root" / "mounted"
    point.mkdir(parents=True)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", point], check=False, capture_output=True).returncode:
        pytest.skip("cannot mount a file system")
    try:
        store = rclone()
        manifest = put_rclone(store, forty, "data", FORTY)
        with pytest.raises(ConfigurationError, match="in one step"):
            store.set_aside("data", "mounted/data")
        assert store.read_back("data") == manifest
        assert not (point / "data").exists()
    finally:
        subprocess.run(["umount", point], check=True)


def test_moving_what_is_not_there(rclone: Open, forty: Path) -> None:
    """It is an error, and makes no folder."""
    store = rclone()
    store.register()
    with pytest.raises(IntegrityError):
        store.move("none", "x")
    assert not store.exists("x")


@pytest.fixture
def objects(rclone: Open, monkeypatch: pytest.MonkeyPatch) -> RcloneStore:
    """A location that renames nothing."""
    monkeypatch.setattr(Remote, "renames", False)
    store = rclone()
    store.register()
    return store


@pytest.mark.parametrize("way", ["set_aside", "move"])
def test_a_copy_that_is_cut_off_loses_nothing(objects: RcloneStore, forty: Path, monkeypatch: Any, way: str) -> None:
    """Where nothing is renamed: cut off before any request, a folder stands whole at one of two places, and the next attempt ends it."""
    manifest = objects.put(forty, "data", FORTY[:3])
    ask, to = objects._daemon.ask, f"{TRASH}1-a"
    for cut in range(100):
        objects.write_manifest("data", manifest)
        left = iter([None] * cut)

        def broken(*args: Any, left: Iterator[None] = left, **given: Any) -> Any:
            if next(left, 0) == 0:
                raise LocationUnreachable("cut")
            return ask(*args, **given)

        with monkeypatch.context() as patch:
            patch.setattr(objects._daemon, "ask", broken)
            try:
                getattr(objects, way)("data", to)
            except LocationUnreachable:
                ended = False
            else:
                ended = True
        stands = [path for path in ("data", to) if objects.exists(path)]
        assert stands
        assert all(objects.read_back(path) == manifest and objects.manifest(path) == manifest.text for path in stands)
        if ended:
            break
        if to in stands:
            objects.destroy(to)
            objects.put(forty, "data", FORTY[:3])
    assert ended
    assert stands == [to]
    assert objects.children("") == [".coldchain"]


def test_a_copy_inside_a_service_is_not_believed(objects: RcloneStore, forty: Path, monkeypatch: Any) -> None:
    """Fewer bytes are seen when it is set aside, other bytes when it gets its name; the first folder stays whole."""
    manifest = put_rclone(objects, forty, "data", FORTY[:3])
    for way, content in (("set_aside", b"less"), ("move", b"x" * 100_000)):
        monkeypatch.setattr(Remote, "copy", lambda self, _path, to, content=content: self.write(to, content))
        with pytest.raises(IntegrityError, match="not their copies"):
            getattr(objects, way)("data", f"{TRASH}{way}")
        assert not objects.exists(f"{TRASH}{way}")
        assert objects.read_back("data") == manifest == Manifest.parse(objects.manifest("data"))


def test_what_came_while_it_was_copied_is_not_removed(objects: RcloneStore, forty: Path, monkeypatch: Any, tmp_path: Path) -> None:
    """A file that somebody adds to a folder in the middle of its copying is in the way, and stays."""
    put_rclone(objects, forty, "data", FORTY[:3])
    copy = Remote.copy

    def meanwhile(self: Remote, path: str, to: str) -> None:
        (tmp_path / "root" / "data" / "new").write_bytes(b"precious")
        copy(self, path, to)

    monkeypatch.setattr(Remote, "copy", meanwhile)
    with pytest.raises(IntegrityError, match="new"):
        objects.move("data", "other")
    assert (tmp_path / "root" / "data" / "new").read_bytes() == b"precious"


def test_half_a_folder_does_not_stand(objects: RcloneStore, forty: Path) -> None:
    """Where nothing is renamed a folder is put together under its own name, and stands from its manifest on."""
    assert objects.staged("data", ".coldchain/staging/x") == "data"
    manifest = objects.put(forty, "data", FORTY[:3])
    assert not objects.exists("data")
    objects.write_manifest("data", manifest)
    assert objects.exists("data")
    objects.move("data", "data")
    assert objects.exists("data")


def test_what_is_half_removed_does_not_stand(objects: RcloneStore, forty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a folder stands from its manifest on, that goes first; the next attempt removes the rest."""
    put_rclone(objects, forty, "data", FORTY[:3])

    def cut(_self: Remote, _path: str) -> None:
        raise LocationUnreachable("cut")

    with monkeypatch.context() as patch:
        patch.setattr(Remote, "purge", cut)
        with pytest.raises(LocationUnreachable):
            objects.delete("data")
    assert not objects.exists("data")
    objects.delete("data")
    assert objects.children("") == [".coldchain"]
