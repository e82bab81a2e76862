"""Tables that a suite asks of beside the table itself: features by their missing values, drift, and controls. Pure.

Each is a short list of plain rows, so that Great Expectations answers for a thousand features with one question, and names each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from coldchain import controls, drift
from coldchain.suite import FIELD_COLUMNS

if TYPE_CHECKING:
    from coldchain.suite import GateContext, Rule, Suite

WELL, NUCLEI = "Metadata_Well", "Metadata_Count_Nuclei"

INDEX: Mapping[str, tuple[str, ...]] = {
    "fields": FIELD_COLUMNS[:2],
    "features": ("feature", "of", "missing_at", "not_finite_at", "negative_at"),
    "drift": ("feature", "median", "expected"),
    "controls": (WELL, "control"),
    "contrast": (WELL, "control", "place"),
}
"""Columns of each such table that say where an answer stands."""

FEATURE_COLUMNS = (*INDEX["features"], "missing", "not_finite", "negative", "missing_share", "largest")
"""Columns of the table of features, which has a row for each, or none where the table has no such feature."""

Columns = Mapping[str, Any]
"""Columns of the table by their names, each an array with a value a row."""


@dataclass(frozen=True)
class Derived:
    """Rows to ask of, or why nothing can be asked."""

    rows: Sequence[Mapping[str, Any]]
    why_not: str = ""


def feature_row(name: str, values: NDArray[Any], places: Sequence[str]) -> dict[str, Any]:
    """Count what is missing (null, NaN), not finite, or negative in one column, and say where first; `places` names the rows.

    What is no number is not finite. `missing_share` is 0 to 1, `largest` the largest absolute finite value.
    """
    numbers = values.astype(np.float64) if values.dtype.kind in "fiub" else _numbers(values)
    missing = np.array([value is None for value in values]) if values.dtype.kind == "O" else np.isnan(numbers)
    odd, negative = ~np.isfinite(numbers) & ~missing, np.isfinite(numbers) & (numbers < 0)
    there = np.abs(numbers[np.isfinite(numbers)])
    row: dict[str, Any] = {"feature": name, "of": int(values.size)}
    for what, where in (("missing", missing), ("not_finite", odd), ("negative", negative)):
        row |= {what: int(where.sum()), f"{what}_at": places[int(np.argmax(where))] if where.any() else ""}
    share = row["missing"] / values.size if values.size else 0.0
    return row | {"missing_share": share, "largest": float(there.max()) if there.size else 0.0}


def _numbers(values: NDArray[Any]) -> NDArray[np.float64]:
    return np.array([value if isinstance(value, int | float) else np.inf for value in values], np.float64)


def derive(rule: Rule, suite: Suite, context: GateContext, table: Columns) -> Derived:
    """Make the table that a rule asks of, from the columns that it reads; `fields` and `features` are made while the table is read."""
    match rule.table:
        case "drift":
            return _drift(rule, suite, context, table)
        case "controls":
            return _controls(context, table)
        case _:
            return _contrast(rule, suite, context, table)


def _drift(rule: Rule, suite: Suite, context: GateContext, table: Columns) -> Derived:
    if (earlier := len(context.earlier)) < suite.least_earlier:
        return Derived((), f"{_count(earlier, 'earlier plate')} of the project, {suite.least_earlier} needed")
    read = {name: _floats(table[name]) for name in rule.read_for(list(table))}
    rows = drift.compare(drift.summarise("", read), context.earlier, suite.least_earlier)
    return Derived(rows, "" if rows else f"no feature that {suite.least_earlier} earlier plates have")


def _controls(context: GateContext, table: Columns) -> Derived:
    named = controls.expected(context.plate_map)
    return Derived(controls.presence(wells_of(table, ()), named), "" if named else "the plate map names no controls")


def _contrast(rule: Rule, suite: Suite, context: GateContext, table: Columns) -> Derived:
    features = [name for name in rule.read_for(list(table)) if not name.startswith("Metadata_")]
    found = controls.contrast(wells_of(table, features), controls.expected(context.plate_map))
    if found is None:
        return Derived((), f"fewer than {controls.LEAST_WELLS} negative or positive controls with nuclei in the plate map")
    if rule.table == "contrast":
        return Derived(found.rows())
    if rule.table == "effect":
        return Derived([{"separation": round(found.separation, 3), "z_prime": round(found.z_prime, 3)}])
    earlier = [each.effect for each in context.earlier if each.effect]
    alike = controls.direction(found.effect, earlier, suite.least_earlier)
    if alike is None:
        return Derived((), f"{_count(len(earlier), 'earlier plate')} with controls, {suite.least_earlier} needed")
    return Derived([{"alike": round(alike, 3)}])


def summary(dataset: str, table: Columns, features: Sequence[str], plate_map: Mapping[str, Mapping[str, Any]]) -> drift.Summary:
    """Summarise a plate's wells for the plates after it: features and counts, and in which direction its controls differ."""
    found = controls.contrast(
        wells_of(table, [name for name in features if not name.startswith("Metadata_")]), controls.expected(plate_map)
    )
    return drift.summarise(dataset, {name: _floats(table[name]) for name in features}, found.effect if found else None)


def wells_of(table: Columns, features: Sequence[str]) -> controls.Wells:
    """Read the wells of a table of one row a well; counts that are missing are none."""
    names = [str(well) for well in table[WELL]]
    nuclei = [int(count) for count in np.nan_to_num(_floats(table[NUCLEI]))]
    marks = {name.removeprefix("Metadata_"): table[name] for name in table if name.removeprefix("Metadata_").lower() in controls.KEYS}
    labels = [controls.kind_of({key: _text(said[at]) for key, said in marks.items()}) for at in range(len(names))]
    values = np.stack([_floats(table[name]) for name in features], axis=1) if features else np.zeros((len(names), 0))
    return controls.Wells(names, nuclei, labels, values, features)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _floats(values: Any) -> NDArray[np.float64]:
    """Numbers, and NaN for whatever is none."""
    array = np.asarray(values)
    if array.dtype.kind in "fiub":
        return array.astype(np.float64)
    return np.array([value if isinstance(value, int | float) else np.nan for value in array], np.float64)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")
