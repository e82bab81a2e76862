"""Open workers: hand items to them, take results as they come, and watch that somebody is still at work."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from coldchain import node
from coldchain.cluster import ClusterKind
from coldchain.errors import ColdchainError
from tasks.cluster import preflight
from tasks.cluster.harvest import DiedTwice, Harvest
from tasks.cluster.roll import Roll
from tasks.cluster.rules import check_items, check_kernel
from tasks.cluster.slurm import SlurmJobs
from tasks.cluster.watch import GiveUp, Limits, Replace, Sight, decide, killed, pause

Progress = Callable[[int, int], None]
Keep = Callable[[dict[int, dict[str, Any]]], None]


class Workers:
    """Workers of one open cluster; `open_cluster` makes it."""

    def __init__(
        self, kind: ClusterKind, *, cluster: Any, client: Any, jobs: SlurmJobs | None, limits: Limits, passport: dict[str, str]
    ) -> None:
        self.kind = kind
        self._cluster, self._client, self._jobs, self._limits, self._passport = cluster, client, jobs, limits, passport
        self._opened = self._worker_seen = self._next_look = time.monotonic()
        self._machines: dict[str, dict[str, Any]] = {}
        self._roll = Roll(jobs) if jobs else None

    def map(
        self, kernel: node.Kernel, items: Sequence[dict[str, Any]], *, progress: Progress | None = None, keep: Keep | None = None
    ) -> list[dict[str, Any]]:
        """Run `kernel` on every item and return its results in the order of `items`.

        `progress(done, total)` is called whenever results have come, and before it `keep` with what `node.call` answered, by the
        index of its item, the files that were written read back. Raises InputError for a kernel that is not of coldchain or
        an item that is not plain; the kernel's own error as it is; ComputeFailed where workers are lost or time is over.
        """
        check_kernel(kernel)
        check_items(items)
        submit = partial(self._submit, kernel, noted=keep is not None)
        harvest = Harvest(self._client, submit(items))
        try:
            while harvest.waiting:
                self._watch()
                if taken := self._take(harvest, items, submit):
                    if keep:
                        keep({index: harvest.results[index] for index in taken})
                    if progress:
                        progress(len(harvest.results), len(items))
        finally:
            harvest.cancel()
        return [answer["result"] for answer in harvest.in_order()]

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

    def _submit(self, kernel: node.Kernel, items: Sequence[dict[str, Any]], *, noted: bool) -> list[Any]:
        count = len(items)
        told = ([self._passport] * count, [noted] * count)
        futures: list[Any] = self._client.map(node.call, [kernel] * count, items, *told, key=kernel.__name__, pure=False)
        return futures

    def _take(
        self, harvest: Harvest, items: Sequence[dict[str, Any]], submit: Callable[[Sequence[dict[str, Any]]], list[Any]]
    ) -> list[int]:
        """Take results; an item that lost two workers with their jobs, through no fault of its own, is submitted again."""
        try:
            taken = harvest.take(self._pause())
        except DiedTwice as exc:
            if self._roll is None or not self._roll.blameless(exc.worker):
                raise self._error(killed(items[exc.index], self._look())) from exc
            harvest.again(exc.index, submit([items[exc.index]])[0])
            return []
        if self._roll:
            self._roll.count(harvest.results[index]["job"] for index in taken)
        return taken

    def _watch(self) -> None:
        """Look at the cluster if it is time to, and do what is decided."""
        if time.monotonic() < self._next_look:
            return
        decision = decide(self._look(), self._limits)
        if isinstance(decision, GiveUp):
            raise self._error(decision)
        if isinstance(decision, Replace) and self._roll:
            self._roll.replace(decision)
        self._next_look = time.monotonic() + pause(time.monotonic() - self._opened)

    def _pause(self) -> float:
        return max(0.05, self._next_look - time.monotonic())

    def _look(self) -> Sight:
        now, workers = time.monotonic(), list(self._cluster.scheduler.workers.values())
        if workers:
            self._worker_seen = now
        seen = Sight(now - self._opened, len(workers), self._worker_seen - self._opened, gone=self._gone())
        return self._roll.call(seen, {str(worker.name): bool(worker.processing) for worker in workers}) if self._roll else seen

    def _gone(self) -> str | None:
        """Return what is not there any more and cannot be done without: the scheduler of this process, or this run's scratch."""
        if self._cluster.scheduler.status.name != "running":
            return "the dask scheduler of this process is not running any more"
        token_file = Path(self._passport["token_file"])
        if node.read_token(token_file) != self._passport["token"]:
            return f"scratch does not hold this run's token any more: {token_file}"
        return None

    def _error(self, why: GiveUp) -> ColdchainError:
        tails = self._jobs.log_tails(why.jobs) if self._jobs else None
        done = "all workers are ended; what was finished and noted is not computed again" + (f"\n    {tails}" if tails else "")
        return why.error(why.what, on=self._cluster.name, expected=why.expected, got=why.got, done=done, hint=why.hint)

    def _addresses(self) -> list[str]:
        return list(self._cluster.scheduler.workers)
