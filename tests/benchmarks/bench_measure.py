"""What measuring a nucleus costs on the same labels, in interleaved rounds, as a ratio to the libraries that measure the same.

The basic set is held against scikit-image's `regionprops_table`; all features, of nuclei, cells and cytoplasm in two channels, against
cp_measure called plainly for each of them.
"""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from coldchain.imaging.features import Features, Field, measure
from coldchain.imaging.neighbours import compartments
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
FULL_SIDE, FULL_ROUNDS = 192, 2  # cp_measure's texture takes tens of milliseconds a region
FULL_SCALE = 4095.0


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


def synthetic_field() -> Field:
    """Return a field of the synthesised plate in two channels."""
    from coldchain.imaging.synthesis import plate

    made = next(iter(plate(7, rows=1, columns=1, fields=1, shape=(FULL_SIDE, FULL_SIDE))))
    return Field(made.truth, made.channels, dict.fromkeys(made.channels, FULL_SCALE))


def plain_cp_measure(field: Field) -> int:
    """Measure what we measure in full by calling cp_measure for each compartment and channel; return the features of a nucleus."""
    from cp_measure.bulk import get_core_measurements, get_correlation_measurements

    core, pairs = get_core_measurements(), get_correlation_measurements()
    planes = compartments(field.labels)
    images = {name: np.clip(plane / FULL_SCALE, 0, 1) for name, plane in field.planes.items()}
    count = 0
    for compartment, labels in planes.items():
        whole = compartment != "Cytoplasm"
        shape = ["sizeshape", *(["zernike", "feret"] if compartment == "Nuclei" else [])]
        count += sum(len(core[name](labels, None)) for name in shape)
        light = ["intensity", "texture", "granularity", *(["radial_distribution"] if whole else [])]
        count += sum(len(core[name](labels, image)) for name in light for image in images.values())
        count += sum(len(pairs[name](*images.values(), labels)) for name in ("pearson", "manders_fold"))
    return count


def compare_full() -> None:
    """Print what all features cost a nucleus, by us and by cp_measure called plainly."""
    field = synthetic_field()
    nuclei = int(field.labels.max())
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # cp_measure divides by zero in tiny regions
        counts: dict[str, int] = {}
        rounds = [
            (
                seconds(lambda: counts.update(ours=len(measure(field, Features.FULL)[1]))),
                seconds(lambda: counts.update(theirs=plain_cp_measure(field))),
            )
            for _ in range(FULL_ROUNDS)
        ]
    us, them = (statistics.median(pair[side] for pair in rounds) / nuclei * 1e3 for side in (0, 1))
    counted = f"{counts['ours']} features, cp_measure plainly {them:.1f} ms for {counts['theirs']}, {nuclei} nuclei"
    print(f"measure, full: {us:.1f} ms a nucleus for {counted}")
    print(f"measure: time ratio to cp_measure {statistics.median(pair[0] / pair[1] for pair in rounds):.2f} (goal below 1) [full set]")


def seconds(work: Callable[[], object]) -> float:
    """Return the CPU seconds of one call."""
    began = time.process_time()
    work()
    return time.process_time() - began


def main() -> None:
    """Print costs a nucleus and, last, the ratios."""
    from skimage.measure import regionprops_table

    compare_full()
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
