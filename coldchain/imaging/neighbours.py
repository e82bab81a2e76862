"""Compartments of cells, and cells beside each other."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from coldchain.imaging.regions import Columns, Floats, Regions, centres

DISTANCE = 10  # px that a cell reaches around its nucleus, CellProfiler's default of "Distance - N"

TOUCHING = ("NumberOfNeighbors_Adjacent", "PercentTouching_Adjacent")
CLOSEST = ("FirstClosestDistance_Adjacent", "SecondClosestDistance_Adjacent", "AngleBetweenNeighbors_Adjacent")


def compartments(nuclei: NDArray[Any], distance: int = DISTANCE) -> dict[str, NDArray[Any]]:
    """Return the label planes Nuclei, Cells and Cytoplasm, in which a cell has the label of its nucleus.

    Cells are nuclei grown by `distance` pixels, and no further than halfway to the next one, as CellProfiler's IdentifySecondaryObjects
    does by "Distance - N"; Cytoplasm is what a cell has outside its nucleus, nothing where others stand all around it.
    """
    from skimage.segmentation import expand_labels

    cells = expand_labels(nuclei, distance)
    return {"Nuclei": nuclei, "Cells": cells, "Cytoplasm": np.where(nuclei > 0, 0, cells)}


def touching(cells: Regions) -> Columns:
    """Return for each cell the number of cells that it touches, by a side or a corner, and the percentage of its edge that does.

    The edge are a cell's pixels with another label, background or the image's end beside them or at a corner.
    """
    if cells.count == 0:
        return dict.fromkeys(TOUCHING, np.zeros(0))
    plane = np.pad(cells.sequential, 1)
    own = plane[1:-1, 1:-1]
    edge, touched = np.zeros(own.shape, bool), np.zeros(own.shape, bool)
    pairs = []
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1), (0, -1), (-1, 0), (-1, -1), (-1, 1)):
        other = plane[1 + down : plane.shape[0] - 1 + down, 1 + right : plane.shape[1] - 1 + right]
        apart = other != own
        beside = apart & (other > 0) & (own > 0)
        edge |= apart
        touched |= beside
        pairs.append(own[beside].astype(np.int64) * (cells.count + 1) + other[beside])
    couples = np.unique(np.concatenate(pairs)) // (cells.count + 1)
    edges, contacts = (np.bincount(own[mark & (own > 0)], minlength=cells.count + 1)[1:] for mark in (edge, touched))
    return {
        TOUCHING[0]: np.bincount(couples, minlength=cells.count + 1)[1:].astype(np.float64),
        TOUCHING[1]: 100.0 * contacts / np.maximum(edges, 1),
    }


def closest(nuclei: Regions) -> Columns:
    """Return the distances from each nucleus to the two nearest ones, centre to centre in pixels, and the angle between them in degrees.

    Not a number where a field has too few nuclei; the angle also where two centres coincide.
    """
    found = dict.fromkeys(CLOSEST, np.full(nuclei.count, np.nan))
    if nuclei.count < 2:
        return found
    from scipy.spatial import KDTree

    at = np.stack(centres(nuclei), axis=1)
    distance, number = KDTree(at).query(at, k=min(nuclei.count, 3))
    found[CLOSEST[0]] = distance[:, 1]
    if nuclei.count > 2:
        found[CLOSEST[1]] = distance[:, 2]
        found[CLOSEST[2]] = _angle(at, number)
    return found


def _angle(at: Floats, number: NDArray[Any]) -> Floats:
    one, two = (at[number[:, k]] - at for k in (1, 2))
    length = np.linalg.norm(one, axis=1) * np.linalg.norm(two, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.degrees(np.arccos(np.clip((one * two).sum(axis=1) / length, -1.0, 1.0))), np.float64)
