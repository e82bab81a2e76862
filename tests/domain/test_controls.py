"""Controls: where the plate map says they are, and whether they look like what they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from coldchain import controls
from coldchain.controls import Wells

NEGATIVES, POSITIVES = ["A01", "A02", "A03", "A04"], ["H01", "H02", "H03", "H04"]
MAP = dict.fromkeys(NEGATIVES, "negative") | dict.fromkeys(POSITIVES, "positive")


def wells(effect: float = 8, seed: int = 0, swapped: tuple[str, ...] = (), features: int = 30, noise: float = 1) -> Wells:
    """Control wells and one other; positive ones moved by `effect` deviations in a third of their features; swapped hold the other kind."""
    names = [*NEGATIVES, *POSITIVES, "C05"]
    values = noise * np.random.default_rng(seed).normal(size=(len(names), features))
    for at, name in enumerate(names):
        if (name in POSITIVES) != (name in swapped) and name != "C05":
            values[at, : features // 3] += effect
    return Wells(names, [50] * len(names), [MAP.get(name, "") for name in names], values, [f"f{n}" for n in range(features)])


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ({"control_type": "negcon"}, "negative"),
        ({"control": "Negative"}, "negative"),
        ({"control_type": "poscon_diverse"}, "positive"),
        ({"Control_Type": "POS"}, "positive"),
        ({"control_type": "trt"}, ""),
        ({"treatment": "negligible"}, ""),
        ({"control_type": "trt", "control": "neg"}, ""),
        ({"control_type": None, "control": "neg"}, "negative"),
        ({}, ""),
    ],
)
def test_a_plate_map_names_controls(values: dict[str, Any], kind: str) -> None:
    """By `control_type`, else `control`, in upper or lower case; what it says begins with neg or pos."""
    assert controls.kind_of(values) == kind
    assert controls.expected({"A01": values}) == ({"A01": kind} if kind else {})


def test_presence_tells_of_each_control_well() -> None:
    """How many nuclei it has, and how the table labels it; one that the table lacks has none."""
    there = Wells(["A01", "H01"], [7, 9], ["negative", ""], np.zeros((2, 0)))
    assert controls.presence(there, {"A01": "negative", "H01": "positive", "H02": "positive"}) == [
        {"Metadata_Well": "A01", "control": "negative", "labelled": "negative", "nuclei": 7},
        {"Metadata_Well": "H01", "control": "positive", "labelled": "", "nuclei": 9},
        {"Metadata_Well": "H02", "control": "positive", "labelled": "", "nuclei": 0},
    ]


@pytest.mark.parametrize("seed", range(5))
def test_controls_that_differ_are_apart(seed: int) -> None:
    """Negative ones lie near 0, positive ones near 1, none is swapped, and the effect is where it was put."""
    found = controls.contrast(wells(seed=seed), MAP)
    assert found is not None
    assert found.separation > 0.8
    assert found.z_prime > 0
    assert not any(row["swapped"] for row in found.rows())
    assert min(found.effect[f"f{n}"] for n in range(10)) > max(found.effect[f"f{n}"] for n in range(10, 30))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("well", ["A02", "H03"])
def test_a_swapped_well_is_found(seed: int, well: str) -> None:
    """One well that holds the other kind's treatment is named, and no other one."""
    found = controls.contrast(wells(seed=seed, swapped=(well,)), MAP)
    assert found is not None
    assert [row["Metadata_Well"] for row in found.rows() if row["swapped"]] == [well]


@pytest.mark.parametrize("seed", range(20))
def test_controls_without_an_effect_are_weak_and_not_swapped(seed: int) -> None:
    """Where nothing differs, no well is accused, and the separation says that the effect is weak."""
    found = controls.contrast(wells(effect=0, seed=seed), MAP)
    assert found is not None
    assert found.separation < controls.APART
    assert not any(row["swapped"] for row in found.rows())


def test_too_few_controls_say_nothing() -> None:
    """Three wells of each kind with nuclei are needed, and ten features."""
    full = wells()
    few = Wells(full.names, [50, 50, 0, 0, *full.nuclei[4:]], full.labels, full.features, full.feature_names)
    assert controls.contrast(few, MAP) is None
    assert controls.contrast(full, dict.fromkeys(NEGATIVES, "negative")) is None
    assert controls.contrast(wells(features=9), MAP) is None
    assert controls.contrast(wells(features=10), MAP) is not None
    assert controls.contrast(full, {well: kind for well, kind in MAP.items() if well != "H01"}) is not None


def test_features_that_are_missing_or_flat_do_not_count() -> None:
    """A feature without a value in one control well, and one that never varies, are left out."""
    full = wells()
    values = full.features.copy()
    values[0, 0], values[:, 1] = np.nan, 5
    found = controls.contrast(Wells(full.names, full.nuclei, full.labels, values, full.feature_names), MAP)
    assert found is not None
    assert {"f0", "f1"}.isdisjoint(found.effect)


def test_many_wells_that_look_wrong_are_a_weak_effect_and_no_swap() -> None:
    """Two of four wells of a kind are more than a third: which of them is labelled wrongly cannot be told."""
    found = controls.contrast(wells(swapped=("A01", "A02")), MAP)
    assert found is not None
    assert not found.swapped


def test_all_labels_swapped_show_against_earlier_plates() -> None:
    """Alone a plate cannot tell that every label is the other kind's; its effect is the opposite of that on earlier plates."""
    earlier = [found.effect for seed in range(3) if (found := controls.contrast(wells(seed=seed), MAP))]
    right, wrong = (controls.contrast(wells(seed=9, swapped=tuple(MAP) if swap else ()), MAP) for swap in (False, True))
    assert right is not None
    assert wrong is not None
    assert not any(row["swapped"] for row in wrong.rows())
    alike, opposite = (controls.direction(each.effect, earlier, 3) for each in (right, wrong))
    assert alike is not None
    assert alike > 0.7
    assert opposite is not None
    assert opposite < -0.7
    assert controls.direction(right.effect, earlier, 4) is None
    assert controls.direction(right.effect, [{"other": 1.0}] * 3, 3) is None
