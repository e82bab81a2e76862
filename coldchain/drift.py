"""Drift: how far a plate's wells lie from those of earlier plates, by summaries that are kept, so that no table is read again. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
MOST_FEATURES = 2000
"""Features that a summary keeps, in the table's order."""

LEAST_SPREAD = 0.25
"""Plates may differ by so much of the spread between wells, however alike the earlier ones happened to be."""

_DIGITS = 6
_MAD = 1.4826


class Feature(BaseModel):
    """One feature over the wells of a plate: its quantiles, and its robust spread (1.4826 times the median absolute deviation)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    quantiles: tuple[float, float, float, float, float]
    spread: float = Field(ge=0)

    @property
    def median(self) -> float:
        """The middle of the wells."""
        return self.quantiles[2]


class Summary(BaseModel):
    """What is kept of a plate's wells: each feature, numbers of nuclei among them, and in which direction the controls differ."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset: str
    wells: int = Field(ge=0)
    features: dict[str, Feature]
    effect: dict[str, float] = Field(default_factory=dict, description="feature: positive less negative controls, in robust deviations")


def summarise(dataset: str, columns: Mapping[str, NDArray[np.float64]], effect: Mapping[str, float] | None = None) -> Summary:
    """Summarise the wells of a plate, each column a feature with a value a well; wells without a value do not count."""
    found: dict[str, Feature] = {}
    for name, values in list(columns.items())[:MOST_FEATURES]:
        there = values[np.isfinite(values)]
        if there.size:
            found[name] = _feature(there)
    wells = max((values.size for values in columns.values()), default=0)
    kept = {name: _short(value) for name, value in (effect or {}).items() if name in found}
    return Summary(dataset=dataset, wells=wells, features=found, effect=kept)


def _feature(values: NDArray[np.float64]) -> Feature:
    low, lower, median, upper, high = (_short(float(value)) for value in np.quantile(values, QUANTILES))
    return Feature(quantiles=(low, lower, median, upper, high), spread=_short(float(_MAD * np.median(np.abs(values - np.median(values))))))


def _short(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def compare(now: Summary, earlier: Sequence[Summary], least: int) -> list[dict[str, Any]]:
    """Hold a plate against earlier ones: a row for each feature that `least` of them have.

    `deviation` is (median - median of the earlier medians) over their robust spread, which is at least LEAST_SPREAD of that between
    wells; `distance` is the largest difference between the cumulative distributions at the kept quantiles, 0 to 1, as in a
    Kolmogorov-Smirnov test.
    """
    rows = []
    for name, feature in now.features.items():
        before = [each.features[name] for each in earlier if name in each.features]
        if len(before) >= least:
            expected = float(np.median([each.median for each in before]))
            rows.append(
                {
                    "feature": name,
                    "median": feature.median,
                    "expected": _short(expected),
                    "deviation": _short(_over(feature.median - expected, _spread(before))),
                    "distance": _short(distance(feature, _typical(before))),
                }
            )
    return rows


def _spread(before: Sequence[Feature]) -> float:
    medians = np.array([each.median for each in before])
    between = float(_MAD * np.median(np.abs(medians - np.median(medians))))
    return max(between, LEAST_SPREAD * float(np.median([each.spread for each in before])))


def _over(difference: float, spread: float) -> float:
    """How many spreads a difference is; a thousand where nothing ever varied and something does now."""
    if spread > 0:
        return difference / spread
    return 0.0 if difference == 0 else float(np.copysign(1000, difference))


def _typical(before: Sequence[Feature]) -> Feature:
    low, lower, median, upper, high = (float(value) for value in np.median([each.quantiles for each in before], axis=0))
    return Feature(quantiles=(low, lower, median, upper, high), spread=0)


def distance(one: Feature, other: Feature) -> float:
    """Largest difference of two cumulative distributions, each a line through its quantiles, looked at where either has one."""
    at = np.unique([*one.quantiles, *other.quantiles])
    if at.size == 1:
        return 0.0
    return float(np.abs(_below(one, at) - _below(other, at)).max())


def _below(feature: Feature, at: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of wells that lie below each value: 0 and 1 beyond the outer quantiles, where nothing is known."""
    values, last = np.unique(feature.quantiles), len(QUANTILES) - 1
    shares = [QUANTILES[last - feature.quantiles[::-1].index(float(value))] for value in values]
    return np.asarray(np.interp(at, values, shares, left=0.0, right=1.0))
