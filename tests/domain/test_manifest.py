"""Manifests are what GNU `sha256sum` writes and checks, whatever the names, and hostile ones are refused."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldchain.errors import IntegrityError, UnsafePathError
from coldchain.files import names_below
from coldchain.manifest import MANIFEST, Manifest

D = "0" * 63 + "1"
HOSTILE = [
    b"plain.tif",
    b"with space",
    b"new\nline",
    b"back\\slash",
    b"car\rriage",
    b"-dash",
    b"*star",
    b" lead",
    b"\xff\xfe.tif",
    b"\\n",
    "µ-é-細胞".encode(),
]
name = st.binary(min_size=1, max_size=30).filter(lambda part: not set(part) & {0, 47} and part not in {b".", b".."})
names = st.lists(st.lists(name, min_size=1, max_size=3).map(b"/".join).filter(lambda joined: joined != MANIFEST.encode()), unique=True)

needs_sha256sum = pytest.mark.skipif(shutil.which("sha256sum") is None, reason="no sha256sum on this machine")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder of files with every hostile name."""
    for number, each in enumerate(HOSTILE):
        (tmp_path / os.fsdecode(each)).write_bytes(bytes([number]))
    return tmp_path


def _of(folder: Path) -> Manifest:
    return Manifest.of((each, hashlib.sha256((folder / each).read_bytes()).hexdigest()) for each in names_below(folder))


@needs_sha256sum
def test_sha256sum_accepts_our_manifest(folder: Path) -> None:
    """`sha256sum -c --strict` accepts every line that we write, hostile names included, and notices a changed byte."""
    (folder / MANIFEST).write_bytes(_of(folder).text)
    check = ["sha256sum", "-c", "--strict", "--quiet", MANIFEST]
    assert subprocess.run(check, cwd=folder, check=False, capture_output=True).returncode == 0
    (folder / "plain.tif").write_bytes(b"other")
    assert subprocess.run(check, cwd=folder, check=False, capture_output=True).returncode == 1


@needs_sha256sum
def test_we_write_what_sha256sum_writes(folder: Path) -> None:
    """Our text is byte for byte the output of `sha256sum` on the same names, and we read that output."""
    ordered = [os.fsencode(each) for each in names_below(folder)]
    said = subprocess.run(["sha256sum", "--", *ordered], cwd=folder, check=True, capture_output=True).stdout
    assert _of(folder).text == said
    assert Manifest.parse(said) == _of(folder)


def test_binary_marker_is_read(folder: Path) -> None:
    """A manifest written by `sha256sum --binary` (`*` before the name) is read as the same manifest."""
    ours = Manifest.of([("a", D)])
    assert Manifest.parse(ours.text.replace(b"  ", b" *")) == ours


@given(names)
def test_round_trip(found: list[bytes]) -> None:
    """Whatever the names, reading what was written gives the same manifest, digest and text."""
    manifest = Manifest.of((os.fsdecode(each), hashlib.sha256(each).hexdigest()) for each in found)
    again = Manifest.parse(manifest.text)
    assert again == manifest
    assert (again.text, again.digest) == (manifest.text, manifest.digest)


def test_order_does_not_matter() -> None:
    """The same files in another order are the same artifact."""
    entries = [("b", D), ("a/c", D), ("a", "1" * 64), ("a.b", D)]
    assert Manifest.of(entries).digest == Manifest.of(reversed(entries)).digest


@pytest.mark.parametrize("bad", ["../x", "a/../x", "/etc/passwd", "a//b", "./a", "a/.", "", "a/", "nul\0", MANIFEST])
def test_names_that_leave_are_refused(bad: str) -> None:
    """A name that leaves the folder, or that is the manifest's own, is refused when made and when read."""
    with pytest.raises(UnsafePathError):
        Manifest.of([(bad, D)])
    with pytest.raises((UnsafePathError, IntegrityError)):
        Manifest.parse(f"{D}  {bad}\n".encode())


def test_the_manifests_name_is_allowed_in_a_folder() -> None:
    """Only at the top is the manifest's name taken: an acquisition may hold another's in a folder."""
    assert list(Manifest.of([(f"old/{MANIFEST}", D)]).entries) == [f"old/{MANIFEST}"]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"{D}  a\n{D}  b".encode(), id="cut in the last line"),
        pytest.param(f"{D}  a\n{D}  a\n".encode(), id="a name twice"),
        pytest.param(f"{D}  a\n\n".encode(), id="empty line"),
        pytest.param(f"{D[:-1]}  a\n".encode(), id="short digest"),
        pytest.param(f"{D.replace('0', 'G')}  a\n".encode(), id="not hexadecimal"),
        pytest.param(f"{D.replace('1', 'A')}  a\n".encode(), id="upper case"),
        pytest.param(f"{D}  \n".encode(), id="no name"),
        pytest.param(f"{D} a\n".encode(), id="one space"),
        pytest.param(f"\\{D}  a\\t\n".encode(), id="unknown escape"),
        pytest.param(f"\\{D}  a\\\n".encode(), id="escape at the end"),
        pytest.param(b"# a comment\n", id="comment"),
    ],
)
def test_damaged_manifests_are_refused(text: bytes) -> None:
    """A manifest with a line that is not one of ours is refused whole, and the message says which."""
    with pytest.raises(IntegrityError, match=r"there|a"):
        Manifest.parse(text, "there")


def test_difference_names_every_change() -> None:
    """What is missing, unexpected or other is listed by name, sorted."""
    one = Manifest.of([("same", D), ("changed", D), ("gone", D)])
    two = Manifest.of([("same", D), ("changed", "2" * 64), ("new", D)])
    assert one.difference(two) == ["changed", "gone", "new"]


def test_no_files_is_a_manifest() -> None:
    """An empty manifest is a manifest."""
    assert Manifest.parse(b"") == Manifest.of([])
