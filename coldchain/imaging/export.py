"""From OME-Zarr to OME-TIFF, for programs that read nothing else: one file for each image, with its pyramid, every plane proved.

Standard: https://ome-model.readthedocs.io/en/stable/ome-tiff/ (OME 2016-06, pyramids as SubIFDs). What is exported is a hand-out, made
of what stands and easily made again; it is no copy of anything.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from coldchain.errors import InputError, IntegrityError
from coldchain.imaging.completeness import PLANES
from coldchain.imaging.convert import refuse_used
from coldchain.imaging.convert_files import NATIVE
from coldchain.imaging.fieldzarr import translated
from coldchain.imaging.imagezarr import IMAGES
from coldchain.imaging.naming import file_stem, in_xml, normalise_well
from coldchain.imaging.platezarr import PLATE
from coldchain.imaging.pyramid import Plane, halve, level_shapes
from coldchain.imaging.sources.opening import open_source
from coldchain.imaging.sources.source import Image, Source

TILE = 512  # px, a side of a tile
PARAMETERS = {"tile": (TILE, TILE), "compression": "zlib", "photometric": "minisblack"}
"""Deflate: every reader of TIFF knows it."""

Progress = Callable[[int, int], None]


def export_tiff(source: str, target: str, *, wells: Sequence[str] = (), progress: Progress | None = None) -> dict[str, Any]:
    """Write the images of a conversion in `source` as OME-TIFF files into `target`, a new folder.

    `wells` are those of a plate to export, all where it is empty. One plane is in memory at a time. `progress` is told (images done,
    images in all). Returns counts, and sizes in bytes. Raises InputError where `target` holds something or there is no such well,
    IntegrityError where a plane is not the one that was proved when it was converted, or is not read back as it was written.
    """
    folder, out = Path(source), Path(target)
    refuse_used(out)
    proven, files = _proven(folder), list[str]()
    with translated(out), open_source(_zarr(folder)) as opened:
        out.mkdir(parents=True, exist_ok=True)
        chosen = _chosen(opened.images, wells, folder)
        for done, number in enumerate(chosen, 1):
            path = out / _name(number, opened.images[number])
            digests = list(_write(opened, number, path))
            _refuse_other(proven, digests, folder, opened.images[number])
            _prove(path, digests)
            files.append(path.name)
            if progress:
                progress(done, len(chosen))
        _keep_native(folder, out)
    return {"images": len(files), "files": files[:20], "bytes_out": sum(path.stat().st_size for path in out.rglob("*") if path.is_file())}


def _zarr(folder: Path) -> Path:
    return folder / (PLATE if (folder / PLATE).is_dir() else IMAGES)


def _proven(folder: Path) -> frozenset[str]:
    """Digests of the planes that were proved against the instrument's own files."""
    try:
        with (folder / PLANES).open(encoding="utf-8", newline="") as file:
            return frozenset(row["sha256"] for row in csv.DictReader(file))
    except (OSError, KeyError, ValueError) as error:
        raise InputError("Not a conversion that Coldchain made", on=folder, expected=f"{PLANES} with digests", got=repr(error)) from error


def _chosen(images: Sequence[Image], wells: Sequence[str], folder: Path) -> list[int]:
    """Numbers of the images to export. Raises InputError for a well that there is not."""
    wanted = {normalise_well(well) for well in wells}
    there = {image.well for image in images if image.well}
    if missing := sorted(wanted - there):
        raise InputError(
            "There is no such well", on=folder, expected=", ".join(sorted(there)) or "no plate, so no wells", got=", ".join(missing)
        )
    return [number for number, image in enumerate(images) if not wanted or image.well in wanted]


def _name(number: int, image: Image) -> str:
    return f"{file_stem(number, image.name, image.well, image.field)}.ome.tif"


def _write(source: Source, number: int, path: Path) -> Iterator[str]:
    """Write an image, level by level; gives the digests of its planes in the order t, c, z."""
    import tifffile

    image = source.images[number]
    shapes, lead = level_shapes(image.shape[-2:]), image.shape[:-2]
    digests: list[str] = []

    def planes(level: int) -> Iterator[Plane]:
        for t, c, z in image.planes:
            plane = source.plane(number, t, c, z)
            if level == 0:
                digests.append(hashlib.sha256(plane.data).hexdigest())
            for _ in range(level):
                plane = halve(plane)
            yield from _tiles(plane)

    with tifffile.TiffWriter(path, bigtiff=True, ome=True) as tiff:
        for level, shape in enumerate(shapes):
            about = {"subifds": len(shapes) - 1, "metadata": _described(image)} if level == 0 else {"subfiletype": 1, "metadata": None}
            tiff.write(planes(level), shape=(*lead, *shape), dtype=image.dtype, **PARAMETERS, **about)
    yield from digests


def _tiles(plane: Plane) -> Iterator[Plane]:
    """A plane's tiles, row by row; the last ones are filled up with zeros, which are no pixels of the image."""
    for y in range(0, plane.shape[0], TILE):
        for x in range(0, plane.shape[1], TILE):
            tile = plane[y : y + TILE, x : x + TILE]
            if tile.shape != (TILE, TILE):
                tile = np.pad(tile, [(0, TILE - side) for side in tile.shape])
            yield np.ascontiguousarray(tile)


def _described(image: Image) -> dict[str, Any]:
    """What OME-XML says of an image: axes, sizes, channels."""
    z, y, x = image.pixel_size_um
    sizes = {"PhysicalSizeZ": z, "PhysicalSizeY": y, "PhysicalSizeX": x, "TimeIncrement": image.time_step_s}
    known = {name: size for name, size in sizes.items() if size is not None}
    units = {f"{name}Unit": "s" if name == "TimeIncrement" else "µm" for name in known}
    channels: dict[str, Any] = {"Name": [in_xml(channel.name) for channel in image.channels]}
    if all(channel.colour for channel in image.channels):
        channels["Color"] = [_signed(channel.colour or "") for channel in image.channels]
    name = f"{image.well} field {image.field}" if image.well else image.name
    return {"axes": "TCZYX", "Name": in_xml(name), "Channel": channels, **known, **units}


def _signed(colour: str) -> int:
    """A colour RRGGBB as OME writes it: RGBA in a signed number of 32 bits."""
    found = int(colour + "FF", 16)
    return found - (1 << 32) if found >= 1 << 31 else found


def _refuse_other(proven: frozenset[str], digests: Sequence[str], folder: Path, image: Image) -> None:
    """Raise where what was read is not what the conversion proved."""
    for where, digest in zip(image.planes, digests, strict=True):
        if digest not in proven:
            raise IntegrityError(
                "A plane is not the one that was proved when it was converted",
                on=f"{folder}: {image.name}, (t, c, z) = {where}",
                expected=f"a digest in {PLANES}",
                got=digest[:12],
                hint="verify the copy: `coldchain verify`",
            )


def _prove(path: Path, digests: Sequence[str]) -> None:
    """Read a file back, and hold each plane against what was written."""
    with open_source(path) as source:
        (image,) = source.images
        for (t, c, z), digest in zip(image.planes, digests, strict=True):
            found = hashlib.sha256(source.plane(0, t, c, z).data).hexdigest()
            if found != digest:
                raise IntegrityError(
                    "A plane read back is not the one that was written",
                    on=f"{path}, (t, c, z) = {(t, c, z)}",
                    expected=digest[:12],
                    got=found[:12],
                    hint="look at the disk",
                )


def _keep_native(folder: Path, out: Path) -> None:
    """Lay what the instrument's files said beside their pixels next to the images."""
    import shutil

    if (folder / NATIVE).is_dir():
        shutil.copytree(folder / NATIVE, out / NATIVE, copy_function=shutil.copyfile)
