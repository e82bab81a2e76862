"""Under `python -O`, which leaves every `assert` out, the product decides and removes as it does otherwise: it raises."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
GUARDED = (
    "retention",
    "test_sweeping.py",
    "test_sweeping_people.py",
    "test_attacks.py",
    "test_clock.py",
    "test_repairing.py",
    "test_approving.py",
)
"""The suites of what decides and of what removes."""


def optimised(*tests: Path, root: Path) -> subprocess.CompletedProcess[str]:
    """Run tests under -O. Pytest writes the tests' own asserts anew, so that they hold there too; of those elsewhere it warns."""
    quiet = ("-q", "-p", "no:cacheprovider", "-W", "ignore:assertions not in test modules", f"--rootdir={root}")
    return subprocess.run(
        [sys.executable, "-O", "-m", "pytest", *quiet, *map(str, tests)], cwd=root, capture_output=True, text=True, check=False
    )


@pytest.mark.long
@pytest.mark.timeout(900)
def test_what_decides_and_removes_does_the_same_without_asserts() -> None:
    """Every test of the decision and of the executor passes under -O."""
    done = optimised(*(TESTS / "domain" / name for name in GUARDED), root=TESTS.parent)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert " passed" in done.stdout


def test_a_test_can_still_fail_there(tmp_path: Path) -> None:
    """The tests' own asserts are not left out, or the run above would say nothing."""
    (tmp_path / "test_it.py").write_text("def test_it():\n    assert __debug__\n")
    assert optimised(tmp_path, root=tmp_path).returncode == 1
