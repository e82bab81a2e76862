"""Recalls: what has to be asked for comes when it has come, is read back before it counts, and is never said to be readable before."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from coldchain import auditing, recalling, transfer
from coldchain.copies import Artifact, CopyState
from coldchain.dataset import Project
from coldchain.errors import EgressRefused, NotReadableYet
from coldchain.levels import Level
from coldchain.location import Engine, Offline
from coldchain.media import State, Whereabouts
from coldchain.origins import Origin
from coldchain.recall import Recall, RecallState
from coldchain.testing.archive import SleepyStore
from coldchain.testing.faults import flip_bit, vanish
from coldchain.workspace import Workspace


@pytest.fixture
def asleep(ws: Workspace, ingested: Artifact) -> Workspace:
    """The same site; the raw data stand in a cold archive that takes twelve hours, and nowhere else any more."""
    sleepy = SleepyStore(ws.stores["cold"], ws.now)  # type: ignore[arg-type]  # a FaultyStore is a store
    found = dataclasses.replace(ws, stores={**ws.stores, "cold": sleepy})
    transfer.deliver(found, ingested, "cold")
    sleepy.fall_asleep()
    (nas,) = ws.catalogue.copies(artifact=ingested.id, location="nas")
    ws.catalogue.change_copy(nas.id, state=CopyState.LOST)
    return found


def ask(ws: Workspace, artifact: Artifact, to: str = "scratch", **more: Any) -> Recall:
    """Ask for an artifact, as ada."""
    return recalling.recall(ws, artifact, to, days=7, who="ada", tell=lambda _line: None, **more)


def go_on(ws: Workspace) -> list[Recall]:
    """Look at what waits."""
    return recalling.go_on_all(ws, tell=lambda _line: None)


def states_at(ws: Workspace, artifact: Artifact, location: str = "scratch") -> list[CopyState]:
    """States of the copies at a location."""
    return [copy.state for copy in ws.catalogue.copies(artifact=artifact.id, location=location)]


def test_what_can_be_read_comes_at_once(ws: Workspace, ingested: Artifact) -> None:
    """Nothing is asked of any archive where a copy is awake."""
    assert ask(ws, ingested).state is RecallState.DONE
    assert states_at(ws, ingested) == [CopyState.VERIFIED]
    assert go_on(ws) == []


def test_what_sleeps_comes_when_it_has_come(asleep: Workspace, ingested: Artifact, clock: Any) -> None:
    """It waits, says how far it is, is not readable before, and is read back when it stands where it was wanted."""
    asked = ask(asleep, ingested)
    assert (asked.state, asked.ended_at) == (RecallState.WAITING, None)
    assert asked.why.startswith("asked cold for it: 0 of ")
    clock.forward(hours=11)
    (waiting,) = go_on(asleep)
    assert waiting.state is RecallState.WAITING
    assert CopyState.VERIFIED not in states_at(asleep, ingested)
    clock.forward(hours=2)
    (done,) = go_on(asleep)
    assert (done.state, done.ended_at, done.asked_at) == (RecallState.DONE, asleep.now(), asked.asked_at)
    assert states_at(asleep, ingested) == [CopyState.VERIFIED]
    assert go_on(asleep) == []
    assert asleep.catalogue.recalls() == [done]


def test_it_is_written_down_before_anything_is_asked(asleep: Workspace, ingested: Artifact) -> None:
    """A run that is cut off while it asks is gone on with by the next."""

    def die(_path: str, _days: int) -> None:
        raise KeyboardInterrupt

    asleep.stores["cold"].recall = die  # type: ignore[attr-defined]  # cut off there
    with pytest.raises(KeyboardInterrupt):
        ask(asleep, ingested)
    (waiting,) = asleep.catalogue.recalls(RecallState.WAITING)
    assert (waiting.artifact, waiting.to, waiting.who) == (ingested.id, "scratch", "ada")


def test_an_archive_that_does_not_answer_is_asked_again(asleep: Workspace, ingested: Artifact, clock: Any) -> None:
    """What hinders it now is said, and the recall goes on waiting."""
    asleep.stores["cold"].store.faults["names"] = vanish  # type: ignore[attr-defined]  # a FaultyStore
    asked = ask(asleep, ingested)
    assert asked.state is RecallState.WAITING
    assert "vanished" in asked.why
    del asleep.stores["cold"].store.faults["names"]  # type: ignore[attr-defined]  # as before
    go_on(asleep)
    clock.forward(hours=13)
    assert [each.state for each in go_on(asleep)] == [RecallState.DONE]


def test_what_comes_damaged_does_not_count(asleep: Workspace, ingested: Artifact, clock: Any) -> None:
    """Nothing of it stands where it was wanted; the archive's copy is in doubt, and the recall ends with the reason."""
    ask(asleep, ingested)
    root = asleep.stores["cold"].store.store.root  # type: ignore[attr-defined]  # under two stores
    from coldchain.protection import release

    release(root / ingested.folder)
    flip_bit(next(path for path in sorted((root / ingested.folder).iterdir()) if path.suffix == ".tif"), 20)
    clock.forward(hours=13)
    (failed,) = go_on(asleep)
    assert failed.state is RecallState.FAILED
    assert "no copy has the artifact's bytes any more" in failed.why
    assert states_at(asleep, ingested, "cold") == [CopyState.SUSPECT]
    assert CopyState.VERIFIED not in states_at(asleep, ingested)


def test_what_may_not_go_there_is_not_asked_for(asleep: Workspace, ingested: Artifact) -> None:
    """The one check is before the request."""
    asleep.catalogue.save_project(Project(id="PRJ-0001", origin=Origin.COLLABORATOR_INDUSTRY))
    with pytest.raises(EgressRefused):
        ask(asleep, ingested, "partner")
    assert asleep.catalogue.recalls() == []
    assert asleep.stores["cold"].asked == {}  # type: ignore[attr-defined]  # a SleepyStore


def test_an_awake_copy_is_taken_before_a_sleeping_one_is_waited_for(asleep: Workspace, ingested: Artifact, clock: Any) -> None:
    """Where one source is in the archive, the next is tried."""
    (nas,) = asleep.catalogue.copies(artifact=ingested.id, location="nas")
    asleep.catalogue.change_copy(nas.id, state=CopyState.VERIFIED)
    transfer.deliver(asleep, ingested, "backup")
    asleep.catalogue.change_copy(nas.id, state=CopyState.LOST)
    assert transfer.deliver(asleep, ingested, "scratch").state is CopyState.VERIFIED
    assert states_at(asleep, ingested, "cold") == [CopyState.VERIFIED]
    assert asleep.stores["cold"].asked == {}  # type: ignore[attr-defined]  # a SleepyStore


def test_what_is_on_a_shelf_waits_for_somebody_to_bring_it(ws: Workspace, ingested: Artifact, clock: Any) -> None:
    """The medium and its shelf are named; it comes once it is put in. A lost one is waited for by nobody."""
    disk = next(place for place in ws.site.locations if place.name == "backup")
    disk = disk.model_copy(update={"engine": Engine.OFFLINE, "offline": Offline(label="LAB-01")})
    places = tuple(disk if place.name == "backup" else place for place in ws.site.locations)
    transfer.deliver(ws, ingested, "backup")
    (nas,) = ws.catalogue.copies(artifact=ingested.id, location="nas")
    ws.catalogue.change_copy(nas.id, state=CopyState.LOST)
    shelved = dataclasses.replace(ws, site=ws.site.model_copy(update={"locations": places}))
    ws.catalogue.save_medium(Whereabouts("backup", State.SHELF, ws.now(), place="room 3, shelf B"))
    ws.stores["backup"].faults["identity"] = vanish  # type: ignore[attr-defined]  # a FaultyStore
    asked = ask(shelved, ingested)
    assert asked.state is RecallState.WAITING
    assert asked.why == "backup has it, and is on the shelf: room 3, shelf B: put it in"
    ws.catalogue.save_medium(Whereabouts("backup", State.LOST, ws.now()))
    assert ask(shelved, ingested).state is RecallState.FAILED
    ws.catalogue.save_medium(Whereabouts("backup", State.SHELF, ws.now(), place="room 3, shelf B"))
    ask(shelved, ingested)
    del ws.stores["backup"].faults["identity"]  # type: ignore[attr-defined]  # put in
    assert [each.state for each in go_on(shelved)] == [RecallState.DONE]


def test_a_delivery_alone_says_that_it_has_to_be_recalled(asleep: Workspace, ingested: Artifact) -> None:
    """Without a recall nothing is asked for, and nothing falls into doubt."""
    with pytest.raises(NotReadableYet):
        transfer.deliver(asleep, ingested, "backup")
    assert states_at(asleep, ingested, "cold") == [CopyState.VERIFIED]


def test_an_audit_leaves_what_sleeps(asleep: Workspace, ingested: Artifact, clock: Any) -> None:
    """It cannot be read now: that says nothing of its bytes, and sets no brake."""
    clock.forward(days=400)
    audited = auditing.audit(asleep, locations=["cold"])
    assert (audited.copies, len(audited.suspect), len(audited.places[0].left)) == (0, 0, 1)
    assert states_at(asleep, ingested, "cold") == [CopyState.VERIFIED]
    assert ingested.level is Level.RAW


def test_what_is_not_mounted_here_is_not_said_to_be_incomplete(ws: Workspace, made: Any, clock: Any) -> None:
    """A conversion is looked at where its files can be: a place that gives no path of this machine is no reason to raise an alarm."""
    standard = made(Level.STANDARD, {"plate.ome.zarr/zarr.json": b"{}"}, at="nas")
    far = dataclasses.replace(ws, stores={**ws.stores, "backup": SleepyStore(ws.stores["backup"], ws.now)})  # type: ignore[arg-type]  # a store
    transfer.deliver(far, standard, "backup")
    clock.forward(days=400)
    found = {place.location: place for place in auditing.audit(far, locations=["nas", "backup"]).places}
    assert [failure.artifact for failure in found["nas"].incomplete] == [standard.label]
    assert (found["backup"].copies, found["backup"].incomplete) == (1, [])
