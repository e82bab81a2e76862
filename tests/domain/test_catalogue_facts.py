"""What the catalogue knows of some datasets."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from coldchain.copies import Artifact, CopyState
from coldchain.dataset import Dataset, Project
from coldchain.holds import Use
from coldchain.levels import Level
from coldchain.overrides import Check
from coldchain.policy import Ground
from coldchain.provenance import Activity
from coldchain.sql import tables
from coldchain.sql.catalogue import SqlCatalogue

NOW = dt.datetime(2030, 6, 1, 12, tzinfo=dt.UTC)
Stock = Callable[..., Artifact]
Fill = Callable[[int, int, int], list[str]]


def labels(*artifacts: Artifact) -> set[str]:
    """Ids of artifacts."""
    return {artifact.id for artifact in artifacts}


@pytest.fixture
def chain(stock: Stock) -> list[Artifact]:
    """Four artifacts, each in a dataset of its own and made from the one before, and a stranger in the first one's project."""
    found: list[Artifact] = []
    for number, digest in enumerate(["aa", "bb", "cc", "dd"]):
        found.append(stock(digest, dataset=f"PRJ-000{number + 1}/PLATE", inputs=found[-1:]))
    return [*found, stock("ee", dataset="PRJ-0001/STRANGER")]


def test_facts_reach_up_and_down_through_all_that_was_made(catalogue: SqlCatalogue, chain: list[Artifact]) -> None:
    """With what a dataset is made from and what is made from it, step by step, and nothing else."""
    top, second, third, bottom, stranger = chain
    facts = catalogue.facts([second.dataset], NOW)
    assert set(facts.artifacts) == labels(top, second, third, bottom)
    assert {copy.artifact for copy in facts.copies} == labels(top, second, third, bottom)
    assert set(facts.activities) == {each.activity for each in (top, second, third, bottom)}
    assert facts.activities[third.activity].inputs == (second.id,)
    assert set(facts.projects) == {"PRJ-0001", "PRJ-0002", "PRJ-0003", "PRJ-0004"}
    assert set(catalogue.facts([stranger.dataset], NOW).artifacts) == labels(stranger)


def test_facts_are_what_the_other_questions_answer(catalogue: SqlCatalogue, chain: list[Artifact]) -> None:
    """Artifacts, copies and activities come as they do one by one."""
    facts = catalogue.facts([chain[0].dataset], NOW)
    assert list(facts.artifacts.values()) == chain[:4]
    assert list(facts.copies) == [copy for artifact in chain[:4] for copy in catalogue.copies(artifact=artifact.id)]
    assert facts.activities == {artifact.activity: catalogue.activity(artifact.activity) for artifact in chain[:4]}
    assert facts.projects["PRJ-0002"] == catalogue.project("PRJ-0002")


def test_what_is_made_from_the_same_is_not_asked_for(catalogue: SqlCatalogue, stock: Stock) -> None:
    """Up, and down, but not up and down again: a sister hangs on the parent as it is."""
    parent = stock("aa", dataset="PRJ-0001/PARENT")
    one, sister = (stock(digest, dataset=f"PRJ-0001/{digest}", inputs=[parent]) for digest in ("bb", "cc"))
    assert set(catalogue.facts([one.dataset], NOW).artifacts) == labels(parent, one)
    assert set(catalogue.facts([parent.dataset], NOW).artifacts) == labels(parent, one, sister)


def test_a_circle_has_an_end(catalogue: SqlCatalogue, stock: Stock) -> None:
    """Two artifacts that claim to be made from each other are found once each."""
    one = stock("aa")
    two = stock("bb", inputs=[one])
    with catalogue.writing.begin() as db:
        db.execute(sa.insert(tables.input_).values(activity_id=one.activity, artifact_id=2))
    assert set(catalogue.facts([one.dataset], NOW).artifacts) == labels(one, two)


def test_inputs_that_are_no_artifacts_stay_in_the_activity(catalogue: SqlCatalogue) -> None:
    """They are told, and looked for nowhere."""
    made = Artifact("PRJ-0001/PLATE-A", Level.RAW, "ab" * 32, 1, 1, "a1", NOW)
    activity = Activity("a1", "ingest", "f", ("a disk", "PRJ-0001/PLATE-A/raw@nothing"), {}, "0", "l", "ada", NOW, NOW)
    catalogue.record(activity, made, "nas", NOW)
    assert catalogue.facts([made.dataset], NOW).activities["a1"].inputs == activity.inputs
    with catalogue.engine.connect() as db:
        assert db.execute(sa.select(tables.input_)).all() == []


def test_removed_copies_are_left_out(catalogue: SqlCatalogue, stock: Stock) -> None:
    """Every other state is told."""
    artifact = stock("aa", places=[str(state) for state in CopyState])
    for copy in catalogue.copies():
        catalogue.change_copy(copy.id, state=CopyState(copy.location))
    states = {copy.state for copy in catalogue.facts([artifact.dataset], NOW).copies}
    assert states == set(CopyState) - {CopyState.REMOVED}


def test_facts_tell_who_and_what_keeps_them(catalogue: SqlCatalogue, chain: list[Artifact]) -> None:
    """Holds, overrides, open proposals and demand of everything around, and of nothing else."""
    top, second, third, _, stranger = chain
    for artifact in (top, third, stranger):
        catalogue.add_hold(artifact.dataset, "r", "ada", NOW.date())
        catalogue.add_override(artifact.dataset, Check.COPIES, "r", "ada", NOW.date(), NOW)
        catalogue.asked([artifact.id], NOW)
        catalogue.propose([(catalogue.copies(artifact=artifact.id)[0].id, Ground.REMAKE)], "p", NOW)
    catalogue.end_hold(catalogue.add_hold(second.dataset, "ended", "ada", NOW.date()).id)
    catalogue.end_override(catalogue.add_override(second.dataset, Check.MEDIA, "ended", "ada", NOW.date(), NOW).id)
    facts = catalogue.facts([second.dataset], NOW)
    assert [hold.dataset for hold in facts.holds] == [top.dataset, third.dataset]
    assert [override.dataset for override in facts.overrides] == [top.dataset, third.dataset]
    assert facts.asked_for == {top.id: NOW, third.id: NOW}
    assert [each.copy for each in facts.proposals] == [catalogue.copies(artifact=each.id)[0].id for each in (top, third)]


def test_facts_tell_the_leases_that_live(catalogue: SqlCatalogue, chain: list[Artifact]) -> None:
    """Those on artifacts around, that have not ended and whose holders live."""
    top, second, third, _, stranger = chain
    ended = {"scope": third.id, "use": "alone", "holder": "other/1/1/x", "until": NOW}
    boot = next(iter(_holder(catalogue).split("/")))
    dead = ended | {"holder": f"{boot}/{2**22 + 1}/1/x", "until": NOW + dt.timedelta(days=1)}
    with catalogue.writing.begin() as db:
        db.execute(sa.insert(tables.lease), [ended, dead])
    with catalogue.lease([top.id, stranger.id, f"{second.id} at nas"], Use.READ, NOW):
        assert [lease.scope for lease in catalogue.facts([second.dataset], NOW).leases] == [top.id]


def _holder(catalogue: SqlCatalogue) -> str:
    with catalogue.lease(["x"], Use.READ, NOW) as holder:
        return holder


def test_facts_of_a_dataset_without_artifacts(catalogue: SqlCatalogue) -> None:
    """Its project and its holds are known all the same; what is not there has no facts."""
    catalogue.add_hold("PRJ-0001/PLATE-A", "r", "ada", NOW.date())
    facts = catalogue.facts(["PRJ-0001/PLATE-A", "PRJ-0009/NONE"], NOW)
    assert (set(facts.projects), len(facts.holds), facts.artifacts, facts.copies) == ({"PRJ-0001"}, 1, {}, ())
    assert catalogue.facts([], NOW).projects == {}


def test_facts_of_more_datasets_than_a_query_has_parameters(catalogue: SqlCatalogue, stock: Stock) -> None:
    """Seventy thousand names are one parameter."""
    artifact = stock("aa")
    names = [artifact.dataset, *(f"PRJ-0001/D{number}" for number in range(70_000))]
    assert set(catalogue.facts(names, NOW).artifacts) == labels(artifact)


def questions(catalogue: SqlCatalogue, datasets: list[str]) -> int:
    """How many questions the database is asked for the facts of some datasets."""
    asked: list[str] = []
    listen = (catalogue.engine, "before_cursor_execute", lambda *parts: asked.append(parts[2]))
    sa.event.listen(*listen)
    catalogue.facts(datasets, NOW)
    sa.event.remove(*listen)
    return len(asked)


def test_facts_ask_as_many_questions_whatever_there_is(catalogue: SqlCatalogue, fill: Fill) -> None:
    """As many for forty datasets as for one."""
    names = fill(40, 10, 4)
    assert questions(catalogue, names[:1]) == questions(catalogue, names)


def test_facts_of_two_hundred_datasets_come_at_once(catalogue: SqlCatalogue, fill: Fill) -> None:
    """Twenty thousand copies cost well under a second of our own time, however loaded the machine is."""
    names = fill(200, 25, 4)
    catalogue.facts(names[:1], NOW)
    begun = time.process_time()
    facts = catalogue.facts(names, NOW)
    took = time.process_time() - begun
    assert (len(facts.copies), len(facts.artifacts)) == (20_000, 5_000)
    assert took < 2, f"{took:.2f} s on {catalogue.engine.dialect.name}"


def test_facts_are_of_one_moment(catalogue: SqlCatalogue, stock: Stock) -> None:
    """What changes while they are gathered is in all of them or in none."""
    artifact = stock("aa")
    other = SqlCatalogue(catalogue.url)
    changed: list[str] = []

    def meanwhile(*parts: object) -> None:
        if "FROM copy" in str(parts[2]) and not changed:
            changed.append("now")
            copy = other.copies(artifact=artifact.id)[0].id
            other.change_copy(copy, state=CopyState.SUSPECT)
            other.add_hold(artifact.dataset, "r", "ada", NOW.date())

    sa.event.listen(catalogue.engine, "before_cursor_execute", meanwhile)
    facts = catalogue.facts([artifact.dataset], NOW)
    sa.event.remove(catalogue.engine, "before_cursor_execute", meanwhile)
    other.close()
    assert changed
    assert ([copy.state for copy in facts.copies], facts.holds) == ([CopyState.VERIFIED], ())


def test_a_dataset_among_many_is_found_without_reading_all(catalogue: SqlCatalogue, fill: Fill) -> None:
    """One project or dataset is one row; an unknown one is told with some of the names there are, not with all."""
    fill(40, 2, 1)
    catalogue.save_dataset(Dataset(project="PRJ-0001", name="NEW", pattern="plain", channels={1: "DNA"}))
    assert catalogue.dataset("PRJ-0001/NEW").name == "NEW"
    catalogue.save_project(Project(id="PRJ-0002", title="Two"))
    assert catalogue.project("PRJ-0002").title == "Two"
    with pytest.raises(Exception, match="no such dataset") as caught:
        catalogue.dataset("PRJ-0001/NONE")
    assert str(caught.value).count("PRJ-0001/D") < 40
