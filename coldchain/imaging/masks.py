"""The masks of a plate or of a collection of images: laid out like their source, each image with a small picture beside its labels."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from coldchain.errors import InputError
from coldchain.imaging.fieldzarr import FieldWriter, attributes_of
from coldchain.imaging.imagezarr import IMAGES, images_of
from coldchain.imaging.labeltiff import tiff_name
from coldchain.imaging.labelzarr import create_labels
from coldchain.imaging.measure import LABELS
from coldchain.imaging.platezarr import NOTES, PLATE, PlateInfo, create_plate, iter_fields, plate_info
from coldchain.imaging.pyramid import Frame, level_shapes
from coldchain.imaging.views import View, frame_at

PREVIEW_SIDE = 512  # px, the longest side that the picture of an image's channel should have

Place = dict[str, Any]
"""What names one image in work items and findings, as plain values."""


def places(source: Path, channel: str) -> list[Place]:
    """Name every image in a folder with ``plate.ome.zarr`` or ``images.ome.zarr``, and the index of a channel in it.

    Raises InputError where an image has no such channel, LayoutError where there is neither.
    """
    return list((_fields if (source / PLATE).is_dir() else _images)(source, channel))


def _fields(source: Path, channel: str) -> Iterator[Place]:
    info = plate_info(source / PLATE)
    index = _index(info.name, info.channels, channel, "plate")
    for number, ref in enumerate(iter_fields(source / PLATE)):
        name = f"{ref.well} field {ref.field}"
        yield {
            "image": ref.path.relative_to(source).as_posix(),
            "name": name,
            "well": ref.well,
            "field": ref.field,
            "channel": index,
            "shows": channel,
            "tiff": tiff_name(number, name, ref.well, ref.field),
        }


def _images(source: Path, channel: str) -> Iterator[Place]:
    for number, image in enumerate(images_of(source / IMAGES)):
        yield {
            "image": image.path.relative_to(source).as_posix(),
            "name": image.name,
            "channel": _index(image.name, image.channels, channel, "image"),
            "shows": channel,
            "tiff": tiff_name(number, image.name),
        }


def _index(name: str, channels: tuple[str, ...], channel: str, kind: str) -> int:
    if channel not in channels:
        raise InputError(f"The {kind} has no such channel", on=name, expected="one of " + ", ".join(map(repr, channels)), got=repr(channel))
    return channels.index(channel)


def lay_out(source: Path, target: Path, channel: str) -> None:
    """Create the empty masks of a plate or a collection, with its metadata; what a first run left is used again.

    Raises InputError where `target` holds masks of another source or channel.
    """
    if (source / PLATE).is_dir():
        info = plate_info(source / PLATE)
        _once(target / PLATE, _plate_facts(info, (channel,)), _facts_of_plate, lambda part: _create_plate(part, info, channel))
    else:
        notes = {**attributes_of(source / IMAGES)[NOTES], "level": "masks", "channels": [channel]}
        _once(target / IMAGES, notes, lambda there: attributes_of(there)[NOTES], lambda part: _create_collection(part, notes))


def _once(target: Path, expected: object, facts: Callable[[Path], object], create: Callable[[Path], None]) -> None:
    """Create under a temporary name and give it its own, so that one that exists is whole."""
    if target.exists():
        if (got := facts(target)) != expected:
            raise InputError(
                "The target holds masks of another plate or channel", on=target, expected=expected, got=got, hint="choose a new folder"
            )
        return
    part = target.with_name(target.name + ".part")
    if part.exists():
        shutil.rmtree(part)
    part.parent.mkdir(parents=True, exist_ok=True)
    create(part)
    part.replace(target)


def _facts_of_plate(plate: Path) -> object:
    info = plate_info(plate)
    return _plate_facts(info, info.channels)


def _plate_facts(info: PlateInfo, channels: tuple[str, ...]) -> object:
    return info.name, info.wells, info.fields, channels


def _create_plate(part: Path, info: PlateInfo, channel: str) -> None:
    create_plate(
        part,
        name=info.name,
        wells=info.wells,
        fields=info.fields,
        channels=[channel],
        pixel_size_um=info.pixel_size_um,
        notes={"level": "masks"},
    )


def _create_collection(part: Path, notes: dict[str, Any]) -> None:
    """Write the root of a collection (bioformats2raw layout 3), as a conversion does."""
    import zarr

    root = zarr.create_group(part, attributes={"ome": {"version": "0.5", "bioformats2raw.layout": 3}, NOTES: notes})
    series = [str(number) for number in range(len(notes["images"]))]
    root.create_group("OME", attributes={"ome": {"version": "0.5", "series": series}})


def start_image(item: dict[str, Any]) -> tuple[Path, Frame]:
    """Begin one image of the masks anew: its small picture, and empty labels. Returns the folder of the labels, and their frame."""
    source, own = Path(item["source"]) / item["image"], Path(item["target"]) / item["image"]
    frame = frame_at(source)
    if own.exists():
        shutil.rmtree(own)
    _write_picture(item, source, own, frame)
    labels = replace(frame, dtype=np.int32, z_count=frame.z_count if item["stack"] else 1)
    return create_labels(own, LABELS, labels), labels


def _write_picture(item: dict[str, Any], source: Path, own: Path, frame: Frame) -> None:
    """Write the segmented channel as it is in a smaller level, of a stack its middle plane, so that masks are looked at by themselves."""
    level = preview_level(frame.shape)
    shape = level_shapes(frame.shape)[level]
    small = replace(frame, shape=shape, z_count=1, z_step_um=None, shrink=2**level)
    with FieldWriter(own, [item["shows"]], small) as writer:
        for t in range(frame.t_count or 1):
            writer.write(View(source, item["channel"], t).read(level), 0, 0, t)


def preview_level(shape: tuple[int, ...]) -> int:
    """Return the pyramid level that masks keep as their picture: the first below the image itself that is at most 512 px wide."""
    sides = [max(level) for level in level_shapes((shape[0], shape[1]))]
    small = [number for number, side in enumerate(sides) if number > 0 and side <= PREVIEW_SIDE]
    return small[0] if small else len(sides) - 1
