"""Whether a conversion is whole: valid by the standard's schema, and with a proven plane, and its file, for each place that there is.

The same rules hold at the end of a conversion and before a release. Bytes are the manifest's business: nothing is decoded here.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path

from coldchain.errors import IntegrityError, LayoutError
from coldchain.imaging.fieldzarr import open_level
from coldchain.imaging.imagezarr import IMAGES, images_of
from coldchain.imaging.platezarr import PLATE, iter_fields, plate_info

PLANES = "planes.csv"
"""Which native file became which plane, and the SHA-256 of its pixels."""

MOST = 20
"""Planes that an error names."""


def check(folder: Path) -> None:
    """Raise IntegrityError where a folder that a conversion made is not whole; what is missing is named by its place."""
    zarr = folder / (PLATE if (folder / PLATE).is_dir() else IMAGES)
    _validate(zarr)
    places = dict(_plate(zarr) if zarr.name == PLATE else _images(zarr))
    proven = Counter(_proven(folder / PLANES, zarr.name))
    _refuse("A plane was never proved, or twice", folder, [name for name in places if proven[name] != 1])
    _refuse("A proof is of a plane that has no place", folder, sorted(proven.keys() - places.keys()))
    _refuse("The file of a plane is gone", folder, [name for name, files in places.items() if not _whole(files)])


def _refuse(what: str, folder: Path, names: list[str]) -> None:
    if names:
        more = f"; and {len(names) - MOST} more" if len(names) > MOST else ""
        raise IntegrityError(what, on=folder, expected="each plane once, with its file", got="; ".join(names[:MOST]) + more)


def _validate(zarr: Path) -> None:
    """Hold the metadata against the schema of NGFF 0.5."""
    from yaozarrs import validate_zarr_store

    try:
        validate_zarr_store(str(zarr))
    except (ValueError, OSError, KeyError, TypeError) as error:
        said = " ".join(str(error).split())[:500]
        raise IntegrityError("Not what the standard says of an OME-Zarr", on=zarr, expected="valid by NGFF 0.5", got=said) from error


def _plate(zarr: Path) -> Iterator[tuple[str, list[Path]]]:
    info = plate_info(zarr)
    for ref in iter_fields(zarr):
        levels = sorted(ref.path.glob("s[0-9]*"))
        depth = _depth(levels[0]) if levels else 1
        for (c, channel), z in product(enumerate(info.channels), range(depth)):
            lead = (c, z) if depth > 1 else (c,)
            yield f"{ref.well} field {ref.field} channel {channel} plane {z + 1}", _files(levels, lead)


def _images(zarr: Path) -> Iterator[tuple[str, list[Path]]]:
    for number, image in enumerate(images_of(zarr)):
        levels = sorted(image.path.glob("s[0-9]*"))
        times, _, depth = image.shape[:3]
        for t, (c, channel), z in product(range(times), enumerate(image.channels), range(depth)):
            yield f"image {number} channel {channel} plane {z + 1} time {t + 1}", _files(levels, (t, c, z))


def _files(levels: list[Path], lead: tuple[int, ...]) -> list[Path]:
    """The file of a plane in each level: one shard, which holds all of it. Without a level there is none."""
    return [level.joinpath("c", *map(str, (*lead, 0, 0))) for level in levels]


def _whole(files: list[Path]) -> bool:
    return bool(files) and all(file.is_file() for file in files)


def _depth(level: Path) -> int:
    shape = open_level(level).shape
    return int(shape[1]) if len(shape) == 4 else 1


def _proven(path: Path, kind: str) -> Iterator[str]:
    """The planes that were proved, by the same names."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        yield from _named_by_well(rows) if kind == PLATE else (_image_name(row) for row in rows)
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise LayoutError(
            "The proof of the planes cannot be read", on=path, expected="the columns of planes.csv", got=repr(error)
        ) from error


def _named_by_well(rows: Sequence[Mapping[str, str]]) -> Iterator[str]:
    """Planes are counted here; the instrument's own numbers may begin elsewhere, or leave some out."""
    depths = {z: number for number, z in enumerate(sorted({int(row["z"]) for row in rows}), 1)}
    for row in rows:
        yield f"{row['well']} field {row['field']} channel {row['channel']} plane {depths[int(row['z'])]}"


def _image_name(row: Mapping[str, str]) -> str:
    return f"image {int(row['image'])} channel {row['channel']} plane {int(row['z']) + 1} time {int(row['t']) + 1}"
