"""Leica's ``.lif``, by the library liffile (BSD-3): each image of the file, and each tile of a mosaic, is an image.

The pixels are mapped, so that memory holds one plane. A scan without y (XZ) has one row a plane; a spectrum's bands are channels.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from coldchain.errors import ImageError
from coldchain.imaging.pyramid import Plane
from coldchain.imaging.sources.source import Channel, Closing, Image, believed, named, native, positive, reading

WHAT = "a whole LIF file"
ORDER = ("M", "T", "C", "λ", "S", "Z", "Y", "X")
SAME = {"Λ": "λ"}
COLOURS = {
    "Red": "FF0000",
    "Green": "00FF00",
    "Blue": "0000FF",
    "Cyan": "00FFFF",
    "Magenta": "FF00FF",
    "Yellow": "FFFF00",
    "Gray": "FFFFFF",
}


class Lif(Closing):
    """A LIF file."""

    def __init__(self, path: Path) -> None:
        """Read its headers and map its pixels. Raises ImageError where they cannot be read, or are not true."""
        import liffile

        self.path, self.images = path, tuple[Image, ...]()
        self._views: list[Plane] = []
        with reading(path, WHAT):
            self._file = liffile.LifFile(path)
        try:
            with reading(path, WHAT):
                for found in self._file.images:
                    self._add(found)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the mapped pixels, and close the file."""
        self._views = []
        self._file.close()

    def _add(self, found: Any) -> None:
        axes = [SAME.get(axis, axis) for axis in found.dims]
        if found.is_flim or set(axes) - set(ORDER):
            raise ImageError("An image has axes that have no place here", on=f"{self.path}: {found.path}", expected=ORDER, got=found.dims)
        block = found.memory_block
        if block.size < found.nbytes or block.offset + block.size > self.path.stat().st_size:
            on = f"{self.path}: {found.path}"
            raise ImageError("A file is truncated", on=on, expected=f"{block.offset + found.nbytes} bytes", got=self.path.stat().st_size)
        view = _ordered(found.asarray(out="memmap"), axes)
        for tile in range(view.shape[0]):
            self.images += (believed(self.path, self._image(found, view, tile)),)
            self._views.append(view[tile])

    def _image(self, found: Any, view: Plane, tile: int) -> Image:
        _, t, c, bands, samples, *space = view.shape
        step = {dimension.label: dimension for dimension in found._dimensions}  # noqa: SLF001 - coordinates lack the unit
        position = found.tilescan.tiles[tile] if found.tilescan is not None and tile < len(found.tilescan) else None
        return Image(
            name=f"{found.path} {tile + 1}" if view.shape[0] > 1 else str(found.path),
            shape=(t, c * bands * samples, *space),
            dtype=found.dtype.name,
            channels=_channels(found, c, bands, samples),
            pixel_size_um=(_micrometres(step.get("Z")), _micrometres(step.get("Y")), _micrometres(step.get("X"))),
            time_step_s=_between(step.get("T")),
            position_um=None if position is None else tuple(float(position[axis]) * 1e6 for axis in ("pos_z", "pos_y", "pos_x")),  # type: ignore[arg-type]  # three
            acquired_at=_acquired(found),
        )

    def plane(self, image: int, t: int, c: int, z: int) -> Plane:
        """One plane; raises ImageError where it cannot be read."""
        view = self._views[image]
        bands, samples = view.shape[2:4]
        with reading(self.path, WHAT):
            found = np.array(view[t, c // (bands * samples), c // samples % bands, c % samples, z])  # copied: the file will be closed
        return native(found, self.images[image], (t, c, z))

    def metadata(self) -> Mapping[str, str]:
        """Leica's own XML, whole."""
        return {"leica.xml": str(self._file.xml_header())}


def _ordered(array: Plane, axes: list[str]) -> Plane:
    """The same array with every axis of ORDER, in that order."""
    present = [axis for axis in ORDER if axis in axes]
    moved = np.transpose(array, [axes.index(axis) for axis in present])
    return moved[tuple(slice(None) if axis in axes else np.newaxis for axis in ORDER)]


def _channels(found: Any, count: int, bands: int, samples: int) -> tuple[Channel, ...]:
    if samples > 1:
        names = [f"{name} {c + 1}" if count > 1 else name for c in range(count) for name in ("Red", "Green", "Blue", "Alpha")[:samples]]
        return tuple(Channel(name, COLOURS.get(name)) for name in named(names))
    luts = [str(each.lut_name) for each in found._channels]  # noqa: SLF001 - the library has no other word for it
    names = [(luts[c] if c < len(luts) else "") + (f" band {band + 1}" if bands > 1 else "") for c in range(count) for band in range(bands)]
    plain = [luts[c] if c < len(luts) else "" for c in range(count) for _ in range(bands)]
    return tuple(Channel(name, COLOURS.get(lut)) for name, lut in zip(named(names), plain, strict=True))


def _between(dimension: Any) -> float | None:
    """Distance of two elements, in the dimension's unit."""
    if dimension is None or dimension.number_elements < 2:
        return None
    return positive(abs(dimension.length) / (dimension.number_elements - 1))


def _micrometres(dimension: Any) -> float | None:
    found = _between(dimension)
    return found * 1e6 if found is not None and dimension.unit == "m" else None


def _acquired(found: Any) -> dt.datetime | None:
    stamps = found.timestamps
    if stamps is None or not len(stamps):
        return None
    return dt.datetime.fromtimestamp(int(stamps[0].astype("int64")) / 1000, dt.UTC)
