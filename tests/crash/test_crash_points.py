"""Killed before any effect, nothing is lost, and the next run ends what was begun. `COLDCHAIN_POINTS=all` tries every point."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
POINTS = os.environ.get("COLDCHAIN_POINTS", "3")
TWICE = "1" if POINTS != "all" else "12"
STEPS = 3 if POINTS != "all" else 10**6
KNOWN = runpy.run_path(str(HERE / "procedures.py"))

pytestmark = pytest.mark.timeout(300 if POINTS != "all" else 3600)

Drive = Callable[..., dict[str, Any]]


@contextmanager
def driver(*flags: str) -> Iterator[Drive]:
    """Run drive.py, a process without this one's threads, and hand out what asks it."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}  # it imports what stands beside it
    command = [sys.executable, *flags, str(HERE / "drive.py")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as process:
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("no pipes")
        asking, answering = process.stdin, process.stdout

        def ask(procedure: str, folder: Path, **how: Any) -> dict[str, Any]:
            asking.write(json.dumps({"procedure": procedure, "folder": str(folder), **how}) + "\n")
            asking.flush()
            if not (line := answering.readline()):
                pytest.fail(f"drive.py ended at {procedure} with exit code {process.wait()}")
            found: dict[str, Any] = json.loads(line)
            if "failed" in found:
                pytest.fail(found["failed"])
            return found

        yield ask
        asking.close()


@pytest.fixture(scope="module")
def drive() -> Iterator[Drive]:
    """Kill procedures, in a process for all these tests."""
    with driver() as ask:
        yield ask


@pytest.fixture(scope="module")
def optimized() -> Iterator[Drive]:
    """The same without a single `assert`."""
    with driver("-O") as ask:
        yield ask


@pytest.mark.parametrize("procedure", KNOWN["TABLE"])
def test_killed_before_any_effect_it_loses_nothing_and_the_next_run_ends_it(procedure: str, drive: Drive, tmp_path: Path) -> None:
    """Right after the kill every invariant holds; the rerun, itself killed or not, ends as a whole run does, and another does nothing."""
    found = drive(procedure, tmp_path, points=POINTS, twice=TWICE)
    show(procedure, found)
    assert len(found["names"]) > 3
    assert found["wrong"] == []
    assert POINTS != "all" or found["stale"] == [], "mended: take it out of the table"


@pytest.mark.parametrize("procedure", ["ingest", "delete", "repair"])
def test_it_holds_under_dash_o(procedure: str, optimized: Drive, tmp_path: Path) -> None:
    """No check is an `assert`: without them nothing is lost either."""
    found = optimized(procedure, tmp_path, points=2)
    assert found["optimized"]
    assert found["wrong"] == []


@pytest.mark.parametrize("procedure", ["ingest", "delete", "repair"])
def test_no_effect_is_missed(procedure: str, drive: Drive, tmp_path: Path) -> None:
    """Between two neighbouring points nothing changes, on the disk and in the catalogue, but what the effect between them names."""
    assert drive(procedure, tmp_path, points=0, steps=STEPS)["unnamed"] == []


@pytest.mark.parametrize(
    ("careless", "noticed"),
    [
        ("counts-first", ["a verified copy is not whole: backup"]),
        ("deletes-first", ["a verified copy is not whole: scratch", "receipts tell of []"]),
        ("writes-in-place", ["(4 of 9 bytes): after the rerun: tree backup/notes/note.txt"]),
        ("starts-anew", ["after the rerun: tree backup/notes/1"]),
    ],
)
def test_a_careless_procedure_is_noticed(careless: str, noticed: list[str], drive: Drive, tmp_path: Path) -> None:
    """What counts too early, deletes too early, writes in place or cannot go on turns red."""
    wrong = drive(careless, tmp_path, points=8)["wrong"]
    assert [words for words in noticed if not any(words in each for each in wrong)] == []


def show(procedure: str, found: dict[str, Any]) -> None:
    """Print every point by name, those that were tried, and what is known to be left."""
    tried = {point for point, *_ in found["tried"]}
    print(f"\n{procedure}: {len(found['names'])} points, {len(found['tried'])} kills")
    for number, name in enumerate(found["names"]):
        print(f"  {'x' if number in tried else ' '} {number:03} {name}")
    for each in found["known"]:
        print(f"  known: {each}")
