"""Segmentation of a plate: the masks plate is laid out once, then a kernel fills it field by field on any worker."""

from __future__ import annotations

import shutil
import socket
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coldchain.errors import ImageError, InputError
from coldchain.imaging import models
from coldchain.imaging.measure import LABELS, read_middle
from coldchain.imaging.platezarr import (
    PLATE,
    PlateInfo,
    create_plate,
    field_path,
    iter_fields,
    plate_info,
    write_field,
    write_labels,
)
from coldchain.imaging.pyramid import level_shapes

PREVIEW_SIDE = 512  # px, the longest side that a masks plate's picture of its channel should have


def prepare_masks(
    source: str,
    target: str,
    *,
    channel: str,
    model: str = models.ModelName.NUCLEI_SMALL,
    model_folder: str | None = None,
    prob_threshold: float | None = None,
    nms_threshold: float | None = None,
) -> list[dict[str, Any]]:
    """Lay out the masks plate and return one plain work item a field, for :func:`segment_field`.

    Args:
        source: folder of the plate to segment, the one that holds ``plate.ome.zarr``.
        target: folder for the masks; a layout that a first run left is used again.
        channel: name of the channel to segment.
        model: a registered model.
        model_folder: holds the model's files where they are neither shipped nor to be downloaded.
        prob_threshold: from 0 to 1, how sure an object must be; the model's own where not given.
        nms_threshold: from 0 to 1, the overlap above which the less sure of two objects is dropped; the model's own where not given.

    Raises:
        InputError: no such channel; a threshold out of range; `target` holds masks of another plate or channel.
        ModelError: no such model.
    """
    plate = Path(source) / PLATE
    info = plate_info(plate)
    index = _channel_index(info, channel)
    for name, threshold in (("prob_threshold", prob_threshold), ("nms_threshold", nms_threshold)):
        _refuse_out_of_range(name, threshold)
    models.registered(model)
    _lay_out(info, Path(target) / PLATE, channel)
    common = {
        "source": str(source),
        "target": str(target),
        "channel": index,
        "model": str(model),
        "model_folder": model_folder,
        "prob_threshold": prob_threshold,
        "nms_threshold": nms_threshold,
    }
    return [{**common, "well": ref.well, "field": ref.field} for ref in iter_fields(plate)]


def _channel_index(info: PlateInfo, channel: str) -> int:
    if channel not in info.channels:
        raise InputError(
            "The plate has no such channel", on=info.name, expected="one of " + ", ".join(map(repr, info.channels)), got=repr(channel)
        )
    return info.channels.index(channel)


def _refuse_out_of_range(name: str, threshold: float | None) -> None:
    if threshold is not None and not 0.0 <= threshold <= 1.0:
        raise InputError("A threshold is out of range", on=name, expected="0 to 1", got=threshold)


def _lay_out(info: PlateInfo, plate: Path, channel: str) -> None:
    """Create the empty masks plate under a temporary name and give it its own, so that one that exists is whole."""
    if plate.exists():
        _refuse_other_plate(info, plate, channel)
        return
    part = plate.with_name(plate.name + ".part")
    if part.exists():
        shutil.rmtree(part)
    part.parent.mkdir(parents=True, exist_ok=True)
    create_plate(
        part,
        name=info.name,
        wells=info.wells,
        fields=info.fields,
        channels=[channel],
        pixel_size_um=info.pixel_size_um,
        notes={"level": "masks"},
    )
    part.replace(plate)


def _refuse_other_plate(info: PlateInfo, plate: Path, channel: str) -> None:
    there = plate_info(plate)
    got = (there.name, there.wells, there.fields, there.channels)
    expected = (info.name, info.wells, info.fields, (channel,))
    if got != expected:
        raise InputError(
            "The target holds masks of another plate or channel", on=plate, expected=expected, got=got, hint="choose a new folder"
        )


def segment_field(item: dict[str, Any]) -> dict[str, Any]:
    """Segment one field and write its picture and its labels ``nuclei``; a second run writes the same bytes again.

    Takes an item of :func:`prepare_masks`. Returns plain values: well, field, objects, seconds, model, digest, device, host,
    median_area_px (0 where there is no object) and covered (share of the pixels). Raises ModelError, IntegrityError or LayoutError for an
    image that cannot be read, ImageError for one that cannot be segmented, OutOfSpace.
    """
    began = time.monotonic()
    device = claim_device()
    model = models.load(item["model"], item["model_folder"])
    plane = read_middle(Path(item["source"]) / PLATE, item["well"], item["field"], item["channel"])
    labels = segment_plane(plane, model, item["prob_threshold"], item["nms_threshold"])
    _write_masks(item, plane, labels)
    return {
        "well": item["well"],
        "field": item["field"],
        **summary(labels),
        "seconds": round(time.monotonic() - began, 3),
        "model": model.name,
        "digest": model.digest,
        "device": device,
        "host": socket.gethostname(),
    }


def segment_plane(
    plane: NDArray[Any], model: models.LoadedModel, prob_threshold: float | None = None, nms_threshold: float | None = None
) -> NDArray[np.int32]:
    """Return the labels (y, x), 1 to n, of the objects in a plane (y, x); a plane of one grey value has none.

    Raises ImageError where the plane is empty or no plane, or where the model cannot take it.
    """
    if plane.ndim != 2 or plane.size == 0:
        raise ImageError("Not a plane to segment", expected="(y, x)", got=plane.shape)
    if plane.min() == plane.max():
        return np.zeros(plane.shape, np.int32)
    return model.predict(plane, prob_threshold=prob_threshold, nms_threshold=nms_threshold)


def summary(labels: NDArray[Any]) -> dict[str, Any]:
    """Return how many objects a label plane holds, their median area in pixels, and the share of the plane that they cover."""
    areas = np.bincount(labels.ravel())[1:]
    median = float(np.median(areas)) if areas.size else 0.0
    return {"objects": int(np.count_nonzero(areas)), "median_area_px": median, "covered": round(float(areas.sum()) / labels.size, 6)}


def _write_masks(item: dict[str, Any], plane: NDArray[Any], labels: NDArray[np.int32]) -> None:
    source, target = Path(item["source"]) / PLATE, Path(item["target"]) / PLATE
    well, field = item["well"], item["field"]
    info = plate_info(target)
    level = preview_level(plane.shape)
    preview = read_middle(source, well, field, item["channel"], level=level) if level else plane
    own = field_path(target, well, field)
    if own.exists():
        shutil.rmtree(own)
    write_field(
        target,
        well,
        field,
        [(0, preview)],
        channels=info.channels,
        dtype=preview.dtype,
        shape=(preview.shape[0], preview.shape[1]),
        pixel_size_um=info.pixel_size_um,
        shrink=2**level,
    )
    write_labels(target, well, field, LABELS, labels, pixel_size_um=info.pixel_size_um)


def preview_level(shape: tuple[int, ...]) -> int:
    """Return the pyramid level that a masks plate keeps as its picture: the first below the image itself that is at most 512 px wide."""
    sides = [max(level) for level in level_shapes((shape[0], shape[1]))]
    small = [number for number, side in enumerate(sides) if number > 0 and side <= PREVIEW_SIDE]
    return small[0] if small else len(sides) - 1


def claim_device() -> str:
    """Return the device that TensorFlow will compute on in this process; a GPU is shared, its memory taken only as it is needed."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return "CPU"
    if not tf.config.experimental.get_memory_growth(gpus[0]):
        _share(tf, gpus)
    return str(tf.config.experimental.get_device_details(gpus[0]).get("device_name", gpus[0].name))


def _share(tf: Any, gpus: list[Any]) -> None:
    try:
        for gpu in gpus:
            tf.config.experimental.set_memory_growth(gpu, True)
    except RuntimeError as exc:
        raise InputError(
            "TensorFlow was used in this process before a GPU was claimed", on=gpus[0].name, got=exc, hint="start new workers"
        ) from exc
