from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaozarrs

from coldchain.errors import ConfigurationError, ImageError, InputError
from coldchain.imaging import synthesis
from coldchain.imaging.correct import correct_plate
from coldchain.imaging.illumination import IlluminationRules, apply, estimate, shrink
from coldchain.imaging.platezarr import create_plate, iter_fields, plate_info, read_plane, write_field
from coldchain.imaging.quality import unevenness

Plane = np.ndarray[Any, Any]
SHAPE = (256, 200)


def vignette(lost: float = 0.5) -> Plane:
    """Light of mean 1, brightest a little off the centre, which falls towards the corners."""
    y, x = np.mgrid[-1 : 1 : SHAPE[0] * 1j, -1 : 1 : SHAPE[1] * 1j]
    light = 1 - lost * ((y - 0.2) ** 2 + (x + 0.1) ** 2) / 2
    return np.asarray(light / light.mean(), np.float32)


def field_of_cells(seed: int, light: Plane, background: float = 400.0) -> Plane:
    """Draw bright cells at random places on a background, lit by `light`, with photon noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    scene = np.full(SHAPE, background)
    for cy, cx in rng.uniform(0, 1, (20, 2)) * SHAPE:
        scene[(y - cy) ** 2 + (x - cx) ** 2 < 60] += rng.uniform(500, 3000)
    return np.asarray(rng.poisson(scene * light), np.uint16)


def standard_plate(folder: Path, wells: int = 8, light: Plane | None = None, *, spoilt: bool = False) -> Path:
    """Write a plate of two fields a well, as a conversion leaves it; on request its last field is overexposed."""
    folder.mkdir(parents=True)
    names = [f"A{number:02d}" for number in range(1, wells + 1)]
    plate = create_plate(folder / "plate.ome.zarr", name="P", wells=names, fields=[1, 2], channels=["DNA"], pixel_size_um=0.5)
    light = vignette() if light is None else light
    refs = list(iter_fields(plate))
    for seed, ref in enumerate(refs):
        plane = field_of_cells(seed, light)
        if spoilt and ref == refs[-1]:
            plane[:100] = 65535
        write_field(plate, ref.well, ref.field, [(0, plane)], channels=["DNA"], dtype="uint16", shape=SHAPE, pixel_size_um=0.5)
    return folder


def test_a_known_vignette_is_found() -> None:
    """From 16 fields with cells, the light is found to two hundredths of its mean, where it varied by a tenth."""
    found = estimate([shrink(field_of_cells(seed, vignette())) for seed in range(16)], SHAPE)
    assert found.method == "polynomial of degree 2"
    assert found.function.dtype == np.float32
    assert found.function.mean() == pytest.approx(1, abs=1e-3)
    assert np.sqrt(np.mean((found.function / vignette() - 1) ** 2)) < 0.02
    assert vignette().std() > 0.1


def test_many_fields_allow_a_finer_function() -> None:
    """With many fields the polynomial is of higher degree; a bright field weighs as much as a dim one."""
    pictures = [shrink(field_of_cells(seed, vignette(), background=200.0 if seed % 2 else 5000.0)) for seed in range(48)]
    found = estimate(pictures, SHAPE)
    assert found.method == "polynomial of degree 4"
    assert np.sqrt(np.mean((found.function / vignette() - 1) ** 2)) < 0.02


def test_the_vignette_of_the_synthetic_plate_is_taken_out() -> None:
    """On the demo's plate the error of the light falls to a third in both channels, though treated wells differ."""
    spoilt = synthesis.defects(3, 4, 2)
    fields = [field for field in synthesis.plate(seed=1) if (field.well, field.field) not in spoilt]
    for channel, (cy, cx, lost) in synthesis.VIGNETTE.items():
        y, x = np.mgrid[0 : 1 : 256 * 1j, 0 : 1 : 256 * 1j]
        true = 1 - lost * ((y - cy) ** 2 + (x - cx) ** 2) / 0.5
        true /= true.mean()
        found = estimate([shrink(field.channels[channel]) for field in fields], (256, 256)).function
        assert np.sqrt(np.mean((found / true - 1) ** 2)) < np.sqrt(np.mean((1 / true - 1) ** 2)) / 3


def test_few_fields_correct_nothing_and_say_so() -> None:
    """Under the least number of fields the function is 1 everywhere, and the method says why."""
    found = estimate([shrink(field_of_cells(seed, vignette())) for seed in range(4)], SHAPE)
    assert found.flat
    assert found.method == "flat: 4 good fields, 12 needed"


def test_dark_fields_do_not_count() -> None:
    """Fields without light say nothing about it, and divide nothing by zero."""
    found = estimate([np.zeros((32, 25), np.float32)] * 20, SHAPE)
    assert (found.flat, found.fields) == (True, 0)


def test_a_function_that_falls_too_low_is_not_believed() -> None:
    """Light that would be multiplied many times over in a corner is not corrected, and the method says why."""
    steep = np.clip(vignette(1.2), 0.01, None)
    found = estimate([shrink(field_of_cells(seed, steep)) for seed in range(16)], SHAPE)
    assert found.flat
    assert "the least" in found.method


def test_the_cameras_offset_is_no_light() -> None:
    """What the camera adds in the dark is neither estimated nor divided."""
    offset = 1000.0
    planes = [(field_of_cells(seed, vignette()) + offset).astype(np.uint16) for seed in range(16)]
    found = estimate([shrink(plane) for plane in planes], SHAPE, IlluminationRules(camera_offset=offset)).function
    assert np.sqrt(np.mean((found / vignette() - 1) ** 2)) < 0.02
    assert apply(np.full(SHAPE, 1000, np.uint16), found, offset).tolist() == np.full(SHAPE, 1000).tolist()


def test_correction_keeps_the_type_and_clips() -> None:
    """Corrected planes have their native type; a bright pixel in a dark corner stops at full scale and does not wrap."""
    dim = np.full((4, 4), 0.5, np.float32)
    assert apply(np.full((4, 4), 60000, np.uint16), dim).tolist() == np.full((4, 4), 65535).tolist()
    assert apply(np.full((4, 4), 3, np.uint8), dim).dtype == np.uint8
    assert apply(np.full((4, 4), 3, np.float32), dim).tolist() == np.full((4, 4), 6).tolist()


@pytest.mark.parametrize("function", [np.ones((4, 5), np.float32), np.zeros((4, 4), np.float32), np.full((4, 4), np.nan, np.float32)])
def test_a_function_of_another_plane_is_refused(function: Plane) -> None:
    """Another shape, or a function that is zero or no number, is an error."""
    with pytest.raises(ImageError, match="illumination"):
        apply(np.zeros((4, 4), np.uint16), function)


def test_a_plane_too_thin_to_shrink_is_refused() -> None:
    """A line of pixels has no light to estimate: an error, and no division by zero."""
    with pytest.raises(ImageError, match="thin"):
        shrink(np.zeros((2, 2000), np.uint16))


def test_a_plate_is_flatter_after_correction(tmp_path: Path) -> None:
    """After correction the background of the plate is at least three times as even, and the plate is valid NGFF."""
    result = correct_plate(str(standard_plate(tmp_path / "standard")), str(tmp_path / "corrected"))
    before, after = (
        unevenness(np.median([read_plane(plate, ref.well, ref.field, 0) for ref in iter_fields(plate)], axis=0))
        for plate in (tmp_path / "standard" / "plate.ome.zarr", tmp_path / "corrected" / "plate.ome.zarr")
    )
    assert after < before / 3
    assert result["illumination"]["DNA"] == {"fields": 16, "method": "polynomial of degree 2", "file": "illumination-1.npy"}
    yaozarrs.validate_zarr_store(str(tmp_path / "corrected" / "plate.ome.zarr"))


def test_every_field_has_a_row_and_the_bad_one_is_flagged(tmp_path: Path) -> None:
    """The table has plate, well and site, the measures of each channel, and the flags; a flagged field is kept in the plate."""
    result = correct_plate(str(standard_plate(tmp_path / "standard", spoilt=True)), str(tmp_path / "corrected"))
    table = pq.read_table(tmp_path / "corrected" / "quality.parquet").to_pylist()
    assert len(table) == result["images"] == 16
    assert [(row["Metadata_Plate"], row["Metadata_Well"], row["Metadata_Site"]) for row in table[:2]] == [("P", "A01", 1), ("P", "A01", 2)]
    assert [row["flagged"] for row in table] == [False] * 15 + [True]
    assert any(flag.startswith("saturation DNA") for flag in table[-1]["flags"])
    assert table[0]["ImageQuality_MedianIntensity_DNA"] > 0
    assert [(field["well"], field["field"]) for field in result["flagged"]] == [("A08", 2)]
    assert read_plane(tmp_path / "corrected" / "plate.ome.zarr", "A08", 2, 0).max() == 65535


def test_flagged_fields_do_not_count_in_the_estimate(tmp_path: Path) -> None:
    """The illumination function is made from the good fields alone."""
    result = correct_plate(str(standard_plate(tmp_path / "standard", spoilt=True)), str(tmp_path / "corrected"))
    assert result["illumination"]["DNA"]["fields"] == 15


def test_the_function_is_kept_beside_the_plate(tmp_path: Path) -> None:
    """The function that divided each plane is a file, so that the native pixels can be had again."""
    correct_plate(str(standard_plate(tmp_path / "standard")), str(tmp_path / "corrected"))
    function = np.load(tmp_path / "corrected" / "illumination-1.npy")
    native = read_plane(tmp_path / "standard" / "plate.ome.zarr", "A01", 1, 0)
    corrected = read_plane(tmp_path / "corrected" / "plate.ome.zarr", "A01", 1, 0)
    assert np.array_equal(apply(native, function), corrected)
    assert plate_info(tmp_path / "corrected" / "plate.ome.zarr").notes["illumination"]["DNA"]["file"] == "illumination-1.npy"


def test_a_small_plate_is_measured_and_left_as_it_is(tmp_path: Path) -> None:
    """With too few fields every pixel stays, the quality table is written all the same, and the reason is said."""
    result = correct_plate(str(standard_plate(tmp_path / "standard", wells=2)), str(tmp_path / "corrected"))
    for ref in iter_fields(tmp_path / "standard" / "plate.ome.zarr"):
        native = read_plane(tmp_path / "standard" / "plate.ome.zarr", ref.well, ref.field, 0)
        assert np.array_equal(native, read_plane(tmp_path / "corrected" / "plate.ome.zarr", ref.well, ref.field, 0))
    assert result["illumination"]["DNA"]["method"].startswith("flat: 4 good fields")
    assert (tmp_path / "corrected" / "quality.parquet").is_file()


def test_a_plate_is_never_corrected_twice(tmp_path: Path) -> None:
    """A corrected plate as source is an error, also when its light was flat."""
    correct_plate(str(standard_plate(tmp_path / "standard", wells=2)), str(tmp_path / "corrected"))
    with pytest.raises(InputError, match="once"):
        correct_plate(str(tmp_path / "corrected"), str(tmp_path / "again"))
    assert not (tmp_path / "again").exists()


def test_a_target_in_use_is_refused(tmp_path: Path) -> None:
    """A folder that holds something is an error, and what it holds stays."""
    standard_plate(tmp_path / "standard", wells=1)
    (tmp_path / "corrected").mkdir()
    (tmp_path / "corrected" / "mine").write_text("x")
    with pytest.raises(InputError, match="new"):
        correct_plate(str(tmp_path / "standard"), str(tmp_path / "corrected"))
    assert [file.name for file in (tmp_path / "corrected").iterdir()] == ["mine"]


def test_the_same_plate_gives_the_same_bytes(tmp_path: Path) -> None:
    """Corrected twice, every file is the same: plate, table and functions."""
    standard_plate(tmp_path / "standard", wells=6)
    for name in ("one", "two"):
        correct_plate(str(tmp_path / "standard"), str(tmp_path / name))
    files = sorted(file.relative_to(tmp_path / "one") for file in (tmp_path / "one").rglob("*") if file.is_file())
    assert all((tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes() for file in files)


def test_limits_are_changed_by_name_and_progress_is_told(tmp_path: Path) -> None:
    """A limit given as plain value counts, a misspelt one is an error that lists the known, and progress ends at its total."""
    standard_plate(tmp_path / "standard", wells=2)
    told: list[tuple[int, int]] = []
    result = correct_plate(
        str(tmp_path / "standard"),
        str(tmp_path / "corrected"),
        quality={"min_contrast": 1e9},
        progress=lambda done, total: told.append((done, total)),
    )
    assert len(result["flagged"]) == 4
    assert told == [(done, 8) for done in range(1, 9)]
    with pytest.raises(ConfigurationError, match="min_fields"):
        correct_plate(str(tmp_path / "standard"), str(tmp_path / "other"), illumination={"least": 3})
