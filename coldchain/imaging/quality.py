"""How good each field is: measures of one plane, and the rules that flag a field against its plate.

After Bray, Fraser, Hasaka & Carpenter, "Workflow and metrics for image quality control in large-scale high-content screens",
J. Biomol. Screen. 17 (2012) 266-274.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coldchain.errors import ImageError
from coldchain.imaging.pyramid import Plane

PREFIX = "ImageQuality_"  # of every column, followed by the measure and the channel
FOCUS_SIDE = 1024  # px, the centre of a field that focus is measured on
FIRST_RING = 2  # below it lies the mean and the window's own frequency
FULL_SCALES = (255, 1023, 4095, 16383, 65535)  # 8, 10, 12, 14 and 16-bit cameras
DEBRIS_SIDE = 512  # px, to which a field is shrunk where bright pieces are looked for
BLOCKS = 8  # unevenness is measured between this many blocks a side

Row = Mapping[str, Any]


@dataclass(frozen=True)
class QualityRules:
    """Limits of a good field. Robust z: (value - plate median) / (1.4826 * median absolute deviation), without a unit."""

    min_detail: float = -3.5  # log10 of fine over coarse power, whatever the plate: falls with blur, and a little with magnification
    max_saturated: float = 0.005  # fraction of pixels at the camera's full scale
    min_contrast: float = 6.0  # (99.9th percentile - median) / noise; less in every channel is an empty field
    focus_z: float = 4.0  # robust z of the detail, below which a field is out of focus ...
    focus_drop: float = 0.3  # ... if it also lies that far below the plate's median, log10: half of the detail is gone
    outlier_z: float = 6.0  # robust z beyond which intensity or unevenness is an outlier ...
    outlier_change: float = 0.25  # ... if it also differs by that fraction of the plate's median
    debris_area: float = 0.01  # fraction of the field in one bright piece, below which it is no debris ...
    debris_times: float = 5.0  # ... nor below so many times the plate's median: at high magnification a cell is large too
    min_fields: int = 8  # fields of a plate, fewer are not compared with each other


def measure_plane(image: Plane) -> dict[str, float]:
    """Measure one plane (y, x); intensities are grey levels, fractions are 0 to 1.

    FocusDetail, PowerLogLogSlope and LaplacianVariance fall with blur (the first whatever the noise). SaturatedFraction is at the
    camera's full scale. Background is the 10th percentile, SignalToBackground the 99th percentile over it. Noise is the standard
    deviation from pixel to pixel, Contrast is (99.9th percentile - median) / noise. Unevenness is the range of the background between
    blocks over its mean. BrightArea is the largest bright piece, a fraction of the field.
    Raises ImageError where it is not a plane of finite values, at least 8 px a side.
    """
    if image.ndim != 2 or min(image.shape) < BLOCKS:
        raise ImageError("Not a plane to measure", expected=f"(y, x), at least {BLOCKS} px", got=image.shape)
    if image.dtype.kind == "f" and not np.isfinite(image).all():
        raise ImageError("A plane has values that are no numbers", expected="finite values", got="NaN or infinity")
    grey = image.astype(np.float32)
    p1, background, median, p99, p999 = (float(value) for value in np.percentile(grey, [1, 10, 50, 99, 99.9]))
    noise, radial = estimate_noise(grey), radial_power(_centre(grey))
    return {
        "FocusDetail": focus_detail(radial),
        "PowerLogLogSlope": power_slope(radial),
        "LaplacianVariance": float(_laplacian(grey).var(dtype=np.float64)),
        "SaturatedFraction": saturated_fraction(image),
        "MinIntensity": float(grey.min()),
        "MeanIntensity": float(grey.mean(dtype=np.float64)),
        "MedianIntensity": median,
        "P1Intensity": p1,
        "P99Intensity": p99,
        "P999Intensity": p999,
        "Background": background,
        "SignalToBackground": p99 / max(background, 1.0),
        "Noise": noise,
        "Contrast": (p999 - median) / noise if noise > 0 else 0.0 if p999 == median else p999 - median,
        "Unevenness": unevenness(grey),
        "BrightArea": bright_area(grey),
    }


def radial_power(grey: Plane) -> NDArray[np.float64]:
    """Return the mean power at each spatial frequency 0, 1, 2 ... cycles over the shorter side, up to Nyquist, under a Hann window."""
    window = np.outer(np.hanning(grey.shape[0]), np.hanning(grey.shape[1]))
    power = np.abs(np.fft.rfft2((grey - grey.mean()) * window)) ** 2
    fy, fx = np.fft.fftfreq(grey.shape[0])[:, None], np.fft.rfftfreq(grey.shape[1])[None, :]
    size = min(grey.shape)
    ring = np.rint(np.hypot(fy, fx) * size).astype(np.intp).ravel()
    radial = np.bincount(ring, weights=power.ravel()) / np.maximum(np.bincount(ring), 1)
    return np.asarray(radial[: size // 2], np.float64)


def power_slope(radial: NDArray[np.float64]) -> float:
    """Return the slope of log power over log spatial frequency (Field & Brady, Vision Res. 37 (1997) 3367-3383); 0 for a flat image."""
    cycles = np.arange(FIRST_RING, len(radial))
    if len(cycles) < 2 or not (radial[FIRST_RING:] > 0).all():
        return 0.0
    return float(np.polyfit(np.log(cycles), np.log(radial[FIRST_RING:]), 1)[0])


def focus_detail(radial: NDArray[np.float64]) -> float:
    """Return log10 of the power of details (5 to 16 px) over that of coarser structure, the noise subtracted; 0 for a flat image.

    The noise is white: its power is that of the highest fifth of frequencies, where optics pass nothing. Unlike the plain slope this does
    not depend on the noise: measured on fields blurred by 0 to 3 px, with and without photon noise, it moved by less than 0.1 for the
    noise, and by 0.9 for the blur.
    """
    cycles = np.arange(len(radial))
    pixels = 2 * len(radial) / np.maximum(cycles, 1)
    signal = np.clip(radial - np.median(radial[len(radial) * 4 // 5 :]), 0, None) * cycles
    coarse, fine = signal[(cycles >= FIRST_RING) & (pixels > 16)].sum(), signal[(pixels <= 16) & (pixels > 5)].sum()
    return float(np.log10(max(fine / coarse, 1e-6))) if coarse > 0 else 0.0


def _centre(grey: Plane) -> Plane:
    top, left = (max(0, (side - FOCUS_SIDE) // 2) for side in grey.shape)
    return grey[top : top + FOCUS_SIDE, left : left + FOCUS_SIDE]


def _laplacian(grey: Plane) -> Plane:
    return np.asarray(grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * grey[1:-1, 1:-1])


def estimate_noise(grey: Plane) -> float:
    """Return the standard deviation of the noise, in grey levels (Immerkaer, Comput. Vis. Image Underst. 64 (1996) 300-302)."""
    rows = grey[:, :-2] - 2 * grey[:, 1:-1] + grey[:, 2:]
    response = rows[:-2] - 2 * rows[1:-1] + rows[2:]
    return float(math.sqrt(math.pi / 2) / 6 * np.abs(response).mean(dtype=np.float64))


def saturated_fraction(image: Plane) -> float:
    """Return the fraction of pixels at the top, where the brightest pixel is the full scale of an 8 to 16-bit camera; else 0."""
    brightest = image.max()
    return float((image == brightest).mean()) if image.dtype.kind == "u" and int(brightest) in FULL_SCALES else 0.0


def unevenness(grey: Plane) -> float:
    """Return (highest - lowest) / mean of the background (25th percentile) of 8 x 8 blocks: 0 is even."""
    height, width = grey.shape[0] // BLOCKS, grey.shape[1] // BLOCKS
    blocks = grey[: height * BLOCKS, : width * BLOCKS].reshape(BLOCKS, height, BLOCKS, width).swapaxes(1, 2).reshape(BLOCKS**2, -1)
    levels = np.percentile(blocks, 25, axis=1)
    return float(np.ptp(levels) / max(levels.mean(), 1.0))


def bright_area(grey: Plane) -> float:
    """Return the largest connected piece, as a fraction of the field, that is twice as far above the median as the 90th percentile.

    Dust, fibres and clumps of dead cells are far brighter than cells and larger. A field is first shrunk to about 512 px, and smoothed by
    3 x 3 px, so that noise makes no bridges. Measured: at most 0.02 on the good fields of a real confluent plate and 0.0025 on nuclei,
    0.01 and more where a piece of 1 % of the field was drawn in.
    """
    from scipy.ndimage import label, uniform_filter

    factor = max(1, round(max(grey.shape) / DEBRIS_SIDE))
    height, width = grey.shape[0] // factor, grey.shape[1] // factor
    small = grey[: height * factor, : width * factor].reshape(height, factor, width, factor).mean(axis=(1, 3), dtype=np.float64)
    smooth = uniform_filter(small, 3)
    median, high = np.percentile(smooth, [50, 90])
    pieces, count = label(smooth > median + 2 * (high - median)) if high > median else (np.zeros(1, np.intp), 0)
    return float(np.bincount(pieces.ravel())[1:].max() / smooth.size) if count else 0.0


def flag_fields(rows: Sequence[Row], rules: QualityRules | None = None) -> list[dict[str, Any]]:
    """Return the rows of one plate (a row a field), each with `flags` (rule, channel, figure and limit) and `flagged`.

    Rules: `focus`, `saturation`, `empty` (no channel has signal), `debris`, `outlier`. Comparisons with the plate need
    `rules.min_fields` fields.
    """
    rules = rules or QualityRules()
    compared = {name: [float(row[name]) for row in rows] for name in _compared(rows, rules)}
    scores = {name: (values, float(np.median(values)), robust_z(values)) for name, values in compared.items()}
    flagged = []
    for index, row in enumerate(rows):
        relative = (_relative_flag(name, values[index], median, float(z[index]), rules) for name, (values, median, z) in scores.items())
        flags = [*_absolute_flags(row, rules), *(flag for flag in relative if flag)]
        flagged.append({**row, "flags": flags, "flagged": bool(flags)})
    return flagged


def robust_z(values: Sequence[float]) -> NDArray[np.float64]:
    """Return (value - median) / (1.4826 * MAD); where the MAD is 0, over 1.2533 * mean deviation (Iglewicz & Hoaglin, 1993)."""
    away = np.asarray(values, np.float64) - np.median(values)
    scale = 1.4826 * np.median(np.abs(away)) or 1.2533 * np.abs(away).mean()
    return away / scale if scale > 0 else np.zeros_like(away)


def _compared(rows: Sequence[Row], rules: QualityRules) -> list[str]:
    measures = ("FocusDetail", "MedianIntensity", "Unevenness", "BrightArea")
    if len(rows) < rules.min_fields:
        return []
    return [name for name in rows[0] if name.startswith(tuple(f"{PREFIX}{measure}_" for measure in measures))]


def _channels(row: Row, measure: str) -> dict[str, float]:
    start = f"{PREFIX}{measure}_"
    return {name.removeprefix(start): value for name, value in row.items() if name.startswith(start)}


def _absolute_flags(row: Row, rules: QualityRules) -> list[str]:
    contrasts = _channels(row, "Contrast")
    empty = bool(contrasts) and max(contrasts.values()) < rules.min_contrast
    flags = [f"empty: contrast at most {max(contrasts.values()):.1f} in any channel, limit {rules.min_contrast:g}"] if empty else []
    for channel, fraction in _channels(row, "SaturatedFraction").items():
        if fraction > rules.max_saturated:
            flags.append(f"saturation {channel}: {fraction:.4f} of the pixels, limit {rules.max_saturated:g}")
    for channel, detail in _channels(row, "FocusDetail").items():
        if detail < rules.min_detail:
            flags.append(f"focus {channel}: detail {detail:.2f}, limit {rules.min_detail:g}")
    return flags


def _relative_flag(name: str, value: float, median: float, z: float, rules: QualityRules) -> str | None:
    """Say how a value is unlike its plate's, where it is so both by the spread of the plate and by a change that matters."""
    measure, channel = name.removeprefix(PREFIX).split("_", 1)
    said = f"{channel}: {measure} {value:.4g} where the plate has {median:.4g}, {z:.1f} robust z"
    if measure == "FocusDetail":
        return f"focus {said}, limit -{rules.focus_z:g}" if z < -rules.focus_z and median - value > rules.focus_drop else None
    if measure == "BrightArea":
        large = value >= max(rules.debris_area, rules.debris_times * median)
        return f"debris {said}, limit {rules.debris_times:g} times the plate" if large and z > rules.outlier_z else None
    changed = abs(value - median) > rules.outlier_change * abs(median)
    return f"outlier {said}, limit {rules.outlier_z:g}" if abs(z) > rules.outlier_z and changed else None
