"""Synthetic nuclei: the conditions of a field, the drawing and placing of nuclei, and their true labels.

A nucleus is a bent ellipse whose outline carries a few random harmonics, with domed light and a chromatin texture. Nuclei are put beside
or over one another as the conditions allow; where they overlap their light adds, and the brighter has the label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Labels = NDArray[np.int32]
Mask = NDArray[np.bool_]

LARGEST = 128.0  # pixels, diameter
SMALLEST_PIECE = 12  # pixels that must show of a nucleus for it to have a label


@dataclass(frozen=True)
class Conditions:
    """What one field looks like. Lengths in pixels, light in units of a typical nucleus, the rest as fractions."""

    diameter: float = 22.0
    size_spread: float = 0.15  # log standard deviation
    elongation: float = 1.4  # long axis over short axis
    roughness: float = 0.03  # relative amplitude of the outline's harmonics
    bend: float = 0.0  # bean shapes: sagitta over half the short axis
    clumping: float = 0.3  # share of nuclei put beside another one
    overlap: float = 0.15  # largest share of a nucleus that may lie under others
    stacked: float = 0.02  # share of nuclei that may lie anywhere, even on others
    brightness_spread: float = 0.25  # log standard deviation
    mitotic: float = 0.02  # share of small, condensed, very bright nuclei
    mitotic_gain: float = 5.0
    dome: float = 0.4  # 0: flat disc, 1: paraboloid
    texture: float = 0.15  # relative amplitude of chromatin
    texture_scale: float = 2.0
    nucleoli: float = 1.0  # mean number of dark spots
    psf: float = 1.0  # standard deviation of the in-focus blur
    halo: float = 0.1  # share of light in the wide tail of the blur
    halo_width: float = 10.0
    background: float = 0.3
    haze: float = 0.1  # amplitude of smooth background structure
    out_of_focus: float = 0.0  # unlabelled blurred nuclei, for each labelled one
    debris: float = 0.0  # unlabelled specks, for each nucleus
    photons: float = 200.0  # of one pixel of a typical nucleus
    read_noise: float = 2.0  # photons
    noise_blur: float = 0.0  # correlation of the noise, as in a resampled image
    full_scale: int = 4095  # counts at which the detector saturates
    exposure: float = 0.7  # 99.9th percentile over full scale; above 1 saturates
    offset: float = 0.02  # of full scale


def random_conditions(rng: np.random.Generator) -> Conditions:
    """Draw the conditions of one training field, from ranges far wider than those of one microscope."""
    return Conditions(
        diameter=log_uniform(rng, 11, 42),
        size_spread=rng.uniform(0.03, 0.4),
        elongation=1 + rng.gamma(2.0, 0.22),
        roughness=rng.uniform(0.0, 0.07),
        bend=rng.uniform(0.0, 0.5) * (rng.random() < 0.4),
        clumping=rng.uniform(0.0, 0.85),
        overlap=rng.uniform(0.0, 0.35),
        stacked=rng.uniform(0.0, 0.05),
        brightness_spread=rng.uniform(0.05, 0.7),
        mitotic=rng.uniform(0.0, 0.12) * (rng.random() < 0.6),
        mitotic_gain=log_uniform(rng, 2, 12),
        dome=rng.uniform(0.0, 1.0),
        texture=rng.uniform(0.0, 0.45),
        texture_scale=log_uniform(rng, 0.8, 6),
        nucleoli=rng.uniform(0.0, 4.0),
        psf=log_uniform(rng, 0.5, 2.6),
        halo=rng.uniform(0.0, 0.45),
        halo_width=log_uniform(rng, 4, 24),
        background=log_uniform(rng, 0.02, 3),
        haze=0.35 * rng.uniform(0.0, 1.0) ** 2,
        out_of_focus=rng.uniform(0.0, 0.3) * (rng.random() < 0.4),
        debris=rng.uniform(0.0, 0.4) * (rng.random() < 0.4),
        photons=log_uniform(rng, 20, 3000),
        read_noise=log_uniform(rng, 0.1, 6),
        noise_blur=rng.uniform(0.0, 0.9) * (rng.random() < 0.4),
        full_scale=int(rng.choice([255, 1023, 4095, 65535])),
        exposure=rng.uniform(0.3, 1.3),
        offset=rng.uniform(0.0, 0.1),
    )


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a number whose logarithm is uniform between those of `low` and `high`."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


@dataclass(frozen=True)
class Nucleus:
    """One nucleus in its own window: the window's corner in the field (may be negative), its light and its mask."""

    corner: tuple[int, int]
    light: Floats
    mask: Mask
    brightness: float

    def moved(self, centre: NDArray[np.float64]) -> Nucleus:
        """The same nucleus with its window centred at `centre` (y, x) of the field."""
        half = self.mask.shape[0] // 2
        return replace(self, corner=(round(float(centre[0])) - half, round(float(centre[1])) - half))

    def windows(self, shape: tuple[int, int]) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """Where the window lies in the field, and which part of the window that is."""
        spans = [(max(c, 0), max(c, 0, min(c + n, s))) for c, n, s in zip(self.corner, self.mask.shape, shape, strict=True)]
        (y0, y1), (x0, x1) = spans
        cy, cx = self.corner
        return (slice(y0, y1), slice(x0, x1)), (slice(y0 - cy, y1 - cy), slice(x0 - cx, x1 - cx))


def draw_nucleus(rng: np.random.Generator, c: Conditions) -> Nucleus:
    """Draw one nucleus in its own window, not yet placed: its outline, its domed light and its chromatin."""
    mitotic = rng.random() < c.mitotic
    diameter = min(c.diameter * np.exp(rng.normal(0, c.size_spread)) * (0.6 if mitotic else 1), LARGEST)
    elongation = max(1.0, rng.normal(c.elongation, 0.2)) * (1.5 if mitotic else 1)
    long, short = diameter / 2 * elongation**0.5, max(diameter / 2 / elongation**0.5, 2.0)
    radius, distance = _outline(rng, long, short, c.bend, c.roughness * (2 if mitotic else 1))
    mask = distance < radius
    height = np.clip(1 - (distance / radius) ** 2, 0, 1) ** (0.05 + 0.7 * c.dome)
    brightness = float(np.clip(np.exp(rng.normal(0, c.brightness_spread)), 0.15, 6)) * (c.mitotic_gain if mitotic else 1)
    light = brightness * height * mask * _chromatin(rng, c, mask)
    return Nucleus((0, 0), light.astype(np.float32), mask, brightness)


def _outline(rng: np.random.Generator, long: float, short: float, bend: float, roughness: float) -> tuple[Floats, Floats]:
    """Radius of the outline and distance from the centre at each pixel of a window, both in units of the ellipse."""
    half = int(np.ceil(1.4 * long)) + 2
    y, x = np.mgrid[-half : half + 1, -half : half + 1].astype(np.float32)
    angle = rng.uniform(0, np.pi)
    u, v = (np.cos(angle) * x + np.sin(angle) * y) / long, (np.cos(angle) * y - np.sin(angle) * x) / short
    v = v + rng.normal(0, 1) * bend * (u**2 - 0.3)
    theta = np.arctan2(v, u)
    radius = np.ones_like(theta)
    for harmonic in range(2, 7):
        radius += roughness * 2 / harmonic * rng.normal() * np.cos(harmonic * theta + rng.uniform(0, 2 * np.pi))
    return np.maximum(radius, 0.4), np.hypot(u, v)


def _chromatin(rng: np.random.Generator, c: Conditions, mask: Mask) -> Floats:
    """Relative light over the nucleus: smooth noise, and dark spots for nucleoli."""
    grain = 1 + c.texture * smooth_noise(rng, mask.shape, c.texture_scale)
    inside = np.argwhere(mask)
    y, x = np.mgrid[: mask.shape[0], : mask.shape[1]]
    for cy, cx in inside[rng.integers(0, len(inside), rng.poisson(c.nucleoli))]:
        width = rng.uniform(0.05, 0.13) * c.diameter
        grain -= rng.uniform(0.1, 0.5) * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * width**2))
    return np.asarray(np.clip(grain, 0.15, None), dtype=np.float32)


def smooth_noise(rng: np.random.Generator, shape: tuple[int, ...], scale: float) -> Floats:
    """Gaussian noise of zero mean and unit standard deviation, smooth over `scale` pixels."""
    from scipy.ndimage import gaussian_filter

    noise = gaussian_filter(rng.normal(size=shape).astype(np.float32), scale, mode="wrap")
    return np.asarray((noise - noise.mean()) / max(float(noise.std()), 1e-6), dtype=np.float32)


def place_nuclei(rng: np.random.Generator, shape: tuple[int, int], c: Conditions, count: int) -> list[Nucleus]:
    """Put up to `count` nuclei into the field, none covered by others beyond the allowed share."""
    taken = np.zeros(shape, np.bool_)
    placed: list[Nucleus] = []
    centres: list[NDArray[np.float64]] = []
    for _ in range(count):
        nucleus, limit = draw_nucleus(rng, c), 1.0 if rng.random() < c.stacked else c.overlap
        for _ in range(12):
            centre = draw_centre(rng, shape, c, centres)
            trial = nucleus.moved(centre)
            if _covered(trial, taken) <= limit:
                field, own = trial.windows(shape)
                taken[field] |= trial.mask[own]
                placed.append(trial)
                centres.append(centre)
                break
    return placed


def draw_centre(
    rng: np.random.Generator, shape: tuple[int, int], c: Conditions, centres: Sequence[NDArray[np.float64]] = ()
) -> NDArray[np.float64]:
    """A centre (y, x) in or just outside the field, beside one of `centres` as often as the conditions clump."""
    if centres and rng.random() < c.clumping:
        angle, distance = rng.uniform(0, 2 * np.pi), c.diameter * rng.uniform(0.65, 1.15)
        return np.asarray(centres[int(rng.integers(len(centres)))] + distance * np.array([np.sin(angle), np.cos(angle)]))
    return rng.uniform(-0.4 * c.diameter, np.array(shape) + 0.4 * c.diameter)


def _covered(nucleus: Nucleus, taken: Mask) -> float:
    """Share of the nucleus, inside the field, that lies where others are; 2 where it lies wholly outside."""
    field, own = nucleus.windows((taken.shape[0], taken.shape[1]))
    inside = int(nucleus.mask[own].sum())
    return float((taken[field] & nucleus.mask[own]).sum() / inside) if inside else 2.0


def emitted_light(shape: tuple[int, int], nuclei: Sequence[Nucleus]) -> Floats:
    """Sum the light of placed nuclei over a field (y, x), in units of a typical nucleus."""
    light = np.zeros(shape, np.float32)
    for nucleus in nuclei:
        field, own = nucleus.windows(shape)
        light[field] += nucleus.light[own]
    return light


def label_nuclei(shape: tuple[int, int], nuclei: Sequence[Nucleus]) -> Labels:
    """Labels 1..n of what can be seen: the brighter nucleus hides the dimmer, and one nucleus is one piece."""
    painted = np.zeros(shape, np.int32)
    for label, nucleus in enumerate(sorted(nuclei, key=lambda n: n.brightness), start=1):
        field, own = nucleus.windows(shape)
        painted[field][nucleus.mask[own]] = label
    return _largest_pieces(painted)


def _largest_pieces(painted: Labels) -> Labels:
    """Keep the largest connected piece of each label, drop pieces too small to see, and number what is left from 1."""
    from scipy.ndimage import find_objects, label

    truth = np.zeros_like(painted)
    for value, window in enumerate(find_objects(painted), start=1):
        if window is None:
            continue
        pieces, _ = label(painted[window] == value)
        sizes = np.bincount(pieces.ravel())[1:]
        if sizes.max() >= SMALLEST_PIECE:
            truth[window][pieces == sizes.argmax() + 1] = truth.max() + 1
    return truth
