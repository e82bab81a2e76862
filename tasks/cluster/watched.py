"""dask-jobqueue's cluster, with a job script of ours and every submission reported."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tasks.cluster import script

if TYPE_CHECKING:
    from tasks.cluster.slurm import SlurmJobs


def cluster_class(jobs: SlurmJobs, loop: Callable[[str], str]) -> Any:
    """Make the SLURMCluster that reports to `jobs`: submissions, adoptions, refusals; its jobs run a worker within `loop`.

    A worker is called after its SLURM job, so that a job that is adopted needs no other name.
    """
    from dask_jobqueue import SLURMCluster
    from dask_jobqueue.slurm import SLURMJob
    from distributed.core import Status

    numbers = itertools.count()

    class WatchedJob(SLURMJob):
        def __init__(self, scheduler: str | None = None, name: str | None = None, **given: Any) -> None:  # noqa: ARG002  the loop reads it
            super().__init__(scheduler=script.ADDRESS, name=f"{jobs.name}{script.NAME}", **given)
            self.name = name
            self._command_template = loop(self._command_template)

        async def _submit_job(self, script_filename: str) -> str:
            if adopted := jobs.adopt():
                return adopted
            try:
                out: str = await super()._submit_job(script_filename)
            except (RuntimeError, OSError) as exc:
                self.status = Status.failed
                jobs.refusals.append(str(exc).split("stderr:")[-1].strip())
                raise
            jobs.ids.append(self._job_id_from_submit_output(out))
            return out

        async def close(self) -> None:
            await super().close()
            self.status = Status.closed  # dask-jobqueue leaves it running, on which SpecCluster.close fails

    class WatchedCluster(SLURMCluster):
        job_cls = WatchedJob

        def _new_worker_name(self, worker_number: int) -> str:  # noqa: ARG002  dask's number is one that a lost worker may have had
            return f"{self._name}-worker{next(numbers)}"  # never a worker's own name: dask would close another job when that worker goes

        async def replace(self, lost: frozenset[str], count: int) -> None:
            """Forget lost workers (under an old name dask would cancel the replacement) and submit new ones."""
            for name in [name for name, job in self.workers.items() if job.job_id in lost]:
                self.workers.pop(name).status = Status.closed
                self.worker_spec.pop(name, None)
            for name in set(self.worker_spec) - set(self.workers):  # given up by dask's own timer
                self.worker_spec.pop(name)
            self.scale(jobs=count)

    return WatchedCluster
