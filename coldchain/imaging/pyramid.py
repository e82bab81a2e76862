"""The levels of one image: how they shrink, how they are cut into chunks, where they lie in space, how they are shown.

Codec: Blosc, zstd level 1, byte shuffle, chunks of at most 1080 x 1080. Measured on the field of the stardist package, on a 2048 x 2048
field with camera noise, and on 8-bit plate images: level 5 takes three to seven times the CPU and saves at most one part in
twenty-five (and nothing on 16-bit noise); bit shuffle is a tenth larger on 16-bit camera noise and no faster.

Standard: https://ngff.openmicroscopy.org/0.5/ (multiscales, omero).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

if TYPE_CHECKING:
    import zarr

CHUNK = 1080  # px, the longest side of a chunk: half of a common sensor (2048, 2160)
MAX_LEVELS = 4
SMALLEST_LEVEL = 128  # px, shorter side of the smallest level

Plane = NDArray[Any]


@dataclass(frozen=True)
class Frame:
    """The frame of one image: its shape (y, x), planes in z, type of pixel, and the size of a pixel.

    `shrink` says that the image is already a picture shrunk by that factor of one whose pixels have `pixel_size_um`. `t_count` is
    given for an image that is no field of a plate: it has all five axes, whatever their sizes.
    """

    shape: tuple[int, int]
    dtype: DTypeLike
    pixel_size_um: float | None
    z_count: int = 1
    shrink: int = 1
    t_count: int | None = None
    z_step_um: float | None = None
    time_step_s: float | None = None

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the axes in order: c, y, x, with z between where there is more than one plane; all five where there is a time."""
        if self.t_count is not None:
            return ("t", "c", "z", "y", "x")
        return ("c", "z", "y", "x") if self.z_count > 1 else ("c", "y", "x")

    def lead(self, channels: int) -> tuple[int, ...]:
        """Sizes of the axes before y and x."""
        sizes = {"t": self.t_count or 1, "c": channels, "z": self.z_count}
        return tuple(sizes[axis] for axis in self.axes[:-2])


def level_shapes(shape: tuple[int, int]) -> list[tuple[int, int]]:
    """Return the shapes (y, x) of a pyramid: halves until the shorter side would fall under 128 px, at most four."""
    shapes = [shape]
    while len(shapes) < MAX_LEVELS and min(shapes[-1]) // 2 >= SMALLEST_LEVEL:
        shapes.append((shapes[-1][0] // 2, shapes[-1][1] // 2))
    return shapes


def halve(plane: Plane) -> Plane:
    """Shrink a plane (y, x) by two, each pixel the rounded mean of four; an odd last row or column is left out. Keeps the type."""
    even = plane[: plane.shape[0] // 2 * 2, : plane.shape[1] // 2 * 2]
    if plane.dtype.kind == "f":
        return ((even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4).astype(plane.dtype)
    wide = np.uint16 if plane.dtype == np.uint8 else np.uint32 if plane.dtype == np.uint16 else np.int64
    rows = np.add(even[::2], even[1::2], dtype=wide)
    total = rows[:, ::2] + rows[:, 1::2]
    total += 2
    total >>= 2
    return total.astype(plane.dtype)


def create_level(
    group: zarr.Group, number: int, shape: tuple[int, ...], frame: Frame, *, axes: Sequence[str] = (), file_side: int | None = None
) -> zarr.Array[Any]:
    """Create the array of one level, empty: each plane is one file, cut into chunks inside.

    `axes` are names where they are not the last ones of the frame's. With `file_side` a wider plane is several files of at most so many
    pixels a side, so that it can be written part by part.
    """
    from zarr.codecs import BloscCodec, BloscShuffle

    sides = [_chunk_side(side) for side in shape[-2:]]
    counts = [_per_file(side, chunk, file_side) for side, chunk in zip(shape[-2:], sides, strict=True)]
    single = (1,) * (len(shape) - 2)
    return group.create_array(
        f"s{number}",
        shape=shape,
        dtype=np.dtype(frame.dtype),
        chunks=(*single, *sides),
        shards=None if counts == [1, 1] else (*single, *(n * side for n, side in zip(counts, sides, strict=True))),
        compressors=BloscCodec(cname="zstd", clevel=1, shuffle=BloscShuffle.shuffle),
        fill_value=0,
        dimension_names=tuple(axes) or frame.axes[-len(shape) :],
        config={"write_empty_chunks": True},  # a black plane is a file too: a lost one must not look like it
    )


def _per_file(side: int, chunk: int, file_side: int | None) -> int:
    """How many chunks of a side stand in one file: all, or those that fit."""
    return math.ceil(side / chunk) if file_side is None or side <= file_side else max(file_side // chunk, 1)


def _chunk_side(side: int) -> int:
    """Cut a side into equal chunks of at most 1080, so that a shard holds no padding to speak of."""
    return math.ceil(side / math.ceil(side / CHUNK))


def describe_axes(frame: Frame) -> list[dict[str, str]]:
    """Name the axes of an image with their kinds, and with micrometres and seconds where their steps are known."""

    def unit(step: float | None, name: str) -> dict[str, str]:
        return {} if step is None else {"unit": name}

    kinds = {
        "t": {"type": "time", **unit(frame.time_step_s, "second")},
        "c": {"type": "channel"},
        "z": {"type": "space", **unit(frame.z_step_um, "micrometer")},
        "y": {"type": "space", **unit(frame.pixel_size_um, "micrometer")},
        "x": {"type": "space", **unit(frame.pixel_size_um, "micrometer")},
    }
    return [{"name": axis, **kinds[axis]} for axis in frame.axes]


def place_levels(levels: int, frame: Frame, *, centred: bool) -> list[dict[str, Any]]:
    """Return the scale of each level and, where pixels are means of blocks, the shift of their centres."""
    known = {"t": frame.time_step_s or 1.0, "c": 1.0, "z": frame.z_step_um or 1.0}
    lead = [known[axis] for axis in frame.axes if axis not in "yx"] if centred else []
    pixel = 1.0 if frame.pixel_size_um is None else frame.pixel_size_um
    found = []
    for number in range(levels):
        factor = frame.shrink * 2**number
        steps: list[dict[str, Any]] = [{"type": "scale", "scale": lead + [pixel * factor] * 2}]
        if centred and factor > 1:
            steps.append({"type": "translation", "translation": [0.0] * len(lead) + [pixel * (factor - 1) / 2] * 2})
        found.append({"path": f"s{number}", "coordinateTransformations": steps})
    return found


def display_window(plane: Plane) -> tuple[float, float]:
    """Return the 1st and 99.8th percentile of a plane, in grey levels: what a viewer shows from black to full."""
    low, high = np.percentile(plane, [1, 99.8])
    return float(low), float(high)


def widen(before: tuple[float, float] | None, now: tuple[float, float]) -> tuple[float, float]:
    """Return the window that holds both."""
    return now if before is None else (min(before[0], now[0]), max(before[1], now[1]))


def describe_channels(
    names: Sequence[str], windows: Mapping[int, tuple[float, float]], dtype: DTypeLike, colours: Sequence[str | None] = ()
) -> dict[str, Any]:
    """Return NGFF's `omero` block: label, colour and display window of every channel (`windows` by its index)."""
    given = dict(enumerate(colours))
    channels = [
        {
            "label": name,
            "color": given.get(index) or _colour(name, index),
            "active": True,
            "window": _shown(windows.get(index, (0.0, 1.0)), dtype),
        }
        for index, name in enumerate(names)
    ]
    return {"channels": channels, "rdefs": {"model": "color"}}


def _shown(window: tuple[float, float], dtype: DTypeLike) -> dict[str, float]:
    """Join the range that the type can hold with what is shown of it."""
    start, end = window
    kind = np.dtype(dtype)
    low, high = (min(0.0, start), max(1.0, end)) if kind.kind == "f" else (float(np.iinfo(kind).min), float(np.iinfo(kind).max))
    return {"min": low, "max": high, "start": start, "end": end if end > start else start + 1}


_COLOURS = {
    "0000FF": ("dna", "dapi", "hoechst", "nuclei"),
    "00FF00": ("gfp", "fitc", "alexa 488", "alexa488", "er"),
    "FF0000": ("cy5", "mito", "alexa 647", "alexa647"),
    "FFBF00": ("actin", "agp", "phalloidin", "cy3", "tritc", "rfp"),
}
_PALETTE = ("FFFFFF", "00FFFF", "FF00FF", "FFFF00")


def _colour(name: str, index: int) -> str:
    named = [colour for colour, words in _COLOURS.items() if name.strip().lower() in words]
    return named[0] if named else _PALETTE[index % len(_PALETTE)]
