"""Write-protection is set, then tried; only a refused attempt counts, and the trying harms nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from coldchain.errors import ProtectionError
from coldchain.manifest import MANIFEST
from coldchain.protection import probe, protect, release
from coldchain.store import Protection

NOBODY = 65534
HOLES = ("add a file", "write or truncate a file", "rename or delete a file")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with a manifest and a nested file."""
    made = tmp_path / "copy"
    (made / "deep").mkdir(parents=True)
    (made / MANIFEST).write_bytes(b"a manifest\n")
    (made / "deep" / "file").write_bytes(b"data")
    return made


def _content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b"/" for path in folder.rglob("*")}


@pytest.fixture
def immutable(folder: Path) -> Path:
    """Skip where the immutable flag cannot be set."""
    try:
        protect(folder, Protection.IMMUTABLE)
    except ProtectionError as error:
        pytest.skip(f"no immutable flag here: {error.what}")
    return folder


def as_nobody(folder: Path, code: str) -> str:
    """Run a line of Python as an unprivileged user who owns the folder; gives what it printed."""
    if os.geteuid() != 0:
        return subprocess.run([sys.executable, "-c", code, str(folder)], check=True, capture_output=True, text=True).stdout.strip()
    if shutil.which("setpriv") is None:
        pytest.skip("no setpriv to become an unprivileged user with")
    for path in (*folder.parents, folder, *folder.rglob("*")):
        if folder in {path, *path.parents}:
            os.chown(path, NOBODY, NOBODY)
        elif path.stat().st_mode & 0o005 != 0o005 and path != Path("/"):
            path.chmod(path.stat().st_mode | 0o055)
    become = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    for python in _pythons():
        found = subprocess.run([*become, *python, "-c", code, str(folder)], check=False, capture_output=True, text=True)
        if not _cannot_start(found):
            assert found.returncode == 0, found.stderr
            return found.stdout.strip()
    pytest.skip(f"an unprivileged user cannot run this Python: {found.stderr.strip().splitlines()[-1]}")


def _pythons() -> Iterator[list[str]]:
    """Our interpreter, and the system's of the same version: ours may stand in a home that others cannot enter."""
    yield [sys.executable]
    if system := shutil.which(f"python3.{sys.version_info.minor}", path="/usr/bin:/bin"):
        yield ["env", f"PYTHONPATH={sysconfig.get_path('purelib')}", system]


def _cannot_start(found: subprocess.CompletedProcess[str]) -> bool:
    said = found.stderr.partition("Traceback")[0]
    return "No module named" in found.stderr or any(words in said for words in ("Permission denied", "cannot open shared object"))


PROTECT = "import sys; from pathlib import Path; from coldchain import protection as p; from coldchain.store import Protection as P; "


def test_immutable_holds_against_root(immutable: Path) -> None:
    """With the immutable flag every attempt is refused, root's too, and nothing changed."""
    before = _content(immutable)
    assert probe(immutable, Protection.IMMUTABLE).holes == ()
    for attempt in (
        lambda: (immutable / "deep" / "file").write_bytes(b"other"),
        (immutable / "deep" / "file").unlink,
        (immutable / "new").touch,
        lambda: immutable.rename(immutable.with_name("elsewhere")),
    ):
        with pytest.raises(PermissionError):
            attempt()
    assert _content(immutable) == before


@pytest.mark.parametrize("wanted", [Protection.IMMUTABLE, Protection.STRONGEST])
def test_protecting_again_is_no_error(immutable: Path, wanted: Protection) -> None:
    """What was protected and then cut off before it was written down can be protected again."""
    assert protect(immutable, wanted).in_force


def test_half_protected_is_completed(immutable: Path) -> None:
    """A protection that was cut off between two files is completed by the next run."""
    from coldchain.protection import set_immutable

    set_immutable(immutable, on=False)
    set_immutable(immutable / MANIFEST, on=False)
    assert protect(immutable, Protection.STRONGEST).in_force


def test_permissions_hold_for_an_ordinary_user(folder: Path) -> None:
    """Permission bits are in force for a user without privileges, by name and as the strongest there is."""
    for wanted in ("PERMISSIONS", "STRONGEST"):
        assert as_nobody(folder, PROTECT + f"print(p.protect(Path(sys.argv[1]), P.{wanted}))") == "Probe(method='permissions', holes=())"


def test_permissions_do_not_hold_against_root(folder: Path) -> None:
    """Root is told that permission bits do not stop it: by name an error, with the holes named and the data whole."""
    if os.geteuid() != 0:
        pytest.skip("not root")
    before = _content(folder)
    with pytest.raises(ProtectionError, match="add a file, write or truncate a file, rename or delete a file"):
        protect(folder, Protection.PERMISSIONS)
    assert _content(folder) == before


def test_an_ordinary_user_cannot_ask_for_immutable(folder: Path) -> None:
    """Asking for a flag that this user may not set is an error, not a quiet nothing."""
    code = (
        PROTECT
        + "from coldchain.errors import ProtectionError\n"
        + "try: p.protect(Path(sys.argv[1]), P.IMMUTABLE)\nexcept ProtectionError as e: print(e.what)"
    )
    assert as_nobody(folder, code) == "the immutable flag cannot be set"


def test_none_asks_for_nothing(folder: Path) -> None:
    """A location without protection gets none, and does not say that it has."""
    assert not protect(folder, Protection.NONE).in_force
    (folder / "deep" / "file").write_bytes(b"other")


def test_probing_finds_every_hole_and_harms_nothing(folder: Path) -> None:
    """Where everything is allowed every hole is found, and names, bytes and times stay as they were."""
    before, times = _content(folder), [path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))]
    assert probe(folder, Protection.PERMISSIONS).holes == HOLES
    assert _content(folder) == before
    assert [path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))] == times


def test_a_failure_that_is_no_refusal_is_a_hole(folder: Path) -> None:
    """Without anything to try it on nothing was refused: an attempt that fails for another reason proves nothing."""
    (folder / MANIFEST).unlink()
    assert probe(folder, Protection.PERMISSIONS).holes == HOLES


def test_a_probe_that_was_cut_off_does_not_hide_a_hole(folder: Path) -> None:
    """The empty folder that a killed probe leaves is tidied by the next, is no file, and does not pass for a refusal."""
    (folder / ".coldchain-probe").mkdir()
    assert "add a file" in probe(folder, Protection.PERMISSIONS).holes
    assert not (folder / ".coldchain-probe").exists()


def test_links_are_left_alone(folder: Path, tmp_path: Path) -> None:
    """Protecting a folder does not reach through a symbolic link to what stands elsewhere."""
    outside = tmp_path / "outside"
    outside.write_bytes(b"x")
    (folder / "link").symlink_to(outside)
    protect(folder, Protection.STRONGEST)
    outside.write_bytes(b"y")
    assert outside.stat().st_mode & 0o200


def test_release_makes_it_removable(folder: Path) -> None:
    """After a release the owner can throw the folder away."""
    protect(folder, Protection.STRONGEST)
    release(folder)
    shutil.rmtree(folder)
