"""Old against new, on pairs of labels and tables whose answer is known."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from coldchain.errors import ImageError, LayoutError
from coldchain.imaging import comparison_tables, tables
from coldchain.imaging.comparison import Fate, compare_field, compare_masks, match
from coldchain.imaging.comparison_tables import compare_tables, correlate
from coldchain.imaging.platezarr import PLATE, create_plate, write_field, write_labels

Labels = NDArray[np.int32]


def line(*runs: tuple[int, int, int]) -> Labels:
    """A label image of one row of 100 pixels: label, first and last pixel + 1 of each object."""
    found = np.zeros((1, 100), np.int32)
    for label, start, stop in runs:
        found[0, start:stop] = label
    return found


def fates(old: Labels, new: Labels) -> tuple[dict[int, str], dict[int, str]]:
    """What became of each old and each new object, by its label."""
    found = match(old, new)
    return dict(zip(found.old_label.tolist(), found.old_fate.tolist(), strict=True)), dict(
        zip(found.new_label.tolist(), found.new_fate.tolist(), strict=True)
    )


@pytest.mark.parametrize(
    ("old", "new", "of_old", "of_new"),
    [
        ([(7, 0, 10)], [(3, 0, 10)], {7: "matched"}, {3: "matched"}),
        ([(7, 0, 10)], [(3, 2, 10)], {7: "matched"}, {3: "matched"}),
        ([(7, 0, 10)], [(3, 5, 15)], {7: "lost"}, {3: "new"}),
        ([(7, 0, 10)], [], {7: "lost"}, {}),
        ([], [(3, 0, 10)], {}, {3: "new"}),
        ([(7, 0, 10)], [(3, 0, 5), (4, 5, 10)], {7: "split"}, {3: "split", 4: "split"}),
        ([(7, 0, 10)], [(3, 0, 6), (4, 6, 10)], {7: "split"}, {3: "split", 4: "split"}),
        ([(7, 0, 10)], [(3, 0, 9), (4, 9, 10)], {7: "matched"}, {3: "matched", 4: "new"}),
        ([(1, 0, 5), (2, 5, 10)], [(9, 0, 10)], {1: "merged", 2: "merged"}, {9: "merged"}),
        ([(1, 0, 9), (2, 9, 10)], [(9, 0, 10)], {1: "matched", 2: "lost"}, {9: "matched"}),
        ([(1, 0, 10), (2, 20, 30)], [(1, 20, 30), (2, 0, 10)], {1: "matched", 2: "matched"}, {1: "matched", 2: "matched"}),
        ([(7, 20, 30)], [(3, 10, 24), (4, 26, 40)], {7: "lost"}, {3: "new", 4: "new"}),
        ([(5, 0, 2)], [(1, 0, 1), (2, 1, 2)], {5: "split"}, {1: "split", 2: "split"}),
    ],
)
def test_each_object_has_one_fate(old: Any, new: Any, of_old: dict[int, str], of_new: dict[int, str]) -> None:
    """Matched, split, merged, lost and new are told apart, whatever the labels are called."""
    assert fates(line(*old), line(*new)) == (of_old, of_new)
    assert len(match(line(*old), line(*new)).pairs) == list(of_old.values()).count("matched"), "a pair is what is matched, and nothing else"


def test_matched_pairs_have_their_overlap_and_their_areas() -> None:
    """Eight of ten pixels: an intersection over union of 0.8, and 0.8 of the area."""
    found = match(line((7, 0, 10), (8, 50, 60)), line((3, 2, 10)))
    assert found.pairs.tolist() == [[0, 0]]
    assert found.iou.tolist() == [0.8]
    assert found.area_ratio.tolist() == [0.8]
    summed = compare_field("A01", 1, found)
    assert (summed.old, summed.new, summed.matched, summed.lost, summed.added) == (2, 1, 1, 1, 0)
    assert summed.differing == pytest.approx(1 / 3)


def test_labels_of_two_sizes_are_refused() -> None:
    """Two images of other shapes are not compared."""
    with pytest.raises(ImageError):
        match(np.zeros((2, 3), np.int32), np.zeros((3, 2), np.int32))


def test_nothing_against_nothing_is_nothing() -> None:
    """Two empty images agree, without a warning."""
    found = compare_field("A01", 1, match(line(), line()))
    assert (found.old, found.new, found.differing) == (0, 0, 0.0)
    assert np.isnan(found.iou)


def test_stacks_are_matched_as_planes_are() -> None:
    """A label volume is matched by its voxels."""
    old = np.zeros((3, 4, 5), np.int32)
    old[1:, 1:3, 1:3] = 4
    assert match(old, old * 2).iou.tolist() == [1.0]


def test_it_costs_by_pixels_and_not_by_pairs() -> None:
    """Forty thousand objects against forty thousand are matched in seconds: all pairs would be 1.6 thousand million."""
    old = np.arange(40_000, dtype=np.int32).reshape(200, 200).repeat(4, 0).repeat(4, 1)
    began = time.monotonic()
    found = match(old + 1, old[:, ::-1] + 1)
    assert found.count(Fate.MATCHED) == 40_000
    assert time.monotonic() - began < 20


def masks(folder: Path, fields: dict[tuple[str, int], Labels]) -> Path:
    """A masks artifact with these labels."""
    wells, numbers = sorted({well for well, _ in fields}), sorted({field for _, field in fields})
    folder.mkdir()
    create_plate(folder / PLATE, name="p", wells=wells, fields=numbers, channels=["DNA"], pixel_size_um=None)
    for (well, field), labels in fields.items():
        write_field(
            folder / PLATE, well, field, [(0, labels.astype(np.uint16))], channels=["DNA"], dtype=np.uint16, shape=labels.shape,
            pixel_size_um=None,
        )  # fmt: skip
        write_labels(folder / PLATE, well, field, "nuclei", labels, pixel_size_um=None)
    return folder


def square(*runs: tuple[int, int, int]) -> Labels:
    """The same as `line`, sixteen rows high."""
    return np.repeat(line(*runs), 16, axis=0)


def test_a_plate_is_summed_up_and_its_worst_fields_come_first(tmp_path: Path) -> None:
    """Counts by field and well, and the fields that differ in the order of how much they do."""
    same, gone = square((1, 0, 10), (2, 20, 30)), square()
    old = masks(tmp_path / "old", {("A01", 1): same, ("A01", 2): same, ("A02", 1): same, ("A02", 2): same})
    new = masks(tmp_path / "new", {("A01", 1): same, ("A01", 2): square((1, 0, 10)), ("A02", 1): gone, ("A02", 2): same})
    found = compare_masks(old, new)
    assert [(field.well, field.field) for field in found.worst] == [("A02", 1), ("A01", 2)]
    assert found.wells == {"A01": (4, 3), "A02": (4, 2)}
    assert (found.total("old"), found.total("new"), found.total("matched"), found.total("lost")) == (8, 5, 5, 3)
    assert found.iou.tolist() == [1.0] * 5


def test_masks_of_another_plate_are_refused(tmp_path: Path) -> None:
    """Other wells are another plate."""
    with pytest.raises(LayoutError, match="other plates"):
        compare_masks(masks(tmp_path / "a", {("A01", 1): square()}), masks(tmp_path / "b", {("B01", 1): square()}))


def test_profiles_are_correlated_by_feature_and_by_well() -> None:
    """A feature that doubled correlates by 1, one that turned round by -1, a constant one has no correlation; wells likewise."""
    wells = ["A01", "A02", "A03", "A04"]
    old = {name: dict(zip(wells, values, strict=True)) for name, values in {"up": [1.0, 2, 3, 4], "flat": [5.0, 5, 5, 5]}.items()}
    old |= {"turned": dict(zip(wells, [1.0, 2, 3, 4], strict=True)), "gone": dict.fromkeys(wells, 1.0)}
    new = {"up": dict(zip(wells, [2.0, 4, 6, 8], strict=True)), "turned": dict(zip(wells, [4.0, 3, 2, 1], strict=True))}
    new |= {"flat": dict(zip(wells, [5.0, 6, 7, np.nan], strict=True)), "fresh": dict.fromkeys(wells, 1.0)}
    found = correlate(old, new)
    assert found.features["up"] == pytest.approx(1)
    assert found.features["turned"] == pytest.approx(-1)
    assert found.features["flat"] is None
    assert (found.only_old, found.only_new) == (("gone",), ("fresh",))
    assert set(found.rows) == set(wells)


def test_a_well_that_is_another_one_now_stands_out() -> None:
    """Of profiles that are the same but for one well, this one alone does not correlate by 1."""
    rng = np.random.default_rng(1)
    wells = [f"A{number:02}" for number in range(1, 9)]
    old = {f"f{number}": dict(zip(wells, rng.normal(size=8), strict=True)) for number in range(30)}
    new = {name: {**values, "A03": -values["A03"]} for name, values in old.items()}
    found = correlate(old, new).rows
    assert found["A03"] is not None
    assert found["A03"] < 0
    assert all(value == pytest.approx(1) for well, value in found.items() if well != "A03")


def test_missing_values_are_left_out_in_pairs() -> None:
    """A well without cells does not make everything unknown; two values are too few."""
    assert comparison_tables.pearson(np.array([1, 2, 3, np.nan]), np.array([1, 2, 3, 4.0])) == pytest.approx(1)
    assert comparison_tables.pearson(np.array([1, 2, np.nan, np.nan]), np.array([1, 2, 3, 4.0])) is None


def test_profiles_are_read_by_well(tmp_path: Path) -> None:
    """Numbers that are no metadata are features; null is NaN; a table without wells is refused."""
    table = pa.table({"Metadata_Well": ["A01", "A02"], "Metadata_Count": [1, 2], "Nuclei_A": [1.5, None], "note": ["x", "y"]})
    found = comparison_tables.read_profiles(tables.write(table, tmp_path / "t.parquet"))
    assert list(found) == ["Nuclei_A"]
    assert found["Nuclei_A"]["A01"] == 1.5
    assert np.isnan(found["Nuclei_A"]["A02"])
    with pytest.raises(LayoutError):
        comparison_tables.read_profiles(tmp_path / "t.parquet", "Metadata_Treatment")


def test_two_tables_are_held_against_each_other(tmp_path: Path) -> None:
    """Columns that differ are named with the largest difference; a value that went missing, and text, differ in another way."""
    old = pa.table({"a": [1.0, 2.0], "b": [1.0, None], "c": ["x", "y"], "d": [1, 2], "e": [0.0, 0.0]})
    new = pa.table({"a": [1.0, 2.5], "b": [1.0, 3.0], "c": ["x", "z"], "d": [1, 2], "f": [0.0, 0.0]})
    found = compare_tables(tables.write(old, tmp_path / "old"), tables.write(new, tmp_path / "new"))
    assert found.columns["a"] == 0.5
    assert np.isnan(found.columns["b"])
    assert np.isnan(found.columns["c"])
    assert set(found.columns) == {"a", "b", "c"}
    assert (found.missing, found.added) == (("e",), ("f",))
    assert "a differs by 0.5 at most" in str(found)
    assert "same values" in str(compare_tables(tmp_path / "old", tmp_path / "old"))
    fewer = tables.write(old.slice(0, 1), tmp_path / "fewer")
    assert "2 rows, now 1" in str(compare_tables(tmp_path / "old", fewer))
