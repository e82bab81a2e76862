"""One field of view on disk: its planes are written one by one, and read back from their files.

Images and labels of NGFF 0.5; ome-zarr-py writes the metadata, planes stream through zarr.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from coldchain.errors import ImageError, InputError, IntegrityError, LayoutError, OutOfSpace
from coldchain.imaging.pyramid import (
    Frame,
    Plane,
    create_level,
    describe_axes,
    describe_channels,
    display_window,
    halve,
    level_shapes,
    place_levels,
    widen,
)

if TYPE_CHECKING:
    import zarr


class FieldWriter:
    """Writes one field plane by plane, so that memory holds one plane whatever the size of the plate."""

    def __init__(self, path: str | Path, channels: Sequence[str], frame: Frame, colours: Sequence[str | None] = ()) -> None:
        """Lay out the levels below `path`. Raises InputError where the field is there already."""
        self.path, self.channels, self.frame, self.colours = Path(path), tuple(channels), frame, tuple(colours)
        if (self.path / "zarr.json").exists():
            raise InputError("A field is written once", on=self.path, got="it is there already")
        self._windows: dict[int, tuple[float, float]] = {}
        with translated(self.path):
            self._group, self._levels = self._create()

    def _create(self) -> tuple[zarr.Group, list[zarr.Array[Any]]]:
        import zarr

        group = zarr.create_group(self.path)
        lead = self.frame.lead(len(self.channels))
        return group, [create_level(group, n, lead + s, self.frame) for n, s in enumerate(level_shapes(self.frame.shape))]

    def write(self, plane: Plane, channel: int, z: int = 0, t: int = 0) -> None:
        """Write one plane (y, x) and its smaller levels. Raises ImageError where its shape or type is not the frame's."""
        self._refuse_other(plane)
        where = self._where(channel, z, t)
        small = plane
        with translated(self.path):
            for number, level in enumerate(self._levels):
                small = halve(small) if number else small
                level[tuple(slice(index, index + 1) for index in where)] = small[(None,) * len(where)]  # a whole shard, uncopied
        self._windows[channel] = widen(self._windows.get(channel), display_window(small))

    def read(self, channel: int, z: int = 0, t: int = 0) -> Plane:
        """Read one plane (y, x) back from the file that was written."""
        return read_whole(self._levels[0], self.path / "s0", self._where(channel, z, t))

    def close(self) -> None:
        """Write the metadata that makes the planes an image: scales, axes, colours and display windows."""
        from ome_zarr.writer import write_multiscales_metadata

        with translated(self.path):
            write_multiscales_metadata(
                self._group,
                datasets=place_levels(len(self._levels), self.frame, centred=True),
                axes=describe_axes(self.frame),
                name=self.path.name,
                metadata={"omero": describe_channels(self.channels, self._windows, self.frame.dtype, self.colours)},
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()

    def _where(self, channel: int, z: int, t: int) -> tuple[int, ...]:
        times = self.frame.t_count or 1
        if not (0 <= channel < len(self.channels) and 0 <= z < self.frame.z_count and 0 <= t < times):
            expected = f"{len(self.channels)} channels, {self.frame.z_count} z, {times} t"
            raise ImageError("No such plane", on=self.path, expected=expected, got=(channel, z, t))
        place = {"t": t, "c": channel, "z": z}
        return tuple(place[axis] for axis in self.frame.axes[:-2])

    def _refuse_other(self, plane: Plane) -> None:
        if plane.shape != self.frame.shape or plane.dtype != np.dtype(self.frame.dtype):
            expected = f"{self.frame.shape} {np.dtype(self.frame.dtype)}"
            raise ImageError("Planes of one field differ", on=self.path, expected=expected, got=f"{plane.shape} {plane.dtype}")


def attributes_of(group: Path) -> dict[str, Any]:
    """Attributes of a Zarr v3 group; raises LayoutError where there is none."""
    try:
        attributes = json.loads((group / "zarr.json").read_text("utf-8"))["attributes"]
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise LayoutError("Not an OME-Zarr group", on=group, expected="a readable zarr.json", got=repr(exc)) from exc
    if not isinstance(attributes, dict):
        raise LayoutError("Not an OME-Zarr group", on=group, expected="attributes in zarr.json", got=type(attributes).__name__)
    return attributes


def open_level(path: Path) -> zarr.Array[Any]:
    """Open the array of one level to read it. Raises LayoutError where there is none."""
    import zarr

    try:
        return zarr.open_array(path, mode="r", zarr_format=3)
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise LayoutError("No such image", on=path, expected="a Zarr array", got=repr(exc)) from exc


def read_whole(array: zarr.Array[Any], path: Path, where: tuple[int, ...]) -> Plane:
    """Read one plane; its file must be there, because Zarr would silently give zeros for a lost one."""
    return read_region(array, path, (*where, *(slice(0, side) for side in array.shape[len(where) :])))


def read_region(array: zarr.Array[Any], path: Path, where: tuple[int | slice, ...]) -> NDArray[Any]:
    """Read a part of an array, an index or a slice (start and stop given) for each axis; each file that holds some of it must be there.

    Of a file only the chunks that are asked for are read. Raises IntegrityError for a file that is gone or cannot be decoded.
    """
    for file in _files(array, path, where):
        if not file.is_file():
            raise IntegrityError(
                "The file of a plane is gone", on=file, expected="a file", got="nothing", hint="verify the copy, or recall it"
            )
    try:
        return np.asarray(array[where])
    except (RuntimeError, ValueError, OSError) as exc:
        raise IntegrityError("A plane cannot be decoded", on=file, got=repr(exc), hint="verify the copy, or recall it") from exc


def _files(array: zarr.Array[Any], path: Path, where: tuple[int | slice, ...]) -> list[Path]:
    """The files that hold a part of an array."""
    sides = array.shards or array.chunks
    spans = [(at.start, at.stop) if isinstance(at, slice) else (at, at + 1) for at in where]
    cells = [range(start // side, -(-stop // side)) for (start, stop), side in zip(spans, sides, strict=True)]
    return [path.joinpath("c", *map(str, cell)) for cell in product(*cells)]


def read_scale(path: str | Path) -> dict[str, float]:
    """Read the steps of an image's axes at full size, by their names: micrometres in space, seconds in time, where the units say so."""
    known = {"micrometer", "second"}
    try:
        multiscale = attributes_of(Path(path))["ome"]["multiscales"][0]
        steps = multiscale["datasets"][0]["coordinateTransformations"][0]["scale"]
        return {axis["name"]: float(step) for axis, step in zip(multiscale["axes"], steps, strict=True) if axis.get("unit") in known}
    except (ValueError, KeyError, TypeError, IndexError) as exc:
        raise LayoutError("Not an OME-Zarr image", on=path, expected="multiscales in zarr.json", got=repr(exc)) from exc


def read_frame(path: str | Path, pixel_size_um: float | None) -> Frame:
    """Read the frame of a written field. Raises LayoutError where there is no image (c, y, x) or (c, z, y, x)."""
    array = open_level(Path(path) / "s0")
    if array.ndim not in {3, 4}:
        raise LayoutError("Not an image of a plate", on=path, expected="(c, y, x) or (c, z, y, x)", got=array.shape)
    return Frame((array.shape[-2], array.shape[-1]), array.dtype, pixel_size_um, z_count=array.shape[1] if array.ndim == 4 else 1)


@contextmanager
def translated(on: Path) -> Iterator[None]:
    """Translate what a file system says while an image is written: a full disk is OutOfSpace, another OSError keeps its own words."""
    try:
        yield
    except OSError as exc:
        if exc.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise OutOfSpace("No space left while an image was written", on=on, got=str(exc), hint="free space, then run again") from exc
        raise
