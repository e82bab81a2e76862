"""The roll of a run's jobs: what is known of each beside SLURM's own words. SLURM is not asked: no job here is ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.cluster.jobs import Job
from tasks.cluster.roll import Roll
from tasks.cluster.runs import RunFolder
from tasks.cluster.slurm import SlurmJobs
from tasks.cluster.watch import Limits, Replace, Sight, decide

LIMITS = Limits(start_timeout_s=60, total_timeout_s=600, max_lost_jobs=9)


@pytest.fixture
def jobs(tmp_path: Path) -> SlurmJobs:
    """Two jobs that run."""
    run = RunFolder(tmp_path / "runs" / "coldchain-x")
    run.enter()
    known = SlurmJobs(name="coldchain-x-0", count=2, logs=tmp_path, run=run)
    known.known = {"1": Job("1", "RUNNING"), "2": Job("2", "RUNNING")}
    return known


def at(now: float) -> Sight:
    """A look at a moment."""
    return Sight(now, 1, now)


def test_a_job_is_alone_from_when_its_worker_went(jobs: SlurmJobs) -> None:
    """Time without a worker is counted anew each time it goes; a pending job has none."""
    roll = Roll(jobs)
    jobs.known["3"] = Job("3", "PENDING")
    assert roll.call(at(10), {"w-1": True}).alone == {"2": 0}
    assert roll.call(at(15), {"w-2": True}).alone == {"1": 0}
    seen = roll.call(at(40), {"w-2": True})
    assert (seen.alone, seen.joined) == ({"1": 25}, {"1", "2"})
    assert roll.call(at(41), {"w-1": True, "w-2": True}).alone == {}


def test_a_job_whose_worker_had_nothing_to_do_is_not_blamed_for_its_walltime(jobs: SlurmJobs) -> None:
    """Of two that finished nothing, the one that worked says that an item takes too long."""
    roll = Roll(jobs)
    roll.call(at(10), {"w-1": True, "w-2": False})
    jobs.known = {"1": Job("1", "TIMEOUT"), "2": Job("2", "TIMEOUT")}
    seen = roll.call(at(70), {})
    assert (seen.finished.get("1", 0), seen.finished["2"]) == (0, 1)
    roll.count(["1"])
    assert decide(roll.call(at(71), {}), LIMITS) == Replace(frozenset({"1", "2"}))


def test_an_adopted_job_may_meet_its_walltime(jobs: SlurmJobs) -> None:
    """What it finished before its run was killed is not known here: it is not blamed."""
    jobs.waiting = ["1"]
    assert (jobs.adopt(), jobs.adopt()) == ("1", None)
    jobs.ids.clear()
    jobs.known = {"1": Job("1", "TIMEOUT")}
    assert decide(Roll(jobs).call(at(70), {}), LIMITS) == Replace(frozenset({"1"}))


def test_each_look_says_that_the_run_lives(jobs: SlurmJobs) -> None:
    """A folder that is looked at is never taken for one that nobody comes back to; one that is gone stops nobody."""
    jobs.run.open.unlink()
    Roll(jobs).call(at(1), {})
    assert jobs.run.open.exists()
    jobs.run.remove()
    Roll(jobs).call(at(2), {})
