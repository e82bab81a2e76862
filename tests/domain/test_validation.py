"""Tables that have not passed the gate keep what they were made of: through the catalogue, and in sweeps."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest

from coldchain import overriding, retention, sweeping, transfer, validation
from coldchain.approvers import Person
from coldchain.choices import Choice
from coldchain.copies import Artifact, CopyState
from coldchain.ledger import Ledger
from coldchain.levels import Level
from coldchain.location import Location, Medium
from coldchain.overrides import Check
from coldchain.policy import Policy
from coldchain.retention import Action
from coldchain.sql.catalogue import SqlCatalogue
from coldchain.workspace import Workspace

DATASET = "PRJ-0001/PLATE-A"
NOW = dt.datetime(2030, 2, 1, tzinfo=dt.UTC)
PLACES = {
    "nas": Location(name="nas", root="nas", medium=Medium.DISK, domain="nas", site="campus"),
    "scratch": Location(name="scratch", root="scratch", medium=Medium.DISK, domain="cluster", site="campus", purge_age_days=60),
}
Stock = Callable[..., Artifact]
Make = Callable[..., Artifact]


def policy() -> Policy:
    """One copy of everything that cannot be made again or is asked for, and what is corrected may be made again; no person is asked."""
    return Policy.model_validate(
        {
            "name": "small",
            "version": 1,
            "rules": [
                {"levels": ["raw", "release"], "wanted": {"copies": 2}},
                {"levels": ["standard", "masks", "single_cell_profiles", "bulk_profiles"], "wanted": {"copies": 1}},
                {"levels": ["corrected", "single_cell_images"], "wanted": {"copies": 1}, "remake": True},
            ],
            "purge": {"after_days": 0, "approval": {"original_stands": "none", "remake": "none"}},
        }
    )


def decided(catalogue: SqlCatalogue, *datasets: str) -> dict[str, Action]:
    """What is decided of each artifact's copies, by level and place, from what the catalogue tells of these datasets."""
    facts = catalogue.facts(datasets, NOW)
    ledger = Ledger(**vars(facts), locations=PLACES, reachable=frozenset(PLACES), home="campus", datasets=frozenset(datasets))
    plan = retention.plan(ledger, policy(), NOW)
    return {
        f"{ledger.artifacts[copy.artifact].level} {copy.location}": each.action
        for each in plan.decisions
        if (copy := ledger.by_id[each.copy])
    }


@pytest.fixture
def profiled(stock: Stock) -> list[Artifact]:
    """A plate in the catalogue, from its standard images to bulk profiles; all of it on scratch, all but what is corrected on the NAS."""
    standard = stock("aa", level=Level.STANDARD, places=["nas", "scratch"])
    corrected = stock("bb", level=Level.CORRECTED, inputs=[standard], places=["scratch"])
    masks = stock("cc", level=Level.MASKS, inputs=[corrected], places=["scratch", "nas"])
    cells = stock("dd", level=Level.SINGLE_CELL_PROFILES, inputs=[corrected, masks], places=["scratch", "nas"])
    bulk = stock("ee", level=Level.BULK_PROFILES, inputs=[cells, corrected], places=["scratch", "nas"])
    return [standard, corrected, masks, cells, bulk]


def test_the_catalogue_tells_that_tables_have_not_passed(catalogue: SqlCatalogue, profiled: list[Artifact], stock: Stock) -> None:
    """What was computed stays until the release is recorded, and goes then; staged images go all the while."""
    before = decided(catalogue, DATASET)
    assert before["standard scratch"] is Action.REMOVE
    assert {before[f"{level} scratch"] for level in ("corrected", "masks", "single_cell_profiles", "bulk_profiles")} == {Action.KEEP}
    stock("ff", level=Level.RELEASE, inputs=profiled[3:], places=["nas"])
    after = decided(catalogue, DATASET)
    assert {after[f"{level} scratch"] for level in ("corrected", "masks", "single_cell_profiles", "bulk_profiles")} == {Action.REMOVE}


def test_a_release_that_was_only_begun_has_passed_nothing(catalogue: SqlCatalogue, profiled: list[Artifact], stock: Stock) -> None:
    """A release whose bytes were never read back, since the run was cut off, lets nothing go."""
    stock("ff", level=Level.RELEASE, inputs=profiled[3:], places=["scratch"])
    (copy,) = [each for each in catalogue.copies(location="scratch") if "/release@" in each.artifact]
    catalogue.change_copy(copy.id, state=CopyState.COPYING, verified_at=None)
    assert decided(catalogue, DATASET)["corrected scratch"] is Action.KEEP


def test_tables_in_another_dataset_are_told_as_well(catalogue: SqlCatalogue, profiled: list[Artifact], stock: Stock) -> None:
    """Where one dataset alone is asked about, the tables that another one's were made into still keep it."""
    stock("ff", level=Level.RELEASE, inputs=profiled[3:], places=["nas"])
    stock("ab", level=Level.SINGLE_CELL_PROFILES, dataset="PRJ-0002/OTHER", inputs=profiled[1:2], places=["nas"])
    assert decided(catalogue, DATASET)["corrected scratch"] is Action.KEEP
    assert decided(catalogue, DATASET)["masks scratch"] is Action.REMOVE


def test_the_catalogue_tells_what_a_person_chose(catalogue: SqlCatalogue, profiled: list[Artifact], stock: Stock) -> None:
    """Tables of an experiment keep what they were made of until a person chooses the tables that passed."""
    standard, corrected, masks, cells, bulk = profiled
    stock("ff", level=Level.RELEASE, inputs=[cells, bulk], places=["nas"])
    other = stock("1c", level=Level.MASKS, inputs=[corrected], places=["scratch", "nas"])
    stock("1d", level=Level.SINGLE_CELL_PROFILES, inputs=[corrected, other], places=["nas"])
    assert decided(catalogue, DATASET)["corrected scratch"] is Action.KEEP
    catalogue.choose([Choice(DATASET, Level.MASKS, masks.id, "ada", "better outlines", NOW)], "a test")
    assert catalogue.facts([DATASET], NOW).choices == tuple(catalogue.choices(DATASET))
    assert decided(catalogue, DATASET)["corrected scratch"] is Action.REMOVE
    assert standard


@pytest.fixture
def plate(ws: Workspace, made: Make) -> dict[Level, Artifact]:
    """A plate on the demo's site: computed on scratch, its masks and tables archived; its release is not made yet."""
    standard = made(Level.STANDARD, {"0/c/0": b"pixels"}, at="nas")
    corrected = made(Level.CORRECTED, {"flat": b"field"}, inputs=(standard,))
    masks = made(Level.MASKS, {"labels": b"1 2 3"}, inputs=(corrected,))
    cells = made(Level.SINGLE_CELL_PROFILES, {"cells": b"rows"}, inputs=(corrected, masks))
    bulk = made(Level.BULK_PROFILES, {"wells": b"rows"}, inputs=(cells, corrected))
    for artifact in (masks, cells, bulk):
        transfer.deliver(ws, artifact, "nas")
    return {each.level: each for each in (standard, corrected, masks, cells, bulk)}


def on_scratch(ws: Workspace) -> set[Level]:
    """Levels whose folder stands on scratch."""
    copies = ws.catalogue.copies(location="scratch")
    return {ws.catalogue.artifact(each.artifact).level for each in copies if ws.stores["scratch"].exists(each.path)}


def release(made: Make, plate: dict[Level, Artifact]) -> Artifact:
    """What promote makes where the gate passed."""
    return made(Level.RELEASE, {"README.md": b"1.0"}, inputs=(plate[Level.SINGLE_CELL_PROFILES], plate[Level.BULK_PROFILES]))


COMPUTED = {Level.CORRECTED, Level.MASKS, Level.SINGLE_CELL_PROFILES, Level.BULK_PROFILES}


def test_a_sweep_leaves_what_waits_for_the_gate(ws: Workspace, made: Make, plate: dict[Level, Artifact]) -> None:
    """Nothing that was computed goes before the gate passed, the report says why, and afterwards all of it goes."""
    report = sweeping.sweep(ws, dry_run=False)
    assert on_scratch(ws) == COMPUTED
    said = {line.artifact: line.reasons[0] for line in report.kept.lines}
    assert said[plate[Level.CORRECTED].label].startswith("the tables made of it have not passed the gate")
    made_release = release(made, plate)
    for place in ("nas", "backup", "cold"):
        transfer.deliver(ws, made_release, place)
    sweeping.sweep(ws, dry_run=False)
    assert on_scratch(ws) == set()


def test_the_gate_is_set_aside_by_two_people_for_one_dataset(ws: Workspace, plate: dict[Level, Artifact]) -> None:
    """An override that nobody approved keeps everything; approved, it lets go what is covered, whatever the tables are like."""
    asked = overriding.ask(ws, Person("ada", "test"), DATASET, Check.GATE, "the plate is given up", ws.now().date() + dt.timedelta(days=2))
    sweeping.sweep(ws, dry_run=False)
    assert on_scratch(ws) == COMPUTED
    overriding.approve(ws, Person("grace", "test"), asked.id)
    sweeping.sweep(ws, dry_run=False)
    assert on_scratch(ws) == set()
    assert plate


def test_what_is_in_the_trash_comes_back_where_the_release_is_lost(
    ws: Workspace, clock: Any, made: Make, plate: dict[Level, Artifact]
) -> None:
    """Its tables have passed no more once no copy of the release is left: what they were made of is not deleted, but brought back."""
    days = {"after_days": 0, "grace_days": 3, "approval": {"original_stands": "none", "remake": "none"}}
    patient = dataclasses.replace(ws, policy=Policy.model_validate(ws.policy.model_dump() | {"purge": days}))
    release(made, plate)
    sweeping.sweep(patient, dry_run=False)
    assert Level.CORRECTED not in on_scratch(ws)
    for copy in ws.catalogue.copies():
        if "/release@" in copy.artifact:
            ws.catalogue.change_copy(copy.id, state=CopyState.LOST)
    clock.forward(days=4)
    report = sweeping.sweep(patient, dry_run=False)
    assert plate[Level.CORRECTED].label in {line.artifact for line in report.recalled.lines}
    assert Level.CORRECTED in on_scratch(ws)


def test_what_was_accepted_stays_on_its_line_in_the_readme(catalogue: SqlCatalogue, profiled: list[Artifact], stock: Stock) -> None:
    """What a table held and a person wrote makes no heading, link or element beside the table's README."""
    table, released = profiled[3], stock("ff", level=Level.RELEASE, inputs=profiled[3:], places=["nas"])
    hostile = "a\n# Validated\n[here](http://evil.test)<b>"
    accepted = {"table": table.id, "who": hostile, "reason": hostile, "failure": {"says": hostile, "found": hostile}}
    activity = dataclasses.replace(catalogue.activity(released.activity), findings={"gate": [{"accepted": [accepted]}]})
    said = validation.said_of(table, {released: activity})
    assert "\n#" not in said
    assert "](http" not in said.replace("\\]", "")
    assert "<b>" not in said
