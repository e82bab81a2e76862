"""Texture of all regions at once: the numbers of cp_measure, which are CellProfiler's."""

from __future__ import annotations

import numpy as np
import pytest

from coldchain.imaging.regions import find_regions
from coldchain.imaging.texture import textures
from tests.imaging.shapes import crowded_labels


@pytest.mark.parametrize("seed", [1, 2])
def test_textures_are_those_of_cp_measure(seed: int) -> None:
    """Every measure in every direction is cp_measure's, for touching, ragged and cut regions, and not a number for the same ones."""
    from cp_measure.core.measuretexture import get_texture

    labels = find_regions(crowded_labels(seed)).sequential
    rng = np.random.default_rng(seed)
    plane = rng.integers(0, 4000, labels.shape).astype(np.uint16)
    plane[:60] //= 40  # dark regions, in which level 0 occurs
    last = labels.max()
    labels[95:125, 95:125] = 0
    labels[100, 100], labels[105:120, 110] = last + 1, last + 2  # one pixel, and a line without a pair beside each other
    wanted = get_texture(labels, plane / 4095.0)
    got = textures(find_regions(labels), plane, 4095.0)
    assert len(got) == len(wanted) == 52
    for name, values in got.items():
        np.testing.assert_allclose(values, wanted[_theirs(name)], rtol=1e-6, atol=1e-9, err_msg=name)
    assert np.isnan(values).any()
    assert np.isfinite(values).any()


def _theirs(name: str) -> str:
    return name.replace("_{channel}", "")


def test_no_region_has_no_texture() -> None:
    """A plane without regions gives columns without rows."""
    got = textures(find_regions(np.zeros((8, 8), np.int32)), np.zeros((8, 8)), 255.0)
    assert {len(values) for values in got.values()} == {0}
