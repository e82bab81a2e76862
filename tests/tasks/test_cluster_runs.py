"""The folder of a run and the loop of its jobs: a worker for each scheduler, until nobody comes back. No SLURM is needed for it."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from coldchain.errors import ConfigurationError
from coldchain.node import read_token
from tasks.cluster import script
from tasks.cluster.open import _passport
from tasks.cluster.runs import KEPT_S, RunFolder


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run that has just been entered."""
    folder = RunFolder(tmp_path / "runs" / "coldchain-segment-0123456789ab")
    folder.enter()
    return folder


@pytest.fixture
def scheduler() -> Iterator[int]:
    """A port on which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def job(run: RunFolder, worker: str, *, wait_s: float = 1, first_s: float = 1) -> subprocess.Popen[str]:
    """Start a job's loop with a command in the worker's place."""
    lines = script.loop(worker, run, wait_s, first_s)
    environment = {**os.environ, "SLURM_JOB_ID": "17"}
    return subprocess.Popen(["bash", "-eu", "-c", lines], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Wait for a job's end; return its exit code and what it said."""
    with process:
        out, err = process.communicate(timeout=30)
    return process.returncode, out, err


SAYS = "echo " + script.ADDRESS


def test_a_worker_is_started_once_for_each_scheduler(run: RunFolder, scheduler: int) -> None:
    """The same scheduler is not served twice; the next one is, under the same port too; nobody coming back ends the job in order."""
    run.announce(f"tls://127.0.0.1:{scheduler}")
    process = job(run, SAYS, wait_s=6)
    time.sleep(3)
    run.announce(f"tls://127.0.0.1:{scheduler}")
    code, out, err = ended(process)
    assert (code, out.split()) == (0, [f"tls://127.0.0.1:{scheduler}"] * 2)
    assert "no scheduler answered" in err


def test_a_worker_that_fails_ends_the_job_with_its_code(run: RunFolder, scheduler: int) -> None:
    """What went wrong is SLURM's to say: the job fails, and is not tried again by itself."""
    run.announce(f"tls://127.0.0.1:{scheduler}")
    assert ended(job(run, "sh -c 'exit 7'", wait_s=20))[0] == 7


def test_a_job_ends_when_the_run_is_closed(run: RunFolder, scheduler: int) -> None:
    """An orderly end needs no scancel to reach the job."""
    run.announce(f"tls://127.0.0.1:{scheduler}")
    process = job(run, SAYS, wait_s=600)
    time.sleep(1)
    run.close()
    assert ended(process)[0] == 0


def test_a_scheduler_that_is_dead_is_not_served(run: RunFolder, scheduler: int) -> None:
    """A job that starts after its run was killed waits for the next scheduler, and ends if none comes."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    run.announce(f"tls://127.0.0.1:{port}")
    process = job(run, SAYS, first_s=8)
    time.sleep(1)
    run.announce(f"tls://127.0.0.1:{scheduler}")
    assert ended(process)[1].split() == [f"tls://127.0.0.1:{scheduler}"]
    run.address.unlink()
    assert ended(job(run, SAYS))[:2] == (0, "")


def test_a_run_folder_is_its_owners_alone(run: RunFolder, tmp_path: Path) -> None:
    """Keys are made once, in a folder that nobody else reads; a link in its place is refused."""
    assert stat.S_IMODE(run.path.stat().st_mode) == 0o700
    keys = {path.name: path.read_bytes() for path in run.path.iterdir()}
    run.security()
    made = (run.path / "tls_worker_key").read_bytes()
    run.enter()
    run.security()
    assert (run.path / "tls_worker_key").read_bytes() == made
    assert "tls_worker_key" not in keys
    (tmp_path / "runs" / "link").symlink_to(run.path)
    with pytest.raises(ConfigurationError, match="not this user's alone"):
        RunFolder(tmp_path / "runs" / "link").enter()


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
def test_a_folder_in_which_others_could_exchange_the_run_is_refused(run: RunFolder, mode: int) -> None:
    """Who may rename the folder of a run puts one with another scheduler in its place: that of all runs is this user's too."""
    assert stat.S_IMODE(run.path.parent.stat().st_mode) == 0o700
    run.path.parent.chmod(mode)
    with pytest.raises(ConfigurationError, match="others may write"):
        run.enter()
    run.path.parent.chmod(0o755)
    run.enter()


def test_folders_of_runs_are_made_for_their_owner_whatever_the_mask(tmp_path: Path) -> None:
    """A lab's umask, which lets the group write, does not hold for them."""
    before = os.umask(0)
    try:
        RunFolder(tmp_path / "runs" / "coldchain-segment-0123456789ab").enter()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "runs").stat().st_mode) == 0o700


def test_a_link_in_place_of_the_folder_of_all_runs_is_refused(run: RunFolder, tmp_path: Path) -> None:
    """It leads to where somebody else decides."""
    (tmp_path / "other").symlink_to(run.path.parent)
    with pytest.raises(ConfigurationError, match="others may write"):
        RunFolder(tmp_path / "other" / run.path.name).enter()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a folder away")
def test_the_runs_of_another_user_are_refused(run: RunFolder) -> None:
    """Another user of the same scratch may exchange everything below."""
    os.chown(run.path.parent, 4711, -1)
    with pytest.raises(ConfigurationError, match="others may write"):
        run.enter()


def test_a_token_is_never_written_through_a_link(tmp_path: Path) -> None:
    """A link that stands where a run leaves its token is replaced; what it leads to keeps its bytes."""
    (tmp_path / "tokens").mkdir()
    (tmp_path / "precious").write_text("bytes")
    (tmp_path / "tokens" / "run").symlink_to(tmp_path / "precious")
    with _passport(tmp_path, "run", gpu=False) as passport:
        assert read_token(Path(passport["token_file"])) == passport["token"]
        assert (tmp_path / "precious").read_text() == "bytes"
    assert list((tmp_path / "tokens").iterdir()) == []


def test_a_dead_address_is_dropped_when_a_run_is_entered(run: RunFolder) -> None:
    """A job must not be sent to the scheduler of the process that was killed."""
    run.announce("tls://[::1]:8786")
    assert run.address.read_text().split()[:3] == ["tls://[::1]:8786", "::1", "8786"]
    run.enter()
    assert not run.address.exists()


@pytest.mark.parametrize(("age_s", "kept"), [(KEPT_S - 60, True), (KEPT_S + 60, False)])
def test_folders_of_runs_that_did_not_come_back_go_after_a_week(run: RunFolder, tmp_path: Path, age_s: float, kept: bool) -> None:
    """Their keys are good for nothing by then."""
    at = time.time() - age_s
    for path in (run.open, run.path):
        os.utime(path, (at, at))
    RunFolder(tmp_path / "runs" / "coldchain-other-0123456789ab").enter()
    assert run.path.exists() is kept
