"""Opening a cluster: what a site's profile says becomes workers, and nothing of them is left afterwards."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from coldchain.cluster import Cluster, ClusterKind
from coldchain.node import installed_version
from tasks.cluster import local, slurm
from tasks.cluster.rules import check_profile, script_name
from tasks.cluster.watch import Limits
from tasks.cluster.workers import Workers

SETTINGS = {
    "distributed.deploy.lost-worker-timeout": "30s",  # a job whose worker is away for so long is cancelled, then replaced
    "distributed.comm.timeouts.connect": "15s",
    "distributed.comm.timeouts.tcp": "30s",
    "distributed.admin.large-graph-warning-threshold": "1GiB",
}
_log = logging.getLogger(__name__)


@contextmanager
def open_cluster(spec: Cluster, *, scratch: Path, name: str, tasks: int) -> Iterator[Workers]:
    """Open `min(spec.workers, tasks)` workers, check the first ones, and leave no process and no job behind.

    `scratch` is a folder that every worker must see; logs and spilled data go to its `.coldchain`. Traffic is encrypted with
    keys made for this run. Raises ConfigurationError, JobRefused (in SLURM's words) and ComputeFailed.
    """
    import dask
    import distributed  # noqa: F401  before `set`, which at its end takes away what it added: with it, distributed's defaults

    check_profile(spec, scratch)
    count, run = max(1, min(spec.workers, tasks)), f"coldchain-{script_name(name)}-{secrets.token_hex(3)}"
    with ExitStack() as stack:
        stack.enter_context(dask.config.set(SETTINGS))
        passport = stack.enter_context(_passport(scratch, run))
        workers = _start(stack, spec, scratch=scratch, run=run, count=count, passport=passport)
        workers.wait_for_first()
        yield workers


@contextmanager
def _passport(scratch: Path, run: str) -> Iterator[dict[str, str]]:
    """Leave a token in scratch for the time of the run: a worker that reads it sees the same scratch."""
    folder = scratch / ".coldchain" / "tokens"
    folder.mkdir(parents=True, exist_ok=True)
    token_file, token = folder / run, secrets.token_hex(16)
    token_file.write_text(token, encoding="ascii")
    try:
        yield {"version": installed_version(), "token_file": str(token_file), "token": token}
    finally:
        token_file.unlink(missing_ok=True)


def _start(stack: ExitStack, spec: Cluster, *, scratch: Path, run: str, count: int, passport: dict[str, str]) -> Workers:
    from distributed import Client

    jobs = None
    if spec.kind is ClusterKind.SLURM:
        jobs = stack.enter_context(slurm.start(spec, scratch=scratch, run=run, count=count))
        cluster = jobs.cluster
    else:
        cluster = stack.enter_context(local.start(spec, scratch=scratch, run=run, count=count))
    client = Client(cluster, set_as_default=False)
    stack.callback(_quietly, "close the client", lambda: client.close(timeout=5))
    limits = Limits(spec.start_timeout_s, spec.total_timeout_s, spec.max_lost_jobs)
    return Workers(spec.kind, cluster=cluster, client=client, jobs=jobs, limits=limits, passport=passport)


def _quietly(what: str, action: Callable[[], Any]) -> None:
    try:
        action()
    except Exception:  # noqa: BLE001  results are safe by now, and an error on the way out must not hide the computation's own
        _log.warning("could not %s", what, exc_info=True)
