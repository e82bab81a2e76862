"""Results of one map, taken from the workers as they finish: one left there is computed again when its job is lost."""

from __future__ import annotations

import queue
from collections.abc import Sequence
from concurrent.futures import CancelledError
from functools import partial
from typing import Any, NoReturn

FETCH_TIMEOUT_S = 10


class DiedTwice(Exception):
    """Two workers died at the item with this index: dask computes it no third time."""

    def __init__(self, index: int) -> None:
        super().__init__(index)
        self.index = index


class Harvest:
    """The futures of one map and the results taken so far, both by the index of their item."""

    def __init__(self, client: Any, futures: Sequence[Any]) -> None:
        self._client = client
        self._done: queue.SimpleQueue[int] = queue.SimpleQueue()
        self.waiting = dict(enumerate(futures))
        self.results: dict[int, dict[str, Any]] = {}
        self._announce(self.waiting)

    def take(self, timeout: float) -> int:
        """Wait up to `timeout` seconds for results and take all that are there; return how many.

        Raises a kernel's own error, and DiedTwice.
        """
        batch = self._drain(timeout)
        failed = next((index for index in batch if self.waiting[index].status == "error"), None)
        if failed is not None:
            _raise_error(self.waiting[failed], failed)
        found = self._fetch([self.waiting[index] for index in batch])
        if found is None:
            self._announce(batch)
            return 0
        for index, result in zip(batch, found, strict=True):
            self.results[index] = result
            del self.waiting[index]  # nobody refers to the future any more: its worker forgets the result
        return len(batch)

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
        raise DiedTwice(index) from error
    raise error.with_traceback(future.traceback())
