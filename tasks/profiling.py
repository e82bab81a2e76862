"""Profiles: measurements and images of single cells, and what they come to by well and by treatment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from coldchain.imaging import aggregate, bulk, correct, crops, embed, measure, partitions
from coldchain.imaging.features import Features
from coldchain.imaging.neighbours import DISTANCE
from coldchain.imaging.platezarr import PLATE, plate_info
from coldchain.levels import Level
from coldchain.making import Made, Outcome
from tasks.computing import compute, parts
from tasks.making import Job, Order, Recipe, follow, plain
from tasks.running import work
from tasks.workspace import open_workspace


def _measure(job: Job) -> Outcome:
    images, masks = job.inputs[Level.CORRECTED], job.inputs[Level.MASKS]
    wanted = {"features": job.parameters.get("features", Features.BASIC), "distance": job.parameters.get("distance", DISTANCE)}
    with parts(job.target) as folder:
        items = measure.prepare_measure(str(images), str(masks), str(folder), quality=str(images / correct.QUALITY), **wanted)
        fields, hardware = compute(job, "measure", measure.measure_field, items)
        target = partitions.place(job.target, partitions.CELLS, plate_info(images / PLATE).name)
        found = measure.join_tables([field["table"] for field in fields], str(target)) | {"full_scale": items[0]["white"]}
        if (embedder := job.parameters.get("embedder", embed.NONE)) == embed.NONE:
            return Outcome(plain(found), hardware=hardware)
        embedded, model, hardware = _embed(job, folder, embedder)
    return Outcome(plain(found | embedded), model, hardware)


def _embed(job: Job, folder: Path, embedder: str) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Write the vectors beside the measurements; returns what was found, by which network, on what."""
    images, masks, quality = job.inputs[Level.CORRECTED], job.inputs[Level.MASKS], job.inputs[Level.CORRECTED] / correct.QUALITY
    items = embed.prepare_embed(str(images), str(masks), str(folder), embedder=embedder, quality=str(quality))
    fields, hardware = compute(job, "embed", embed.embed_field, items)
    target = partitions.place(job.target, partitions.EMBEDDINGS, plate_info(images / PLATE).name)
    return embed.join_vectors([field["table"] for field in fields], str(target)), fields[0]["model"], hardware


def _crop(job: Job) -> Outcome:
    images, masks = job.inputs[Level.CORRECTED], job.inputs[Level.MASKS]
    with parts(job.target) as folder:
        items = crops.prepare_crops(str(images), str(masks), str(folder))
        fields, hardware = compute(job, "crop", crops.crop_field, items)
        plate = plate_info(images / PLATE)
        found = crops.join_crops([field["part"] for field in fields], str(job.target), list(plate.channels), plate.pixel_size_um)
    return Outcome(plain(found), hardware=hardware)


def _aggregate(job: Job) -> Outcome:
    images, cells = job.inputs[Level.CORRECTED], partitions.find(job.inputs[Level.SINGLE_CELL_PROFILES], partitions.CELLS)
    plate, plate_map = plate_info(images / PLATE).name, job.parameters["plate_map"] or None
    wells = partitions.place(job.target, partitions.WELLS, plate)
    vectors = partitions.tables_of(job.inputs[Level.SINGLE_CELL_PROFILES], partitions.EMBEDDINGS)
    given = {"plate_map": plate_map, "quality": str(images / correct.QUALITY), "plate": plate}
    given |= {"embeddings": str(vectors[0])} if vectors else {}
    found = plain(aggregate.bulk_profiles(str(cells), str(wells), **given))
    return Outcome(found | bulk.compare_wells(str(wells), str(job.target), plate))


MEASURE = Recipe("measure", Level.SINGLE_CELL_PROFILES, (Level.CORRECTED, Level.MASKS), _measure)
CROP = Recipe("crop", Level.SINGLE_CELL_IMAGES, (Level.CORRECTED, Level.MASKS), _crop)
AGGREGATE = Recipe("aggregate", Level.BULK_PROFILES, (Level.SINGLE_CELL_PROFILES, Level.CORRECTED), _aggregate)


@work
def measure_cells(dataset: str, features: str = Features.FULL, embedder: str = embed.EMBEDDER) -> Made:
    """Measure each nucleus, in all features or the basic ones, and embed its image where a network is named."""
    parameters = {"features": str(features), "distance": DISTANCE, "embedder": embedder, "weights": embed.weights_of(embedder)}
    return follow(open_workspace(), Order(MEASURE, dataset, parameters))


@work
def cut_cells(dataset: str) -> Made:
    """Cut an image of each nucleus, for people and for networks to look at."""
    return follow(open_workspace(), Order(CROP, dataset))


@work
def bulk_profile(dataset: str) -> Made:
    """Aggregate the cells of each well, and compare wells and treatments."""
    ws = open_workspace()
    return follow(ws, Order(AGGREGATE, dataset, {"plate_map": ws.catalogue.dataset(dataset).plate_map}))
