"""Old against new: how alike two tables of measurements are, by feature and by row, and where two tables differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coldchain.errors import LayoutError
from coldchain.imaging import tables

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Correlation:
    """Profiles before and after, of the rows and features that both have: Pearson's r for each feature and for each row.

    None stands for what has no correlation: a feature that is constant, or fewer than three values on both sides.
    """

    features: Mapping[str, float | None]
    rows: Mapping[str, float | None]
    only_old: tuple[str, ...]
    only_new: tuple[str, ...]


def correlate(old: Mapping[str, Mapping[str, float]], new: Mapping[str, Mapping[str, float]]) -> Correlation:
    """Correlate two tables, given as feature by row; rows are compared over features in units of each feature's spread before.

    Missing values are NaN, and are left out in pairs.
    """
    shared = [name for name in old if name in new]
    rows = sorted({row for name in shared for row in old[name]} & {row for name in shared for row in new[name]})
    before, after = (np.array([[table[name].get(row, np.nan) for row in rows] for name in shared], float) for table in (old, new))
    before, after = before.reshape(len(shared), len(rows)), after.reshape(len(shared), len(rows))
    centre, spread = _spread(before)
    by_feature = (pearson(one, two) for one, two in zip(before, after, strict=True))
    scaled = ((before - centre) / spread).T, ((after - centre) / spread).T
    by_row = (pearson(one, two) for one, two in zip(*scaled, strict=True))
    return Correlation(
        dict(zip(shared, by_feature, strict=True)),
        dict(zip(rows, by_row, strict=True)),
        tuple(name for name in old if name not in new),
        tuple(name for name in new if name not in old),
    )


def _spread(values: Floats) -> tuple[Floats, Floats]:
    """Return mean and standard deviation of each feature (rows of `values`); what does not vary has a spread that makes it NaN."""
    known = np.isfinite(values)
    count = np.maximum(known.sum(axis=1, keepdims=True), 1)
    filled = np.where(known, values, 0.0)
    centre = filled.sum(axis=1, keepdims=True) / count
    spread = np.sqrt((np.where(known, filled - centre, 0.0) ** 2).sum(axis=1, keepdims=True) / count)
    return centre, np.where(spread > 0, spread, np.nan)


def pearson(one: Floats, two: Floats) -> float | None:
    """Return the correlation of two rows of numbers over what both have; None for fewer than three, or for one that does not vary."""
    both = np.isfinite(one) & np.isfinite(two)
    if np.count_nonzero(both) < 3:
        return None
    first, second = one[both] - one[both].mean(), two[both] - two[both].mean()
    scale = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return float((first * second).sum() / scale) if scale > 0 else None


def read_profiles(path: str | Path, row: str = "Metadata_Well") -> dict[str, dict[str, float]]:
    """Read the features of a table of profiles by the name of its row: ``{"Nuclei_AreaShape_Area": {"A01": 412.0}}``; null is NaN.

    Raises IntegrityError where it cannot be read, LayoutError where it has no such row names.
    """
    table = tables.read(path)
    if row not in table.column_names:
        raise LayoutError("A table of profiles lacks a column", on=path, expected=row, got=table.column_names)
    rows = [str(name) for name in table[row].to_pylist()]
    named = [name for name in table.column_names if not name.startswith("Metadata_") and _numbers(table.schema.field(name).type)]
    return {name: dict(zip(rows, table[name].to_numpy().astype(float), strict=True)) for name in named}


def _numbers(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


@dataclass(frozen=True)
class TableDifference:
    """How two tables differ: rows, columns that only one has, and for each column that differs how much at most.

    ``columns`` holds the largest absolute difference of numbers; NaN where they differ in another way (text, missing values).
    """

    rows: tuple[int, int]
    missing: tuple[str, ...]
    added: tuple[str, ...]
    columns: Mapping[str, float]

    def __str__(self) -> str:
        """Say how they differ, the columns that differ most first."""
        said = [f"{self.rows[0]} rows" if self.rows[0] == self.rows[1] else f"{self.rows[0]} rows, now {self.rows[1]}"]
        said += [f"without {', '.join(self.missing)}"] if self.missing else []
        said += [f"also with {', '.join(self.added)}"] if self.added else []
        most = sorted(self.columns.items(), key=lambda item: (-np.nan_to_num(item[1], nan=np.inf), item[0]))
        said += [f"{name} differs" + ("" if np.isnan(by) else f" by {by:.3g} at most") for name, by in most[:10]]
        said += [f"and {len(most) - 10} columns more"] if len(most) > 10 else []
        return "; ".join(said if len(said) > 1 else [*said, "the same values in other bytes"])


def compare_tables(old: str | Path, new: str | Path) -> TableDifference:
    """Compare two Parquet tables row by row, in their order. Raises IntegrityError where one cannot be read."""
    one, two = tables.read(old), tables.read(new)
    names = [name for name in one.column_names if name in two.column_names]
    differing = {name: _largest(one[name], two[name]) for name in names} if one.num_rows == two.num_rows else {}
    return TableDifference(
        rows=(one.num_rows, two.num_rows),
        missing=tuple(name for name in one.column_names if name not in names),
        added=tuple(name for name in two.column_names if name not in names),
        columns={name: by for name, by in differing.items() if by != 0},
    )


def _largest(one: Any, two: Any) -> float:
    """Return the largest difference of two columns of one length; 0 where they are the same, NaN where they differ in another way."""
    if one.type != two.type or not _numbers(one.type):
        return 0.0 if one.equals(two) else float("nan")
    first, second = (column.to_numpy().astype(float) for column in (one, two))
    known = np.isfinite(first)
    if not np.array_equal(known, np.isfinite(second)) or not np.array_equal(first[~known], second[~known], equal_nan=True):
        return float("nan")
    return float(np.abs(first[known] - second[known]).max(initial=0.0))
