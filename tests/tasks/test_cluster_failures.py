"""What befalls a computation on a real SLURM while it runs: nodes, walltime, scratch; and what national centres ask for."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from coldchain.cluster import Resubmit
from coldchain.errors import ComputeFailed
from coldchain.testing import kernels
from tasks.cluster import open_cluster
from tests.tasks.conftest import MINISLURM
from tests.tasks.slurming import comes_true, command, job_at_work, nothing_left, our_jobs, profile, slow_items

pytestmark = pytest.mark.slurm


@pytest.fixture(autouse=True)
def _clean(slurm: Path) -> Iterator[None]:
    """See after each test that no job of it is left."""
    with nothing_left():
        yield


def node_of(job: str) -> str:
    """Name of the node that a job runs on."""
    return command("squeue", "--noheader", f"--jobs={job}", "--format=%N").strip()


class Once:
    """A `progress` that does something at the first result, and never again."""

    def __init__(self, act: Any) -> None:
        self.act: Any = act

    def __call__(self, _done: int, _total: int) -> None:
        """Act, once."""
        act, self.act = self.act, None
        if act:
            act()


def resume(node: str) -> None:
    """Have a node take jobs again; one whose daemon lives comes back by itself."""
    subprocess.run(["scontrol", "update", f"nodename={node}", "state=resume"], check=False, capture_output=True, timeout=30)
    assert comes_true(lambda: command("sinfo", "--noheader", f"--nodes={node}", "--format=%t").split()[0] in {"idle", "mix", "alloc"})


def test_a_node_that_goes_down_costs_nothing_but_time(tmp_path: Path) -> None:
    """The job of a node that is set down is lost with NODE_FAIL, its items go to another, and a new job is submitted."""
    items, down = slow_items(tmp_path, 8, 1.5), []

    def act() -> None:
        down.append(node_of(job_at_work(items)))
        command("scontrol", "update", f"nodename={down[0]}", "state=down", "reason=test")

    try:
        with open_cluster(profile(resubmit=Resubmit(node=1, cancelled=0, failed=0)), scratch=tmp_path, name="down", tasks=8) as workers:
            answers = workers.map(kernels.mark_and_sleep, items, progress=Once(act))
            assert len(workers.hardware()["slurm_job_ids"]) == 3
    finally:
        resume(down[0])
    assert len(answers) == 8


@pytest.mark.long
def test_a_node_that_dies_is_noticed_and_its_job_replaced(tmp_path: Path, slurm: Path) -> None:
    """Without its daemon a node is down for SLURM in a while; the policy that allows no lost node then ends the work and names it."""
    items, dead = slow_items(tmp_path, 60, 2), []
    server = (sys.executable, str(MINISLURM))

    def act() -> None:
        dead.append(node_of(job_at_work(items)))
        command(*server, "lose", str(slurm.parents[1]), dead[0])

    try:
        with (
            pytest.raises(ComputeFailed, match=r"too many SLURM jobs were lost(?s:.*)job \d+ NODE_FAIL"),
            open_cluster(profile(resubmit=Resubmit(node=0)), scratch=tmp_path, name="dies", tasks=60) as workers,
        ):
            workers.map(kernels.mark_and_sleep, items, progress=Once(act))
    finally:
        command(*server, "return", str(slurm.parents[1]), dead[0])


@pytest.mark.long
def test_a_walltime_during_which_items_were_finished_is_a_resubmission(tmp_path: Path) -> None:
    """A computation longer than one job's walltime completes, and an item that was cut off twice by it is not blamed."""
    items = slow_items(tmp_path, 12, 15)
    with open_cluster(
        profile(walltime="00:01:00", resubmit=Resubmit(failed=0, cancelled=0)), scratch=tmp_path, name="long", tasks=12
    ) as workers:
        answers = workers.map(kernels.mark_and_sleep, items)
        jobs = workers.hardware()["slurm_job_ids"]
    assert len(answers) == 12
    assert len(jobs) >= 3


@pytest.mark.long
def test_a_job_whose_worker_does_not_come_back_is_replaced(tmp_path: Path) -> None:
    """A worker that left in order leaves a job that runs and does nothing: it is cancelled, and counts as silent, not as cancelled."""
    items = slow_items(tmp_path, 15, 3)

    def act() -> None:
        worker = int(min(Path(items[0]["marks"]).iterdir()).read_text())
        parent = re.search(r"(?m)^PPid:\s*(\d+)", Path(f"/proc/{worker}/status").read_text())
        assert parent is not None
        os.kill(int(parent[1]), signal.SIGTERM)

    allowed = Resubmit(silent=1, cancelled=0, failed=0)
    with open_cluster(profile(resubmit=allowed), scratch=tmp_path, name="silent", tasks=2, run="0123456789abcdef") as workers:
        answers = workers.map(kernels.mark_and_sleep, items, progress=Once(act))
        assert len(workers.hardware()["slurm_job_ids"]) == 3
    assert len(answers) == 15


def test_a_scratch_that_is_removed_ends_the_work(tmp_path: Path) -> None:
    """With scratch purged the error says so, and no job is left."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with (
        pytest.raises(ComputeFailed, match=r"cannot go on(?s:.*)this run's token"),
        open_cluster(profile(), scratch=scratch, name="purged", tasks=8) as workers,
    ):
        workers.map(kernels.sleep, [{"seconds": 1}] * 60, progress=Once(lambda: shutil.rmtree(scratch)))


def test_a_gpu_profile_on_nodes_without_one_is_an_error_that_names_the_node(tmp_path: Path) -> None:
    """A worker that must see a GPU and does not runs no kernel."""
    with (
        pytest.raises(ComputeFailed, match=r"shows no GPU(?s:.*)on: cpu\d"),
        open_cluster(profile(gpu=True, prologue=("export CUDA_VISIBLE_DEVICES=",), workers=1), scratch=tmp_path, name="nogpu", tasks=1),
    ):
        pytest.fail("a worker without a GPU was accepted")


def test_what_a_national_centre_asks_for_stands_in_the_job(tmp_path: Path) -> None:
    """Account, quality of service, features and more options reach SLURM; spilled data goes to the node's own disk, tokens to `scratch`."""
    scratch, disk = tmp_path / "project", tmp_path / "node"
    scratch.mkdir()
    spec = profile(
        account="nor-2026",
        qos="normal",
        constraint="cpu&ib",
        directives=("--comment=cold-chain", "--exclude=gpu1"),
        interface="lo",
        scratch=str(scratch),
        local_disk="${NODE_DISK}/spill",
        prologue=(f"export NODE_DISK={disk}",),
        workers=1,
    )
    with open_cluster(spec, scratch=tmp_path / "elsewhere", name="centre", tasks=1) as workers:
        [job] = workers.hardware()["slurm_job_ids"]
        said, script = command("scontrol", "show", "job", job), command("scontrol", "write", "batch_script", job, "-")
        assert workers.map(kernels.square, [{"number": 3}]) == [{"value": 9}]
        assert list((disk / "spill").iterdir())
    for words in ("Account=nor-2026", "Features=cpu&ib", "Comment=cold-chain", "ExcNodeList=gpu1"):
        assert words in said
    assert "#SBATCH --qos=normal\n" in script
    assert "--interface lo " in script
    assert list((scratch / ".coldchain" / "logs").iterdir())
    assert not (tmp_path / "elsewhere").exists()


def test_a_variable_that_the_node_does_not_have_is_named(tmp_path: Path) -> None:
    """Data is never spilled into the root of a disk because a variable was empty: the job ends, and its log says why."""
    spec = profile(local_disk="$NO_SUCH_DISK/spill", resubmit=Resubmit(failed=0), workers=1)
    with (
        pytest.raises(ComputeFailed, match=r"NO_SUCH_DISK: unbound variable"),
        open_cluster(spec, scratch=tmp_path, name="nodisk", tasks=1),
    ):
        pytest.fail("a worker without its disk was accepted")


def test_three_commands_of_slurms_are_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a login node that has sbatch, squeue and scancel everything works, the end of the jobs too."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sbatch", "squeue", "scancel", "bash", "env", "sleep", "timeout", "mkdir"):
        (folder / name).symlink_to(str(shutil.which(name)))
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(folder))
        assert shutil.which("scontrol") is None
        with open_cluster(profile(workers=1), scratch=tmp_path, name="three", tasks=1) as workers:
            assert workers.map(kernels.square, [{"number": 3}]) == [{"value": 9}]
    assert comes_true(lambda: our_jobs() == [])


def test_a_controller_that_is_not_there_is_said(tmp_path: Path, slurm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where SLURM's controller does not answer the submission, the error is one that is tried again."""
    conf = tmp_path / "slurm.conf"
    impatient = slurm.read_text().replace("SlurmctldTimeout=10", "SlurmctldTimeout=2").replace("MessageTimeout=10", "MessageTimeout=2")
    conf.write_text(re.sub(r"(?m)^SlurmctldPort=.*", "SlurmctldPort=1", impatient))
    shutil.copy(slurm.with_name("gres.conf"), tmp_path)
    with monkeypatch.context() as patch:
        patch.setenv("SLURM_CONF", str(conf))
        with pytest.raises(ComputeFailed, match="controller does not answer"):
            _open_in_vain(tmp_path)


def _open_in_vain(scratch: Path) -> None:
    with open_cluster(profile(workers=1), scratch=scratch, name="deaf", tasks=1):
        pytest.fail("a cluster without a controller was opened")
