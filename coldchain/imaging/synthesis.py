"""Synthetic fluorescence fields of nuclei whose true outlines are known.

Two users: the training of the shipped segmentation model (`nuclei_field` under conditions drawn anew for every field, far wider than
any one microscope: domain randomisation, Tobin et al. 2017, doi:10.1109/IROS.2017.8202133), and the demo's plate (`plate`), whose
treatment has a known effect. The light path is the usual one: objects emit, the objective blurs, the detector counts photons (Poisson),
adds read noise (Gaussian), an offset, and saturates.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from coldchain.errors import InputError
from coldchain.imaging.synthetic_nuclei import (
    Conditions,
    Floats,
    Labels,
    draw_centre,
    draw_nucleus,
    emitted_light,
    label_nuclei,
    log_uniform,
    place_nuclei,
    random_conditions,
    smooth_noise,
)

Image = NDArray[np.uint16]

SIDES = (32, 4096)  # pixels, shortest and longest side of a field
MOST_NUCLEI = 20_000


class SyntheticField(NamedTuple):
    """One field: `image` uint16 (y, x) in detector counts, `truth` int32 (y, x) with labels 1..n, 0 is background."""

    image: Image
    truth: Labels


def nuclei_field(
    rng: np.random.Generator,
    shape: tuple[int, int] = (256, 256),
    *,
    count: int | None = None,
    conditions: Conditions | None = None,
) -> SyntheticField:
    """Make one field of `shape` (y, x) pixels: its image and the true labels, the same for the same state of `rng`.

    `count` nuclei are tried (those that find no place are left out); where not given it is drawn from sparse to confluent. Where
    two nuclei overlap their light adds and the brighter has the label. Raises InputError for a shape or count that makes no field.
    """
    shape = _checked_shape(shape)
    conditions = conditions or random_conditions(rng)
    count = _whole("count", _drawn_count(rng, shape, conditions) if count is None else count, 0, MOST_NUCLEI)
    nuclei = place_nuclei(rng, shape, conditions, count)
    light, truth = emitted_light(shape, nuclei), label_nuclei(shape, nuclei)
    light += _unlabelled_light(rng, shape, conditions, count)
    photons = _photons(rng, _optics(rng, light, conditions), conditions)
    return SyntheticField(_counts(photons, _exposed_gain(photons, conditions), conditions), truth)


def _checked_shape(shape: tuple[int, int]) -> tuple[int, int]:
    if not isinstance(shape, tuple | list) or len(shape) != 2:
        raise InputError("a synthetic field cannot have this shape", expected="(y, x) in pixels", got=shape)
    return _whole("height in pixels", shape[0], *SIDES), _whole("width in pixels", shape[1], *SIDES)


def _whole(what: str, value: object, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not low <= value <= high:
        raise InputError(
            "a synthetic image cannot be made with this value", on=what, expected=f"a whole number, {low} to {high}", got=value
        )
    return int(value)


def _drawn_count(rng: np.random.Generator, shape: tuple[int, int], conditions: Conditions) -> int:
    covered = rng.uniform(0.02, 0.65)
    return round(covered * shape[0] * shape[1] / (np.pi / 4 * conditions.diameter**2))


# --- light path ---------------------------------------------------------------------------------------------------------------------


def _unlabelled_light(rng: np.random.Generator, shape: tuple[int, int], c: Conditions, count: int) -> Floats:
    """Light of what is not a nucleus in focus: blurred nuclei of other planes, and debris."""
    from scipy.ndimage import gaussian_filter

    behind = [draw_nucleus(rng, c).moved(draw_centre(rng, shape, c)) for _ in range(rng.poisson(c.out_of_focus * count))]
    blurred = gaussian_filter(emitted_light(shape, behind), c.diameter * rng.uniform(0.25, 0.5)) * rng.uniform(0.1, 0.5)
    speck = replace(c, diameter=4.0, size_spread=0.2, mitotic=0.0, nucleoli=0.0)
    specks = [draw_nucleus(rng, speck).moved(draw_centre(rng, shape, c)) for _ in range(rng.poisson(c.debris * count))]
    return np.asarray(blurred + emitted_light(shape, specks) * rng.uniform(0.2, 2), dtype=np.float32)


def _optics(rng: np.random.Generator, light: Floats, c: Conditions) -> Floats:
    """Blur by a point-spread function with a narrow core and a wide tail, then add background, a slope and haze."""
    from scipy.ndimage import gaussian_filter

    blurred = (1 - c.halo) * gaussian_filter(light, c.psf) + c.halo * gaussian_filter(light, c.halo_width)
    y, x = np.mgrid[0 : 1 : light.shape[0] * 1j, 0 : 1 : light.shape[1] * 1j]
    slope = rng.normal(0, c.haze / 2) * y + rng.normal(0, c.haze / 2) * x
    haze = c.haze * smooth_noise(rng, light.shape, log_uniform(rng, 6, 60))
    return np.asarray(np.clip(blurred + c.background + slope + haze, 0, None), dtype=np.float32)


def _photons(rng: np.random.Generator, light: Floats, c: Conditions) -> Floats:
    """What the detector counted: photons with their Poisson noise, plus read noise, both as correlated as the conditions say."""
    from scipy.ndimage import gaussian_filter

    photons = rng.poisson(light * c.photons) + rng.normal(0, c.read_noise, light.shape)
    return np.asarray(gaussian_filter(photons, c.noise_blur), dtype=np.float32)


def _exposed_gain(photons: Floats, c: Conditions) -> float:
    """Counts for a photon that take the 99.9th percentile to the wanted share of full scale."""
    return c.exposure * c.full_scale / max(float(np.percentile(photons, 99.9)), 1.0)


def _counts(photons: Floats, gain: float, c: Conditions) -> Image:
    """Digitise: gain, offset, and saturation at full scale."""
    return np.asarray(np.clip(np.rint(photons * gain + c.offset * c.full_scale), 0, c.full_scale), dtype=np.uint16)


# --- plate --------------------------------------------------------------------------------------------------------------------------

CHANNELS = ("DNA", "Marker")
TOP_DOSE, DILUTION, HALF_EFFECT = 10.0, 3.0, 2.0  # µM in the last column, step between columns, dose of half the effect
CONTROL, COMPOUND = "DMSO", "compound-1"
ONE_PLATE = Conditions(
    diameter=22,
    texture=0.12,
    psf=1.1,
    haze=0.03,
    background=0.25,
    photons=250,
    mitotic=0.03,
    mitotic_gain=3,
    full_scale=65535,
    offset=0.003,
)
GAIN = {"DNA": 40.0, "Marker": 25.0}  # counts for a photon: the same in every field, so that intensities compare
VIGNETTE = {"DNA": (0.45, 0.55, 0.25), "Marker": (0.6, 0.4, 0.35)}  # optical centre y, x over the side; light lost in a far corner
COVERED = 0.3  # share of a control field that nuclei are tried for
OUT_OF_FOCUS = replace(ONE_PLATE, psf=7.0, halo=0.5)
OVEREXPOSED = 12.0  # times the gain, in the saturated field


class PlateField(NamedTuple):
    """One field of a plate: `channels` name → uint16 (y, x), `truth` int32 (y, x); `dose` in µM, 0 for the control."""

    well: str
    field: int
    channels: dict[str, Image]
    truth: Labels
    treatment: str
    dose: float


def plate(seed: int = 1, rows: int = 3, columns: int = 4, fields: int = 2, shape: tuple[int, int] = (256, 256)) -> Iterator[PlateField]:
    """Make a plate, field by field in order of well: the control in column 1, then a dilution series that rises to 10 µM.

    The effect of a dose d is d / (d + 2 µM): at full effect 60 % of the cells are lost and the marker is five times as bright. Each
    channel has a fixed vignette. `defects` says which fields are out of focus or saturated. A field depends on nothing but `seed`,
    `shape` and its own place. Raises InputError for a plate beyond 16 x 24 wells or 99 fields.
    """
    rows, columns, fields = _whole("rows", rows, 1, 16), _whole("columns", columns, 1, 24), _whole("fields", fields, 1, 99)
    seed, shape = _whole("seed", seed, 0, 2**32 - 1), _checked_shape(shape)
    spoilt = defects(rows, columns, fields)
    return (
        _plate_field(np.random.default_rng([seed, row, column, field]), (row, column, field), _dose(column, columns), shape, spoilt)
        for row, column, field in _places(rows, columns, fields)
    )


def defects(rows: int, columns: int, fields: int) -> Mapping[tuple[str, int], str]:
    """Which fields of such a plate are spoilt on purpose: (well, field) → out_of_focus or saturated; none in under four fields."""
    places = _places(rows, columns, fields)
    if len(places) < 4:
        return {}
    return {_named(places[len(places) // 2 - 1]): "out_of_focus", _named(places[-2]): "saturated"}


def _places(rows: int, columns: int, fields: int) -> list[tuple[int, int, int]]:
    return list(product(range(rows), range(columns), range(1, fields + 1)))


def _named(place: tuple[int, int, int]) -> tuple[str, int]:
    return f"{chr(ord('A') + place[0])}{place[1] + 1:02d}", place[2]


def _dose(column: int, columns: int) -> float:
    """Dose of a column in µM, rounded to three decimals."""
    return 0.0 if column == 0 else round(TOP_DOSE / DILUTION ** (columns - 1 - column), 3)


def _plate_field(
    rng: np.random.Generator, place: tuple[int, int, int], dose: float, shape: tuple[int, int], spoilt: Mapping[tuple[str, int], str]
) -> PlateField:
    effect, defect = dose / (dose + HALF_EFFECT), spoilt.get(_named(place))
    tried = COVERED * shape[0] * shape[1] / (np.pi / 4 * ONE_PLATE.diameter**2) * (1 - 0.6 * effect) * rng.uniform(0.92, 1.08)
    nuclei = place_nuclei(rng, shape, ONE_PLATE, round(tried))
    truth = label_nuclei(shape, nuclei)
    lights = {"DNA": emitted_light(shape, nuclei), "Marker": _marker_light(rng, truth, 0.3 * (1 + 4 * effect))}
    channels = {channel: _plate_image(rng, channel, lights[channel], defect) for channel in CHANNELS}
    return PlateField(*_named(place), channels, truth, COMPOUND if dose else CONTROL, dose)


def _marker_light(rng: np.random.Generator, truth: Labels, level: float) -> Floats:
    """Marker of each cell: full in the nucleus, half in a rim of 7 pixels around it, varying by 20 % from cell to cell."""
    from scipy.ndimage import distance_transform_edt

    away, nearest = distance_transform_edt(truth == 0, return_indices=True)
    cells = level * np.exp(rng.normal(0, 0.2, int(truth.max()) + 1))
    cells[0] = 0.0
    return np.asarray(cells[truth[tuple(nearest)]] * np.select([away == 0, away <= 7], [1.0, 0.5], 0.0), dtype=np.float32)


def _plate_image(rng: np.random.Generator, channel: str, light: Floats, defect: str | None) -> Image:
    conditions = OUT_OF_FOCUS if defect == "out_of_focus" else ONE_PLATE
    lit = _optics(rng, light, conditions) * _vignette(channel, light.shape)
    gain = GAIN[channel] * (OVEREXPOSED if defect == "saturated" else 1.0)
    return _counts(_photons(rng, lit, conditions), gain, conditions)


def _vignette(channel: str, shape: tuple[int, ...]) -> Floats:
    """Share of light at each pixel: 1 at the optical centre, falling with the square of the distance."""
    centre_y, centre_x, lost = VIGNETTE[channel]
    y, x = np.mgrid[0 : 1 : shape[0] * 1j, 0 : 1 : shape[1] * 1j]
    return np.asarray(1 - lost * ((y - centre_y) ** 2 + (x - centre_x) ** 2) / 0.5, dtype=np.float32)
