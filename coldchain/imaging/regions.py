"""Shape and intensity of every labelled region of one plane at once, from the horizontal runs of its labels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coldchain.errors import ImageError

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
Columns = dict[str, Floats]

# Length that a border pixel stands for, by 1 + 2 * (straight neighbours) + 10 * (diagonal neighbours) on the same border:
# Benkrid, Crookes & Benkrid, "Design and FPGA implementation of a perimeter estimator", IMVIP 2000. As scikit-image's `perimeter`.
_BORDER_LENGTH = np.zeros(50)
_BORDER_LENGTH[[5, 7, 15, 17, 25, 27]] = 1.0
_BORDER_LENGTH[[21, 33]] = np.sqrt(2.0)
_BORDER_LENGTH[[13, 23]] = (1.0 + np.sqrt(2.0)) / 2.0


@dataclass(frozen=True)
class Regions:
    """The regions of a label plane as horizontal runs, sorted by region, row and column.

    ``label`` holds one label a region, ascending; ``owner`` the region of each run as a position in it; ``row``, ``start`` and ``stop`` are
    pixels, ``stop`` exclusive.
    """

    plane: NDArray[Any]
    label: Integers
    owner: Integers
    row: Integers
    start: Integers
    stop: Integers

    @property
    def count(self) -> int:
        """Return the number of regions."""
        return len(self.label)

    @cached_property
    def area(self) -> Integers:
        """Return the pixels of each region."""
        return np.bincount(self.owner, self.stop - self.start, self.count).astype(np.int64)

    @cached_property
    def box(self) -> tuple[Integers, Integers, Integers, Integers]:
        """Return the bounding boxes: first row, first column, last row + 1, last column + 1."""
        first = _firsts(self.owner)
        return (
            np.minimum.reduceat(self.row, first),
            np.minimum.reduceat(self.start, first),
            np.maximum.reduceat(self.row, first) + 1,
            np.maximum.reduceat(self.stop, first),
        )

    @cached_property
    def pixels(self) -> tuple[Integers, Integers]:
        """Return for each pixel of a region, region by region, the region's position and the pixel's place in the flattened plane."""
        length = self.stop - self.start
        within = np.arange(int(length.sum())) - np.repeat(np.cumsum(length) - length, length)
        return np.repeat(self.owner, length), np.repeat(self.row * self.plane.shape[1] + self.start, length) + within

    @cached_property
    def sequential(self) -> NDArray[np.int32]:
        """Return the plane with the regions numbered from 1 on without a gap, in the order of their labels."""
        plane = np.zeros(self.plane.shape, np.int32)
        owner, at = self.pixels
        plane.ravel()[at] = owner + 1
        return plane

    def sums(self, per_run: NDArray[Any]) -> Floats:
        """Return for each region the sum of a value given for each run."""
        return np.asarray(np.bincount(self.owner, per_run, self.count), np.float64)


def find_regions(labels: NDArray[Any]) -> Regions:
    """Return the regions of a label plane.

    Args:
        labels: (y, x) integers, 0 is background, each other value one region.

    Raises:
        ImageError: not a plane of integers; negative labels; labels larger than the plane has pixels (not sequential).
    """
    _check(labels)
    height, width = labels.shape
    ringed = np.zeros((height, width + 1), labels.dtype)
    ringed[:, :width] = labels
    flat = ringed.ravel()
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    starts, stops = np.concatenate([[0], edges]), np.concatenate([edges, [flat.size]])
    value = flat[starts].astype(np.int64)
    order = np.argsort(value, kind="stable")
    order = order[np.searchsorted(value[order], 1) :]
    label, owner = np.unique(value[order], return_inverse=True)
    row, start = np.divmod(starts[order], width + 1)
    return Regions(labels, label, owner, row, start, start + stops[order] - starts[order])


def _check(labels: NDArray[Any]) -> None:
    if labels.ndim != 2 or labels.size == 0 or labels.dtype.kind not in "iu":
        raise ImageError("labels are not a plane of whole numbers", expected="(y, x) integers", got=f"{labels.shape} {labels.dtype}")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high > labels.size:
        raise ImageError(
            "labels are not numbered from 1 upwards",
            expected=f"0 to {labels.size}",
            got=f"{low} to {high}",
            hint="renumber them, e.g. with skimage.segmentation.relabel_sequential",
        )


def _firsts(groups: Integers) -> Integers:
    """Return where each group begins in an array sorted by group."""
    return np.flatnonzero(np.diff(groups, prepend=-1))


def shapes(regions: Regions) -> Columns:
    """Return shape measures of each region, in pixels, named as CellProfiler's MeasureObjectSizeShape names them.

    The definitions are those of `skimage.measure.regionprops`; `FormFactor` is 4 * pi * area / perimeter**2 (not a number where a
    region has no perimeter, which happens below 2 pixels).
    """
    if regions.count == 0:
        return dict.fromkeys(SHAPES, np.zeros(0))
    top, left, bottom, right = regions.box
    area = regions.area.astype(np.float64)
    box_area = ((bottom - top) * (right - left)).astype(np.float64)
    around = perimeter(regions)
    convex = convex_area(regions).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        form = np.where(around > 0, 4.0 * np.pi * area / around**2, np.nan)
    return {
        "Area": area,
        "BoundingBoxArea": box_area,
        "ConvexArea": convex,
        **_ellipses(regions),
        "EquivalentDiameter": np.sqrt(4.0 * area / np.pi),
        "Extent": area / box_area,
        "FormFactor": form,
        "Perimeter": around,
        "Solidity": area / convex,
    }


SHAPES = (
    "Area",
    "BoundingBoxArea",
    "ConvexArea",
    "Eccentricity",
    "MajorAxisLength",
    "MinorAxisLength",
    "EquivalentDiameter",
    "Extent",
    "FormFactor",
    "Perimeter",
    "Solidity",
)


def centres(regions: Regions) -> tuple[Floats, Floats]:
    """Return the centroid of each region as (y, x), in pixels, the centre of the first pixel at 0."""
    length = regions.stop - regions.start
    y = regions.sums(length * regions.row) / regions.area
    x = regions.sums(length * (regions.start + regions.stop - 1) / 2.0) / regions.area
    return y, x


def poses(regions: Regions) -> Columns:
    """Return `Compactness` (perimeter**2 / (4 * pi * area)) and `Orientation` of each region, as CellProfiler by cp_measure.

    Orientation is the angle between the rows' axis and the long axis of the ellipse with the same moments, -90 to 90 degrees.
    """
    if regions.count == 0:
        return {"Compactness": np.zeros(0), "Orientation": np.zeros(0)}
    yy, xx, xy = _second_moments(regions)
    angle = np.where(yy == xx, np.where(xy > 0, np.pi / 4, -np.pi / 4), 0.5 * np.arctan2(2.0 * xy, yy - xx))
    return {"Compactness": perimeter(regions) ** 2 / (4.0 * np.pi * regions.area), "Orientation": np.degrees(angle)}


def _second_moments(regions: Regions) -> tuple[Floats, Floats, Floats]:
    """Return the central second moments yy, xx and xy a pixel, from the sums of squares of each run."""
    y, x = centres(regions)
    length = (regions.stop - regions.start).astype(np.float64)
    dy = regions.row - y[regions.owner]
    dx = (regions.start + regions.stop - 1) / 2.0 - x[regions.owner]
    yy = regions.sums(length * dy**2) / regions.area
    xx = regions.sums(length * dx**2 + length * (length**2 - 1.0) / 12.0) / regions.area
    return yy, xx, regions.sums(length * dx * dy) / regions.area


def _ellipses(regions: Regions) -> Columns:
    """Return the axes of the ellipse that has the same second central moments."""
    yy, xx, xy = _second_moments(regions)
    spread = np.sqrt(((yy - xx) / 2.0) ** 2 + xy**2)
    large = (yy + xx) / 2.0 + spread
    small = np.clip((yy + xx) / 2.0 - spread, 0.0, None)
    ratio = np.divide(small, large, out=np.ones_like(small), where=large > 0)
    return {
        "Eccentricity": np.sqrt(1.0 - ratio),
        "MajorAxisLength": 4.0 * np.sqrt(large),
        "MinorAxisLength": 4.0 * np.sqrt(small),
    }


def perimeter(regions: Regions) -> Floats:
    """Return the perimeter of each region in pixels; regions that touch are measured apart.

    A border pixel has another label or the plane's end above, below, left or right. The estimator of Benkrid & Crookes, as
    `skimage.measure.perimeter`.
    """
    plane = np.pad(regions.plane, 1)
    width = plane.shape[1]
    flat = plane.ravel()
    border = np.zeros(plane.shape, bool)
    core = plane[1:-1, 1:-1]
    beside = (plane[:-2, 1:-1], plane[2:, 1:-1], plane[1:-1, :-2], plane[1:-1, 2:])
    border[1:-1, 1:-1] = (core != beside[0]) | (core != beside[1]) | (core != beside[2]) | (core != beside[3])
    border &= plane > 0
    at = np.flatnonzero(border)
    outline = np.where(border.ravel(), flat, 0)
    own = flat[at]
    pattern = np.ones(len(at), np.int64)
    for step, weight in ((1, 2), (width, 2), (width - 1, 10), (width + 1, 10)):
        pattern += weight * ((outline[at + step] == own).astype(np.int64) + (outline[at - step] == own))
    return np.asarray(np.bincount(np.searchsorted(regions.label, own), _BORDER_LENGTH[pattern], regions.count), np.float64)


def convex_area(regions: Regions) -> Integers:
    """Return the pixels whose centres lie in the convex hull of each region, the hull drawn around the midpoints of pixel edges.

    Exact, in whole numbers, on a grid twice as fine; the definition of `skimage.morphology.convex_hull_image` with offset coordinates.
    """
    first = _firsts(regions.owner * (regions.plane.shape[0] + 1) + regions.row)
    owner, row = regions.owner[first], regions.row[first]
    last = np.append(first[1:], len(regions.row)) - 1
    top, _, bottom, _ = regions.box
    of = np.repeat(np.arange(regions.count), bottom - top)
    inside = np.arange(len(of)) - np.repeat(np.cumsum(bottom - top) - (bottom - top), bottom - top) + top[of]
    left = _hull_side(owner, row, regions.start[first], of, inside)
    right = -_hull_side(owner, row, -(regions.stop[last] - 1), of, inside)
    return np.bincount(of, right - left + 1, regions.count).astype(np.int64)


def _hull_side(owner: Integers, row: Integers, column: Integers, of: Integers, inside: Integers) -> Integers:
    """Return the first column within the hull's left side, for region ``of`` at row ``inside`` (each region's rows, in order)."""
    at, value = _lower_hull(*_edge_points(owner, row, column))
    query = _place(of, 2 * inside, row)
    after = np.searchsorted(at, query, side="right")
    rise, run = value[after] - value[after - 1], at[after] - at[after - 1]
    over = value[after - 1] * run + rise * (query - at[after - 1])
    return np.asarray(-(-over // (2 * run)), np.int64)


def _place(owner: Integers, doubled: Integers, row: Integers) -> Integers:
    """Return one number for a region and a doubled row, so that regions follow each other without touching."""
    return owner * (2 * int(row.max()) + 8) + doubled + 1


def _edge_points(owner: Integers, row: Integers, column: Integers) -> tuple[Integers, Integers, Integers]:
    """Return region, place and doubled column of the midpoints of the top, left and bottom edge of each row's first pixel."""
    at = np.concatenate([_place(owner, 2 * row + step, row) for step in (-1, 0, 1)])
    value = np.concatenate([2 * column, 2 * column - 1, 2 * column])
    order = np.lexsort((value, at))
    order = order[_firsts(at[order])]
    return np.tile(owner, 3)[order], at[order], value[order]


def _lower_hull(owner: Integers, at: Integers, value: Integers) -> tuple[Integers, Integers]:
    """Return the convex lower envelope of each region's points.

    A point on or above the line between its neighbours is no corner of the hull, whatever becomes of them: all such points go at
    once, until none is left.
    """
    while True:
        middle = (owner[1:-1] == owner[:-2]) & (owner[1:-1] == owner[2:])
        rise = (value[1:-1] - value[:-2]) * (at[2:] - at[:-2])
        keep = np.ones(len(at), bool)
        keep[1:-1] = ~(middle & (rise >= (value[2:] - value[:-2]) * (at[1:-1] - at[:-2])))
        if keep.all():
            return at, value
        owner, at, value = owner[keep], at[keep], value[keep]


def intensities(regions: Regions, plane: NDArray[Any]) -> Columns:
    """Return intensity measures of each region in one channel, in the plane's own grey values, named as CellProfiler names them.

    Args:
        regions: regions of the same plane.
        plane: (y, x) real numbers. `StdIntensity` divides by the number of pixels.

    Raises:
        ImageError: the plane has another shape than the labels.
    """
    if plane.shape != regions.plane.shape:
        raise ImageError("image and labels differ in size", expected=regions.plane.shape, got=plane.shape)
    if regions.count == 0:
        return dict.fromkeys(INTENSITIES, np.zeros(0))
    values = sorted_pixels(regions, plane)
    stop = np.cumsum(regions.area)
    first = stop - regions.area
    total = np.add.reduceat(values.astype(np.float64), first)
    mean = total / regions.area
    off = np.add.reduceat((values - np.repeat(mean, regions.area)) ** 2, first)
    low, high = values[(first + stop - 1) // 2], values[(first + stop) // 2]
    return {
        "IntegratedIntensity": total,
        "MaxIntensity": values[stop - 1].astype(np.float64),
        "MeanIntensity": mean,
        "MedianIntensity": (low.astype(np.float64) + high) / 2.0,
        "MinIntensity": values[first].astype(np.float64),
        "StdIntensity": np.sqrt(off / regions.area),
    }


INTENSITIES = ("IntegratedIntensity", "MaxIntensity", "MeanIntensity", "MedianIntensity", "MinIntensity", "StdIntensity")


def sorted_pixels(regions: Regions, plane: NDArray[Any]) -> NDArray[Any]:
    """Return the pixels of all regions, region by region, each from dark to bright."""
    owner, at = regions.pixels
    values = plane.ravel()[at]
    if values.dtype.kind == "u" and values.dtype.itemsize <= 2:  # one sort of one number is several times faster than two keys
        return np.sort((owner.astype(np.uint64) << np.uint64(16)) | values).astype(np.uint16)
    return np.asarray(values[np.lexsort((values, owner))])
