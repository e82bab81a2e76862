"""Workers as jobs of a real SLURM: every way it can go wrong ends in an error in SLURM's words, and leaves no job behind."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from coldchain.errors import ComputeFailed, ConfigurationError, ImageError, JobRefused
from coldchain.testing import kernels
from tasks.cluster import open_cluster, preflight
from tests.tasks.slurming import comes_true, command, job_at_work, nothing_left, our_jobs, profile, slow_items

pytestmark = pytest.mark.slurm


@pytest.fixture(autouse=True)
def _clean(slurm: Path) -> Iterator[None]:
    """See after each test that no job of it is left."""
    with nothing_left():
        yield


def cancel_one_at_first_result(items: list[dict[str, Any]]) -> Callable[[int, int], None]:
    """Make a `progress` that, once, cancels a job which is at work on these items."""
    cancelled: list[str] = []

    def progress(_done: int, _total: int) -> None:
        if not cancelled:
            cancelled.append(job_at_work(items))
            command("scancel", cancelled[0])

    return progress


@contextmanager
def full_nodes() -> Iterator[None]:
    """Have somebody else's job take all CPU nodes."""
    job = command("sbatch", "--parsable", "--exclusive", "--nodes=2", "--output=/dev/null", "--wrap=sleep 600").strip()
    try:
        assert comes_true(lambda: "RUNNING" in command("squeue", "--noheader", f"--jobs={job}", "--format=%T"))
        yield
    finally:
        command("scancel", job)


def test_work_is_shared_by_nodes_and_its_hardware_is_known(tmp_path: Path) -> None:
    """Both nodes work, results keep their order, and job ids, nodes and threads are those of SLURM."""
    with open_cluster(profile(), scratch=tmp_path, name="PRJ-0001 plate\n1", tasks=8) as workers:
        answers = workers.map(kernels.sleep, [{"seconds": 1, "variables": ["OMP_NUM_THREADS", "PYTHONPATH"]} for _ in range(8)])
        squares = workers.map(kernels.square, [{"number": n} for n in range(100)])
        hardware = workers.hardware()
        assert any("coldchain-PRJ-0001-plate-1-" in line for line in our_jobs())
        assert "Requeue=0" in command("scontrol", "show", "job", hardware["slurm_job_ids"][0]), "SLURM may start a job twice"
        with pytest.raises(ImageError, match="truncated") as caught:
            workers.map(kernels.refuse_image, [{"name": "A01.tif"}])
    assert caught.value.on == "A01.tif"
    assert squares == [{"value": n * n} for n in range(100)]
    assert {answer["node"] for answer in answers} == {"cpu1", "cpu2"} == set(hardware["nodes"])
    assert {answer["job"] for answer in answers} == set(hardware["slurm_job_ids"])
    assert answers[0]["variables"] == {"OMP_NUM_THREADS": "2", "PYTHONPATH": None}
    assert not list((tmp_path / ".coldchain" / "runs").iterdir()), "keys that command the workers were left in scratch"


def test_a_gpu_job_sees_its_gpu_and_no_other(tmp_path: Path) -> None:
    """A profile with a gres gives the worker the one card that SLURM gave it."""
    spec = profile(partition="gpu", gres="gpu:1", workers=1)
    with open_cluster(spec, scratch=tmp_path, name="gpu", tasks=1) as workers:
        [answer] = workers.map(kernels.where, [{"variables": ["CUDA_VISIBLE_DEVICES"]}])
    assert answer["node"] == "gpu1"
    assert answer["variables"]["CUDA_VISIBLE_DEVICES"] in ("0", "1")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"partition": "nowhere"}, "invalid partition"),
        ({"gres": "gpu:9", "gpu": False}, "Requested node configuration is not available"),
        ({"memory": "900GiB"}, "Memory specification can not be satisfied"),
        ({"walltime": "99:00:00"}, "time limit"),
    ],
)
def test_what_slurm_refuses_is_an_error_in_its_words(tmp_path: Path, fields: dict[str, Any], words: str) -> None:
    """A refused job ends the opening at once with what sbatch said, and is not tried again."""
    with pytest.raises(JobRefused, match=f"(?i){words}"), open_cluster(profile(**fields), scratch=tmp_path, name="refused", tasks=2):
        pytest.fail("a refused cluster was opened")


def test_a_job_that_never_starts_is_given_up_with_slurms_reason(tmp_path: Path) -> None:
    """With all nodes taken the error names each job, its state and why it waits, and the jobs leave the queue."""
    with (
        full_nodes(),
        pytest.raises(ComputeFailed, match=r"no worker answered(?s:.*)PENDING \((Resources|Priority)\)"),
        open_cluster(profile(start_timeout_s=4), scratch=tmp_path, name="waits", tasks=2),
    ):
        pytest.fail("a cluster without workers was opened")


def test_an_environment_in_a_folder_with_blanks_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the profile names no interpreter it is ours, wherever it stands: a job script runs it by its whole path, and nothing else."""
    ours = tmp_path / "J. O'Doe; touch $HOME" / "python"
    ours.parent.mkdir()
    ours.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    ours.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(ours))
    with open_cluster(profile(workers=1, max_lost_jobs=0), scratch=tmp_path, name="blanks", tasks=1) as workers:
        assert workers.map(kernels.square, [{"number": 3}]) == [{"value": 9}]


def test_a_lost_job_is_replaced_and_the_work_completes(tmp_path: Path) -> None:
    """A job cancelled at work costs nothing but time: its items are computed again by a job under a new name."""
    items = slow_items(tmp_path, 8, 1.5)
    with open_cluster(profile(), scratch=tmp_path, name="lost", tasks=8) as workers:
        answers = workers.map(kernels.mark_and_sleep, items, progress=cancel_one_at_first_result(items))
        assert len(workers.hardware()["slurm_job_ids"]) == 3
    assert len(answers) == 8


def test_more_losses_than_allowed_end_the_work_and_name_the_job(tmp_path: Path) -> None:
    """A site that allows no loss gets an error with the job's state."""
    items = slow_items(tmp_path, 8, 1.5)
    with (
        pytest.raises(ComputeFailed, match=r"too many SLURM jobs were lost(?s:.*)job \d+ CANCELLED"),
        open_cluster(profile(max_lost_jobs=0), scratch=tmp_path, name="lost", tasks=8) as workers,
    ):
        workers.map(kernels.mark_and_sleep, items, progress=cancel_one_at_first_result(items))


def test_an_interpreter_without_dask_is_an_error_with_the_end_of_its_log(tmp_path: Path) -> None:
    """A worker that dies before it registers is noticed, and what it said last is in the error."""
    bare = environment_of(tmp_path, packages=None)
    spec = profile(python=str(bare), max_lost_jobs=0)
    with (
        pytest.raises(ComputeFailed, match=r"FAILED(?s:.*)No module named '?distributed"),
        open_cluster(spec, scratch=tmp_path, name="bare", tasks=1),
    ):
        pytest.fail("a cluster without workers was opened")


def test_an_interpreter_without_coldchain_is_an_error_that_names_the_node(tmp_path: Path) -> None:
    """A worker that registers but has no coldchain gets no kernel; the error says which node, and what to install."""
    packages = tmp_path / "packages"
    packages.mkdir()
    for entry in (entry for folder in sys.path if folder.endswith("site-packages") for entry in Path(folder).iterdir()):
        if not (packages / entry.name).exists() and not entry.name.startswith(("coldchain", "__pycache__")):
            (packages / entry.name).symlink_to(entry)
    spec = profile(python=str(environment_of(tmp_path, packages)), workers=1)
    with (
        pytest.raises(ConfigurationError, match=r"no coldchain installed(?s:.*)on: cpu\d"),
        open_cluster(spec, scratch=tmp_path, name="without", tasks=1),
    ):
        pytest.fail("a worker without coldchain was accepted")


def test_another_version_of_coldchain_is_an_error_that_names_the_node(tmp_path: Path) -> None:
    """A node whose installed version is not ours runs no kernel."""
    metadata = tmp_path / "old" / "coldchain-0.0.1.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text("Metadata-Version: 2.1\nName: coldchain\nVersion: 0.0.1\n")
    package = tmp_path / "old" / "coldchain"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "node.py").write_text("def admit(version, token_file, token):\n    return 'an older door, which knows fewer questions'\n")
    spec = profile(prologue=(f"export PYTHONPATH={tmp_path / 'old'}",), workers=1)
    with (
        pytest.raises(ConfigurationError, match=r"another version(?s:.*)on: cpu\d(?s:.*)got: 0\.0\.1"),
        open_cluster(spec, scratch=tmp_path, name="old", tasks=1),
    ):
        pytest.fail("a worker with another version was accepted")


def test_a_node_that_sees_another_scratch_is_an_error_that_names_it(tmp_path: Path) -> None:
    """A node where scratch is another, empty file system runs no kernel."""
    python = tmp_path / "python-elsewhere"
    hide = f"mount -t tmpfs none {tmp_path}/.coldchain/tokens"
    python.write_text(f'#!/bin/sh\nexec unshare --mount sh -c \'{hide} && exec "$@"\' sh {sys.executable} "$@"\n')
    python.chmod(0o755)
    with (
        pytest.raises(ComputeFailed, match=r"does not see the scratch(?s:.*)on: cpu\d"),
        open_cluster(profile(python=str(python), workers=1), scratch=tmp_path, name="elsewhere", tasks=1),
    ):
        pytest.fail("a worker with another scratch was accepted")


def test_a_node_whose_scratch_hangs_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that never comes back from its dead mount is not waited for: the error names its job."""
    monkeypatch.setattr(preflight, "ANSWER_WITHIN_S", 4.0)
    python, dead = tmp_path / "python-hangs", tmp_path / "dead"
    dead.mkdir()
    os.mkfifo(dead / "coldchain-hangs-0123456789ab")
    hide = f"mount --bind {dead} {tmp_path}/.coldchain/tokens"
    python.write_text(f'#!/bin/sh\nexec unshare --mount sh -c \'{hide} && exec "$@"\' sh {sys.executable} "$@"\n')
    python.chmod(0o755)
    with (
        pytest.raises(ComputeFailed, match=r"does not answer(?s:.*)on: coldchain-hangs-0123456789ab-[0-9a-f]+-\d+"),
        open_cluster(profile(python=str(python), workers=1), scratch=tmp_path, name="hangs", tasks=1, run="0123456789abcdef"),
    ):
        pytest.fail("a worker that does not answer was accepted")


@pytest.mark.long
def test_a_job_that_meets_its_walltime_is_an_error_that_says_so(tmp_path: Path) -> None:
    """SLURM's time limit (a minute at least) ends in an error with state TIMEOUT and the field to raise."""
    spec = profile(walltime="00:01:00", workers=1, max_lost_jobs=0)
    with (
        pytest.raises(ComputeFailed, match=r"job \d+ TIMEOUT(?s:.*)raise `walltime`"),
        open_cluster(spec, scratch=tmp_path, name="walltime", tasks=1) as workers,
    ):
        workers.map(kernels.sleep, [{"seconds": 300}])


def environment_of(tmp_path: Path, packages: Path | None) -> Path:
    """Make a virtual environment of our interpreter that has just these packages; return its interpreter."""
    folder = tmp_path / "environment"
    command(sys.executable, "-m", "venv", "--without-pip", str(folder))
    if packages:
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        (folder / "lib" / version / "site-packages" / "packages.pth").write_text(f"{packages}\n")
    return folder / "bin" / "python"
