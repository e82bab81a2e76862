from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coldchain.errors import ImageError
from coldchain.imaging import synthesis
from coldchain.imaging.quality import (
    QualityRules,
    bright_area,
    estimate_noise,
    flag_fields,
    measure_plane,
    robust_z,
    saturated_fraction,
    unevenness,
)

DATA = Path(os.environ.get("COLDCHAIN_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
Plane = np.ndarray[Any, Any]


def cells(blur: float = 0.0, *, photons: bool = True, seed: int = 1) -> Plane:
    """Draw sharp-edged discs of many sizes, blur them by a Gaussian of `blur` px, and count photons."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:400, :400]
    light = np.full((400, 400), 20.0)
    for cy, cx, radius in zip(rng.uniform(0, 400, 60), rng.uniform(0, 400, 60), rng.uniform(4, 14, 60), strict=True):
        light[(y - cy) ** 2 + (x - cx) ** 2 < radius**2] = rng.uniform(100, 300)
    seen = gaussian_filter(light, blur) if blur else light
    return (rng.poisson(seen) if photons else seen).astype(np.uint16) + np.uint16(100)


def row(well: str, field: int, **channels: Plane) -> dict[str, Any]:
    """Measure a field as the correction of a plate does."""
    measures = {
        f"ImageQuality_{name}_{channel}": value for channel, plane in channels.items() for name, value in measure_plane(plane).items()
    }
    return {"Metadata_Plate": "P", "Metadata_Well": well, "Metadata_Site": field, **measures}


def plain_rows(count: int = 12) -> list[dict[str, Any]]:
    """Make the rows of a plate on which nothing is wrong, and no two fields are alike."""
    measures = {
        "FocusDetail": -1.2,
        "SaturatedFraction": 0.0,
        "MedianIntensity": 200.0,
        "Unevenness": 0.3,
        "Contrast": 40.0,
        "BrightArea": 0.003,
    }
    wiggle = np.linspace(-0.05, 0.05, count)
    return [
        {"Metadata_Well": f"A{n + 1:02d}", **{f"ImageQuality_{name}_DNA": value * (1 + wiggle[n]) for name, value in measures.items()}}
        for n in range(count)
    ]


def flags_with(**changed: float) -> list[str]:
    """Flags of the last field of a good plate, after some of its measures were changed."""
    rows = plain_rows()
    rows[-1] |= {f"ImageQuality_{name}_DNA": value for name, value in changed.items()}
    flagged = flag_fields(rows)
    assert not any(field["flagged"] for field in flagged[:-1])
    return list(flagged[-1]["flags"])


def test_detail_falls_with_blur_and_not_with_noise() -> None:
    """The measure of focus falls with every pixel of blur by much more than photon noise moves it."""
    sharp, two, four = (measure_plane(cells(blur))["FocusDetail"] for blur in (0, 2, 4))
    assert sharp - two > 0.3
    assert two - four > 0.3
    assert abs(sharp - measure_plane(cells(0, photons=False))["FocusDetail"]) < 0.1


def test_slope_and_laplacian_fall_with_blur_without_noise() -> None:
    """The two usual measures of focus fall too, where no noise hides it."""
    sharp, blurred = (measure_plane(cells(blur, photons=False)) for blur in (0, 3))
    assert sharp["PowerLogLogSlope"] > blurred["PowerLogLogSlope"] + 0.5
    assert sharp["LaplacianVariance"] > 5 * blurred["LaplacianVariance"]


def test_noise_is_found_between_the_structures() -> None:
    """The estimate of the noise is within a tenth of what was added, on a slope that is no noise."""
    rng = np.random.default_rng(0)
    image = np.linspace(0, 2000, 300)[:, None] + rng.normal(0, 7, (300, 300))
    assert estimate_noise(image.astype(np.float32)) == pytest.approx(7, rel=0.1)


@pytest.mark.parametrize(("dtype", "full"), [("uint8", 255), ("uint16", 4095), ("uint16", 65535)])
def test_saturation_is_at_the_cameras_full_scale(dtype: str, full: int) -> None:
    """A 12-bit camera saturates at 4095 in a 16-bit file; a brightest pixel anywhere else is not saturated."""
    image = np.zeros((100, 100), dtype)
    image[:10, :10] = full
    assert saturated_fraction(image) == 0.01
    assert saturated_fraction(np.minimum(image, full - 1)) == 0


def test_unevenness_is_the_range_of_the_background() -> None:
    """An even field has none, a field that falls to half has about two thirds, and bright cells do not count."""
    slope = np.linspace(1000, 500, 800)[:, None] * np.ones((1, 800), np.float32)
    slope[::4, ::4] = 60000
    assert unevenness(np.full((800, 800), 7, np.float32)) == 0
    assert unevenness(slope) == pytest.approx(0.6, abs=0.1)


@pytest.mark.parametrize("value", [0, 65535])
def test_a_plane_of_one_value_has_finite_measures(value: int) -> None:
    """A black or a white plane divides by nothing: every measure is a number."""
    assert np.isfinite(list(measure_plane(np.full((64, 64), value, np.uint16)).values())).all()


@pytest.mark.parametrize("image", [np.zeros((7, 100)), np.zeros((3, 50, 50)), np.full((50, 50), np.nan, np.float32)])
def test_what_cannot_be_measured_is_refused(image: Plane) -> None:
    """A sliver, a stack and a plane with NaN are errors, and not figures."""
    with pytest.raises(ImageError):
        measure_plane(image)


def test_a_good_plate_has_no_flags() -> None:
    """Fields that differ by a twentieth are all good."""
    assert not any(field["flagged"] or field["flags"] for field in flag_fields(plain_rows()))


def test_a_field_is_flagged_for_focus() -> None:
    """A field is out of focus by the limit, and by its plate's own measure where the limit does not see it."""
    assert flags_with(FocusDetail=-4.0)[0] == "focus DNA: detail -4.00, limit -3.5"
    assert [flag.split(":")[0] for flag in flags_with(FocusDetail=-2.0)] == ["focus DNA"]
    assert flags_with(FocusDetail=-0.2) == []


def test_a_field_is_flagged_for_saturation() -> None:
    """More than the allowed share of saturated pixels is a flag with the figure and the limit."""
    assert flags_with(SaturatedFraction=0.02) == ["saturation DNA: 0.0200 of the pixels, limit 0.005"]


@pytest.mark.parametrize("change", [{"MedianIntensity": 500.0}, {"MedianIntensity": 20.0}, {"Unevenness": 1.0}])
def test_a_field_is_flagged_as_outlier(change: dict[str, float]) -> None:
    """A field much brighter, darker or less even than its plate is a flag that names the measure."""
    (flag,) = flags_with(**change)
    assert flag.startswith(f"outlier DNA: {next(iter(change))}")


def test_a_field_is_empty_only_without_signal_in_any_channel() -> None:
    """A channel without positive cells does not make a field empty; all channels without do."""
    rows = plain_rows()
    for field in rows:
        field["ImageQuality_Contrast_Marker"] = 3.0
    rows[0]["ImageQuality_Contrast_DNA"] = 3.0
    flagged = flag_fields(rows)
    assert flagged[0]["flags"] == ["empty: contrast at most 3.0 in any channel, limit 6"]
    assert not any(field["flagged"] for field in flagged[1:])


def blot(plane: Plane, share: float, seed: int = 0, times: float = 2.0) -> Plane:
    """The plane with an irregular piece of debris: so large a share of the field, so many times as bright as the brightest cells."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: plane.shape[0], : plane.shape[1]]
    cy, cx = rng.uniform(0.3, 0.7, 2) * plane.shape
    angle = np.arctan2(y - cy, x - cx)
    edge = np.sqrt(share * plane.size / np.pi) * (1 + 0.3 * np.sin(3 * angle + 1) + 0.2 * np.sin(7 * angle))
    full = np.iinfo(plane.dtype).max
    light = min(times * float(np.percentile(plane, 99.5)), full)
    return np.where(np.hypot(y - cy, x - cx) < edge, light, plane).astype(plane.dtype)


@pytest.mark.parametrize("share", [0.05, 0.08])
@pytest.mark.parametrize("seed", range(3))
def test_debris_is_found_in_the_field_where_it_lies(share: float, seed: int) -> None:
    """A bright irregular piece of five or eight hundredths of the field is flagged as debris there, and no other field is."""
    fields = [cells(seed=number) for number in range(12)]
    fields[5] = blot(fields[5], share, seed)
    flagged = flag_fields([row(f"A{n + 1:02d}", 1, DNA=plane) for n, plane in enumerate(fields)])
    assert [n for n, field in enumerate(flagged) if any(flag.startswith("debris DNA") for flag in field["flags"])] == [5]


@pytest.mark.parametrize(
    ("area", "said"),
    [(0.016, True), (0.0149, False), (0.0099, False)],
)
def test_a_large_cell_is_no_debris(area: float, said: bool) -> None:
    """A piece below a hundredth of the field, or below five times the plate's median, is none, however odd it is there."""
    flags = flags_with(BrightArea=area)
    assert any(flag.startswith("debris") for flag in flags) is said
    assert not flag_fields(plain_rows())[-1]["flags"]
    big = [field | {"ImageQuality_BrightArea_DNA": 10 * field["ImageQuality_BrightArea_DNA"]} for field in plain_rows()]
    big[-1]["ImageQuality_BrightArea_DNA"] = 0.1
    assert not flag_fields(big)[-1]["flags"]


def test_bright_area_is_a_share_of_the_field_whatever_its_size() -> None:
    """The same scene has the same bright area at twice the pixels; a flat field has none; noise makes none."""
    plane = blot(cells(), 0.05)
    small, large = (bright_area(each.astype(np.float32)) for each in (plane, np.kron(plane, np.ones((3, 3)))))
    assert small == pytest.approx(0.05, rel=0.2)
    assert large == pytest.approx(small, rel=0.1)
    assert bright_area(np.full((64, 64), 7.0, np.float32)) == 0
    assert bright_area(np.random.default_rng(0).normal(100, 5, (512, 512)).astype(np.float32)) < 0.001


def test_few_fields_are_not_compared() -> None:
    """On a plate of fewer fields than the rule asks for, one unlike the others is not called an outlier."""
    rows = plain_rows(7)
    rows[-1]["ImageQuality_MedianIntensity_DNA"] = 5000.0
    assert not any(field["flagged"] for field in flag_fields(rows))
    assert flag_fields(rows, QualityRules(min_fields=7))[-1]["flagged"]


def test_a_small_change_on_an_even_plate_is_no_flag() -> None:
    """Where all fields are nearly alike, one that differs by little is good, however many deviations that is."""
    rows = plain_rows()
    for field in rows[:-1]:
        field |= {name: rows[0][name] for name in field if name.startswith("ImageQuality_")}
    rows[-1] |= {"ImageQuality_FocusDetail_DNA": -1.3, "ImageQuality_MedianIntensity_DNA": 170.0}
    assert not any(field["flagged"] for field in flag_fields(rows))
    assert flag_fields(rows, QualityRules(focus_drop=0.01))[-1]["flags"]
    assert flag_fields(rows, QualityRules(outlier_change=0.01))[-1]["flags"]


def test_flagging_leaves_its_input_alone() -> None:
    """The decision is a pure function: the rows that were given are unchanged, and a second call gives the same."""
    rows = plain_rows()
    before = [dict(field) for field in rows]
    assert flag_fields(rows) == flag_fields(rows)
    assert rows == before


def test_robust_z_of_equal_values_is_zero() -> None:
    """Without any spread nothing is an outlier; with a spread in less than half of the fields, the odd one still is."""
    assert robust_z([3.0] * 10).tolist() == [0.0] * 10
    assert robust_z([3.0] * 9 + [4.0])[-1] > 5


def test_the_planted_defects_of_a_synthetic_plate_are_found_and_nothing_else() -> None:
    """On the demo's plate, the fields that were blurred and overexposed on purpose are flagged for that, and no other field."""
    rows = [row(field.well, field.field, **field.channels) for field in synthesis.plate(seed=1)]
    found = {(field["Metadata_Well"], field["Metadata_Site"]): field["flags"] for field in flag_fields(rows) if field["flagged"]}
    planted = synthesis.defects(3, 4, 2)
    assert set(found) == set(planted)
    for place, defect in planted.items():
        assert found[place][0].startswith({"out_of_focus": "focus", "saturated": "saturation"}[defect])


def real_rows() -> list[dict[str, Any]]:
    """Measure the 72 fields of the real plate."""
    import tifffile

    if not (DATA / "plate_strip").is_dir():
        pytest.skip(f"real plate images are not at {DATA}")
    files = sorted((DATA / "plate_strip").glob("*.TIF"))
    return [row(file.stem[-8:-5], int(file.stem[-4:-2]), GFP=tifffile.imread(file)) for file in files]


def test_a_real_plate_is_judged_with_few_flags() -> None:
    """Of 72 fields of a real plate, with an agonist series and a strong vignette, at most three are flagged, and none for debris."""
    flagged = [field for field in flag_fields(real_rows()) if field["flagged"]]
    assert len(flagged) <= 3
    assert not [flag for field in flagged for flag in field["flags"] if flag.startswith("debris")]


def test_debris_on_a_real_plate_is_found() -> None:
    """A saturated piece of five hundredths, drawn into a field of the real plate, is flagged as debris in that field alone."""
    import tifffile

    rows = real_rows()
    plane = tifffile.imread(sorted((DATA / "plate_strip").glob("*.TIF"))[30])
    rows[30] |= {f"ImageQuality_{name}_GFP": value for name, value in measure_plane(blot(plane, 0.05)).items()}
    found = [n for n, field in enumerate(flag_fields(rows)) if any(flag.startswith("debris") for flag in field["flags"])]
    assert found == [30]


def test_a_real_field_of_three_channels_is_sane() -> None:
    """HT-29 cells in DNA, pH3 and actin: in focus, not empty, not saturated, no debris; signals are above their background."""
    import tifffile

    if not (DATA / "ht29").is_dir():
        pytest.skip(f"real images are not at {DATA}")
    planes = {
        name: tifffile.imread(DATA / "ht29" / f"AS_09125_050116030001_D03f00d{n}.tif") for n, name in enumerate(("DNA", "pH3", "actin"))
    }
    found = row("D03", 0, **planes)
    (flagged,) = flag_fields([found])
    assert flagged["flags"] == []
    assert all(found[f"ImageQuality_BrightArea_{name}"] < 0.01 for name in planes)
    assert all(found[f"ImageQuality_SignalToBackground_{name}"] > 1.2 for name in planes)
