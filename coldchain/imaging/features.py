"""Which features a nucleus has, by their names, and all of them measured at once for one field.

Names are CellProfiler's: compartment, kind, measure, channel. Lengths are pixels, areas square pixels, intensities grey values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coldchain.imaging import cellprofiler, light, neighbours
from coldchain.imaging.regions import INTENSITIES, SHAPES, Columns, Regions, centres, find_regions, intensities, poses, shapes
from coldchain.imaging.texture import TEXTURES, textures

COMPARTMENTS = ("Nuclei", "Cells", "Cytoplasm")
WHOLE = COMPARTMENTS[:2]  # those that are filled outlines
POSES = ("Compactness", "Orientation")


class Features(StrEnum):
    """How much is measured: the shape and light of nuclei, or every group of features in every compartment."""

    BASIC = "basic"
    FULL = "full"


@dataclass(frozen=True)
class Field:
    """What the features of one field are measured of.

    ``planes`` are its channels (y, x) by their suffix in column names; ``white`` the grey value that counts as full scale in each, for
    textures; ``distance`` the pixels that a cell reaches around its nucleus.
    """

    labels: NDArray[Any]
    planes: Mapping[str, NDArray[Any]]
    white: Mapping[str, float]
    distance: int = neighbours.DISTANCE


def names_of(suffixes: Sequence[str], features: Features = Features.BASIC) -> list[str]:
    """Return the names of all features, in the order of the columns: the basic ones of nuclei first."""
    basic = [*_shape_names("Nuclei"), *(name for suffix in suffixes for name in _light_names("Nuclei", suffix))]
    if features is Features.BASIC:
        return basic
    return [*basic, *(name for compartment in COMPARTMENTS for name in _more_names(compartment, suffixes))]


def _shape_names(compartment: str) -> list[str]:
    return [*(f"{compartment}_AreaShape_{name}" for name in SHAPES), *(f"{compartment}_Location_Center_{axis}" for axis in "XY")]


def _light_names(compartment: str, suffix: str) -> list[str]:
    return [f"{compartment}_Intensity_{name}_{suffix}" for name in INTENSITIES]


def _more_names(compartment: str, suffixes: Sequence[str]) -> Iterator[str]:
    if compartment != "Nuclei":
        yield from _shape_names(compartment)
        yield from (name for suffix in suffixes for name in _light_names(compartment, suffix))
    outlines = (*cellprofiler.OUTLINES, *cellprofiler.ZERNIKE) if compartment == "Nuclei" else ()
    yield from (f"{compartment}_AreaShape_{name}" for name in (*POSES, *outlines))
    beside = {"Nuclei": neighbours.CLOSEST, "Cells": neighbours.TOUCHING}.get(compartment, ())
    yield from (f"{compartment}_Neighbors_{name}" for name in beside)
    for suffix in suffixes:
        yield from (f"{compartment}_Intensity_{name}_{suffix}" for name in light.SPREADS)
        yield from (f"{compartment}_Location_{name}_{suffix}" for name in light.POINTS)
        yield from (f"{compartment}_Texture_{name.format(channel=suffix)}" for name in TEXTURES)
        yield from (f"{compartment}_Granularity_{name.format(channel=suffix)}" for name in cellprofiler.GRANULARITY)
        rings = cellprofiler.RADIAL if compartment in WHOLE else ()
        yield from (f"{compartment}_RadialDistribution_{name.format(channel=suffix)}" for name in rings)
    for a, b in combinations(suffixes, 2):
        yield from (f"{compartment}_Correlation_{name.format(a=a, b=b)}" for name in light.PAIRS)


def measure(field: Field, features: Features = Features.BASIC) -> tuple[NDArray[np.int64], Columns]:
    """Return the labels of a field's nuclei, ascending, and each feature of :func:`names_of` for them, in that order.

    A feature is not a number where it means nothing: all of `Cytoplasm_` but its area where a cell has none; textures where no two
    pixels stand 3 px apart in a direction; form factor, Zernike moments and granularity of what is too small; correlations of a
    channel that is constant; what a centre of mass, a ring or an overlap is of where there is no light; the closest nuclei where there
    are none. Raises ImageError for labels that are none, or planes of another size.
    """
    nuclei = find_regions(field.labels)
    found = _basic("Nuclei", nuclei, field)
    if features is Features.FULL:
        found |= _more(nuclei, field)
    ordered = names_of(list(field.planes), features)
    return nuclei.label, {name: found[name] for name in ordered}


def _basic(compartment: str, regions: Regions, field: Field) -> Columns:
    y, x = centres(regions) if regions.count else (np.zeros(0), np.zeros(0))
    found = {f"{compartment}_AreaShape_{name}": values for name, values in shapes(regions).items()}
    found |= {f"{compartment}_Location_Center_X": x, f"{compartment}_Location_Center_Y": y}
    for suffix, plane in field.planes.items():
        found |= {f"{compartment}_Intensity_{name}_{suffix}": values for name, values in intensities(regions, plane).items()}
    return found


def _more(nuclei: Regions, field: Field) -> Columns:
    planes = neighbours.compartments(field.labels, field.distance)
    regions = {"Nuclei": nuclei, **{name: find_regions(planes[name]) for name in COMPARTMENTS[1:]}}
    found: Columns = {}
    for compartment, own in regions.items():
        one = _compartment(compartment, own, field)
        found |= {name: _placed(values, own, nuclei) for name, values in one.items()}
    found |= {f"Cells_Neighbors_{name}": values for name, values in neighbours.touching(regions["Cells"]).items()}
    found |= {f"Nuclei_Neighbors_{name}": values for name, values in neighbours.closest(nuclei).items()}
    found |= {f"Nuclei_AreaShape_{name}": values for name, values in cellprofiler.outlines(nuclei).items()}
    found |= _grains(regions, field)
    found["Cytoplasm_AreaShape_Area"] = np.nan_to_num(found["Cytoplasm_AreaShape_Area"])
    return found


def _compartment(compartment: str, regions: Regions, field: Field) -> Columns:
    found = _basic(compartment, regions, field) if compartment != "Nuclei" else {}
    found |= {f"{compartment}_AreaShape_{name}": values for name, values in poses(regions).items()}
    rings = cellprofiler.rings_of(regions) if compartment in WHOLE else None
    for suffix, plane in field.planes.items():
        found |= {f"{compartment}_Intensity_{name}_{suffix}": values for name, values in light.spreads(regions, plane).items()}
        found |= {f"{compartment}_Location_{name}_{suffix}": values for name, values in light.points(regions, plane).items()}
        found |= _named(compartment, "Texture", suffix, textures(regions, plane, field.white[suffix]))
        if rings is not None:
            found |= _named(compartment, "RadialDistribution", suffix, cellprofiler.radial(rings, plane))
    for a, b in combinations(field.planes, 2):
        pair = light.together(regions, field.planes[a], field.planes[b], (a, b))
        found |= {f"{compartment}_Correlation_{name}": values for name, values in pair.items()}
    return found


def _named(compartment: str, kind: str, suffix: str, found: Columns) -> Columns:
    return {f"{compartment}_{kind}_{name.format(channel=suffix)}": values for name, values in found.items()}


def _grains(regions: Mapping[str, Regions], field: Field) -> Columns:
    found: Columns = {}
    nuclei, cells, cytoplasm = (regions[name] for name in COMPARTMENTS)
    for suffix, plane in field.planes.items():
        spectra = cellprofiler.granularity(nuclei, cytoplasm, cells, plane / field.white[suffix])
        for compartment, own, spectrum in zip(("Nuclei", "Cytoplasm", "Cells"), (nuclei, cytoplasm, cells), spectra, strict=True):
            named = dict(zip(cellprofiler.GRANULARITY, spectrum, strict=True))
            found |= {name: _placed(values, own, nuclei) for name, values in _named(compartment, "Granularity", suffix, named).items()}
    return found


def _placed(values: NDArray[np.float64], own: Regions, nuclei: Regions) -> NDArray[np.float64]:
    """Return the values of regions beside the nuclei of the same labels; not a number where a nucleus has no such region."""
    placed = np.full(nuclei.count, np.nan)
    placed[np.searchsorted(nuclei.label, own.label)] = values
    return placed
