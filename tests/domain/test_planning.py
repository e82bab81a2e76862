"""Planning: which datasets are planned, what is wished for, and when copies get their day again."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from coldchain import making, planning, transfer
from coldchain.copies import Artifact, Copy, CopyState
from coldchain.dataset import Dataset
from coldchain.levels import Level
from coldchain.policy import Policy
from coldchain.protection import release
from coldchain.workspace import Workspace

DATASET, OTHER = "PRJ-0001/PLATE-A", "PRJ-0001/PLATE-B"
TWO = {"levels": sorted(Level), "wanted": {"copies": 2}}


def under(ws: Workspace, after_days: float) -> Workspace:
    """The same site under a policy that asks for two copies of everything, and keeps scratch for so many days."""
    said = {"name": "planned", "version": 1, "rules": [TWO], "purge": {"after_days": after_days}}
    return dataclasses.replace(ws, policy=Policy.model_validate(said))


def without(ws: Workspace, name: str) -> Workspace:
    """The same site after an engineer took a location out of its file."""
    locations = tuple(each for each in ws.site.locations if each.name != name)
    site = ws.site.model_copy(update={"locations": locations, "_folder": ws.site._folder})
    site.__dict__.pop("by_name", None)
    return dataclasses.replace(ws, site=site, stores={each.name: ws.stores[each.name] for each in locations})


def copy_at(ws: Workspace, artifact: Artifact, location: str) -> Copy:
    """The copy of an artifact at a location."""
    (found,) = ws.catalogue.copies(artifact=artifact.id, location=location)
    return found


@pytest.fixture(autouse=True)
def released(ws: Workspace) -> Iterator[None]:
    """Lift write protection below the site at the end."""
    yield
    release(ws.site.path("."))


@pytest.fixture
def masks(ws: Workspace, made: Callable[..., Artifact]) -> Artifact:
    """Masks on the NAS and on scratch."""
    artifact = made(Level.MASKS, {"m": b"masks"}, at="nas")
    transfer.deliver(ws, artifact, "scratch")
    return artifact


@pytest.fixture
def other(ws: Workspace, ingested: Artifact) -> Artifact:
    """Masks of another dataset, made from the raw data of the first, on the NAS and on scratch."""

    def work(_inputs: list[Path], target: Path) -> making.Outcome:
        (target / "m").write_bytes(b"other masks")
        return making.Outcome()

    ws.catalogue.save_dataset(Dataset(project="PRJ-0001", name="PLATE-B", pattern="plain", channels={1: "DNA"}))
    artifact = making.make(ws, making.Step("other", OTHER, Level.MASKS, (ingested,)), work, at="nas").artifact
    transfer.deliver(ws, artifact, "scratch")
    return artifact


class TestWished:
    """What is short, of what stands at a lasting place."""

    def test_what_stands_at_a_lasting_place_is_wished_for(self, ws: Workspace, ingested: Artifact, masks: Artifact) -> None:
        """Each copy that the policy misses, with every copy that it could be made from."""
        found = {wish.artifact: wish.sources for wish in planning.wished(under(ws, 30), DATASET)}
        assert found == {
            ingested.id: (copy_at(ws, ingested, "nas").id,),
            masks.id: tuple(copy_at(ws, masks, place).id for place in ("nas", "scratch")),
        }

    def test_what_is_on_scratch_alone_is_for_the_archive(self, ws: Workspace, ingested: Artifact, made: Callable[..., Artifact]) -> None:
        """It is short as well, but no backup is made of it."""
        profiles = made(Level.BULK_PROFILES, {"p": b"profiles"})
        assert [wish.artifact for wish in planning.wished(under(ws, 30), DATASET)] == [ingested.id]
        transfer.deliver(ws, profiles, "backup")
        assert profiles.id in [wish.artifact for wish in planning.wished(under(ws, 30), DATASET)]

    def test_a_place_that_the_site_does_not_know_is_no_lasting_one(self, ws: Workspace, ingested: Artifact, masks: Artifact) -> None:
        """What stands at a location that was taken out of the site file, and on scratch, waits; and nothing stumbles over it."""
        assert planning.wished(without(under(ws, 30), "nas"), DATASET) == []
        assert len(planning.wished(under(ws, 30), DATASET)) == 2
        assert ws.catalogue.copies(artifact=ingested.id, states=[CopyState.VERIFIED])
        assert ws.catalogue.copies(artifact=masks.id, states=[CopyState.VERIFIED])


class TestPlanned:
    """What falls due, some datasets at a time."""

    @pytest.mark.parametrize("size", [1, 2, 50])
    def test_each_dataset_once(self, ws: Workspace, masks: Artifact, other: Artifact, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
        """However many are planned at a time, each copy of what falls due is decided on once."""
        monkeypatch.setattr(planning, "DATASETS", size)
        found = [decision.copy for _ledger, plan in planning.planned(under(ws, 0)) for decision in plan.decisions]
        expected = [copy.id for copy in ws.catalogue.copies()]
        assert sorted(found) == sorted(expected)
        assert {copy_at(ws, artifact, "scratch").id for artifact in (masks, other)} <= set(found)

    def test_what_is_not_due_is_not_planned(self, ws: Workspace, masks: Artifact) -> None:
        """Nothing is read of datasets where nothing falls due."""
        ws = under(ws, 30)
        ws.catalogue.change_copy(copy_at(ws, masks, "scratch").id, due_at=ws.now() + dt.timedelta(seconds=1))
        assert list(planning.planned(ws)) == []
        ws.now.forward(seconds=1)
        assert [ledger.datasets for ledger, _plan in planning.planned(ws)] == [{DATASET}]

    def test_items_come_some_at_a_time(self) -> None:
        """The last group is what is left; nothing gives no group."""
        assert list(planning.batches(range(5), 2)) == [[0, 1], [2, 3], [4]]
        assert list(planning.batches([], 2)) == []


class TestDates:
    """When a copy falls due, written down again where that has changed."""

    @pytest.mark.parametrize(("datasets", "copies"), [(1, 50), (50, 1), (50, 50)])
    def test_another_policy_dates_every_copy_anew_once(
        self, ws: Workspace, masks: Artifact, other: Artifact, monkeypatch: pytest.MonkeyPatch, datasets: int, copies: int
    ) -> None:
        """Copies get the day that the new policy gives them; a second call does nothing, and a copy that has its day is not counted."""
        monkeypatch.setattr(planning, "DATASETS", datasets)
        monkeypatch.setattr(planning, "COPIES", copies)
        space = under(ws, 30)
        arrived = copy_at(ws, masks, "scratch").created_at
        assert planning.date_anew(space) == 2
        for artifact in (masks, other):
            assert copy_at(ws, artifact, "scratch").due_at == arrived + dt.timedelta(days=30)
            assert copy_at(ws, artifact, "nas").due_at is None
        ws.catalogue.change_copy(copy_at(ws, masks, "scratch").id, due_at=arrived + dt.timedelta(days=9))
        assert planning.date_anew(space) == 0
        assert copy_at(ws, masks, "scratch").due_at == arrived + dt.timedelta(days=9)
        assert planning.date_anew(under(ws, 31)) == 2

    def test_what_the_policy_wants_is_reviewed_then_too(self, ws: Workspace, masks: Artifact) -> None:
        """Another policy may want more copies: every artifact is looked at again."""
        names = ws.catalogue.to_review(ws.now(), 9)
        reviews = [(artifact.id, None, None) for artifact in ws.catalogue.artifacts()]
        ws.catalogue.save_reviews(reviews)
        assert (names, masks.id in [name for name, _, _ in reviews], ws.catalogue.to_review(ws.now(), 9)) == ([DATASET], True, [])
        planning.date_anew(under(ws, 30))
        assert ws.catalogue.to_review(ws.now(), 9) == [DATASET]

    def test_only_verified_copies_that_lack_their_day_are_dated(self, ws: Workspace, masks: Artifact) -> None:
        """What waits in the trash keeps its grace, and is not counted; nor is a copy whose day is written down already."""
        space = under(ws, 30)
        scratch = copy_at(ws, masks, "scratch")
        until = ws.now() + dt.timedelta(days=2)
        ws.catalogue.change_copy(scratch.id, state=CopyState.TRASHED, due_at=until)
        assert planning.redate(space, ws.catalogue.copies(artifact=masks.id)) == 0
        assert copy_at(ws, masks, "scratch").due_at == until
        ws.catalogue.change_copy(scratch.id, state=CopyState.VERIFIED)
        assert planning.redate(space, ws.catalogue.copies(artifact=masks.id)) == 1
        assert planning.redate(space, ws.catalogue.copies(artifact=masks.id)) == 0

    def test_a_copy_at_a_place_that_the_site_does_not_know_keeps_its_day(self, ws: Workspace, masks: Artifact) -> None:
        """Nobody can say when it falls due there; what was written stays, and nothing stumbles over it."""
        day = ws.now() + dt.timedelta(days=3)
        scratch = copy_at(ws, masks, "scratch")
        ws.catalogue.change_copy(scratch.id, due_at=day)
        space: Any = without(under(ws, 30), "scratch")
        assert planning.redate(space, ws.catalogue.copies(artifact=masks.id)) == 0
        assert copy_at(ws, masks, "scratch").due_at == day
