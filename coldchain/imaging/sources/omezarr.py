"""OME-Zarr as it comes (NGFF 0.4 and 0.5), by zarr (MIT): a single image, several of one conversion, or a plate.

Standard: https://ngff.openmicroscopy.org/0.5/. A chunk that is not there is all fill value, as Zarr says.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from coldchain.errors import ImageError
from coldchain.imaging.naming import normalise_well
from coldchain.imaging.pyramid import Plane
from coldchain.imaging.sources.source import Channel, Closing, Image, believed, named, native, positive, reading

WHAT = "a whole OME-Zarr of NGFF 0.4 or 0.5"
AXES = ("t", "c", "z", "y", "x")
MICROMETRES = {"micrometer": 1.0, "nanometer": 1e-3, "millimeter": 1e3, "meter": 1e6, "angstrom": 1e-4}
SECONDS = {"second": 1.0, "millisecond": 1e-3, "minute": 60.0, "hour": 3600.0}
SERIES = "OME"


class OmeZarr(Closing):
    """An OME-Zarr. One plane is in memory at a time, and the chunks that it lies in."""

    def __init__(self, path: Path) -> None:
        """Read its metadata. Raises ImageError where they cannot be read, or are not true."""
        import zarr

        self.path = path
        with reading(path, WHAT):
            self._root = zarr.open_group(path, mode="r")
            places = list(self._places())
            self._arrays = [self._array(place) for place, _, _ in places]
            self._axes = [[str(axis["name"]) for axis in self._multiscale(place)["axes"]] for place, _, _ in places]
            self.images = tuple(believed(path, self._image(number, *place)) for number, place in enumerate(places))

    def _said(self, place: str) -> dict[str, Any]:
        """What NGFF says of a group, of either version."""
        found = dict(self._root[place].attrs if place else self._root.attrs)
        return dict(found.get("ome", found))

    def _places(self) -> Iterator[tuple[str, str | None, int]]:
        """Where the images are: each with its well and its number there."""
        said = self._said("")
        if "plate" in said:
            for well in said["plate"]["wells"]:
                name = normalise_well(well["path"].replace("/", ""))
                for number, image in enumerate(self._said(well["path"])["well"]["images"], 1):
                    yield f"{well['path']}/{image['path']}", name, number
        elif "multiscales" in said:
            yield "", None, 1
        else:
            listed = self._said(SERIES).get("series") if SERIES in self._root else None
            names = listed or sorted((name for name in self._root.group_keys() if name.isdigit()), key=int)
            yield from ((str(name), None, 1) for name in names)

    def _multiscale(self, place: str) -> dict[str, Any]:
        return dict(self._said(place)["multiscales"][0])

    def _array(self, place: str) -> Any:
        first = self._multiscale(place)["datasets"][0]["path"]
        return self._root[f"{place}/{first}" if place else first]

    def _image(self, number: int, place: str, well: str | None, field: int) -> Image:
        array, multiscale = self._arrays[number], self._multiscale(place)
        axes = self._axes[number]
        if strange := set(axes) - set(AXES):
            raise ImageError("An image has axes that have no place here", on=f"{self.path}/{place}", expected=AXES, got=sorted(strange))
        size = dict(zip(axes, array.shape, strict=True))
        units = {axis["name"]: axis.get("unit") for axis in multiscale["axes"]}
        scale = dict(zip(axes, _scale(multiscale), strict=True))
        step = {name: positive(scale[name]) for name in axes}
        z, y, x = (_times(step.get(name), MICROMETRES.get(units.get(name) or "")) for name in "zyx")
        return Image(
            name=str(multiscale.get("name") or place or self.path.name.partition(".")[0]),
            shape=(size.get("t", 1), size.get("c", 1), size.get("z", 1), size["y"], size["x"]),
            dtype=np.dtype(array.dtype).name,
            channels=_channels(self._said(place).get("omero", {}), size.get("c", 1)),
            pixel_size_um=(z if size.get("z", 1) > 1 else None, y, x),
            time_step_s=_times(step.get("t"), SECONDS.get(units.get("t") or "")),
            well=well,
            field=field,
        )

    def plane(self, image: int, t: int, c: int, z: int) -> Plane:
        """One plane; raises ImageError where it cannot be decoded."""
        where = {"t": t, "c": c, "z": z}
        with reading(self.path, WHAT):
            found = np.asarray(self._arrays[image][tuple(where[axis] for axis in self._axes[image] if axis in where)])
        return native(found, self.images[image], (t, c, z))

    def metadata(self) -> Mapping[str, str]:
        """All attributes of the root, as JSON, and OME-XML where a conversion left it."""
        found = {"ngff.json": json.dumps(dict(self._root.attrs), indent=1, sort_keys=True, default=str)}
        xml = self.path / SERIES / "METADATA.ome.xml"
        with reading(xml, "OME-XML"):
            return found | ({"ome.xml": xml.read_text("utf-8")} if xml.is_file() else {})


def _scale(multiscale: Mapping[str, Any]) -> list[float]:
    """Scale of the full resolution: of the level, times that of all levels."""
    count = len(multiscale["axes"])
    steps = [*multiscale["datasets"][0].get("coordinateTransformations", ()), *multiscale.get("coordinateTransformations", ())]
    found = np.ones(count)
    for step in steps:
        found = found * np.asarray(step["scale"] if step["type"] == "scale" else np.ones(count), dtype=float)
    return [float(each) for each in found]


def _times(size: float | None, unit: float | None) -> float | None:
    return size * unit if size and unit else None


def _channels(omero: Mapping[str, Any], count: int) -> tuple[Channel, ...]:
    said = omero.get("channels", [])
    names = named([str(said[n].get("label") or "") if n < len(said) else "" for n in range(count)])
    return tuple(Channel(name, said[n].get("color") if n < len(said) else None) for n, name in enumerate(names))
