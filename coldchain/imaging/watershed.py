"""Instances by seeded watershed, from two maps that a network predicts: how sure a pixel is foreground, and how deep it lies in its object.

The depth map is 0 at an object's outline and 1 at its middle. Seeds are its peaks; two peaks stay two where the lowest point of the best
way between them is deep below both. That is the h-maxima transform (Soille, Morphological Image Analysis, 2003, ch. 6) of the map's
logarithm, so that small and large objects are treated alike. Basins then grow over the foreground, deepest pixels first.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from coldchain.errors import ImageError

Maps = NDArray[np.float32]
SMALLEST = 12  # pixels (voxels) that an object must have
SHALLOW = 0.05  # depth below which nothing is a peak


def instances(
    foreground: NDArray[Any], depth: NDArray[Any], *, prob_threshold: float = 0.5, nms_threshold: float = 0.7, smallest: int = SMALLEST
) -> NDArray[np.int32]:
    """Give labels 1..n, int32, of the objects in two maps of one shape (y, x) or (z, y, x), both from 0 to 1; the same each time.

    Args:
        foreground: probability that a pixel belongs to an object.
        depth: 0 at an object's outline to 1 at its middle.
        prob_threshold: foreground from which a pixel belongs to an object.
        nms_threshold: two peaks are one object where the saddle between them is at least this share of the lower one.
        smallest: pixels below which an object is dropped.

    Raises ImageError where the maps differ in shape.
    """
    if foreground.shape != depth.shape:
        raise ImageError("the maps of a watershed differ in shape", expected=foreground.shape, got=depth.shape)
    from skimage.segmentation import watershed

    inside = foreground >= prob_threshold
    levels = np.where(inside, np.clip(depth, 0, 1), 0).astype(np.float32)
    labels = watershed(-levels, _seeds(levels, nms_threshold), mask=inside)
    return _without_small(np.asarray(labels, np.int32), smallest)


def _seeds(levels: Maps, share: float) -> NDArray[np.int32]:
    """Number the peaks: regional maxima of the map, once everything above `share` of a peak is taken off it."""
    from scipy.ndimage import label
    from skimage.morphology import local_maxima, reconstruction

    lowered = reconstruction(levels * share, levels, method="dilation")
    peaks = local_maxima(lowered.astype(np.float32)) & (levels >= SHALLOW)
    numbered, _ = label(peaks, structure=np.ones((3,) * levels.ndim))
    return np.asarray(numbered, np.int32)


def _without_small(labels: NDArray[np.int32], smallest: int) -> NDArray[np.int32]:
    """Drop what is too small and number the rest from 1, in order."""
    kept = np.bincount(labels.ravel()) >= smallest
    kept[0] = False
    numbers = np.cumsum(kept).astype(np.int32) * kept
    return np.asarray(numbers[labels], np.int32)


def depth_map(labels: NDArray[Any]) -> Maps:
    """The true depth of each pixel, for training: its distance to the outside of its object, over the largest such in the object."""
    from scipy.ndimage import distance_transform_edt, find_objects

    framed = np.pad(labels, 1, mode="edge")  # the image's border is no outline
    depth = np.zeros(labels.shape, np.float32)
    for value, window in enumerate(find_objects(labels), start=1):
        if window is None:
            continue
        own = framed[tuple(slice(s.start, s.stop + 2) for s in window)] == value
        away = distance_transform_edt(own)[(slice(1, -1),) * labels.ndim]
        mine = labels[window] == value
        depth[window][mine] = (away / max(float(away.max()), 1.0))[mine]
    return depth
