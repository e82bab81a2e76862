"""Label images of OME-Zarr: planes (y, x), stacks (z, y, x) and series (t, ...), written whole or part by part.

Level ``s0`` is the image's own size; smaller ones take every second pixel, so that a label stays a label. A plane wider than
`FILE_SIDE` is several files, so that what is larger than memory is written without ever being held.

Standard: https://ngff.openmicroscopy.org/0.5/ (labels).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from coldchain.errors import ImageError, InputError, LayoutError
from coldchain.imaging.fieldzarr import attributes_of, open_level, read_region, translated
from coldchain.imaging.pyramid import Frame, create_level, describe_axes, level_shapes, place_levels

if TYPE_CHECKING:
    import zarr

FILE_SIDE = 2160  # px, the longest side of one file of a plane that is wider
WHOLE_SIDE = 4096  # px: planes up to this are one file each
TOGETHER = 2**23  # px of a stack that are handled together

Region = tuple[slice, ...]


def create_labels(image: Path, name: str, frame: Frame) -> Path:
    """Lay out an empty label image ``labels/<name>`` of an image, all its levels and its metadata, and return its folder.

    `frame` gives its sizes: a moment (`t_count`) or a plane (`z_count`) only has an axis where there are several. Raises InputError for
    a name that is not plain, or that is there.
    """
    from ome_zarr.writer import write_label_metadata, write_multiscales_metadata

    if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name) is None:
        raise InputError("Not a name for labels", expected="letters, digits, - and _", got=repr(name))
    path, axes = image / "labels" / name, label_axes(frame)
    described = [each for each in describe_axes(_five(frame)) if each["name"] in axes]
    with translated(path):
        parent = _labels_group(image, name)
        group = parent.create_group(name)
        shapes, side = level_shapes(frame.shape), None if max(frame.shape) <= WHOLE_SIDE else FILE_SIDE
        for number, shape in enumerate(shapes):
            create_level(group, number, (*_lead(frame), *shape), frame, axes=axes, file_side=side)
        write_multiscales_metadata(group, datasets=_datasets(len(shapes), frame, axes), axes=described, name=name)
        write_label_metadata(parent, name, source={"image": "../../"})
        _complete(parent, path.parent)
    return path


def label_axes(frame: Frame) -> tuple[str, ...]:
    """Names of the axes of a label image, in order."""
    return (*("t" for _ in range((frame.t_count or 1) > 1)), *("z" for _ in range(frame.z_count > 1)), "y", "x")


def _lead(frame: Frame) -> tuple[int, ...]:
    return tuple(count for count in (frame.t_count or 1, frame.z_count) if count > 1)


def _five(frame: Frame) -> Frame:
    return Frame(
        frame.shape,
        np.int32,
        frame.pixel_size_um,
        z_count=frame.z_count,
        t_count=frame.t_count or 1,
        z_step_um=frame.z_step_um,
        time_step_s=frame.time_step_s,
    )


def _datasets(levels: int, frame: Frame, axes: tuple[str, ...]) -> list[dict[str, Any]]:
    """Scales of the levels; a label is a pixel that was taken, not a mean, so that nothing is shifted."""
    known = {"t": frame.time_step_s or 1.0, "z": frame.z_step_um or 1.0}
    lead, found = [known[axis] for axis in axes[:-2]], place_levels(levels, frame, centred=False)
    for each in found:
        each["coordinateTransformations"][0]["scale"][:0] = lead
    return found


def _labels_group(image: Path, name: str) -> zarr.Group:
    import zarr

    if (image / "labels" / name).exists():
        raise InputError("Labels are written once", on=image / "labels" / name, got="they are there already")
    return zarr.open_group(image).require_group("labels")


def _complete(parent: zarr.Group, folder: Path) -> None:
    """Add what ome-zarr-py 0.16 leaves out: NGFF 0.5 wants the version on the labels group too."""
    parent.attrs["ome"] = {"version": "0.5", "labels": sorted(attributes_of(folder)["ome"]["labels"])}


def fill_labels(path: Path, labels: NDArray[Any], lead: tuple[int, ...] = ()) -> None:
    """Write the labels of one moment (`lead`), or all there are, into a label image, with its smaller levels.

    Raises ImageError where they are no labels, or not of its shape.
    """
    whole, number = as_labels(labels), 0
    with translated(path):
        for number, array in enumerate(_levels(path)):
            whole = whole[..., ::2, ::2][..., : array.shape[-2], : array.shape[-1]] if number else whole
            if whole.shape != array.shape[len(lead) :]:
                raise ImageError("Labels differ from their image in size", on=path, expected=array.shape[len(lead) :], got=labels.shape)
            array[lead or ...] = whole


def as_labels(labels: NDArray[Any]) -> NDArray[np.int32]:
    """Return labels as int32. Raises ImageError where they are no whole numbers, no plane or stack, or do not fit."""
    if labels.ndim not in {2, 3} or labels.dtype.kind not in "iu":
        raise ImageError("Not a label image", expected="whole numbers, (y, x) or (z, y, x)", got=f"{labels.dtype}, {labels.shape}")
    if labels.size and (labels.min() < 0 or labels.max() > np.iinfo(np.int32).max):
        raise ImageError("A label does not fit", expected="0 to 2**31 - 1", got=f"{labels.min()} to {labels.max()}")
    return labels.astype(np.int32, copy=False)


def file_regions(path: Path, level: int = 0) -> Iterator[Region]:
    """Yield the parts of one moment of a label image that stand in files of their own; of a stack, a few planes together."""
    array = open_level(path / f"s{level}")
    sides = (array.shards or array.chunks)[-2:]
    steps = (*(max(TOGETHER // (sides[0] * sides[1]), 1) for _ in range("z" in _axes(array))), *sides)
    shape = array.shape[-len(steps) :]
    for corner in product(*(range(0, size, step) for size, step in zip(shape, steps, strict=True))):
        yield tuple(slice(at, min(at + step, size)) for at, step, size in zip(corner, steps, shape, strict=True))


def _axes(array: zarr.Array[Any]) -> tuple[str, ...]:
    return tuple(str(name) for name in array.metadata.dimension_names or ())


def write_region(path: Path, region: Region, labels: NDArray[np.int32], lead: tuple[int, ...] = ()) -> None:
    """Write a part of the full size; :func:`shrink_labels` writes the smaller levels when all parts are there."""
    with translated(path):
        _levels(path)[0][(*lead, *region)] = labels


def shrink_labels(path: Path, lead: tuple[int, ...] = ()) -> None:
    """Write the smaller levels of one moment, each file from its part of the level above."""
    arrays = _levels(path)
    with translated(path):
        for number, array in enumerate(arrays[1:], 1):
            for *depth, y, x in file_regions(path, number):
                above: tuple[int | slice, ...] = (*lead, *depth, slice(2 * y.start, 2 * y.stop), slice(2 * x.start, 2 * x.stop))
                part = read_region(arrays[number - 1], path / f"s{number - 1}", above)
                array[(*lead, *depth, y, x)] = part[..., ::2, ::2]


def _levels(path: Path) -> list[zarr.Array[Any]]:
    import zarr

    try:
        count = sum(1 for _ in path.glob("s[0-9]*"))
        opened = [zarr.open_array(path / f"s{number}", mode="r+", zarr_format=3) for number in range(count)]
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise LayoutError("No such label image", on=path, expected="a Zarr array a level", got=repr(exc)) from exc
    return [array.with_config({"write_empty_chunks": True}) for array in opened]  # as in `create_level`: opening an array forgets it


def read_label_plane(path: Path, level: int = 0, lead: tuple[int, ...] = ()) -> NDArray[np.int32]:
    """Read a plane (y, x) of one moment of a label image: of a stack the middle one, in which measurements are made too."""
    array = open_level(path / f"s{level}")
    middle = (array.shape[-3] // 2,) if "z" in _axes(array) else ()
    return read_region(array, path / f"s{level}", (*lead, *middle, *(slice(0, side) for side in array.shape[-2:])))


def read_label_stack(path: Path, level: int = 0, lead: tuple[int, ...] = ()) -> NDArray[np.int32]:
    """Read all planes of one moment of a label image: (y, x) or (z, y, x)."""
    array = open_level(path / f"s{level}")
    return read_region(array, path / f"s{level}", (*lead, *(slice(0, side) for side in array.shape[len(lead) :])))
