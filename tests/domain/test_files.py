"""Copying, listing and reading back on a local disk, with hostile names and half-finished runs."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from coldchain import files
from coldchain.errors import ConfigurationError, InputError, IntegrityError, OutOfSpace, UnsafePathError
from coldchain.manifest import MANIFEST

HOSTILE = ["new\nline", "back\\slash", "-dash", "é細胞" * 28, "x" * 255, os.fsdecode(b"\xff\xfe"), "a/b/c/d/deep", "empty", ".hidden"]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Give a folder of files with every hostile name; `empty` is empty."""
    folder = tmp_path / "source"
    for number, name in enumerate(HOSTILE):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"" if name == "empty" else bytes([number]) * (number * 1000 + 1))
    return folder


def _stats(folder: Path) -> dict[str, tuple[int, int, int]]:
    found = {name: (folder / name).lstat() for name in files.names_below(folder)}
    return {name: (stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns) for name, stat in found.items()}


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_copies_every_byte_under_every_name(source: Path, tmp_path: Path) -> None:
    """Every file arrives with its bytes and time, whatever its name, and the manifest says what was read."""
    names = files.names_below(source)
    manifest = files.copy_tree(source, tmp_path / "target", names)
    assert sorted(manifest.entries) == sorted(HOSTILE)
    for name in HOSTILE:
        assert (tmp_path / "target" / name).read_bytes() == (source / name).read_bytes()
        assert (tmp_path / "target" / name).stat().st_mtime_ns == (source / name).stat().st_mtime_ns
        assert manifest.entries[name] == hashlib.sha256((source / name).read_bytes()).hexdigest()
    assert files.hash_tree(tmp_path / "target", files.names_below(tmp_path / "target")) == manifest


def test_a_file_larger_than_a_block(tmp_path: Path) -> None:
    """A file of several blocks and a rest is copied and hashed whole."""
    content = os.urandom(2 * files.BLOCK + 17)
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "large").write_bytes(content)
    manifest = files.copy_tree(tmp_path / "source", tmp_path / "target", ["large"])
    assert (tmp_path / "target" / "large").read_bytes() == content
    assert manifest.entries["large"] == hashlib.sha256(content).hexdigest() == files.read_back(tmp_path / "target" / "large")


def test_a_second_run_writes_nothing(source: Path, tmp_path: Path) -> None:
    """Files that stand whole are not written again: same inode, same times."""
    names = files.names_below(source)
    first, before = files.copy_tree(source, tmp_path / "target", names), _stats(source)
    standing = _stats(tmp_path / "target")
    assert files.copy_tree(source, tmp_path / "target", names) == first
    assert _stats(tmp_path / "target") == standing
    assert _stats(source) == before


@pytest.mark.parametrize("damage", ["short", "long", "other bytes", "gone"])
def test_a_cut_off_run_is_completed(source: Path, tmp_path: Path, damage: str) -> None:
    """A file that was cut off, or holds other bytes of the same size, is written again; the others are left alone."""
    names, target = files.names_below(source), tmp_path / "target"
    whole = files.copy_tree(source, target, names)
    standing, victim = _stats(target), target / "a/b/c/d/deep"
    size = victim.stat().st_size
    victim.write_bytes({"short": b"x", "long": b"x" * 2 * size, "other bytes": b"x" * size, "gone": b""}[damage])
    if damage == "gone":
        victim.unlink()
    assert files.copy_tree(source, target, names) == files.hash_tree(target, names) == whole
    assert {name for name, stat in _stats(target).items() if stat != standing[name]} == {"a/b/c/d/deep"}


def test_half_a_tree_left_by_a_cut_off_run_gets_its_times(source: Path, tmp_path: Path) -> None:
    """A run that was cut off between a file's bytes and its times is completed by its times alone."""
    names, target = files.names_below(source), tmp_path / "target"
    files.copy_tree(source, target, names)
    os.utime(target / "empty", ns=(1, 1))
    os.utime(target / "a/b/c/d/deep", ns=(1, 1))
    files.copy_tree(source, target, names)
    assert {name: stat[1] for name, stat in _stats(target).items()} == {name: stat[1] for name, stat in _stats(source).items()}


def test_no_file_stays_open(source: Path, tmp_path: Path) -> None:
    """What was opened is closed, also where a file is refused in the middle of a batch."""
    names, before = files.names_below(source), _open_files()
    files.hash_tree(tmp_path / "target", list(files.copy_tree(source, tmp_path / "target", names).entries))
    with pytest.raises(IntegrityError):
        files.copy_tree(source, tmp_path / "other", [*names, "none"])
    with pytest.raises(UnsafePathError):
        files.read_back(Path("/dev/null"))
    assert files.read_small(source / "empty") == b""
    assert _open_files() == before


@pytest.mark.parametrize("writes", [b"more", b""])
def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: bytes) -> None:
    """A file to which the instrument still writes is refused, also where its size is the same: the copy looks again after it read."""
    (tmp_path / "source").mkdir()
    growing = tmp_path / "source" / "growing"
    growing.write_bytes(b"x" * 100)
    readv = os.readv

    def instrument_writes(handle: int, blocks: list[memoryview]) -> int:
        count = readv(handle, blocks)
        with growing.open("ab") as writer:
            writer.write(b"" if count else writes)
        if not count and not writes:
            os.utime(growing)
        return count

    monkeypatch.setattr(os, "readv", instrument_writes)
    with pytest.raises(InputError, match="changed while it was read"):
        files.copy_tree(tmp_path / "source", tmp_path / "target", ["growing"])


def test_a_disk_that_gives_fewer_bytes_than_a_file_has_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that says too early that a file ends does not make a shorter file of it."""
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "file").write_bytes(b"x" * 100)
    monkeypatch.setattr(os, "readv", lambda _handle, _blocks: 0)
    with pytest.raises(InputError, match="0 of them read"):
        files.copy_tree(tmp_path / "source", tmp_path / "target", ["file"])


def test_a_disk_that_takes_few_bytes_at_a_time_gets_all(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system may write less than it was given; the rest is written then."""
    names, write = files.names_below(source), os.write
    monkeypatch.setattr(os, "write", lambda handle, content: write(handle, content[:1000]))
    assert files.copy_tree(source, tmp_path / "target", names) == files.hash_tree(tmp_path / "target", names)
    assert (tmp_path / "target" / "a/b/c/d/deep").read_bytes() == (source / "a/b/c/d/deep").read_bytes()


@pytest.mark.parametrize("kind", ["link to a file", "link to a folder", "dangling link", "pipe", "socket"])
def test_what_is_no_file_is_refused(tmp_path: Path, kind: str) -> None:
    """Links, pipes and sockets among the data are refused by name, not followed, waited for or left out."""
    folder = tmp_path / "data"
    (folder / "sub").mkdir(parents=True)
    strange = folder / "sub" / "strange"
    if kind == "pipe":
        os.mkfifo(strange)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(strange))
    else:
        strange.symlink_to({"link to a file": "/etc/hostname", "link to a folder": "/etc", "dangling link": "/nowhere"}[kind])
    with pytest.raises(UnsafePathError, match="strange"):
        files.names_below(folder)
    with pytest.raises((UnsafePathError, InputError)):
        files.copy_tree(folder, tmp_path / "target", ["sub/strange"])


def test_a_device_is_refused() -> None:
    """A device is not a file: reading it back is refused, not endless."""
    with pytest.raises(UnsafePathError):
        files.read_back(Path("/dev/zero"))


def test_never_writes_through_a_link(source: Path, tmp_path: Path) -> None:
    """A link that somebody planted where a file is to be written is refused, and what it points to stays."""
    (tmp_path / "target").mkdir()
    (tmp_path / "precious").write_bytes(b"precious")
    (tmp_path / "target" / "empty").symlink_to(tmp_path / "precious")
    with pytest.raises(ConfigurationError, match="symbolic link"):
        files.copy_tree(source, tmp_path / "target", ["empty"])
    assert (tmp_path / "precious").read_bytes() == b"precious"


def test_write_durably_never_follows_a_planted_link(tmp_path: Path) -> None:
    """The temporary name of a small file is no way out of the folder either."""
    (tmp_path / "precious").write_bytes(b"precious")
    (tmp_path / files.partial_name("note")).symlink_to(tmp_path / "precious")
    with pytest.raises(ConfigurationError, match="symbolic link"):
        files.write_durably(tmp_path / "note", b"x")
    assert (tmp_path / "precious").read_bytes() == b"precious"


def test_deep_folders(tmp_path: Path) -> None:
    """Folders nested deeper than Python may recurse are listed and copied."""
    name = "d/" * 1200 + "file"
    root = tmp_path / "source"
    root.mkdir()
    try:
        for folder in files.folders_of([name])[1:]:
            (root / folder).mkdir()
        (root / name).write_bytes(b"deep")
        assert files.names_below(root) == [name]
        assert files.copy_tree(root, tmp_path / "target", [name]) == files.hash_tree(tmp_path / "target", [name])
    finally:
        for tree in ("source", "target"):  # shutil.rmtree and pytest recurse
            subprocess.run(["rm", "-rf", tmp_path / tree], check=True)


def test_every_folder_is_made_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy, and reading back, fsync every file and every folder on the way, those without files of their own too."""
    (tmp_path / "source/a/b").mkdir(parents=True)
    (tmp_path / "source/a/b/file").write_bytes(b"x")
    synced, fsync = set(), os.fsync

    def seen(handle: int) -> None:
        synced.add(str(Path(f"/proc/self/fd/{handle}").readlink()))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", seen)
    target = tmp_path.resolve() / "target"
    every = {str(target / part) for part in ("", "a", "a/b", "a/b/file")}
    files.copy_tree(tmp_path / "source", target, ["a/b/file"])
    assert synced == every
    synced.clear()
    files.hash_tree(target, ["a/b/file"])
    assert synced == every


def test_a_full_disk_is_said_and_resumed(tmp_path: Path, small_disk: Path) -> None:
    """A full disk is OutOfSpace; what is whole stays, and the next run completes it without writing that again."""
    source, names = tmp_path / "source", [f"{number:02}" for number in range(20)]
    source.mkdir()
    for name in names:
        (source / name).write_bytes(name.encode() * 50_000)
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 3_000_000)
    with pytest.raises(OutOfSpace, match="No space left"):
        files.copy_tree(source, small_disk / "target", names)
    whole = {name: stat for name, stat in _stats(small_disk / "target").items() if (small_disk / "target" / name).stat().st_size == 100_000}
    assert whole
    ballast.unlink()
    manifest = files.copy_tree(source, small_disk / "target", names)
    assert files.hash_tree(small_disk / "target", names) == manifest
    assert {name: _stats(small_disk / "target")[name] for name in whole} == whole


def test_a_small_file_is_whole_or_not_at_all(small_disk: Path) -> None:
    """On a full disk a small file keeps its old content."""
    files.write_durably(small_disk / "note", b"old")
    (small_disk / "ballast").write_bytes(b"x" * 3_000_000)
    with pytest.raises(OutOfSpace):
        files.write_durably(small_disk / "note", b"x" * 2_000_000)
    assert (small_disk / "note").read_bytes() == b"old"


def test_reading_back_drops_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading back first makes the bytes durable, then has the kernel drop them, then reads."""
    (tmp_path / "file").write_bytes(b"x")
    order: list[str] = []
    for name in ("fsync", "posix_fadvise", "readv"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *args, name=name, real=real: (order.append(name), real(*args))[1])
    files.read_back(tmp_path / "file")
    assert order[:3] == ["fsync", "posix_fadvise", "readv"]


def test_reading_back_sees_the_disk_not_the_cache(tmp_path: Path) -> None:
    """A byte that changed on the disk below a mounted file system is seen, though the cache still holds the old one."""
    image, point = tmp_path / "image", tmp_path / "point"
    image.write_bytes(b"\0" * (8 << 20))
    point.mkdir()
    made = subprocess.run(["mkfs.ext4", "-q", "-b", "4096", image], check=False, capture_output=True) if shutil.which("mkfs.ext4") else None
    if (
        made is None
        or made.returncode
        or subprocess.run(["mount", "-o", "loop", image, point], check=False, capture_output=True).returncode
    ):
        pytest.skip("cannot mount an image here")
    try:
        content = os.urandom(4096)
        files.write_durably(point / "file", content)
        assert files.read_back(point / "file") == hashlib.sha256(content).hexdigest()
        loop = subprocess.run(["findmnt", "-no", "SOURCE", point], check=True, capture_output=True, text=True).stdout.strip()
        _flip_below(Path(loop), content)
        assert files.read_back(point / "file") != hashlib.sha256(content).hexdigest()
    finally:
        subprocess.run(["umount", point], check=True)


def _flip_below(device: Path, content: bytes) -> None:
    """Change the first byte of the block that holds `content`, on the device itself."""
    at = device.read_bytes().index(content)
    with device.open("rb+", buffering=0) as disk:
        disk.seek(at)
        disk.write(bytes([content[0] ^ 1]))
        os.fsync(disk)


def test_progress_counts_to_the_end(source: Path, tmp_path: Path) -> None:
    """Progress rises to the number of files."""
    told: list[tuple[int, int]] = []
    names = files.names_below(source)
    files.copy_tree(source, tmp_path / "target", names, lambda done, total: told.append((done, total)))
    assert told == sorted(told)
    assert told[-1] == (len(names), len(names))


def test_the_manifest_is_no_file_of_the_artifact(source: Path) -> None:
    """The manifest at the top is left out of a listing; one in a folder is data."""
    (source / MANIFEST).write_bytes(b"")
    (source / "a" / MANIFEST).write_bytes(b"")
    names = files.names_below(source)
    assert MANIFEST not in names
    assert f"a/{MANIFEST}" in names


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    """What is gone is an IntegrityError that names it, not a raw error of the system."""
    for call in (
        lambda: files.read_back(tmp_path / "none"),
        lambda: files.read_small(tmp_path / "none"),
        lambda: files.names_below(tmp_path / "none"),
        lambda: files.copy_tree(tmp_path, tmp_path / "target", ["none"]),
    ):
        with pytest.raises(IntegrityError, match="none"):
            call()


def test_a_failing_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An input/output error while reading is an IntegrityError, so that the copy stops counting and a sweep goes on."""
    (tmp_path / "file").write_bytes(b"x")

    def broken(_handle: int, _blocks: object) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "readv", broken)
    with pytest.raises(IntegrityError, match="does not give a file's bytes back"):
        files.read_back(tmp_path / "file")


def test_stamps_are_of_the_same_files_in_the_same_order(source: Path) -> None:
    """Sizes and times come with the listing, under the same names."""
    os.utime(source / "empty", ns=(1, 2))
    stamps = files.stamps_below(source)
    assert list(stamps) == files.names_below(source)
    for name, stamp in stamps.items():
        assert stamp == ((source / name).lstat().st_size, (source / name).lstat().st_mtime_ns)


def test_names_in_order_of_their_bytes(source: Path) -> None:
    """A listing is sorted by the names' bytes, whatever the locale."""
    names = files.names_below(source)
    assert names == sorted(names, key=os.fsencode)
