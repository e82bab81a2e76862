"""What Great Expectations answered, as broken rules that people read: which rule, where, how often, and a few examples. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from coldchain.gate import EXAMPLES, Failure
from coldchain.suite import PRESENCE, Check, Severity

_EXAMPLE_VALUES = 10
_EXAMPLE_LENGTH = 60
_ROW_COUNT = "expect_table_row_count_to_equal"
_OF_KEYS = frozenset({PRESENCE, "expect_column_values_to_not_be_null", "expect_compound_columns_to_be_unique"})
_COUNTS = frozenset({"missing", "not_finite", "negative"})

MOST_FEATURES = 20
"""Features that fail a rule one by one; more of them fail it together."""


def judge(check: Check, answer: Mapping[str, Any]) -> list[Failure]:
    """Return what is broken, nothing where the rule holds; `answer` is one expectation's result as plain values.

    A question that could not be evaluated counts as a critical failure, whatever its severity: unknown counts as no. A question to many
    features gives a failure for each that breaks the rule, or one for all where they are more than MOST_FEATURES.
    """
    if answer["success"]:
        return []
    trouble = _trouble(answer.get("exception_info") or {})
    result: Mapping[str, Any] = answer.get("result") or {}
    features = result.get("unexpected_index_list") or []
    if check.rule.table == "features" and not trouble and features and check.column:
        return _of_features(check, check.column, features)
    return [
        Failure(
            final=_is_final(check, trouble),
            rule=check.rule.name,
            says=check.rule.says,
            expectation=check.rule.expectation,
            column=check.column,
            severity=Severity.CRITICAL if trouble else check.rule.severity,
            unexpected_count=_unexpected_count(check, result),
            unexpected_percent=result.get("unexpected_percent"),
            examples=_examples(check, result),
            found=_found(check, result, trouble),
        )
    ]


def _of_features(check: Check, column: str, features: Sequence[Mapping[str, Any]]) -> list[Failure]:
    """Return a failure for each feature that breaks a rule, or, of very many, one that binds all of them."""
    names = [str(each["feature"]) for each in features]
    if len(features) <= MOST_FEATURES:
        return [_of_feature(check, column, each) for each in features]
    listed = _listed(f"{each['feature']} {each[column]}" for each in features)
    return [
        Failure(
            rule=check.rule.name,
            says=check.rule.says,
            expectation=check.rule.expectation,
            column=None,
            severity=check.rule.severity,
            unexpected_count=len(features),
            unexpected_percent=None,
            examples=tuple(_plain(name) for name in names[:EXAMPLES]),
            found=f"{len(features)} features (list {listed})",
        )
    ]


def _of_feature(check: Check, column: str, said: Mapping[str, Any]) -> Failure:
    value, rows = said[column], int(said["of"])
    counted = column in _COUNTS
    return Failure(
        rule=check.rule.name,
        says=check.rule.says,
        expectation=check.rule.expectation,
        column=str(said["feature"]),
        severity=check.rule.severity,
        unexpected_count=int(value) if counted else None,
        unexpected_percent=100 * value / rows if counted and rows else None,
        examples=tuple(_plain(place, 200) for place in [said.get(f"{column}_at")] if place),
        found=f"{int(value)} of {rows}" if counted else f"{column.replace('_', ' ')} {value:.4g}",
    )


def _is_final(check: Check, trouble: str | None) -> bool:
    """Whether nobody may accept a failure: the columns that name a row are missing, empty or not unique, or it could not be asked."""
    return trouble is not None or (check.rule.expectation in _OF_KEYS and bool(check.needs()) and check.needs() <= set(check.key))


def _trouble(info: Mapping[str, Any]) -> str | None:
    """Return why a question could not be evaluated: the library nests the reasons by metric, or gives one."""
    reasons = [info] if "raised_exception" in info else list(info.values())
    said = [str(reason.get("exception_message") or "no reason given") for reason in reasons if reason.get("raised_exception")]
    return _plain(said[0], 200) if said else None


def _unexpected_count(check: Check, result: Mapping[str, Any]) -> int | None:
    if check.rule.expectation == _ROW_COUNT and "observed_value" in result:
        return abs(int(result["observed_value"]) - int(check.arguments["value"]))
    count = result.get("unexpected_count")
    return None if count is None else int(count)


def _found(check: Check, result: Mapping[str, Any], trouble: str | None) -> str:
    if trouble:
        return f"could not be evaluated ({trouble})"
    if check.rule.expectation == PRESENCE:
        return "the column is missing"
    if "unexpected_count" in result:
        percent = result.get("unexpected_percent")
        share = "" if percent is None else f" ({percent:.3g} %)"
        return f"{result['unexpected_count']} of {result.get('element_count', '?')}{share}{_all(result)}"
    wanted = check.arguments.get("value", check.rule.says)
    return f"expected {wanted}, found {result.get('observed_value', 'nothing')}"


def _all(result: Mapping[str, Any]) -> str:
    """Name all that is found where examples show only a part of it, so that a mark is of all of it."""
    found = result.get("unexpected_index_list") or []
    return f", list {_listed(json.dumps(each, sort_keys=True, default=str) for each in found)}" if len(found) > EXAMPLES else ""


def _listed(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()[:8]


def _examples(check: Check, result: Mapping[str, Any]) -> tuple[str, ...]:
    placed = result.get("partial_unexpected_index_list") or []
    found = placed if placed and isinstance(placed[0], Mapping) else result.get("partial_unexpected_list") or []
    return tuple(dict.fromkeys(_example(value, check.column) for value in found))[:EXAMPLES]


def _example(value: object, column: str | None) -> str:
    """Return where a value stands, and the value: `Plate P1, Well A01, Site 1, ObjectNumber 7: 40000`."""
    if not isinstance(value, Mapping):
        return _plain(value)
    where = [(name, part) for name, part in value.items() if name != column][:_EXAMPLE_VALUES]
    place = ", ".join(f"{_plain(name).removeprefix('Metadata_')} {_plain(part)}" for name, part in where)
    return f"{place}: {_plain(value[column])}" if column in value else place


def _plain(value: object, length: int = _EXAMPLE_LENGTH) -> str:
    """Return a value as one short printable line: table contents are not to be trusted with a report's layout."""
    shown = "".join(letter if letter.isprintable() else " " for letter in str(value))
    return shown if len(shown) <= length else f"{shown[: length - 1]}…"
