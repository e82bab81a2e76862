"""One finished demo for the session, and copies of its site that a test may spoil."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from coldchain.protection import release
from coldchain.workspace import Workspace
from tasks.workspace import open_workspace

COMMAND = Path(sys.executable).with_name("coldchain")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests that share the finished demo on one worker, so that it runs once."""
    for item in items:
        if "finished" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("demo"))


@pytest.fixture(scope="session")
def coldchain() -> list[str]:
    """The installed command, as a person runs it."""
    return [str(COMMAND)]


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, coldchain: list[str]) -> Iterator[tuple[Path, str]]:
    """Run the demo once, as a person would; yields its folder and what it said."""
    folder = tmp_path_factory.mktemp("demo") / "site"
    done = subprocess.run([*coldchain, "demo", "--folder", str(folder)], capture_output=True, text=True, timeout=1200, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    yield folder, done.stdout
    release(folder)


@pytest.fixture
def spoilable(finished: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """A copy of the finished site, without its write-protection; flows called in this process use it."""
    folder = tmp_path / "site"
    shutil.copytree(finished[0], folder, ignore=shutil.ignore_patterns("prefect"))
    for path in [folder, *folder.rglob("*")]:
        path.chmod(path.stat().st_mode | 0o200)
    monkeypatch.setenv("COLDCHAIN_SITE", str(folder / "site.yaml"))
    yield open_workspace()
    release(folder)


@pytest.fixture
def quiet_environment() -> dict[str, str]:
    """Our environment without what points at this session's own server."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
