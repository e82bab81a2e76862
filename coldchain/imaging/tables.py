"""Tables of one row a nucleus or a well, as Parquet in pycytominer's conventions (`Metadata_*`, `Nuclei_*`)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from coldchain.errors import InputError, IntegrityError, LayoutError

if TYPE_CHECKING:
    import pyarrow as pa

# What names a nucleus, as CytoTable writes it: one image is one field of the plate, numbered from 1 in the plate's order.
IDENTITY = ("Metadata_Plate", "Metadata_Well", "Metadata_Site", "Metadata_ImageNumber", "Metadata_ObjectNumber")
FLAGGED = "Metadata_QC_Flagged"
PIXEL_SIZE = "Metadata_PixelSize_um"  # side of a pixel in micrometres: lengths are pixels times it, areas pixels times its square
_TEXT = {"Metadata_Plate", "Metadata_Well"}


def schema(features: Sequence[str]) -> pa.Schema:
    """Return the schema of a table of nuclei: identity, quality flag, then one double a feature."""
    import pyarrow as pa

    identity = [pa.field(name, pa.string() if name in _TEXT else pa.int64(), nullable=False) for name in IDENTITY]
    return pa.schema([*identity, pa.field(FLAGGED, pa.bool_(), nullable=False), *(pa.field(name, pa.float64()) for name in features)])


def write(table: pa.Table, target: str | Path) -> Path:
    """Write a table as Parquet under a temporary name, then give it its own: the same rows give the same bytes."""
    import pyarrow.parquet as pq

    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    pq.write_table(table, part, compression="zstd")
    part.replace(target)
    return target


def read(path: str | Path) -> pa.Table:
    """Read a whole Parquet table. Raises IntegrityError where it is gone or damaged."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path).read()
    except (OSError, pa.ArrowException) as exc:
        raise IntegrityError(
            "A table cannot be read", on=path, expected="a Parquet file", got=exc, hint="verify the copy, or make it again"
        ) from exc


def join(parts: Iterable[str | Path], target: str | Path) -> int:
    """Join the tables of single fields into one, sorted by plate, field and object, and return its rows.

    Raises LayoutError where there is no part, columns differ, or a nucleus comes twice.
    """
    import pyarrow as pa

    tables = [(str(path), read(path)) for path in parts]
    _refuse_other_columns(tables)
    joined = pa.concat_tables([table for _, table in tables]).combine_chunks()
    joined = joined.sort_by([(name, "ascending") for name in ("Metadata_Plate", "Metadata_ImageNumber", "Metadata_ObjectNumber")])
    _refuse_twice(joined, target)
    write(joined, target)
    return int(joined.num_rows)


def _refuse_other_columns(tables: list[tuple[str, pa.Table]]) -> None:
    if not tables:
        raise LayoutError("There is no table to join", expected="one table a field", got="none")
    first = tables[0][1].schema
    for path, table in tables:
        if not table.schema.equals(first):
            expected, got = sorted(set(first.names) - set(table.schema.names)), sorted(set(table.schema.names) - set(first.names))
            raise LayoutError("Tables of one plate differ in their columns", on=path, expected=f"also {expected}", got=f"also {got}")


def _refuse_twice(joined: pa.Table, target: str | Path) -> None:
    keys = joined.group_by(list(IDENTITY)).aggregate([([], "count_all")])
    if keys.num_rows != joined.num_rows:
        twice = next(row for row in keys.to_pylist() if row["count_all"] > 1)
        raise LayoutError("A nucleus comes twice", on=target, expected="each once", got=[twice[name] for name in IDENTITY])


def channel_suffixes(channels: Sequence[str]) -> list[str]:
    """Return what stands for each channel in column names: its letters and digits, because `_` divides the parts of a name.

    Raises InputError where a channel has none, or where two would share a name.
    """
    suffixes = [re.sub(r"[^0-9A-Za-z]", "", channel) for channel in channels]
    if "" in suffixes or len(set(suffixes)) != len(suffixes):
        raise InputError(
            "Channels cannot be told apart in column names",
            expected="names that differ in their letters and digits",
            got=list(channels),
            hint="rename the channels when the plate is ingested",
        )
    return suffixes
