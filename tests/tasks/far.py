"""A site of which some places are far away, and a dataset of two files to send there: what the tests of every far engine begin with."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

import deployments
from coldchain import files, making
from coldchain.copies import Artifact, Copy
from coldchain.dataset import Dataset, Project
from coldchain.levels import Level
from coldchain.workspace import Workspace
from tasks.workspace import open_workspace

DATASET = "PRJ-0001/RUN-1"


def site_with(folder: Path, places: Mapping[str, Mapping[str, Any]]) -> Workspace:
    """Write the demo's site into a folder, with other things said of some of its locations, and open it."""
    sites = Path(deployments.__file__).with_name("sites")
    shutil.copy(sites / "policy.yaml", folder)
    said = yaml.safe_load((sites / "site.yaml").read_text())
    for place in said["locations"]:
        place.update(places.get(place["name"], {}))
    (folder / "site.yaml").write_text(yaml.safe_dump(said))
    return open_workspace(folder / "site.yaml")


def begin(ws: Workspace) -> None:
    """Register the locations, the project and the dataset."""
    ws.register()
    ws.catalogue.save_project(Project(id="PRJ-0001"))
    ws.catalogue.save_dataset(Dataset(project="PRJ-0001", name="RUN-1", pattern="opaque"))


def two_files(ws: Workspace) -> Artifact:
    """Two files, one of an odd name, taken in to the NAS."""
    folder = ws.site.path("acquisition") / "RUN-1"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.pod5").write_bytes(b"signal" * 10_000)
    (folder / "deep" / "b\n.pod5").write_bytes(b"noise" * 10_000)
    return making.take_in(ws, making.Step("ingest", DATASET, Level.RAW), folder, "nas", files.no_progress).artifact


def copy_at(ws: Workspace, artifact: Artifact, name: str) -> Copy:
    """The copy of an artifact at a location."""
    (found,) = ws.catalogue.copies(artifact=artifact.id, location=name)
    return found
