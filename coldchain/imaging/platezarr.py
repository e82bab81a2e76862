"""A plate as OME-Zarr: NGFF 0.5, Zarr v3, high-content-screening layout, one file for each plane and level.

ome-zarr-py writes the metadata, planes stream through zarr. Level ``s0`` is the image, ``s1``, ``s2`` ... are half, a quarter ...
of its width. Parent metadata is written once by :func:`create_plate`; after that a worker touches only its own field's folder, so that
many can write at once.

Standard: https://ngff.openmicroscopy.org/0.5/ (plate, well, multiscales, labels).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from coldchain.errors import ImageError, InputError, LayoutError
from coldchain.imaging.fieldzarr import FieldWriter, open_level, read_whole, translated
from coldchain.imaging.pyramid import (
    Frame,
    Plane,
    create_level,
    describe_axes,
    level_shapes,
    place_levels,
)

if TYPE_CHECKING:
    import zarr

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
    attributes = _attributes(Path(plate))
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


def _attributes(group: Path) -> dict[str, Any]:
    try:
        attributes = json.loads((group / "zarr.json").read_text("utf-8"))["attributes"]
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise LayoutError("Not an OME-Zarr group", on=group, expected="a readable zarr.json", got=repr(exc)) from exc
    if not isinstance(attributes, dict):
        raise LayoutError("Not an OME-Zarr group", on=group, expected="attributes in zarr.json", got=type(attributes).__name__)
    return attributes


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
    """Write a label image (y, x; 0 is background) as ``labels/<name>`` of a field, and return its folder.

    Smaller levels take every second pixel, so that a label stays a label. Raises InputError for a name that is not plain, or that is there.
    """
    from ome_zarr.writer import write_label_metadata, write_multiscales_metadata

    if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name) is None:
        raise InputError("Not a name for labels", expected="letters, digits, - and _", got=repr(name))
    field_group = field_path(plate, well, field)
    labels = _as_labels(labels)
    path, frame = field_group / "labels" / name, Frame((labels.shape[0], labels.shape[1]), np.int32, pixel_size_um)
    with translated(path):
        parent = _labels_group(field_group, name)
        group = parent.create_group(name)
        for number, shape in enumerate(level_shapes(frame.shape)):
            labels = labels[::2, ::2][: shape[0], : shape[1]] if number else labels
            create_level(group, number, shape, frame)[:] = labels
        datasets = place_levels(number + 1, frame, centred=False)
        write_multiscales_metadata(group, datasets=datasets, axes=describe_axes(frame)[-2:], name=name)
        write_label_metadata(parent, name, source={"image": "../../"})
        _complete_labels(parent, path.parent)
    return path


def _as_labels(labels: NDArray[Any]) -> NDArray[np.int32]:
    if labels.ndim != 2 or labels.dtype.kind not in "iu":
        raise ImageError("Not a label image", expected="whole numbers, (y, x)", got=f"{labels.dtype}, {labels.shape}")
    if labels.size and (labels.min() < 0 or labels.max() > np.iinfo(np.int32).max):
        raise ImageError("A label does not fit", expected="0 to 2**31 - 1", got=f"{labels.min()} to {labels.max()}")
    return labels.astype(np.int32, copy=False)


def _labels_group(field_group: Path, name: str) -> zarr.Group:
    import zarr

    if (field_group / "labels" / name).exists():
        raise InputError("Labels are written once", on=field_group / "labels" / name, got="they are there already")
    return zarr.open_group(field_group).require_group("labels")


def _complete_labels(parent: zarr.Group, folder: Path) -> None:
    """Add what ome-zarr-py 0.16 leaves out: NGFF 0.5 wants the version on the labels group too."""
    parent.attrs["ome"] = {"version": "0.5", "labels": sorted(_attributes(folder)["ome"]["labels"])}


def read_plane(plate: str | Path, well: str, field: int, channel: int, level: int = 0, z: int = 0) -> Plane:
    """Read one plane (y, x). Raises LayoutError where the plate has no such plane, IntegrityError where its file is gone or damaged."""
    path = field_path(plate, well, field) / f"s{level}"
    array = open_level(path)
    where = (channel, z) if array.ndim == 4 else (channel,)
    if not all(0 <= index < size for index, size in zip(where, array.shape, strict=False)):
        raise LayoutError("The field has no such plane", on=path, expected=f"indices below {array.shape[:-2]}", got=where)
    return read_whole(array, path, where)


def read_labels(plate: str | Path, well: str, field: int, name: str, level: int = 0) -> Plane:
    """Read the label image (y, x) ``labels/<name>`` of a field. Raises as :func:`read_plane`."""
    path = field_path(plate, well, field) / "labels" / name / f"s{level}"
    return read_whole(open_level(path), path, ())
