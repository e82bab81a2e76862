"""Measures of CellProfiler: Zernike, Feret and granularity by cp_measure, which holds its code; radial distribution as there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coldchain.imaging.regions import Columns, Floats, Integers, Regions

RINGS = 4
RADIAL = tuple(f"{name}_{{channel}}_{ring}of{RINGS}" for ring in range(1, RINGS + 1) for name in ("FracAtD", "MeanFrac", "RadialCV"))
SPECTRUM = 16
GRANULARITY = tuple(f"{size}_{{channel}}" for size in range(1, SPECTRUM + 1))
ZERNIKE = tuple(f"Zernike_{n}_{m}" for n in range(10) for m in range(n % 2, n + 1, 2))
OUTLINES = ("MinFeretDiameter", "MaxFeretDiameter", "MaximumRadius", "MeanRadius", "MedianRadius")


def outlines(regions: Regions) -> Columns:
    """Return Feret diameters and radii (distances to the outside) in pixels, and Zernike moments without a unit, of each region.

    Zernike moments are not a number for a region of one pixel.
    """
    if regions.count == 0:
        return dict.fromkeys((*OUTLINES, *ZERNIKE), np.zeros(0))
    from cp_measure.core.measureobjectsizeshape import get_feret, get_zernike

    found = {**get_feret(regions.sequential, None), **get_zernike(regions.sequential, None)}
    return {**dict(zip(OUTLINES[2:], _radii(regions), strict=True)), **{name: np.asarray(values) for name, values in found.items()}}


def _radii(regions: Regions) -> Floats:
    """Return the largest, mean and median distance of each region's pixels to the outside, as (3, regions)."""
    from scipy.ndimage import distance_transform_edt

    radii = np.zeros((3, regions.count))
    for number, (top, left, bottom, right) in enumerate(zip(*regions.box, strict=True)):
        own = np.pad(regions.sequential[top:bottom, left:right] == number + 1, 1)
        inside = distance_transform_edt(own)[own]
        radii[:, number] = inside.max(), inside.mean(), np.median(inside)
    return radii


@dataclass(frozen=True)
class Rings:
    """Where each pixel of the regions lies that is reached from its region's middle.

    ``owner`` and ``at`` are as `Regions.pixels`; ``ring`` is counted from 0 on, ``wedge`` is one of 8.
    """

    count: int
    owner: Integers
    at: Integers
    ring: Integers
    wedge: Integers


def rings_of(regions: Regions) -> Rings:
    """Divide regions into 4 rings from the middle, the pixel farthest from the outside, and 8 wedges, as CellProfiler does.

    A pixel's ring is the share of its way from the middle, within the region, in its whole way from the middle to the outside. It is
    the same in every channel: cp_measure would find it anew for each.
    """
    owner, at = regions.pixels
    share, middle = np.zeros(regions.plane.size), np.zeros(regions.count, np.int64)
    for number, box in enumerate(zip(*regions.box, strict=True)):
        middle[number] = _divide(regions, number, box, share)
    y, x = np.divmod(at, regions.plane.shape[1])
    down, right = (here - there[owner] for here, there in zip((y, x), np.divmod(middle, regions.plane.shape[1]), strict=True))
    wedge = (down > 0) + 2 * (right > 0) + 4 * (np.abs(down) > np.abs(right))
    reached = share[at] >= 0
    rings = (share[at] * RINGS).astype(np.int64)
    return Rings(regions.count, owner[reached], at[reached], rings[reached], wedge[reached].astype(np.int64))


def _divide(regions: Regions, number: int, box: tuple[Any, ...], share: Floats) -> int:
    """Write each pixel's share of the way from middle to outside, -1 where no way leads; return the middle's place in the plane."""
    from scipy.ndimage import distance_transform_edt
    from skimage.graph import MCP_Geometric

    top, left = max(int(box[0]) - 1, 0), max(int(box[1]) - 1, 0)
    own = regions.sequential[top : int(box[2]) + 1, left : int(box[3]) + 1] == number + 1
    outside = distance_transform_edt(own)
    middle = np.unravel_index(int(outside.argmax()), own.shape)
    inward, _ = MCP_Geometric(np.where(own, 1.0, -1.0)).find_costs([middle])
    y, x = np.nonzero(own)
    way, reached = inward[y, x], np.isfinite(inward[y, x])
    shares = np.where(reached, way / (np.where(reached, way, 0.0) + outside[y, x] + 0.001), -1.0)
    share[(y + top) * regions.plane.shape[1] + x + left] = shares
    return int((middle[0] + top) * regions.plane.shape[1] + middle[1] + left)


def radial(rings: Rings, plane: NDArray[Any]) -> Columns:
    """Return how light lies in the rings of each region in one channel, named by :data:`RADIAL`.

    Of each ring the share of the light, that share over the ring's share of the pixels, and the variation between the wedges (0 where
    a ring has no pixel). Not a number where a region, or for the variation a ring, has no light. As cp_measure's: of a region of
    several parts those count that the middle is reached from.
    """
    light = plane.ravel()[rings.at].astype(np.float64)
    lit, pixels = (_by_ring(rings, weight) for weight in (light, np.ones_like(light)))
    found: Columns = {}
    with np.errstate(divide="ignore", invalid="ignore"):
        share = lit / lit.sum(axis=1, keepdims=True)
        dense = share / (pixels / pixels.sum(axis=1, keepdims=True) + np.finfo(float).eps)
        for ring in range(RINGS):
            columns = (share[:, ring], dense[:, ring], _variation(rings, light, ring))
            found |= dict(zip(RADIAL[3 * ring : 3 * ring + 3], columns, strict=True))
    return found


def _by_ring(rings: Rings, weight: Floats) -> Floats:
    sums = np.bincount(rings.owner * RINGS + rings.ring, weight, rings.count * RINGS)
    return sums.reshape(rings.count, RINGS).astype(np.float64)


def _variation(rings: Rings, light: Floats, ring: int) -> Floats:
    """Return the standard deviation over the mean of the mean light of those wedges of a ring that have pixels."""
    inside = rings.ring == ring
    place = rings.owner[inside] * 8 + rings.wedge[inside]
    total, pixels = (
        np.bincount(place, weight, rings.count * 8).reshape(rings.count, 8) for weight in (light[inside], np.ones(int(inside.sum())))
    )
    some = pixels > 0
    means, count = np.where(some, total / np.maximum(pixels, 1), 0.0), some.sum(axis=1)
    mean = means.sum(axis=1) / count
    spread = np.sqrt((np.where(some, means - mean[:, None], 0.0) ** 2).sum(axis=1) / count)
    return np.asarray(np.where(count == 0, 0.0, spread / mean), np.float64)


def granularity(nuclei: Regions, cytoplasm: Regions, cells: Regions, plane: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the granular spectrum of nuclei, cytoplasms and cells, each (16, regions): percent of light in grains of each size.

    The openings of an image are the same for every compartment, and a cell's mean is that of its two parts: one pass over the plane
    gives all three, with the defaults of CellProfiler's MeasureGranularity. `cells` are those of `nuclei`, in their order.
    """
    from cp_measure.core.measuregranularity import get_granularity

    both = np.where(cytoplasm.sequential > 0, nuclei.count + cytoplasm.sequential, nuclei.sequential)
    if nuclei.count == 0 or min(plane.shape) < 8:
        return tuple(np.full((SPECTRUM, regions.count), np.nan) for regions in (nuclei, cytoplasm, cells))  # type: ignore[return-value] # three
    found = np.stack(list(get_granularity(both, plane).values()))
    start = np.maximum(np.bincount(both.ravel(), plane.ravel())[1:] / np.bincount(both.ravel())[1:], np.finfo(float).eps)
    area = np.concatenate([nuclei.area, cytoplasm.area])
    cell = np.concatenate([np.arange(nuclei.count), np.searchsorted(nuclei.label, cytoplasm.label)])
    lost = np.stack([np.bincount(cell, row * start * area, nuclei.count) for row in found])
    whole = np.bincount(cell, start * area, nuclei.count)
    return found[:, : nuclei.count], found[:, nuclei.count :], lost / whole
