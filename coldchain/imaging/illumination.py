"""Uneven illumination, estimated from the fields of a plate, and taken out.

The light path is the same for every field of a plate and channel, cells are not: what is left in the median of many fields is the light.
As CellProfiler's CorrectIlluminationCalculate (all images, median, fit polynomial, scaled to mean 1) and Singh, Bray, Jones & Carpenter,
"Pipeline for illumination correction of images for high-throughput microscopy", J. Microsc. 256 (2014) 231-236.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coldchain.errors import ImageError
from coldchain.imaging.pyramid import Plane

SMALL_SIDE = 32  # px, longest side of the pictures that the estimate is made from
MAX_FIELDS = 600  # fields taken of a plate, evenly spread
TRIMMED = 3.0  # robust standard deviations from the fit, beyond which a point of the median is left out

Function = NDArray[np.float32]


@dataclass(frozen=True)
class IlluminationRules:
    """How illumination is estimated."""

    min_fields: int = 12  # good fields, fewer tell too little: nothing is corrected
    fine_fields: int = 48  # good fields from which the polynomial may be of degree 4; with fewer it is of degree 2
    camera_offset: float = 0.0  # grey levels of a closed shutter: light scales what lies above
    lowest: float = 0.2  # of the mean: a function that falls lower is not believed, and nothing is corrected


@dataclass(frozen=True)
class Illumination:
    """A function (y, x) of mean 1, how many fields it was made from, and how: the polynomial's degree, or why it is flat."""

    function: Function
    fields: int
    method: str

    @property
    def flat(self) -> bool:
        """Whether nothing is to be corrected."""
        return bool((self.function == 1).all())


def shrink(plane: Plane) -> Function:
    """Return a small picture (y, x) of a plane: the median of each block, sides of at most 32 px."""
    step = -(-max(plane.shape) // SMALL_SIDE)
    height, width = plane.shape[0] // step, plane.shape[1] // step
    if not height or not width:
        raise ImageError("A plane is too thin for an illumination function", expected=f"sides of at least {step} px", got=plane.shape)
    blocks = plane[: height * step, : width * step].reshape(height, step, width, step).swapaxes(1, 2).reshape(height, width, -1)
    return np.median(blocks, axis=2).astype(np.float32)


def estimate(pictures: Sequence[Function], shape: tuple[int, int], rules: IlluminationRules | None = None) -> Illumination:
    """Estimate the illumination function of one channel from the :func:`shrink`-ed pictures of its good fields.

    `shape` (y, x) is that of the fields. Each picture is scaled to its own median, so that a bright field weighs as much as a dim one;
    a polynomial is fitted to the median of all. Flat (1 everywhere) with fewer than `rules.min_fields`, and says so.
    """
    rules = rules or IlluminationRules()
    flat = np.ones(shape, np.float32)
    scaled = _scaled(_spread(pictures), rules.camera_offset)
    if len(scaled) < rules.min_fields:
        return Illumination(flat, len(scaled), f"flat: {len(scaled)} good fields, {rules.min_fields} needed")
    degree = 4 if len(scaled) >= rules.fine_fields else 2
    function = _fit(np.median(scaled, axis=0), shape, degree)
    if function.min() < rules.lowest:
        return Illumination(flat, len(scaled), f"flat: the fit falls to {function.min():.2f} of its mean, {rules.lowest:g} is the least")
    return Illumination(function, len(scaled), f"polynomial of degree {degree}")


def _spread(pictures: Sequence[Function]) -> list[Function]:
    chosen = np.linspace(0, len(pictures) - 1, min(len(pictures), MAX_FIELDS)).round().astype(int)
    return [pictures[index] for index in chosen]


def _scaled(pictures: Sequence[Function], offset: float) -> NDArray[np.float32]:
    """Scale each picture to median 1; those without light are left out."""
    lit = [picture - offset for picture in pictures if np.median(picture) > offset]
    return np.array([picture / np.median(picture) for picture in lit], np.float32)


def _fit(seen: NDArray[np.float32], shape: tuple[int, int], degree: int) -> Function:
    """Fit a polynomial of y and x, points far from a first fit left out, and draw it at `shape` with mean 1."""
    y, x = np.meshgrid(_positions(seen.shape[0]), _positions(seen.shape[1]), indexing="ij")
    powers = np.asarray(np.polynomial.polynomial.polyvander2d(y.ravel(), x.ravel(), [degree, degree]), np.float64)
    powers[:, _too_high(degree).ravel()] = 0  # of y**i * x**j, those with i + j over the degree
    values = seen.ravel().astype(np.float64)
    away = np.abs(values - powers @ _least_squares(powers, values))
    near = away <= TRIMMED * 1.4826 * np.median(away)
    weights = _least_squares(powers[near], values[near]).reshape(degree + 1, degree + 1)
    drawn = np.polynomial.polynomial.polygrid2d(_positions(shape[0]), _positions(shape[1]), weights)
    return np.asarray(drawn / drawn.mean(), np.float32)


def _positions(count: int) -> NDArray[np.float64]:
    """Return where pixels have their centres, from -1 to 1 over the side."""
    return np.asarray((2 * np.arange(count) + 1) / count - 1, np.float64)


def _too_high(degree: int) -> NDArray[np.bool_]:
    return np.add.outer(np.arange(degree + 1), np.arange(degree + 1)) > degree


def _least_squares(powers: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.linalg.lstsq(powers, values, rcond=None)[0], np.float64)


def apply(image: Plane, function: Function, camera_offset: float = 0.0) -> Plane:
    """Divide the light of a plane (y, x), what lies above the camera's offset, by the function. Keeps the type: rounded and clipped.

    Raises ImageError where the shapes differ, or the function is not above 0.
    """
    if image.shape != function.shape or not (function > 0).all():
        raise ImageError("Not the illumination function of this plane", expected=f"{image.shape}, above 0", got=function.shape)
    corrected = (image.astype(np.float32) - camera_offset) / function + camera_offset
    if image.dtype.kind == "f":
        return corrected.astype(image.dtype)
    limits = np.iinfo(image.dtype)
    return np.asarray(np.clip(np.rint(corrected), limits.min, limits.max), image.dtype)
