"""OME-TIFF, of one file or of several, by tifffile (BSD-3): each series is an image.

Standard: https://ome-model.readthedocs.io/en/stable/ome-tiff/ (OME 2016-06). Its axes come from tifffile, names and sizes from its XML.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np

from coldchain.errors import ImageError, LayoutError
from coldchain.imaging.naming import name_well
from coldchain.imaging.nativetiff import refuse_absurd, refuse_truncated
from coldchain.imaging.pyramid import Plane
from coldchain.imaging.sources.source import Channel, Closing, Image, believed, moment, named, native, positive, reading

WHAT = "a whole OME-TIFF"
LEADING = ("T", "C", "Z")
METRES = {"m": 1e6, "cm": 1e4, "mm": 1e3, "µm": 1.0, "um": 1.0, "nm": 1e-3, "pm": 1e-6, "Å": 1e-4, "in": 25_400.0}
SECONDS = {"s": 1.0, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9, "min": 60.0, "h": 3600.0, "d": 86_400.0}


class OmeTiff(Closing):
    """An OME-TIFF. One plane is in memory at a time."""

    def __init__(self, path: Path) -> None:
        """Read its headers. Raises ImageError where they cannot be read, or are not true."""
        import tifffile

        self.path = path
        with reading(path, WHAT):
            self._file = tifffile.TiffFile(path)
        try:
            with reading(path, WHAT):
                self._xml = self._ome_xml()
                root = ET.fromstring(self._xml)  # noqa: S314 - expat refuses entities that grow
                self._about = root.findall("{*}Image")
                self._wells = _wells(root)
                self.parts = frozenset(
                    self._part(each.get("FileName", "")) for each in root.findall("{*}Image/{*}Pixels/{*}TiffData/{*}UUID")
                )
                self._series = [series for series in self._file.series if series.kind == "ome"] or list(self._file.series)
                self.images = tuple(believed(path, self._image(number)) for number in range(len(self._series)))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the files."""
        self._file.close()

    def _part(self, name: str) -> Path:
        """A file of the same set: one that stands beside this one, and no other."""
        if name in {"", ".", ".."} or "/" in name or "\\" in name:
            raise ImageError(
                "An OME-TIFF names a file that does not stand beside it", on=self.path, expected="a plain name", got=repr(name)
            )
        return self.path.parent / name

    def _ome_xml(self) -> str:
        if not self._file.is_ome:
            raise ImageError("Not an OME-TIFF", on=self.path, expected="OME-XML in its first page", got="none")
        return str(self._file.ome_metadata)

    def _sizes(self, number: int) -> dict[str, int]:
        series = self._series[number]
        sizes = dict(zip(series.axes, series.shape, strict=True))
        if strange := {axis for axis, size in sizes.items() if axis not in {*LEADING, "Y", "X", "S"} and size > 1}:
            raise ImageError("An image has axes that have no place here", on=self.path, expected="T, C, Z, Y, X, S", got=sorted(strange))
        return sizes

    def _image(self, number: int) -> Image:
        sizes, about = self._sizes(number), self._about[number] if number < len(self._about) else ET.Element("Image")
        pixels = about.find("{*}Pixels")
        pixels = ET.Element("Pixels") if pixels is None else pixels
        samples, count = sizes.get("S", 1), sizes.get("C", 1)
        plane = pixels.find("{*}Plane")
        well, field = self._wells.get(about.get("ID", ""), (None, 1))
        return Image(
            name=about.get("Name") or (f"{self.path.name} {number + 1}" if len(self._series) > 1 else self.path.name.partition(".")[0]),
            shape=(sizes.get("T", 1), count * samples, sizes.get("Z", 1), sizes["Y"], sizes["X"]),
            dtype=np.dtype(self._series[number].dtype).name,
            channels=_channels(pixels.findall("{*}Channel"), count, samples),
            pixel_size_um=(_size(pixels, "Z") if sizes.get("Z", 1) > 1 else None, _size(pixels, "Y"), _size(pixels, "X")),
            time_step_s=_scaled(pixels.get("TimeIncrement"), pixels.get("TimeIncrementUnit", "s"), SECONDS),
            position_um=None if plane is None else _position(plane),
            acquired_at=moment(about.findtext("{*}AcquisitionDate")),
            well=well,
            field=field,
        )

    def plane(self, image: int, t: int, c: int, z: int) -> Plane:
        """One plane; raises ImageError where it is missing, truncated or damaged."""
        series, samples = self._series[image], self._sizes(image).get("S", 1)
        where = {"T": t, "C": c // samples, "Z": z}
        lead = [(axis, size) for axis, size in zip(series.axes, series.shape, strict=True) if axis not in "YXS"]
        number = 0
        for axis, size in lead:
            number = number * size + where.get(axis, 0)
        with reading(self.path, WHAT):
            page = series.pages[number] if math.prod(size for _, size in lead) == len(series.pages) else None
            if page is None:
                raise ImageError("A plane is missing", on=f"{self.path}: {self.images[image].name}, (t, c, z) = {(t, c, z)}", got="no page")
            file = Path(page.parent.filehandle.path)
            refuse_absurd(file, page)
            refuse_truncated(file, page)
            with _opened(page):
                found = page.asarray()
        if samples > 1:
            found = np.moveaxis(found, [axis for axis in series.axes if axis in "YXS"].index("S"), 0)[c % samples]
        return native(found, self.images[image], (t, c, z))

    def metadata(self) -> Mapping[str, str]:
        """OME-XML, whole."""
        return {"ome.xml": self._xml}


@contextmanager
def _opened(page: Any) -> Iterator[None]:
    """Hold the file of a page open: tifffile closes the other files of a set once it has read their headers."""
    handle = page.parent.filehandle
    closed = handle.closed
    if closed:
        handle.open()
    try:
        yield
    finally:
        if closed:
            handle.close()


def _channels(said: Sequence[ET.Element], count: int, samples: int) -> tuple[Channel, ...]:
    if samples > 1:
        return tuple(Channel(name) for name in named([name for _ in range(count) for name in ("Red", "Green", "Blue", "Alpha")[:samples]]))
    names = named([(said[n].get("Name") or "") if n < len(said) else "" for n in range(count)])
    return tuple(Channel(name, _hex(said[n].get("Color")) if n < len(said) else None) for n, name in enumerate(names))


def _hex(colour: str | None) -> str | None:
    """RRGGBB of a colour that OME writes as a signed RGBA number."""
    try:
        return f"{int(colour) & 0xFFFFFFFF:08X}"[:6] if colour else None
    except ValueError:
        return None


def _scaled(value: str | None, unit: str, units: Mapping[str, float]) -> float | None:
    size = positive(value)
    return size * units[unit] if size and unit in units else None


def _size(pixels: ET.Element, axis: str) -> float | None:
    return _scaled(pixels.get(f"PhysicalSize{axis}"), pixels.get(f"PhysicalSize{axis}Unit", "µm"), METRES)


def _position(plane: ET.Element) -> tuple[float, float, float] | None:
    try:
        z, y, x = (float(plane.get(f"Position{axis}", "nan")) * METRES[plane.get(f"Position{axis}Unit", "µm")] for axis in "ZYX")
    except (ValueError, KeyError):
        return None
    return (0.0 if math.isnan(z) else z, y, x) if not math.isnan(y + x) else None


def _wells(root: ET.Element) -> dict[str, tuple[str, int]]:
    """The well and field of each image, where the file describes one plate."""
    plates = root.findall("{*}Plate")
    found: dict[str, tuple[str, int]] = {}
    for well in plates[0].findall("{*}Well") if len(plates) == 1 else ():
        for number, sample in enumerate(well.findall("{*}WellSample"), 1):
            image: Any = sample.find("{*}ImageRef")
            try:
                found[image.get("ID")] = (name_well(int(well.get("Row", "")) + 1, int(well.get("Column", "")) + 1), number)
            except (AttributeError, ValueError, LayoutError):
                continue  # what is not placed is no image of a plate
    return found
