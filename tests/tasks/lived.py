"""A small plate that has lived up to bulk profiles, made by the recipes themselves, without a Prefect server and without TensorFlow."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import typer
from typer.testing import CliRunner, Result

import deployments
from coldchain import making
from coldchain.copies import Artifact
from coldchain.dataset import Project
from coldchain.files import no_progress
from coldchain.imaging import models
from coldchain.imaging.measure import read_middle
from coldchain.imaging.platezarr import PLATE, create_plate, iter_fields, plate_info, write_field, write_labels
from coldchain.levels import Level
from coldchain.making import Outcome, Step
from coldchain.protection import release
from coldchain.workspace import Workspace
from deployments import cli_reprocess
from deployments.acquisition import write_acquisitions
from tasks.describing import read_description
from tasks.imaging import layout
from tasks.making import Order, follow
from tasks.recipes import RECIPES, place
from tasks.workspace import open_workspace

DATASET = "PRJ-0001/PLATE-REAL"
WEIGHTS = models.digest_of("nuclei-small")
SEGMENTED = {"channel": "DNA", "model": "nuclei-small", "weights": WEIGHTS}


_APP = typer.Typer()
cli_reprocess.add(_APP)


@contextmanager
def living(folder: Path) -> Iterator[Workspace]:
    """The same as `live`, for as long as it is used; afterwards the folder can be removed."""
    ws = live(folder)
    yield ws
    release(folder)
    ws.catalogue.close()


def command(ws: Workspace, *words: object) -> Result:
    """Run one of the commands about what was made, in this process."""
    return CliRunner().invoke(_APP, [*map(str, words), "--site", str(ws.site.path("site.yaml"))])


def live(folder: Path) -> Workspace:
    """The demo's site in a folder, with the real plate up to bulk profiles; its masks are by a threshold, under the name of `segment`."""
    for name in ("site.yaml", "policy.yaml"):
        shutil.copy(Path(deployments.__file__).with_name("sites") / name, folder / name)
    ws = open_workspace(folder / "site.yaml")
    ws.register()
    write_acquisitions(folder / "acquisition")
    ws.catalogue.save_project(Project(id="PRJ-0001", title="Nuclei"))
    ws.catalogue.save_dataset(read_description(folder / "acquisition/PLATE-REAL/dataset.yaml", DATASET))
    making.take_in(ws, Step("ingest", DATASET, Level.RAW), folder / "acquisition/PLATE-REAL", "nas", no_progress)
    follow_by_name(ws, "standardise", layout(ws.catalogue.dataset(DATASET), {}))
    follow_by_name(ws, "correct", {})
    threshold(ws, 0)
    follow_by_name(ws, "measure", {})
    follow_by_name(ws, "aggregate", {"plate_map": ws.catalogue.dataset(DATASET).plate_map})
    return ws


def follow_by_name(ws: Workspace, name: str, parameters: dict[str, object]) -> Artifact:
    """Follow a recipe on what is current."""
    recipe = RECIPES[name]
    return follow(ws, Order(recipe, DATASET, parameters), at=place(ws, recipe)).artifact


def threshold(ws: Workspace, above: int, **parameters: object) -> Artifact:
    """Masks of what is brighter than the median by so many grey levels, under the name of `segment`."""
    from skimage.measure import label

    def work(inputs: list[Path], target: Path) -> Outcome:
        source, counts = inputs[0] / PLATE, []
        info = plate_info(source)
        create_plate(target / PLATE, name=info.name, wells=info.wells, fields=info.fields, channels=["DNA"], pixel_size_um=None)
        for ref in iter_fields(source):
            plane = read_middle(source, ref.well, ref.field, info.channels.index("DNA"))
            labels = np.asarray(label(plane > np.percentile(plane, 85) + above), np.int32)
            shape = (plane.shape[0], plane.shape[1])
            write_field(
                target / PLATE, ref.well, ref.field, [(0, plane)], channels=["DNA"], dtype=plane.dtype, shape=shape, pixel_size_um=None
            )
            write_labels(target / PLATE, ref.well, ref.field, "nuclei", labels, pixel_size_um=None)
            counts.append({"well": ref.well, "field": ref.field, "objects": int(labels.max())})
        found = {"fields": counts, "objects": sum(each["objects"] for each in counts)}
        return Outcome(found, {"name": "nuclei-small", "digest": WEIGHTS})

    step = Step("segment", DATASET, Level.MASKS, (ws.current(DATASET, Level.CORRECTED),), {**SEGMENTED, **parameters})
    return making.make(ws, step, work).artifact
