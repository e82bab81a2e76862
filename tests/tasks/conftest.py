"""A real SLURM on this machine for tests that ask for the fixture `slurm`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

MINISLURM = Path(__file__).resolve().parents[2] / "infra" / "services" / "minislurm.py"
CANNOT_RUN_HERE = 3


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
        before = os.environ.get("SLURM_CONF")
        os.environ["SLURM_CONF"] = conf
        try:
            yield Path(conf)
        finally:
            _restore("SLURM_CONF", before)
            process.stdin.close()
            assert process.wait(timeout=60) == 0, process.stderr.read()


def _restore(name: str, value: str | None) -> None:
    if value is None:
        del os.environ[name]
    else:
        os.environ[name] = value
