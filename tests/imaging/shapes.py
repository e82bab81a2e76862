"""Regions as hard as real ones, for tests that hold measurements against libraries."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def crowded_labels(seed: int, side: int = 200) -> NDArray[np.int32]:
    """Return touching, ragged, cut and partly disconnected regions, numbered with gaps."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(seed)
    seeds = rng.integers(0, side, (60, 2))
    grid = np.indices((side, side)).transpose(1, 2, 0)
    nearest = np.linalg.norm(grid[:, :, None] - seeds, axis=3).argmin(axis=2)
    foreground = gaussian_filter(rng.normal(size=(side, side)), 2) > 0.01
    return np.where(foreground, 1 + 2 * nearest, 0).astype(np.int32)
