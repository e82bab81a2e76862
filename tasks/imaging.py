"""Making levels: what each step reads, where its kernels run, and what is written down of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from coldchain.dataset import Dataset
from coldchain.imaging import aggregate, convert, correct, crops, measure, models, segment
from coldchain.levels import Level
from coldchain.making import Made, Outcome, Step, make
from coldchain.node import Kernel
from coldchain.workspace import Workspace
from tasks.cluster.open import open_cluster
from tasks.cluster.workers import Workers
from tasks.running import progress, say, work
from tasks.workspace import open_workspace

CELLS = "single_cell_profiles.parquet"
BULK = "bulk_profiles.parquet"


def _step(ws: Workspace, name: str, dataset: str, makes: Level, *inputs: Level, **parameters: Any) -> Step:
    return Step(name, dataset, makes, tuple(ws.current(dataset, level) for level in inputs), parameters)


def _told(made: Made) -> Made:
    say(f"{made.artifact.label}: {'made' if made.new else 'stands already, nothing to do'}")
    return made


@work
def standardise(dataset: str) -> Made:
    """Write the same pixels as OME-Zarr, on the NAS beside the raw data, each plane proved against its native file."""
    ws = open_workspace()
    described = ws.catalogue.dataset(dataset)
    step = _step(ws, "standardise", dataset, Level.STANDARD, Level.RAW, **_layout(described))

    def run(inputs: list[Path], target: Path) -> Outcome:
        found = convert.convert_plate(
            str(inputs[0]), str(target), **_layout(described), plate_name=described.name, progress=progress(f"OME-Zarr of {dataset}")
        )
        return Outcome(findings=_plain(found))

    return _told(make(ws, step, run, at=ws.site.roles.nas))


def _layout(dataset: Dataset) -> dict[str, Any]:
    return {"pattern": dataset.pattern, "channels": dataset.channels, "pixel_size_um": dataset.pixel_size_um}


@work
def correct_illumination(dataset: str) -> Made:
    """Measure each field's quality and correct the illumination of each channel."""
    ws = open_workspace()
    step = _step(ws, "correct", dataset, Level.CORRECTED, Level.STANDARD)

    def run(inputs: list[Path], target: Path) -> Outcome:
        return Outcome(findings=_plain(correct.correct_plate(str(inputs[0]), str(target), progress=progress(f"correction of {dataset}"))))

    return _told(make(ws, step, run))


@work
def segment_nuclei(dataset: str, channel: str, model: str) -> Made:
    """Outline the nuclei of each field with StarDist, on the site's workers."""
    ws = open_workspace()
    step = _step(ws, "segment", dataset, Level.MASKS, Level.CORRECTED, channel=channel, model=model, weights=models.digest_of(model))

    def run(inputs: list[Path], target: Path) -> Outcome:
        items = segment.prepare_masks(str(inputs[0]), str(target), channel=channel, model=model)
        fields, hardware = _map(ws, "segment", segment.segment_field, items, f"segmentation of {dataset}")
        used = {"name": model, "digest": fields[0]["digest"], "device": sorted({field["device"] for field in fields})}
        counts = [{"well": field["well"], "field": field["field"], "objects": field["objects"]} for field in fields]
        return Outcome(
            {"fields": counts, "objects": sum(field["objects"] for field in fields)}, used, hardware, ",".join(hardware["slurm_job_ids"])
        )

    return _told(make(ws, step, run))


@work
def measure_cells(dataset: str) -> Made:
    """Measure each nucleus: shape, place, and intensity in each channel."""
    ws = open_workspace()
    step = _step(ws, "measure", dataset, Level.SINGLE_CELL_PROFILES, Level.CORRECTED, Level.MASKS)

    def run(inputs: list[Path], target: Path) -> Outcome:
        with _parts(target) as parts:
            items = measure.prepare_measure(str(inputs[0]), str(inputs[1]), str(parts), quality=str(inputs[0] / correct.QUALITY))
            fields, hardware = _map(ws, "measure", measure.measure_field, items, f"measurements of {dataset}")
            found = measure.join_tables([field["table"] for field in fields], str(target / CELLS))
        return Outcome(findings=_plain(found), hardware=hardware)

    return _told(make(ws, step, run))


@work
def cut_cells(dataset: str) -> Made:
    """Cut an image of each nucleus, for people and for networks to look at."""
    ws = open_workspace()
    step = _step(ws, "crop", dataset, Level.SINGLE_CELL_IMAGES, Level.CORRECTED, Level.MASKS)

    def run(inputs: list[Path], target: Path) -> Outcome:
        channels = list(ws.catalogue.dataset(dataset).channels.values())
        with _parts(target) as parts:
            items = crops.prepare_crops(str(inputs[0]), str(inputs[1]), str(parts))
            fields, hardware = _map(ws, "crop", crops.crop_field, items, f"cell images of {dataset}")
            found = crops.join_crops([field["part"] for field in fields], str(target), channels)
        return Outcome(findings=_plain(found), hardware=hardware)

    return _told(make(ws, step, run))


@work
def bulk_profile(dataset: str) -> Made:
    """Aggregate the cells of each well."""
    ws = open_workspace()
    described = ws.catalogue.dataset(dataset)
    step = _step(ws, "aggregate", dataset, Level.BULK_PROFILES, Level.SINGLE_CELL_PROFILES, Level.CORRECTED, plate_map=described.plate_map)

    def run(inputs: list[Path], target: Path) -> Outcome:
        found = aggregate.bulk_profiles(
            str(inputs[0] / CELLS), str(target / BULK), plate_map=described.plate_map or None, quality=str(inputs[1] / correct.QUALITY)
        )
        return Outcome(findings=_plain(found))

    return _told(make(ws, step, run))


def _map(ws: Workspace, name: str, kernel: Kernel, items: list[dict[str, Any]], what: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Run a kernel on the site's workers; returns its results and what they ran on."""
    with _workers(ws, name, len(items)) as workers:
        return workers.map(kernel, items, progress=progress(what)), workers.hardware()


@contextmanager
def _workers(ws: Workspace, name: str, count: int) -> Iterator[Workers]:
    scratch = ws.store(ws.site.roles.scratch).local(".coldchain").parent
    with open_cluster(ws.site.cluster, scratch=scratch, name=name, tasks=count) as workers:
        yield workers


@contextmanager
def _parts(target: Path) -> Iterator[Path]:
    """Folder beside the artifact for the parts of single fields; gone afterwards."""
    parts = target.with_name(f"{target.name}-parts")
    shutil.rmtree(parts, ignore_errors=True)
    parts.mkdir(parents=True)
    try:
        yield parts
    finally:
        shutil.rmtree(parts)


def _plain(found: dict[str, Any]) -> dict[str, Any]:
    """Findings without the paths of staging folders, which mean nothing afterwards."""
    return {key: value for key, value in found.items() if key not in {"table", "folder", "target", "source"}}
