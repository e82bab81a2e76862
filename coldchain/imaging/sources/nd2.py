"""Nikon's ``.nd2``, by the library nd2 (BSD-3): each stage position is an image."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from coldchain.errors import ImageError
from coldchain.imaging.pyramid import Plane
from coldchain.imaging.sources.source import Channel, Closing, Image, believed, named, native, positive, reading

WHAT = "a whole ND2 file"
UNIX_EPOCH = 2440587.5  # as a Julian day


class Nd2(Closing):
    """An ND2 file. One frame, all its channels, is in memory at a time."""

    def __init__(self, path: Path) -> None:
        """Read its headers. Raises ImageError where they cannot be read, or are not true."""
        import nd2

        self.path = path
        with reading(path, WHAT):
            self._file = nd2.ND2File(path)
        try:
            with reading(path, WHAT):
                self.images = tuple(believed(path, self._image(position)) for position in range(self._sizes.get("P", 1)))
                self._frames = {tuple(sorted(index.items())): number for number, index in enumerate(self._file.loop_indices)}
        except BaseException:
            self.close()
            raise
        self._last: tuple[int, Plane] | None = None

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @cached_property
    def _sizes(self) -> dict[str, int]:
        sizes = dict(self._file.sizes)
        if strange := sizes.keys() - {"P", "T", "C", "Z", "Y", "X", "S"}:
            raise ImageError("An image has axes that have no place here", on=self.path, expected="P, T, C, Z, Y, X, S", got=sorted(strange))
        return sizes

    def _image(self, position: int) -> Image:
        sizes, voxel = self._sizes, self._file.voxel_size()
        found = self._file.metadata.channels or []
        names = [each.channel.name for each in found] if "S" not in sizes else ["Red", "Green", "Blue"][: sizes["S"]]
        colours = [_hex(each.channel.color) for each in found] if "S" not in sizes else ["FF0000", "00FF00", "0000FF"]
        count = sizes.get("C", 1) * sizes.get("S", 1)
        channels = named((names + [f"Ch{number}" for number in range(len(names) + 1, count + 1)])[:count])
        return Image(
            name=self._name(position),
            shape=(sizes.get("T", 1), count, sizes.get("Z", 1), sizes["Y"], sizes["X"]),
            dtype=np.dtype(self._file.dtype).name,
            channels=tuple(Channel(name, dict(enumerate(colours)).get(number)) for number, name in enumerate(channels)),
            pixel_size_um=(positive(voxel.z) if "Z" in sizes else None, positive(voxel.y), positive(voxel.x)),
            time_step_s=self._time_step(),
            position_um=self._stage(position),
            acquired_at=self._acquired(position),
        )

    def _name(self, position: int) -> str:
        points: list[Any] = next((loop.parameters.points for loop in self._file.experiment if loop.type == "XYPosLoop"), [])
        name = points[position].name if position < len(points) else None
        return name or (f"{self.path.stem} {position + 1}" if "P" in self._sizes else self.path.stem)

    def _time_step(self) -> float | None:
        loops = [loop.parameters for loop in self._file.experiment if loop.type == "TimeLoop"]
        return positive(loops[0].periodMs / 1000 or getattr(loops[0].periodDiff, "avg", 0) / 1000) if loops else None

    def _first(self, position: int) -> Any:
        """What the file says of the first frame of a position."""
        number = next(n for n, index in enumerate(self._file.loop_indices) if index.get("P", 0) == position)
        found = self._file.frame_metadata(number)
        return found.channels[0] if not isinstance(found, dict) and found.channels else None

    def _stage(self, position: int) -> tuple[float, float, float] | None:
        first = self._first(position)
        if first is None or first.position is None:
            return None
        stage = first.position.stagePositionUm
        return (float(stage.z), float(stage.y), float(stage.x))

    def _acquired(self, position: int) -> dt.datetime | None:
        first = self._first(position)
        if first is None or first.time is None:
            return None
        days = first.time.absoluteJulianDayNumber - UNIX_EPOCH
        return dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(days=days) if 0 < days < 100_000 else None

    def plane(self, image: int, t: int, c: int, z: int) -> Plane:
        """One plane; raises ImageError where its frame is missing or damaged."""
        wanted = {axis: number for axis, number in (("P", image), ("T", t), ("Z", z)) if axis in self._sizes}
        with reading(self.path, WHAT):
            frame = self._frame(self._frames[tuple(sorted(wanted.items()))])
        samples = self._sizes.get("S", 1)
        axes = ("C",) * ("C" in self._sizes) + ("Y", "X") + ("S",) * ("S" in self._sizes)
        for axis, number in (("S", c % samples), ("C", c // samples)):
            frame = frame.take(number, axis=axes.index(axis)) if axis in axes else frame
        return native(frame, self.images[image], (t, c, z))

    def _frame(self, number: int) -> Plane:
        if self._last is None or self._last[0] != number:
            if self._is_missing(number):
                raise ImageError("A frame is missing", on=self.path, expected="every frame", got=f"none of number {number}")
            self._last = (number, np.array(self._file.read_frame(number)))  # copied: the file is mapped, and will be closed
        return self._last[1]

    def _is_missing(self, number: int) -> bool:
        """Whether a frame was never written: the library would give zeros for it."""
        reader = self._file._rdr  # noqa: SLF001 - the library has no other word for it
        offsets = getattr(reader, "_frame_offsets", None)
        return offsets is not None and offsets.get(number) is None

    def metadata(self) -> Mapping[str, str]:
        """OME-XML, and what Nikon's own software wrote, as JSON."""
        with reading(self.path, WHAT):
            said = self._file.unstructured_metadata()
            return {"ome.xml": self._file.ome_metadata().to_xml(), "nikon.json": json.dumps(said, indent=1, sort_keys=True, default=str)}


def _hex(colour: Any) -> str:
    return f"{colour.r:02X}{colour.g:02X}{colour.b:02X}"
