"""How our tasks run under Prefect: what is tried again, what is never cached, and how progress is shown."""

from __future__ import annotations

import time
from typing import Any

from prefect import task
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from coldchain.errors import TransientError
from coldchain.files import Progress

SHOW_EVERY_S = 2.0


def only_transient(_task: Any, _run: Any, state: Any) -> bool:
    """Try again after a TransientError, and after nothing else."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, TransientError)


work = task(retries=3, retry_delay_seconds=[5, 30, 120], retry_condition_fn=only_transient, cache_policy=NO_CACHE)
"""Decorate a function that has effects: never cached, and tried again where that can help."""


def say(line: str) -> None:
    """Write a line to the run's log."""
    get_run_logger().info(line)


def progress(what: str) -> Progress:
    """Show progress as a Prefect progress artifact and in the log, at most once every two seconds."""
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
