"""Accepting: a person says, with a reason, that one failure of one table is no reason against a release.

What may be accepted is what the last run of the gate found, each failure by its mark: over the table, the suite's version, the rule and
what was found. Were anything of that another the next time, the mark is another, and nothing is accepted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from coldchain.approving import lets
from coldchain.errors import InputError, NotInCatalogue, Refused
from coldchain.gate import Acceptance, GateReport
from coldchain.levels import Level

if TYPE_CHECKING:
    from coldchain.approvers import Person
    from coldchain.workspace import Workspace

RECEIPT = "acceptance"
"""Kind of the receipts that acceptances are."""

_Found = TypeAdapter(dict[str, GateReport])


def note(ws: Workspace, dataset: str, reports: Sequence[tuple[str, GateReport]]) -> None:
    """Write down what the gate found of a dataset, in place of what it found before; each report with the artifact that holds its table."""
    found = {f"{table} {report.suite}": report for table, report in reports}
    ws.catalogue.save_setting(_setting(dataset), _Found.dump_json(found).decode())


def found(ws: Workspace, dataset: str) -> list[tuple[str, GateReport]]:
    """What the gate found of a dataset the last time: each report with the artifact that holds its table."""
    text = ws.catalogue.setting(_setting(dataset))
    return [(name.rpartition(" ")[0], report) for name, report in (_Found.validate_json(text) if text else {}).items()]


def acceptances(ws: Workspace, dataset: str) -> list[Acceptance]:
    """What people accepted of a dataset's tables, oldest first."""
    kept = (each for each in ws.catalogue.receipts(RECEIPT) if each["dataset"] == dataset)
    return [Acceptance.model_validate(each["acceptance"]) for each in kept]


def accept(ws: Workspace, person: Person, dataset: str, mark: str, reason: str) -> Acceptance:
    """Accept one failure that the gate found the last time, and keep a receipt; what was accepted before stays as it was.

    Raises:
        InputError: no reason is given.
        NotInCatalogue: the gate found no such failure the last time.
        Refused: the person may not, or nobody may accept this.
    """
    if not reason.strip():
        raise InputError("an acceptance says why", on=dataset, expected="a reason")
    table, report = _with_mark(ws, dataset, mark)
    failure = next(each for each in report.failures if each.mark == mark)
    project = ws.catalogue.project(dataset.split("/", 1)[0])
    named = ws.policy.approvers_of(ws.policy.rule(Level.RELEASE, project))
    if not lets(person, named):
        raise Refused(f"{person} may not accept what the gate found", on=dataset, expected=", ".join(named), done=_NOTHING)
    if failure.final:
        raise Refused("nobody may accept this", on=dataset, got=failure.message, done=_NOTHING, hint="make the table again")
    if before := [each for each in acceptances(ws, dataset) if (each.table, each.failure.mark) == (table, mark)]:
        return before[0]
    accepted = Acceptance(
        failure=failure,
        table=table,
        suite=report.suite,
        version=report.version,
        reason=" ".join(reason.split()),
        who=str(person),
        how=person.how,
        at=ws.now(),
    )
    ws.catalogue.add_receipt(RECEIPT, {"dataset": dataset, "acceptance": accepted.model_dump(mode="json")}, str(person), ws.now())
    return accepted


_NOTHING = "nothing was accepted"


def _with_mark(ws: Workspace, dataset: str, mark: str) -> tuple[str, GateReport]:
    ws.catalogue.dataset(dataset)
    there = found(ws, dataset)
    for table, report in there:
        if any(each.mark == mark for each in report.failures):
            return table, report
    marks = [f"{each.mark} ({each.message})" for _, report in there for each in report.failures]
    raise NotInCatalogue(
        "the gate found no such failure the last time",
        on=f"{dataset}, {mark}",
        got="; ".join(marks) or "none",
        done=_NOTHING,
        hint="the marks stand in the report of `promote`; run it again where the tables were made anew",
    )


def _setting(dataset: str) -> str:
    return f"gate {dataset}"
