"""Measurements of nuclei: the same figures as scikit-image, in tables that pycytominer reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from coldchain.errors import ImageError, InputError, IntegrityError, LayoutError
from coldchain.imaging import tables
from coldchain.imaging.measure import feature_names, join_tables, measure_field, measure_nuclei, prepare_measure
from coldchain.imaging.platezarr import PLATE, create_plate, plate_info
from coldchain.imaging.regions import centres, find_regions, intensities, shapes
from tests.imaging.shapes import crowded_labels

SHARED = {
    "Area": "area",
    "BoundingBoxArea": "area_bbox",
    "ConvexArea": "area_convex",
    "Eccentricity": "eccentricity",
    "EquivalentDiameter": "equivalent_diameter_area",
    "Extent": "extent",
    "MajorAxisLength": "axis_major_length",
    "MinorAxisLength": "axis_minor_length",
    "Perimeter": "perimeter",
    "Solidity": "solidity",
}
LIGHT = {
    "MaxIntensity": "intensity_max",
    "MeanIntensity": "intensity_mean",
    "MedianIntensity": "intensity_median",
    "MinIntensity": "intensity_min",
    "StdIntensity": "intensity_std",
}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_shapes_and_intensities_are_those_of_scikit_image(seed: int) -> None:
    """Every measure that scikit-image has too is the same, for touching, ragged, disconnected and cut regions."""
    from skimage.measure import regionprops_table

    labels = crowded_labels(seed)
    plane = np.random.default_rng(seed).integers(0, 65536, labels.shape, dtype=np.uint16)
    wanted = regionprops_table(labels, plane, properties=["label", "centroid", *SHARED.values(), *LIGHT.values()])
    regions = find_regions(labels)
    got: dict[str, Any] = {**shapes(regions), **intensities(regions, plane)}
    y, x = centres(regions)
    np.testing.assert_array_equal(regions.label, wanted["label"])
    np.testing.assert_allclose([y, x], [wanted["centroid-0"], wanted["centroid-1"]], rtol=1e-12)
    for ours, theirs in {**SHARED, **LIGHT}.items():
        np.testing.assert_allclose(got[ours], wanted[theirs], rtol=1e-9, err_msg=ours)
    np.testing.assert_allclose(got["IntegratedIntensity"], wanted["area"] * wanted["intensity_mean"], rtol=1e-12)
    np.testing.assert_allclose(got["FormFactor"], 4 * np.pi * wanted["area"] / wanted["perimeter"] ** 2, rtol=1e-9)


def test_one_pixel_is_measured() -> None:
    """A region of one pixel has an area of 1, no axis and no perimeter, and form factor is not a number instead of an error."""
    labels = np.zeros((5, 5), np.int32)
    labels[0, 4] = 1
    got = shapes(find_regions(labels))
    assert (got["Area"][0], got["Solidity"][0], got["MajorAxisLength"][0], got["Perimeter"][0]) == (1, 1, 0, 0)
    assert np.isnan(got["FormFactor"][0])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.int16, np.float32])
def test_every_type_of_pixel_is_measured(dtype: Any) -> None:
    """Median, smallest and largest value are right for every type of pixel, also below zero."""
    labels = np.array([[1, 1, 1, 2]], np.int32)
    plane = np.array([[3, 9, 4, 7]]).astype(dtype) - dtype(0 if np.dtype(dtype).kind == "u" else 5)
    shift = 0 if np.dtype(dtype).kind == "u" else 5
    got = intensities(find_regions(labels), plane)
    assert [got[name][0] + shift for name in ("MedianIntensity", "MinIntensity", "MaxIntensity")] == [4, 3, 9]


@pytest.mark.parametrize(
    "labels",
    [np.zeros((2, 2)), np.zeros((0, 4), int), np.zeros((2, 2, 2), int), np.array([[-1, 0]]), np.array([[10**9, 0]])],
    ids=["real numbers", "empty", "stack", "negative", "huge"],
)
def test_labels_that_are_none_are_refused(labels: NDArray[Any]) -> None:
    """Labels that are no plane of numbers from 1 upwards raise ImageError instead of taking all memory or giving wrong rows."""
    with pytest.raises(ImageError, match="labels are not"):
        find_regions(labels)


def test_an_image_of_another_size_is_refused() -> None:
    """An image that does not have the size of the labels raises ImageError with both sizes."""
    with pytest.raises(ImageError, match=r"\(3, 3\)[\s\S]*\(4, 3\)"):
        intensities(find_regions(np.ones((3, 3), int)), np.ones((4, 3)))


def measured(known: Any, folder: Path, **more: Any) -> list[dict[str, Any]]:
    """Measure every field of a plate and return the reports."""
    return [measure_field(item) for item in prepare_measure(known.corrected, known.masks, str(folder), **more)]


def test_a_plate_becomes_one_table(known_plate: Any, tmp_path: Path) -> None:
    """Each true nucleus of a plate is one row, sorted by well, field and object, with values of its own image."""
    done = measured(known_plate, tmp_path / "parts")
    report = join_tables([part["table"] for part in reversed(done)], str(tmp_path / "cells.parquet"))
    table = pq.read_table(tmp_path / "cells.parquet").to_pandas()
    truth = known_plate.truth
    wanted = [("synthetic-1", *place, n) for place in sorted(truth) for n in range(1, truth[place].max() + 1)]
    names = ["Metadata_Plate", "Metadata_Well", "Metadata_Site", "Metadata_ObjectNumber"]
    assert list(table[names].itertuples(index=False, name=None)) == wanted
    assert report["nuclei"] == len(wanted) == sum(part["nuclei"] for part in done)
    row = table[(table.Metadata_Well == "B01") & (table.Metadata_Site == 2) & (table.Metadata_ObjectNumber == 3)].iloc[0]
    inside = truth["B01", 2] == 3
    assert row["Nuclei_Intensity_MeanIntensity_Marker"] == pytest.approx(known_plate.images["B01", 2][1][inside].mean())
    assert row["Nuclei_Location_Center_X"] == pytest.approx(np.nonzero(inside)[1].mean())


def test_an_empty_field_has_the_full_schema(known_plate: Any, tmp_path: Path) -> None:
    """A field without a nucleus gives no row, and the same columns and types as any other."""
    done = {(part["well"], part["field"]): part for part in measured(known_plate, tmp_path)}
    empty, full = (pq.read_schema(done[place]["table"]) for place in (("B02", 2), ("A01", 1)))
    assert done["B02", 2]["nuclei"] == 0
    assert empty == full
    assert empty.names[6:] == [tables.PIXEL_SIZE, *feature_names(["DNA", "Marker"])]


def test_measuring_twice_gives_the_same_bytes(known_plate: Any, tmp_path: Path) -> None:
    """The same plate measured and joined twice, in another order, gives the same file, and nothing is left beside it."""
    for name, order in (("one", 1), ("two", -1)):
        done = measured(known_plate, tmp_path / "parts")
        join_tables([part["table"] for part in done[::order]], str(tmp_path / name / "cells.parquet"))
    assert (tmp_path / "one/cells.parquet").read_bytes() == (tmp_path / "two/cells.parquet").read_bytes()
    assert not list(tmp_path.rglob("*.part"))


def test_pycytominer_finds_the_features(known_plate: Any, tmp_path: Path) -> None:
    """Pycytominer takes every Nuclei_ column for a feature and no Metadata_ column."""
    import warnings

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*copy_on_write.*")
        from pycytominer.cyto_utils import infer_cp_features

    table = pq.read_table(measured(known_plate, tmp_path)[0]["table"]).to_pandas()
    assert infer_cp_features(table) == feature_names(["DNA", "Marker"])


def test_flagged_fields_are_marked(known_plate: Any, tmp_path: Path) -> None:
    """Nuclei of a field that the quality table flags carry the flag, those of other fields do not."""
    quality = tmp_path / "quality.parquet"
    pq.write_table(pa.table({"Metadata_Well": ["A01", "A01"], "Metadata_Site": [1, 2], "flagged": [False, True]}), quality)
    done = measured(known_plate, tmp_path / "parts", quality=str(quality))
    flags = {(p["well"], p["field"]): set(pq.read_table(p["table"])[tables.FLAGGED].to_pylist()) for p in done if p["nuclei"]}
    assert flags.pop(("A01", 2)) == {True}
    assert set.union(*flags.values()) == {False}


def test_a_quality_table_without_flags_is_refused(known_plate: Any, tmp_path: Path) -> None:
    """A quality table that lacks its columns raises LayoutError naming them, instead of counting no field as flagged."""
    pq.write_table(pa.table({"Metadata_Well": ["A01"]}), tmp_path / "quality.parquet")
    with pytest.raises(LayoutError, match="flagged"):
        prepare_measure(known_plate.corrected, known_plate.masks, str(tmp_path), quality=str(tmp_path / "quality.parquet"))


def test_masks_of_another_plate_are_refused(known_plate: Any, tmp_path: Path) -> None:
    """Masks with other wells than the images raise LayoutError before anything is measured."""
    create_plate(tmp_path / PLATE, name="other", wells=["C01"], fields=[1, 2], channels=["DNA"], pixel_size_um=None)
    with pytest.raises(LayoutError, match="another plate"):
        prepare_measure(known_plate.corrected, str(tmp_path), str(tmp_path / "parts"))


def test_a_field_is_not_counted_twice(known_plate: Any, tmp_path: Path) -> None:
    """Joining the table of one field twice raises LayoutError naming the nucleus."""
    part = measured(known_plate, tmp_path)[0]["table"]
    with pytest.raises(LayoutError, match=r"comes twice[\s\S]*A01"):
        join_tables([part, part], str(tmp_path / "cells.parquet"))


def test_tables_with_other_columns_are_not_joined(known_plate: Any, tmp_path: Path) -> None:
    """Tables that differ in their columns raise LayoutError naming the column, and so does no table at all."""
    parts = [part["table"] for part in measured(known_plate, tmp_path)][:2]
    tables.write(pq.read_table(parts[1]).drop_columns(["Nuclei_AreaShape_Area"]), parts[1])
    with pytest.raises(LayoutError, match="Nuclei_AreaShape_Area"):
        join_tables(parts, str(tmp_path / "cells.parquet"))
    with pytest.raises(LayoutError, match="no table"):
        join_tables([], str(tmp_path / "cells.parquet"))


def test_a_damaged_table_is_named(known_plate: Any, tmp_path: Path) -> None:
    """A truncated part raises IntegrityError naming the file, and no joined table appears."""
    part = Path(measured(known_plate, tmp_path)[0]["table"])
    part.write_bytes(part.read_bytes()[:-20])
    with pytest.raises(IntegrityError, match=part.name):
        join_tables([str(part)], str(tmp_path / "cells.parquet"))
    assert not (tmp_path / "cells.parquet").exists()


@pytest.mark.parametrize("channels", [["a b", "ab"], ["--"]], ids=["same", "nothing left"])
def test_channels_that_share_a_column_are_refused(channels: list[str]) -> None:
    """Channels whose letters and digits are the same, or none, raise InputError instead of overwriting each other's columns."""
    with pytest.raises(InputError, match="told apart"):
        tables.channel_suffixes(channels)


def test_hostile_names_are_only_text(known_plate: Any, tmp_path: Path) -> None:
    """A plate and a channel with line breaks and slashes in their names are measured; columns hold letters and digits only."""
    create_plate(tmp_path / "p", name="../x\ny", wells=["A01"], fields=[1], channels=["D/N\nA"], pixel_size_um=None)
    item = {"well": "A01", "field": 1, "image": 1, "flagged": False}
    table = measure_nuclei(known_plate.truth["A01", 1], [known_plate.images["A01", 1][0]], plate_info(tmp_path / "p"), item)
    assert set(table["Metadata_Plate"].to_pylist()) == {"../x\ny"}
    assert "Nuclei_Intensity_MeanIntensity_DNA" in table.column_names
