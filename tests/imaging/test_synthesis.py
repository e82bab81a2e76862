"""Synthetic fields and plates: the same seed gives the same pixels, and the truth is the truth."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import pytest

from coldchain.errors import InputError
from coldchain.imaging.synthesis import CHANNELS, PlateField, defects, nuclei_field, plate
from coldchain.imaging.synthetic_nuclei import SMALLEST_PIECE, Conditions, random_conditions


def field(seed: int, **asked: Any) -> tuple[np.ndarray, np.ndarray]:
    """Image and truth of one field."""
    image, truth = nuclei_field(np.random.default_rng(seed), **asked)
    return image, truth


@pytest.fixture(scope="module")
def small_plate() -> list[PlateField]:
    """A plate of 2 x 4 wells, two fields each."""
    return list(plate(seed=7, rows=2, columns=4, fields=2, shape=(128, 128)))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_same_seed_same_field(seed: int) -> None:
    """A field depends on nothing but the state of its generator."""
    for first, second in zip(field(seed), field(seed), strict=True):
        np.testing.assert_array_equal(first, second)


def test_other_seed_other_field() -> None:
    """Two seeds do not give one image."""
    assert not np.array_equal(field(1)[0], field(2)[0])


@pytest.mark.parametrize("seed", range(6))
def test_truth_is_numbered_without_gaps_and_each_nucleus_is_one_piece(seed: int) -> None:
    """Labels run from 1 to n, and each is one connected piece that is large enough to be seen."""
    from scipy.ndimage import label

    image, truth = field(seed, shape=(96, 160))
    assert (image.shape, image.dtype, truth.shape, truth.dtype) == ((96, 160), np.uint16, (96, 160), np.int32)
    assert np.array_equal(np.unique(truth), np.arange(truth.max() + 1))
    for value in range(1, truth.max() + 1):
        assert label(truth == value)[1] == 1
        assert (truth == value).sum() >= SMALLEST_PIECE


def test_nuclei_are_brighter_than_what_is_between_them() -> None:
    """The truth lies where the light is."""
    image, truth = field(3, conditions=Conditions())
    assert np.median(image[truth > 0]) > 1.5 * np.median(image[truth == 0])


def test_count_is_respected_and_none_is_an_empty_field() -> None:
    """No nucleus asked for, no label made; never more labels than nuclei asked for."""
    assert field(1, count=0)[1].max() == 0
    assert 1 <= field(1, count=5, conditions=Conditions())[1].max() <= 5


def test_overlap_is_limited_by_the_conditions() -> None:
    """Where no overlap is allowed, the nuclei of a crowd keep their whole area."""
    apart = replace(Conditions(), overlap=0.0, stacked=0.0, size_spread=0.0, clumping=0.9)
    areas = np.bincount(field(5, count=60, conditions=apart)[1].ravel())[1:]
    assert np.median(areas) == pytest.approx(np.pi / 4 * apart.diameter**2, rel=0.1)


def test_exposure_above_one_saturates_at_full_scale() -> None:
    """An overexposed field has pixels at full scale and none above."""
    bright = field(1, conditions=replace(Conditions(), exposure=1.5, full_scale=255))[0]
    assert bright.max() == 255
    assert (bright == 255).mean() > 0.0005


def test_random_conditions_vary_widely() -> None:
    """Training conditions spread over sizes, ranges of counts, and photon numbers."""
    drawn = [random_conditions(np.random.default_rng(seed)) for seed in range(60)]
    assert max(c.diameter for c in drawn) > 2.5 * min(c.diameter for c in drawn)
    assert {c.full_scale for c in drawn} == {255, 1023, 4095, 65535}
    assert max(c.photons for c in drawn) > 30 * min(c.photons for c in drawn)


@pytest.mark.parametrize("shape", [(0, 64), (31, 64), (64, 5000), (64,), (64, 64, 3), (64.0, 64), (True, 64), ("64", "64"), 64, None])
def test_absurd_shapes_are_refused(shape: Any) -> None:
    """A shape that makes no field is an InputError that says which shapes do."""
    with pytest.raises(InputError, match="expected"):
        nuclei_field(np.random.default_rng(0), shape)


@pytest.mark.parametrize("count", [-1, 10**9, 2.5, "3", True])
def test_absurd_counts_are_refused(count: Any) -> None:
    """A count that makes no field is an InputError."""
    with pytest.raises(InputError, match="count"):
        nuclei_field(np.random.default_rng(0), (64, 64), count=count)


@pytest.mark.parametrize(
    "asked",
    [{"rows": 0}, {"rows": 17}, {"columns": 0}, {"columns": 25}, {"fields": 0}, {"fields": 100}, {"seed": -1}, {"shape": (8, 8)}],
)
def test_absurd_plates_are_refused_before_the_first_field(asked: dict[str, Any]) -> None:
    """A plate that cannot be is refused when it is asked for, not when its first field is."""
    with pytest.raises(InputError):
        plate(**asked)


def test_plate_has_every_field_once_in_order(small_plate: list[PlateField]) -> None:
    """Wells come in reading order, each with all fields and all channels of one shape."""
    wells = [f"{row}{column:02d}" for row in "AB" for column in (1, 2, 3, 4)]
    assert [(f.well, f.field) for f in small_plate] == [(well, number) for well in wells for number in (1, 2)]
    for f in small_plate:
        assert tuple(f.channels) == CHANNELS
        assert {(image.shape, image.dtype) for image in f.channels.values()} == {((128, 128), np.dtype(np.uint16))}


def test_plate_is_the_same_for_the_same_seed_and_a_field_does_not_need_the_others(small_plate: list[PlateField]) -> None:
    """A second plate of that seed has the same bytes, field by field."""
    for first, second in zip(small_plate, islice(plate(seed=7, rows=2, columns=4, fields=2, shape=(128, 128)), 3), strict=False):
        assert all(np.array_equal(first.channels[name], second.channels[name]) for name in CHANNELS)
        assert np.array_equal(first.truth, second.truth)


def test_dose_lowers_the_count_and_raises_the_marker(small_plate: list[PlateField]) -> None:
    """From the control to the highest dose cells are lost and the marker rises, as the plate's description says."""
    spoilt = defects(2, 4, 2)
    good = [f for f in small_plate if (f.well, f.field) not in spoilt]
    doses = sorted({f.dose for f in good})
    count = [np.mean([f.truth.max() for f in good if f.dose == dose]) for dose in doses]
    marker = [np.mean([f.channels["Marker"][f.truth > 0].mean() for f in good if f.dose == dose]) for dose in doses]
    assert doses[0] == 0.0
    assert doses[-1] == 10.0
    assert count[0] > 1.4 * count[-1]
    assert marker == sorted(marker)
    assert {f.treatment for f in good if f.dose == 0} == {"DMSO"}


def test_each_channel_has_its_vignette() -> None:
    """The far corner of a channel is darker than its optical centre, in the median over a control column."""
    good = [f for f in plate(rows=16, columns=1, fields=1, shape=(64, 64)) if (f.well, f.field) not in defects(16, 1, 1)]
    typical = np.median([f.channels["Marker"] for f in good], axis=0)
    assert typical[:8, -8:].mean() < 0.75 * typical[32:44, 20:32].mean()


def test_one_field_is_blurred_and_one_saturated(small_plate: list[PlateField]) -> None:
    """The two spoilt fields are what `defects` calls them, and no other field is."""
    spoilt = defects(2, 4, 2)
    assert sorted(spoilt.values()) == ["out_of_focus", "saturated"]
    sharpness = {
        (f.well, f.field): np.abs(np.diff(f.channels["DNA"].astype(float), n=2)).mean() / f.channels["DNA"].std() for f in small_plate
    }
    saturated = {(f.well, f.field): (f.channels["DNA"] == 65535).mean() for f in small_plate}
    peak = {(f.well, f.field): np.percentile(f.channels["DNA"], 99) for f in small_plate}
    blurred = next(place for place, defect in spoilt.items() if defect == "out_of_focus")
    over = next(place for place, defect in spoilt.items() if defect == "saturated")
    assert min(peak, key=peak.__getitem__) == blurred
    assert sharpness[blurred] > 0
    assert saturated[over] > 0.02
    assert max(share for place, share in saturated.items() if place != over) < 0.001


def test_a_tiny_plate_has_no_defects() -> None:
    """Under four fields nothing is spoilt on purpose."""
    assert defects(1, 3, 1) == {}
    assert len(set(defects(2, 2, 1))) == 2
