"""What is asked every night costs by its answer: the databases' own plans say so."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from coldchain.choices import Choice
from coldchain.copies import CopyState
from coldchain.levels import Level
from coldchain.media import State, Whereabouts
from coldchain.policy import Ground
from coldchain.proposals import Answer
from coldchain.sql.catalogue import SqlCatalogue

NOW = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
LARGE = {"copy", "artifact", "activity", "output", "input", "proposal", "receipt"}
PARTIAL = {"artifact_short", "artifact_check", "proposal_open", "proposal_open_notice", "copy_unsettled"}  # small, read whole
Fill = Callable[[int, int, int], list[str]]

QUESTIONS: dict[str, Callable[[SqlCatalogue], object]] = {
    "due_datasets": lambda c: c.due_datasets(NOW - dt.timedelta(days=1), {"l1": NOW - dt.timedelta(days=1)}),
    "pressure": lambda c: c.pressure("l1", 5, NOW),
    "falling_due": lambda c: c.falling_due(NOW, NOW + dt.timedelta(days=1), 5),
    "count_due": lambda c: c.count_due(NOW, NOW + dt.timedelta(days=1)),
    "damaged": lambda c: c.copies(states=[CopyState.SUSPECT, CopyState.LOST]),
    "copies_page": lambda c: c.copies_page(5, 5),
    "audit_due": lambda c: c.audit_due("l1", NOW - dt.timedelta(days=1), 5, NOW),
    "to_review": lambda c: c.to_review(NOW, 2),
    "save_reviews": lambda c: c.save_reviews([(f"PRJ-0001/D000001/raw@{16:064}", NOW, None)]),
    "shortfalls": lambda c: c.shortfalls(5),
    "count_short": lambda c: c.count_short(),
    "facts": lambda c: c.facts(["PRJ-0001/D000001", "PRJ-0001/D000002"], NOW),
    "asked": lambda c: c.asked([f"PRJ-0001/D000001/raw@{16:064}"], NOW),
    "change_copy": lambda c: c.change_copy(5, state=CopyState.SUSPECT, verified_at=NOW),
    "propose": lambda c: c.propose([(3, Ground.REMAKE), (4, Ground.REMAKE)], "p", NOW),
    "notices": lambda c: c.notices(open_only=True),
    "proposals": lambda c: c.proposals(notice=2, dataset="PRJ-0001/D000000"),
    "answer": lambda c: c.answer(2, Answer.YES, "ada", "here", "", NOW, datasets=["PRJ-0001/D000000"]),
    "close_proposals": lambda c: c.close_proposals({5001: "held"}, NOW),
    "begin_deletion": lambda c: c.begin_deletion(7, {}),
    "deleting": lambda c: c.deleting(7),
    "close_removals": lambda c: c.close_removals([7], "lab v1", "ada", NOW),
    "set_due": lambda c: c.set_due([(9, NOW)]),
    "totals": lambda c: c.totals(),
    "save_medium": lambda c: c.save_medium(Whereabouts("l1", State.OUT, NOW)),
    "artifacts": lambda c: c.artifacts("PRJ-0001/D000001"),
    "makings": lambda c: c.makings("PRJ-0001/D000001"),
    "choices": lambda c: c.choices("PRJ-0001/D000001"),
    "choose": lambda c: c.choose([Choice("PRJ-0001/D000001", Level.RAW, f"PRJ-0001/D000001/raw@{16:064}", "ada", "why", NOW)], "test"),
    "last_receipt": lambda c: c.last_receipt("sweep"),
}


@contextmanager
def listening(engine: sa.Engine) -> Iterator[list[tuple[str, Any]]]:
    """Statements that are sent meanwhile, with what they bind."""
    said: list[tuple[str, Any]] = []

    def hear(_db: object, _cursor: object, statement: str, parameters: Any, _context: object, executemany: bool) -> None:
        if statement.split(maxsplit=1)[0] in {"SELECT", "UPDATE", "DELETE", "WITH"}:
            said.append((statement, parameters[0] if executemany else parameters))

    sa.event.listen(engine, "before_cursor_execute", hear)
    yield said
    sa.event.remove(engine, "before_cursor_execute", hear)


def wide_reads(db: sa.Connection, statement: str, parameters: Any) -> list[str]:
    """Steps of a statement's plan that read a large table, or a whole index of one, from end to end."""
    if db.dialect.name == "sqlite":
        steps = [row[3] for row in db.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]
        read = [step for step in steps if ("SCAN " in step or " AUTOMATIC " in step) and step.split()[1] in LARGE]
        return [step for step in read if not PARTIAL & set(step.split())]
    for way in ("seqscan", "hashjoin", "mergejoin"):  # at this size they are quicker: what is asked is whether an index would serve
        db.exec_driver_sql(f"SET LOCAL enable_{way} = off")
    (plan,) = db.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters).scalar_one()
    return list(_walk(plan["Plan"]))


def _walk(node: dict[str, Any]) -> Iterator[str]:
    of_large = node.get("Relation Name") in LARGE and node["Node Type"] != "ModifyTable"
    by_index = "Index Cond" in node or "Recheck Cond" in node or node.get("Index Name") in PARTIAL
    if of_large and not by_index:
        yield json.dumps({key: value for key, value in node.items() if key != "Plans"})
    for below in node.get("Plans", ()):
        yield from _walk(below)


@pytest.fixture
def filled(catalogue: SqlCatalogue, fill: Fill) -> SqlCatalogue:
    """Forty thousand copies in a thousand datasets, with statistics; most were reviewed, all are due now, and some were told of."""
    names = fill(1000, 10, 4)
    told = [(copy.id, Ground.REMAKE) for copy in catalogue.copies_page(0, 5000)]
    catalogue.propose(told, "p", NOW)
    catalogue.close_proposals({proposal.id: "held" for proposal in catalogue.proposals()}, NOW)
    catalogue.propose(told[:2], "p", NOW)
    catalogue.change_copy(7, state=CopyState.TRASHED)
    for number in range(2000):
        catalogue.add_receipt({7: "sweep", 8: "removal", 9: "answer"}.get(number, "project"), {"number": number}, "ada", NOW)
    with catalogue.writing.begin() as db:
        db.execute(sa.text("update artifact set check_at = '1970-01-01 00:00:00.000000' where id < 20"))
    with catalogue.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        db.execute(sa.text("analyze"))
    assert len(names) == 1000
    return catalogue


def test_nothing_that_is_asked_at_night_reads_a_table_from_end_to_end(filled: SqlCatalogue) -> None:
    """Every statement finds its rows of the large tables by an index, in SQLite and in PostgreSQL."""
    found = {}
    for name, ask in QUESTIONS.items():
        with listening(filled.engine) as said:
            ask(filled)
        with filled.engine.connect() as db:
            wide = [(statement, step) for statement, parameters in said for step in wide_reads(db, statement, parameters)]
        if wide:
            found[name] = wide
    assert found == {}, "\n\n".join(f"{name}:\n{step}\n{statement}" for name, wide in found.items() for statement, step in wide)


SERVED = {
    "due_datasets": {"copy_due", "copy_due_at"},
    "pressure": {"copy_due_at"},
    "falling_due": {"copy_due"},
    "count_due": {"copy_due"},
    "audit_due": {"copy_read"},
    "to_review": {"artifact_check"},
    "damaged": {"copy_unsettled"},
}


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_each_question_has_the_index_that_was_made_for_it(filled: SqlCatalogue) -> None:
    """Another index may find the rows too, but among millions that are not wanted. PostgreSQL chooses by size: the benchmark tells."""
    for name, wanted in SERVED.items():
        with listening(filled.engine) as said:
            QUESTIONS[name](filled)
        with filled.engine.connect() as db:
            plans = [str(db.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()) for statement, parameters in said]
        assert wanted <= set(re.findall(r"\w+", " ".join(plans))), name
