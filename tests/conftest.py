"""What every test may count on: a home of its own, no settings of the user's, one Prefect server for the session."""

from __future__ import annotations

import fcntl
import json
import os
import stat
import struct
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

# Before anything imports Prefect or TensorFlow: their settings are read at import.
os.environ.update({"DO_NOT_TRACK": "1", "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "TF_CPP_MIN_LOG_LEVEL": "3", "MPLBACKEND": "Agg"})
os.environ.pop("COLDCHAIN_SITE", None)

FS_IOC_GETFLAGS, FS_IOC_SETFLAGS = 0x80086601, 0x40086602  # ioctl_iflags(2), 64-bit Linux
FS_IMMUTABLE_FL = 0x10

CANNOT_RUN_HERE = 3  # what our services' scripts exit with


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Under xdist, tests that share the session's Prefect server, SLURM or Ceph stay on one worker, so that each is started once."""
    for item in items:
        shared = {"prefect_server", "slurm", "ceph"} & set(getattr(item, "fixturenames", ()))
        if shared and item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(min(shared - {"ceph"} or shared)))  # Ceph starts in a second: it may start twice


@pytest.fixture(scope="session", autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """HOME and PREFECT_HOME in a temporary folder, so that no test reads or changes the user's."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("PREFECT_") and name != "PREFECT_SERVER_ANALYTICS_ENABLED"]:
            patch.delenv(name)
        patch.setenv("HOME", str(home))
        patch.setenv("XDG_CACHE_HOME", str(home / ".cache"))
        patch.setenv("PREFECT_HOME", str(home / ".prefect"))
        yield home


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """Run one Prefect server for the session, without UI and services; flows called in this process use it."""
    from deployments.server import running_server

    with running_server(tmp_path_factory.mktemp("prefect"), ui=False, services=False) as server:
        yield server


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of 4 MB."""
    point = tmp_path / "small"
    point.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", point], check=False, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"cannot mount a small file system: {mounted.stderr.strip()}")
    yield point
    subprocess.run(["umount", point], check=True)


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Start an sshd on loopback for the session; yield the ssh configuration that knows it as the host `centre`."""
    root = tmp_path_factory.mktemp("sshd") / "server"
    command = [sys.executable, str(Path(__file__).parents[1] / "infra" / "services" / "minisshd.py"), "run", str(root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        config = process.stdout.readline().strip()
        if not config:
            said = process.stderr.read().strip()
            if process.wait() == CANNOT_RUN_HERE:
                pytest.skip(f"no sshd on this machine: {said}")
            pytest.fail(f"sshd did not start: {said}")
        yield Path(config)
        process.stdin.close()
        assert process.wait(timeout=30) == 0, process.stderr.read()


@pytest.fixture(scope="session")
def ceph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """Start a Ceph RADOS Gateway with TLS on loopback for the session; yield its endpoint, ca, access_key and secret_key."""
    root = tmp_path_factory.mktemp("ceph") / "box"
    command = [sys.executable, str(Path(__file__).parents[1] / "infra" / "services" / "cephbox.py"), "run", str(root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        reach = process.stdout.readline().strip()
        if not reach:
            said = process.stderr.read().strip()
            if process.wait() == CANNOT_RUN_HERE and "was not ready" not in said:
                pytest.skip(f"no Ceph on this machine: {said}")
            pytest.fail(f"Ceph did not start: {said}")
        yield json.loads(reach)
        process.stdin.close()
        assert process.wait(timeout=60) == 0, process.stderr.read()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real microscope files, beside the checkout or where COLDCHAIN_TEST_DATA says; they are never part of the repository."""
    folder = Path(os.environ.get("COLDCHAIN_TEST_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no real microscope files: {folder} is no folder; COLDCHAIN_TEST_DATA names another")
    return folder


@pytest.fixture(autouse=True)
def removable_tmp_path(request: pytest.FixtureRequest) -> Iterator[None]:
    """Lift write protection below a test's tmp_path after the test, so that pytest can remove it."""
    folder = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    yield
    if folder is not None:
        clear_protection(folder)


def clear_protection(folder: Path) -> None:
    """Make a tree removable: clear the immutable flag and give the owner write permission, parents first."""
    for parent, folders, files in os.walk(folder):
        for name in (".", *folders, *files):
            _unprotect(Path(parent) / name)


def _unprotect(path: Path) -> None:
    mode = path.lstat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        _clear_immutable(descriptor)
        if not mode & stat.S_IWUSR:
            os.fchmod(descriptor, stat.S_IMODE(mode) | stat.S_IRWXU)
    finally:
        os.close(descriptor)


def _clear_immutable(descriptor: int) -> None:
    try:
        (flags,) = struct.unpack("l", fcntl.ioctl(descriptor, FS_IOC_GETFLAGS, struct.pack("l", 0)))
    except OSError:  # a file system without flags (tmpfs, overlay) has no immutable files
        return
    if flags & FS_IMMUTABLE_FL:
        fcntl.ioctl(descriptor, FS_IOC_SETFLAGS, struct.pack("l", flags & ~FS_IMMUTABLE_FL))
