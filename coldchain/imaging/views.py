"""What a model is shown of an image: one channel at one moment, as a plane or as a stack, whole or in parts.

Works on fields of a plate (c, y, x) or (c, z, y, x) and on images of a collection (t, c, z, y, x). Of a stack that is to be seen as a plane
it is the middle one, in which its quality was measured too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from coldchain.errors import LayoutError
from coldchain.imaging.fieldzarr import open_level, read_region, read_scale
from coldchain.imaging.pyramid import Frame

if TYPE_CHECKING:
    import zarr

SAMPLES = 64  # places of an image that its percentiles are taken from
SAMPLED = 2**24  # px in all of them, at most

Region = tuple[slice, ...]
Window = tuple[float, float]


@dataclass(frozen=True)
class View:
    """One channel of one image at one moment; `stack` says whether all its planes are seen, or the middle one."""

    image: Path
    channel: int
    t: int = 0
    stack: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """(y, x), or (z, y, x) of a stack, in pixels."""
        return self._shape(open_level(self.image / "s0"))

    @property
    def chunk(self) -> tuple[int, int]:
        """Height and width of what is decompressed together."""
        height, width = open_level(self.image / "s0").chunks[-2:]
        return int(height), int(width)

    def read(self, level: int = 0, region: Region | None = None) -> NDArray[Any]:
        """Read the view, or a region of it. Raises LayoutError for what is not there, IntegrityError for a file that is gone or damaged."""
        array = open_level(self.image / f"s{level}")
        asked = region or tuple(slice(0, side) for side in self._shape(array))
        return read_region(array, self.image / f"s{level}", (*self._lead(array), *asked))

    def _shape(self, array: zarr.Array[Any]) -> tuple[int, ...]:
        return tuple(array.shape[-3:] if self.stack and self.depth(array) > 1 else array.shape[-2:])

    def _lead(self, array: zarr.Array[Any]) -> tuple[int, ...]:
        place = {"t": self.t, "c": self.channel, "z": self.depth(array) // 2}
        seen = 3 if len(self._shape(array)) == 3 else 2
        lead = tuple(place[axis] for axis in _axes(array)[:-seen])
        if not all(index < size for index, size in zip(lead, array.shape, strict=False)):
            raise LayoutError("The image has no such plane", on=self.image, expected=f"indices below {array.shape[:-2]}", got=lead)
        return lead

    @staticmethod
    def depth(array: zarr.Array[Any]) -> int:
        """Planes in z."""
        return int(array.shape[-3]) if "z" in _axes(array) else 1


def _axes(array: zarr.Array[Any]) -> tuple[str, ...]:
    """Names of the axes, from their number: Coldchain writes no other images."""
    named = {3: ("c", "y", "x"), 4: ("c", "z", "y", "x"), 5: ("t", "c", "z", "y", "x")}
    if array.ndim not in named:
        raise LayoutError("Not an image that Coldchain wrote", on=array.store_path, expected="three to five axes", got=array.shape)
    return named[array.ndim]


def axis_sizes(image: Path) -> dict[str, int]:
    """Read how many pixels, planes, channels and moments an image has, by the names of its axes."""
    array = open_level(image / "s0")
    return dict(zip(_axes(array), array.shape, strict=True))


def frame_at(image: Path) -> Frame:
    """Read the frame of an image with all its steps: micrometres and seconds, where they are known."""
    array, scale = open_level(image / "s0"), read_scale(image)
    sizes = axis_sizes(image)
    return Frame(
        (array.shape[-2], array.shape[-1]),
        array.dtype,
        scale.get("x"),
        z_count=sizes.get("z", 1),
        t_count=sizes.get("t"),
        z_step_um=scale.get("z"),
        time_step_s=scale.get("t"),
    )


def window(view: View, percentiles: tuple[float, float]) -> Window:
    """Return the grey values at two percentiles of a view, from places spread evenly over it: all of it where it is small.

    At most 64 places of a chunk each are read, and at most 2**24 pixels are held, so that the cost does not grow with the image.
    """
    corners = _corners(view.shape, view.chunk)
    chosen = [corners[number] for number in np.unique(np.linspace(0, len(corners) - 1, min(SAMPLES, len(corners))).round().astype(int))]
    thin = math.isqrt(max(len(chosen) * math.prod(view.chunk) // SAMPLED, 1))
    pixels = np.concatenate([view.read(region=corner)[..., ::thin, ::thin].ravel() for corner in chosen])
    low, high = (float(value) for value in np.percentile(pixels, percentiles))
    return low, high


def _corners(shape: tuple[int, ...], chunk: tuple[int, int]) -> list[Region]:
    """The places of a view, a chunk each, row by row."""
    steps = (*(1 for _ in shape[:-2]), *chunk)
    starts = product(*(range(0, size, step) for size, step in zip(shape, steps, strict=True)))
    return [tuple(slice(at, min(at + step, size)) for at, step, size in zip(start, steps, shape, strict=True)) for start in starts]
