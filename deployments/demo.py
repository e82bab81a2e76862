"""`coldchain demo`: a site of folders, two plates, and each plate's whole life."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from coldchain.errors import InputError
from coldchain.lifecycle import remaining
from coldchain.protection import release
from tasks.workspace import open_workspace

PROJECT = "PRJ-0001"
SITE = "site.yaml"
QUIET = {"PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "ERROR", "DASK_LOGGING__DISTRIBUTED": "warning", "TF_CPP_MIN_LOG_LEVEL": "3"}
"""Silences Prefect, dask and TensorFlow, which read this when they are imported; `_Lines` shows what our tasks say."""


def prepare(folder: Path) -> list[str]:
    """Write the site, its policy and the acquisitions where they are missing; returns the names of the datasets."""
    from deployments.acquisition import write_acquisitions

    folder.mkdir(parents=True, exist_ok=True)
    for name in (SITE, "policy.yaml", "site.schema.json", "policy.schema.json"):
        if not (folder / name).exists():
            with as_file(files("deployments") / "sites" / name) as source:
                _copy_whole(source, folder / name)
    os.environ["COLDCHAIN_SITE"] = str(folder / SITE)
    plates = write_acquisitions(folder / "acquisition")
    open_workspace().register()
    return [plate["dataset"].rpartition("/")[2] for plate in plates]


def _copy_whole(source: Path, target: Path) -> None:
    partial = target.with_suffix(".part")
    shutil.copyfile(source, partial)
    partial.replace(target)


def run(folder: Path, tell: Callable[[str], None]) -> list[dict[str, Any]]:
    """Run the demo in a folder; a second run finds everything done. Returns what happened, dataset by dataset."""
    os.environ |= QUIET
    tell(f"Preparing the site in {folder}")
    datasets = prepare(folder.resolve())
    waiting = [name for name in datasets if _needs(name)]
    for name in sorted(set(datasets) - set(waiting)):
        tell(f"{PROJECT}/{name}: every transition is done, nothing to do")
    started = time.monotonic()
    if waiting:
        _live(folder.resolve(), waiting, tell)
    return [{"dataset": f"{PROJECT}/{name}", "ran": name in waiting, "seconds": round(time.monotonic() - started)} for name in datasets]


def _needs(name: str) -> bool:
    from tasks.describing import dataset_state

    return bool(remaining(dataset_state(f"{PROJECT}/{name}")))


@contextmanager
def _library_lines_in(log: Path) -> Iterator[None]:
    """Send what libraries write to standard error, here and in the workers, to a file; our own errors are shown."""
    shown = os.dup(2)
    with log.open("ab") as file:
        os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(shown, 2)
        os.close(shown)


def _live(folder: Path, datasets: list[str], tell: Callable[[str], None]) -> None:
    """Run the lifecycle of each dataset on a Prefect server of the site's own."""
    from deployments.server import running_server

    tell("Starting a Prefect server on this machine (about 15 s)")
    tell(f"What libraries say goes to {folder / 'demo.log'}")
    # Services: without them nobody writes the task runs down that pictures belong to.
    with _library_lines_in(folder / "demo.log"), running_server(folder / "prefect", ui=False, services=True):
        from coldchain.forms import LifecycleForm
        from flows.lifecycle import lifecycle

        _show_lines(tell)
        for name in datasets:
            tell(f"{lifecycle(LifecycleForm(project=PROJECT, dataset=name, dry_run=False))}: done")


class _Lines(logging.Handler):
    """Passes on what tasks say, without Prefect's own lines."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__(logging.INFO)
        self.tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        """Pass a line of `tasks.running.say` on."""
        if record.funcName == "say" or record.levelno >= logging.WARNING:
            self.tell(f"  {record.getMessage()}")


def _show_lines(tell: Callable[[str], None]) -> None:
    for name in ("prefect.task_runs", "prefect.flow_runs"):
        logging.getLogger(name).addHandler(_Lines(tell))


def remove(folder: Path) -> None:
    """Throw a demo away, write-protection and all. Refuses a folder that holds no demo."""
    if not (folder / SITE).is_file() or "# The demo's site" not in (folder / SITE).read_text():
        raise InputError("this folder holds no demo", on=folder, done="nothing was removed", hint="name the demo's folder with --folder")
    release(folder)
    shutil.rmtree(folder)
