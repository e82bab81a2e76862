"""What measuring a nucleus costs, as a ratio to scikit-image's `regionprops_table` on the same labels, in interleaved rounds."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from coldchain.imaging.regions import centres, find_regions, intensities, shapes

SHAPE_PROPERTIES = (
    "area",
    "area_bbox",
    "axis_major_length",
    "axis_minor_length",
    "centroid",
    "eccentricity",
    "extent",
    "perimeter",
)
HULL_PROPERTIES = ("area_convex", "solidity")
LIGHT_PROPERTIES = ("intensity_max", "intensity_mean", "intensity_median", "intensity_min", "intensity_std")
SIDE, ROUNDS = 1024, 5


def field() -> tuple[Any, Any]:
    """Return labels of about 1,700 nuclei as discs of several sizes, and an image of the same size."""
    rng = np.random.default_rng(1)
    y, x = np.indices((SIDE, SIDE)) % 24 - 12
    radius = rng.uniform(6, 12, (SIDE // 24 + 1, SIDE // 24 + 1)).repeat(24, 0).repeat(24, 1)[:SIDE, :SIDE]
    cell = np.indices((SIDE, SIDE)) // 24
    labels = np.where(y**2 + x**2 < radius**2, 1 + cell[0] * (SIDE // 24 + 1) + cell[1], 0).astype(np.int32)
    return labels, rng.integers(0, 65536, labels.shape, dtype=np.uint16)


def ours(labels: Any, image: Any | None) -> int:
    """Measure all our shapes and, with an image, its intensities; return the nuclei."""
    regions = find_regions(labels)
    shapes(regions)
    centres(regions)
    if image is not None:
        intensities(regions, image)
    return regions.count


def seconds(work: Callable[[], object]) -> float:
    """Return the CPU seconds of one call."""
    began = time.process_time()
    work()
    return time.process_time() - began


def main() -> None:
    """Print costs a nucleus and, last, the ratios."""
    from skimage.measure import regionprops_table

    labels, image = field()
    peers: dict[str, Callable[[], object]] = {
        "basic shapes": lambda: regionprops_table(labels, properties=SHAPE_PROPERTIES),
        "all shapes and one channel": lambda: regionprops_table(
            labels, image, properties=(*SHAPE_PROPERTIES, *HULL_PROPERTIES, *LIGHT_PROPERTIES)
        ),
    }
    mine: dict[str, Callable[[], object]] = {
        "basic shapes": lambda: ours(labels, None),
        "all shapes and one channel": lambda: ours(labels, image),
    }
    nuclei = ours(labels, image)
    rounds = [{name: (seconds(mine[name]), seconds(peers[name])) for name in peers} for _ in range(ROUNDS)]
    for name in peers:
        us, them = (statistics.median(pair[name][side] for pair in rounds) / nuclei * 1e6 for side in (0, 1))
        print(f"measure, {name}: {us:.1f} µs a nucleus, regionprops_table {them:.1f} µs, {nuclei} nuclei")
    for name, words in (("all shapes and one channel", "same measures"), ("basic shapes", "basic set; ours adds the convex hull")):
        ratio = statistics.median(pair[name][0] / pair[name][1] for pair in rounds)
        print(f"measure: time ratio to regionprops_table {ratio:.2f} (goal below 1) [{words}]")


if __name__ == "__main__":
    main()
