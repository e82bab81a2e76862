"""The engines that must pass the contract of `Store`: a later engine adds its factory here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from coldchain.location import Location, Medium
from coldchain.store import Store
from coldchain.store_dryrun import DryRunStore
from coldchain.store_posix import PosixStore
from coldchain.testing.faults import FaultyStore

Factory = Callable[[Path], Store]


def posix(root: Path) -> Store:
    """Make a location of a folder."""
    return PosixStore(Location(name="place", root=str(root), medium=Medium.DISK, domain="place", site="here"), root)


def faulty(root: Path) -> Store:
    """Put the fault-injecting store, without faults, before it."""
    return FaultyStore(posix(root))


def rehearsed(root: Path) -> Store:
    """Put the dry-run store before it."""
    return DryRunStore(posix(root))


WRITING: dict[str, Factory] = {"posix": posix, "faulty": faulty}
READING: dict[str, Factory] = WRITING | {"dry run": rehearsed}


@pytest.fixture(params=WRITING)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Give an empty, registered location of each engine."""
    made = WRITING[request.param](tmp_path / "place")
    made.register()
    return made


@pytest.fixture(params=READING)
def filled(request: pytest.FixtureRequest, tmp_path: Path, source: Path) -> Store:
    """Give a location of each engine in which `data` stands with its manifest, written by the engine itself where it writes."""
    writer = WRITING.get(request.param, posix)(tmp_path / "place")
    writer.register()
    writer.write_manifest("data", writer.put(source, "data", NAMES, lambda _done, _total: None))
    return READING[request.param](tmp_path / "place")


NAMES = ["a.tif", "deep/b\n.tif", "empty"]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Give three files, one of them empty and one with a newline in its name."""
    folder = tmp_path / "source"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.tif").write_bytes(b"a" * 5000)
    (folder / "deep" / "b\n.tif").write_bytes(b"b" * 100)
    (folder / "empty").write_bytes(b"")
    return folder
