"""Open workers: hand items to them, take results as they come, and watch that somebody is still at work."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from coldchain import node
from coldchain.cluster import ClusterKind
from coldchain.errors import ColdchainError
from tasks.cluster import preflight
from tasks.cluster.harvest import DiedTwice, Harvest
from tasks.cluster.rules import check_items, check_kernel
from tasks.cluster.slurm import SlurmJobs
from tasks.cluster.watch import GiveUp, Limits, Replace, Sight, decide, killed, pause

Progress = Callable[[int, int], None]


class Workers:
    """Workers of one open cluster; `open_cluster` makes it."""

    def __init__(
        self, kind: ClusterKind, *, cluster: Any, client: Any, jobs: SlurmJobs | None, limits: Limits, passport: dict[str, str]
    ) -> None:
        self.kind = kind
        self._cluster, self._client, self._jobs, self._limits, self._passport = cluster, client, jobs, limits, passport
        self._opened = self._worker_seen = self._next_look = time.monotonic()
        self._machines: dict[str, dict[str, Any]] = {}

    def map(self, kernel: node.Kernel, items: Sequence[dict[str, Any]], *, progress: Progress | None = None) -> list[dict[str, Any]]:
        """Run `kernel` on every item and return its results in the order of `items`.

        `progress(done, total)` is called whenever results have come. Raises InputError for a kernel that is not of coldchain or
        an item that is not plain; the kernel's own error as it is; ComputeFailed where workers are lost or time is over.
        """
        check_kernel(kernel)
        check_items(items)
        harvest = Harvest(self._client, self._submit(kernel, items))
        try:
            while harvest.waiting:
                self._watch()
                if harvest.take(self._pause()) and progress:
                    progress(len(harvest.results), len(items))
        except DiedTwice as exc:
            raise self._error(killed(items[exc.index], self._look())) from exc
        finally:
            harvest.cancel()
        return harvest.in_order()

    def hardware(self) -> dict[str, Any]:
        """Return what provenance records of the workers seen so far: machines by worker, SLURM job ids, version; plain values."""
        new = [address for address in self._addresses() if address not in self._machines]
        self._machines |= preflight.describe(self._client, new) if new else {}
        machines = sorted(self._machines.values(), key=lambda m: (m["node"], m["slurm_job_id"]))
        return {
            "kind": str(self.kind),
            "workers": machines,
            "nodes": sorted({m["node"] for m in machines}),
            "gpus": sorted({gpu for m in machines for gpu in m["gpus"]}),
            "slurm_job_ids": list(self._jobs.ids) if self._jobs else [],
            "coldchain": self._passport["version"],
        }

    def wait_for_first(self) -> None:
        """Wait until a worker has registered, then check all that have; later ones are checked at their first kernel."""
        while not self._addresses():
            self._watch()
            time.sleep(0.2)
        preflight.check(self._client, self._passport)
        self.hardware()

    def _submit(self, kernel: node.Kernel, items: Sequence[dict[str, Any]]) -> list[Any]:
        count = len(items)
        futures: list[Any] = self._client.map(node.call, [kernel] * count, items, [self._passport] * count, key=kernel.__name__, pure=False)
        return futures

    def _watch(self) -> None:
        """Look at the cluster if it is time to, and do what is decided."""
        if time.monotonic() < self._next_look:
            return
        decision = decide(self._look(), self._limits)
        if isinstance(decision, GiveUp):
            raise self._error(decision)
        if isinstance(decision, Replace) and self._jobs:
            self._jobs.replace(decision.lost)
        self._next_look = time.monotonic() + pause(time.monotonic() - self._opened)

    def _pause(self) -> float:
        return max(0.05, self._next_look - time.monotonic())

    def _look(self) -> Sight:
        now, workers = time.monotonic(), len(self._addresses())
        if workers:
            self._worker_seen = now
        elapsed, seen = now - self._opened, self._worker_seen - self._opened
        if self._jobs is None:
            return Sight(elapsed, workers, seen)
        unanswered = self._jobs.look()
        return Sight(elapsed, workers, seen, dict(self._jobs.known), tuple(self._jobs.refusals), unanswered)

    def _error(self, why: GiveUp) -> ColdchainError:
        tails = self._jobs.log_tails(why.jobs) if self._jobs else None
        done = "all workers are ended; what was computed is not kept" + (f"\n    {tails}" if tails else "")
        return why.error(why.what, on=self._cluster.name, expected=why.expected, got=why.got, done=done, hint=why.hint)

    def _addresses(self) -> list[str]:
        return list(self._cluster.scheduler.workers)
