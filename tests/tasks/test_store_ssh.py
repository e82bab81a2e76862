"""A location on another machine, over a real sshd, beyond the contract: lines that are cut, machines that will not, disks that fill."""

from __future__ import annotations

import ast
import gc
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import coldchain
from coldchain import serving
from coldchain.errors import ColdchainError, ConfigurationError, InputError, IntegrityError, LocationUnreachable, OutOfSpace
from coldchain.files import no_progress
from coldchain.location import Location
from coldchain.manifest import MANIFEST, Manifest
from coldchain.store import Protection
from tasks.stores import rsync
from tasks.stores.ssh import SshStore
from tasks.stores.ssh_link import ours


def location(root: Path, python: str = sys.executable, **more: Any) -> Location:
    """A location of the host `centre`."""
    reach = {"host": "centre", "python": python}
    return Location(name="centre", engine="ssh", root=str(root), medium="disk", domain="centre", site="away", ssh=reach, **more)


@pytest.fixture
def opened(sshd: Path) -> Iterator[Callable[..., SshStore]]:
    """Open stores, and end their lines after the test."""
    stores: list[SshStore] = []

    def make(root: Path, config: Path = sshd, **more: Any) -> SshStore:
        stores.append(SshStore(location(root, **more), config))
        return stores[-1]

    yield make
    for store in stores:
        store.close()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder of forty files of 100 kB."""
    folder = tmp_path / "source"
    folder.mkdir()
    for number in range(40):
        (folder / f"{number:02}").write_bytes(os.urandom(100_000))
    return folder


NAMES = [f"{number:02}" for number in range(40)]


def working_in(folder: Path) -> Iterator[int]:
    """The rsync at the other end, which tells nobody in its command line where it works."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (process / "cwd").readlink() == folder and b"--server" in (process / "cmdline").read_bytes():
                yield int(process.name)


def test_what_is_sent_along_stands_on_python_alone(tmp_path: Path) -> None:
    """The modules that the other machine gets import nothing but each other and Python's library, and leave no file behind."""
    for module in serving.MODULES:
        tree = ast.parse(Path(coldchain.__file__).with_name(f"{module}.py").read_text())
        asked = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        names = {alias.name for node in asked if isinstance(node, ast.Import) for alias in node.names}
        names |= {node.module or "" for node in asked if isinstance(node, ast.ImportFrom)}
        for name in names:
            top, _, own = name.partition(".")
            assert top in sys.stdlib_module_names or (top == "coldchain" and (own or "__init__") in serving.MODULES), (module, name)
    (tmp_path / "sent.zip").write_bytes(ours())
    code = "import sys; sys.path.insert(0, sys.argv[1]); import coldchain.serving; print(coldchain.serving.__file__)"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code, tmp_path / "sent.zip"], capture_output=True, text=True, check=True)
    assert "sent.zip" in done.stdout


def test_nothing_of_ours_stays_there(opened: Callable[..., SshStore], tmp_path: Path) -> None:
    """What was sent along is gone when the line ends."""
    store = opened(tmp_path / "root")
    store.register()
    store.close()
    assert sorted(path.name for path in (tmp_path / "root").rglob("*")) == [".coldchain", "location.json"]


def test_a_store_that_nobody_needs_leaves_no_ssh_behind(sshd: Path, tmp_path: Path) -> None:
    """Every task of a flow opens its own: what is let go of ends its line."""
    store = SshStore(location(tmp_path / "root"), sshd)
    store.register()
    (process,) = store._link._running
    assert process.poll() is None
    del store
    gc.collect()
    assert process.returncode is not None


def test_a_host_that_is_down(opened: Callable[..., SshStore], sshd: Path, tmp_path: Path) -> None:
    """Nobody answers: try again later."""
    config = tmp_path / "config"
    config.write_text("".join("  Port 1\n" if "Port" in line else line + "\n" for line in sshd.read_text().splitlines()))
    with pytest.raises(LocationUnreachable, match="Connection refused"):
        opened(tmp_path / "root", config).identity()


def test_a_host_whose_key_changed(opened: Callable[..., SshStore], sshd: Path, tmp_path: Path) -> None:
    """Another machine answers under that name: a person has to look, and nothing is sent."""
    other = tmp_path / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other], check=True)
    known = (sshd.parent / "known_hosts").read_text().split()
    (tmp_path / "known").write_text(" ".join([known[0], *other.with_suffix(".pub").read_text().split()[:2]]) + "\n")
    config = tmp_path / "config"
    config.write_text(sshd.read_text().replace(str(sshd.parent / "known_hosts"), str(tmp_path / "known")))
    with pytest.raises(ConfigurationError, match=r"(?s)Host key verification failed.*known_hosts"):
        opened(tmp_path / "root", config).register()
    assert not (tmp_path / "root").exists()


def test_a_host_that_nobody_knows(opened: Callable[..., SshStore], sshd: Path, tmp_path: Path) -> None:
    """A machine whose key is not known is refused, and not believed the first time."""
    config = tmp_path / "config"
    config.write_text(sshd.read_text().replace(str(sshd.parent / "known_hosts"), str(tmp_path / "none")))
    with pytest.raises(ConfigurationError, match=r"Host key verification failed"):
        opened(tmp_path / "root", config).register()
    assert not (tmp_path / "none").exists()


def test_a_host_that_does_not_let_us_in(opened: Callable[..., SshStore], sshd: Path, tmp_path: Path) -> None:
    """A key that it does not know: the error says what to give whom, and the key's content is nowhere in it."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True)
    config = tmp_path / "config"
    config.write_text(sshd.read_text().replace(str(sshd.parent / "key"), str(tmp_path / "key")))
    with pytest.raises(ConfigurationError, match=r"(?s)Permission denied.*key that the machine accepts") as raised:
        opened(tmp_path / "root", config).identity()
    assert (tmp_path / "key").read_text().splitlines()[1] not in str(raised.value)


@pytest.mark.parametrize("python", ["no-such-python", "/usr/bin/false"])
def test_a_host_without_our_python(opened: Callable[..., SshStore], tmp_path: Path, python: str) -> None:
    """Said with its name, and what to do."""
    with pytest.raises(ColdchainError, match="centre"):
        opened(tmp_path / "root", python=python).identity()


def test_a_python_that_is_too_old(opened: Callable[..., SshStore], tmp_path: Path) -> None:
    """Its version is named, and nothing of ours is run."""
    old = tmp_path / "old"
    old.write_text(f'#!/bin/sh\nshift; exec {sys.executable} -c "import sys; sys.version_info = (3, 6, 8)\n$1"\n')
    old.chmod(0o755)
    with pytest.raises(ConfigurationError, match=r"(?s)Python 3\.6 is too old.*ssh\.python"):
        opened(tmp_path / "root", python=str(old)).identity()


def test_a_line_that_is_cut_while_it_works(opened: Callable[..., SshStore], source: Path, tmp_path: Path) -> None:
    """It is said, half an answer is none, and the next call has a new line."""
    short = tmp_path / "short"
    short.write_text(f'#!/bin/sh\nshift; {sys.executable} -c "$1" | sed -u 4q\n')
    short.chmod(0o755)
    store, told = opened(tmp_path / "root", python=str(short)), []
    store.register()
    store.put(source, "data", NAMES, no_progress)
    with pytest.raises(LocationUnreachable, match="cut"):
        store.read_back("data", lambda done, _total: told.append(done))
    assert len(told) == 1
    assert store.names("data") == NAMES


@pytest.mark.parametrize("said", ["Welcome to centre!", "[]", "{}", '{"banner": 1}'])
def test_whoever_else_speaks_is_not_believed(opened: Callable[..., SshStore], tmp_path: Path, said: str) -> None:
    """A banner of the machine's login, or any other line where an answer is due, is no answer."""
    chatty = tmp_path / "chatty"
    chatty.write_text(f"#!/bin/sh\necho '{said}'\nsleep 0.2\n")
    chatty.chmod(0o755)
    with pytest.raises(LocationUnreachable, match="cut"):
        opened(tmp_path / "root", python=str(chatty)).exists("data")


@pytest.mark.parametrize("kind", ["NoSuchError", "annotations", "MESSAGES", "__builtins__"])
def test_an_error_that_nobody_knows_is_an_error_still(kind: str) -> None:
    """Whatever name the other side gives it."""
    said = {"kind": kind, "what": "something", "on": None, "expected": None, "got": None, "done": None, "hint": None}
    assert type(serving.error_of(said)) is ColdchainError


def test_whoever_stops_listening_gets_no_stale_answer(opened: Callable[..., SshStore], source: Path, tmp_path: Path) -> None:
    """Where the caller breaks off in the middle of an answer, the next question is not answered with its rest."""
    store = opened(tmp_path / "root")
    store.register()
    store.put(source, "data", NAMES, no_progress)

    def tired(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.read_back("data", tired)
    assert not store.exists("none")


def test_rsync_that_is_killed_goes_on_where_it_was(opened: Callable[..., SshStore], source: Path, tmp_path: Path) -> None:
    """SIGKILL in the middle of a copy: it is said, the next run completes it, and sends no file again that was whole."""
    store = opened(tmp_path / "root")
    store.register()
    slow = tmp_path / "bin" / "rsync"
    slow.parent.mkdir()
    real = shutil.which("rsync")
    slow.write_text(f'#!/bin/sh\nexec {real} --bwlimit=2000 "$@"\n')
    slow.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{slow.parent}:{os.environ['PATH']}")

        def kill() -> None:
            while not (tmp_path / "root" / "data" / "05").exists():
                time.sleep(0.01)
            for process in working_in(tmp_path / "root" / "data"):
                os.kill(process, signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        with pytest.raises((LocationUnreachable, InputError)):
            store.put(source, "data", NAMES, no_progress)
        killer.join()
    assert set(store.names("data")) <= set(NAMES), "half a file under another name is a stranger, for which all of staging is emptied"
    whole = {path.name: path.stat().st_ctime_ns for path in (tmp_path / "root" / "data").iterdir() if path.name <= "03"}
    manifest = store.put(source, "data", NAMES, no_progress)
    assert store.read_back("data") == manifest
    assert {name: (tmp_path / "root" / "data" / name).stat().st_ctime_ns for name in whole} == whole


def test_a_disk_that_is_full_over_there(opened: Callable[..., SshStore], source: Path, small_disk: Path) -> None:
    """Said as what it is; what is whole stays."""
    store = opened(small_disk)
    store.register()
    (source / "00").write_bytes(os.urandom(5_000_000))
    with pytest.raises(OutOfSpace, match="No space left"):
        store.put(source, "data", NAMES, no_progress)
    assert store.capacity().free < 5_000_000


def test_a_file_that_changed_between_is_not_believed(opened: Callable[..., SshStore], source: Path, tmp_path: Path) -> None:
    """Other bytes of the same size and time, which rsync leaves alone, are seen when they are read back."""
    store = opened(tmp_path / "root")
    store.register()
    store.put(source, "data", NAMES, no_progress)
    times = (source / "07").stat()
    (source / "07").write_bytes(os.urandom(100_000))
    os.utime(source / "07", ns=(times.st_atime_ns, times.st_mtime_ns))
    manifest = store.put(source, "data", NAMES, no_progress)
    assert manifest.difference(store.read_back("data")) == ["07"]


def test_scratch_over_there_keeps_no_old_times(opened: Callable[..., SshStore], source: Path, tmp_path: Path) -> None:
    """A cluster removes what looks old: copies on its scratch are as old as they are, and are compared by their bytes."""
    os.utime(source / "00", (0, 0))
    store = opened(tmp_path / "root", purge_age_days=30)
    store.register()
    manifest = store.put(source, "data", NAMES, no_progress)
    stood = (tmp_path / "root" / "data" / "00").stat()
    assert stood.st_mtime > 1_000_000_000
    assert store.put(source, "data", NAMES, no_progress) == manifest
    assert (tmp_path / "root" / "data" / "00").stat().st_ctime_ns == stood.st_ctime_ns


@pytest.mark.parametrize("root", ["with space", "quote'\"$(touch pwned)", "-dash", "ümlaut\n"])
def test_odd_roots(opened: Callable[..., SshStore], source: Path, tmp_path: Path, root: str) -> None:
    """Names that a shell would read as something else are names."""
    store = opened(tmp_path / root)
    store.register()
    (source / "-e sh$(touch pwned)").write_bytes(b"x")
    manifest = store.put(source, "da ta", [*NAMES, "-e sh$(touch pwned)"], no_progress)
    assert store.read_back("da ta") == manifest
    assert store.get("da ta", tmp_path / "out", list(manifest.entries), no_progress) == manifest
    assert not list(tmp_path.rglob("pwned"))


def test_a_root_that_is_not_absolute_is_below_the_home(opened: Callable[..., SshStore], tmp_path: Path) -> None:
    """Of whoever logs in."""
    name = f"coldchain-test-{tmp_path.name}"
    store = opened(Path(name))
    store.register()
    home = Path(subprocess.run(["sh", "-c", "eval echo ~$(id -un)"], capture_output=True, text=True, check=True).stdout.strip())
    try:
        assert (home / name / ".coldchain" / "location.json").exists()
    finally:
        shutil.rmtree(home / name)


def test_protection_is_tried_over_there(opened: Callable[..., SshStore], source: Path, tmp_path: Path) -> None:
    """What holds for the user who logs in is what is said, and what is protected goes through the trash alone."""
    store = opened(tmp_path / "root", protection=Protection.STRONGEST)
    store.register()
    store.write_manifest("data", store.put(source, "data", ["00"], no_progress))
    probe = store.protect("data")
    if not probe.in_force:
        pytest.skip("this user cannot protect anything on this file system")
    with pytest.raises(ColdchainError, match="refuses"):
        store.delete("data")
    store.set_aside("data", ".coldchain/trash/1-a")
    store.destroy(".coldchain/trash/1-a")
    assert not store.exists("data")


def test_a_manifest_with_a_hostile_name_from_there_writes_nothing_outside(
    opened: Callable[..., SshStore], source: Path, tmp_path: Path
) -> None:
    """Names come from the manifest: one that leads out is refused when it is parsed, and rsync never sees it."""
    store = opened(tmp_path / "root")
    store.register()
    store.put(source, "data", ["00"], no_progress)
    (tmp_path / "root" / "data" / MANIFEST).write_bytes(b"0" * 64 + b"  ../../evil\n")
    with pytest.raises(ColdchainError):
        Manifest.parse(store.manifest("data"))
    with pytest.raises(IntegrityError):
        store.get("data", tmp_path / "out", ["../../evil"], no_progress)


@pytest.mark.parametrize(
    ("code", "words", "kind"),
    [
        (11, "rsync: write failed: No space left on device (28)", OutOfSpace),
        (23, "rsync: Permission denied (13)", ConfigurationError),
        (12, "rsync: connection unexpectedly closed", LocationUnreachable),
        (30, "io timeout after 300 seconds", LocationUnreachable),
        (255, "kex_exchange_identification: read: Connection reset", LocationUnreachable),
        (127, "bash: rsync: command not found", ConfigurationError),
        (1, "rsync: unknown option", InputError),
    ],
)
def test_what_rsync_says_is_translated(code: int, words: str, kind: type[ColdchainError], tmp_path: Path, monkeypatch: Any) -> None:
    """Each of its ends is an error of ours with its words; nothing but 0 is success."""
    fake = tmp_path / "rsync"
    fake.write_text(f"#!/bin/sh\necho '{words}' >&2\nexit {code}\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path) + ":/usr/bin:/bin")
    with pytest.raises(kind, match="rsync"):
        rsync.copy(["ssh"], "a", "b", ["x"], times=True, on="centre")


def test_no_rsync_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Said with the package to install."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigurationError, match="install the package rsync"):
        rsync.copy(["ssh"], "a", "b", ["x"], times=True, on="centre")
