"""How light is spread in every region of a plane: quartiles, edges, where its weight lies, and how two channels go together."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from coldchain.imaging.regions import Columns, Floats, Integers, Regions, sorted_pixels

SPREADS = (
    "LowerQuartileIntensity",
    "UpperQuartileIntensity",
    "MADIntensity",
    "IntegratedIntensityEdge",
    "MaxIntensityEdge",
    "MeanIntensityEdge",
    "MinIntensityEdge",
    "StdIntensityEdge",
    "MassDisplacement",
)
POINTS = ("CenterMassIntensity_X", "CenterMassIntensity_Y", "MaxIntensity_X", "MaxIntensity_Y")
PAIRS = ("Correlation_{a}_{b}", "Slope_{a}_{b}", "Overlap_{a}_{b}", "K_{a}_{b}", "K_{b}_{a}", "Manders_{a}_{b}", "Manders_{b}_{a}")

BRIGHT = 0.15  # of a region's largest value; Overlap, K and Manders count pixels above it in both channels: CellProfiler's default


def spreads(regions: Regions, plane: NDArray[Any]) -> Columns:
    """Return quartiles, median absolute deviation, edge and mass displacement of each region in one channel, in grey values and pixels.

    As CellProfiler's MeasureObjectIntensity by cp_measure: quartiles between neighbours in rank, the edge the pixels beside another
    label, all 0 where a region has no edge (one that fills its image). `MassDisplacement` is not a number where a region has no light.
    """
    if regions.count == 0:
        return dict.fromkeys(SPREADS, np.zeros(0))
    values = sorted_pixels(regions, plane).astype(np.float64)
    middle = _at_rank(regions, values, 0.5)
    away = np.abs(values - np.repeat(middle, regions.area))
    away = away[np.lexsort((away, regions.pixels[0]))]
    x, y = _mass(regions, plane)
    fx, fy = _mass(regions, np.ones_like(plane))
    return {
        "LowerQuartileIntensity": _at_rank(regions, values, 0.25),
        "UpperQuartileIntensity": _at_rank(regions, values, 0.75),
        "MADIntensity": _at_rank(regions, away, 0.5),
        **_edges(regions, plane),
        "MassDisplacement": np.hypot(x - fx, y - fy),
    }


def points(regions: Regions, plane: NDArray[Any]) -> Columns:
    """Return the centre of mass of each region's light and its brightest pixel (the first one, row by row), in pixels."""
    if regions.count == 0:
        return dict.fromkeys(POINTS, np.zeros(0))
    owner, at = regions.pixels
    values = plane.ravel()[at]
    brightest = np.maximum.reduceat(values, _starts(regions))
    top = np.flatnonzero(values == brightest[owner])
    first = top[np.unique(owner[top], return_index=True)[1]]
    y, x = np.divmod(at[first], plane.shape[1])
    return dict(zip(POINTS, (*_mass(regions, plane), x.astype(np.float64), y.astype(np.float64)), strict=True))


def _starts(regions: Regions) -> Integers:
    return np.asarray(np.cumsum(regions.area) - regions.area, np.int64)


def _at_rank(regions: Regions, ordered: Floats, share: float) -> Floats:
    """Return a quantile of each region's ordered values, by linear interpolation between ranks, as `numpy.percentile`."""
    first, rank = _starts(regions), (regions.area - 1) * share
    low = rank.astype(np.int64)
    part = rank - low
    above = np.minimum(low + 1, regions.area - 1)
    return np.asarray(ordered[first + low] * (1.0 - part) + ordered[first + above] * part, np.float64)


def _mass(regions: Regions, plane: NDArray[Any]) -> tuple[Floats, Floats]:
    owner, at = regions.pixels
    weight = plane.ravel()[at].astype(np.float64)
    y, x = np.divmod(at, plane.shape[1])
    total = np.bincount(owner, weight, regions.count)
    with np.errstate(divide="ignore", invalid="ignore"):
        return tuple(np.where(total != 0, np.bincount(owner, weight * axis, regions.count) / total, np.nan) for axis in (x, y))  # type: ignore[return-value] # always two


def _edges(regions: Regions, plane: NDArray[Any]) -> Columns:
    owner, at = regions.pixels
    on = _border(regions.plane).ravel()[at]
    owner, values = owner[on], plane.ravel()[at[on]].astype(np.float64)
    count = np.bincount(owner, minlength=regions.count)
    some = np.maximum(count, 1)
    total = np.bincount(owner, values, regions.count)
    mean = total / some
    low, high = np.full(regions.count, np.inf), np.full(regions.count, -np.inf)
    np.minimum.at(low, owner, values)
    np.maximum.at(high, owner, values)
    off = np.bincount(owner, (values - mean[owner]) ** 2, regions.count)
    return {
        "IntegratedIntensityEdge": total,
        "MaxIntensityEdge": np.where(count > 0, high, 0.0),
        "MeanIntensityEdge": mean,
        "MinIntensityEdge": np.where(count > 0, low, 0.0),
        "StdIntensityEdge": np.sqrt(off / some),
    }


def _border(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Mark pixels with another value above, below, left or right, as `skimage.segmentation.find_boundaries(mode="inner")` of regions."""
    border = np.zeros(labels.shape, bool)
    for one, two in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        other = labels[one] != labels[two]
        border[one] |= other
        border[two] |= other
    return border


def together(regions: Regions, one: NDArray[Any], two: NDArray[Any], names: tuple[str, str]) -> Columns:
    """Return how two channels go together in each region, named by :data:`PAIRS`.

    As CellProfiler's MeasureColocalization by cp_measure: Pearson's correlation and the slope of `two` over `one`; Overlap, K and
    Manders over pixels at or above 15 % of the region's largest value in both channels, 0 where there is none. Not a number where a
    channel is constant in a region (Correlation, Slope) or without light (the others).
    """
    columns = [name.format(a=names[0], b=names[1]) for name in PAIRS]
    if regions.count == 0:
        return dict.fromkeys(columns, np.zeros(0))
    owner, at = regions.pixels
    first, second = (plane.ravel()[at].astype(np.float64) for plane in (one, two))
    with np.errstate(divide="ignore", invalid="ignore"):
        return dict(zip(columns, (*_pearson(regions, first, second), *_overlap(regions, owner, first, second)), strict=True))


def _pearson(regions: Regions, first: Floats, second: Floats) -> tuple[Floats, Floats]:
    owner, count = regions.pixels[0], regions.count
    a, b = (values - (np.bincount(owner, values, count) / regions.area)[owner] for values in (first, second))
    aa, bb, ab = (np.bincount(owner, product, count) for product in (a * a, b * b, a * b))
    flat = (aa == 0) | (bb == 0)
    return np.where(flat, np.nan, ab / np.sqrt(aa * bb)), np.where(flat, np.nan, ab / aa)


def _overlap(regions: Regions, owner: Integers, first: Floats, second: Floats) -> tuple[Floats, ...]:
    count, starts = regions.count, _starts(regions)
    high = [values >= BRIGHT * np.maximum.reduceat(values, starts)[owner] for values in (first, second)]
    both = high[0] & high[1]
    of, a, b = owner[both], first[both], second[both]
    aa, bb, ab = (np.bincount(of, product, count) for product in (a * a, b * b, a * b))
    shares = [
        np.bincount(of, values[both], count) / np.bincount(owner[up], values[up], count)
        for up, values in zip(high, (first, second), strict=True)
    ]
    none = np.bincount(of, minlength=count) == 0
    return tuple(np.where(none, 0.0, values) for values in (ab / np.sqrt(aa * bb), ab / aa, ab / bb, *shares))
