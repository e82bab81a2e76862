"""Instances by seeded watershed, from maps whose objects are known."""

from __future__ import annotations

import numpy as np
import pytest

from coldchain.errors import ImageError
from coldchain.imaging.watershed import depth_map, instances


def discs(*circles: tuple[float, float, float], shape: tuple[int, int] = (64, 96)) -> np.ndarray:
    """Labels of circles (y, x, radius), each pixel to the circle in which it lies deepest."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    depths = np.stack([radius - np.hypot(y - cy, x - cx) for cy, cx, radius in circles])
    return np.where(depths.max(axis=0) > 0, depths.argmax(axis=0) + 1, 0).astype(np.int32)


TOUCHING = discs((30, 24, 14), (30, 50, 14), (12, 80, 6))


def test_touching_objects_come_apart() -> None:
    """From the true maps of touching discs come the discs, numbered from 1, each nearly whole."""
    found = instances((TOUCHING > 0).astype(np.float32), depth_map(TOUCHING))
    assert (found.dtype, found.max()) == (np.int32, 3)
    for value in (1, 2, 3):
        own = found == np.bincount(found[value == TOUCHING]).argmax()
        assert np.mean(own[value == TOUCHING]) > 0.97


def test_objects_come_apart_in_three_dimensions() -> None:
    """The same holds for stacks (z, y, x)."""
    stack = np.stack([np.where(TOUCHING == 1, TOUCHING, 0), TOUCHING, TOUCHING, TOUCHING])
    assert instances((stack > 0).astype(np.float32), depth_map(stack)).max() == 3


def test_the_share_says_how_deep_a_saddle_parts_two_peaks() -> None:
    """Two peaks of 0.8 and 1 with a saddle of 0.6 (0.75 of the lower) are two above that share, and one below it."""
    depth = np.tile(np.interp(np.arange(60), [0, 15, 30, 45, 59], [0, 0.8, 0.6, 1.0, 0]), (20, 1))
    foreground = np.ones_like(depth)
    assert instances(foreground, depth, nms_threshold=0.8).max() == 2
    assert instances(foreground, depth, nms_threshold=0.7).max() == 1


def test_small_and_large_objects_are_parted_alike() -> None:
    """Shares, not depths, count: the same two peaks at a tenth of the depth are parted by the same share."""
    depth = 0.1 * np.tile(np.interp(np.arange(60), [0, 15, 30, 45, 59], [0, 0.8, 0.6, 1.0, 0]), (20, 1))
    assert instances(np.ones_like(depth), depth, nms_threshold=0.8).max() == 2
    assert instances(np.ones_like(depth), depth, nms_threshold=0.7).max() == 1


def test_the_foreground_threshold_is_used() -> None:
    """A pixel below the foreground threshold belongs to no object."""
    foreground = np.where(TOUCHING == 3, 0.55, 0.9) * (TOUCHING > 0)
    assert instances(foreground, depth_map(TOUCHING), prob_threshold=0.5).max() == 3
    found = instances(foreground, depth_map(TOUCHING), prob_threshold=0.6)
    assert found.max() == 2
    assert not found[TOUCHING == 3].any()


def test_specks_are_dropped_without_a_gap() -> None:
    """What is smaller than asked for is dropped, and the rest is numbered 1..n."""
    labels = discs((8, 8, 1.5), (30, 40, 14), (50, 80, 8))
    found = instances((labels > 0).astype(np.float32), depth_map(labels), smallest=12)
    assert sorted(np.unique(found)) == [0, 1, 2]
    assert not found[labels == 1].any()


def test_nothing_gives_nothing() -> None:
    """Maps without foreground have no objects."""
    assert instances(np.zeros((9, 9)), np.zeros((9, 9))).max() == 0


def test_maps_of_two_shapes_are_refused() -> None:
    """Foreground and depth belong together."""
    with pytest.raises(ImageError, match="differ in shape"):
        instances(np.zeros((9, 9)), np.zeros((9, 8)))


def test_depth_is_zero_outside_and_one_at_the_middle() -> None:
    """The true depth of each object rises to 1, and is 0 outside; a touching neighbour is outside."""
    depth = depth_map(TOUCHING)
    assert not depth[TOUCHING == 0].any()
    assert [depth[value == TOUCHING].max() for value in (1, 2, 3)] == [1, 1, 1]
    assert depth[30, 36] < 0.2
    assert depth[30, 38] < 0.2


def test_the_images_border_is_no_outline() -> None:
    """An object that the border cuts is deep there, as a whole one would be."""
    depth = depth_map(discs((32, 0, 14)))
    assert depth[32, 0] > 0.9
