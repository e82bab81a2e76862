"""A real SLURM on this machine for tests that ask for the fixture `slurm`; remotes of rclone's for those that ask for `rclone`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import deployments
from coldchain.workspace import Workspace
from tasks.stores.rclone import RcloneStore
from tasks.workspace import open_workspace
from tests.contracts.bench_rclone import FORTY, Open, configured, rclone_place, serving, sftp_of, webdav_of

MINISLURM = Path(__file__).resolve().parents[2] / "infra" / "services" / "minislurm.py"
CANNOT_RUN_HERE = 3


@pytest.fixture
def demo_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """The demo's site in a folder of the test's own, nothing acquired yet; flows called in this process use it."""
    for name in ("site.yaml", "policy.yaml"):
        shutil.copy(Path(deployments.__file__).with_name("sites") / name, tmp_path / name)
    monkeypatch.setenv("COLDCHAIN_SITE", str(tmp_path / "site.yaml"))
    found = open_workspace()
    found.register()
    return found


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Start SLURM with two CPU nodes and a GPU node, and end it, and every job, after the session; yield its slurm.conf."""
    root = tmp_path_factory.mktemp("slurm") / "cluster"
    command = [sys.executable, str(MINISLURM), "run", str(root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        conf = process.stdout.readline().strip()
        if not conf:
            said = process.stderr.read().strip()
            if process.wait() == CANNOT_RUN_HERE and "was not ready" not in said:
                pytest.skip(f"no SLURM on this machine: {said}")
            pytest.fail(f"SLURM did not start: {said}")
        given = {"SLURM_CONF": conf, "COLDCHAIN_GPU_DEVICES": f"{root}/dev/*"}  # its cards are links to /dev/null
        before = {name: os.environ.get(name) for name in given}
        os.environ.update(given)
        try:
            yield Path(conf)
        finally:
            for name, value in before.items():
                _restore(name, value)
            process.stdin.close()
            assert process.wait(timeout=60) == 0, process.stderr.read()


def _restore(name: str, value: str | None) -> None:
    if value is None:
        del os.environ[name]
    else:
        os.environ[name] = value


@pytest.fixture
def rclone(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Open stores on a folder of this machine, by SFTP or by WebDAV, and end their rclone after the test."""
    stores: list[RcloneStore] = []

    def make(remote: str = "disk", /, root: str = "", config: Path | None = None, **said: str) -> RcloneStore:
        described = {"disk": lambda: {"type": "local"}, "far": lambda: sftp_of(request.getfixturevalue("sshd"))}
        root = root or str(tmp_path / "root")
        config = config or configured(tmp_path, **{remote: (described[remote]() if remote in described else {}) | said})
        stores.append(RcloneStore(rclone_place(remote, root), config))
        return stores[-1]

    yield make
    for store in stores:
        store.close()


@pytest.fixture(scope="session")
def dav(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Serve a folder by WebDAV, and give the remote that reaches it."""
    with serving(tmp_path_factory.mktemp("dav") / "served") as url:
        yield webdav_of(url)


@pytest.fixture
def forty(tmp_path: Path) -> Path:
    """A folder of forty files of 100 kB."""
    folder = tmp_path / "forty"
    folder.mkdir()
    for name in FORTY:
        (folder / name).write_bytes(os.urandom(100_000))
    return folder
