"""What a reprocessing would make, and what it would cost."""

from __future__ import annotations

import datetime as dt
import typing
from dataclasses import dataclass
from typing import Any

import pytest

from coldchain.copies import Artifact
from coldchain.forms_reprocess import ReprocessForm, Start
from coldchain.levels import Level
from coldchain.provenance import Activity
from coldchain.reprocessing import Estimate, Plan, Planned, Run, duration, estimate, following, sizes_of, summary

THEN = dt.datetime(2030, 1, 15, 12, tzinfo=dt.UTC)


@dataclass(frozen=True)
class Rule:
    """A recipe without its work."""

    name: str
    makes: Level
    of: tuple[Level, ...]


CORRECT = Rule("correct", Level.CORRECTED, (Level.STANDARD,))
SEGMENT = Rule("segment", Level.MASKS, (Level.CORRECTED,))
CROP = Rule("crop", Level.SINGLE_CELL_IMAGES, (Level.CORRECTED, Level.MASKS))
MEASURE = Rule("measure", Level.SINGLE_CELL_PROFILES, (Level.CORRECTED, Level.MASKS))
AGGREGATE = Rule("aggregate", Level.BULK_PROFILES, (Level.SINGLE_CELL_PROFILES, Level.CORRECTED))
RULES = [AGGREGATE, MEASURE, CROP, SEGMENT, CORRECT]


@pytest.mark.parametrize(
    ("first", "names"),
    [
        (CORRECT, ["correct", "segment", "crop", "measure", "aggregate"]),
        (SEGMENT, ["segment", "crop", "measure", "aggregate"]),
        (MEASURE, ["measure", "aggregate"]),
        (CROP, ["crop"]),
        (AGGREGATE, ["aggregate"]),
    ],
)
def test_what_follows_from_a_recipe(first: Rule, names: list[str]) -> None:
    """Whatever works on what it makes follows, in the order of the levels, in whatever order they are told."""
    assert [rule.name for rule in following(RULES, first)] == names


def run(seconds: float, recipe: str = "segment", model: str = "a", **sizes: float) -> Run:
    """An earlier run."""
    return Run("PRJ-0001/D", recipe, model, seconds, sizes)


def test_time_is_scaled_from_earlier_runs() -> None:
    """The median of seconds a field, times the fields there are; what it rests on is said."""
    runs = [run(10, fields=10), run(30, fields=10), run(20, fields=10), run(999, recipe="measure", fields=10)]
    found = estimate(runs, "segment", "a", Level.MASKS, {"fields": 20})
    assert found == Estimate(40.0, "3 earlier runs: 2 s a field (1 to 3)")


def test_the_best_unit_that_both_know_is_taken() -> None:
    """Megapixels before fields; cells for profiles; megabytes where nothing else is known; nothing where nothing is."""
    runs = [run(10, fields=10, megapixels=5, megabytes=1)]
    assert "megapixel" in estimate(runs, "segment", "a", Level.MASKS, {"fields": 1, "megapixels": 1}).rests_on
    assert "a field" in estimate(runs, "segment", "a", Level.MASKS, {"fields": 1, "cells": 3}).rests_on
    assert "megabyte" in estimate(runs, "segment", "a", Level.MASKS, {"megabytes": 1}).rests_on
    assert estimate(runs, "segment", "a", Level.MASKS, {}) == Estimate(None, "nothing to scale earlier runs by")
    assert estimate([], "segment", "a", Level.MASKS, {"fields": 1}) == Estimate(None, "never made here before")


def test_runs_with_the_same_model_are_preferred() -> None:
    """A slow model says nothing of a fast one; where only another one ran, that is said."""
    runs = [run(10, fields=10), run(100, model="b", fields=10)]
    assert estimate(runs, "segment", "a", Level.MASKS, {"fields": 10}).seconds == 10
    other = estimate(runs[1:], "segment", "a", Level.MASKS, {"fields": 10})
    assert other.seconds == 100
    assert "by b" in other.rests_on


def test_runs_of_about_as_much_work_are_preferred() -> None:
    """One field that took a minute, because workers started, says little of a thousand; alone it is better than nothing."""
    runs = [run(60, fields=1), run(500, fields=1000)]
    assert estimate(runs, "segment", "a", Level.MASKS, {"fields": 2000}).seconds == 1000
    assert estimate(runs[:1], "segment", "a", Level.MASKS, {"fields": 2000}).seconds == 120_000


def made(level: Level, size: int, **findings: Any) -> tuple[Artifact, Activity]:
    """An artifact and what the step that made it found."""
    artifact = Artifact("PRJ-0001/D", level, "a" * 64, 1, size, "act", THEN)
    return artifact, Activity("act", "step", "f", (), {}, "1", "l", "ada", THEN, THEN, findings=findings)


def test_work_is_read_out_of_what_steps_found() -> None:
    """Megapixels from the planes, fields from wells and sites or from the list of fields, cells from the objects; the nearest says it."""
    standard = made(Level.STANDARD, 5_000_000, planes=8, shape=[1000, 500], wells=["A01", "A02"], fields=[1, 2])
    masks = made(Level.MASKS, 1_000_000, fields=[{"well": "A01"}, {"well": "A02"}], objects=70)
    assert sizes_of([standard]) == {"megabytes": 5.0, "megapixels": 4.0, "fields": 4.0}
    assert sizes_of([standard, masks]) == {"megabytes": 1.0, "megapixels": 4.0, "fields": 2.0, "cells": 70.0}
    assert sizes_of([made(Level.RAW, 0, planes="many", shape="x", fields=None, objects=None)]) == {}


def planned(seconds: float | None = 10.0, size: int | None = 1_000_000, stands: str = "") -> Planned:
    """A step of a plan."""
    return Planned("segment", Level.MASKS, {}, stands=stands, estimate=Estimate(seconds, ""), bytes=size)


def test_plans_are_summed_up() -> None:
    """Time and space of what has to be made, what stands, what cannot be, and space that is lacking."""
    plans = [
        Plan("D1", (planned(), planned(stands="x"))),
        Plan("D2", (planned(stands="x"),)),
        Plan("D3", refused="no copy can be read"),
    ]
    assert summary(plans, 10**9) == "1 of 3 datasets; 10 s, 1.0 MB; 1 stand already; 1 cannot be: D3"
    assert "only 0.5 MB are free" in summary(plans, 500_000)
    assert "free" not in summary(plans, None)
    unknown = [Plan("D1", (planned(), planned(seconds=None, size=None)))]
    assert unknown[0].seconds is None
    assert summary(unknown, None) == "1 of 1 datasets; at least 0 s, more than 1.0 MB"


@pytest.mark.parametrize(("seconds", "said"), [(None, "unknown"), (3.2, "3 s"), (300, "5 min"), (9000, "2.5 h")])
def test_durations_are_said_as_people_say_them(seconds: float | None, said: str) -> None:
    """Seconds, minutes or hours."""
    assert duration(seconds) == said


def test_the_form_offers_the_recipes_that_there_are() -> None:
    """Every level that is made can be begun with, by the recipe that makes it of a plate; without being told otherwise nothing is made."""
    from tasks.recipes import RECIPES

    assert {RECIPES[name].makes for name in typing.get_args(Start)} == {recipe.makes for recipe in RECIPES.values()}
    assert ReprocessForm(project="PRJ-0001").dry_run is True
