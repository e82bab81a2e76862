"""Haralick texture of every region of a plane at once: grey-level pairs of all regions are counted together, as sparse tables."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from coldchain.imaging.regions import Columns, Floats, Integers, Regions

SCALE = 3  # pixels between the two of a pair, as CellProfiler's default
LEVELS = 256  # grey levels; 0 is not counted
DIRECTIONS = ((0, 1), (1, 1), (1, 0), (1, -1))  # (y, x), numbered 00 to 03 as mahotas and CellProfiler number them

HARALICK = (
    "AngularSecondMoment",
    "Contrast",
    "Correlation",
    "Variance",
    "InverseDifferenceMoment",
    "SumAverage",
    "SumVariance",
    "SumEntropy",
    "Entropy",
    "DifferenceVariance",
    "DifferenceEntropy",
    "InfoMeas1",
    "InfoMeas2",
)
TEXTURES = tuple(f"{name}_{{channel}}_{SCALE}_{number:02d}_{LEVELS}" for number in range(len(DIRECTIONS)) for name in HARALICK)

_LEVEL = np.arange(LEVELS, dtype=np.float64)
_SUM = np.arange(2 * LEVELS - 1, dtype=np.float64)


def textures(regions: Regions, plane: NDArray[Any], white: float) -> Columns:
    """Return Haralick's 13 measures of each region in 4 directions, named by :data:`TEXTURES`.

    Args:
        regions: regions of the same plane.
        plane: (y, x) grey values, not negative.
        white: grey value that becomes level 255; levels are equal steps from 0 on.

    Not a number in all 52 where a region has no pair of pixels above level 0 in one of the directions, as in CellProfiler. Source:
    Haralick, Shanmugam & Dinstein, IEEE Transactions SMC-3, 610 (1973), with the conventions of mahotas (base 2 logarithms,
    `DifferenceVariance` as the variance of the probabilities), which cp_measure and CellProfiler use: tests hold the numbers against it.
    """
    levels = np.rint(np.clip(plane / white, 0.0, 1.0) * (LEVELS - 1)).astype(np.int64)
    brightest = _brightest(regions, levels)
    found = [_measures(*_pairs(regions, levels, step), regions.count, brightest) for step in DIRECTIONS]
    values = np.concatenate(found)
    values[:, np.isnan(values).any(axis=0)] = np.nan
    return dict(zip(TEXTURES, values, strict=True))


def _brightest(regions: Regions, levels: Integers) -> Integers:
    owner, at = regions.pixels
    brightest = np.zeros(regions.count, np.int64)
    np.maximum.at(brightest, owner, levels.ravel()[at])
    return brightest


def _pairs(regions: Regions, levels: Integers, step: tuple[int, int]) -> tuple[Integers, Integers, Integers]:
    """Return region and both levels, the lower one first, of each pair of pixels in one direction."""
    down, right = SCALE * step[0], SCALE * step[1]
    height, width = levels.shape
    here = np.s_[: max(height - down, 0), max(-right, 0) : max(width - max(right, 0), 0)]
    there = np.s_[down:, max(right, 0) : max(width + min(right, 0), 0)]
    one, two, label = levels[here], levels[there], regions.plane[here]
    together = (label > 0) & (label == regions.plane[there]) & (one > 0) & (two > 0)
    first, second = one[together], two[together]
    return np.searchsorted(regions.label, label[together]), np.minimum(first, second), np.maximum(first, second)


def _measures(owner: Integers, low: Integers, high: Integers, count: int, brightest: Integers) -> Floats:
    """Return the measures (13, regions) of one direction; each pair counts both ways round."""
    pairs = np.bincount(owner, minlength=count).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        square, entropy = _moments_of_table(owner, low, high, pairs)
        single = (_table(owner, low, count, LEVELS) + _table(owner, high, count, LEVELS)) / (2.0 * pairs[:, None])
        total = _table(owner, low + high, count, 2 * LEVELS - 1) / pairs[:, None]
        apart = _table(owner, high - low, count, LEVELS) / pairs[:, None]
        mean = single @ _LEVEL
        variance = single @ _LEVEL**2 - mean**2
        product = np.bincount(owner, low * high, count) / pairs
        correlation = np.where(variance > 0, (product - mean**2) / np.where(variance > 0, variance, 1.0), 1.0)
        average, own = total @ _SUM, _entropy(single)
        shared = np.where(own > 0, (entropy - 2 * own) / np.where(own > 0, own, 1.0), 0.0)
        rows = [
            square,
            apart @ _LEVEL**2,
            correlation,
            variance,
            apart @ (1.0 / (1.0 + _LEVEL**2)),
            average,
            total @ _SUM**2 - average**2,
            _entropy(total),
            entropy,
            (apart**2).sum(axis=1) / (brightest + 1) - 1.0 / (brightest + 1.0) ** 2,
            _entropy(apart),
            shared,
            np.sqrt(np.clip(1.0 - np.exp(-2.0 * (2 * own - entropy)), 0.0, None)),
        ]
    return np.where(pairs > 0, np.stack(rows), np.nan)


def _table(owner: Integers, level: Integers, count: int, width: int) -> Floats:
    return np.bincount(owner * width + level, minlength=count * width).reshape(count, width).astype(np.float64)


def _moments_of_table(owner: Integers, low: Integers, high: Integers, pairs: Floats) -> tuple[Floats, Floats]:
    """Return the sum of squares and the entropy of each region's table of pairs; off its diagonal each entry stands twice, as half."""
    keys, times = np.unique((owner * LEVELS + low) * LEVELS + high, return_counts=True)
    of, one, two = keys // LEVELS**2, keys // LEVELS % LEVELS, keys % LEVELS
    twice = np.where(one == two, 1.0, 2.0)
    share = times / pairs[of] / twice
    square, entropy = (np.bincount(of, weight, len(pairs)) for weight in (twice * share**2, -twice * share * np.log2(share)))
    return square.astype(np.float64), entropy.astype(np.float64)


def _entropy(shares: Floats) -> Floats:
    return np.asarray(-(shares * np.log2(np.where(shares > 0, shares, 1.0))).sum(axis=1))
