"""Measurements of each nucleus: one kernel a field, then one table a plate."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from coldchain.errors import LayoutError
from coldchain.imaging import tables
from coldchain.imaging.fieldzarr import read_frame
from coldchain.imaging.platezarr import PLATE, PlateInfo, field_path, iter_fields, plate_info, read_labels, read_plane
from coldchain.imaging.regions import INTENSITIES, SHAPES, centres, find_regions, intensities, shapes

if TYPE_CHECKING:
    import pyarrow as pa

LABELS = "nuclei"  # the name of the label image that a field of a masks plate holds


def prepare_measure(corrected: str, masks: str, parts: str, *, quality: str | None = None) -> list[dict[str, Any]]:
    """Return one plain work item for each field of a plate, for :func:`measure_field`.

    Args:
        corrected: folder of the `corrected` artifact, the one that holds ``plate.ome.zarr``.
        masks: folder of the `masks` artifact of the same plate.
        parts: folder for the tables of single fields.
        quality: table of `Metadata_Well`, `Metadata_Site` and `flagged`; without it no field counts as flagged.

    Raises:
        LayoutError: the two plates differ in wells or fields.
        InputError: channels that cannot be told apart in column names.
    """
    image, mask = plate_info(Path(corrected) / PLATE), plate_info(Path(masks) / PLATE)
    if (image.wells, image.fields) != (mask.wells, mask.fields):
        raise LayoutError("Masks are of another plate", on=masks, expected=(image.wells, image.fields), got=(mask.wells, mask.fields))
    tables.channel_suffixes(image.channels)
    flagged = flagged_fields(quality) if quality else set()
    return [
        {
            "corrected": str(corrected),
            "masks": str(masks),
            "well": ref.well,
            "field": ref.field,
            "image": number,
            "flagged": (ref.well, ref.field) in flagged,
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
    return {"well": item["well"], "field": item["field"], "nuclei": table.num_rows, "flagged": item["flagged"], "table": item["target"]}


def read_middle(plate: str | Path, well: str, field: int, channel: int, level: int = 0) -> NDArray[Any]:
    """Read one plane (y, x) of a field: of a stack the middle one, in which its quality was measured too."""
    middle = read_frame(field_path(plate, well, field), None).z_count // 2
    return read_plane(plate, well, field, channel, level=level, z=middle)


def measure_nuclei(labels: NDArray[Any], planes: Sequence[NDArray[Any]], info: PlateInfo, item: dict[str, Any]) -> pa.Table:
    """Return the table of one field: a row a nucleus; shapes in pixels, intensities in grey values, positions in pixels from the corner."""
    import pyarrow as pa

    regions = find_regions(labels)
    y, x = centres(regions) if regions.count else (np.zeros(0), np.zeros(0))
    features = {f"Nuclei_AreaShape_{name}": values for name, values in shapes(regions).items()}
    features |= {"Nuclei_Location_Center_X": x, "Nuclei_Location_Center_Y": y}
    for suffix, plane in zip(tables.channel_suffixes(info.channels), planes, strict=True):
        features |= {f"Nuclei_Intensity_{name}_{suffix}": values for name, values in intensities(regions, plane).items()}
    columns: dict[str, Any] = identity(regions.label, info.name, item)
    columns |= {name: features[name] for name in feature_names(info.channels)}
    return pa.table(columns, schema=tables.schema(feature_names(info.channels)))


def identity(labels: NDArray[np.int64], plate: str, item: dict[str, Any]) -> dict[str, Any]:
    """Return the columns that say which nucleus a row is, and whether its field was flagged."""
    said = (plate, item["well"], item["field"], item["image"])
    columns: dict[str, Any] = {name: [value] * len(labels) for name, value in zip(tables.IDENTITY[:4], said, strict=True)}
    return columns | {tables.IDENTITY[4]: labels, tables.FLAGGED: [item["flagged"]] * len(labels)}


def feature_names(channels: Sequence[str]) -> list[str]:
    """Return the names of all features, in the order of the columns."""
    return [
        *(f"Nuclei_AreaShape_{name}" for name in SHAPES),
        *(f"Nuclei_Location_Center_{axis}" for axis in "XY"),
        *(f"Nuclei_Intensity_{name}_{suffix}" for suffix in tables.channel_suffixes(channels) for name in INTENSITIES),
    ]


def join_tables(parts: Sequence[str], target: str) -> dict[str, Any]:
    """Join the tables of :func:`measure_field` into one Parquet file, sorted by well, field and object.

    Raises LayoutError where there is no part, columns differ, or a nucleus comes twice; IntegrityError where a part cannot be read.
    """
    return {"table": str(target), "fields": len(parts), "nuclei": tables.join(parts, target)}
