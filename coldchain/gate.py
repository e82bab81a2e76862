"""The gate before a release: what the answers about one table mean, and the report that a scientist reads."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Sequence

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from coldchain.errors import GateFailed
from coldchain.literal import in_line, literal
from coldchain.suite import PRESENCE, Severity, Suite

EXAMPLES = 5
"""Examples that a failure gives at most."""

_MARK_LENGTH = 16


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
    examples: tuple[str, ...] = Field((), max_length=EXAMPLES)
    found: str = Field(description="what was found, in a few words")
    final: bool = Field(False, description="nobody may accept it: without it the table cannot be read for what it is")
    mark: str = Field("", description="names this failure of this table, with what was found; something else has another mark")

    @property
    def message(self) -> str:
        """Where, what was found, and the rule it breaks, in one line."""
        return in_line(f"{self.column or self.rule}: {self.found} (rule: {self.says})")


class Acceptance(BaseModel):
    """A person's word that one failure of one table is no reason against a release: who, how that was established, when and why."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    failure: Failure
    table: str = Field(description="the artifact that holds the table")
    suite: str
    version: int
    reason: str = Field(min_length=1)
    who: str
    how: str
    at: AwareDatetime

    @property
    def message(self) -> str:
        """What was accepted, by whom, when and why, in one line."""
        failure = self.failure
        return in_line(f"{failure.column or failure.rule}: {failure.found}; accepted by {self.who} on {day(self.at)}: {self.reason}")


def day(moment: dt.datetime) -> str:
    """A moment's day, for people."""
    return f"{moment:%Y-%m-%d}"


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
    accepted: tuple[Acceptance, ...] = Field((), description="critical, and a person accepted each for this table")
    left_out: tuple[str, ...] = Field((), description="rules that could not be asked of this plate, each with the reason")

    def broken(self) -> list[dict[str, str | int | None]]:
        """Return what broke as rows of a table: expectation, column, count, examples, and who accepted it; the gravest first."""
        kept = [(each, "does not pass") for each in self.failures]
        kept += [(each.failure, f"accepted by {each.who}: {each.reason}") for each in self.accepted]
        kept += [(each, "worth a look") for each in self.warnings]
        return [
            {
                "table": self.suite,
                "what": verdict,
                "expectation": failure.expectation,
                "rule": failure.says,
                "column": failure.column or "",
                "count": failure.unexpected_count,
                "found": failure.found,
                "examples": "; ".join(failure.examples),
                "mark": failure_mark(failure),
            }
            for failure, verdict in kept
        ]

    def markdown(self) -> str:
        """Return the report as Markdown, for a scientist: the verdict first, then what broke and where."""
        verdict = "passed" if self.passed else "did not pass: nothing is promoted"
        asked = f"{self.rows} rows, {self.checks} checks of `{self.suite}` version {self.version}"
        lines = [
            f"## The gate {verdict}",
            "",
            f"{asked}: {len(self.failures)} failed, {len(self.warnings)} warned, {len(self.accepted)} accepted.",
            *_section("Why it did not pass", self.failures),
            *_accepted(self.accepted),
            *_section("Worth a look", self.warnings),
            *(["", "### Left out", "", *(f"- {literal(each)}" for each in self.left_out)] if self.left_out else []),
        ]
        return "\n".join(lines) + "\n"


def report(
    suite: Suite,
    rows: int,
    checks: int,
    broken: Iterable[Failure],
    *,
    table: str = "",
    accepted: Iterable[Acceptance] = (),
    left_out: Sequence[str] = (),
) -> GateReport:
    """Return the report: critical failures close the gate, save those that a person accepted of this very table; warnings do not."""
    found = [marked(failure, suite, table) for failure in broken]
    known = {
        each.failure.mark: each for each in accepted if each.table == table and (each.suite, each.version) == (suite.name, suite.version)
    }
    critical = [failure for failure in found if failure.severity is Severity.CRITICAL]
    failures = tuple(failure for failure in critical if failure.final or known.get(failure.mark) is None)
    return GateReport(
        passed=not failures,
        suite=suite.name,
        version=suite.version,
        rows=rows,
        checks=checks,
        missing_columns=tuple(failure.column for failure in found if failure.expectation == PRESENCE and failure.column),
        failures=failures,
        warnings=tuple(failure for failure in found if failure.severity is Severity.WARNING),
        accepted=tuple(known[failure.mark] for failure in critical if failure not in failures),
        left_out=tuple(left_out),
    )


def marked(failure: Failure, suite: Suite, table: str) -> Failure:
    """Return the failure with its mark: over the table's artifact, the suite's version, the rule, and everything that was found."""
    said = failure.model_dump(mode="json", exclude={"mark", "says"})
    text = json.dumps([table, suite.name, suite.version, said], sort_keys=True)
    return failure.model_copy(update={"mark": hashlib.sha256(text.encode()).hexdigest()[:_MARK_LENGTH]})


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
        hint="look at the report, mend the step that made the table, and run it again; or let a person accept what is known: `accept`",
    )


def _section(title: str, found: Sequence[Failure]) -> list[str]:
    if not found:
        return []
    head = ["", f"### {title}", "", "| column | rule | what was found | for example | mark |", "|---|---|---|---|---|"]
    return head + [_row(*_cells(failure)) for failure in found]


def _cells(failure: Failure) -> tuple[str, ...]:
    return failure.column or "(table)", failure.says, failure.found, "; ".join(failure.examples), failure_mark(failure)


def failure_mark(failure: Failure) -> str:
    """Return the mark by which a person may accept a failure, or that nobody may; nothing for what only warns."""
    if failure.severity is not Severity.CRITICAL:
        return ""
    return "cannot be accepted" if failure.final else failure.mark


def _accepted(found: Sequence[Acceptance]) -> list[str]:
    if not found:
        return []
    head = ["", "### Accepted by a person", "", "| column | rule | what was found | accepted by | why |", "|---|---|---|---|---|"]
    return head + [_row(*_cells(each.failure)[:3], f"{each.who}, {day(each.at)}", each.reason) for each in found]


def _row(*cells: str) -> str:
    return "| " + " | ".join(map(literal, cells)) + " |"
