"""Synthetic stacks and cells: what is drawn is what the conditions say, and the same for the same seed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from coldchain.errors import InputError
from coldchain.imaging.synthetic_cells import Look, cell_crop
from coldchain.imaging.synthetic_nuclei import Conditions
from coldchain.imaging.synthetic_stack import SMALLEST_PIECE, StackConditions, nuclei_stack

SHAPE = (24, 60, 72)


def rng(*seed: int) -> np.random.Generator:
    """Random numbers of one stream."""
    return np.random.default_rng([5, *seed])


def test_a_stack_is_the_same_for_the_same_seed() -> None:
    """Image and truth depend on nothing but the generator's state."""
    first, second, other = nuclei_stack(rng(1), SHAPE), nuclei_stack(rng(1), SHAPE), nuclei_stack(rng(2), SHAPE)
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.truth, second.truth)
    assert not np.array_equal(first.image, other.image)


@pytest.mark.parametrize("seed", range(12))
def test_labels_are_numbered_whole_pieces(seed: int) -> None:
    """Under any conditions labels are 1..n without gaps, each one connected piece that can be seen, and the image has no overflow."""
    from scipy.ndimage import label

    made = nuclei_stack(rng(seed), SHAPE)
    assert (made.image.dtype, made.truth.dtype, made.image.shape, made.truth.shape) == (np.uint16, np.int32, SHAPE, SHAPE)
    assert np.array_equal(np.unique(made.truth), np.arange(made.truth.max() + 1))
    for value in range(1, made.truth.max() + 1):
        own = made.truth == value
        assert own.sum() >= SMALLEST_PIECE
        assert label(own)[1] == 1


def test_nuclei_have_the_size_that_was_asked_for() -> None:
    """In a sparse stack the median nucleus spans the height in planes and the diameter in pixels."""
    sparse = StackConditions(diameter=20, height=9, size_spread=0.02, elongation=1.0, roughness=0, spacing=1.6, occupied=0.6)
    truth = nuclei_stack(rng(3), (48, 160, 160), conditions=sparse).truth
    edge = np.unique(np.concatenate([truth[[0, -1]].ravel(), truth[:, [0, -1]].ravel(), truth[:, :, [0, -1]].ravel()]))
    whole = [np.argwhere(truth == value) for value in range(1, truth.max() + 1) if value not in edge]
    spans = np.median([np.ptp(points, axis=0) + 1 for points in whole], axis=0)
    assert len(whole) > 10
    assert spans == pytest.approx([9, 20, 20], rel=0.2)


def test_nuclei_are_brighter_than_what_lies_between() -> None:
    """Labels lie where the light is, and blur along z is what the conditions say."""
    made = nuclei_stack(rng(4), SHAPE, conditions=StackConditions(photons=500))
    assert made.image[made.truth > 0].mean() > 1.2 * made.image[made.truth == 0].mean()
    sharp, blurred = (
        nuclei_stack(rng(4), SHAPE, conditions=StackConditions(photons=1e5, psf_z=psf)).image.astype(float) for psf in (0.3, 3.0)
    )
    assert np.abs(np.diff(blurred, axis=0)).mean() < 0.6 * np.abs(np.diff(sharp, axis=0)).mean()


@pytest.mark.parametrize("shape", [(24, 60), (4, 60, 60), (24, 60, 1000), (24.0, 60, 60)])
def test_a_shape_that_makes_no_stack_is_refused(shape: tuple[int, ...]) -> None:
    """Two axes, or a side out of range, is an InputError."""
    with pytest.raises(InputError, match="cannot have this shape"):
        nuclei_stack(rng(), shape)


def test_a_cell_stands_in_the_middle_of_its_crop() -> None:
    """The mask holds the middle, the cell is brighter than the rest, and the same seed gives the same crop."""
    quiet = Conditions(diameter=20, brightness_spread=0.0, mitotic=0.0, texture=0.0, nucleoli=0.0, photons=500)
    first, second = (cell_crop(rng(7), Look(), quiet, side=48) for _ in range(2))
    np.testing.assert_array_equal(first.image, second.image)
    assert (first.image.shape, first.mask[24, 24]) == ((48, 48), True)
    assert first.image[first.mask].mean() > 1.5 * np.median(first.image[~first.mask])


def test_a_look_changes_the_pattern() -> None:
    """Foci, a rim, grain and fibres each make the light within a cell less even than a plain one's."""
    quiet = Conditions(diameter=30, brightness_spread=0.0, mitotic=0.0, dome=0.0, nucleoli=0.0, psf=0.5, photons=1e4, read_noise=0.0)
    plain = Look(grain=0.0)

    def unevenness(look: Look) -> float:
        crop = cell_crop(rng(8), look, quiet)
        return float(np.std(crop.image[crop.mask]) / np.mean(crop.image[crop.mask]))

    looks = (replace(plain, grain=0.4), replace(plain, foci=8), replace(plain, fibres=0.6), replace(plain, rim=2.0))
    assert all(unevenness(look) > 1.2 * unevenness(plain) for look in looks)
