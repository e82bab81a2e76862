"""Reprocessing a plate that has lived: planned with its cost, made beside what stays current, compared, and chosen by a person."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from coldchain.choices import currents
from coldchain.copies import Artifact, CopyState
from coldchain.dataset import Dataset
from coldchain.errors import InputError, NotInCatalogue, Refused
from coldchain.levels import Level
from coldchain.reprocessing import Plan
from coldchain.workspace import Workspace
from tasks import comparing, reprocessing
from tasks.planning_reprocess import Wish, wish
from tests.tasks.lived import DATASET, command, living, threshold

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A plate that has lived up to bulk profiles."""
    with living(tmp_path_factory.mktemp("lived")) as ws:
        yield ws


def planned(ws: Workspace, wanted: Wish) -> Plan:
    """The plan for the plate."""
    (found,) = reprocessing.plans(ws, [DATASET], wanted)
    return found


def now(ws: Workspace) -> dict[Level, str]:
    """What is current."""
    return {level: each.id for level, each in currents(ws.history(DATASET)).items()}


def steps(plan: Plan) -> list[tuple[str, str]]:
    """Levels of a plan, and how each comes about."""
    return [(str(step.level), "stands" if step.stands else "again" if step.again else "made") for step in plan.steps]


def test_what_would_be_made_the_same_stands(site: Workspace) -> None:
    """With nothing else wished nothing is to do, and nothing is changed by saying so."""
    before = now(site), len(site.catalogue.choices())
    found = planned(site, wish("segment"))
    assert steps(found) == [("masks", "stands"), ("single_cell_profiles", "stands"), ("bulk_profiles", "stands")]
    assert not found.to_make
    assert (now(site), len(site.catalogue.choices())) == before


def test_a_dry_run_says_what_it_costs_and_on_what_that_rests(site: Workspace) -> None:
    """Each step with time from earlier runs and the space of the present artifact; images of cells that do not stand are left out."""
    done = command(site, "reprocess", "PRJ-0001", "--dataset", "PLATE-REAL", "--from", "measure", "--json")
    assert done.exit_code == 0
    masks = planned(site, wish("segment", settings=["channel=Other"]))
    assert steps(masks) == [("masks", "made"), ("single_cell_profiles", "made"), ("bulk_profiles", "made")]
    assert masks.seconds is not None
    assert "earlier run" in masks.steps[0].estimate.rests_on
    assert masks.steps[0].bytes == site.current(DATASET, Level.MASKS).bytes
    assert masks.steps[0].changes == ("channel DNA → Other",)
    said = json.loads(done.output)
    assert said["done"] == []
    assert said["summary"] == "0 of 1 datasets; 1 stand already"


@pytest.mark.parametrize(
    ("recipe", "model", "settings", "words"),
    [
        ("segment", "", ["chanel=DNA"], "no such parameter"),
        ("correct", "", ["x=1"], "takes no parameters"),
        ("segment", "no-such-model", [], "no such segmentation model"),
        ("crop", "", [], "no current single_cell_images"),
    ],
)
def test_what_cannot_be_is_refused_in_the_plan(site: Workspace, recipe: str, model: str, settings: list[str], words: str) -> None:
    """A misspelt parameter, an unknown model, a level that was never made: the plan says so, and the real run refuses."""
    wanted = wish(recipe, model, settings)
    found = planned(site, wanted)
    assert words in found.refused
    with pytest.raises(Refused):
        reprocessing.carry_out(site, found, wanted)


@pytest.mark.parametrize(("recipe", "settings"), [("promote", []), ("segment", ["channel"]), ("segment", ["=x"])])
def test_wishes_that_mean_nothing_are_refused(recipe: str, settings: list[str]) -> None:
    """No such recipe, no such setting."""
    with pytest.raises(InputError):
        wish(recipe, settings=settings)


def test_settings_are_json_or_text() -> None:
    """Numbers are numbers, and what is no JSON is text."""
    assert wish("segment", settings=["a=0.5", "b=DNA", "c=[1, 2]", "d=x=y"]).parameters == {"a": 0.5, "b": "DNA", "c": [1, 2], "d": "x=y"}


def test_datasets_are_of_the_project(site: Workspace) -> None:
    """All of a project, or those that are named; unknown ones are refused."""
    assert reprocessing.chosen(site, "PRJ-0001", []) == [DATASET]
    for project, names in (("PRJ-0009", []), ("PRJ-0001", ["NONE"])):
        with pytest.raises(NotInCatalogue):
            reprocessing.chosen(site, project, names)


def test_a_dataset_without_standard_is_refused_and_the_others_have_their_turn(site: Workspace) -> None:
    """Nothing was ever made of it: the plan says what to do, the others are planned, and a real run ends with exit code 1."""
    site.catalogue.save_dataset(Dataset(project="PRJ-0001", name="EMPTY", pattern="files"))
    one, two = reprocessing.plans(site, ["PRJ-0001/EMPTY", DATASET], wish("segment"))
    assert "lifecycle" in one.refused
    assert not two.refused
    done = command(site, "reprocess", "PRJ-0001", "--dataset", "EMPTY", "--dataset", "PLATE-REAL", "--run")
    assert done.exit_code == 1
    assert "PRJ-0001/EMPTY" in done.output
    assert "same bytes as what is current" in done.output
    assert site.catalogue.choices() == [], "where nothing is made nothing has to be kept"


def test_what_was_purged_is_made_again_first_and_what_stands_far_is_to_be_recalled(site: Workspace) -> None:
    """Corrected that stands nowhere is planned again as it was; where a copy stands at a place that is not here, it says so."""
    corrected = site.current(DATASET, Level.CORRECTED)
    (copy,) = site.catalogue.copies(artifact=corrected.id)
    wanted = wish("segment", settings=["channel=Other"])
    site.catalogue.change_copy(copy.id, state=CopyState.REMOVED)
    found = planned(site, wanted)
    assert steps(found)[0] == ("corrected", "again")
    assert found.steps[0].again == corrected.id
    far = site.catalogue.start_copy(corrected.id, "somewhere", corrected.folder, site.now())
    site.catalogue.change_copy(far.id, state=CopyState.VERIFIED, verified_at=site.now())
    assert "recall" in planned(site, wanted).refused
    assert "somewhere" in planned(site, wanted).refused
    site.catalogue.change_copy(far.id, state=CopyState.LOST)
    assert "repair" in planned(site, wanted).refused
    site.catalogue.change_copy(far.id, state=CopyState.REMOVED)
    with site.catalogue.writing.begin() as db:  # type: ignore[attr-defined]  # as it was
        db.execute(sa.text("update copy set state = 'verified' where id = :id"), {"id": copy.id})


def test_newer_code_alone_makes_anew_only_where_that_is_wished(site: Workspace) -> None:
    """What an older version made stands, unless people wish it made anew for that alone; what was made by this one stands always."""
    bulk = site.current(DATASET, Level.BULK_PROFILES)
    wanted = wish("aggregate", code=True)
    assert steps(planned(site, wanted)) == [("bulk_profiles", "stands")]
    with site.catalogue.writing.begin() as db:  # type: ignore[attr-defined]  # the catalogue on SQLAlchemy
        set_version = "update activity set body = json_set(body, '$.code_version', :version) where id = :id"
        db.execute(sa.text(set_version), {"id": bulk.activity, "version": "0.0.1"})
    assert steps(planned(site, wish("aggregate"))) == [("bulk_profiles", "stands")]
    found = planned(site, wanted)
    assert steps(found) == [("bulk_profiles", "made")]
    done = reprocessing.carry_out(site, found, wanted)
    assert done.other == {}, "the same bytes are the same artifact"
    assert "same bytes" in comparing.report(site, done)
    assert steps(planned(site, wanted)) == [("bulk_profiles", "stands")], "this version has made it, too"


@pytest.fixture
def plate_map(site: Workspace) -> Iterator[None]:
    """The plate map says otherwise than when bulk profiles were made; afterwards it is as it was."""
    described = site.catalogue.dataset(DATASET)
    site.catalogue.save_dataset(described.model_copy(update={"plate_map": {"A01": {"treatment": "other"}}}))
    yield
    site.catalogue.save_dataset(described)


@pytest.mark.usefixtures("plate_map")
def test_it_is_made_beside_and_a_person_chooses(site: Workspace) -> None:
    """Nothing switches by itself; a second run finds what stands; the comparison is left; who chooses the new one can go back."""
    before, wanted = now(site), wish("aggregate")
    found = planned(site, wanted)
    assert found.steps[0].changes[0].startswith("plate_map")
    done = reprocessing.carry_out(site, found, wanted)
    assert list(done.other) == [Level.BULK_PROFILES]
    assert now(site) == before
    assert steps(planned(site, wanted)) == [("bulk_profiles", "stands")]
    said = comparing.report(site, done)
    page = page_of(site, said)
    assert done.new[Level.BULK_PROFILES].digest[:12] in page
    assert "The masks are the same." in page
    new = done.other[Level.BULK_PROFILES]
    chosen = command(site, "choose", DATASET, "bulk_profiles", new.digest[:12], "--reason", "the map was wrong", "--json")
    assert json.loads(chosen.output)["superseded"] == [before[Level.BULK_PROFILES]]
    assert site.current(DATASET, Level.BULK_PROFILES).id == new.id
    listed = json.loads(command(site, "stale", DATASET, "--json").output)
    assert listed["choices"][-1]["why"] == "the map was wrong"
    assert before[Level.BULK_PROFILES] in {each["artifact"] for each in listed["stale"]}
    old = before[Level.BULK_PROFILES].rpartition("@")[2]
    assert command(site, "choose", DATASET, "bulk_profiles", old, "--reason", "it was not").exit_code == 0
    assert now(site) == before


def page_of(ws: Workspace, said: str) -> str:
    """The report that a line names."""
    name = re.search(r"report: (\S+)", said)
    assert name is not None
    return ws.site.path(name[1]).read_text("utf-8")


def compared(ws: Workspace, new: Artifact) -> str:
    """The report of the first masks against others."""
    old = ws.catalogue.artifacts(DATASET, Level.MASKS)[0]
    return comparing.report(ws, reprocessing.Done(DATASET, {**currents(ws.history(DATASET)), Level.MASKS: old}, {Level.MASKS: new}))


def test_the_report_shows_what_differs_and_stands_alone(site: Workspace) -> None:
    """Counts, fates, charts and outlines of the fields that differ most, in one page that fetches nothing and names no path of here."""
    new = threshold(site, 15, channel="DNA", prob_threshold=0.5)
    said = compared(site, new)
    page = page_of(site, said)
    assert re.search(r"\d+ objects, now \d+, \d+ match", said)
    assert page.count("<svg") == 3
    assert "data:image/png;base64," in page
    assert f"coldchain choose {DATASET} masks {new.digest[:12]}" in page
    assert "prob_threshold nothing → 0.5" in page
    assert "<script" not in page
    assert not re.search(r"(?:src|href)=\"(?!data:)", page)
    assert str(site.site.path(".").resolve()) not in page
    assert str(Path.cwd()) not in page


def test_what_cannot_be_compared_is_noted(site: Workspace) -> None:
    """Where the new masks cannot be read, the report says so and is left all the same."""
    new = threshold(site, 30, prob_threshold=0.7)
    for copy in site.catalogue.copies(artifact=new.id):
        site.catalogue.change_copy(copy.id, state=CopyState.LOST)
    assert "could not be compared" in page_of(site, compared(site, new))


def test_provenance_is_printed_in_each_form(site: Workspace) -> None:
    """README, record, PROV and crate of an artifact, by some digits of it."""
    digits = site.catalogue.artifacts(DATASET, Level.MASKS)[0].digest[:12]
    said = {form: command(site, "provenance", digits, "--format", form).output for form in ("readme", "json", "prov", "crate")}
    assert said["readme"].startswith(f"# {DATASET}: masks")
    assert command(site, "provenance", digits).output == said["readme"]
    parsed: dict[str, Any] = {form: json.loads(text) for form, text in said.items() if form != "readme"}
    assert parsed["json"]["activity"]["name"] == "segment"
    assert len(parsed["prov"]["activity"]) == 4, "up to raw"
    assert "@graph" in parsed["crate"]
    assert command(site, "provenance", "nothing").exit_code == 1


def test_another_segmentation_from_beginning_to_end(site: Workspace) -> None:
    """Masks, cells and bulk profiles by StarDist stand beside those by a threshold, and what is current is what it was; then a choice."""
    threshold(site, 0)  # stands
    old = site.catalogue.artifacts(DATASET, Level.MASKS)[0]
    assert command(site, "choose", DATASET, "masks", old.digest, "--reason", "begin here").exit_code == 0
    before = now(site)
    with site.catalogue.writing.begin() as db:  # type: ignore[attr-defined]  # so that today's weights are other ones
        rename = "update activity set fingerprint = 'older', body = json_set(body, '$.parameters.weights', 'older') where id = :id"
        db.execute(sa.text(rename), {"id": old.activity})
    done = command(site, "reprocess", "PRJ-0001", "--dataset", "PLATE-REAL", "--run", "--json")
    assert done.exit_code == 0, done.output
    assert now(site) == before
    said = json.loads(done.output)
    assert "masks, single_cell_profiles, bulk_profiles made beside the old" in said["done"][0]
    assert page_of(site, said["done"][0]).count("<svg") == 4
    again = command(site, "reprocess", "PRJ-0001", "--dataset", "PLATE-REAL", "--json")
    assert json.loads(again.output)["summary"] == "0 of 1 datasets; 1 stand already"
    new = site.catalogue.artifacts(DATASET, Level.MASKS)[-1]
    assert command(site, "choose", DATASET, "masks", new.digest[:12], "--reason", "rounder").exit_code == 0
    after = now(site)
    assert [level for level in before if after[level] != before[level]] == [Level.MASKS, Level.SINGLE_CELL_PROFILES, Level.BULK_PROFILES]
