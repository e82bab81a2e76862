"""How our tasks run under Prefect: what is tried again, what is never cached, and how progress is shown."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from prefect import task
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.cache_policies import NO_CACHE
from prefect.context import FlowRunContext, TaskRunContext
from prefect.logging import get_run_logger

from coldchain.errors import Incomplete, NotNow, NotReadableYet, TransientError
from coldchain.files import Progress, no_progress

SHOW_EVERY_S = 2.0

MOST = 20
"""Failures that a message names."""


def only_transient(_task: Any, _run: Any, state: Any) -> bool:
    """Try again after a TransientError, and after nothing else; what comes in some hours is not worth a worker's wait."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, TransientError) and not isinstance(error, NotReadableYet | NotNow)


work = task(retries=3, retry_delay_seconds=[5, 30, 120], retry_condition_fn=only_transient, cache_policy=NO_CACHE)
"""Decorate a function that has effects: never cached, and tried again where that can help."""


LOG = logging.getLogger("coldchain")
"""Where lines go that are said outside of a run, by the command."""


def in_run() -> bool:
    """Whether this is a Prefect run, and not the command line."""
    return TaskRunContext.get() is not None or FlowRunContext.get() is not None


def say(line: str) -> None:
    """Write a line to the run's log, or to our own outside of one."""
    (get_run_logger() if in_run() else LOG).info(line)


def progress(what: str) -> Progress:
    """Show progress as a Prefect progress artifact and in the log, at most once every two seconds; outside of a run nowhere."""
    if not in_run():
        return no_progress
    artifact = create_progress_artifact(progress=0.0, description=what)
    shown = time.monotonic()

    def show(done: int, total: int) -> None:
        nonlocal shown
        if done < total and time.monotonic() - shown < SHOW_EVERY_S:
            return
        shown = time.monotonic()
        update_progress_artifact(artifact_id=artifact, progress=100.0 * done / max(total, 1))
        if done < total:
            say(f"{what}: {done} of {total}")

    return show


@contextmanager
def turn(name: str, failed: dict[str, str]) -> Iterator[None]:
    """Give one of several its turn: an error is noted under its name and ends here, so that the others have theirs."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - whatever is wrong with one, the others have their turn; `all_done` raises
        failed[name] = str(error) or type(error).__name__
        say(f"{name}: {failed[name]}")


def all_done(what: str, failed: Mapping[str, str], done: str) -> str:
    """Say what was done; raises Incomplete where something could not be, so that the run fails and people are told."""
    if failed:
        raise Incomplete(
            what,
            on=", ".join(list(failed)[:MOST]) + (f" and {len(failed) - MOST} more" if len(failed) > MOST else ""),
            got="\n".join(f"{name}: {why}" for name, why in list(failed.items())[:MOST]),
            done=done,
            hint="mend what is named; the next run goes on from there",
        )
    return done
