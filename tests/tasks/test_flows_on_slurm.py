"""The same flows on a site that has SLURM."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

import deployments
from coldchain.forms import DatasetForm, IngestForm, SegmentForm
from coldchain.levels import Level
from deployments.acquisition import write_acquisitions
from tasks.workspace import open_workspace

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.server,
    pytest.mark.long,
    pytest.mark.timeout(600),
    pytest.mark.usefixtures("prefect_server", "slurm"),
]

PLATE = {"project": "PRJ-0001", "dataset": "PLATE-REAL"}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The demo's site, whose cluster is a SLURM with a GPU partition."""
    policies = Path(deployments.__file__).with_name("sites")
    described = yaml.safe_load((policies / "site.yaml").read_text())
    described["cluster"] = {"kind": "slurm", "workers": 2, "memory": "3GiB", "partition": "gpu", "gres": "gpu:1", "walltime": "00:10:00"}
    (tmp_path / "site.yaml").write_text(yaml.safe_dump(described))
    shutil.copy(policies / "policy.yaml", tmp_path / "policy.yaml")
    monkeypatch.setenv("COLDCHAIN_SITE", str(tmp_path / "site.yaml"))
    write_acquisitions(tmp_path / "acquisition")
    open_workspace().register()
    return tmp_path


def test_segmentation_runs_as_slurm_jobs(site: Path) -> None:
    """Ingest, stage, correct and segment the real plate: the masks' provenance names the SLURM jobs and nodes that made them."""
    from flows.correct import correct
    from flows.ingest import ingest
    from flows.segment import segment
    from flows.stage import stage

    ingest(IngestForm(**PLATE))
    stage(DatasetForm(**PLATE))
    correct(DatasetForm(**PLATE))
    segment(SegmentForm(**PLATE))

    ws = open_workspace(site / "site.yaml")
    activity = ws.catalogue.activity(ws.current("PRJ-0001/PLATE-REAL", Level.MASKS).activity)
    assert activity.hardware["kind"] == "slurm"
    assert activity.job
    assert set(activity.job.split(",")) == set(activity.hardware["slurm_job_ids"])
    assert 80 < activity.findings["objects"] < 160
