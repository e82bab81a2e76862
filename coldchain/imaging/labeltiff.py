"""Label images as compressed OME-TIFF beside the OME-Zarr, for programs that read nothing else (QuPath, Fiji, CellProfiler).

One file an image, with its smaller levels as SubIFDs; uint16 where the labels fit, else int32. Written tile by tile from the label image
on disk, so that size does not matter. The same labels give the same bytes.

Standard: https://ome-model.readthedocs.io/en/stable/ome-tiff/ (OME 2016-06).
"""

from __future__ import annotations

import hashlib
import math
import uuid
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from coldchain.imaging.fieldzarr import open_level, read_region, translated
from coldchain.imaging.labelzarr import label_axes
from coldchain.imaging.naming import file_stem, in_xml
from coldchain.imaging.pyramid import Frame

if TYPE_CHECKING:
    import zarr

TIFF = "tiff"
"""Folder of a masks artifact that holds them."""

TILE = 512  # px, a side of a tile
STRIP = 4 * TILE  # rows that are read together
LARGEST = 2**16 - 1  # the largest label of uint16
PARAMETERS = {"tile": (TILE, TILE), "compression": "zlib", "photometric": "minisblack", "maxworkers": 1}
"""Deflate: every reader of TIFF knows it."""


def tiff_name(number: int, name: str, well: str | None = None, field: int = 1) -> str:
    """Return where the file of an image stands in a masks artifact: ``tiff/A01_f001.ome.tiff``, or by the image's number and name."""
    return f"{TIFF}/{file_stem(number, name, well, field)}.ome.tiff"


def write_label_tiff(labels: Path, target: Path, frame: Frame, *, name: str, largest: int) -> None:
    """Write a label image of OME-Zarr, with all its moments, planes and levels, as one OME-TIFF; `largest` is its largest label.

    Written under a temporary name first; a file that is there is replaced. Raises IntegrityError or LayoutError for labels that cannot be
    read, OutOfSpace.
    """
    import tifffile

    dtype = np.uint16 if largest <= LARGEST else np.int32
    levels = [(path, open_level(path)) for path in sorted(labels.glob("s[0-9]*"))]
    described = {**_described(frame, name), "UUID": f"urn:uuid:{_identity(levels[0][0])}"}
    part = target.with_name(target.name + ".part")
    with translated(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with tifffile.TiffWriter(part, bigtiff=_is_big(levels[0][1].shape, dtype), ome=True) as tiff:
            for level, (path, array) in enumerate(levels):
                about = {"subifds": len(levels) - 1, "metadata": described} if level == 0 else {"subfiletype": 1, "metadata": None}
                tiff.write(_tiles(array, path, dtype), shape=array.shape, dtype=dtype, **PARAMETERS, **about)
        part.replace(target)


def _is_big(shape: tuple[int, ...], dtype: DTypeLike) -> bool:
    """Whether a file may pass the 4 GB that a plain TIFF can hold, its smaller levels counted in."""
    return bool(2 * math.prod(shape) * np.dtype(dtype).itemsize > 2**32)


def _identity(level: Path) -> uuid.UUID:
    """Name a file by the labels it holds, as OME-XML wants a UUID: the same labels have the same one."""
    digest = hashlib.sha256()
    for file in sorted(path for path in level.rglob("*") if path.is_file()):
        with file.open("rb") as stream:
            digest.update(f"{file.relative_to(level)}\0{hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode())
    return uuid.uuid5(uuid.NAMESPACE_OID, digest.hexdigest())


def _described(frame: Frame, name: str) -> dict[str, Any]:
    """What OME-XML says of a label image: axes and steps."""
    sizes = {
        "PhysicalSizeZ": frame.z_step_um,
        "PhysicalSizeY": frame.pixel_size_um,
        "PhysicalSizeX": frame.pixel_size_um,
        "TimeIncrement": frame.time_step_s,
    }
    known = {key: size for key, size in sizes.items() if size is not None}
    units = {f"{key}Unit": "s" if key == "TimeIncrement" else "µm" for key in known}
    return {"axes": "".join(label_axes(frame)).upper(), "Name": in_xml(name), **known, **units}


def _tiles(array: zarr.Array[Any], path: Path, dtype: DTypeLike) -> Iterator[NDArray[Any]]:
    """Tiles of all planes, row by row; the last ones are filled up with zeros, which are no pixels of the image."""
    *lead, height, width = array.shape
    for where in product(*(range(size) for size in lead)):
        for top in range(0, height, STRIP):
            region = (slice(top, min(top + STRIP, height)), slice(0, width))
            yield from _cut(read_region(array, path, (*where, *region)).astype(dtype))


def _cut(strip: NDArray[Any]) -> Iterator[NDArray[Any]]:
    for y, x in product(range(0, strip.shape[0], TILE), range(0, strip.shape[1], TILE)):
        tile = strip[y : y + TILE, x : x + TILE]
        yield np.ascontiguousarray(np.pad(tile, [(0, TILE - side) for side in tile.shape]) if tile.shape != (TILE, TILE) else tile)
