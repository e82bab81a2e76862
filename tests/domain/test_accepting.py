"""Accepting what the gate found: one failure of one table, by whom the policy lets, with a reason, and nothing else."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest

from coldchain import accepting
from coldchain.approvers import Person
from coldchain.errors import InputError, NotInCatalogue, Refused
from coldchain.gate import Failure, GateReport, Severity, report
from coldchain.policy import Policy
from coldchain.suite import load_suite
from coldchain.workspace import Workspace

DATASET, TABLE = "PRJ-0001/PLATE-A", "PRJ-0001/PLATE-A/bulk_profiles@" + "ab" * 32
ADA = Person("ada", "a test")
SUITE = load_suite("bulk_profiles")


def failure(**other: Any) -> Failure:
    """A failure of a rule, with parts replaced."""
    said: dict[str, Any] = {
        "rule": "controls-present",
        "says": "every control well of the plate map has nuclei",
        "expectation": "expect_column_values_to_be_between",
        "column": "nuclei",
        "severity": Severity.CRITICAL,
        "unexpected_count": 1,
        "unexpected_percent": 25.0,
        "examples": ("Well B02, control positive: 0",),
        "found": "1 of 4 (25 %)",
    }
    return Failure(**said | other)


def judged(ws: Workspace, *failures: Failure, table: str = TABLE, dataset: str = DATASET) -> GateReport:
    """What the gate finds of a table, with what people accepted before; noted as `promote` notes it."""
    said = report(SUITE, 4, 20, failures, table=table, accepted=accepting.acceptances(ws, dataset))
    accepting.note(ws, dataset, [(table, said)])
    return said


def test_an_accepted_failure_closes_the_gate_no_more(ws: Workspace) -> None:
    """It is named in the report with who, when and why, and a receipt keeps it."""
    (found,) = judged(ws, failure()).failures
    accepted = accepting.accept(ws, ADA, DATASET, found.mark, "  the well dried\nout ")
    again = judged(ws, failure())
    assert (again.passed, again.failures, again.accepted) == (True, (), (accepted,))
    assert (accepted.who, accepted.how, accepted.reason, accepted.at) == ("ada", "a test", "the well dried out", ws.now())
    assert "the well dried out" in again.markdown()
    assert again.broken()[0]["what"] == "accepted by ada: the well dried out"
    (receipt,) = ws.catalogue.receipts("acceptance")
    assert (receipt["dataset"], receipt["acceptance"]["failure"]["mark"], receipt["who"]) == (DATASET, found.mark, "ada")


@pytest.mark.parametrize(
    "other",
    [
        {"rule": "controls-labelled"},
        {"column": "other"},
        {"unexpected_count": 2},
        {"found": "2 of 4 (50 %)"},
        {"examples": ("Well C02, control positive: 0",)},
        {"expectation": "expect_column_values_to_be_in_set"},
    ],
)
def test_whatever_else_is_found_is_not_accepted(ws: Workspace, other: dict[str, Any]) -> None:
    """A mark names one rule, one column, and all that was found."""
    (found,) = judged(ws, failure()).failures
    accepting.accept(ws, ADA, DATASET, found.mark, "the well dried out")
    assert not judged(ws, failure(**other)).passed


def test_one_acceptance_is_of_one_failure(ws: Workspace) -> None:
    """Another failure beside it still closes the gate."""
    both = (failure(), failure(rule="controls-labelled"))
    accepting.accept(ws, ADA, DATASET, judged(ws, *both).failures[0].mark, "the well dried out")
    assert [each.rule for each in judged(ws, *both).failures] == ["controls-labelled"]


def test_a_table_that_was_made_anew_is_not_accepted(ws: Workspace) -> None:
    """The same failure of another artifact needs another word."""
    (found,) = judged(ws, failure()).failures
    accepting.accept(ws, ADA, DATASET, found.mark, "the well dried out")
    assert not judged(ws, failure(), table=TABLE.replace("ab", "cd")).passed


def test_another_version_of_a_suite_is_not_accepted(ws: Workspace) -> None:
    """What holds under one version of the rules says nothing of another."""
    (found,) = judged(ws, failure()).failures
    accepting.accept(ws, ADA, DATASET, found.mark, "the well dried out")
    said = report(load_suite("bulk_profiles", 1), 4, 20, [failure()], table=TABLE, accepted=accepting.acceptances(ws, DATASET))
    assert not said.passed


def test_an_acceptance_of_another_dataset_is_none(ws: Workspace) -> None:
    """What people said of one dataset is not read for another one."""
    (found,) = judged(ws, failure()).failures
    accepting.accept(ws, ADA, DATASET, found.mark, "the well dried out")
    assert accepting.acceptances(ws, "PRJ-0001/PLATE-B") == []


def test_what_cannot_be_read_for_what_it_is_cannot_be_accepted(ws: Workspace) -> None:
    """A failure that is final is refused, and an acceptance that stands in the catalogue all the same opens nothing."""
    (found,) = judged(ws, failure(final=True)).failures
    with pytest.raises(Refused, match="nobody may accept this"):
        accepting.accept(ws, ADA, DATASET, found.mark, "never mind")
    assert ws.catalogue.receipts("acceptance") == []
    (other,) = judged(ws, failure()).failures
    forged = accepting.accept(ws, ADA, DATASET, other.mark, "the well dried out").model_copy(update={"failure": found})
    assert not report(SUITE, 4, 20, [failure(final=True)], table=TABLE, accepted=[forged]).passed


def test_only_what_the_last_run_found_can_be_accepted(ws: Workspace) -> None:
    """A mark of an earlier run, or of nothing, is refused; the error lists the marks there are."""
    (before,) = judged(ws, failure()).failures
    (now,) = judged(ws, failure(unexpected_count=2)).failures
    with pytest.raises(NotInCatalogue, match=now.mark):
        accepting.accept(ws, ADA, DATASET, before.mark, "the well dried out")
    with pytest.raises(NotInCatalogue, match="no such dataset"):
        accepting.accept(ws, ADA, "PRJ-0001/NONE", before.mark, "the well dried out")


def test_a_warning_is_not_accepted(ws: Workspace) -> None:
    """It closes nothing, so that there is nothing to say to it."""
    (warning,) = judged(ws, failure(severity=Severity.WARNING)).warnings
    with pytest.raises(NotInCatalogue):
        accepting.accept(ws, ADA, DATASET, warning.mark, "never mind")


def test_only_whom_the_policy_names_may_accept(ws: Workspace) -> None:
    """Those who may approve for a release may; nobody else, and nothing is written down."""
    named = dataclasses.replace(ws, policy=Policy.model_validate(ws.policy.model_dump() | {"approvers": ("grace",)}))
    (found,) = judged(named, failure()).failures
    with pytest.raises(Refused, match="ada may not accept"):
        accepting.accept(named, ADA, DATASET, found.mark, "the well dried out")
    assert ws.catalogue.receipts("acceptance") == []
    assert accepting.accept(named, Person("grace", "a test"), DATASET, found.mark, "the well dried out").who == "grace"


def test_an_acceptance_needs_a_reason(ws: Workspace) -> None:
    """Blanks are none."""
    (found,) = judged(ws, failure()).failures
    with pytest.raises(InputError, match="says why"):
        accepting.accept(ws, ADA, DATASET, found.mark, "  \n")


def test_the_first_word_stays(ws: Workspace) -> None:
    """To accept again changes nothing and leaves no second receipt."""
    (found,) = judged(ws, failure()).failures
    first = accepting.accept(ws, ADA, DATASET, found.mark, "the well dried out")
    assert accepting.accept(ws, Person("grace", "a test"), DATASET, found.mark, "another reason") == first
    assert len(ws.catalogue.receipts("acceptance")) == 1


HOSTILE = "a\\|forged\\|\\[here](http://evil.test)<b>\n# Validated\n`x`"
"""What a person or a table may hold: the end of a cell, a link, markup, a heading, code."""


def test_no_text_can_leave_its_cell(ws: Workspace) -> None:
    """Examples and reasons that hold back slashes before bars and brackets are one cell each, and no link."""
    (found,) = judged(ws, failure(examples=(HOSTILE,), found=HOSTILE)).failures
    row = next(line for line in judged(ws, failure(examples=(HOSTILE,), found=HOSTILE)).markdown().splitlines() if "forged" in line)
    assert len(re.split(r"(?<!\\)(?:\\\\)*\|", row)) == 7
    assert re.search(r"(?<!\\)(?:\\\\)*\[", row) is None
    assert found.mark in row


def test_a_column_cannot_bring_a_line_of_its_own(ws: Workspace) -> None:
    """Where failures are listed to be accepted, a name with a line feed or a terminal's escapes forges no other failure's line."""
    (found,) = judged(ws, failure(column="x\n0123456789abcdef  harmless\x1b[2K")).failures
    accepted = accepting.accept(ws, ADA, DATASET, found.mark, "the well dried out")
    assert found.message.isprintable()
    assert accepted.message.isprintable()
