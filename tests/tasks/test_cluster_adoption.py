"""A process that is killed with its cluster open, on a real SLURM: the run that comes back adopts its jobs and goes on."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from coldchain.cluster import Cluster
from coldchain.errors import ConfigurationError
from coldchain.finished import note_of
from tasks.cluster import open_cluster
from tests.tasks.slurming import comes_true, command, nothing_left, our_jobs, profile

pytestmark = pytest.mark.slurm

FINGERPRINT = "0123456789abcdef"
RUN = """
import json
import sys
from pathlib import Path
from coldchain.cluster import Cluster
from coldchain.finished import Finished
from coldchain.testing import kernels
from tasks.cluster import open_cluster

if __name__ == "__main__":
    folder, spec, fingerprint = Path(sys.argv[1]), Cluster.model_validate_json(sys.argv[2]), sys.argv[3]
    note = Finished(folder / "target")
    items = json.loads((folder / "items.json").read_text())
    done = note.results("write", items)
    left = [index for index in range(len(items)) if index not in done]
    with open_cluster(spec, scratch=folder, name="segment", tasks=len(left), run=fingerprint) as workers:
        keep = lambda answers: note.add("write", [(items[left[at]], answer) for at, answer in answers.items()])
        found = workers.map(kernels.write, [items[index] for index in left], keep=keep)
        jobs = workers.hardware()["slurm_job_ids"]
    done |= dict(zip(left, found))
    print(json.dumps({"numbers": [done[index]["number"] for index in range(len(items))], "jobs": jobs}))
"""


@pytest.fixture(autouse=True)
def _clean(slurm: Path) -> Iterator[None]:
    """See after each test that no job of it is left."""
    with nothing_left():
        yield


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A scratch with ten items to compute, the script that computes them, and a folder of marks."""
    (tmp_path / "marks").mkdir()
    (tmp_path / "target").mkdir()
    items = [
        {"number": n, "seconds": 1, "target": str(tmp_path / "target" / f"{n}.bin"), "marks": str(tmp_path / "marks")} for n in range(10)
    ]
    (tmp_path / "items.json").write_text(json.dumps(items))
    (tmp_path / "run.py").write_text(RUN)
    return tmp_path


def start(folder: Path, spec: Cluster) -> subprocess.Popen[str]:
    """Start the script."""
    command_line = [sys.executable, "-P", str(folder / "run.py"), str(folder), spec.model_dump_json(), FINGERPRINT]
    return subprocess.Popen(command_line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder)


def finish(folder: Path, spec: Cluster) -> dict[str, Any]:
    """Run the script to its end; return what it printed."""
    with start(folder, spec) as process:
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    said: dict[str, Any] = json.loads(out)
    return said


def killed(folder: Path, spec: Cluster) -> list[int]:
    """Start the script and kill it when it has noted some items; return their numbers."""
    with start(folder, spec) as process:
        try:
            assert comes_true(lambda: len(noted(folder)) >= 3, within_s=60)
        finally:
            process.kill()
    return noted(folder)


def noted(folder: Path) -> list[int]:
    """Numbers of the items that stand in the note of finished ones."""
    note = note_of(folder / "target")
    lines = [json.loads(line) for line in note.read_text().splitlines() if line.endswith("}")] if note.exists() else []
    return [line["result"]["number"] for line in lines if "item" in line]


def ids() -> list[str]:
    """Ids of our jobs."""
    return sorted(line.partition("|")[0] for line in our_jobs())


def times_computed(folder: Path, number: int) -> int:
    """How often an item was computed."""
    return len(list((folder / "marks").glob(f"{number}-*")))


def test_a_run_that_comes_back_adopts_its_jobs_and_computes_nothing_twice(folder: Path) -> None:
    """After SIGKILL of the process the same jobs work on, under the same keys, and only what was not finished is computed."""
    finished = killed(folder, profile())
    jobs = ids()
    assert len(jobs) == 2
    said = finish(folder, profile())
    assert sorted(said["jobs"]) == jobs
    assert said["numbers"] == list(range(10))
    assert [times_computed(folder, number) for number in finished] == [1] * len(finished)
    assert list((folder / ".coldchain" / "runs").iterdir()) == []


def test_jobs_of_another_profile_are_not_adopted_but_cancelled(folder: Path) -> None:
    """Who raises the memory gets new jobs that have it, and the old ones do not stay."""
    killed(folder, profile())
    jobs = ids()
    with open_cluster(profile(memory="2GiB"), scratch=folder, name="segment", tasks=1, run=FINGERPRINT) as workers:
        [job] = workers.hardware()["slurm_job_ids"]
        assert job not in jobs
        assert comes_true(lambda: ids() == [job])


def test_jobs_that_are_more_than_needed_are_cancelled(folder: Path) -> None:
    """A run that comes back with one item left keeps one of its jobs."""
    killed(folder, profile())
    jobs = ids()
    with open_cluster(profile(), scratch=folder, name="segment", tasks=1, run=FINGERPRINT) as workers:
        assert workers.hardware()["slurm_job_ids"] == [jobs[0]]
        assert comes_true(lambda: ids() == [jobs[0]])


def test_jobs_of_a_run_that_never_comes_back_end_by_themselves(folder: Path) -> None:
    """They wait as long as the profile says, and then end in order: nothing of ours is needed for it."""
    killed(folder, profile(adopt_within_s=3))
    jobs = ids()
    assert len(jobs) == 2
    assert comes_true(lambda: ids() == [], within_s=30)
    assert all("COMPLETED" in command("scontrol", "show", "job", job) for job in jobs)


def test_a_run_folder_that_others_can_read_is_refused(folder: Path) -> None:
    """Its keys command our workers: one that was laid out for us, or that others read, is not used."""
    laid = folder / ".coldchain" / "runs" / f"coldchain-segment-{FINGERPRINT[:12]}"
    laid.mkdir(parents=True)
    laid.chmod(0o755)
    with (
        pytest.raises(ConfigurationError, match="not this user's alone"),
        open_cluster(profile(), scratch=folder, name="segment", tasks=1, run=FINGERPRINT),
    ):
        pytest.fail("keys in a folder that others read were used")
