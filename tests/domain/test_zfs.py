"""A ZFS snapshot with a hold: taken, believed only for what it holds, tried, and given up when its folder goes for good."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from coldchain import strays, transfer, zfs
from coldchain.copies import Artifact
from coldchain.errors import ColdchainError, ConfigurationError, LocationUnreachable, OutOfSpace, ProtectionError
from coldchain.location import Location, Medium
from coldchain.manifest import MANIFEST
from coldchain.protection import protect, set_immutable
from coldchain.store import Probe, Protection
from coldchain.store_posix import PosixStore
from coldchain.testing.zfs import Fault, Pool
from coldchain.workspace import Workspace

NAMES = ["a.tif", "deep/b.tif"]
GONE = ".coldchain/trash/1"


@pytest.fixture
def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pool:
    """Give a pool with one file system, `tank/nas` at tmp_path/nas, whose `zfs` is the one on PATH."""
    made = Pool(tmp_path / "pool")
    made.create("tank/nas", tmp_path / "nas")
    monkeypatch.setenv("PATH", f"{made.bin}:{os.environ['PATH']}")
    if os.geteuid() == 0:
        try:
            set_immutable(made.bin, on=True)
            set_immutable(made.bin, on=False)
        except OSError:
            pytest.skip("no immutable flag here: the stand-in cannot keep root out of its snapshots")
    return made


@pytest.fixture
def store(pool: Pool, tmp_path: Path) -> PosixStore:
    """Give a location on that file system, with `data` and its manifest in it."""
    place = Location(name="nas", root="x", medium=Medium.DISK, domain="nas", site="here", protection=Protection.ZFS)
    made = PosixStore(place, tmp_path / "nas")
    _copy(made, tmp_path, "data")
    return made


def _copy(store: PosixStore, tmp_path: Path, path: str) -> Path:
    """Put the same two files somewhere."""
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        (source / name).write_bytes(name.encode() * 10)
    store.write_manifest(path, store.put(source, path, NAMES))
    return store.local(path)


def _bytes(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _before_it_was_there(pool: Pool, folder: Path) -> None:
    """Take the snapshot of a folder while the folder stands elsewhere."""
    name = zfs.snapshot_of(folder).name
    folder.rename(folder.parent.parent / "elsewhere")
    pool.zfs("snapshot", name)
    (folder.parent.parent / "elsewhere").rename(folder)


def test_a_snapshot_with_a_hold_is_in_force(pool: Pool, store: PosixStore) -> None:
    """The snapshot holds the copy's bytes, the hold has our tag, every attempt was refused, and the live write bits are gone."""
    assert store.protect("data") == Probe("zfs", ())
    ((name, tags),) = pool.snapshots().items()
    number, digest = store.local("data").stat().st_ino, store.read_back("data").digest
    assert (name, tags) == (f"tank/nas@coldchain-{digest[:16]}-{number}", ["coldchain"])
    assert _bytes(store.root / ".zfs" / "snapshot" / name.partition("@")[2] / "data") == _bytes(store.local("data"))
    assert all(path.stat().st_mode & 0o222 == 0 for path in (store.local("data"), *store.local("data").rglob("*")))


def test_protecting_again_is_no_error(pool: Pool, store: PosixStore) -> None:
    """What is protected already stays so, by one snapshot with one hold."""
    store.protect("data")
    before = pool.snapshots()
    assert store.protect("data").in_force
    assert pool.snapshots() == before


def test_one_cut_off_before_the_hold_is_finished(pool: Pool, store: PosixStore) -> None:
    """A snapshot that was taken and not held is held by the next run."""
    pool.fail(Fault.MAY_NOT_HOLD)
    with pytest.raises(ProtectionError, match="cannot be held"):
        store.protect("data")
    assert list(pool.snapshots().values()) == [[]]
    pool.fail()
    assert store.protect("data").in_force
    assert list(pool.snapshots().values()) == [["coldchain"]]


def test_a_snapshot_from_before_is_not_believed(pool: Pool, store: PosixStore) -> None:
    """A snapshot of the right name that was taken before the folder was there is refused, and left as it is."""
    _before_it_was_there(pool, store.local("data"))
    with pytest.raises(ProtectionError, match="does not hold what it is named after"):
        store.protect("data")
    assert list(pool.snapshots().values()) == [[]]


def _shorten(folder: Path) -> None:
    """Fewer bytes, of the same time."""
    found = (folder / "a.tif").stat()
    (folder / "a.tif").write_bytes(b"short")
    os.utime(folder / "a.tif", ns=(found.st_atime_ns, found.st_mtime_ns))


def _touch(folder: Path) -> None:
    os.utime(folder / "a.tif", ns=(1, 1))


def _add(folder: Path) -> None:
    (folder / "new").write_bytes(b"")


def _remove(folder: Path) -> None:
    (folder / "deep" / "b.tif").unlink()


def _other_manifest(folder: Path) -> None:
    """Other bytes of the same size and time."""
    found = (folder / MANIFEST).stat()
    (folder / MANIFEST).write_bytes((folder / MANIFEST).read_bytes()[::-1])
    os.utime(folder / MANIFEST, ns=(found.st_atime_ns, found.st_mtime_ns))


@pytest.mark.parametrize("change", [_shorten, _touch, _add, _remove, _other_manifest])
def test_a_snapshot_of_other_bytes_is_not_believed(pool: Pool, store: PosixStore, change: Callable[[Path], None]) -> None:
    """A snapshot in which a file is missing, too many, or not the one that stands is refused, and neither held nor tried."""
    snapshot, folder = zfs.snapshot_of(store.local("data")), store.local("data")
    kept = folder.with_name("kept")
    shutil.copytree(folder, kept)
    change(folder)
    pool.zfs("snapshot", snapshot.name)
    for path in (path for path in folder.rglob("*") if path.is_file()):
        path.unlink()
    shutil.copytree(kept, folder, dirs_exist_ok=True)
    with pytest.raises(ProtectionError, match="does not hold what it is named after") as refused:
        store.protect("data")
    assert snapshot.name in str(refused.value)
    assert pool.snapshots() == {snapshot.name: []}


def test_a_snapshot_that_holds_nothing_is_not_believed(pool: Pool, store: PosixStore) -> None:
    """That `zfs snapshot` said success is not enough."""
    pool.fail(Fault.SNAPSHOT_IS_EMPTY)
    with pytest.raises(ProtectionError, match="3 of them missing or others"):
        store.protect("data")


def test_a_hold_that_is_not_listed_is_none(pool: Pool, store: PosixStore) -> None:
    """That `zfs hold` said success is not enough, and what is not held is not tried: the snapshot stays."""
    pool.fail(Fault.HOLD_IS_FORGOTTEN)
    with pytest.raises(ProtectionError, match="is not held"):
        store.protect("data")
    assert len(pool.snapshots()) == 1


@pytest.mark.parametrize("fault", [Fault.HOLDS_ARE_VOID, Fault.DESTROY_BREAKS])
def test_a_snapshot_that_was_not_refused_to_us_is_a_hole(pool: Pool, store: PosixStore, fault: Fault) -> None:
    """Where destroying goes through, or fails for any other reason than a refusal, it is an error; the copy stands."""
    before = _bytes(store.local("data"))
    pool.fail(fault)
    with pytest.raises(ProtectionError, match="possible to destroy the snapshot"):
        store.protect("data")
    assert _bytes(store.local("data")) == before


def test_a_snapshot_that_can_be_written_to_is_a_hole(pool: Pool, store: PosixStore) -> None:
    """What is mounted there and lets us write is no snapshot."""
    pool.fail(Fault.SNAPSHOT_IS_WRITABLE)
    with pytest.raises(ProtectionError, match="write or truncate a file") as refused:
        store.protect("data")
    assert refused.value.got == "it was possible to add a file, write or truncate a file, rename or delete a file"


@pytest.mark.parametrize("fault", [Fault.NEW_WORDS, Fault.MAY_NOT_DESTROY])
def test_every_refusal_is_one(pool: Pool, store: PosixStore, fault: Fault) -> None:
    """Newer versions say it in other words, and a user who may not destroy at all is refused as well."""
    pool.fail(fault)
    assert store.protect("data").in_force


def test_a_snapshot_with_a_clone_is_refused_too(pool: Pool, store: PosixStore) -> None:
    """Somebody's clone of the snapshot does not make its protection a hole."""
    store.protect("data")
    pool.clone(next(iter(pool.snapshots())))
    assert store.protect("data").in_force


def test_zfs_is_asked_in_english(pool: Pool, store: PosixStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `zfs` says is understood whatever the user's language is."""
    monkeypatch.setenv("LC_ALL", "de_CH.UTF-8")
    assert store.protect("data").in_force


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        (Fault.MAY_NOT_SNAPSHOT, ProtectionError, "zfs allow"),
        (Fault.MAY_NOT_HOLD, ProtectionError, "zfs allow"),
        (Fault.NO_SPACE, OutOfSpace, "room"),
    ],
)
def test_what_zfs_refuses_is_said(pool: Pool, store: PosixStore, fault: Fault, kind: type[ColdchainError], words: str) -> None:
    """A refusal is an error of ours, with what `zfs` said and what to do."""
    pool.fail(fault)
    with pytest.raises(kind, match=words) as refused:
        store.protect("data")
    assert "data is verified and stays" in str(refused.value)


def test_a_command_that_does_not_answer_is_given_up(pool: Pool, store: PosixStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pool that hangs is unreachable, and may be tried again."""
    pool.fail(Fault.SNAPSHOT_HANGS)
    monkeypatch.setattr(zfs, "PATIENCE_S", 1.0)
    with pytest.raises(LocationUnreachable, match="does not answer"):
        store.protect("data")


def test_a_missing_command_is_named(store: PosixStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without `zfs` the error names it, and nothing is removed for good either."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(zfs, "SBIN", ())
    with pytest.raises(ConfigurationError, match="the `zfs` command is not there"):
        store.protect("data")
    store.set_aside("data", GONE)
    with pytest.raises(ConfigurationError, match="the `zfs` command is not there"):
        store.destroy(GONE)
    assert len(_bytes(store.local(GONE))) == 3


def test_the_command_is_found_where_path_does_not_say(pool: Pool, store: PosixStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """An ordinary user's PATH has no sbin, where distributions put it."""
    monkeypatch.setattr(zfs, "SBIN", (str(pool.bin),))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert store.protect("data").in_force


def test_another_file_system_is_named(pool: Pool, tmp_path: Path) -> None:
    """A folder that is not on ZFS is a mistake in the site's description."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / MANIFEST).write_bytes(b"")
    with pytest.raises(ConfigurationError, match="not a ZFS filesystem"):
        protect(tmp_path / "other", Protection.ZFS)


@pytest.mark.parametrize("says", ["legacy", "none", "/elsewhere"])
def test_a_mount_that_zfs_does_not_know_is_refused(pool: Pool, tmp_path: Path, says: str) -> None:
    """Where the snapshots cannot be looked into none is believed, and none is taken."""
    pool.create("tank/odd", tmp_path / "odd", says=says)
    (tmp_path / "odd" / "data").mkdir()
    (tmp_path / "odd" / "data" / MANIFEST).write_bytes(b"")
    with pytest.raises(ProtectionError, match="cannot be looked into"):
        protect(tmp_path / "odd" / "data", Protection.ZFS)
    assert pool.snapshots() == {}


def test_strongest_never_takes_a_snapshot(pool: Pool, store: PosixStore) -> None:
    """Whoever wants snapshots says so."""
    assert protect(store.local("data"), Protection.STRONGEST).method != "zfs"
    assert pool.snapshots() == {}


def test_what_was_set_aside_and_brought_back_has_its_snapshot(pool: Pool, store: PosixStore) -> None:
    """A copy that comes back from the trash is protected by the snapshot that it had."""
    store.protect("data")
    before = pool.snapshots()
    store.set_aside("data", GONE)
    store.set_aside(GONE, "data")
    assert store.protect("data").in_force
    assert pool.snapshots() == before


def test_destroying_gives_the_snapshot_up(pool: Pool, store: PosixStore) -> None:
    """What goes for good takes its snapshot along, and nobody else's."""
    store.protect("data")
    pool.zfs("snapshot", "tank/nas@daily")
    store.set_aside("data", GONE)
    store.destroy(GONE)
    assert not store.exists(GONE)
    assert pool.snapshots() == {"tank/nas@daily": []}


def test_another_copy_of_the_same_artifact_keeps_its_own(pool: Pool, store: PosixStore, tmp_path: Path) -> None:
    """Two folders with one manifest have two snapshots, and one goes."""
    store.protect("data")
    store.set_aside("data", GONE)
    _copy(store, tmp_path, "data")
    store.protect("data")
    assert len(pool.snapshots()) == 2
    store.destroy(GONE)
    assert pool.snapshots() == {zfs.snapshot_of(store.local("data")).name: ["coldchain"]}
    assert store.protect("data").in_force


def test_what_others_hold_stays_and_is_said(pool: Pool, store: PosixStore, caplog: pytest.LogCaptureFixture) -> None:
    """Our hold goes, theirs keeps the snapshot, the folder goes, and people are told why no space came free."""
    store.protect("data")
    (name,) = pool.snapshots()
    pool.zfs("hold", "paper", name)
    store.set_aside("data", GONE)
    with caplog.at_level(logging.WARNING):
        store.destroy(GONE)
    assert not store.exists(GONE)
    assert pool.snapshots() == {name: ["paper"]}
    assert name in caplog.text
    assert "others hold it (paper)" in caplog.text


def test_what_has_a_clone_stays_and_is_said(pool: Pool, store: PosixStore, caplog: pytest.LogCaptureFixture) -> None:
    """A snapshot that somebody's clone stands on stays, and the folder goes."""
    store.protect("data")
    (name,) = pool.snapshots()
    pool.clone(name)
    store.set_aside("data", GONE)
    store.destroy(GONE)
    assert not store.exists(GONE)
    assert list(pool.snapshots()) == [name]
    assert f"{name} stays" in caplog.text


@pytest.mark.parametrize(
    ("fault", "kind"),
    [(Fault.MAY_NOT_RELEASE, ProtectionError), (Fault.MAY_NOT_DESTROY, ProtectionError), (Fault.IN_USE, LocationUnreachable)],
)
def test_where_the_snapshot_cannot_go_nothing_does(pool: Pool, store: PosixStore, fault: Fault, kind: type[ColdchainError]) -> None:
    """The folder stands as it was until its snapshot is given up; the next run finishes."""
    store.protect("data")
    store.set_aside("data", GONE)
    before, modes = _bytes(store.local(GONE)), {path.stat().st_mode for path in store.local(GONE).rglob("*")}
    pool.fail(fault)
    with pytest.raises(kind, match=r"no byte of the folder was removed|nothing was removed"):
        store.destroy(GONE)
    assert _bytes(store.local(GONE)) == before
    assert {path.stat().st_mode for path in store.local(GONE).rglob("*")} == modes
    assert len(pool.snapshots()) == 1
    pool.fail()
    store.destroy(GONE)
    assert (store.exists(GONE), pool.snapshots()) == (False, {})


def test_only_what_is_in_the_trash_gives_its_snapshot_up(pool: Pool, store: PosixStore) -> None:
    """Asked to destroy a copy in its place, the store refuses, and its snapshot stays held."""
    store.protect("data")
    before = pool.snapshots()
    with pytest.raises(ColdchainError, match="only what is in the trash"):
        store.destroy("data")
    assert pool.snapshots() == before


@pytest.mark.parametrize("half", [True, False])
def test_what_never_had_a_snapshot_goes(store: PosixStore, half: bool) -> None:
    """A folder that was never protected, or that a removal cut off left half, is removed."""
    store.set_aside("data", GONE)
    if half:
        (store.local(GONE) / MANIFEST).unlink()
    store.destroy(GONE)
    assert not store.exists(GONE)
    store.destroy(GONE)


def test_where_the_holds_are_not_known_nothing_goes(pool: Pool, store: PosixStore) -> None:
    """Holds that cannot be listed are not taken for none: others' may be among them."""
    store.protect("data")
    (name,) = pool.snapshots()
    pool.zfs("hold", "paper", name)
    store.set_aside("data", GONE)
    pool.fail(Fault.HOLDS_BREAKS)
    with pytest.raises(LocationUnreachable, match="holds on a snapshot cannot be listed"):
        store.destroy(GONE)
    assert store.exists(GONE)


def test_a_location_without_snapshots_never_asks_for_zfs(store: PosixStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no snapshot was asked for, what is in the trash goes on a machine without `zfs`."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(zfs, "SBIN", ())
    other = PosixStore(store.location.model_copy(update={"protection": Protection.PERMISSIONS}), store.root)
    other.set_aside("data", GONE)
    other.destroy(GONE)
    assert not other.exists(GONE)


def test_the_control_folder_is_no_stray(ws: Workspace, ingested: Artifact) -> None:
    """With `snapdir=visible` the root of a file system lists `.zfs`: nobody put it there; further down a person did."""
    transfer.deliver(ws, ingested, "backup")
    root = ws.site.path("backup")
    for folder in (root, root / "projects", root / "projects" / "PRJ-0001"):
        (folder / ".zfs" / "snapshot" / "daily" / "projects").mkdir(parents=True)
        (folder / ".zfs" / "snapshot" / "daily" / "projects" / "file").write_bytes(b"")
    assert strays.look(ws, "backup").unregistered.lines == ["projects/PRJ-0001/.zfs"]


def test_a_delivered_copy_says_that_a_snapshot_protects_it(pool: Pool, ws: Workspace, ingested: Artifact) -> None:
    """What stands in the catalogue is what was in force."""
    faulty = ws.stores["backup"]
    pool.create("tank/backup", faulty.store.root)
    faulty.store = PosixStore(faulty.location.model_copy(update={"protection": Protection.ZFS}), faulty.store.root)
    assert transfer.deliver(ws, ingested, "backup").protection == "zfs"
