"""Workers of this host: dask's LocalCluster with one process and one dask thread a worker."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from coldchain.cluster import Cluster
from coldchain.errors import ComputeFailed
from coldchain.node import visible_cards
from tasks.cluster.cards import CARDS

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


STEADY = {
    "PYTHONSAFEPATH": "1",
    "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",
    "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),
    "MALLOC_TRIM_THRESHOLD_": str(64 * 2**20),
}
"""Variables of every worker. No working folder on the import path.

No profiler: dask's looks at all threads a hundred times a second, by what can stop all of Python 3.11 for ever (cpython issue 106883).
Memory as C programs keep it: dask has every freed array given back at once, which costs predictions 6 % in pages that are asked for anew.
"""


def worker_environment(spec: Cluster) -> dict[str, str]:
    """Return the variables of a worker: threads of native code as many as its cores, and what makes it steady."""
    return STEADY | dict.fromkeys(THREAD_VARIABLES, str(spec.cores))


@contextmanager
def start(spec: Cluster, *, home: Path, name: str, count: int) -> Iterator[LocalCluster]:
    """Start `count` worker processes, tied to this process's life, on a GPU profile each with a card of its own and no more than cards.

    Raises ComputeFailed where they do not start.
    """
    from distributed import LocalCluster, Security

    cards = visible_cards() if spec.needs_gpu else []
    count = min(count, len(cards)) if cards else count
    with _environment(worker_environment(spec) | {CARDS: ",".join(cards)}):
        try:
            cluster = LocalCluster(
                name=name,
                n_workers=count,
                threads_per_worker=1,
                processes=True,
                memory_limit=spec.memory,
                dashboard_address=None,
                local_directory=os.path.expandvars(spec.local_disk) if spec.local_disk else str(home / "workers"),
                security=Security.temporary(),
                preload=["tasks.cluster.tether", "tasks.cluster.cards"],
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
