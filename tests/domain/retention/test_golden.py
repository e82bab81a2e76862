"""Golden cases: a small ledger, a policy and a moment, with every decision and its reasons word for word."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from coldchain import retention
from coldchain.testing.ledgers import read_case, written

HERE = Path(__file__).parent
CASES = sorted((HERE / "cases").glob("*.json"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_golden(path: Path) -> None:
    """The plan is the one that was written down, with the same reasons, shortfalls and warnings."""
    case, common = json.loads(path.read_text()), json.loads((HERE / "common.json").read_text())
    read = read_case(case, common["places"], common["policy"])
    assert written(retention.plan(read.ledger, read.policy, read.now)) == case["expected"], case["says"]


def test_there_are_cases() -> None:
    """An empty folder would test nothing."""
    assert len(CASES) >= 60
