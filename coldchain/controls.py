"""Controls: whether they are where the plate map says, and whether positive ones look unlike negative ones. Pure.

Each control well is placed on the line from the middle of the negative controls (0) to the middle of the positive ones (1), both without
the well itself; features in deviations within the kinds. The robust Z' (Zhang, Chung & Oldenburg, J. Biomol. Screen. 4
(1999) 67-73, with medians and 1.4826 times the median absolute deviation) is that of these places.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

KEYS = ("control_type", "control")
"""Keys of a plate map that say that a well is a control, in upper or lower case, the first one first."""

NEGATIVE, POSITIVE = "negative", "positive"
LEAST_WELLS = 3
"""Wells of each kind without which nothing is said of how they look."""

LEAST_FEATURES = 10
"""Features that have to vary for that: by fewer, wells lie with the other kind by chance."""

APART = 0.5
"""So far apart, on the line from 0 to 1, the middles of the two kinds are where labels can be said to be swapped at all."""

_BOUND = 20.0
_MAD = 1.4826
_MEAN = 1.2533


def kind_of(values: Mapping[str, Any]) -> str:
    """Which control a well of a plate map is: `negative` (neg, negcon, …), `positive` (pos, poscon, …), or nothing."""
    known = {key.lower(): str(value).strip().lower() for key, value in values.items() if value is not None}
    said = next((known[key] for key in KEYS if key in known), "")
    return next((kind for kind in (NEGATIVE, POSITIVE) if said.startswith(kind[:3])), "")


def expected(plate_map: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Control wells of a plate map, each with its kind."""
    return {well: kind for well, values in sorted(plate_map.items()) if (kind := kind_of(values))}


@dataclass(frozen=True)
class Wells:
    """A plate's wells: their names, how many nuclei each has, how the table labels each, and its features (wells, features; NaN: none)."""

    names: Sequence[str]
    nuclei: Sequence[int]
    labels: Sequence[str]
    features: NDArray[np.float64]
    feature_names: Sequence[str] = ()


def presence(wells: Wells, controls: Mapping[str, str]) -> list[dict[str, Any]]:
    """A row for each control well of the plate map: its kind, how the table labels it, and how many nuclei it has there."""
    there = {name: at for at, name in enumerate(wells.names)}
    return [
        {
            "Metadata_Well": well,
            "control": kind,
            "labelled": wells.labels[there[well]] if well in there else "",
            "nuclei": int(wells.nuclei[there[well]]) if well in there else 0,
        }
        for well, kind in controls.items()
    ]


@dataclass(frozen=True)
class Contrast:
    """How positive controls differ from negative ones: each well's place, their separation, Z', and the effect on each feature."""

    places: tuple[tuple[str, str, float], ...]
    separation: float
    z_prime: float
    effect: Mapping[str, float]

    def rows(self) -> list[dict[str, Any]]:
        """A row a control well: its place on the line, and 1 where it lies with the other kind."""
        swapped = self.swapped
        return [
            {"Metadata_Well": well, "control": kind, "place": round(place, 3), "swapped": int(well in swapped)}
            for well, kind, place in self.places
        ]

    @property
    def swapped(self) -> frozenset[str]:
        """Wells in the other kind's quarter, where the two kinds are apart without them; none where that were over a third of a kind."""
        odd = {well: kind for well, kind, place in self.places if (place > 0.75 if kind == NEGATIVE else place < 0.25)}
        rest = [(kind, place) for well, kind, place in self.places if well not in odd]
        kinds = [kind for _, kind, _ in self.places]
        many = any(3 * list(odd.values()).count(kind) > kinds.count(kind) for kind in (NEGATIVE, POSITIVE))
        if not odd or many or self.separation < APART:
            return frozenset()
        _, z_prime = _apart(np.array([place for _, place in rest]), np.array([kind for kind, _ in rest]))
        return frozenset(odd) if z_prime >= 0 else frozenset()


def contrast(wells: Wells, controls: Mapping[str, str]) -> Contrast | None:
    """How the controls differ; nothing for fewer than LEAST_WELLS of a kind, or LEAST_FEATURES that all have and that vary."""
    at = [n for n, name in enumerate(wells.names) if name in controls and wells.nuclei[n] > 0]
    kinds = np.array([controls[wells.names[n]] for n in at])
    if min(int((kinds == kind).sum()) for kind in (NEGATIVE, POSITIVE)) < LEAST_WELLS:
        return None
    values, kept = _scaled(wells.features[at], kinds)
    if kept.size < LEAST_FEATURES:
        return None
    places = [_place(values, kinds, n) for n in range(len(at))]
    separation, z_prime = _apart(np.array(places), kinds)
    effect = np.median(values[kinds == POSITIVE], axis=0) - np.median(values[kinds == NEGATIVE], axis=0)
    names = [wells.feature_names[n] for n in kept] if wells.feature_names else []
    placed = tuple((wells.names[n], str(kind), place) for n, kind, place in zip(at, kinds, places, strict=True))
    return Contrast(placed, separation, z_prime, {name: float(value) for name, value in zip(names, effect, strict=False)})


def _scaled(features: NDArray[np.float64], kinds: NDArray[np.str_]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Features that every control well has and that vary, in deviations within the kinds (1.2533 times the mean); and which they are.

    Within both kinds together, and by their mean: few wells of one kind are often alike by chance, and one such feature would decide.
    """
    complete = np.flatnonzero(np.isfinite(features).all(axis=0))
    values = features[:, complete]
    middles = {kind: np.median(values[kinds == kind], axis=0) for kind in (NEGATIVE, POSITIVE)}
    fewest = min(int((kinds == kind).sum()) for kind in middles)
    away = np.abs(values - np.where((kinds == NEGATIVE)[:, None], middles[NEGATIVE], middles[POSITIVE]))
    spread = _MEAN * away.mean(axis=0) * np.sqrt(fewest / (fewest - 1))
    varies = spread > 0
    scaled = (values[:, varies] - middles[NEGATIVE][varies]) / spread[varies]
    return np.clip(scaled, -_BOUND, _BOUND), complete[varies]


def _place(values: NDArray[np.float64], kinds: NDArray[np.str_], well: int) -> float:
    """Where a well lies between the middles of the other negative (0) and the other positive controls (1); about ½ where none differs."""
    others = np.arange(len(kinds)) != well
    start, end = (np.median(values[others & (kinds == kind)], axis=0) for kind in (NEGATIVE, POSITIVE))
    line = end - start
    length = float(line @ line)
    return float((values[well] - start) @ line / length) if length > 0 else 0.5


def _apart(places: NDArray[np.float64], kinds: NDArray[np.str_]) -> tuple[float, float]:
    """How far apart the middles of the two kinds are, and the robust Z' of their places."""
    middles = {kind: float(np.median(places[kinds == kind])) for kind in (NEGATIVE, POSITIVE)}
    spreads = sum(_MAD * float(np.median(np.abs(places[kinds == kind] - middles[kind]))) for kind in (NEGATIVE, POSITIVE))
    separation = middles[POSITIVE] - middles[NEGATIVE]
    return separation, 1 - 3 * spreads / abs(separation) if separation else -1000.0


def direction(effect: Mapping[str, float], earlier: Sequence[Mapping[str, float]], least: int) -> float | None:
    """How alike the controls' effect is to that of earlier plates: median cosine, -1 (the opposite) to 1; of `least` or more."""
    found = []
    for other in earlier:
        names = sorted(effect.keys() & other.keys())
        one, two = (np.array([each[name] for name in names]) for each in (effect, other))
        if names and (length := float(np.linalg.norm(one) * np.linalg.norm(two))) > 0:
            found.append(float(one @ two) / length)
    return float(np.median(found)) if len(found) >= least else None
