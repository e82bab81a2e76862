"""Requests side by side, with answers in order and an end at the first error."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from tasks.stores.s3_connection import LANES

PART = 16 << 20
"""Bytes of a part of a large file; 10,000 parts are the most that a file may have, so a very large one has larger parts."""

MOST_PARTS = 10_000
AHEAD = 4
"""Parts of one file that are under way."""

Given = TypeVar("Given")
Made = TypeVar("Made")


@contextmanager
def lanes(count: int = LANES) -> Iterator[ThreadPoolExecutor]:
    """Threads that are not waited for longer than their present request takes, where the block ends with an error."""
    pool = ThreadPoolExecutor(count)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def each(work: Callable[[Given], Made], given: Iterable[Given], progress: Callable[[int, int], None] | None = None) -> list[Made]:
    """Work on each, side by side; results in order."""
    todo, made = list(given), []
    with lanes() as pool:
        for result in pool.map(work, todo):
            made.append(result)
            if progress:
                progress(len(made), len(todo))
    return made


def ordered(pool: ThreadPoolExecutor, calls: Iterable[Callable[[], Made]], ahead: int = AHEAD) -> Iterator[Made]:
    """Results of calls in their order, some of them under way; `calls` is asked for the next one only when there is room."""
    waiting: deque[Future[Made]] = deque()
    try:
        for call in calls:
            waiting.append(pool.submit(call))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for left in waiting:
            left.cancel()


def part_size(size: int) -> int:
    """Bytes of a part of a file."""
    return max(PART, -(-size // MOST_PARTS))
