"""A plate as OME-Zarr: NGFF 0.5, Zarr v3, high-content-screening layout, one file for each plane and level.

ome-zarr-py writes the metadata, planes stream through zarr. Level ``s0`` is the image, ``s1``, ``s2`` ... are half, a quarter ...
of its width. Parent metadata is written once by :func:`create_plate`; after that a worker touches only its own field's folder, so that
many can write at once.

Standard: https://ngff.openmicroscopy.org/0.5/ (plate, well, multiscales, labels).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from coldchain.errors import ImageError, InputError, LayoutError
from coldchain.imaging.fieldzarr import FieldWriter, attributes_of, open_level, read_whole, translated
from coldchain.imaging.labelzarr import as_labels, create_labels, fill_labels, read_label_plane
from coldchain.imaging.pyramid import Frame, Plane

NOTES = "coldchain"  # our own attributes, beside `ome`
PLATE = "plate.ome.zarr"  # every plate artifact is a folder that holds this one


@dataclass(frozen=True)
class FieldRef:
    """One field of view: its well, its number as the instrument gave it, and its folder."""

    well: str
    field: int
    path: Path


@dataclass(frozen=True)
class PlateInfo:
    """What a plate says about itself. `notes` are Coldchain's own attributes."""

    name: str
    wells: tuple[str, ...]
    fields: tuple[int, ...]
    channels: tuple[str, ...]
    pixel_size_um: float | None
    notes: Mapping[str, Any]


def create_plate(
    target: str | Path,
    *,
    name: str,
    wells: Sequence[str],
    fields: Sequence[int],
    channels: Sequence[str],
    pixel_size_um: float | None,
    notes: Mapping[str, Any] | None = None,
) -> Path:
    """Write the metadata of a plate, its rows and its wells, and no image.

    `wells` are written like ``A01``, `fields` are the instrument's numbers, `pixel_size_um` is micrometres a pixel, `notes` (values that
    JSON can hold) are kept beside the standard's metadata. Raises InputError where `target` exists, LayoutError for a well without a place.
    """
    target = Path(target)
    if target.exists() or target.is_symlink():
        raise InputError("A plate is written once", on=target, got="something is there already", hint="choose a new folder")
    _refuse_empty(wells=wells, fields=fields, channels=channels)
    ours = {"fields": [int(f) for f in fields], "channels": list(channels), "pixel_size_um": pixel_size_um, **(notes or {})}
    with translated(target):
        _write_parents(target, name, sorted({well_path(well) for well in wells}, key=_place), ours)
    return target


def _refuse_empty(**lists: Sequence[object]) -> None:
    for what, values in lists.items():
        if not values or len(set(values)) != len(values):
            raise LayoutError(f"A plate needs {what}, each once", expected=f"different {what}, at least one", got=list(values))


def _write_parents(target: Path, name: str, places: list[str], ours: dict[str, Any]) -> None:
    import zarr
    from ome_zarr.writer import write_plate_metadata, write_well_metadata

    rows = sorted({place.split("/")[0] for place in places}, key=lambda row: (len(row), row))
    columns = sorted({place.split("/")[1] for place in places}, key=int)
    root = zarr.create_group(target, attributes={NOTES: ours})
    write_plate_metadata(root, rows, columns, list(places), field_count=len(ours["fields"]), name=name)
    for row in rows:
        root.create_group(row)
    for place in places:
        write_well_metadata(root.create_group(place), [str(index) for index in range(len(ours["fields"]))])


def well_path(well: str) -> str:
    """Return where a well lives inside its plate: ``A01`` is ``A/1``. Raises LayoutError for anything else than letters and digits."""
    match = re.fullmatch(r"([A-Z]{1,2})([0-9]{1,2})", well)
    if match is None or int(match[2]) == 0:
        raise LayoutError("Not the name of a well", expected="row letters and two digits, e.g. A01", got=repr(well))
    return f"{match[1]}/{int(match[2])}"


def _place(path: str) -> tuple[int, str, int]:
    row, column = path.split("/")
    return len(row), row, int(column)


def plate_info(plate: str | Path) -> PlateInfo:
    """Read the metadata of a plate, and nothing else. Raises LayoutError where it is not a plate that Coldchain wrote."""
    attributes = attributes_of(Path(plate))
    try:
        described, ours = attributes["ome"]["plate"], attributes[NOTES]
        places = [well["path"].split("/") for well in described["wells"]]
        wells = tuple(f"{row}{int(column):02d}" for row, column in places)
        for well in wells:
            well_path(well)
        size = ours["pixel_size_um"]
        return PlateInfo(
            name=str(described.get("name", "")),
            wells=wells,
            fields=tuple(int(number) for number in ours["fields"]),
            channels=tuple(str(channel) for channel in ours["channels"]),
            pixel_size_um=None if size is None else float(size),
            notes=ours,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise LayoutError("Not the metadata of a plate", on=plate, expected="`ome.plate` and `coldchain`", got=repr(exc)) from exc


def field_path(plate: str | Path, well: str, field: int) -> Path:
    """Return the folder of one field. Raises LayoutError where the plate has no such well or field."""
    info = plate_info(plate)
    if well not in info.wells or field not in info.fields:
        raise LayoutError("The plate has no such field", on=plate, expected=f"wells {info.wells}, fields {info.fields}", got=(well, field))
    return Path(plate) / well_path(well) / str(info.fields.index(field))


def iter_fields(plate: str | Path) -> Iterator[FieldRef]:
    """Yield every field of a plate, well by well, from the plate's metadata alone."""
    info = plate_info(plate)
    for well in info.wells:
        for index, field in enumerate(info.fields):
            yield FieldRef(well, field, Path(plate) / well_path(well) / str(index))


def write_field(
    plate: str | Path,
    well: str,
    field: int,
    planes: Iterable[tuple[int, Plane]],
    *,
    channels: Sequence[str],
    dtype: DTypeLike,
    shape: tuple[int, int],
    pixel_size_um: float | None,
    shrink: int = 1,
) -> Path:
    """Write one 2-D field of a plate from (channel index, plane) pairs, one plane in memory at a time, and return its folder.

    `shape` is (y, x) in pixels, `pixel_size_um` the size of a pixel of the full image, `shrink` the factor by which the planes are smaller.
    Raises ImageError where a plane differs from `shape` or `dtype` or a channel is missing, InputError where the field exists.
    """
    path = field_path(plate, well, field)
    written = set()
    with FieldWriter(path, channels, Frame(shape, dtype, pixel_size_um, shrink=shrink)) as writer:
        for index, plane in planes:
            writer.write(plane, index)
            written.add(index)
        if len(written) != len(channels):
            raise ImageError("A field lacks planes", on=path, expected=f"channels {list(range(len(channels)))}", got=sorted(written))
    return path


def write_labels(plate: str | Path, well: str, field: int, name: str, labels: NDArray[Any], *, pixel_size_um: float | None) -> Path:
    """Write a label image (y, x) or (z, y, x), 0 the background, as ``labels/<name>`` of a field, and return its folder.

    Smaller levels take every second pixel, so that a label stays a label. Raises InputError for a name that is not plain, or that is there.
    """
    labels = as_labels(labels)
    depth = labels.shape[0] if labels.ndim == 3 else 1
    frame = Frame((labels.shape[-2], labels.shape[-1]), np.int32, pixel_size_um, z_count=depth)
    path = create_labels(field_path(plate, well, field), name, frame)
    fill_labels(path, labels)
    return path


def read_plane(plate: str | Path, well: str, field: int, channel: int, level: int = 0, z: int = 0) -> Plane:
    """Read one plane (y, x). Raises LayoutError where the plate has no such plane, IntegrityError where its file is gone or damaged."""
    path = field_path(plate, well, field) / f"s{level}"
    array = open_level(path)
    where = (channel, z) if array.ndim == 4 else (channel,)
    if not all(0 <= index < size for index, size in zip(where, array.shape, strict=False)):
        raise LayoutError("The field has no such plane", on=path, expected=f"indices below {array.shape[:-2]}", got=where)
    return read_whole(array, path, where)


def read_labels(plate: str | Path, well: str, field: int, name: str, level: int = 0) -> Plane:
    """Read the label image ``labels/<name>`` of a field as a plane (y, x): of a stack the middle plane, as of the images.

    Raises as :func:`read_plane`. :func:`coldchain.imaging.labelzarr.read_label_stack` gives all planes.
    """
    return read_label_plane(field_path(plate, well, field) / "labels" / name, level)
