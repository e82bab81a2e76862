"""Synthetic stacks of nuclei (z, y, x) whose true labels are known, as a confocal or light-sheet microscope sees a tissue.

A nucleus is an ellipsoid whose outline carries a few random waves. Nuclei lie at random or in a loose lattice, as in an epithelium, and
where two would overlap each keeps what is nearer to it in units of its own size, so that neighbours share a flat wall. The objective blurs
most along z, light is lost with depth, and the camera counts photons. Conditions are drawn anew for every stack, far wider than
those of one microscope (domain randomisation, Tobin et al. 2017, doi:10.1109/IROS.2017.8202133).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coldchain.errors import InputError
from coldchain.imaging.synthesis import SyntheticField
from coldchain.imaging.synthetic_nuclei import Floats, Labels, Mask, log_uniform, smooth_noise

Points = NDArray[np.float64]

SIDES = (8, 512)  # pixels, shortest and longest side of a stack
SMALLEST_PIECE = 30  # voxels that must show of a nucleus for it to have a label
LEAST_HEIGHT, MOST_HEIGHT = 5.0, 22.0  # planes that a typical nucleus spans


@dataclass(frozen=True)
class StackConditions:
    """What one stack looks like. Lengths in pixels, light in units of a typical nucleus, the rest as fractions."""

    diameter: float = 17.0  # in y and x
    height: float = 8.0  # in z, in planes
    size_spread: float = 0.12  # log standard deviation
    elongation: float = 1.2  # long axis over short axis, in the plane
    roughness: float = 0.05  # relative amplitude of the outline's waves
    lattice: bool = True  # a loose lattice, or random places
    spacing: float = 1.15  # diameters between centres: step of the lattice, or least distance
    jitter: float = 0.2  # of the step: how loose the lattice is
    occupied: float = 0.85  # share of the places that hold a nucleus
    brightness_spread: float = 0.25  # log standard deviation
    dome: float = 0.3  # 0: the light is even, 1: it falls towards the outline
    texture: float = 0.1  # relative amplitude of chromatin
    texture_scale: float = 2.0
    psf: float = 1.0  # standard deviation of the blur in y and x
    psf_z: float = 1.5  # and in z, in planes
    halo: float = 0.2  # share of light in the wide tail of the blur
    background: float = 0.6
    haze: float = 0.1  # amplitude of smooth background structure
    depth_loss: float = 0.0  # share of light lost from the first plane to the last
    photons: float = 30.0  # of one voxel of a typical nucleus
    read_noise: float = 2.0  # photons
    full_scale: int = 4095  # counts at which the detector saturates
    exposure: float = 0.6  # brightest voxels over full scale
    offset: float = 0.03  # of full scale


def random_stack_conditions(rng: np.random.Generator) -> StackConditions:
    """Draw the conditions of one training stack."""
    diameter = log_uniform(rng, 10, 26)
    height = float(np.clip(diameter * rng.uniform(0.3, 0.9), LEAST_HEIGHT, MOST_HEIGHT))
    return StackConditions(
        diameter=diameter,
        height=height,
        size_spread=rng.uniform(0.03, 0.25),
        elongation=1 + rng.gamma(2.0, 0.12),
        roughness=rng.uniform(0.0, 0.1),
        lattice=bool(rng.random() < 0.6),
        spacing=rng.uniform(0.85, 1.4),
        jitter=rng.uniform(0.05, 0.35),
        occupied=rng.uniform(0.3, 1.0) ** 0.6,
        brightness_spread=rng.uniform(0.1, 0.6),
        dome=rng.uniform(0.0, 0.8),
        texture=rng.uniform(0.0, 0.3),
        texture_scale=log_uniform(rng, 0.8, 4),
        psf=log_uniform(rng, 0.4, 1.8),
        psf_z=height * log_uniform(rng, 0.05, 0.3),
        halo=rng.uniform(0.0, 0.5),
        background=log_uniform(rng, 0.05, 1.6),
        haze=0.3 * rng.uniform(0.0, 1.0) ** 2,
        depth_loss=rng.uniform(0.0, 0.7) * (rng.random() < 0.4),
        photons=log_uniform(rng, 12, 600),
        read_noise=log_uniform(rng, 0.1, 4),
        full_scale=int(rng.choice([255, 4095, 65535])),
        exposure=rng.uniform(0.1, 1.1),
        offset=rng.uniform(0.0, 0.1),
    )


def nuclei_stack(
    rng: np.random.Generator, shape: tuple[int, int, int] = (32, 96, 96), *, conditions: StackConditions | None = None
) -> SyntheticField:
    """Make one stack of `shape` (z, y, x): `image` uint16 and `truth` int32 with labels 1..n, the same for the same state of `rng`.

    Conditions are drawn where not given. Raises InputError for a shape that makes no stack.
    """
    _refuse_other_shape(shape)
    c = conditions or random_stack_conditions(rng)
    owner, depth = _owners(rng, shape, c, _centres(rng, shape, c))
    light = _emitted(rng, owner, depth, c)
    return SyntheticField(_digitised(rng, _blurred(rng, light, c), c), _pieces(owner))


def _refuse_other_shape(shape: tuple[int, int, int]) -> None:
    if len(shape) != 3 or not all(isinstance(n, int) and SIDES[0] <= n <= SIDES[1] for n in shape):
        raise InputError("a synthetic stack cannot have this shape", expected=f"(z, y, x), each {SIDES[0]} to {SIDES[1]} pixels", got=shape)


# --- places -------------------------------------------------------------------------------------------------------------------------


def _centres(rng: np.random.Generator, shape: tuple[int, int, int], c: StackConditions) -> Points:
    """Centres (n, 3) in pixels, in and just outside the stack."""
    size = np.array([c.height, c.diameter, c.diameter])
    extent = np.array(shape) / size + 1.2  # in nuclei, with a rim from which cut nuclei reach in
    places = _loose_lattice(rng, extent, c) if c.lattice else _apart(rng, extent, c.spacing * 0.85)
    kept = places[rng.random(len(places)) < c.occupied]
    return np.asarray((kept - 0.6) * size)


def _loose_lattice(rng: np.random.Generator, extent: Points, c: StackConditions) -> Points:
    """Places on a lattice whose layers are shifted against each other, each moved by the jitter."""
    steps = [np.arange(rng.uniform(0, c.spacing), n, c.spacing) for n in extent]
    grid = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1)
    grid[1::2, ..., 1:] += c.spacing * rng.uniform(0, 0.5, 2)
    grid[:, 1::2, :, 2] += c.spacing * rng.uniform(0, 0.5)
    return np.asarray(grid.reshape(-1, 3) + rng.normal(0, c.jitter * c.spacing / 2, (grid.size // 3, 3)))


def _apart(rng: np.random.Generator, extent: Points, least: float) -> Points:
    """Random places that keep a least distance from one another (random sequential addition)."""
    kept = np.zeros((0, 3))
    for place in rng.uniform(0, 1, (int(3 * np.prod(extent)) + 1, 3)) * extent:
        if not len(kept) or np.min(np.sum((kept - place) ** 2, axis=1)) >= least**2:
            kept = np.vstack([kept, place])
    return kept


# --- nuclei -------------------------------------------------------------------------------------------------------------------------


def _owners(rng: np.random.Generator, shape: tuple[int, int, int], c: StackConditions, centres: Points) -> tuple[Labels, Floats]:
    """Which nucleus each voxel belongs to (0: none), and how far out in it the voxel lies, 0 at its centre to 1 at its outline."""
    owner, depth = np.zeros(shape, np.int32), np.ones(shape, np.float32)
    for number, centre in enumerate(centres, start=1):
        window, distance = _ellipsoid(rng, shape, c, centre)
        nearer = distance < depth[window]
        owner[window][nearer] = number
        depth[window][nearer] = distance[nearer]
    return owner, depth


def _ellipsoid(
    rng: np.random.Generator, shape: tuple[int, int, int], c: StackConditions, centre: Points
) -> tuple[tuple[slice, slice, slice], Floats]:
    """The window of one nucleus in the stack, and the distance of its voxels from the centre in units of the outline."""
    size = np.exp(rng.normal(0, c.size_spread))
    stretch = max(1.0, rng.normal(c.elongation, 0.1)) ** 0.5
    radii = size * np.array([c.height * np.exp(rng.normal(0, 0.1)), c.diameter * stretch, c.diameter / stretch]) / 2
    reach = np.ceil(1.35 * radii[[0, 1, 1]]).astype(int)
    middle = np.rint(centre).astype(int)
    window = tuple(slice(max(m - r, 0), max(min(m + r + 1, n), 0)) for m, r, n in zip(middle, reach, shape, strict=True))
    z, y, x = (np.arange(s.start, s.stop, dtype=np.float32) - at for s, at in zip(window, centre, strict=True))
    z, y, x = z[:, None, None], y[None, :, None], x[None, None, :]
    angle, lean = rng.uniform(0, np.pi), rng.normal(0, 0.15, 2) * c.diameter / c.height
    y, x = y - lean[0] * z, x - lean[1] * z
    u, v = (np.cos(angle) * x + np.sin(angle) * y) / radii[1], (np.cos(angle) * y - np.sin(angle) * x) / radii[2]
    w = z / radii[0]
    waves = sum(c.roughness * rng.normal() * np.sin(2 * axis + rng.uniform(0, 2 * np.pi)) for axis in (u, v, w, u + v, v + w, w - u))
    squareness = rng.uniform(1.8, 2.8)
    distance = (np.abs(u) ** squareness + np.abs(v) ** squareness + np.abs(w) ** squareness) ** (1 / squareness)
    return (window[0], window[1], window[2]), np.asarray(distance * (1 + waves), np.float32)


def _pieces(owner: Labels) -> Labels:
    """Keep the largest connected piece of each nucleus, drop those too small to see, and number what is left from 1."""
    from scipy.ndimage import find_objects, label

    truth = np.zeros_like(owner)
    for value, window in enumerate(find_objects(owner), start=1):
        if window is None:
            continue
        pieces, _ = label(owner[window] == value)
        sizes = np.bincount(pieces.ravel())[1:]
        if sizes.max() >= SMALLEST_PIECE:
            truth[window][pieces == sizes.argmax() + 1] = truth.max() + 1
    return truth


# --- light path ---------------------------------------------------------------------------------------------------------------------


def _emitted(rng: np.random.Generator, owner: Labels, depth: Floats, c: StackConditions) -> Floats:
    brightness = np.clip(np.exp(rng.normal(0, c.brightness_spread, int(owner.max()) + 1)), 0.25, 4)
    brightness[0] = 0.0
    inside: Mask = owner > 0
    dome = np.clip(1 - depth**2, 0, 1) ** (0.05 + 0.6 * c.dome)
    grain = np.clip(1 + c.texture * smooth_noise(rng, owner.shape, c.texture_scale), 0.2, None)
    return np.asarray(brightness[owner] * dome * grain * inside, np.float32)


def _blurred(rng: np.random.Generator, light: Floats, c: StackConditions) -> Floats:
    """Blur by a narrow core and a wide tail, both longest along z; add background and haze; lose light with depth."""
    from scipy.ndimage import gaussian_filter

    core = gaussian_filter(light, (c.psf_z, c.psf, c.psf))
    tail = gaussian_filter(light, (3 * c.psf_z, 4 * c.psf, 4 * c.psf))
    haze = c.haze * smooth_noise(rng, light.shape, log_uniform(rng, 4, 20))
    lost = np.linspace(1, 1 - c.depth_loss, light.shape[0])[:: int(rng.choice([-1, 1])), None, None]
    return np.asarray(np.clip(((1 - c.halo) * core + c.halo * tail + c.background + haze) * lost, 0, None), np.float32)


def _digitised(rng: np.random.Generator, light: Floats, c: StackConditions) -> NDArray[np.uint16]:
    """Count photons, add read noise, and digitise: gain, offset, and saturation at full scale."""
    photons = rng.poisson(light * c.photons) + rng.normal(0, c.read_noise, light.shape)
    gain = c.exposure * c.full_scale / max(float(np.percentile(photons, 99.9)), 1.0)
    return np.asarray(np.clip(np.rint(photons * gain + c.offset * c.full_scale), 0, c.full_scale), np.uint16)
