"""Bulk profiles: medians a well, honest counts, treatments beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from coldchain.errors import InputError, IntegrityError, LayoutError
from coldchain.imaging import tables
from coldchain.imaging.aggregate import bulk_profiles

WELLS = ["A01", "A02", "B01"]
FEATURES = ["Nuclei_AreaShape_Area", "Nuclei_Location_Center_X"]


@pytest.fixture
def cells(tmp_path: Path) -> str:
    """A01: areas 10, 20, 90 in field 1 and 1000 in field 2, which is flagged; A02: 50 in field 1; B01: none."""
    rows = [("A01", 1, 1, 1, False, 10), ("A01", 1, 1, 2, False, 20), ("A01", 1, 1, 3, False, 90), ("A01", 2, 2, 1, True, 1000)]
    rows += [("A02", 1, 3, 1, False, 50)]
    columns: list[list[Any]] = [["p"] * len(rows), *map(list, zip(*rows, strict=True)), [1.0] * len(rows)]
    schema = tables.schema(FEATURES)
    path = tmp_path / "cells.parquet"
    tables.write(pa.table(dict(zip(schema.names, columns, strict=True)), schema=schema), path)
    return str(path)


@pytest.fixture
def quality(tmp_path: Path) -> str:
    """Two fields a well; the second one of A01 is flagged."""
    fields = [(well, site) for well in WELLS for site in (1, 2)]
    flags = [field == ("A01", 2) for field in fields]
    path = tmp_path / "quality.parquet"
    wells, sites = zip(*fields, strict=True)
    pq.write_table(pa.table({"Metadata_Well": wells, "Metadata_Site": sites, "flagged": flags}), path)
    return str(path)


def profiles(path: str | Path) -> pd.DataFrame:
    """Return bulk profiles by well."""
    return pq.read_table(path).to_pandas().set_index("Metadata_Well")


def test_a_well_is_the_median_of_its_nuclei(cells: str, quality: str, tmp_path: Path) -> None:
    """Flagged fields are left out of median and count and counted apart; a well without a nucleus stays with a count of 0."""
    report = bulk_profiles(cells, str(tmp_path / "bulk.parquet"), quality=quality)
    bulk = profiles(tmp_path / "bulk.parquet")
    assert bulk.index.tolist() == WELLS
    assert bulk["Nuclei_AreaShape_Area"].tolist()[:2] == [20.0, 50.0]
    assert np.isnan(bulk["Nuclei_AreaShape_Area"]["B01"])
    counts = ["Nuclei", "NucleiFlagged", "Fields", "FieldsFlagged", "NucleiPerField"]
    got = bulk[[f"Metadata_Count_{name}" for name in counts]].to_numpy().tolist()
    assert got == [[3, 1, 1, 1, 3.0], [1, 0, 2, 0, 0.5], [0, 0, 2, 0, 0.0]]
    assert (report["nuclei"], report["nuclei_flagged"], report["empty_wells"]) == (4, 1, ["B01"])


def test_flagged_fields_count_where_asked_for(cells: str, quality: str, tmp_path: Path) -> None:
    """With exclude_flagged off, nuclei of flagged fields are in the median and in the count, and are still counted as flagged."""
    bulk_profiles(cells, str(tmp_path / "bulk.parquet"), quality=quality, exclude_flagged=False)
    first = profiles(tmp_path / "bulk.parquet").loc["A01"]
    assert [first[f"Metadata_Count_{name}"] for name in ("Nuclei", "NucleiFlagged", "Fields", "FieldsFlagged")] == [4, 1, 2, 1]
    assert first["Nuclei_AreaShape_Area"] == 55.0


def test_a_well_that_is_flagged_as_a_whole_stays(cells: str, tmp_path: Path) -> None:
    """A well with nothing but flagged fields is a row with a count of 0, no values and its flagged nuclei."""
    flagged = pq.read_table(cells).to_pandas()
    flagged.loc[flagged.Metadata_Well == "A02", "Metadata_QC_Flagged"] = True
    tables.write(pa.Table.from_pandas(flagged, schema=tables.schema(FEATURES), preserve_index=False), cells)
    bulk_profiles(cells, str(tmp_path / "bulk.parquet"), wells=WELLS)
    row = profiles(tmp_path / "bulk.parquet").loc["A02"]
    assert (row["Metadata_Count_Nuclei"], row["Metadata_Count_NucleiFlagged"]) == (0, 1)
    assert np.isnan(row["Nuclei_AreaShape_Area"])


def test_positions_are_not_averaged(cells: str, tmp_path: Path) -> None:
    """Where nuclei lie in a field says nothing about a well: no such column."""
    bulk_profiles(cells, str(tmp_path / "bulk.parquet"), wells=WELLS)
    assert not [name for name in profiles(tmp_path / "bulk.parquet") if "Location" in name]


def test_treatments_stand_beside_the_wells(cells: str, tmp_path: Path) -> None:
    """Keys of the plate map become Metadata columns, numbers as numbers; wells it does not name stay, and are reported."""
    plate_map = {"A01": {"treatment": "DMSO", "dose": 0}, "B01": {"treatment": "x\ny", "dose": 2.5}, "H12": {"treatment": "far"}}
    report = bulk_profiles(cells, str(tmp_path / "bulk.parquet"), wells=WELLS, plate_map=plate_map)
    bulk = profiles(tmp_path / "bulk.parquet")
    assert pq.read_table(tmp_path / "bulk.parquet")["Metadata_treatment"].to_pylist() == ["DMSO", None, "x\ny"]
    assert bulk["Metadata_dose"].dtype == float
    assert bulk["Metadata_dose"]["B01"] == 2.5
    assert report["unannotated_wells"] == ["A02"]


def test_mixed_doses_are_text(cells: str, tmp_path: Path) -> None:
    """A key that holds numbers and words in turn becomes text instead of an error in Parquet."""
    plate_map = {"A01": {"dose": 1.5}, "A02": {"dose": "high"}}
    bulk_profiles(cells, str(tmp_path / "bulk.parquet"), wells=["A01", "A02"], plate_map=plate_map)
    assert profiles(tmp_path / "bulk.parquet")["Metadata_dose"].tolist() == ["1.5", "high"]


def test_a_plate_map_of_another_plate_is_refused(cells: str, tmp_path: Path) -> None:
    """A plate map that names no well of the plate (another layout, or a1 for A01) raises InputError instead of annotating nothing."""
    with pytest.raises(InputError, match="no well of the plate"):
        bulk_profiles(cells, str(tmp_path / "bulk.parquet"), wells=WELLS, plate_map={"a1": {"treatment": "DMSO"}})


@pytest.mark.parametrize("key", ["Well", "Count_Nuclei", "Count_Wells", "a b", "x\ny", "", "well_position"])
def test_a_key_that_cannot_be_a_column_is_refused(cells: str, tmp_path: Path, key: str) -> None:
    """A key that would overwrite a column, or is no plain name, raises InputError naming it."""
    with pytest.raises(InputError, match="keys"):
        bulk_profiles(cells, str(tmp_path / "bulk.parquet"), wells=WELLS, plate_map={"A01": {key: 1}})


def test_keys_that_differ_in_case_only_are_refused(cells: str, tmp_path: Path) -> None:
    """`Treatment` of one well and `treatment` of another would be two columns of which one is heeded: InputError names both."""
    plate_map = {"A01": {"Treatment": "DMSO"}, "A02": {"treatment": "drug"}}
    with pytest.raises(InputError, match=r"'Treatment', 'treatment'"):
        bulk_profiles(cells, str(tmp_path / "bulk.parquet"), wells=WELLS, plate_map=plate_map)


def test_nuclei_outside_the_plate_are_refused(cells: str, tmp_path: Path) -> None:
    """Nuclei in a well that is not among the plate's raise LayoutError instead of vanishing."""
    with pytest.raises(LayoutError, match="A02"):
        bulk_profiles(cells, str(tmp_path / "bulk.parquet"), wells=["A01"])


def test_two_plates_in_one_table_are_refused(cells: str, tmp_path: Path) -> None:
    """Nuclei of two plates raise LayoutError: their wells would be mixed."""
    both = pq.read_table(cells).to_pandas()
    both.loc[0, "Metadata_Plate"] = "q"
    tables.write(pa.Table.from_pandas(both, schema=tables.schema(FEATURES), preserve_index=False), cells)
    with pytest.raises(LayoutError, match="several plates"):
        bulk_profiles(cells, str(tmp_path / "bulk.parquet"), wells=WELLS)


def test_a_table_that_is_none_of_nuclei_is_refused(tmp_path: Path) -> None:
    """A table without the identity of nuclei raises LayoutError, a file that is no table IntegrityError."""
    pq.write_table(pa.table({"x": [1]}), tmp_path / "other.parquet")
    (tmp_path / "text.parquet").write_text("no table")
    with pytest.raises(LayoutError, match="Metadata_Well"):
        bulk_profiles(str(tmp_path / "other.parquet"), str(tmp_path / "bulk.parquet"))
    with pytest.raises(IntegrityError, match=r"text\.parquet"):
        bulk_profiles(str(tmp_path / "text.parquet"), str(tmp_path / "bulk.parquet"))


def test_a_plate_without_nuclei_has_a_row_a_well(tmp_path: Path) -> None:
    """Where no nucleus was found on the whole plate, each well is a row with a count of 0."""
    tables.write(tables.schema(FEATURES).empty_table(), tmp_path / "cells.parquet")
    report = bulk_profiles(str(tmp_path / "cells.parquet"), str(tmp_path / "bulk.parquet"), wells=WELLS)
    assert report["empty_wells"] == WELLS
    assert profiles(tmp_path / "bulk.parquet")["Nuclei_AreaShape_Area"].isna().all()


def test_profiles_are_the_same_bytes_each_time(cells: str, quality: str, tmp_path: Path) -> None:
    """The same table gives the same file."""
    for name in ("one", "two"):
        bulk_profiles(cells, str(tmp_path / name), quality=quality, plate_map={"A01": {"dose": 1, "treatment": "x"}})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
