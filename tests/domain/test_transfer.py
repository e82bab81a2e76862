"""Delivering copies: verified or not at all, only where they may go, and finished by the next run wherever it was cut off."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coldchain import inspecting, transfer, verifying
from coldchain.copies import Artifact, CopyState
from coldchain.dataset import Dataset, Project
from coldchain.errors import EgressRefused, IntegrityError, LeaseTaken, LocationUnreachable, NotInCatalogue, OutOfSpace, ProtectionError
from coldchain.files import no_progress
from coldchain.holds import Use
from coldchain.levels import Level
from coldchain.location import Reach
from coldchain.manifest import MANIFEST
from coldchain.protection import release
from coldchain.store import Protection
from coldchain.testing.faults import fill_up, flip_bit, lag, lose_bytes, vanish
from coldchain.workspace import Workspace

EFFECTS = ("put", "read_back", "write_manifest", "move", "protect", "delete")


class CutOff(BaseException):
    """Ends a run as a kill would: nothing of ours catches it."""


def staging(ws: Workspace, location: str) -> list[Path]:
    """List what stands in a location's staging."""
    return sorted((ws.stores[location].store.root / ".coldchain" / "staging").glob("*"))


def damage(ws: Workspace, artifact: Artifact, location: str, how: str) -> None:
    """Do something bad to a copy, protected or not."""
    folder = ws.stores[location].local(artifact.folder)
    release(folder)
    victim = folder / "A02_f1_c1.tif"
    if how == "bit":
        flip_bit(victim)
    elif how == "file gone":
        victim.unlink()
    elif how == "link":
        victim.unlink()
        victim.symlink_to(folder / "A01_f1_c1.tif")
    elif how == "manifest gone":
        (folder / MANIFEST).unlink()
    elif how == "manifest cut":
        os.truncate(folder / MANIFEST, 100)
    elif how == "manifest of something else":
        (folder / MANIFEST).write_bytes(b"")
    else:
        folder.rename(folder.with_name("elsewhere"))


DAMAGES = ["bit", "file gone", "link", "manifest gone", "manifest cut", "manifest of something else", "folder gone"]


def cut(ws: Workspace, location: str, at: int, *, after: bool) -> list[str]:
    """Have the run end at the n-th effect at a location, before it or after it; gives the effects that were seen."""
    seen: list[str] = []

    def fault(operation: str, _arguments: tuple[Any, ...], real: Callable[[], Any]) -> Any:
        seen.append(operation)
        if len(seen) != at:
            return real()
        if after:
            real()
        raise CutOff(operation)

    ws.stores[location].faults.update(dict.fromkeys(EFFECTS, fault))
    return seen


def test_delivers_a_verified_copy(ws: Workspace, ingested: Artifact) -> None:
    """A delivered copy has every byte, its manifest, its protection and the time it was read back; staging is empty."""
    copy = transfer.deliver(ws, ingested, "cold")
    assert (copy.state, copy.verified_at, copy.location) == (CopyState.VERIFIED, ws.now(), "cold")
    store = ws.store("cold")
    assert store.read_back(copy.path, no_progress).digest == ingested.digest
    assert inspecting.mismatches(store, ingested, copy, no_progress) == []
    assert staging(ws, "cold") == []


def test_a_second_delivery_does_nothing(ws: Workspace, ingested: Artifact) -> None:
    """Where a verified copy stands nothing is read, written or moved."""
    first = transfer.deliver(ws, ingested, "backup")
    seen = cut(ws, "backup", 0, after=False)
    assert transfer.deliver(ws, ingested, "backup") == first
    assert seen == []


def test_a_copy_on_scratch_falls_due(ws: Workspace, ingested: Artifact) -> None:
    """A copy on scratch is given its due date, before the cluster's own purge; one on a kept place is not."""
    assert transfer.deliver(ws, ingested, "scratch").due_at == ws.now()
    assert transfer.deliver(ws, ingested, "backup").due_at is None


def test_a_copy_on_scratch_does_not_look_old(ws: Workspace, ingested: Artifact) -> None:
    """A cluster purges by the age that files show: on scratch they are as old as the copy, elsewhere as old as the original."""
    original = ws.stores["nas"].local(ingested.folder)
    name = ws.stores["nas"].names(ingested.folder)[0]
    release(original)
    os.utime(original / name, ns=(10**18, 10**18))
    for place, old in (("scratch", False), ("backup", True)):
        copy = transfer.deliver(ws, ingested, place)
        assert ((ws.stores[place].local(copy.path) / name).stat().st_mtime_ns == 10**18) is old


@pytest.mark.parametrize("origin", ["collaborator_industry", "collaborator_academic"])
def test_what_may_not_leave_does_not(ws: Workspace, ingested: Artifact, origin: str) -> None:
    """Data of a collaborator without an agreement never reaches an outside location: refused before any byte moves."""
    ws.catalogue.save_project(Project(id="PRJ-0001", origin=origin))
    before = sorted(ws.stores["partner"].store.root.rglob("*"))
    with pytest.raises(EgressRefused, match="nothing was moved"):
        transfer.deliver(ws, ingested, "partner")
    assert sorted(ws.stores["partner"].store.root.rglob("*")) == before
    assert ws.catalogue.copies(location="partner") == []


def test_what_the_agreement_permits_leaves(ws: Workspace, ingested: Artifact) -> None:
    """The same data goes where the agreement lets it go."""
    ws.catalogue.save_project(Project(id="PRJ-0001", origin="collaborator_industry", agreement="MTA-7", permits=(Reach.OUTSIDE,)))
    assert transfer.deliver(ws, ingested, "partner").state is CopyState.VERIFIED


def test_a_lying_store_is_found_out(ws: Workspace, ingested: Artifact) -> None:
    """A store that says it wrote what it did not: IntegrityError, no verified copy, staging emptied, the source trusted still."""
    ws.stores["backup"].faults["put"] = lose_bytes(ws.stores["backup"].store)
    with pytest.raises(IntegrityError, match=r"run\.xml"):
        transfer.deliver(ws, ingested, "backup")
    assert [copy.state for copy in ws.catalogue.copies(location="backup")] == [CopyState.COPYING]
    assert [copy.state for copy in ws.catalogue.copies(location="nas")] == [CopyState.VERIFIED]
    assert staging(ws, "backup") == []
    del ws.stores["backup"].faults["put"]
    assert transfer.deliver(ws, ingested, "backup").state is CopyState.VERIFIED


def test_a_lost_manifest_is_found_out(ws: Workspace, ingested: Artifact) -> None:
    """A store that writes another manifest than it was given gets no verified copy."""

    def lose(_operation: str, arguments: tuple[Any, ...], real: Callable[[], Any]) -> None:
        real()
        (ws.stores["backup"].local(arguments[0]) / MANIFEST).write_bytes(b"")

    ws.stores["backup"].faults["write_manifest"] = lose
    with pytest.raises(IntegrityError, match="manifest"):
        transfer.deliver(ws, ingested, "backup")
    assert ws.catalogue.copies(location="backup", states=[CopyState.VERIFIED]) == []


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_source_is_not_passed_on(ws: Workspace, ingested: Artifact, how: str) -> None:
    """A source copy that has not the artifact's bytes stops counting, and the next one is used."""
    transfer.deliver(ws, ingested, "cold")
    damage(ws, ingested, "nas", how)
    copy = transfer.deliver(ws, ingested, "backup")
    assert inspecting.mismatches(ws.store("backup"), ingested, copy, no_progress) == []
    states = {each.location: each.state for each in ws.catalogue.copies(artifact=ingested.id)}
    lost = CopyState.LOST if how == "folder gone" else CopyState.SUSPECT
    assert states == {"nas": lost, "cold": CopyState.VERIFIED, "backup": CopyState.VERIFIED}
    assert staging(ws, "backup") == []


def test_a_source_whose_mount_goes_is_not_blamed(ws: Workspace, ingested: Artifact) -> None:
    """The source's files are missing because its mount is: it keeps its state, and the next source is used."""
    transfer.deliver(ws, ingested, "cold")
    root = ws.stores["nas"].store.root

    def unmount(_operation: str, _arguments: tuple[Any, ...], real: Callable[[], Any]) -> Any:
        folder = real()
        root.rename(root.with_name("unmounted"))
        return folder

    ws.stores["nas"].faults["local"] = unmount
    assert transfer.deliver(ws, ingested, "backup").state is CopyState.VERIFIED
    assert [copy.state for copy in ws.catalogue.copies(location="nas")] == [CopyState.VERIFIED]


def test_no_good_copy_is_said(ws: Workspace, ingested: Artifact) -> None:
    """Where no copy has the bytes any more the message names the file, and nothing takes the artifact's place."""
    damage(ws, ingested, "nas", "bit")
    with pytest.raises(IntegrityError, match="A02_f1_c1"):
        transfer.deliver(ws, ingested, "backup")
    assert not ws.stores["backup"].exists(ingested.folder)


@pytest.mark.parametrize("how", DAMAGES)
def test_verify_stops_counting_what_is_damaged(ws: Workspace, ingested: Artifact, how: str) -> None:
    """Reading back on demand makes a damaged copy suspect, or lost where its folder is gone, and still reads the others."""
    transfer.deliver(ws, ingested, "cold")
    damage(ws, ingested, "nas", how)
    assert {each.location: each.ok for each in verifying.verify(ws, dataset=ingested.dataset)} == {"nas": False, "cold": True}
    (copy,) = ws.catalogue.copies(location="nas")
    assert copy.state is (CopyState.LOST if how == "folder gone" else CopyState.SUSPECT)


def test_verify_says_nothing_of_what_it_cannot_reach(ws: Workspace, ingested: Artifact) -> None:
    """A location that is away now is reported, and its copy keeps its state and the time it was last read."""
    before = ws.catalogue.copies(location="nas")
    ws.stores["nas"].faults["read_back"] = vanish
    assert [each.ok for each in verifying.verify(ws)] == [False]
    assert ws.catalogue.copies(location="nas") == before


@pytest.mark.parametrize("operation", ["put", "read_back", "write_manifest", "move", "protect"])
@pytest.mark.parametrize(("fault", "error"), [(vanish, LocationUnreachable), (fill_up, OutOfSpace)])
def test_a_location_that_fails_is_tried_again(
    ws: Workspace, ingested: Artifact, operation: str, fault: Callable[..., Any], error: type[Exception]
) -> None:
    """A location that vanishes or fills up at any step is a transient error; the source is not blamed, and a rerun completes."""
    ws.stores["cold"].faults[operation] = fault
    with pytest.raises(error):
        transfer.deliver(ws, ingested, "cold")
    ws.stores["cold"].faults.clear()
    assert transfer.deliver(ws, ingested, "cold").state is CopyState.VERIFIED
    assert staging(ws, "cold") == []
    assert {copy.state for copy in ws.catalogue.copies()} == {CopyState.VERIFIED}


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("at", range(1, 6))
def test_cut_off_at_each_effect(ws: Workspace, ingested: Artifact, at: int, after: bool) -> None:
    """A delivery that ends before or after any of its effects is completed by the next: one copy, no strays, nothing twice."""
    seen = cut(ws, "cold", at, after=after)
    with pytest.raises(CutOff):
        transfer.deliver(ws, ingested, "cold")
    assert ws.catalogue.copies(location="cold", states=[CopyState.VERIFIED]) == []
    ws.stores["cold"].faults.clear()
    copy = transfer.deliver(ws, ingested, "cold")
    assert ws.catalogue.copies(location="cold") == [copy]
    assert inspecting.mismatches(ws.store("cold"), ingested, copy, no_progress) == []
    assert staging(ws, "cold") == []
    assert len(seen) == at


def test_those_were_all_effects(ws: Workspace, ingested: Artifact) -> None:
    """The test above cuts at every effect there is: a delivery has these, in this order."""
    seen = cut(ws, "cold", 0, after=False)
    transfer.deliver(ws, ingested, "cold")
    assert seen == ["put", "read_back", "write_manifest", "move", "protect"]


def test_a_rerun_writes_only_what_is_missing(ws: Workspace, ingested: Artifact) -> None:
    """Whole files in staging are kept by the next run."""
    seen = cut(ws, "backup", 2, after=False)
    with pytest.raises(CutOff):
        transfer.deliver(ws, ingested, "backup")
    (staged,) = staging(ws, "backup")
    before = {path.name: path.stat().st_ino for path in staged.rglob("*") if path.is_file()}
    ws.stores["backup"].faults.clear()
    folder = ws.stores["backup"].local(transfer.deliver(ws, ingested, "backup").path)
    assert {path.name: path.stat().st_ino for path in folder.rglob("*") if path.name in before} == before
    assert seen == ["put", "read_back"]


@pytest.mark.parametrize("stray", ["file", "link"])
def test_strangers_in_staging_do_not_get_in(ws: Workspace, ingested: Artifact, stray: str) -> None:
    """What somebody left in staging is emptied, links without following them, and never becomes part of a copy."""
    cut(ws, "backup", 2, after=False)
    with pytest.raises(CutOff):
        transfer.deliver(ws, ingested, "backup")
    ws.stores["backup"].faults.clear()
    (staged,) = staging(ws, "backup")
    precious = ws.stores["nas"].local(ingested.folder) / "A01_f1_c1.tif"
    (staged / "stray").symlink_to(precious) if stray == "link" else (staged / "stray").touch()
    copy = transfer.deliver(ws, ingested, "backup")
    assert "stray" not in ws.stores["backup"].names(copy.path)
    assert precious.exists()
    assert {each.state for each in ws.catalogue.copies()} == {CopyState.VERIFIED}


def test_something_else_in_the_place_is_left_alone(ws: Workspace, ingested: Artifact) -> None:
    """Where other files stand under the copy's name nothing is written over, and nothing counts."""
    folder = ws.stores["backup"].local(ingested.folder)
    folder.mkdir(parents=True)
    (folder / "mine").write_bytes(b"somebody's")
    with pytest.raises(IntegrityError, match="something else stands"):
        transfer.deliver(ws, ingested, "backup")
    assert [path.name for path in folder.iterdir()] == ["mine"]
    assert ws.catalogue.copies(location="backup", states=[CopyState.VERIFIED]) == []


@pytest.mark.parametrize("state", [CopyState.SUSPECT, CopyState.LOST])
def test_a_doubtful_copy_is_for_a_person(ws: Workspace, ingested: Artifact, state: CopyState) -> None:
    """A delivery does not quietly replace a copy that is suspect or lost."""
    copy = transfer.deliver(ws, ingested, "backup")
    ws.catalogue.change_copy(copy.id, state=state, detail="bit rot")
    with pytest.raises(IntegrityError, match="bit rot"):
        transfer.deliver(ws, ingested, "backup")


def test_another_medium_is_noticed(ws: Workspace, ingested: Artifact) -> None:
    """A disk that was exchanged, or is not mounted, gets nothing."""
    marker = ws.stores["backup"].store.root / ".coldchain" / "location.json"
    marker.write_text('{"identity": "another"}')
    with pytest.raises(LocationUnreachable, match="another medium"):
        transfer.deliver(ws, ingested, "backup")
    marker.unlink()
    with pytest.raises(LocationUnreachable):
        transfer.deliver(ws, ingested, "backup")


def test_an_unreachable_source_is_said(ws: Workspace, ingested: Artifact) -> None:
    """Without a reachable source nothing is delivered, and no copy loses its standing."""
    ws.stores["nas"].faults["identity"] = vanish
    with pytest.raises(NotInCatalogue, match="no verified copy can be read"):
        transfer.deliver(ws, ingested, "backup")
    assert [copy.state for copy in ws.catalogue.copies(location="nas")] == [CopyState.VERIFIED]


def test_protection_that_does_not_hold_is_said(ws: Workspace, ingested: Artifact) -> None:
    """A location that is asked for permission bits by name, by root, does not get a copy that counts as protected."""
    if os.geteuid() != 0:
        pytest.skip("not root")
    ws.stores["backup"].store.location = ws.site.location("backup").model_copy(update={"protection": Protection.PERMISSIONS})
    with pytest.raises(ProtectionError):
        transfer.deliver(ws, ingested, "backup")
    assert ws.catalogue.copies(location="backup", states=[CopyState.VERIFIED]) == []


def test_two_deliveries_to_one_place_exclude_each_other(ws: Workspace, ingested: Artifact) -> None:
    """While one run puts a copy somewhere another run of the same is turned away."""
    with ws.catalogue.lease([f"{ingested.id} at cold"], Use.READ, ws.now()), pytest.raises(LeaseTaken):
        transfer.deliver(ws, ingested, "cold")


def test_nobody_removes_what_is_delivered_now(ws: Workspace, ingested: Artifact) -> None:
    """While an artifact is delivered nobody gets it alone, which a removal asks for."""

    def remove(_operation: str, _arguments: tuple[Any, ...], real: Callable[[], Any]) -> Any:
        with pytest.raises(LeaseTaken), ws.catalogue.lease([ingested.id], Use.ALONE, ws.now()):
            pass
        return real()

    ws.stores["cold"].faults["put"] = remove
    assert transfer.deliver(ws, ingested, "cold").state is CopyState.VERIFIED


def test_two_datasets_of_the_same_bytes(ws: Workspace, made: Callable[..., Artifact]) -> None:
    """Two artifacts of the same bytes do not share a staging folder."""
    one = made(Level.STANDARD, {"a": b"same"})
    ws.catalogue.save_dataset(Dataset(project="PRJ-0001", name="PLATE-B", pattern="plain", channels={}))
    places = []

    def seen(_operation: str, arguments: tuple[Any, ...], real: Callable[[], Any]) -> Any:
        places.append(arguments[1])
        return real()

    two = made(Level.MASKS, {"a": b"same"})
    ws.stores["backup"].faults["put"] = seen
    transfer.deliver(ws, one, "backup")
    transfer.deliver(ws, two, "backup")
    assert one.digest == two.digest
    assert len(set(places)) == 2


@pytest.mark.long
def test_killed_at_random_moments(ws: Workspace, ingested: Artifact, made: Callable[..., Artifact]) -> None:
    """A delivery that is killed again and again is in the end there once, whole, without strays."""
    artifact = made(Level.STANDARD, {f"{number:03}": os.urandom(60_000) for number in range(150)}, (ingested,))
    fork, began = multiprocessing.get_context("fork"), time.monotonic()
    transfer.deliver(ws, ingested, "cold")
    ws.catalogue.close()
    for round_ in range(1, 16):
        child = fork.Process(target=_deliver_alone, args=(ws, artifact))
        child.start()
        child.join(0.01 * round_)
        if child.is_alive():
            os.kill(child.pid, signal.SIGKILL)
        child.join()
        if child.exitcode == 0 or time.monotonic() - began > 60:
            break
    copy = transfer.deliver(ws, artifact, "cold")
    assert inspecting.mismatches(ws.store("cold"), artifact, copy, no_progress) == []
    assert staging(ws, "cold") == []
    assert len(ws.catalogue.copies(artifact=artifact.id, location="cold")) == 1


def _deliver_alone(ws: Workspace, artifact: Artifact) -> None:
    """Deliver in a process of its own, with connections of its own."""
    ws.catalogue.engine.dispose(close=False)
    transfer.deliver(ws, artifact, "cold")


def test_a_listing_that_lags_lets_nothing_count(ws: Workspace, ingested: Artifact) -> None:
    """Where a place does not list a file yet, what was written is not believed; once it does, the next run completes the copy."""
    ws.stores["backup"].faults.update(names=lag, read_back=lag)
    with pytest.raises(IntegrityError, match="what was written is not what is read back"):
        transfer.deliver(ws, ingested, "backup")
    assert [copy.state for copy in ws.catalogue.copies(location="backup")] == [CopyState.COPYING]
    assert not ws.stores["backup"].exists(ingested.folder)
    ws.stores["backup"].faults.clear()
    assert transfer.deliver(ws, ingested, "backup").state is CopyState.VERIFIED


def test_a_listing_that_lags_makes_no_copy_lost(ws: Workspace, ingested: Artifact) -> None:
    """A verified copy whose listing lacks a file is in doubt and not gone, no byte is touched, and a person can have it repaired."""
    transfer.deliver(ws, ingested, "backup")
    ws.stores["backup"].faults["names"] = lag
    assert not all(each.ok for each in verifying.verify(ws, location="backup"))
    (copy,) = ws.catalogue.copies(location="backup")
    assert copy.state is CopyState.SUSPECT
    ws.stores["backup"].faults.clear()
    assert ws.stores["backup"].read_back(copy.path, no_progress).digest == ingested.digest
