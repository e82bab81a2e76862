"""A life far away, as one process that a test may kill: raw data are taken in, a level is made, and the policy's copies go everywhere.

It takes the path of a site file, and can be run again and again: what stands is found.
"""

from __future__ import annotations

import sys
from pathlib import Path

from coldchain import making, planning, transfer
from coldchain.dataset import Dataset, Project
from coldchain.files import no_progress
from coldchain.levels import Level
from coldchain.workspace import Workspace
from tasks.workspace import open_workspace

DATASETS = ("RUN-1", "RUN-2", "RUN-3")


def main(site: Path) -> None:
    """Live it through."""
    ws = open_workspace(site)
    ws.register()
    ws.catalogue.save_project(Project(id="PRJ-0001"))
    for name in DATASETS:
        _live(ws, name)
    print("done", flush=True)


def _live(ws: Workspace, name: str) -> None:
    dataset = f"PRJ-0001/{name}"
    ws.catalogue.save_dataset(Dataset(project="PRJ-0001", name=name, pattern="opaque"))
    folder = ws.site.path(ws.site.acquisition) / name
    raw = making.take_in(ws, making.Step("ingest", dataset, Level.RAW), folder, "nas", no_progress).artifact
    print(f"{name}: taken in", flush=True)
    making.make(ws, making.Step("count", dataset, Level.STANDARD, (raw,)), _count, at="nas")
    for wish in planning.wished(ws, dataset):
        transfer.deliver(ws, ws.catalogue.artifact(wish.artifact), wish.to)
        print(f"{name}: copied to {wish.to}", flush=True)


def _count(inputs: list[Path], target: Path) -> making.Outcome:
    """Write down how large each file is."""
    for path in sorted(inputs[0].rglob("*")):
        if path.is_file():
            (target / f"{path.name}.txt").write_text(f"{path.stat().st_size}\n")
    return making.Outcome()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
