"""Segmentation: masks are laid out once, then kernels fill them on any worker, image by image or, where one is large, block by block.

An image of one moment and up to 4096 x 4096 pixels is one item. A larger one, or a series, becomes pieces (a block of a moment each), whose
parts another kernel joins when all are there. For a GPU, small images are taken together. The labels are the same whatever the number of
workers, and in whatever order pieces end.
"""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coldchain.errors import ImageError, InputError, ModelError
from coldchain.imaging import blocks, models
from coldchain.imaging.devices import Device, claim_device
from coldchain.imaging.labeltiff import write_label_tiff
from coldchain.imaging.labelzarr import file_regions, fill_labels, shrink_labels, write_region
from coldchain.imaging.masks import lay_out, places, start_image
from coldchain.imaging.views import View, axis_sizes, window

LEAST = 4  # items that each worker gets at least, where there are enough images: the last ones should end at about the same time
OBJECT = 64  # px beside what a model says it must see: neighbours that compete for pixels are seen too
NAMED = 100  # objects that findings name by their place
TELLING = ("image", "name", "well", "field", "t", "block")  # of an item, what its result repeats

Item = dict[str, Any]


def prepare_masks(
    source: str,
    target: str,
    *,
    channel: str,
    model: str = models.ModelName.NUCLEI_SMALL,
    model_folder: str | None = None,
    prob_threshold: float | None = None,
    nms_threshold: float | None = None,
    parts: str | None = None,
    require_gpu: bool = False,
) -> list[Item]:
    """Lay out the masks of a plate or a collection and return plain work items for :func:`segment_item`.

    Args:
        source: folder of what to segment, the one that holds ``plate.ome.zarr`` or ``images.ome.zarr``.
        target: folder for the masks; a layout that a first run left is used again.
        channel: name of the channel to segment.
        model: a registered model. One for stacks (ZYX) is shown whole stacks, one for planes (YX) the middle plane of a stack.
        model_folder: holds the model's files where they are neither shipped nor to be downloaded.
        prob_threshold: from 0 to 1, how sure an object must be; the model's own where not given.
        nms_threshold: from 0 to 1, the overlap above which the less sure of two objects is dropped; the model's own where not given.
        parts: folder for the parts of images that are segmented in pieces; beside the target where not given.
        require_gpu: whether a worker on which TensorFlow sees no GPU is an error.

    The model is loaded here only where an image is large, to know how much around a block it must see.

    Raises:
        InputError: no such channel; a threshold out of range; a model for stacks and an image of one plane; `target` holds other masks.
        ModelError: no such model, or one for colour images.
    """
    found = places(Path(source), channel)
    for name, threshold in (("prob_threshold", prob_threshold), ("nms_threshold", nms_threshold)):
        _refuse_out_of_range(name, threshold)
    common: Item = {
        "source": str(source),
        "target": str(target),
        "model": str(model),
        "model_folder": model_folder,
        "prob_threshold": prob_threshold,
        "nms_threshold": nms_threshold,
        "require_gpu": require_gpu,
        "stack": _sees_stacks(model, model_folder),
    }
    items = [item for place in found for item in _items({**common, **place}, parts or f"{target}-parts")]
    lay_out(Path(source), Path(target), channel)
    return items


def _refuse_out_of_range(name: str, threshold: float | None) -> None:
    if threshold is not None and not 0.0 <= threshold <= 1.0:
        raise InputError("A threshold is out of range", on=name, expected="0 to 1", got=threshold)


def _sees_stacks(model: str, folder: str | None) -> bool:
    axes = models.registered(model, folder).axes
    if axes.endswith("C"):
        raise ModelError("the model takes colour images, and single channels are segmented", on=model, expected="YX or ZYX", got=axes)
    return axes == "ZYX"


def _items(item: Item, parts: str) -> list[Item]:
    """Return the one item of an image, or those of its pieces."""
    sizes = axis_sizes(Path(item["source"]) / item["image"])
    depth, moments = sizes.get("z", 1), sizes.get("t", 1)
    if item["stack"] and depth == 1:
        raise InputError(
            "A model for stacks cannot segment an image of one plane",
            on=item["name"],
            expected="several planes in z",
            got=sizes,
            hint="choose a model for planes",
        )
    shape = (*((depth,) if item["stack"] else ()), sizes["y"], sizes["x"])
    if moments == 1 and not blocks.is_large(shape):
        return [{**item, "pixels": math.prod(shape)}]
    pieces = {**item, "target": parts, "masks": item["target"], "moments": moments, "blocks": 1, "context": 0}
    return [
        {**pieces, "t": t, "block": block, **shared}
        for t in range(moments)
        for shared in [_shared(pieces, shape, t)]
        for block in range(shared["blocks"])
    ]


def _shared(item: Item, shape: tuple[int, ...], t: int) -> Item:
    """What all blocks of one moment must agree on: how they are cut, and which grey values are dark and bright in the whole image."""
    if not blocks.is_large(shape):
        return {"blocks": 1, "context": 0, "window": None}
    claim_device()
    model = models.load(item["model"], item["model_folder"])
    context = max(model.context) + OBJECT
    view = View(Path(item["source"]) / item["image"], item["channel"], t, item["stack"])
    return {"blocks": len(blocks.cover(shape, context)), "context": context, "window": list(window(view, model.percentiles))}


def together(items: Sequence[Item], workers: int) -> list[Item]:
    """Return items of several images each, so that a GPU predicts many small images at once; pieces and large images stay as they are.

    As many as make one image of 4096 x 4096 pixels, but no more than leave every worker four items.
    """
    most = max(len(items) // (LEAST * workers), 1)
    groups: list[list[Item]] = []
    for item in items:
        if groups and len(groups[-1]) < most and _pixels(groups[-1]) + _pixels([item]) <= blocks.WHOLE:
            groups[-1].append(item)
        else:
            groups.append([item])
    return [{"target": own[0]["target"], "together": own} if len(own) > 1 else own[0] for own in groups]


def _pixels(items: Iterable[Item]) -> int:
    """Pixels of images that are segmented in one piece; a piece of another counts as a whole item."""
    return sum(item.get("pixels", blocks.WHOLE) for item in items)


def apart(items: Iterable[Item]) -> list[Item]:
    """Return the items, or the results, of single images and pieces, in their order, from those of :func:`together`."""
    return [own for item in items for own in item.get("together", [item])]


def segment_item(item: Item) -> Item:
    """Do one item of :func:`prepare_masks` or :func:`together`: images, or a piece of one. Returns and raises as these.

    For images that were taken together, `together` are their results, and `files` those of all.
    """
    if "block" in item:
        return segment_block(item)
    if "together" not in item:
        return segment_field(item)
    results = _segment_fields(item["together"])
    return {"together": results, "files": [file for result in results for file in result["files"]]}


def segment_field(item: Item) -> Item:
    """Segment one image and write its picture, its labels ``nuclei`` and their OME-TIFF; a second run writes the same bytes again.

    Returns plain values: what names the image, objects, median_area_px (0 where there is no object) and covered (share of the pixels), what
    was used (`model`), device, host, seconds, and the `files` it wrote, relative to the target. Raises ModelError, IntegrityError or
    LayoutError for an image that cannot be read, ImageError for one that cannot be segmented, ComputeFailed where a GPU is required and
    there is none, OutOfSpace.
    """
    return _segment_fields([item])[0]


def _segment_fields(items: Sequence[Item]) -> list[Item]:
    """Segment images of one model together; their seconds are each its share."""
    began = time.monotonic()
    device, model = _ready(items[0])
    images = [View(Path(item["source"]) / item["image"], item["channel"], 0, item["stack"]).read() for item in items]
    labels = segment_images(images, model, items[0]["prob_threshold"], items[0]["nms_threshold"], tile=device.tile)
    found = [_written(item, own) for item, own in zip(items, labels, strict=True)]
    share = round((time.monotonic() - began) / len(items), 3)
    return [{**_said(item, model, device, share), **own} for item, own in zip(items, found, strict=True)]


def _written(item: Item, labels: NDArray[np.int32]) -> Item:
    """Write the masks of one image, and return what was found and written."""
    folder, frame = start_image(item)
    fill_labels(folder, labels)
    found = summary(labels)
    write_label_tiff(folder, Path(item["target"]) / item["tiff"], frame, name=item["name"], largest=found["objects"])
    return {**found, "files": [item["image"], item["tiff"]]}


def segment_block(item: Item) -> Item:
    """Segment one piece of an image, of which it reads no more than that, and write the objects that are its own as a part.

    Returns and raises as :func:`segment_field`; `cut` are the boxes (from, to, in pixels, by axis) of objects that reach further than
    neighbouring blocks overlap, and are kept only as far as this block sees them.
    """
    began = time.monotonic()
    device, model = _ready(item)
    view = View(Path(item["source"]) / item["image"], item["channel"], item["t"], item["stack"])
    block = blocks.pieces(view.shape, item["context"], item["blocks"])[item["block"]]
    pixels, seen = view.read(region=block.slice_read()), tuple(item["window"]) if item["window"] else None
    (labels,) = segment_images([pixels], model, item["prob_threshold"], item["nms_threshold"], window=seen, tile=device.tile)
    kept = blocks.keep(labels, block)
    part = _part(item, item["t"], item["block"])
    blocks.write_part(Path(item["target"]) / part, kept)
    seconds = round(time.monotonic() - began, 3)
    return {**_said(item, model, device, seconds), "objects": kept.objects, "cut": kept.cut, "files": [part]}


def merges(items: Iterable[Item]) -> list[Item]:
    """Return a work item for :func:`merge_image` for each image that is segmented in pieces."""
    pieces = [item for item in items if "block" in item]
    return [_merge(list(own)) for _, own in groupby(pieces, key=lambda item: item["image"])]


def _merge(pieces: list[Item]) -> Item:
    first = pieces[0]
    shared = {name: first[name] for name in first if name not in {"t", "block", "window", "masks"}}
    return {**shared, "target": first["masks"], "parts": first["target"]}


def merge_image(item: Item) -> Item:
    """Join the parts of one image: write its picture, its labels 1..n of each moment, in the order of blocks, and their OME-TIFF.

    Takes an item of :func:`merges`, when all its pieces were segmented. Memory holds a few blocks. Returns as :func:`segment_field`, but
    nothing of a model. Raises IntegrityError or LayoutError where a part is missing or damaged, OutOfSpace.
    """
    began = time.monotonic()
    folder, frame = start_image(item)
    shape = View(Path(item["source"]) / item["image"], item["channel"], 0, item["stack"]).shape
    areas = [_join(item, folder, shape, t) for t in range(item["moments"])]
    write_label_tiff(folder, Path(item["target"]) / item["tiff"], frame, name=item["name"], largest=max(map(len, areas)))
    return {
        **{name: item[name] for name in TELLING if name in item},
        **_summary(np.concatenate(areas), math.prod(shape) * item["moments"]),
        "seconds": round(time.monotonic() - began, 3),
        "host": socket.gethostname(),
        "files": [item["image"], item["tiff"]],
    }


def _join(item: Item, folder: Path, shape: tuple[int, ...], t: int) -> NDArray[np.int64]:
    """Write the labels of one moment, and return the areas of its objects."""
    lead = (t,) if item["moments"] > 1 else ()
    folders = [Path(item["parts"]) / _part(item, t, block) for block in range(item["blocks"])]
    parts = blocks.Parts(folders, blocks.pieces(shape, item["context"], item["blocks"]))
    areas = blocks.merge(parts, file_regions(folder), lambda region, labels: write_region(folder, region, labels, lead))
    shrink_labels(folder, lead)
    return areas


def _part(item: Item, t: int, block: int) -> str:
    """Where the part of a piece stands, relative to the folder of parts."""
    return f"{Path(item['tiff']).name.removesuffix('.ome.tiff')}/t{t:05}-b{block:05}"


def _ready(item: Item) -> tuple[Device, models.LoadedModel]:
    """Claim a device, and load the model, once in a process."""
    device = claim_device(require_gpu=item["require_gpu"])
    return device, models.load(item["model"], item["model_folder"])


def _said(item: Item, model: models.LoadedModel, device: Device, seconds: float) -> Item:
    """What a result says beside what was found."""
    return {
        **{name: item[name] for name in TELLING if name in item},
        "seconds": seconds,
        "model": model.provenance(item["prob_threshold"], item["nms_threshold"]),
        "device": device.name,
        "tile": device.tile,
        "host": socket.gethostname(),
    }


def segment_images(
    images: Sequence[NDArray[Any]],
    model: models.LoadedModel,
    prob_threshold: float | None = None,
    nms_threshold: float | None = None,
    *,
    window: models.Window | None = None,
    tile: int | None = None,
) -> list[NDArray[np.int32]]:
    """Return the labels, 1 to n, of the objects in planes (y, x) or stacks (z, y, x), as the model takes them; none in one grey value.

    `window` are the grey values that the model takes for dark and bright, where the images are parts of a larger one; `tile` is the side of
    what is predicted at once, in pixels. Raises ImageError where an image is empty, or not of the model's axes.
    """
    for image in images:
        if image.ndim != len(model.axes) or image.size == 0:
            kind = "stack" if model.axes == "ZYX" else "plane"
            raise ImageError(f"Not a {kind} to segment", on=model.name, expected=f"axes {model.axes}", got=image.shape)
    labels = [np.zeros(image.shape, np.int32) for image in images]
    if lit := [number for number, image in enumerate(images) if image.min() != image.max()]:
        found = model.predict_all([images[number] for number in lit], prob_threshold, nms_threshold, window=window, tile=tile)
        for number, own in zip(lit, found, strict=True):
            labels[number] = own
    return labels


def summary(labels: NDArray[Any]) -> dict[str, Any]:
    """Return how many objects a label image holds, their median area in pixels, and the share of the image that they cover."""
    areas = np.bincount(labels.ravel())[1:]
    return _summary(areas[areas > 0], labels.size)


def _summary(areas: NDArray[Any], size: int) -> dict[str, Any]:
    median = float(np.median(areas)) if areas.size else 0.0
    return {"objects": int(areas.size), "median_area_px": median, "covered": round(float(areas.sum()) / size, 6)}


def model_record(items: Sequence[Item], results: Sequence[Item]) -> dict[str, Any]:
    """Return what provenance records of the model, from the results of :func:`segment_item`: what it is, and how it was used."""
    side = blocks.LONGEST if any("block" in item for item in items) else None
    return {
        **results[0]["model"],
        "device": sorted({result["device"] for result in results}),
        "tile_px": sorted({result["tile"] for result in results}),
        "block_px": side,
    }


def findings(items: Sequence[Item], results: Sequence[Item], merged: Sequence[Item]) -> dict[str, Any]:
    """Return what was found in each image, in the order of the items, and which objects were cut, from the results of both kernels."""
    counted = {result["image"]: result for result in (*results, *merged) if "block" not in result}
    fields = "well" in items[0]
    names = ("well", "field") if fields else ("name",)
    counts = [{name: counted[image][name] for name in (*names, "objects")} for image in dict.fromkeys(item["image"] for item in items)]
    cut = [{**{name: result[name] for name in (*names, "t")}, "box_px": box} for result in results for box in result.get("cut", ())]
    found = {"fields" if fields else "images": counts, "objects": sum(count["objects"] for count in counts)}
    return {**found, "cut": len(cut), "cut_objects": cut[:NAMED]} if cut else found
