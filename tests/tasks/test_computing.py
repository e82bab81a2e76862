"""Computing items for a step: on the profile that the site gives it, and each item once."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect import flow

import deployments
from coldchain.errors import PermanentError
from coldchain.finished import forget, note_of
from coldchain.node import Kernel
from coldchain.testing import kernels
from tasks.computing import compute, parts
from tasks.making import Job
from tasks.workspace import open_workspace

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect_server")]

Computed = tuple[list[dict[str, Any]], dict[str, Any]]


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    """The work of a step on the demo's site, which has a profile of its own for segmentation."""
    sites = Path(deployments.__file__).with_name("sites")
    described = yaml.safe_load((sites / "site.yaml").read_text())
    described["cluster"] = {"workers": 1}
    described["clusters"] = {"large": {"steps": ["segment"], "workers": 1, "cores": 3, "scratch": str(tmp_path / "shared")}}
    (tmp_path / "site.yaml").write_text(yaml.safe_dump(described))
    shutil.copy(sites / "policy.yaml", tmp_path / "policy.yaml")
    monkeypatch.setenv("COLDCHAIN_SITE", str(tmp_path / "site.yaml"))
    for name in ("shared", "marks"):
        (tmp_path / name).mkdir()
    ws = open_workspace()
    ws.register()
    target = ws.store("scratch").local(".coldchain/staging/0123456789abcdef")
    target.mkdir(parents=True)
    return Job(ws, "PRJ-0001/PLATE-A", {}, {}, target)


def computed(job: Job, step: str, kernel: Kernel, items: list[dict[str, Any]]) -> Computed:
    """Compute within a flow, as tasks do."""
    found: list[Computed] = []
    flow(lambda: found.append(compute(job, step, kernel, items)), name="computing")()
    return found[0]


def items_of(job: Job, tmp_path: Path, count: int) -> list[dict[str, Any]]:
    """Items that write a file each and leave a mark for each execution."""
    return [{"number": n, "target": str(job.target / f"{n}.bin"), "marks": str(tmp_path / "marks")} for n in range(count)]


def test_a_step_is_computed_on_its_own_profile(job: Job, tmp_path: Path) -> None:
    """Threads are those of the profile that names the step, and the token stands where it says; other steps use the default."""
    asked = [{"variables": ["OMP_NUM_THREADS"]}]
    threads = {step: computed(job, step, kernels.where, asked)[0][0]["variables"]["OMP_NUM_THREADS"] for step in ("segment", "measure")}
    assert threads == {"segment": "3", "measure": "1"}
    assert (tmp_path / "shared" / ".coldchain" / "tokens").is_dir()


def test_what_was_finished_is_not_computed_again(job: Job, tmp_path: Path) -> None:
    """A run whose last item fails is gone on with; a third one finds everything finished, and opens no worker."""
    items = items_of(job, tmp_path, 4)
    spoilt = [*items[:3], {**items[3], "marks": str(tmp_path / "no such folder")}]
    with pytest.raises(FileNotFoundError):
        computed(job, "measure", kernels.write, spoilt)
    finished = len(note_of(job.target).read_text().splitlines()) - 2  # the header and the hardware
    assert finished >= 1
    results, hardware = computed(job, "measure", kernels.write, items)
    assert [result["number"] for result in results] == [0, 1, 2, 3]
    assert [len(list((tmp_path / "marks").glob(f"{n}-*"))) for n in range(4)] == [1, 1, 1, 1]
    assert len(hardware["workers"]) >= 1
    again = computed(job, "measure", kernels.write, items)
    assert again[0] == results
    assert again[1]["workers"] == hardware["workers"]
    assert len(list((tmp_path / "marks").iterdir())) == 4


def test_a_harmed_file_is_written_again(job: Job, tmp_path: Path) -> None:
    """Between the runs somebody removed one file and changed another: these two are computed again."""
    items = items_of(job, tmp_path, 3)
    computed(job, "measure", kernels.write, items)
    (job.target / "0.bin").unlink()
    (job.target / "2.bin").write_text("item 3")
    computed(job, "measure", kernels.write, items)
    assert [len(list((tmp_path / "marks").glob(f"{n}-*"))) for n in range(3)] == [2, 1, 2]
    assert (job.target / "2.bin").read_text() == "item 2"


def test_parts_stand_until_the_step_is_recorded(job: Job, tmp_path: Path) -> None:
    """Parts of a run that noted finished items are kept, whatever ended it; without such a note they begin empty."""
    with suppress(PermanentError), parts(job.target) as folder:
        (folder / "A01_1.parquet").touch()
        computed(job, "measure", kernels.write, items_of(job, tmp_path, 1))
        raise PermanentError("cut off")
    with parts(job.target) as folder:
        assert [path.name for path in folder.iterdir()] == ["A01_1.parquet"]
    forget(job.target)
    assert not folder.exists()
    folder.mkdir()
    (folder / "old").touch()
    with parts(job.target) as folder:
        assert list(folder.iterdir()) == []
