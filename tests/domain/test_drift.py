"""Drift: summaries of plates, and how far a plate lies from those before it."""

from __future__ import annotations

import numpy as np
import pytest

from coldchain import drift
from coldchain.drift import Feature, Summary


def plate(number: int, shift: float = 0, scale: float = 1, wells: int = 96) -> Summary:
    """A plate of wells with one feature around 100 that varies by 10, moved by so many of these."""
    values = 100 + 10 * scale * np.random.default_rng(number).normal(size=wells) + 10 * shift
    return drift.summarise(f"PRJ-0001/P{number}", {"Nuclei_A": values})


def row(now: Summary, earlier: int = 4, least: int = 3) -> dict[str, float]:
    """How a plate compares with earlier ones that differ by chance alone."""
    (found,) = drift.compare(now, [plate(each) for each in range(earlier)], least)
    return found


def test_a_summary_keeps_quantiles_and_spread() -> None:
    """Median, spread (1.4826 times the median absolute deviation) and outer quantiles; values that are none do not count."""
    kept = drift.summarise("d", {"a": np.array([1.0, 2, 3, 4, 5, np.nan, np.inf]), "none": np.full(7, np.nan)})
    assert kept.wells == 7
    assert kept.features == {"a": Feature(quantiles=(1.2, 2, 3, 4, 4.8), spread=1.4826)}
    assert kept.features["a"].median == 3
    assert Summary.model_validate(kept.model_dump(mode="json")) == kept


def test_a_summary_is_bounded() -> None:
    """However wide a table is, so many features are kept of it."""
    wide = {f"f{n}": np.zeros(1) for n in range(drift.MOST_FEATURES + 5)}
    assert len(drift.summarise("d", wide).features) == drift.MOST_FEATURES


@pytest.mark.parametrize("seed", range(10, 20))
def test_a_plate_like_those_before_is_near(seed: int) -> None:
    """By chance a plate lies within a few robust deviations, and its distribution is like the others'."""
    found = row(plate(seed))
    assert abs(found["deviation"]) < 5
    assert found["distance"] < 0.3


@pytest.mark.parametrize("shift", [-3, 3])
def test_a_plate_that_moved_is_far(shift: float) -> None:
    """Three well-to-well deviations are far, on their own side."""
    found = row(plate(10, shift=shift))
    assert abs(found["deviation"]) > 5
    assert np.sign(found["deviation"]) == np.sign(shift)
    assert found["distance"] > 0.5


def test_a_plate_that_is_only_wider_shows_in_its_distribution() -> None:
    """The median stays, and many wells lie beyond the others' outer quantiles."""
    found = row(plate(10, scale=6))
    assert found["distance"] > 0.25
    assert abs(found["deviation"]) < 20


def test_too_few_earlier_plates_say_nothing() -> None:
    """A feature that fewer earlier plates have than are asked for has no row."""
    assert drift.compare(plate(9), [plate(1), plate(2)], 3) == []
    others = [plate(1), plate(2), drift.summarise("d", {"Nuclei_B": np.arange(9.0)})]
    assert drift.compare(plate(9), others, 3) == []


def test_plates_that_happen_to_be_alike_leave_room() -> None:
    """Where earlier medians are the same, a quarter of the spread between wells is one deviation."""
    same = [plate(1)] * 3
    moved = plate(1, shift=0.25)
    (found,) = drift.compare(moved, same, 3)
    assert found["deviation"] == pytest.approx(1, rel=0.3)


@pytest.mark.parametrize(("value", "deviation", "distance"), [(7.0, 0.0, 0.0), (7.5, 1000.0, 0.95), (6.5, -1000.0, 0.95)])
def test_a_feature_that_never_varied(value: float, deviation: float, distance: float) -> None:
    """Nothing is divided by zero: the same value is no drift, another one is the farthest."""
    flat = [drift.summarise(f"p{n}", {"a": np.full(8, 7.0)}) for n in range(3)]
    (found,) = drift.compare(drift.summarise("now", {"a": np.full(8, value)}), flat, 3)
    assert (found["deviation"], found["distance"]) == (deviation, distance)
