"""Imports run one way, and the linter says why when they do not."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RUFF = Path(sys.executable).with_name("ruff")


def lint(house: Path, file: str, text: str) -> str:
    """What ruff says about one file of a house that has our configuration and nothing else."""
    (house / file).write_text(text)
    done = subprocess.run([RUFF, "check", "--no-cache", "--select", "TID", file], cwd=house, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """An empty house with our rules: every ruff.toml, in its place."""
    for layer in (".", "coldchain", "tasks", "flows"):
        (tmp_path / layer).mkdir(exist_ok=True)
        shutil.copy(ROOT / layer / "ruff.toml", tmp_path / layer / "ruff.toml")
    return tmp_path


@pytest.mark.parametrize(
    ("file", "line", "reason"),
    [
        ("coldchain/bad.py", "import prefect", "runs where Prefect does not exist"),
        ("coldchain/bad.py", "from prefect.artifacts import create_link_artifact", "runs where Prefect does not exist"),
        ("coldchain/bad.py", "import dask", "holds kernels, not clusters"),
        ("coldchain/bad.py", "import boto3", "storage engines live in tasks"),
        ("coldchain/bad.py", "import globus_sdk", "storage engines live in tasks"),
        ("coldchain/bad.py", "from tasks import gate", "imports run one way"),
        ("coldchain/bad.py", "import flows.ingest", "imports run one way"),
        ("coldchain/bad.py", "import deployments", "imports run one way"),
        ("coldchain/bad.py", "import tensorflow", "banned at the module level"),
        ("tasks/bad.py", "import flows.ingest", "does not know the procedure"),
        ("tasks/bad.py", "from deployments import server", "does not know how it is deployed"),
        ("tasks/bad.py", "import great_expectations", "banned at the module level"),
        ("flows/bad.py", "from deployments import server", "does not know how it is deployed"),
        ("flows/bad.py", "import globus_sdk", "through tasks/"),
    ],
)
def test_a_forbidden_import_is_refused_with_its_reason(house: Path, file: str, line: str, reason: str) -> None:
    """An import against the layers, or a heavy one at module level, is an error whose message says why."""
    said = lint(house, file, f"{line}\n")
    assert "TID" in said
    assert reason in said


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("coldchain/good.py", "import numpy"),
        ("coldchain/good.py", "def train() -> None:\n    import tensorflow"),
        ("tasks/good.py", "from coldchain import errors"),
        ("tasks/good.py", "import prefect"),
        ("flows/good.py", "from tasks import gate"),
    ],
)
def test_what_the_layers_allow_passes(house: Path, file: str, line: str) -> None:
    """The rules refuse nothing that the design allows."""
    assert "All checks passed" in lint(house, file, f"{line}\n")


@pytest.mark.parametrize("layer", ["coldchain", "tasks", "flows"])
def test_the_layers_rules_are_part_of_the_whole_check(layer: str) -> None:
    """Each layer's rules extend the common ones, which select the rule family that enforces them."""
    assert tomllib.loads((ROOT / layer / "ruff.toml").read_text())["extend"] == "../ruff.toml"
    common = tomllib.loads((ROOT / "ruff.toml").read_text())["lint"]
    assert common["select"] == ["ALL"]
    assert not [rule for rule in common["ignore"] if rule.startswith("TID")]
