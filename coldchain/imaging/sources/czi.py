"""Zeiss' ``.czi``, by Zeiss' own library pylibCZIrw (LGPL-3): each scene is an image.

The library composes a plane from its tiles and gives black where there is none, so what tiles there are is looked at before.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from coldchain.errors import ImageError, LayoutError
from coldchain.imaging.naming import normalise_well
from coldchain.imaging.pyramid import Plane
from coldchain.imaging.sources.source import Channel, Closing, Image, believed, moment, named, native, positive, reading

WHAT = "a whole CZI file"
TYPES = {"Gray8": "uint8", "Gray16": "uint16", "Gray32Float": "float32", "Bgr24": "uint8", "Bgr48": "uint16"}
RGB = (("Red", "FF0000", 2), ("Green", "00FF00", 1), ("Blue", "0000FF", 0))
AXES = ("T", "C", "Z")


class Czi(Closing):
    """A CZI file. One plane is in memory at a time, all its tiles composed."""

    def __init__(self, path: Path) -> None:
        """Read its headers. Raises ImageError where they cannot be read, or are not true."""
        from pylibCZIrw import czi

        self.path, self._seen = path, dict[int, set[tuple[int, ...]]]()
        with reading(path, WHAT):
            self._opened = czi.open_czi(str(path))
            self._file = self._opened.__enter__()
        try:
            with reading(path, WHAT):
                self._box = dict(self._file.total_bounding_box)
                self._xml = self._file.raw_metadata
                self._root = ET.fromstring(self._xml)  # noqa: S314 - expat refuses entities that grow
                self._scenes = dict(self._file.scenes_bounding_rectangle) or {-1: self._file.total_bounding_rectangle}
                self._look()
                self.images = tuple(believed(path, self._image(number)) for number in range(len(self._scenes)))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._opened.__exit__(None, None, None)

    def _look(self) -> None:
        """Note which planes have tiles, and refuse what has axes that have no place here."""
        strange: set[str] = set()

        def note(_number: int, tile: Any) -> bool:
            found = _coordinates(tile)
            strange.update(axis for axis, index in found.items() if axis not in {*AXES, "S", "M"} and index)
            self._seen.setdefault(found.get("S", -1), set()).add(tuple(found.get(axis, 0) for axis in AXES))
            return not strange

        self._file.enumerate_subblocks(note)
        if strange:
            raise ImageError("An image has axes that have no place here", on=self.path, expected="T, C, Z and scenes", got=sorted(strange))

    def _size(self, axis: str) -> int:
        first, last = self._box.get(axis, (0, 1))
        return int(last - first)

    def _start(self, axis: str) -> int:
        return int(self._box.get(axis, (0, 1))[0])

    @property
    def _samples(self) -> int:
        return len(RGB) if any(kind.startswith("Bgr") for kind in self._file.pixel_types.values()) else 1

    def _image(self, number: int) -> Image:
        scene = list(self._scenes)[number]
        place, kinds = self._scenes[scene], {str(kind) for kind in self._file.pixel_types.values()}
        types = {TYPES.get(kind, kind) for kind in kinds}
        if len(types) != 1:
            raise ImageError("The channels of an image differ in their type of pixel", on=self.path, got=sorted(types))
        size = {axis: positive(self._text(f".//Scaling/Items/Distance[@Id='{axis}']/Value")) for axis in "ZYX"}
        z, y, x = (size[axis] * 1e6 if size[axis] else None for axis in "ZYX")  # type: ignore[operator]  # metres
        about = self._root.find(f".//Information/Image/Dimensions/S/Scenes/Scene[@Index='{scene}']")
        name = about.get("Name") if about is not None else None
        return Image(
            name=name or (f"{self.path.stem} {number + 1}" if len(self._scenes) > 1 else self.path.stem),
            shape=(self._size("T"), self._size("C") * self._samples, self._size("Z"), int(place.h), int(place.w)),
            dtype=types.pop(),
            channels=self._channels(),
            pixel_size_um=(z if self._size("Z") > 1 else None, y, x),
            time_step_s=self._time_step(),
            position_um=_position(about),
            acquired_at=moment(self._text(".//Information/Image/AcquisitionDateAndTime")),
            well=_well(about),
            field=self._field(scene, about),
        )

    def _text(self, path: str) -> str | None:
        found = self._root.find(path)
        return found.text if found is not None else None

    def _time_step(self) -> float | None:
        return positive(self._text(".//Information/Image/Dimensions/T/Positions/Interval/Increment"))

    def _channels(self) -> tuple[Channel, ...]:
        if self._samples > 1:
            return tuple(Channel(name, colour) for name, colour, _ in RGB)
        said = self._root.findall(".//Information/Image/Dimensions/Channels/Channel")
        shown = self._root.findall(".//DisplaySetting/Channels/Channel")
        colours = [each.findtext("Color") for each in (shown or said)]
        count = self._size("C")
        names = named([(said[n].get("Name") or "") if n < len(said) else "" for n in range(count)])
        return tuple(Channel(name, _hex(colours[n] if n < len(colours) else None)) for n, name in enumerate(names))

    def _field(self, scene: int, about: ET.Element | None) -> int:
        """Which image of its well a scene is, from 1."""
        well, found = _well(about), 1
        for each in self._root.findall(".//Information/Image/Dimensions/S/Scenes/Scene"):
            if each.get("Index") == str(scene):
                break
            found += _well(each) == well
        return found

    def plane(self, image: int, t: int, c: int, z: int) -> Plane:
        """One plane; raises ImageError where it has no tiles, or they cannot be read."""
        scene, channel = list(self._scenes)[image], c // self._samples
        where = {"T": t + self._start("T"), "C": channel + self._start("C"), "Z": z + self._start("Z")}
        if tuple(where[axis] for axis in AXES) not in self._seen.get(scene, set()):
            on = f"{self.path}: {self.images[image].name}, (t, c, z) = {(t, c, z)}"
            raise ImageError("A plane is missing", on=on, expected="at least one tile", got="none", hint="was the acquisition cut off?")
        place = self._scenes[scene]
        with reading(self.path, WHAT):
            found = self._file.read(
                roi=(place.x, place.y, place.w, place.h),
                plane={axis: number for axis, number in where.items() if axis in self._box},
                scene=scene if scene >= 0 else None,
            )
        return native(found[..., RGB[c][2] if self._samples > 1 else 0], self.images[image], (t, c, z))

    def metadata(self) -> Mapping[str, str]:
        """Zeiss' own XML, whole."""
        return {"zeiss.xml": self._xml}


def _coordinates(tile: Any) -> dict[str, int]:
    """A tile's place on the axes that are no pixels."""
    return {str(axis): int(index) for axis, index in tile.coordinate.to_dict().items()}


def _position(about: ET.Element | None) -> tuple[float, float, float] | None:
    """The centre of a scene on the stage, in micrometres."""
    said = about.findtext("CenterPosition") if about is not None else None
    try:
        x, y = (float(part) for part in (said or "").split(","))
    except ValueError:
        return None
    return (0.0, y, x)


def _well(about: ET.Element | None) -> str | None:
    """The well that a scene lies in, where it is one of a plate."""
    array = about.findtext("ArrayName") if about is not None else None
    try:
        return normalise_well(array) if array else None
    except LayoutError:
        return None


def _hex(colour: str | None) -> str | None:
    """RRGGBB of a colour that Zeiss writes as #AARRGGBB."""
    found = re.fullmatch(r"#(?:[0-9A-Fa-f]{2})?([0-9A-Fa-f]{6})", colour or "")
    return found[1].upper() if found else None
