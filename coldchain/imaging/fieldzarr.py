"""One field of view on disk: its planes are written one by one, and read back from their files.

Images and labels of NGFF 0.5; ome-zarr-py writes the metadata, planes stream through zarr.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

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

    def __init__(self, path: str | Path, channels: Sequence[str], frame: Frame) -> None:
        """Lay out the levels below `path`. Raises InputError where the field is there already."""
        self.path, self.channels, self.frame = Path(path), tuple(channels), frame
        if (self.path / "zarr.json").exists():
            raise InputError("A field is written once", on=self.path, got="it is there already")
        self._windows: dict[int, tuple[float, float]] = {}
        with translated(self.path):
            self._group, self._levels = self._create()

    def _create(self) -> tuple[zarr.Group, list[zarr.Array[Any]]]:
        import zarr

        group = zarr.create_group(self.path)
        depth = (self.frame.z_count,) if self.frame.z_count > 1 else ()
        lead = (len(self.channels), *depth)
        return group, [create_level(group, n, lead + s, self.frame) for n, s in enumerate(level_shapes(self.frame.shape))]

    def write(self, plane: Plane, channel: int, z: int = 0) -> None:
        """Write one plane (y, x) and its smaller levels. Raises ImageError where its shape or type is not the frame's."""
        self._refuse_other(plane)
        where = self._where(channel, z)
        small = plane
        with translated(self.path):
            for number, level in enumerate(self._levels):
                small = halve(small) if number else small
                level[tuple(slice(index, index + 1) for index in where)] = small[(None,) * len(where)]  # a whole shard, uncopied
        self._windows[channel] = widen(self._windows.get(channel), display_window(small))

    def read(self, channel: int, z: int = 0) -> Plane:
        """Read one plane (y, x) back from the file that was written."""
        return read_whole(self._levels[0], self.path / "s0", self._where(channel, z))

    def close(self) -> None:
        """Write the metadata that makes the planes an image: scales, axes, colours and display windows."""
        from ome_zarr.writer import write_multiscales_metadata

        with translated(self.path):
            write_multiscales_metadata(
                self._group,
                datasets=place_levels(len(self._levels), self.frame, centred=True),
                axes=describe_axes(self.frame),
                name=self.path.name,
                metadata={"omero": describe_channels(self.channels, self._windows, self.frame.dtype)},
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()

    def _where(self, channel: int, z: int) -> tuple[int, ...]:
        if not (0 <= channel < len(self.channels) and 0 <= z < self.frame.z_count):
            raise ImageError(
                "No such plane", on=self.path, expected=f"{len(self.channels)} channels, {self.frame.z_count} z", got=(channel, z)
            )
        return (channel, z) if self.frame.z_count > 1 else (channel,)

    def _refuse_other(self, plane: Plane) -> None:
        if plane.shape != self.frame.shape or plane.dtype != np.dtype(self.frame.dtype):
            expected = f"{self.frame.shape} {np.dtype(self.frame.dtype)}"
            raise ImageError("Planes of one field differ", on=self.path, expected=expected, got=f"{plane.shape} {plane.dtype}")


def open_level(path: Path) -> zarr.Array[Any]:
    """Open the array of one level to read it. Raises LayoutError where there is none."""
    import zarr

    try:
        return zarr.open_array(path, mode="r", zarr_format=3)
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise LayoutError("No such image", on=path, expected="a Zarr array", got=repr(exc)) from exc


def read_whole(array: zarr.Array[Any], path: Path, where: tuple[int, ...]) -> Plane:
    """Read one plane; its file must be there, because Zarr would silently give zeros for a lost one."""
    file = path.joinpath("c", *map(str, (*where, 0, 0)))
    if not file.is_file():
        raise IntegrityError("The file of a plane is gone", on=file, expected="a file", got="nothing", hint="verify the copy, or recall it")
    try:
        return np.asarray(array[where] if where else array[:])
    except (RuntimeError, ValueError, OSError) as exc:
        raise IntegrityError("A plane cannot be decoded", on=file, got=repr(exc), hint="verify the copy, or recall it") from exc


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
