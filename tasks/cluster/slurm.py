"""Workers as SLURM jobs: dask-jobqueue, with every submission and every job's end seen by us."""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from coldchain.cluster import Cluster
from coldchain.errors import ComputeFailed, ConfigurationError
from tasks.cluster import script
from tasks.cluster.jobs import NAMES_FORMAT, SQUEUE_FORMAT, Job, merge, parse_names, parse_squeue
from tasks.cluster.local import worker_environment
from tasks.cluster.runs import RunFolder
from tasks.cluster.watched import cluster_class

COMMAND_TIMEOUT_S = 30
LOG_LINES = 8
_log = logging.getLogger(__name__)


class SlurmJobs:
    """The jobs of one cluster: what was submitted or adopted, what SLURM says of it, and the means to replace and end it."""

    def __init__(self, *, name: str, count: int, logs: Path, run: RunFolder) -> None:
        self.name, self.count, self.logs, self.run = name, count, logs, run
        self.cluster: Any = None
        self.ids: list[str] = []
        self.adopted: set[str] = set()
        self.waiting: list[str] = []  # jobs of a run that was killed, which nobody has adopted yet
        self.refusals: list[str] = []
        self.known: dict[str, Job] = {}

    def find(self) -> None:
        """Look for the jobs that this run had before it was killed: those of the same profile wait to be adopted, others are cancelled."""
        jobs = self._ours()
        mine = [id_ for id_, name in jobs.items() if name == self.name]
        self.waiting = mine[: self.count]
        self._cancel([id_ for id_ in jobs if id_ not in self.waiting])

    def adopt(self) -> str | None:
        """Return a job that waits to be adopted, as one of ours from now on; none where none is left."""
        if not self.waiting:
            return None
        job = self.waiting.pop(0)
        self.ids.append(job)
        self.adopted.add(job)
        return job

    def look(self) -> str | None:
        """Bring `known` up to date; return the controller's words if it did not answer (what was known stays)."""
        open_ids = self._open()
        if not open_ids:
            return None
        answer = _run("squeue", "--noheader", "--states=all", f"--jobs={','.join(open_ids)}", f"--format={SQUEUE_FORMAT}")
        if answer.returncode and "Invalid job id" not in answer.stderr:
            return f"squeue: {answer.stderr.strip()}"
        self.known = merge(self.known, parse_squeue(answer.stdout, open_ids))
        return None

    def replace(self, lost: frozenset[str], silent: frozenset[str]) -> None:
        """Submit a new job for each one that is lost and still counted as a worker; silent ones still run, and are cancelled first."""
        self._cancel(sorted(silent))
        self.cluster.sync(self.cluster.replace, lost | silent, self.count)

    def log_tails(self, ids: Sequence[str]) -> str | None:
        """Return the last lines of these jobs' logs that are not routine."""
        tails = [f"log of job {id_}: {tail}" for id_ in ids if (tail := self._log_tail(id_))]
        return "\n    ".join(tails) or None

    def cancel(self) -> None:
        """Cancel every job that is not known to be over, and those whose submission was cut off before we heard of them."""
        self._cancel(dict.fromkeys([*self._open(), *self._ours()]))

    def _open(self) -> list[str]:
        return [id_ for id_ in self.ids if id_ not in self.known or not self.known[id_].over]

    def _ours(self) -> dict[str, str]:
        """Names of this run's jobs by id, whatever their profile."""
        answer = _run("squeue", "--noheader", f"--user={os.getuid()}", f"--format={NAMES_FORMAT}")
        return {id_: name for id_, name in parse_names(answer.stdout).items() if name.startswith(f"{self.run.path.name}-")}

    def _cancel(self, jobs: Iterable[str]) -> None:
        ids = list(jobs)
        answer = _run("scancel", *ids) if ids else None
        if answer and answer.returncode and "Invalid job id" not in answer.stderr:
            _log.warning("jobs %s may still run, scancel said: %s", ", ".join(ids), answer.stderr.strip())

    def _log_tail(self, id_: str) -> str:
        files = sorted(self.logs.glob(f"*-{id_}.err"))
        lines = [line for file in files for line in file.read_text(encoding="utf-8", errors="replace").splitlines()]
        return "\n      ".join([line for line in lines if line.strip() and " INFO " not in line and "- INFO -" not in line][-LOG_LINES:])


@contextmanager
def start(spec: Cluster, *, home: Path, run: str, name: str, count: int, keep_s: float) -> Iterator[SlurmJobs]:
    """Have `count` worker jobs called `name`, adopted or submitted; cancel all of them at the end.

    `home` is the folder on scratch in which the run has its folder `run`. If this process is killed, the jobs wait `keep_s`
    seconds for one that opens the same run.
    """
    _check_commands()
    folder, logs = RunFolder(home / "runs" / run), home / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    folder.enter()
    jobs = SlurmJobs(name=name, count=count, logs=logs, run=folder)
    try:
        jobs.cluster = _open(jobs, spec, home=home, keep_s=keep_s)
        folder.announce(jobs.cluster.scheduler_address)
        jobs.find()
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


def _open(jobs: SlurmJobs, spec: Cluster, *, home: Path, keep_s: float) -> Any:
    try:
        return cluster_class(jobs, lambda worker: script.loop(worker, jobs.run, keep_s))(
            name=jobs.name,
            cores=1,
            processes=1,
            job_cpu=spec.cores,
            memory=spec.memory,
            walltime=spec.walltime,
            queue=spec.partition,
            account=spec.account,
            interface=spec.interface,
            python=shlex.quote(spec.python or sys.executable),
            job_name=jobs.name,
            job_extra_directives=_directives(spec),
            job_script_prologue=_prologue(spec),
            log_directory=str(jobs.logs),
            local_directory=script.DISK if spec.local_disk else str(home / "workers"),
            worker_extra_args=["--no-dashboard"],
            security=jobs.run.security(),
            scheduler_options={"dashboard": False, "dashboard_address": "127.0.0.1:0", "allowed_failures": 1, "worker_ttl": "90s"},
        )
    except (OSError, RuntimeError, TimeoutError, ValueError) as exc:
        raise ComputeFailed("the dask scheduler did not start", on=jobs.name, got=exc) from exc


def _directives(spec: Cluster) -> list[str]:
    """Options of sbatch beside those that dask-jobqueue writes; a job that SLURM starts again by itself would not be ours to watch."""
    own = [f"--{name}={value}" for name, value in (("gres", spec.gres), ("qos", spec.qos), ("constraint", spec.constraint)) if value]
    return ["--no-requeue", *own, *spec.directives]


def _prologue(spec: Cluster) -> list[str]:
    """Lines before the worker: not our import path, then the worker's variables, then the site's own lines."""
    exports = [f"export {name}={value}" for name, value in worker_environment(spec).items()]
    disk = script.local_disk(spec.local_disk) if spec.local_disk else []
    return ["unset PYTHONPATH PYTHONHOME", *exports, *spec.prologue, *disk]


def _close(jobs: SlurmJobs) -> None:
    """Have jobs wait no longer, end the scheduler, cancel what is left, and remove what only the run needed."""
    jobs.run.close()
    try:
        if jobs.cluster is not None:
            jobs.cluster.close(timeout=20)
    except Exception:  # noqa: BLE001  results are safe by now, and an error on the way out must not hide the computation's own
        _log.warning("the dask scheduler did not close in order", exc_info=True)
    finally:
        jobs.look()
        jobs.cancel()
        jobs.run.remove()


def _run(*argv: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(argv, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(argv, 124, "", f"no answer in {COMMAND_TIMEOUT_S} s")
