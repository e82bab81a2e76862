"""Workers of this host: dask's LocalCluster with one process and one dask thread a worker."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from coldchain.cluster import Cluster
from coldchain.errors import ComputeFailed

if TYPE_CHECKING:
    from distributed import LocalCluster

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)


def worker_environment(spec: Cluster) -> dict[str, str]:
    """Return the variables of a worker: threads of native code as many as its cores, no working folder on the import path."""
    return {"PYTHONSAFEPATH": "1"} | dict.fromkeys(THREAD_VARIABLES, str(spec.cores))


@contextmanager
def start(spec: Cluster, *, scratch: Path, run: str, count: int) -> Iterator[LocalCluster]:
    """Start `count` worker processes, tied to this process's life; raise ComputeFailed where they do not start."""
    from distributed import LocalCluster, Security

    with _environment(worker_environment(spec)):
        try:
            cluster = LocalCluster(
                name=run,
                n_workers=count,
                threads_per_worker=1,
                processes=True,
                memory_limit=spec.memory,
                dashboard_address=None,
                local_directory=str(scratch / ".coldchain" / "workers"),
                security=Security.temporary(),
                preload=["tasks.cluster.tether"],
                scheduler_kwargs={"allowed_failures": 1, "dashboard": False, "dashboard_address": "127.0.0.1:0"},
                silence_logs="ERROR",
            )
        except (OSError, RuntimeError, TimeoutError) as exc:
            raise ComputeFailed("local workers did not start", on=f"{count} workers", got=exc, hint="look at memory and processes") from exc
        with cluster:
            yield cluster


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables for child processes while it lasts; dask's nanny takes its children's from ours, and adds its own to them."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
