"""What is stale against what, and why."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import pytest

from coldchain.choices import Choice, History, Making
from coldchain.copies import Artifact
from coldchain.levels import Level
from coldchain.provenance import Activity
from coldchain.staleness import Ground, Reason, Stale, Today, stale

DATASET = "PRJ-0001/PLATE-A"
THEN = dt.datetime(2030, 1, 15, 12, tzinfo=dt.UTC)


def artifact(level: Level, digest: str) -> Artifact:
    """An artifact; newer digests come later in the alphabet."""
    return Artifact(DATASET, level, digest.ljust(64, "0"), 1, 1, f"made-{level}-{digest}", THEN)


def making(made: Artifact, *inputs: Artifact, code: str = "1.0", way: str = "", **parameters: Any) -> Making:
    """How an artifact was made."""
    names = tuple(each.id for each in inputs)
    return Making(made.id, Activity(made.activity + way, "step", "f", names, parameters, code, "l", "ada@lab", THEN, THEN))


RAW, CORRECTED = artifact(Level.RAW, "a0"), artifact(Level.CORRECTED, "c0")
OLD, NEW = artifact(Level.MASKS, "d0"), artifact(Level.MASKS, "d1")
CELLS = artifact(Level.SINGLE_CELL_PROFILES, "e0")
BEGIN = [making(RAW), making(CORRECTED, RAW)]


def judged(history: History, today: Mapping[str, Mapping[str, Any]] | None = None, code: str = "1.0") -> dict[Artifact, Stale]:
    """What is stale, by its artifact."""
    return {each.artifact: each for each in stale(history, Today(code, today or {}))}


def test_what_is_made_of_what_is_current_is_not_stale() -> None:
    """A plate that was made once is not stale."""
    assert judged(History([RAW, CORRECTED, OLD, CELLS], [*BEGIN, making(OLD, CORRECTED), making(CELLS, CORRECTED, OLD)])) == {}


def test_an_input_that_is_not_current_is_a_reason() -> None:
    """Profiles of the old masks are stale once there are newer ones, and the reason names both; the old masks themselves are not."""
    history = History(
        [RAW, CORRECTED, OLD, CELLS, NEW], [*BEGIN, making(OLD, CORRECTED), making(NEW, CORRECTED), making(CELLS, CORRECTED, OLD)]
    )
    (found,) = judged(history).values()
    assert (found.artifact, found.current, found.alarming) == (CELLS, False, True)
    assert found.reasons == (Reason(Ground.INPUT, f"masks {OLD.digest[:12]} is not current, {NEW.digest[:12]} is"),)
    chosen = Choice(DATASET, Level.MASKS, OLD.id, "ada", "rounder", THEN)
    assert judged(History(history.artifacts, history.makings, [chosen])) == {}


@pytest.mark.parametrize(
    ("then", "now", "ground", "said"),
    [
        ({"channel": "DNA"}, {"channel": "RNA"}, Ground.PARAMETERS, 'channel was "DNA", today "RNA"'),
        ({}, {"features": "full"}, Ground.PARAMETERS, 'features was null, today "full"'),
        ({"weights": "aa"}, {"weights": "bb"}, Ground.MODEL, 'weights was "aa", today "bb"'),
        ({"embedder_weights": "aa"}, {"embedder_weights": "bb"}, Ground.MODEL, 'embedder_weights was "aa", today "bb"'),
    ],
)
def test_other_parameters_and_other_weights_are_reasons(then: Any, now: Any, ground: Ground, said: str) -> None:
    """A parameter or a model that would be another one today makes an artifact stale, and the reason says both."""
    history = History([RAW, CORRECTED, OLD], [*BEGIN, making(OLD, CORRECTED, **then)])
    assert judged(history, {OLD.activity: now})[OLD].reasons == (Reason(ground, said),)


def test_parameters_are_compared_as_they_are_recorded() -> None:
    """What JSON writes alike is alike: numbers as keys, tuples; for which code a step was made anew does not count."""
    history = History([RAW, CORRECTED], [making(RAW), making(CORRECTED, RAW, channels={"1": "DNA"}, size=[1, 2], code_version="1.0")])
    assert judged(history, {CORRECTED.activity: {"channels": {1: "DNA"}, "size": (1, 2)}}) == {}


def test_another_version_of_the_code_is_said_and_is_no_alarm() -> None:
    """What an older version made is reported as that, and as nothing worse; raw data is of no version."""
    found = judged(History([RAW, CORRECTED], BEGIN), code="2.0")
    assert list(found) == [CORRECTED]
    assert found[CORRECTED].reasons == (Reason(Ground.CODE, "made by 1.0, today 2.0"),)
    assert not found[CORRECTED].alarming


def test_the_best_way_of_several_counts() -> None:
    """Bytes that today's code made again, too, are not stale."""
    ways = [making(CORRECTED, RAW, way="-1"), making(CORRECTED, RAW, code="2.0", way="-2")]
    assert judged(History([RAW, CORRECTED], [making(RAW), *ways]), code="2.0") == {}
