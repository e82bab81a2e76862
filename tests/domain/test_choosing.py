"""Which artifact is current: what a person chose, else the newest, and always of what is current itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import sqlalchemy as sa

from coldchain import choosing, retention
from coldchain.approvers import Person
from coldchain.choices import currents, in_force
from coldchain.copies import Artifact, CopyState
from coldchain.errors import InputError, NotInCatalogue, Refused
from coldchain.levels import Level
from coldchain.sql import tables
from coldchain.sql.catalogue import SqlCatalogue
from coldchain.workspace import Workspace

ADA = Person("ada", "command line, uid 7 ada@lab")
DATASET = "PRJ-0001/PLATE-A"


@dataclass
class Twice:
    """A plate that was segmented twice, and profiled after each time."""

    corrected: Artifact
    old_masks: Artifact
    old_cells: Artifact
    new_masks: Artifact
    new_cells: Artifact


@pytest.fixture
def twice(made: Callable[..., Artifact], clock: Callable[[], object]) -> Twice:
    """A plate that was segmented twice, and profiled after each time."""
    standard = made(Level.STANDARD, {"a": b"1"}, at="nas")
    corrected = made(Level.CORRECTED, {"b": b"2"}, inputs=(standard,))
    found = []
    for turn in (b"old", b"new"):
        clock.forward(hours=1)  # type: ignore[attr-defined]  # the fixture's own clock
        masks = made(Level.MASKS, {"m": turn}, inputs=(corrected,)) if turn == b"old" else _other(made, corrected)
        found += [masks, made(Level.SINGLE_CELL_PROFILES, {"p": turn}, inputs=(corrected, masks))]
    return Twice(corrected, *found)


def _other(made: Callable[..., Artifact], corrected: Artifact) -> Artifact:
    """Masks of another step: the fixture's steps have no parameters, so the inputs are said twice."""
    return made(Level.MASKS, {"m": b"new"}, inputs=(corrected, corrected))


def now(ws: Workspace) -> dict[Level, str]:
    """Ids of what is current."""
    return {level: artifact.id for level, artifact in currents(ws.history(DATASET)).items()}


def test_the_newest_is_current_until_somebody_chooses(ws: Workspace, twice: Twice) -> None:
    """Without a choice the newest masks are current, and the profiles that were made of them."""
    assert now(ws)[Level.MASKS] == twice.new_masks.id
    assert ws.current(DATASET, Level.SINGLE_CELL_PROFILES) == twice.new_cells


def test_a_choice_carries_what_was_made_of_it(ws: Workspace, twice: Twice) -> None:
    """Who chooses the old masks gets the profiles of the old masks, is told what is not current any more, and can change back."""
    chosen = choosing.choose(ws, ADA, DATASET, Level.MASKS, twice.old_masks.digest[:12], "rounder nuclei")
    assert ws.current(DATASET, Level.MASKS) == twice.old_masks
    assert ws.current(DATASET, Level.SINGLE_CELL_PROFILES) == twice.old_cells
    assert chosen.superseded == [twice.new_masks, twice.new_cells]
    assert twice.new_cells.label in str(chosen)
    choosing.choose(ws, ADA, DATASET, Level.MASKS, choosing.NEWEST, "no, they are not")
    assert ws.current(DATASET, Level.SINGLE_CELL_PROFILES) == twice.new_cells


def test_a_choice_carries_what_it_was_made_of(ws: Workspace, twice: Twice) -> None:
    """Who chooses the old profiles chooses the old masks with them: what is current is made of what is current."""
    chosen = choosing.choose(ws, ADA, DATASET, Level.SINGLE_CELL_PROFILES, twice.old_cells.digest, "as published")
    assert [choice.level for choice in chosen.choices] == [Level.MASKS, Level.SINGLE_CELL_PROFILES]
    assert ws.current(DATASET, Level.MASKS) == twice.old_masks
    assert "as published" in chosen.choices[0].why


def test_what_was_not_made_of_the_current_parents_is_not_current(ws: Workspace, twice: Twice, made: Callable[..., Artifact]) -> None:
    """Bulk profiles of the new cells are none of the old ones: after the choice they have to be made, and the error says what there is."""
    bulk = made(Level.BULK_PROFILES, {"w": b"1"}, inputs=(twice.new_cells,))
    assert ws.current(DATASET, Level.BULK_PROFILES) == bulk
    chosen = choosing.choose(ws, ADA, DATASET, Level.MASKS, twice.old_masks.digest, "rounder")
    assert chosen.to_make == (Level.BULK_PROFILES,)
    with pytest.raises(NotInCatalogue, match=f"not made yet of what is current[\\s\\S]*{bulk.label}"):
        ws.current(DATASET, Level.BULK_PROFILES)


def test_the_same_bytes_made_in_two_ways_are_current_by_either(ws: Workspace, twice: Twice, made: Callable[..., Artifact]) -> None:
    """Bulk profiles that came out alike from old and new cells are current whichever cells are."""
    bulk = made(Level.BULK_PROFILES, {"w": b"1"}, inputs=(twice.old_cells,))
    assert made(Level.BULK_PROFILES, {"w": b"1"}, inputs=(twice.new_cells,)).id == bulk.id
    assert ws.current(DATASET, Level.BULK_PROFILES) == bulk
    assert choosing.choose(ws, ADA, DATASET, Level.MASKS, twice.old_masks.digest, "rounder").to_make == ()
    assert ws.current(DATASET, Level.BULK_PROFILES) == bulk


def test_what_is_pinned_does_not_switch(ws: Workspace, twice: Twice, made: Callable[..., Artifact]) -> None:
    """After a pin newer masks are made beside, and nothing switches; a second pin says nothing new."""
    choosing.pin(ws, DATASET, [Level.MASKS, Level.RELEASE], "ada", "before a reprocessing", "test")
    before = now(ws)
    newer = made(Level.MASKS, {"m": b"newer"}, inputs=(twice.corrected,) * 3)
    made(Level.SINGLE_CELL_PROFILES, {"p": b"newer"}, inputs=(twice.corrected, newer))
    assert now(ws) == before
    assert choosing.pin(ws, DATASET, [Level.MASKS], "ada", "again", "test").choices == ()


def test_a_choice_waits_while_what_it_was_made_of_is_not_current(ws: Workspace, twice: Twice) -> None:
    """A choice of the new cells holds, does not hold while the old masks are chosen, and holds again afterwards."""
    choosing.choose(ws, ADA, DATASET, Level.SINGLE_CELL_PROFILES, twice.new_cells.digest, "nicer")
    choosing.choose(ws, ADA, DATASET, Level.MASKS, twice.old_masks.digest, "rounder")
    assert [choice.level for choice in in_force(ws.history(DATASET))] == [Level.MASKS]
    choosing.choose(ws, ADA, DATASET, Level.MASKS, twice.new_masks.digest, "no")
    assert len(in_force(ws.history(DATASET))) == 2
    assert ws.current(DATASET, Level.SINGLE_CELL_PROFILES) == twice.new_cells


def test_each_choice_is_kept_and_has_a_receipt(ws: Workspace, twice: Twice) -> None:
    """Choices are only added; each leaves a receipt that says who, how and why."""
    choosing.choose(ws, ADA, DATASET, Level.MASKS, twice.old_masks.digest[:12], "one")
    assert choosing.choose(ws, ADA, DATASET, Level.MASKS, twice.old_masks.digest[:12], "one").choices == ()
    choosing.choose(ws, ADA, DATASET, Level.MASKS, twice.new_masks.digest[:12], "two")
    assert [choice.why for choice in ws.catalogue.choices(DATASET)] == ["one", "two"]
    said = ws.catalogue.receipts("choice")
    assert [(each["reason"], each["who"], each["how"]) for each in said] == [("one", "ada", ADA.how), ("two", "ada", ADA.how)]
    assert said[0]["artifact"] == twice.old_masks.id


@pytest.mark.parametrize("which", ["", "zzzzzz", "ab", "*", "' or 1=1 --", "../../etc", "f" * 64, "%", "\x00" * 12])
def test_digits_that_name_nothing_are_refused(ws: Workspace, twice: Twice, which: str) -> None:
    """Digits that name no artifact change nothing, and the error lists those that there are."""
    with pytest.raises(InputError, match=twice.old_masks.digest[:12]):
        choosing.choose(ws, ADA, DATASET, Level.MASKS, which, "why")
    with pytest.raises(NotInCatalogue):
        choosing.find_anywhere(ws, which)
    assert ws.catalogue.choices() == []


def test_a_choice_needs_a_reason_and_a_copy(ws: Workspace, twice: Twice) -> None:
    """Without a reason, for an unknown dataset, or of what no verified copy stands of, nothing is chosen."""
    with pytest.raises(InputError, match="why"):
        choosing.choose(ws, ADA, DATASET, Level.MASKS, twice.old_masks.digest, "  ")
    with pytest.raises(NotInCatalogue):
        choosing.choose(ws, ADA, "PRJ-0009/NONE", Level.MASKS, twice.old_masks.digest, "why")
    for copy in ws.catalogue.copies(artifact=twice.old_masks.id):
        ws.catalogue.change_copy(copy.id, state=CopyState.LOST)
    with pytest.raises(Refused, match="no verified copy"):
        choosing.choose(ws, ADA, DATASET, Level.MASKS, twice.old_masks.digest, "why")


def test_an_artifact_is_found_by_its_id_its_label_or_some_digits(ws: Workspace, twice: Twice) -> None:
    """Whichever of its names is given, it is found; digits of none are not."""
    for name in (twice.old_masks.id, twice.old_masks.label, twice.old_masks.digest[:8], f"masks@{twice.old_masks.digest[:8]}"):
        assert choosing.find_anywhere(ws, name) == twice.old_masks
    with pytest.raises(NotInCatalogue):
        choosing.find_anywhere(ws, f"raw@{twice.old_masks.digest[:12]}")


def test_what_is_chosen_is_current_though_its_masks_came_out_of_two_images(ws: Workspace, made: Callable[..., Artifact]) -> None:
    """The same masks were made of two corrections: choosing cells of the second makes these current, and not those of the first."""
    standard = made(Level.STANDARD, {"a": b"1"}, at="nas")
    for turn in (b"1", b"2"):
        corrected = made(Level.CORRECTED, {"c": turn}, inputs=(standard,) * int(turn))
        masks = made(Level.MASKS, {"m": b"same"}, inputs=(corrected,))
        cells = made(Level.SINGLE_CELL_PROFILES, {"p": turn}, inputs=(corrected, masks))
    made(Level.CORRECTED, {"c": b"3"}, inputs=(standard,) * 3)
    chosen = choosing.choose(ws, ADA, DATASET, Level.SINGLE_CELL_PROFILES, cells.digest, "as published")
    assert now(ws)[Level.SINGLE_CELL_PROFILES] == cells.id
    assert [choice.level for choice in chosen.choices] == [Level.CORRECTED, Level.MASKS, Level.SINGLE_CELL_PROFILES]


def test_retention_does_not_ask_what_is_current(ws: Workspace, twice: Twice) -> None:
    """What may go is the same before and after a choice: an older artifact is protected as a current one is."""
    before = retention.plan(ws.ledger(), ws.policy, ws.now())
    choosing.choose(ws, ADA, DATASET, Level.MASKS, twice.old_masks.digest, "rounder")
    assert retention.plan(ws.ledger(), ws.policy, ws.now()).decisions == before.decisions


def test_every_dataset_is_read_at_once(ws: Workspace, twice: Twice) -> None:
    """The histories of all datasets are those of each."""
    choosing.choose(ws, ADA, DATASET, Level.MASKS, twice.old_masks.digest, "rounder")
    assert currents(ws.histories()[DATASET]) == currents(ws.history(DATASET))


@pytest.mark.parametrize("statement", ["update choice set who = 'eve'", "delete from choice"])
def test_the_database_refuses_to_change_a_choice(catalogue: SqlCatalogue, stock: Callable[..., Artifact], statement: str) -> None:
    """Choices are only added, on each kind of database."""
    from coldchain.choices import Choice

    artifact = stock("ab")
    choice = Choice(DATASET, artifact.level, artifact.id, "ada", "why", artifact.made_at)
    catalogue.choose([choice], "test")
    catalogue.choose([Choice(DATASET, artifact.level, "", "ada", "newest", artifact.made_at)], "test")
    with pytest.raises(sa.exc.IntegrityError, match="never changed"), catalogue.writing.begin() as db:
        db.execute(sa.text(statement))
    assert [each.artifact for each in catalogue.choices(DATASET)] == [artifact.id, ""]
    assert catalogue.choices()[0] == choice
    with catalogue.engine.connect() as db:
        assert db.scalar(sa.select(sa.func.count()).select_from(tables.choice)) == 2
