"""Synthetic single cells: crops around one cell, with neighbours, whose stain has a pattern that is known.

What an encoder should tell apart is the pattern (how coarse the grain is, foci, a rim, fibres) and the shape; what it should not heed is
how the cell lies, how bright it is, the blur, the noise, and what lies around it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from coldchain.imaging.synthetic_nuclei import Conditions, Floats, Mask, Nucleus, draw_nucleus, emitted_light, log_uniform, smooth_noise


@dataclass(frozen=True)
class Look:
    """How the stain is spread over a cell: lengths in pixels, the rest in units of the cell's even light."""

    grain: float = 0.15  # relative amplitude
    grain_scale: float = 2.0
    foci: float = 0.0  # mean number of bright spots
    foci_width: float = 1.2
    foci_light: float = 1.5
    rim: float = 0.0  # light added towards the outline
    fibres: float = 0.0  # relative amplitude of grain that is drawn out in one direction


class CellCrop(NamedTuple):
    """A square crop: `image` float32 (y, x) in photons, and `mask` of the cell in its middle."""

    image: Floats
    mask: Mask


def random_look(rng: np.random.Generator) -> Look:
    """Draw a pattern; most cells have one or two of its parts."""
    return Look(
        grain=rng.uniform(0.0, 0.5),
        grain_scale=log_uniform(rng, 0.8, 6),
        foci=rng.uniform(2, 16) * (rng.random() < 0.35),
        foci_width=log_uniform(rng, 0.7, 2.5),
        foci_light=rng.uniform(0.5, 3),
        rim=rng.uniform(0.4, 2) * (rng.random() < 0.3),
        fibres=rng.uniform(0.3, 0.8) * (rng.random() < 0.3),
    )


def random_shape(rng: np.random.Generator) -> Conditions:
    """Draw the conditions of a crop that say nothing of the pattern: size, shape, neighbours' brightness, optics and camera."""
    return Conditions(
        diameter=log_uniform(rng, 14, 34),
        elongation=1 + rng.gamma(2.0, 0.2),
        roughness=rng.uniform(0.0, 0.06),
        bend=rng.uniform(0.0, 0.5) * (rng.random() < 0.3),
        brightness_spread=rng.uniform(0.05, 0.5),
        mitotic=0.0,
        dome=rng.uniform(0.0, 0.8),
        texture=0.0,
        nucleoli=0.0,
        psf=log_uniform(rng, 0.5, 1.5),
        background=log_uniform(rng, 0.02, 1),
        photons=log_uniform(rng, 60, 2000),
        read_noise=log_uniform(rng, 0.1, 4),
    )


def cell_crop(rng: np.random.Generator, look: Look, conditions: Conditions | None = None, side: int = 48) -> CellCrop:
    """Make one crop of `side` pixels around one cell of this look, with up to three neighbours of the same kind beside it."""
    from scipy.ndimage import gaussian_filter

    c = conditions or random_shape(rng)
    middle = _patterned(rng, draw_nucleus(rng, c).moved(np.array([side / 2, side / 2])), look)
    cells = [middle, *(_beside(rng, c, look, side) for _ in range(int(rng.integers(0, 4))))]
    light = gaussian_filter(emitted_light((side, side), cells), c.psf) + c.background
    photons = rng.poisson(np.clip(light, 0, None) * c.photons) + rng.normal(0, c.read_noise, light.shape)
    mask = np.zeros((side, side), np.bool_)
    field, own = middle.windows((side, side))
    mask[field] = middle.mask[own]
    return CellCrop(np.asarray(photons, np.float32), mask)


def _beside(rng: np.random.Generator, c: Conditions, look: Look, side: int) -> Nucleus:
    angle, away = rng.uniform(0, 2 * np.pi), c.diameter * c.elongation**0.5 * rng.uniform(1.05, 1.6)
    return _patterned(rng, draw_nucleus(rng, c).moved(side / 2 + away * np.array([np.sin(angle), np.cos(angle)])), look)


def _patterned(rng: np.random.Generator, cell: Nucleus, look: Look) -> Nucleus:
    """The cell with its light spread as the look says."""
    from scipy.ndimage import distance_transform_edt

    pattern = 1 + look.grain * smooth_noise(rng, cell.mask.shape, look.grain_scale)
    pattern += look.fibres * _fibres(rng, cell.mask.shape) + _foci(rng, cell.mask, look)
    pattern += look.rim * np.exp(-distance_transform_edt(cell.mask) / 2)
    return replace(cell, light=np.asarray(cell.light * np.clip(pattern, 0.05, None), np.float32))


def _fibres(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Noise that is drawn out along a random direction, of unit standard deviation."""
    from scipy.ndimage import gaussian_filter, rotate

    noise = gaussian_filter(rng.normal(size=(2 * shape[0], 2 * shape[1])), (0.8, 8))
    turned = rotate(noise, rng.uniform(0, 180), reshape=False, order=1, mode="wrap")
    cut = turned[shape[0] // 2 : shape[0] // 2 + shape[0], shape[1] // 2 : shape[1] // 2 + shape[1]]
    return np.asarray(cut / max(float(cut.std()), 1e-6), np.float32)


def _foci(rng: np.random.Generator, mask: Mask, look: Look) -> NDArray[np.float64]:
    inside = np.argwhere(mask)
    y, x = np.mgrid[: mask.shape[0], : mask.shape[1]]
    light = np.zeros(mask.shape)
    for cy, cx in inside[rng.integers(0, len(inside), rng.poisson(look.foci))]:
        light += look.foci_light * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * look.foci_width**2))
    return light
