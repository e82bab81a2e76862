"""Opening a cluster: what a site's profile says becomes workers, and nothing of them is left afterwards."""

from __future__ import annotations

import hashlib
import logging
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from coldchain.cluster import Cluster, ClusterKind
from coldchain.files import write_durably
from coldchain.node import installed_version
from tasks.cluster import local, slurm
from tasks.cluster.rules import check_profile, script_name
from tasks.cluster.watch import Limits
from tasks.cluster.workers import Workers

SETTINGS: dict[str, object] = {
    "distributed.comm.timeouts.connect": "15s",
    "distributed.comm.timeouts.tcp": "30s",
    "distributed.admin.large-graph-warning-threshold": "1GiB",
    "distributed.worker.profile.enabled": False,  # `sys._current_frames` can stop all of Python 3.11 for ever (cpython issue 106883)
}
_log = logging.getLogger(__name__)


@contextmanager
def open_cluster(spec: Cluster, *, scratch: Path, name: str, tasks: int, run: str = "") -> Iterator[Workers]:
    """Open `min(spec.workers, tasks)` workers, check the first ones, and leave no process and no job behind.

    `scratch` is a folder that every worker must see, unless the profile names another; logs and spilled data go to its
    `.coldchain`. Traffic is encrypted with keys made for this run. `run` names what is computed, where a process that was killed
    may come back to it: SLURM jobs of the same profile and version are then adopted. Raises ConfigurationError, JobRefused (in
    SLURM's words) and ComputeFailed.
    """
    import dask
    import distributed  # noqa: F401  before `set`, which at its end takes away what it added: with it, distributed's defaults

    home = Path(spec.scratch or scratch)
    check_profile(spec, home)
    count, own = max(1, min(spec.workers, tasks)), f"coldchain-{script_name(name)}-{run[:12] or secrets.token_hex(6)}"
    with ExitStack() as stack:
        stack.enter_context(dask.config.set(SETTINGS))
        passport = stack.enter_context(_passport(home / ".coldchain", own, gpu=spec.needs_gpu))
        workers = _start(stack, spec, home=home / ".coldchain", run=own, count=count, passport=passport, comes_back=bool(run))
        workers.wait_for_first()
        yield workers


@contextmanager
def _passport(home: Path, run: str, *, gpu: bool) -> Iterator[dict[str, str]]:
    """Leave a token in scratch for the time of the run: a worker that reads it sees the same scratch."""
    token_file, token = home / "tokens" / run, secrets.token_hex(16)
    token_file.parent.mkdir(parents=True, exist_ok=True)
    write_durably(token_file, token.encode("ascii"))
    try:
        yield {"version": installed_version(), "token_file": str(token_file), "token": token, "gpu": "needed" if gpu else ""}
    finally:
        token_file.unlink(missing_ok=True)


def _start(stack: ExitStack, spec: Cluster, *, home: Path, run: str, count: int, passport: dict[str, str], comes_back: bool) -> Workers:
    from distributed import Client

    jobs = None
    if spec.kind is ClusterKind.SLURM:
        keep_s = spec.adopt_within_s if comes_back else 0
        jobs = stack.enter_context(slurm.start(spec, home=home, run=run, name=_job_name(run, spec), count=count, keep_s=keep_s))
        cluster = jobs.cluster
    else:
        cluster = stack.enter_context(local.start(spec, home=home, name=run, count=count))
    client = Client(cluster, set_as_default=False)
    stack.callback(_quietly, "close the client", lambda: client.close(timeout=5))
    limits = Limits(spec.start_timeout_s, spec.total_timeout_s, spec.max_lost_jobs, spec.resubmit)
    return Workers(spec.kind, cluster=cluster, client=client, jobs=jobs, limits=limits, passport=passport)


def _job_name(run: str, spec: Cluster) -> str:
    """Name the jobs of a run by their profile and our version too: a job of another one is not adopted."""
    said = f"{installed_version()} {sys.executable} {spec.model_dump_json()}"
    return f"{run}-{hashlib.sha256(said.encode()).hexdigest()[:8]}"


def _quietly(what: str, action: Callable[[], Any]) -> None:
    try:
        action()
    except Exception:  # noqa: BLE001  results are safe by now, and an error on the way out must not hide the computation's own
        _log.warning("could not %s", what, exc_info=True)
