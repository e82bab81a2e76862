"""A flow whose process is killed while SLURM computes for it: the flow that is started again ends what was begun."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import deployments
from coldchain.copies import CopyState
from coldchain.dataset import Dataset, Project
from coldchain.levels import Level
from deployments.server import ServerInfo
from tasks.workspace import open_workspace
from tests.tasks.slurming import comes_true, command, nothing_left, our_jobs

pytestmark = [pytest.mark.slurm, pytest.mark.server, pytest.mark.long]

ITEMS = 16
FLOW = f"""
import sys
from prefect import flow
from coldchain.levels import Level
from coldchain.making import Outcome
from coldchain.testing import kernels
from tasks.computing import compute, parts
from tasks.making import Order, Recipe, follow
from tasks.workspace import open_workspace

def work(job):
    with parts(job.target) as folder:
        marks = job.parameters["marks"]
        items = [{{"number": n, "seconds": 1, "target": str(folder / f"{{n}}.txt"), "marks": marks}} for n in range({ITEMS})]
        fields, hardware = compute(job, "measure", kernels.write, items)
        (job.target / "joined.txt").write_text("".join((folder / f"{{n}}.txt").read_text() for n in range({ITEMS})))
    return Outcome({{"numbers": [field["number"] for field in fields]}}, hardware=hardware, job=",".join(hardware["slurm_job_ids"]))

@flow
def trial(marks: str) -> None:
    follow(open_workspace(), Order(Recipe("trial", Level.STANDARD, (), work), "PRJ-0001/PLATE-A", {{"marks": marks}}))

if __name__ == "__main__":
    trial(sys.argv[1])
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slurm: Path) -> Iterator[Path]:
    """The demo's site on a SLURM, with one dataset; afterwards no job is left."""
    del slurm
    sites = Path(deployments.__file__).with_name("sites")
    described = yaml.safe_load((sites / "site.yaml").read_text())
    described["cluster"] = {"kind": "slurm", "workers": 2, "cores": 2, "memory": "1GiB", "walltime": "00:10:00"}
    (tmp_path / "site.yaml").write_text(yaml.safe_dump(described))
    shutil.copy(sites / "policy.yaml", tmp_path / "policy.yaml")
    monkeypatch.setenv("COLDCHAIN_SITE", str(tmp_path / "site.yaml"))
    ws = open_workspace()
    ws.register()
    ws.catalogue.save_project(Project(id="PRJ-0001", title="Nuclei"))
    ws.catalogue.save_dataset(Dataset(project="PRJ-0001", name="PLATE-A", pattern="plain", channels={1: "DNA"}))
    (tmp_path / "marks").mkdir()
    (tmp_path / "flow.py").write_text(FLOW)
    with nothing_left():
        yield tmp_path


def start(site: Path, server: ServerInfo) -> subprocess.Popen[Any]:
    """Start the flow in a process of its own."""
    environment = {**os.environ, "PREFECT_API_URL": server.url_api}
    argv = [sys.executable, "-P", str(site / "flow.py"), str(site / "marks")]
    with (site / "flow.log").open("ab") as log:
        return subprocess.Popen(argv, env=environment, cwd=site, stdout=log, stderr=log)


def noted(site: Path) -> list[str]:
    """Lines of the note of finished items."""
    notes = list((site / "scratch" / ".coldchain" / "staging").glob("*-finished.jsonl"))
    return [line for note in notes for line in note.read_text().splitlines() if '"item"' in line]


def computed(site: Path) -> list[int]:
    """How often each item was computed."""
    return [len(list((site / "marks").glob(f"{number}-*"))) for number in range(ITEMS)]


@pytest.mark.timeout(300)
def test_a_killed_flow_is_ended_by_the_next_one(site: Path, prefect_server: ServerInfo) -> None:
    """SIGKILL of the flow, then `scancel` of a job it had: the next run completes with the other job, and computes nothing twice."""
    with start(site, prefect_server) as process:
        try:
            assert comes_true(lambda: len(noted(site)) >= 4, within_s=120), (site / "flow.log").read_text()
        finally:
            process.kill()
    finished = len(noted(site))
    done = sorted(times for times in computed(site))[-finished:]
    assert done == [1] * finished
    jobs = sorted(line.partition("|")[0] for line in our_jobs())
    command("scancel", jobs[0])
    with start(site, prefect_server) as process:
        assert process.wait(timeout=150) == 0, (site / "flow.log").read_text()
    ws = open_workspace()
    artifact = ws.current("PRJ-0001/PLATE-A", Level.STANDARD)
    (copy,) = ws.catalogue.copies(artifact=artifact.id)
    activity = ws.catalogue.activity(artifact.activity)
    assert copy.state is CopyState.VERIFIED
    assert activity.findings["numbers"] == list(range(ITEMS))
    assert set(jobs) < set(activity.hardware["slurm_job_ids"]), "provenance names the jobs of both runs"
    assert sum(computed(site)) <= ITEMS + len(jobs), "more than what was at work when the flow was killed was computed twice"
    assert [path.name for path in (site / "scratch" / ".coldchain" / "staging").iterdir()] == []
    assert list((site / "scratch" / ".coldchain" / "runs").iterdir()) == []


@pytest.mark.timeout(300)
def test_a_flow_whose_scratch_is_removed_is_made_by_the_next_one(site: Path, prefect_server: ServerInfo) -> None:
    """What was staged and noted is removed in the middle: the flow fails, leaves no job, and the next run makes the whole."""
    scratch = site / "scratch" / ".coldchain"
    with start(site, prefect_server) as process:
        try:
            assert comes_true(lambda: len(noted(site)) >= 2, within_s=120), (site / "flow.log").read_text()
            for folder in [each for each in scratch.iterdir() if each.is_dir()]:
                shutil.rmtree(folder, ignore_errors=True)
            assert process.wait(timeout=120) != 0
        finally:
            process.kill()
    assert comes_true(lambda: our_jobs() == []), f"jobs left behind: {our_jobs()}"
    with start(site, prefect_server) as process:
        assert process.wait(timeout=150) == 0, (site / "flow.log").read_text()
    artifact = open_workspace().current("PRJ-0001/PLATE-A", Level.STANDARD)
    assert open_workspace().catalogue.activity(artifact.activity).findings["numbers"] == list(range(ITEMS))
    assert all(each.state is CopyState.VERIFIED for each in open_workspace().catalogue.copies(artifact=artifact.id))
