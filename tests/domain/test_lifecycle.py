"""What a dataset still needs, for each state it may be in."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import pytest

from coldchain.copies import Artifact, Copy, CopyState
from coldchain.levels import Level
from coldchain.lifecycle import State, Transition, each_needed, remaining
from coldchain.site import Roles

NOW = dt.datetime(2030, 1, 15, tzinfo=dt.UTC)
ROLES = Roles(nas="nas", scratch="scratch", cold="cold", backup="backup")


def artifact(level: Level) -> Artifact:
    """The one artifact of a level."""
    return Artifact("PRJ-0001/PLATE-A", level, str(level).encode().hex().ljust(64, "0")[:64], 1, 1, "how", NOW)


def state(made: dict[str, str]) -> State:
    """A state from `{"raw": "nas cold", "masks": "scratch:copying"}`: levels that were made, and where their copies are."""
    copies = []
    for level, places in made.items():
        for place in places.split():
            name, _, said = place.partition(":")
            copies.append(Copy(len(copies) + 1, artifact(Level(level)).id, name, "p", CopyState(said or "verified"), NOW))
    return State({Level(level): artifact(Level(level)) for level in made}, tuple(copies), ROLES)


INGESTED = {"raw": "nas", "standard": "nas"}
STAGED = {"raw": "nas", "standard": "nas scratch"}
CORRECTED = {**STAGED, "corrected": "scratch"}
SEGMENTED = {**CORRECTED, "masks": "scratch"}
PROFILED = {**SEGMENTED, "single_cell_images": "scratch", "single_cell_profiles": "scratch", "bulk_profiles": "scratch"}
PROMOTED = {**PROFILED, "release": "scratch"}
ARCHIVED = {**PROMOTED, **dict.fromkeys(["masks", "single_cell_profiles", "bulk_profiles", "release"], "scratch nas")}
PRESERVED = {**ARCHIVED, "raw": "nas cold backup", "release": "scratch nas cold backup"}
DONE = {
    "raw": "nas cold backup",
    "standard": "nas scratch:removed",
    "corrected": "scratch:removed",
    "masks": "nas scratch:removed",
    "single_cell_images": "scratch:removed",
    "single_cell_profiles": "nas",
    "bulk_profiles": "nas",
    "release": "nas cold backup",
}

FIRST = {
    "nothing": ({}, "ingest"),
    "raw only": ({"raw": "nas"}, "ingest"),
    "raw that was cut off": ({**INGESTED, "raw": "nas:copying"}, "ingest"),
    "ingested": (INGESTED, "stage"),
    "staging that was cut off": ({**INGESTED, "standard": "nas scratch:copying"}, "stage"),
    "staged": (STAGED, "correct"),
    "correction that was cut off": ({**STAGED, "corrected": "scratch:copying"}, "correct"),
    "corrected": (CORRECTED, "segment"),
    "corrected, and purged before it was used": ({**INGESTED, "corrected": "scratch:removed"}, "stage"),
    "corrected, purged, and staged again": ({**STAGED, "corrected": "scratch:removed"}, "correct"),
    "corrected, in the trash before it was used": ({**STAGED, "corrected": "scratch:trashed"}, "correct"),
    "corrected, and suspect": ({**STAGED, "corrected": "scratch:suspect"}, "segment"),
    "segmented, corrected purged before the profiles": ({**STAGED, "corrected": "scratch:removed", "masks": "nas"}, "correct"),
    "segmented": (SEGMENTED, "profile"),
    "segmentation that was cut off": ({**CORRECTED, "masks": "scratch:copying"}, "segment"),
    "profiled": (PROFILED, "promote"),
    "a profile missing": ({key: value for key, value in PROFILED.items() if key != "bulk_profiles"}, "profile"),
    "promoted": (PROMOTED, "archive"),
    "archived": (ARCHIVED, "preserve"),
    "archived, lost on the NAS": ({**ARCHIVED, "masks": "scratch nas:lost"}, "preserve"),
    "preserved": (PRESERVED, "sweep"),
    "a backup that was cut off": ({**PRESERVED, "raw": "nas cold backup:copying"}, "preserve"),
    "trash to empty": ({**DONE, "standard": "nas scratch:trashed"}, "sweep"),
}


@pytest.mark.parametrize("name", FIRST)
def test_the_first_thing_a_dataset_needs(name: str) -> None:
    """From each state, the next transition is the one that moves it on, and it says why."""
    made, expected = FIRST[name]
    transition, why = remaining(state(made))[0]
    assert transition == expected
    assert why


def test_a_dataset_that_has_everything_needs_nothing() -> None:
    """When all is archived and scratch is empty, nothing is left; what was purged on purpose is not made again."""
    assert remaining(state(DONE)) == []


def test_nothing_needs_everything() -> None:
    """A dataset of which nothing is known needs every transition but the sweep, in their order."""
    assert [transition for transition, _ in remaining(state({}))] == [each for each in Transition if each is not Transition.SWEEP]


def test_reasons_name_what_is_missing() -> None:
    """A reason names levels and places."""
    assert dict(remaining(state({**ARCHIVED, "raw": "nas cold"})))[Transition.PRESERVE] == (
        "no copy of raw at backup, release at cold, release at backup"
    )


def test_a_step_that_does_not_help_is_not_tried_twice() -> None:
    """A state that never changes gives each transition once: the loop ends."""
    assert [transition for transition, _ in each_needed(lambda: state({}))] == [each for each in Transition if each is not Transition.SWEEP]


def test_the_state_is_looked_at_after_each_step() -> None:
    """What one step did decides the next: everything is done in one pass, and a second pass does nothing."""
    states: Iterator[dict[str, str]] = iter([{}, INGESTED, STAGED, CORRECTED, SEGMENTED, PROFILED, PROMOTED, ARCHIVED, PRESERVED, DONE])
    done = [transition for transition, _ in each_needed(lambda: state(next(states)))]
    assert done == list(Transition)
    assert list(each_needed(lambda: state(DONE))) == []
