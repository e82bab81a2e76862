"""Images: the standard form of what an instrument wrote, and their correction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coldchain.dataset import FILES, OPAQUE, Dataset
from coldchain.imaging import completeness, convert, correct
from coldchain.imaging.conventions import Convention, find_convention
from coldchain.imaging.convert_files import convert_files
from coldchain.levels import Level
from coldchain.making import Made, Outcome, local_folder
from tasks.making import Job, Order, Recipe, follow, plain
from tasks.running import progress, say, work
from tasks.workspace import open_workspace


def _standardise(job: Job) -> Outcome:
    pattern, name = job.parameters["pattern"], job.dataset.partition("/")[2]
    raw, target, told = str(job.inputs[Level.RAW]), str(job.target), progress(f"OME-Zarr of {job.dataset}")
    if pattern == FILES:
        return Outcome(plain(convert_files(raw, target, name=name, progress=told)))
    channels = {int(number): channel for number, channel in job.parameters["channels"].items()}
    given = {"channels": channels, "pixel_size_um": job.parameters["pixel_size_um"], "plate_name": name}
    return Outcome(plain(convert.convert_plate(raw, target, convention=_convention(pattern), **given, progress=told)))


def _convention(pattern: str | Mapping[str, Any]) -> Convention:
    """A built-in convention by its name, or one of the site's own as it was written down."""
    if isinstance(pattern, str):
        return find_convention(pattern, {})
    (described,) = pattern.values()
    return Convention.model_validate(described)


def _correct(job: Job) -> Outcome:
    source, told = str(job.inputs[Level.STANDARD]), progress(f"correction of {job.dataset}")
    return Outcome(plain(correct.correct_plate(source, str(job.target), progress=told)))


STANDARDISE = Recipe("standardise", Level.STANDARD, (Level.RAW,), _standardise)
CORRECT = Recipe("correct", Level.CORRECTED, (Level.STANDARD,), _correct)


@work
def standardise(dataset: str) -> Made | None:
    """Write the same pixels as OME-Zarr, on the NAS beside the raw data, each plane proved; nothing of what is opaque."""
    ws = open_workspace()
    described = ws.catalogue.dataset(dataset)
    if described.pattern == OPAQUE:
        say(f"{dataset} is kept as it is: no images are made of it")
        return None
    return follow(ws, Order(STANDARDISE, dataset, layout(described, ws.site.conventions)), at=ws.site.roles.nas)


@work
def check_images(dataset: str) -> None:
    """Look whether the OME-Zarr of a dataset is whole, by the rules that held when it was made; raises IntegrityError."""
    ws = open_workspace()
    completeness.check(local_folder(ws, ws.current(dataset, Level.STANDARD)))


@work
def correct_illumination(dataset: str) -> Made:
    """Measure each field's quality and correct the illumination of each channel."""
    return follow(open_workspace(), Order(CORRECT, dataset))


def layout(dataset: Dataset, own: Mapping[str, Convention]) -> dict[str, Any]:
    """Parameters of a conversion; a convention that an engineer may change is written down as it was."""
    pattern = {dataset.pattern: own[dataset.pattern].model_dump()} if dataset.pattern in own else dataset.pattern
    return {"pattern": pattern, "channels": dataset.channels, "pixel_size_um": dataset.pixel_size_um}
