"""Measurements of each nucleus: one kernel a field, then one table a plate."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from coldchain.errors import InputError, LayoutError
from coldchain.imaging import tables
from coldchain.imaging.features import Features, Field, measure, names_of
from coldchain.imaging.fieldzarr import read_frame
from coldchain.imaging.neighbours import DISTANCE
from coldchain.imaging.platezarr import PLATE, PlateInfo, field_path, iter_fields, plate_info, read_labels, read_plane
from coldchain.imaging.quality import FULL_SCALES, PREFIX

if TYPE_CHECKING:
    import pyarrow as pa

MAX_DISTANCE = 200  # px
LABELS = "nuclei"  # the name of the label image that a field of a masks plate holds


def prepare_measure(
    corrected: str, masks: str, parts: str, *, quality: str | None = None, features: str = Features.BASIC, distance: int = DISTANCE
) -> list[dict[str, Any]]:
    """Return one plain work item for each field of a plate, for :func:`measure_field`.

    Args:
        corrected: folder of the `corrected` artifact, the one that holds ``plate.ome.zarr``.
        masks: folder of the `masks` artifact of the same plate.
        parts: folder for the tables of single fields.
        quality: table of `Metadata_Well`, `Metadata_Site` and `flagged`; without it no field counts as flagged. Its 99.9th percentiles
            give the full scale of textures: :func:`full_scales`.
        features: `basic` or `full`, see `features.names_of`.
        distance: pixels that a cell reaches around its nucleus, for the compartments of `full`.

    Raises:
        LayoutError: the two plates differ in wells or fields.
        InputError: channels that cannot be told apart in column names, or features or a distance that there are not.
    """
    _refuse_other(features, distance)
    image, mask = plate_info(Path(corrected) / PLATE), plate_info(Path(masks) / PLATE)
    if (image.wells, image.fields) != (mask.wells, mask.fields):
        raise LayoutError("Masks are of another plate", on=masks, expected=(image.wells, image.fields), got=(mask.wells, mask.fields))
    tables.channel_suffixes(image.channels)
    flagged = flagged_fields(quality) if quality else set()
    white = full_scales(quality, image.channels) if quality else {}
    return [
        {
            "corrected": str(corrected),
            "masks": str(masks),
            "well": ref.well,
            "field": ref.field,
            "image": number,
            "flagged": (ref.well, ref.field) in flagged,
            "features": str(features),
            "distance": distance,
            "white": white,
            "target": str(Path(parts) / f"{ref.well}_{ref.field}.parquet"),
        }
        for number, ref in enumerate(iter_fields(Path(corrected) / PLATE), start=1)
    ]


def flagged_fields(quality: str | Path) -> set[tuple[str, int]]:
    """Return well and field of each field that a quality table flags in any channel. Raises LayoutError where it lacks a column."""
    return {(well, site) for well, site, flagged in field_flags(quality) if flagged}


def field_flags(quality: str | Path) -> list[tuple[str, int, bool]]:
    """Return well, field and flag of each row of a quality table. Raises LayoutError where it lacks a column."""
    table = tables.read(quality)
    columns = ("Metadata_Well", "Metadata_Site", "flagged")
    if missing := [name for name in columns if name not in table.column_names]:
        raise LayoutError("A quality table lacks columns", on=quality, expected=missing, got=table.column_names)
    wells, sites, flags = (table[name].to_pylist() for name in columns)
    return [(str(well), int(site), bool(flag)) for well, site, flag in zip(wells, sites, flags, strict=True)]


def _refuse_other(features: str, distance: int) -> None:
    if features not in set(Features):
        raise InputError("No such group of features", expected=", ".join(Features), got=repr(features))
    if not 1 <= distance <= MAX_DISTANCE:
        raise InputError("Cells cannot reach so far around their nuclei", expected=f"1 to {MAX_DISTANCE} px", got=distance)


def full_scales(quality: str | Path, channels: Sequence[str]) -> dict[str, float]:
    """Return for each channel the full scale of the camera that its plate's images fill: 255, 1023, 4095, 16383 or 65535 grey values.

    The smallest one that no unflagged field's 99.9th percentile exceeds (of all fields, where every one is flagged); nothing for a
    channel that the table does not tell of. Textures count levels of it, so that they can be compared between the fields of a plate,
    and between plates taken alike.
    """
    rows = tables.read(quality).to_pylist()
    used = [row for row in rows if not row["flagged"]] or rows
    columns = {name: f"{PREFIX}P999Intensity_{name}" for name in channels}
    brightest = {name: max(row[column] for row in used) for name, column in columns.items() if used and column in used[0]}
    return {name: float(next((scale for scale in FULL_SCALES if value <= scale), value)) for name, value in brightest.items()}


def measure_field(item: dict[str, Any]) -> dict[str, Any]:
    """Measure all nuclei of one field in all channels, write `item["target"]`, and return what was counted.

    Takes an item of :func:`prepare_measure`. Raises IntegrityError or LayoutError for an image that cannot be read, ImageError for
    labels that are not numbered from 1 or differ from the image in size.
    """
    plate = Path(item["corrected"]) / PLATE
    info = plate_info(plate)
    labels = read_labels(Path(item["masks"]) / PLATE, item["well"], item["field"], LABELS)
    planes = [read_middle(plate, item["well"], item["field"], index) for index in range(len(info.channels))]
    table = measure_nuclei(labels, planes, info, item)
    tables.write(table, item["target"])
    return {
        "well": item["well"],
        "field": item["field"],
        "nuclei": table.num_rows,
        "flagged": item["flagged"],
        "table": item["target"],
        "files": [item["target"]],
    }


def read_middle(plate: str | Path, well: str, field: int, channel: int, level: int = 0) -> NDArray[Any]:
    """Read one plane (y, x) of a field: of a stack the middle one, in which its quality was measured too."""
    middle = read_frame(field_path(plate, well, field), None).z_count // 2
    return read_plane(plate, well, field, channel, level=level, z=middle)


def measure_nuclei(labels: NDArray[Any], planes: Sequence[NDArray[Any]], info: PlateInfo, item: dict[str, Any]) -> pa.Table:
    """Return the table of one field: a row a nucleus; units and what may be missing as `features.measure`; the pixel size in µm beside."""
    import pyarrow as pa

    suffixes = tables.channel_suffixes(info.channels)
    white = [item.get("white", {}).get(name) or _full_scale(plane) for name, plane in zip(info.channels, planes, strict=True)]
    field = Field(
        labels,
        dict(zip(suffixes, planes, strict=True)),
        dict(zip(suffixes, white, strict=True)),
        item.get("distance", DISTANCE),
    )
    numbers, found = measure(field, Features(item.get("features", Features.BASIC)))
    columns: dict[str, Any] = identity(numbers, info.name, item)
    columns |= {tables.PIXEL_SIZE: pa.array([info.pixel_size_um] * len(numbers), pa.float64())}
    columns |= {
        name: pa.array(np.where(np.isfinite(values), values, np.nan), pa.float64(), from_pandas=True) for name, values in found.items()
    }
    return pa.table(columns, schema=tables.schema([tables.PIXEL_SIZE, *found]))


def _full_scale(plane: NDArray[Any]) -> float:
    """Return the largest value of a plane's type, or of the plane where its type has none."""
    return float(np.iinfo(plane.dtype).max) if plane.dtype.kind in "iu" else max(float(plane.max()), 1.0)


def identity(labels: NDArray[np.int64], plate: str, item: dict[str, Any]) -> dict[str, Any]:
    """Return the columns that say which nucleus a row is, and whether its field was flagged."""
    said = (plate, item["well"], item["field"], item["image"])
    columns: dict[str, Any] = {name: [value] * len(labels) for name, value in zip(tables.IDENTITY[:4], said, strict=True)}
    return columns | {tables.IDENTITY[4]: labels, tables.FLAGGED: [item["flagged"]] * len(labels)}


def feature_names(channels: Sequence[str], features: str = Features.BASIC) -> list[str]:
    """Return the names of all features, in the order of the columns."""
    return names_of(tables.channel_suffixes(channels), Features(features))


def join_tables(parts: Sequence[str], target: str) -> dict[str, Any]:
    """Join the tables of :func:`measure_field` into one Parquet file, sorted by well, field and object.

    Raises LayoutError where there is no part, columns differ, or a nucleus comes twice; IntegrityError where a part cannot be read.
    """
    return {"table": str(target), "fields": len(parts), "nuclei": tables.join(parts, target)}
