"""The roll of a run's SLURM jobs: which have a worker, which finished items, and which are gone."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace

from tasks.cluster.jobs import Job, worker_job
from tasks.cluster.slurm import SlurmJobs
from tasks.cluster.watch import Replace, Sight, blameless

SETTLED_WITHIN_S = 15.0


class Roll:
    """What is known of each job beside SLURM's own words."""

    def __init__(self, jobs: SlurmJobs) -> None:
        self._jobs = jobs
        self._alone: dict[str, float] = {}
        self._joined: set[str] = set()
        self._worked: set[str] = set()
        self._silenced: set[str] = set()
        self._finished: Counter[str] = Counter()

    def call(self, seen: Sight, workers: Mapping[str, bool]) -> Sight:
        """Look at the jobs; return what was seen, with all that is known of them. Workers by name: whether each has work now."""
        unanswered, present = self._jobs.look(), {worker_job(name) for name in workers}
        self._worked |= {worker_job(name) for name, busy in workers.items() if busy}
        running = {id_ for id_, job in self._jobs.known.items() if job.state == "RUNNING"}
        self._joined |= present
        self._alone = {id_: self._alone.get(id_, seen.now) for id_ in running - present}
        with suppress(OSError):  # scratch is gone: its token is looked at too, and the error says so
            self._jobs.run.touch()
        return replace(
            seen,
            jobs=dict(self._jobs.known),
            refusals=tuple(self._jobs.refusals),
            unanswered=unanswered,
            alone={id_: seen.now - since for id_, since in self._alone.items()},
            joined=frozenset(self._joined),
            silenced=frozenset(self._silenced),
            finished=dict(self._finished + Counter(self._jobs.adopted | (self._joined - self._worked))),
        )

    def count(self, jobs: Iterable[str]) -> None:
        """Note the jobs that finished an item."""
        self._finished.update(jobs)

    def replace(self, decision: Replace) -> None:
        """Have lost jobs replaced."""
        self._silenced |= decision.silent
        self._jobs.replace(decision.lost, decision.silent)

    def blameless(self, worker: str) -> bool:
        """Whether the job of a worker that died ended for a reason that has nothing to do with its item; SLURM may say so late."""
        id_, until = worker_job(worker), time.monotonic() + SETTLED_WITHIN_S
        while time.monotonic() < until:
            self._jobs.look()
            if (job := self._jobs.known.get(id_, Job(id_, "GONE"))).over:
                return blameless(job)
            time.sleep(1)
        return False
