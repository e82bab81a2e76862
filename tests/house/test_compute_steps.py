"""Every step that is computed on workers can be given a cluster profile."""

from __future__ import annotations

import ast
from pathlib import Path

from coldchain.cluster import ComputeStep

TASKS = Path(__file__).resolve().parents[2] / "tasks"


def test_every_step_that_is_computed_can_be_named_by_a_profile() -> None:
    """The words of `compute(job, "word", ...)` in tasks/ are words of ComputeStep: add a new one there, and the schema of a site."""
    calls = [
        node
        for path in TASKS.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "compute"
    ]
    named = {call.args[1].value for call in calls if isinstance(call.args[1], ast.Constant)}
    assert named >= {"segment", "measure", "crop"}
    assert named <= set(ComputeStep), f"not in coldchain.cluster.ComputeStep: {sorted(named - set(ComputeStep))}"
