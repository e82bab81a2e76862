"""The engines that must pass the contract of `Store`: a later engine adds its factory here."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from coldchain.files import no_progress
from coldchain.store_dryrun import DryRunStore
from coldchain.store_posix import PosixStore
from coldchain.testing.faults import FaultyStore
from tasks.stores.ssh import SshStore
from tests.contracts import bench_rclone
from tests.contracts.bench_globus import globus, globus_ssh
from tests.contracts.bench_s3 import s3
from tests.contracts.benches import NAMES, Bench, FolderBench, place, source_in

Factory = Callable[[pytest.FixtureRequest, Path], Bench]


def posix(_request: pytest.FixtureRequest, root: Path) -> FolderBench:
    """Make a location of a folder."""
    return FolderBench(PosixStore(place(str(root)), root), root)


def faulty(_request: pytest.FixtureRequest, root: Path) -> FolderBench:
    """Put the fault-injecting store, without faults, before it."""
    return FolderBench(FaultyStore(PosixStore(place(str(root)), root)), root)


def ssh(request: pytest.FixtureRequest, root: Path) -> FolderBench:
    """Make a location of a folder that is reached over ssh, as if it stood on another machine."""
    described = place(str(root), engine="ssh", ssh={"host": "centre", "python": sys.executable})
    store = SshStore(described, request.getfixturevalue("sshd"))
    request.addfinalizer(store.close)
    return FolderBench(store, root)


FOLDERS: dict[str, Callable[[pytest.FixtureRequest, Path], FolderBench]] = {
    "posix": posix,
    "faulty": faulty,
    "ssh": ssh,
    "globus": globus,
    "globus ssh": globus_ssh,
}
"""Engines whose locations are folders of files, on whatever machine."""

RCLONE: dict[str, Factory] = {
    "rclone sftp": bench_rclone.sftp,
    "rclone webdav": bench_rclone.webdav,
    "rclone bucket": bench_rclone.bucket,
}

ENGINES: dict[str, Factory] = {**FOLDERS, "s3": s3, **RCLONE}

SERVERS = {"s3": "ceph", "rclone bucket": "ceph"}
"""Engines that need a server which is started once: their tests stay together."""


def _params(names: Iterable[str]) -> list[Any]:
    return [pytest.param(name, marks=[pytest.mark.xdist_group(SERVERS[name])] if name in SERVERS else []) for name in names]


@pytest.fixture(scope="session")
def rclone_box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[bench_rclone.Box]:
    """Hold what the tests of the rclone engine share, until the session ends."""
    box = bench_rclone.Box(tmp_path_factory.mktemp("rclone"))
    yield box
    box.close()


def _registered(factory: Factory, request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    made = factory(request, tmp_path / "place")
    made.store.register()
    return made


def _filled(made: Bench, source: Path) -> Bench:
    made.store.write_manifest("data", made.store.put(source, "data", NAMES, no_progress))
    return made


@pytest.fixture(params=_params(ENGINES))
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    """Give an empty, registered location of each engine."""
    return _registered(ENGINES[request.param], request, tmp_path)


@pytest.fixture(params=_params([*ENGINES, "dry run"]))
def filled(request: pytest.FixtureRequest, tmp_path: Path, source: Path) -> Bench:
    """Give a location of each engine in which `data` stands with its manifest, written by the engine itself where it writes."""
    made = _filled(_registered(ENGINES.get(request.param, posix), request, tmp_path), source)
    if request.param == "dry run":
        made.store = DryRunStore(made.store)
    return made


@pytest.fixture(params=FOLDERS)
def folders(request: pytest.FixtureRequest, tmp_path: Path, source: Path) -> FolderBench:
    """Give a location whose bytes are files in folders, in which `data` stands with its manifest."""
    made = _filled(_registered(FOLDERS[request.param], request, tmp_path), source)
    assert isinstance(made, FolderBench)
    return made


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Give three files, one of them empty and one with a newline in its name."""
    return source_in(tmp_path / "source")
