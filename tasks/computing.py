"""Computing field by field on the site's workers, and no field twice."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from coldchain import finished, node
from tasks.cluster.open import open_cluster
from tasks.making import Job
from tasks.running import progress, say


def compute(job: Job, step: str, kernel: node.Kernel, items: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Run a kernel on every item on the workers of the step's cluster profile; returns its results, in order, and what they ran on.

    What a run that was cut off had finished is not computed again, where the files it wrote (`finished.written`) stand unharmed.
    """
    note = finished.Finished(job.target)
    results = note.results(kernel.__qualname__, items)
    if results:
        say(f"{step} of {job.dataset}: {len(results)} of {len(items)} were finished before")
    if left := [index for index in range(len(items)) if index not in results]:
        found = _compute(job, step, kernel, [items[index] for index in left], note)
        results |= dict(zip(left, found, strict=True))
    return [results[index] for index in range(len(items))], finished.merge_hardware(note.hardware)


def _compute(job: Job, step: str, kernel: node.Kernel, items: list[dict[str, Any]], note: finished.Finished) -> list[dict[str, Any]]:
    scratch = job.ws.store(job.ws.site.roles.scratch).local(".coldchain").parent
    spec, run = job.ws.site.cluster_for(step), job.target.name
    with open_cluster(spec, scratch=scratch, name=step, tasks=len(items), run=run) as workers:
        note.add_hardware(workers.hardware())
        found = workers.map(
            kernel,
            items,
            progress=progress(f"{step} of {job.dataset}"),
            keep=lambda answers: note.add(kernel.__qualname__, [(items[index], answer) for index, answer in answers.items()]),
        )
        note.add_hardware(workers.hardware())
    return found


@contextmanager
def parts(target: Path) -> Iterator[Path]:
    """Folder beside the artifact for the parts of single fields; a cut-off run's parts are in it, and it goes when the step is recorded."""
    folder = finished.parts_of(target)
    if not finished.note_of(target).exists():
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    yield folder
