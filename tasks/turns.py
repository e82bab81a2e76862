"""Turns: a location may take only so many transfers at a time, over all flows and workers; Prefect counts them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from coldchain.errors import LocationUnreachable
from coldchain.location import Location

PATIENCE_S = 6 * 3600.0


@contextmanager
def turn_at(location: Location, patience_s: float = PATIENCE_S) -> Iterator[None]:
    """Wait for a turn at a location, and hold it while the context lasts; a holder that died gives its turn back after five minutes.

    Raises:
        LocationUnreachable: no turn came within the time.
    """
    with ExitStack() as stack:
        if location.at_once is not None:
            _wait(location, location.at_once, patience_s, stack)
        yield


def _wait(location: Location, at_once: int, patience_s: float, stack: ExitStack) -> None:
    from prefect.client.orchestration import get_client
    from prefect.concurrency.sync import concurrency

    name = f"coldchain-{location.name}"
    with get_client(sync_client=True) as client:
        client.upsert_global_concurrency_limit_by_name(name, at_once)
    try:
        stack.enter_context(concurrency(name, timeout_seconds=patience_s, strict=True))
    except TimeoutError as error:
        raise LocationUnreachable(
            "no turn came at a location",
            on=location.name,
            expected=f"at most {at_once} transfers at a time, and one of them done within {patience_s:g} s",
            hint="look at what else runs; `at_once` in site.yaml is the number",
        ) from error
