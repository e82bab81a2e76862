"""Real plates through their whole life on a site whose steps run as jobs of a real SLURM."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

import deployments
from coldchain.copies import CopyState
from coldchain.forms import LifecycleForm
from coldchain.levels import Level
from coldchain.workspace import Workspace
from tasks.show import key
from tasks.workspace import open_workspace

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.server,
    pytest.mark.long,
    pytest.mark.timeout(1200),
    pytest.mark.usefixtures("prefect_server", "slurm"),
]

ON_CPUS = {"kind": "slurm", "workers": 2, "memory": "2500MiB", "partition": "cpu", "walltime": "00:20:00"}
ON_GPUS = {**ON_CPUS, "memory": "3GiB", "partition": "gpu", "gres": "gpu:1", "steps": ["segment"], "gpu": False}
"""Jobs that get a card of SLURM's; these are links to /dev/null, so that no worker must see one."""

COMPUTED = {"segment": Level.MASKS, "measure": Level.SINGLE_CELL_PROFILES, "crop": Level.SINGLE_CELL_IMAGES}


@pytest.fixture
def ws(tmp_path: Path, shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """The demo's site with two SLURM profiles; a strip of a plate of 72 fields and a field of three channels were acquired."""
    sites = Path(deployments.__file__).with_name("sites")
    described = yaml.safe_load((sites / "site.yaml").read_text())
    described |= {"cluster": ON_CPUS, "clusters": {"gpu": ON_GPUS}}
    (tmp_path / "site.yaml").write_text(yaml.safe_dump(described))
    shutil.copy(sites / "policy.yaml", tmp_path / "policy.yaml")
    for name, folder, channels in (("STRIP", "plate_strip", {2: "GFP"}), ("HT29", "ht29", {0: "DNA", 1: "pH3", 2: "actin"})):
        acquired = shutil.copytree(shared_data / folder, tmp_path / "acquisition" / name)
        about = {"project": "PRJ-0001", "name": name, "pattern": "roche", "channels": channels}
        (acquired / "dataset.yaml").write_text(yaml.safe_dump(about))
    monkeypatch.setenv("COLDCHAIN_SITE", str(tmp_path / "site.yaml"))
    open_workspace().register()
    return open_workspace()


@pytest.mark.parametrize(("name", "channel", "fields", "nuclei"), [("HT29", "DNA", 1, (200, 450)), ("STRIP", "GFP", 72, (3000, 15000))])
def test_a_real_plate_lives_its_life_on_slurm(ws: Workspace, name: str, channel: str, fields: int, nuclei: tuple[int, int]) -> None:
    """From the acquisition folder to a release on three copies; each computed level names the jobs and the nodes that made it."""
    from flows.lifecycle import lifecycle

    lifecycle(LifecycleForm(project="PRJ-0001", dataset=name, channel=channel))

    dataset = f"PRJ-0001/{name}"
    assert {level for level in Level if ws.catalogue.artifacts(dataset, level)} == set(Level)
    for step, level in COMPUTED.items():
        activity = ws.catalogue.activity(ws.current(dataset, level).activity)
        assert (activity.name, activity.hardware["kind"]) == (step, "slurm")
        assert activity.hardware["slurm_job_ids"]
        assert {node[:3] for node in activity.hardware["nodes"]} == {"gpu" if step == "segment" else "cpu"}
    masks = ws.catalogue.activity(ws.current(dataset, Level.MASKS).activity)
    assert masks.job.split(",") == masks.hardware["slurm_job_ids"]
    assert len(masks.findings["fields"]) == fields
    assert nuclei[0] < masks.findings["objects"] < nuclei[1]
    release = ws.catalogue.copies(artifact=ws.current(dataset, Level.RELEASE).id, states=[CopyState.VERIFIED])
    assert {copy.location for copy in release} >= {"nas", "cold", "backup"}
    assert squeue() == ""
    for picture in ("fields", "masks"):
        assert picture_of(key(dataset, picture)).startswith("data:image/png;base64,")


def squeue() -> str:
    """Jobs that SLURM still has."""
    return subprocess.run(["squeue", "--noheader"], check=True, capture_output=True, text=True).stdout


def picture_of(name: str) -> str:
    """The newest picture under a key, as the Prefect UI shows it."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
    from prefect.client.schemas.sorting import ArtifactSort

    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[name])), sort=ArtifactSort.CREATED_DESC)
    assert found, f"no picture {name}"
    return str(found[0].data)
