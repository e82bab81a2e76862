"""Where the tables of an artifact stand: each in a folder of its own, partitioned by plate, so that many artifacts read as one dataset."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from coldchain.errors import LayoutError

CELLS = "cells"  # one row a nucleus; in `single_cell_profiles`
EMBEDDINGS = "embeddings"  # one row a nucleus, vectors of a network; in `single_cell_profiles`
WELLS = "wells"  # one row a well: medians, counts and what the plate map says; in `bulk_profiles`, as all that follow
NORMALIZED = "wells_normalized"  # the same wells in units of the controls' spread
SELECTED = "wells_selected"  # of those the features that tell something
TREATMENTS = "treatments"  # one row a treatment: the median of its wells
REPRODUCIBILITY = "reproducibility"  # one row a treatment: how alike its wells are

KEY = "plate"
"""Key of the partitions. It is not `Metadata_Plate`, which stands in the files too: pandas and pyarrow refuse a folder where a column
has another type in the files than they guess from the folder's name, e.g. for a plate named 123."""

_NONE = "__HIVE_DEFAULT_PARTITION__"


def place(folder: str | Path, table: str, plate: str) -> Path:
    """Return where a table of one plate stands: ``<folder>/<table>/plate=<plate>/<table>.parquet``.

    What is no letter, digit or one of ``_.-~`` is written as ``%XX``, as Hive does. Read one
    or many with ``pyarrow.dataset.dataset(folder, partitioning="hive")`` or of a list of files, ``pandas.read_parquet(folder)``, or, in
    DuckDB, ``read_parquet('*/cells/*/*.parquet')``; a folder of one table only.
    """
    return Path(folder) / table / f"{KEY}={quote(plate, safe='') or _NONE}" / f"{table}.parquet"


def find(folder: str | Path, table: str) -> Path:
    """Return the file of a table in an artifact of one plate. Raises LayoutError where there is none, or there are several."""
    found = tables_of(folder, table)
    if len(found) != 1:
        raise LayoutError(
            "An artifact does not hold one table of that name",
            on=folder,
            expected=f"{table}/{KEY}=*/{table}.parquet",
            got=[str(path.relative_to(folder)) for path in found] or "none",
            hint="make the level again, e.g. with `profile`",
        )
    return found[0]


def tables_of(folder: str | Path, table: str) -> list[Path]:
    """Return the files of a table in an artifact, one a plate, in the order of their names."""
    return sorted((Path(folder) / table).glob(f"{KEY}=*/{table}.parquet"))
