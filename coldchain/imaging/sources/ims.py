"""Bitplane's ``.ims`` (Imaris 5.5, HDF5), by h5py (BSD-3): one image, read plane by plane at full resolution.

Format: https://imaris.oxinst.com/support/imaris-file-format (Imaris 5.5). Data are padded to whole blocks; the true size is an attribute.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from coldchain.errors import ImageError
from coldchain.imaging.pyramid import Plane
from coldchain.imaging.sources.source import Channel, Closing, Image, believed, named, native, positive, reading

WHAT = "a whole Imaris file"


class Ims(Closing):
    """An Imaris file."""

    def __init__(self, path: Path) -> None:
        """Read its headers. Raises ImageError where they cannot be read, or are not true."""
        import h5py

        self.path = path
        with reading(path, WHAT):
            self._file = h5py.File(path, "r")
        try:
            with reading(path, WHAT):
                self.images = (believed(path, self._image()),)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _image(self) -> Image:
        about = self._said("Image")
        x, y, z = (int(about[axis]) for axis in "XYZ")
        level = self._file["DataSet/ResolutionLevel 0"]
        times = sum(name.startswith("TimePoint ") for name in level)
        count = sum(name.startswith("Channel ") for name in level["TimePoint 0"])
        channels = [self._said(f"Channel {number}") for number in range(count)]
        names = named([each.get("Name", "") for each in channels])
        return Image(
            name=about.get("Name") or self.path.stem,
            shape=(times, count, z, y, x),
            dtype=np.dtype(level["TimePoint 0/Channel 0/Data"].dtype).name,
            channels=tuple(Channel(name, _hex(each.get("Color"))) for name, each in zip(names, channels, strict=True)),
            pixel_size_um=(_step(about, "2", z) if z > 1 else None, _step(about, "1", y), _step(about, "0", x)),
            time_step_s=self._time_step(times),
            acquired_at=_moment(about.get("RecordingDate")),
        )

    def _said(self, group: str) -> dict[str, str]:
        """Attributes of a group below DataSetInfo, which are arrays of single characters."""
        found = self._file.get(f"DataSetInfo/{group}")
        return {} if found is None else {str(name): _text(value) for name, value in found.attrs.items()}

    def _time_step(self, times: int) -> float | None:
        about = self._said("TimeInfo")
        moments = [_moment(about.get(f"TimePoint{number}")) for number in (1, times)]
        if times < 2 or not all(moments):
            return None
        return positive((moments[1] - moments[0]).total_seconds() / (times - 1))  # type: ignore[operator]  # both are there

    def plane(self, image: int, t: int, c: int, z: int) -> Plane:
        """One plane; raises ImageError where its block is missing or cannot be decoded."""
        name, (y, x) = f"DataSet/ResolutionLevel 0/TimePoint {t}/Channel {c}/Data", self.images[image].shape[-2:]
        with reading(self.path, WHAT):
            if name not in self._file:
                raise ImageError("A plane is missing", on=f"{self.path}: (t, c, z) = {(t, c, z)}", expected=name, got="nothing")
            found = self._file[name][z, :y, :x]
        return native(found, self.images[image], (t, c, z))

    def metadata(self) -> Mapping[str, str]:
        """All attributes of DataSetInfo, as JSON."""
        with reading(self.path, WHAT):
            found: dict[str, Any] = {}
            self._file["DataSetInfo"].visit(lambda name: found.update({name: self._said(name)}))
        return {"imaris.json": json.dumps(found, indent=1, sort_keys=True)}


def _text(value: Any) -> str:
    array = np.asarray(value)
    return b"".join(array.ravel().tolist()).decode("utf-8", "replace") if array.dtype.kind == "S" else str(value)


def _step(about: Mapping[str, str], axis: str, count: int) -> float | None:
    """Size of a pixel, from the edges of the image."""
    low, high = about.get(f"ExtMin{axis}"), about.get(f"ExtMax{axis}")
    unit = {"um": 1.0, "µm": 1.0, "m": 1e6, "mm": 1e3, "nm": 1e-3}.get(about.get("Unit", "um"))
    try:
        size = positive((float(high or 0) - float(low or 0)) / count)
    except ValueError:
        return None
    return size * unit if size and unit else None


def _moment(text: str | None) -> dt.datetime | None:
    try:
        found = dt.datetime.fromisoformat((text or "")[:23])
    except ValueError:
        return None
    return found.replace(tzinfo=dt.UTC)


def _hex(colour: str | None) -> str | None:
    """RRGGBB of a colour that Imaris writes as three parts of one."""
    try:
        parts = [round(255 * min(max(float(part), 0), 1)) for part in (colour or "").split()]
    except ValueError:
        return None
    return "".join(f"{part:02X}" for part in parts) if len(parts) == 3 else None
