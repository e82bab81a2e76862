"""The gate before a release: what the answers about one table mean, and the report that a scientist reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from coldchain.errors import GateFailed
from coldchain.suite import PRESENCE, Check, Severity, Suite

_EXAMPLES = 5
_EXAMPLE_VALUES = 10
_EXAMPLE_LENGTH = 60
_ROW_COUNT = "expect_table_row_count_to_equal"


class Failure(BaseModel):
    """One broken rule: which, where, how often, and a few examples."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rule: str
    says: str
    expectation: str
    column: str | None
    severity: Severity
    unexpected_count: int | None = Field(description="values or rows that break the rule; none where it could not be asked")
    unexpected_percent: float | None = Field(description="of the values there are, 0 to 100")
    examples: tuple[str, ...] = Field((), max_length=_EXAMPLES)
    found: str = Field(description="what was found, in a few words")

    @property
    def message(self) -> str:
        """Where, what was found, and the rule it breaks, in one line."""
        return f"{self.column or self.rule}: {self.found} (rule: {self.says})"


class GateReport(BaseModel):
    """What the gate says about one table."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    passed: bool
    suite: str
    version: int
    rows: int
    checks: int = Field(description="questions asked")
    missing_columns: tuple[str, ...] = ()
    failures: tuple[Failure, ...] = Field((), description="critical: they close the gate")
    warnings: tuple[Failure, ...] = Field((), description="reported; they do not close the gate")

    def markdown(self) -> str:
        """Return the report as Markdown, for a scientist: the verdict first, then what broke and where."""
        verdict = "passed" if self.passed else "did not pass: nothing is promoted"
        asked = f"{self.rows} rows, {self.checks} checks of `{self.suite}` version {self.version}"
        lines = [
            f"## The gate {verdict}",
            "",
            f"{asked}: {len(self.failures)} failed, {len(self.warnings)} warned.",
            *_section("Why it did not pass", self.failures),
            *_section("Worth a look", self.warnings),
        ]
        return "\n".join(lines) + "\n"


def judge(check: Check, answer: Mapping[str, Any]) -> Failure | None:
    """Return the broken rule, or None where it holds; `answer` is one expectation's result as plain values.

    A question that could not be evaluated counts as a critical failure, whatever its severity: unknown counts as no.
    """
    if answer["success"]:
        return None
    trouble = _trouble(answer.get("exception_info") or {})
    result: Mapping[str, Any] = answer.get("result") or {}
    return Failure(
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


def report(suite: Suite, rows: int, checks: int, broken: Iterable[Failure]) -> GateReport:
    """Return the report: critical failures close the gate, warnings do not."""
    found = list(broken)
    failures = tuple(failure for failure in found if failure.severity is Severity.CRITICAL)
    return GateReport(
        passed=not failures,
        suite=suite.name,
        version=suite.version,
        rows=rows,
        checks=checks,
        missing_columns=tuple(failure.column for failure in found if failure.expectation == PRESENCE and failure.column),
        failures=failures,
        warnings=tuple(failure for failure in found if failure.severity is Severity.WARNING),
    )


def require_pass(said: GateReport, on: object) -> None:
    """Raise GateFailed, with every reason in its message, unless the report passed."""
    if said.passed:
        return
    raise GateFailed(
        "the gate did not pass",
        on=on,
        expected=f"{said.suite} version {said.version} without a critical failure",
        got="; ".join(failure.message for failure in said.failures),
        done="nothing was promoted",
        hint="look at the report, mend the step that made the table, and run it again",
    )


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
        return f"{result['unexpected_count']} of {result.get('element_count', '?')}{share}"
    wanted = check.arguments.get("value", check.rule.says)
    return f"expected {wanted}, found {result.get('observed_value', 'nothing')}"


def _examples(check: Check, result: Mapping[str, Any]) -> tuple[str, ...]:
    placed = result.get("partial_unexpected_index_list") or []
    found = placed if placed and isinstance(placed[0], Mapping) else result.get("partial_unexpected_list") or []
    return tuple(dict.fromkeys(_example(value, check.column) for value in found))[:_EXAMPLES]


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


def _section(title: str, found: Sequence[Failure]) -> list[str]:
    if not found:
        return []
    head = ["", f"### {title}", "", "| column | rule | what was found | for example |", "|---|---|---|---|"]
    return head + [_row(failure) for failure in found]


def _row(failure: Failure) -> str:
    cells = (failure.column or "(table)", failure.says, failure.found, "; ".join(failure.examples))
    return "| " + " | ".join(_cell(cell) for cell in cells) + " |"


def _cell(text: str) -> str:
    shown = text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")
    return shown.replace("`", "'").replace("[", "\\[")
