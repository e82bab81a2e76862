"""Tables partitioned by plate: many artifacts are one dataset for every reader."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from coldchain.errors import LayoutError
from coldchain.imaging import tables
from coldchain.imaging.partitions import CELLS, find, place

NAMES = ["Nuclei_AreaShape_Area"]


def written(folder: Path, plate: str, wells: tuple[str, ...] = ("A01", "A02")) -> Path:
    """Write the table of one plate with a nucleus in each well."""
    count = len(wells)
    columns = [[plate] * count, list(wells), [1] * count, list(range(1, count + 1)), [1] * count, [False] * count, [9.0] * count]
    schema = tables.schema(NAMES)
    return tables.write(pa.table(dict(zip(schema.names, columns, strict=True)), schema=schema), place(folder, CELLS, plate))


@pytest.mark.parametrize("plates", [("P-1", "Q 2/x=%"), ("123", "456"), ("0012", "é")], ids=["text", "numbers", "mixed"])
def test_the_tables_of_many_plates_are_one_dataset(tmp_path: Path, plates: tuple[str, str]) -> None:
    """Pyarrow, pandas and DuckDB read two artifacts as one table in which `Metadata_Plate` is text, whatever the plates are called."""
    import duckdb

    for number, plate in enumerate(plates):
        written(tmp_path / f"artifact-{number}", plate)
    wanted = sorted([plates[0]] * 2 + [plates[1]] * 2)
    for one in (ds.dataset(tmp_path, partitioning="hive"), ds.dataset([str(path) for path in tmp_path.rglob("*.parquet")])):
        assert sorted(one.to_table(columns=["Metadata_Plate"])["Metadata_Plate"].to_pylist()) == wanted
    assert sorted(pd.read_parquet(tmp_path)["Metadata_Plate"]) == wanted
    table = duckdb.read_parquet(str(tmp_path / "*" / CELLS / "*" / "*.parquet"))
    assert sorted(table.project("Metadata_Plate").fetchall()) == [(plate,) for plate in wanted]


@pytest.mark.parametrize("plate", ["P-1", "", "../../x", "a/b", "."])
def test_the_table_of_an_artifact_is_found(tmp_path: Path, plate: str) -> None:
    """An artifact of one plate has one table of a name, inside its folder, whatever the plate is called."""
    path = written(tmp_path, plate)
    assert find(tmp_path, CELLS) == path
    assert path.resolve().relative_to(tmp_path.resolve()).parts[0] == CELLS


def test_no_table_and_several_are_refused(tmp_path: Path) -> None:
    """An artifact without the table, or with those of two plates, raises LayoutError that says what was found."""
    with pytest.raises(LayoutError, match="none"):
        find(tmp_path, CELLS)
    for plate in ("P-1", "P-2"):
        written(tmp_path, plate)
    with pytest.raises(LayoutError, match=r"plate=P-1[\s\S]*plate=P-2"):
        find(tmp_path, CELLS)
