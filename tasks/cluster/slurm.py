"""Workers as SLURM jobs: dask-jobqueue, with every submission and every job's end seen by us."""

from __future__ import annotations

import itertools
import logging
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from coldchain.cluster import Cluster
from coldchain.errors import ComputeFailed, ConfigurationError
from tasks.cluster.jobs import SQUEUE_FORMAT, Job, merge, parse_squeue
from tasks.cluster.local import worker_environment

COMMAND_TIMEOUT_S = 30
LOG_LINES = 8
_log = logging.getLogger(__name__)


class SlurmJobs:
    """The jobs of one cluster: what was submitted, what SLURM says of it, and the means to replace and end it."""

    def __init__(self, *, count: int, logs: Path) -> None:
        self.count, self.logs = count, logs
        self.cluster: Any = None
        self.ids: list[str] = []
        self.refusals: list[str] = []
        self.known: dict[str, Job] = {}

    def look(self) -> str | None:
        """Bring `known` up to date; return the controller's words if it did not answer (what was known stays)."""
        open_ids = [id_ for id_ in self.ids if id_ not in self.known or not self.known[id_].over]
        if not open_ids:
            return None
        answer = _run("squeue", "--noheader", "--states=all", f"--jobs={','.join(open_ids)}", f"--format={SQUEUE_FORMAT}")
        if answer.returncode and "Invalid job id" not in answer.stderr:
            return f"squeue: {answer.stderr.strip()}"
        self.known = merge(self.known, parse_squeue(answer.stdout, open_ids))
        return None

    def replace(self, lost: frozenset[str]) -> None:
        """Submit a new job, under a new name, for each one that is lost and still counted as a worker."""
        self.cluster.sync(self.cluster.replace, lost, self.count)

    def log_tails(self, ids: Sequence[str]) -> str | None:
        """Return the last lines of these jobs' logs that are not routine."""
        tails = [f"log of job {id_}: {tail}" for id_ in ids if (tail := self._log_tail(id_))]
        return "\n    ".join(tails) or None

    def cancel(self) -> None:
        """Cancel every job that is not known to be over."""
        ids = [id_ for id_ in self.ids if id_ not in self.known or not self.known[id_].over]
        answer = _run("scancel", *ids) if ids else None
        if answer and answer.returncode and "Invalid job id" not in answer.stderr:
            _log.warning("jobs %s may still run, scancel said: %s", ", ".join(ids), answer.stderr.strip())

    def _log_tail(self, id_: str) -> str:
        files = sorted(self.logs.glob(f"*-{id_}.err"))
        lines = [line for file in files for line in file.read_text(encoding="utf-8", errors="replace").splitlines()]
        return "\n      ".join([line for line in lines if line.strip() and " INFO " not in line and "- INFO -" not in line][-LOG_LINES:])


@contextmanager
def start(spec: Cluster, *, scratch: Path, run: str, count: int) -> Iterator[SlurmJobs]:
    """Submit `count` worker jobs named after `run`, and cancel all of them at the end."""
    _check_commands()
    home = scratch / ".coldchain"
    logs = home / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    jobs = SlurmJobs(count=count, logs=logs)
    with tempfile.TemporaryDirectory(prefix="keys-", dir=home) as keys:  # 0700: whoever reads them can command our workers
        jobs.cluster = _open(jobs, spec, home=home, run=run, keys=keys)
        try:
            jobs.cluster.scale(jobs=count)
            yield jobs
        finally:
            _close(jobs)


def _check_commands() -> None:
    missing = [name for name in ("sbatch", "squeue", "scancel") if shutil.which(name) is None]
    if missing:
        raise ConfigurationError(
            "SLURM's commands are not here", on=", ".join(missing), hint="run where SLURM is installed, or set `kind: local`"
        )


def _open(jobs: SlurmJobs, spec: Cluster, *, home: Path, run: str, keys: str) -> Any:
    try:
        return _cluster_class(jobs)(
            name=run,
            cores=1,
            processes=1,
            job_cpu=spec.cores,
            memory=spec.memory,
            walltime=spec.walltime,
            queue=spec.partition,
            account=spec.account,
            python=spec.python or sys.executable,
            job_name=run,
            job_extra_directives=["--no-requeue", *([f"--gres={spec.gres}"] if spec.gres else [])],
            job_script_prologue=_prologue(spec),
            log_directory=str(jobs.logs),
            local_directory=str(home / "workers"),
            worker_extra_args=["--no-dashboard"],
            security=_security(Path(keys)),
            scheduler_options={"dashboard": False, "dashboard_address": "127.0.0.1:0", "allowed_failures": 1, "worker_ttl": "90s"},
        )
    except (OSError, RuntimeError, TimeoutError) as exc:
        raise ComputeFailed("the dask scheduler did not start", on=run, got=exc) from exc


def _security(keys: Path) -> Any:
    """Make keys and certificates for this run, as files that the workers read; nothing unencrypted is answered."""
    from distributed import Security

    made = Security.temporary()
    names = ["tls_ca_file", *(f"tls_{role}_{part}" for role in ("client", "scheduler", "worker") for part in ("cert", "key"))]
    for name in names:
        (keys / name).write_text(getattr(made, name), encoding="ascii")
    return Security(require_encryption=True, **{name: str(keys / name) for name in names})


def _prologue(spec: Cluster) -> list[str]:
    """Lines before the worker: not our import path, then the worker's variables, then the site's own lines."""
    exports = [f"export {name}={value}" for name, value in worker_environment(spec).items()]
    return ["unset PYTHONPATH PYTHONHOME", *exports, *spec.prologue]


def _cluster_class(jobs: SlurmJobs) -> Any:
    """Make the SLURMCluster that reports to `jobs`: submissions, refusals, and workers under ever new names."""
    from dask_jobqueue import SLURMCluster
    from dask_jobqueue.slurm import SLURMJob
    from distributed.core import Status

    numbers = itertools.count()

    class WatchedJob(SLURMJob):
        async def _submit_job(self, script_filename: str) -> str:
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
            return f"{self._name}-{next(numbers)}"

        async def replace(self, lost: frozenset[str], count: int) -> None:
            """Forget lost workers (under an old name dask would cancel the replacement) and submit new ones."""
            for name in [name for name, job in self.workers.items() if job.job_id in lost]:
                self.workers.pop(name).status = Status.closed
                self.worker_spec.pop(name, None)
            for name in set(self.worker_spec) - set(self.workers):  # given up by dask's own timer
                self.worker_spec.pop(name)
            self.scale(jobs=count)

    return WatchedCluster


def _close(jobs: SlurmJobs) -> None:
    try:
        jobs.cluster.close(timeout=20)
    except Exception:  # noqa: BLE001  results are safe by now, and an error on the way out must not hide the computation's own
        _log.warning("the dask scheduler did not close in order", exc_info=True)
    finally:
        jobs.look()
        jobs.cancel()


def _run(*argv: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(argv, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(argv, 124, "", f"no answer in {COMMAND_TIMEOUT_S} s")
