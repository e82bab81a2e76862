"""Results of one map, taken from the workers as they finish: one left there is computed again when its job is lost."""

from __future__ import annotations

import queue
from collections.abc import Sequence
from concurrent.futures import CancelledError
from functools import partial
from typing import Any, NoReturn

FETCH_TIMEOUT_S = 10


class DiedTwice(Exception):
    """Two workers died at the item with this index, the last one of this name: dask computes it no third time."""

    def __init__(self, index: int, worker: str) -> None:
        super().__init__(index)
        self.index, self.worker = index, worker


class Harvest:
    """The futures of one map and the results taken so far, both by the index of their item."""

    def __init__(self, client: Any, futures: Sequence[Any]) -> None:
        self._client = client
        self._done: queue.SimpleQueue[int] = queue.SimpleQueue()
        self.waiting = dict(enumerate(futures))
        self.results: dict[int, dict[str, Any]] = {}
        self._announce(self.waiting)

    def take(self, timeout: float) -> list[int]:
        """Wait up to `timeout` seconds for results and take all that are there; return the indices of their items.

        Raises a kernel's own error, and DiedTwice, when the results that came with it have been taken.
        """
        came = self._drain(timeout)
        failed = [index for index in came if self.waiting[index].status == "error"]
        batch = [index for index in came if index not in failed]
        if failed and not batch:
            self._announce(failed[1:])
            _raise_error(self.waiting[failed[0]], failed[0])
        self._announce(failed)
        found = self._fetch([self.waiting[index] for index in batch])
        if found is None:
            self._announce(batch)
            return []
        for index, result in zip(batch, found, strict=True):
            self.results[index] = result
            del self.waiting[index]  # nobody refers to the future any more: its worker forgets the result
        return batch

    def again(self, index: int, future: Any) -> None:
        """Wait for another future of the same item."""
        self.waiting[index] = future
        self._announce([index])

    def cancel(self) -> None:
        """Give up what is not done."""
        self._client.cancel(list(self.waiting.values()))

    def in_order(self) -> list[dict[str, Any]]:
        """Return the results in the order of the items."""
        return [self.results[index] for index in sorted(self.results)]

    def _announce(self, indices: Sequence[int] | dict[int, Any]) -> None:
        for index in indices:
            self.waiting[index].add_done_callback(partial(_note, self._done, index))

    def _drain(self, timeout: float) -> list[int]:
        batch = []
        try:
            batch.append(self._done.get(timeout=timeout))
            while True:
                batch.append(self._done.get_nowait())
        except queue.Empty:
            return batch

    def _fetch(self, futures: list[Any]) -> list[dict[str, Any]] | None:
        """Fetch results together; None where one was lost with its worker on the way here, and is being computed again."""

        async def gather() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = await self._client.gather(futures, asynchronous=True)
            return found

        try:
            found: list[dict[str, Any]] = self._client.sync(gather, callback_timeout=FETCH_TIMEOUT_S)
        except (TimeoutError, CancelledError):
            return None
        return found


def _note(done: queue.SimpleQueue[int], index: int, _future: object) -> None:
    done.put(index)


def _raise_error(future: Any, index: int) -> NoReturn:
    from distributed.scheduler import KilledWorker

    error = future.exception()
    if isinstance(error, KilledWorker):
        raise DiedTwice(index, str(error.last_worker.name)) from error
    raise error.with_traceback(future.traceback())
