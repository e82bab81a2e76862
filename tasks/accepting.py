"""What the gate found, and what a person accepts of it, as tasks."""

from __future__ import annotations

from prefect.artifacts import create_table_artifact

from coldchain import accepting
from coldchain.approvers import Person
from tasks.running import work
from tasks.show import key
from tasks.workspace import open_workspace


@work
def show_found(dataset: str) -> None:
    """Show what the gate found of a dataset the last time, with what was accepted of it since."""
    ws = open_workspace()
    known = {(each.table, each.failure.mark): each for each in accepting.acceptances(ws, dataset)}
    rows = [
        row | ({"what": f"accepted by {known[table, str(row['mark'])].who}"} if (table, row["mark"]) in known else {})
        for table, report in accepting.found(ws, dataset)
        for row in report.broken()
    ]
    create_table_artifact(rows, key=key(dataset, "gate-found"), description=f"What the gate found of {dataset} the last time")


@work
def accept_failure(person: Person, dataset: str, mark: str, reason: str) -> str:
    """Accept one failure by its mark; raises InputError, NotInCatalogue, Refused."""
    return f"{accepting.accept(open_workspace(), person, dataset, mark, reason).message}. Fill the form `promote` again."
