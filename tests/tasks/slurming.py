"""What tests on a real SLURM share: a small profile, slow items, and the jobs that are ours."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from coldchain.cluster import Cluster, ClusterKind
from coldchain.node import installed_version


@contextmanager
def nothing_left() -> Iterator[None]:
    """Need an installed coldchain (workers import nothing else), and see afterwards that no job of ours is left."""
    if installed_version() == "0+checkout":
        pytest.fail("install the wheel first: SLURM's workers import the installed coldchain, never a checkout")
    yield
    assert comes_true(lambda: our_jobs() == []), f"jobs left behind: {our_jobs()}"


def profile(**fields: Any) -> Cluster:
    """Make a profile of two small workers, other than that as said."""
    given = {"kind": ClusterKind.SLURM, "workers": 2, "cores": 2, "memory": "1GiB", "walltime": "00:05:00", "start_timeout_s": 60}
    return Cluster(**{**given, **fields})


def command(*argv: str) -> str:
    """Run a command that must succeed; return what it printed."""
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=30).stdout


def our_jobs() -> list[str]:
    """Return the jobs of ours that SLURM still has to run or to end."""
    return [line for line in command("squeue", "--noheader", "--format=%i|%j|%T").splitlines() if "coldchain-" in line]


def comes_true(condition: Callable[[], bool], within_s: float = 30) -> bool:
    """Wait for a condition; return whether it came true in time."""
    until = time.monotonic() + within_s
    while not condition() and time.monotonic() < until:
        time.sleep(0.2)
    return condition()


def slow_items(tmp_path: Path, count: int, seconds: float) -> list[dict[str, Any]]:
    """Make items that take so long, and that tell which job works on them."""
    marks = tmp_path / "marks"
    marks.mkdir()
    return [{"marks": str(marks), "seconds": seconds} for _ in range(count)]


def job_at_work(items: list[dict[str, Any]]) -> str:
    """Return the id of a job that is seen to work on one of these items."""
    return min(Path(items[0]["marks"]).iterdir()).name.partition("-")[0]
