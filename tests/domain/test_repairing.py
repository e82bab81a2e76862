"""Repair: a damaged copy is whole again, its old bytes are kept, and whatever hinders it loses nothing."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coldchain import auditing, inspecting, making, repairing, transfer
from coldchain.copies import Artifact, Copy, CopyState
from coldchain.dataset import Dataset, Project
from coldchain.errors import EgressRefused, InputError, IntegrityError, LeaseTaken, LocationUnreachable, NotInCatalogue, OutOfSpace, Refused
from coldchain.files import no_progress
from coldchain.holds import Use
from coldchain.levels import Level
from coldchain.manifest import MANIFEST
from coldchain.policy import Policy
from coldchain.protection import protect, release
from coldchain.store import Protection
from coldchain.store_posix import MARKER
from coldchain.testing.faults import FaultyStore, fill_up, flip_bit, lose_bytes, vanish
from coldchain.workspace import Workspace

FIRST, SECOND, THIRD = "A01_f1_c1.tif", "A02_f1_c1.tif", "A03_f1_c1.tif"


def copy_of(ws: Workspace, artifact: Artifact, location: str) -> Copy:
    """The copy of an artifact at a location."""
    (found,) = ws.catalogue.copies(artifact=artifact.id, location=location)
    return found


def spoil(ws: Workspace, artifact: Artifact, location: str, *names: str) -> Copy:
    """Flip a bit in some files of a copy, and let it be known: the copy is suspect."""
    folder = ws.stores[location].local(artifact.folder)
    release(folder)
    for name in names or (SECOND,):
        flip_bit(folder / name)
    protect(folder, ws.site.location(location).protection)
    return inspecting.doubt(ws, copy_of(ws, artifact, location), "its bytes are wrong")


def every_byte(ws: Workspace, location: str) -> set[bytes]:
    """Contents of all files at a location."""
    return {path.read_bytes() for path in ws.stores[location].store.root.rglob("*") if path.is_file()}


def whole(ws: Workspace, artifact: Artifact, location: str) -> bool:
    """Whether a copy is verified, and its bytes are on the disk."""
    copy = copy_of(ws, artifact, location)
    return copy.state is CopyState.VERIFIED and not inspecting.mismatches(ws.store(location), artifact, copy, no_progress)


@pytest.fixture
def copied(ws: Workspace, ingested: Artifact) -> Artifact:
    """The raw artifact on the NAS and at the backup."""
    transfer.deliver(ws, ingested, "backup")
    return ingested


class Killed(BaseException):
    """Ends a run as a kill would: nothing of ours catches it."""


class TestRepair:
    """From a verified copy that was read back first."""

    @pytest.mark.parametrize("place", ["nas", "backup"])
    def test_a_suspect_copy_is_whole_again_and_its_bytes_are_kept(self, ws: Workspace, copied: Artifact, place: str) -> None:
        """The copy counts again from now; the damaged folder stands aside with every byte; source and staging are as they were."""
        suspect, other = spoil(ws, copied, place), "backup" if place == "nas" else "nas"
        before, damaged = every_byte(ws, other), every_byte(ws, place)
        ws.now.forward(days=1)
        repaired = repairing.repair(ws, suspect)
        assert (repaired.id, repaired.state, repaired.verified_at, repaired.detail) == (suspect.id, CopyState.VERIFIED, ws.now(), "")
        assert whole(ws, copied, place)
        assert every_byte(ws, other) == before
        assert damaged <= every_byte(ws, place)
        (kept,) = ws.catalogue.asides(place)
        assert (kept.copy, kept.path, kept.why) == (suspect.id, repairing.aside(suspect, 1), "its bytes are wrong")
        assert sorted(ws.stores[place].names(kept.path)) == sorted(ws.stores[place].names(copied.folder))
        assert ws.stores[place].children(".coldchain/staging") == []

    def test_a_receipt_tells_what_was_done(self, ws: Workspace, copied: Artifact) -> None:
        """What was wrong, where the new bytes came from, where the old ones are, and who did it stay for good."""
        suspect = spoil(ws, copied, "backup")
        repairing.repair(ws, suspect)
        (receipt,) = ws.catalogue.receipts("repair")
        told = {key: receipt[key] for key in ("copy", "artifact", "location", "was", "wrong", "aside", "from")}
        assert told == {
            "copy": suspect.id,
            "artifact": copied.id,
            "location": "backup",
            "was": "suspect",
            "wrong": "its bytes are wrong",
            "aside": [repairing.aside(suspect, 1)],
            "from": [f"nas:{copied.folder}"],
        }
        assert receipt["who"]

    def test_a_lost_copy_is_made_again(self, ws: Workspace, copied: Artifact) -> None:
        """A copy whose folder is gone comes back; there is nothing to set aside."""
        ws.stores["backup"].store.move(copied.folder, "elsewhere")
        lost = inspecting.doubt(ws, copy_of(ws, copied, "backup"), "gone")
        assert lost.state is CopyState.LOST
        repairing.repair(ws, lost)
        assert whole(ws, copied, "backup")
        assert ws.catalogue.asides() == []
        assert [receipt["was"] for receipt in ws.catalogue.receipts("repair")] == ["lost"]

    def test_a_lost_copy_that_is_found_again_is_only_read(self, ws: Workspace, copied: Artifact) -> None:
        """Where the folder is back with every byte, nothing is copied or moved."""
        ws.stores["backup"].store.move(copied.folder, "elsewhere")
        lost = inspecting.doubt(ws, copy_of(ws, copied, "backup"), "gone")
        ws.stores["backup"].store.move("elsewhere", copied.folder)
        ws.stores["backup"].faults.update(put=vanish, set_aside=vanish, move=vanish)
        assert repairing.repair(ws, lost).state is CopyState.VERIFIED
        assert "found in their place" in ws.catalogue.receipts("repair")[0]["from"][0]

    def test_a_lost_copy_that_came_back_damaged_is_set_aside(self, ws: Workspace, copied: Artifact) -> None:
        """A folder that is back with other bytes makes room like a suspect one."""
        lost = ws.catalogue.change_copy(spoil(ws, copied, "backup").id, state=CopyState.LOST)
        repairing.repair(ws, lost)
        assert whole(ws, copied, "backup")
        assert len(ws.catalogue.asides("backup")) == 1

    def test_a_suspect_copy_whose_bytes_match_again_is_made_anew_all_the_same(self, ws: Workspace, copied: Artifact) -> None:
        """A disk that read wrongly once is not believed because it reads well now: a person lets such a copy count again, no repair."""
        suspect = inspecting.doubt(ws, copy_of(ws, copied, "backup"), "a flaky cable")
        repairing.repair(ws, suspect)
        assert whole(ws, copied, "backup")
        assert [kept.path for kept in ws.catalogue.asides("backup")] == [repairing.aside(suspect, 1)]
        assert ws.catalogue.receipts("repair")[0]["from"] == [f"nas:{copied.folder}"]

    def test_what_went_before_at_the_same_place_is_another_copy(self, ws: Workspace, copied: Artifact) -> None:
        """The artifact was at the backup once, was removed, and came again: it is the copy of now that is repaired."""
        old = copy_of(ws, copied, "backup")
        release(ws.stores["backup"].local(old.path))
        ws.stores["backup"].store.delete(old.path)
        ws.catalogue.change_copy(old.id, state=CopyState.REMOVED)
        new = transfer.deliver(ws, copied, "backup")
        assert new.id != old.id
        flip_bit(ws.stores["backup"].local(new.path) / SECOND)
        suspect = inspecting.doubt(ws, new, "its bytes are wrong")
        assert repairing.repair(ws, suspect).state is CopyState.VERIFIED

    def test_a_second_repair_does_nothing(self, ws: Workspace, copied: Artifact) -> None:
        """What is whole is given back as it is, without a receipt or a byte read."""
        suspect = spoil(ws, copied, "backup")
        once = repairing.repair(ws, suspect)
        for store in ws.stores.values():
            store.faults.update(dict.fromkeys(("put", "read_back", "set_aside", "move", "manifest"), vanish))
        assert repairing.repair(ws, suspect) == once
        assert len(ws.catalogue.receipts("repair")) == 1

    def test_damaged_again_is_set_aside_beside_the_first(self, ws: Workspace, copied: Artifact) -> None:
        """What was set aside is never written over."""
        for _time in range(2):
            repairing.repair(ws, spoil(ws, copied, "backup"))
        paths = [each.path for each in ws.catalogue.asides("backup")]
        assert [path.rpartition("-")[2] for path in paths] == ["1", "2"]
        assert all(ws.stores["backup"].exists(path) for path in paths)
        assert whole(ws, copied, "backup")

    @pytest.mark.parametrize("damage", ["manifest gone", "file gone", "file more"])
    def test_whatever_is_wrong_is_set_aside(self, ws: Workspace, copied: Artifact, damage: str) -> None:
        """A folder without its manifest or with other files is set aside like any other."""
        folder = ws.stores["nas"].local(copied.folder)
        release(folder)
        {
            "manifest gone": (folder / MANIFEST).unlink,
            "file gone": (folder / SECOND).unlink,
            "file more": (folder / "new\n\udcff").touch,
        }[damage]()
        protect(folder, Protection.STRONGEST)
        auditing.audit(dataclasses.replace(ws), locations=["nas"])
        repairing.repair(ws, copy_of(ws, copied, "nas"))
        assert whole(ws, copied, "nas")
        assert ws.stores["nas"].exists(ws.catalogue.asides("nas")[0].path)


class TestSources:
    """A source is read back before anything else."""

    def test_a_source_that_fails_is_suspect_and_the_next_is_taken(self, ws: Workspace, copied: Artifact) -> None:
        """The first source's bytes are wrong and nobody knew: it stops counting, and the copy is repaired from the next."""
        transfer.deliver(ws, copied, "cold")
        suspect = spoil(ws, copied, "cold")
        spoil(ws, copied, "nas")
        ws.catalogue.change_copy(copy_of(ws, copied, "nas").id, state=CopyState.VERIFIED)
        repairing.repair(ws, suspect)
        assert whole(ws, copied, "cold")
        assert copy_of(ws, copied, "nas").state is CopyState.SUSPECT
        assert ws.catalogue.receipts("repair")[0]["from"] == [f"backup:{copied.folder}"]

    def test_a_source_that_is_away_is_passed_over(self, ws: Workspace, copied: Artifact) -> None:
        """A source that cannot be read now keeps its state, and the next is taken."""
        transfer.deliver(ws, copied, "cold")
        suspect = spoil(ws, copied, "cold")
        ws.stores["nas"].faults["read_back"] = vanish
        repairing.repair(ws, suspect)
        assert whole(ws, copied, "cold")
        assert copy_of(ws, copied, "nas").state is CopyState.VERIFIED
        assert ws.catalogue.receipts("repair")[0]["from"] == [f"backup:{copied.folder}"]

    def test_where_every_copy_is_corrupt_nothing_moves(self, ws: Workspace, copied: Artifact) -> None:
        """The same file is wrong everywhere: refused with its name, and every byte stays where it was."""
        suspect = spoil(ws, copied, "backup")
        spoil(ws, copied, "nas")
        before = {place: every_byte(ws, place) for place in ("nas", "backup")}
        with pytest.raises(IntegrityError, match=SECOND):
            repairing.repair(ws, suspect)
        assert {place: every_byte(ws, place) for place in ("nas", "backup")} == before
        assert copy_of(ws, copied, "backup") == suspect
        assert ws.stores["backup"].exists(copied.folder)
        assert ws.stores["backup"].children(".coldchain/staging") == []
        assert (ws.catalogue.asides(), ws.catalogue.receipts("repair")) == ([], [])

    def test_what_was_written_is_read_back_before_anything_moves(self, ws: Workspace, copied: Artifact) -> None:
        """The source is sound, and the damaged copy's disk says that it wrote what it did not: the old bytes keep their place."""
        suspect = spoil(ws, copied, "backup")
        ws.stores["backup"].faults["put"] = lose_bytes(ws.stores["backup"].store)
        with pytest.raises(IntegrityError, match="not what is read back"):
            repairing.repair(ws, suspect)
        assert copy_of(ws, copied, "backup") == suspect
        assert ws.stores["backup"].exists(copied.folder)
        assert ws.stores["backup"].children(".coldchain/staging") == []

    def test_why_no_source_would_do_is_told(self, ws: Workspace, copied: Artifact) -> None:
        """Where the verified source turns out to be damaged too, the error names it and what is wrong there."""
        suspect = spoil(ws, copied, "backup")
        spoil(ws, copied, "nas")
        ws.catalogue.change_copy(copy_of(ws, copied, "nas").id, state=CopyState.VERIFIED)
        with pytest.raises(IntegrityError, match=f"nas: a copy was not read back[^;]*{SECOND}"):
            repairing.repair(ws, suspect)

    def test_a_location_that_is_the_same_store_is_no_source(self, ws: Workspace, copied: Artifact) -> None:
        """Two names for one store: its damaged bytes are the other's bytes too, and setting them aside takes both."""
        suspect = spoil(ws, copied, "backup")
        root = ws.stores["backup"].store.root
        ws.stores["nas"].faults["place"] = lambda *_call: f"posix:{root.stat().st_dev}:{root.stat().st_ino}"
        assert list(repairing.sources(ws, copied, suspect)) == []
        del ws.stores["nas"].faults["place"]
        assert [source.location for source in repairing.sources(ws, copied, suspect)] == ["nas"]

    def test_a_broken_mount_of_sources_has_the_brake(self, ws: Workspace, ingested: Artifact) -> None:
        """Repairs from a location that lost everything stop it, as an audit does, before they judge all of it."""
        made = [_made(ws, ingested, number) for number in range(4)]
        for artifact in made:
            transfer.deliver(ws, artifact, "cold")
            inspecting.doubt(ws, copy_of(ws, artifact, "cold"), "wrong")
            folder = ws.stores["nas"].local(artifact.folder)
            release(folder)
            folder.rename(ws.stores["nas"].store.root / f"gone-{artifact.digest}")
        policy = ws.policy.model_dump() | {"audit": {"every_days": 30, "brake": {"failures": 1, "share": 0.5}}}
        repairing.repair_all(dataclasses.replace(ws, policy=Policy.model_validate(policy)), location="cold", dry_run=False)
        lost = ws.catalogue.copies(location="nas", states=[CopyState.LOST])
        assert (len(lost), list(ws.catalogue.brakes())) == (1, ["nas"])


def _made(ws: Workspace, like: Artifact, number: int, source: Artifact | None = None) -> Artifact:
    """Make a small artifact of the same dataset on the NAS, from that one or another."""

    def work(_inputs: list[Path], target: Path) -> making.Outcome:
        (target / "file").write_bytes(bytes([number]))
        return making.Outcome()

    return making.make(ws, making.Step(f"make {number}", like.dataset, Level.STANDARD, (source or like,)), work, at="nas").artifact


class TestGathering:
    """No copy is whole, but every file still stands somewhere."""

    def test_each_file_from_where_it_still_stands(self, ws: Workspace, copied: Artifact) -> None:
        """One copy lost its first file and its manifest, the other its second: together they are the artifact again."""
        suspect = spoil(ws, copied, "backup", FIRST)
        spoil(ws, copied, "nas", SECOND, THIRD)
        (ws.stores["backup"].local(copied.folder) / MANIFEST).unlink()
        repairing.repair(ws, suspect)
        assert whole(ws, copied, "backup")
        assert len(ws.catalogue.receipts("repair")[0]["from"]) == 2
        repairing.repair(ws, copy_of(ws, copied, "nas"))
        assert whole(ws, copied, "nas")

    def test_the_trash_and_what_was_set_aside_help(self, ws: Workspace, copied: Artifact) -> None:
        """A file that stands intact only in the trash, and one only in what an earlier repair set aside, are found."""
        repairing.repair(ws, spoil(ws, copied, "backup", FIRST))
        suspect = spoil(ws, copied, "backup", FIRST, SECOND, THIRD, "metadata/run.xml")
        trashed = spoil(ws, copied, "nas", SECOND, THIRD, "metadata/run.xml")
        ws.catalogue.change_copy(trashed.id, state=CopyState.TRASHED)
        ws.stores["nas"].store.set_aside(trashed.path, transfer.trash(trashed))
        repairing.repair(ws, suspect)
        assert whole(ws, copied, "backup")

    def test_only_the_manifest_was_wrong(self, ws: Workspace, ingested: Artifact) -> None:
        """The only copy lost its manifest: its files name themselves, and make it again."""
        folder = ws.stores["nas"].local(ingested.folder)
        release(folder)
        (folder / MANIFEST).write_bytes(b"nonsense")
        suspect = inspecting.doubt(ws, copy_of(ws, ingested, "nas"), "its manifest is wrong")
        repairing.repair(ws, suspect)
        assert whole(ws, ingested, "nas")

    def test_what_was_gathered_is_read_back(self, ws: Workspace, copied: Artifact) -> None:
        """A store that says it wrote what it did not is found out before anything moves."""
        suspect = spoil(ws, copied, "backup", FIRST)
        spoil(ws, copied, "nas", SECOND)
        ws.stores["backup"].faults["put"] = lose_bytes(ws.stores["backup"].store)
        with pytest.raises(IntegrityError, match="not what is read back"):
            repairing.repair(ws, suspect)
        assert ws.stores["backup"].exists(copied.folder)
        assert ws.stores["backup"].children(".coldchain/staging") == []

    def test_what_something_else_left_in_staging_is_not_taken(self, ws: Workspace, copied: Artifact) -> None:
        """A file in staging that is not of the artifact goes, and the repair comes to its end."""
        suspect = spoil(ws, copied, "backup", FIRST)
        spoil(ws, copied, "nas", SECOND)
        staged = ws.stores["backup"].local(transfer.staging_of(copied))
        staged.mkdir(parents=True)
        (staged / "stranger").touch()
        repairing.repair(ws, suspect)
        assert whole(ws, copied, "backup")

    @pytest.mark.parametrize("why", ["another medium", "unknown"])
    def test_nothing_is_taken_from_where_nobody_knows_what_stands(self, ws: Workspace, copied: Artifact, why: str) -> None:
        """A location without its identity, or one that the site does not name any more, gives nothing, and ends no repair."""
        suspect = spoil(ws, copied, "backup", FIRST)
        spoil(ws, copied, "nas", SECOND)
        if why == "unknown":
            ws = dataclasses.replace(ws, stores={name: store for name, store in ws.stores.items() if name != "nas"})
        else:
            (ws.stores["nas"].store.root / MARKER).unlink()
        with pytest.raises(IntegrityError, match=FIRST):
            repairing.repair(ws, suspect)
        assert ws.stores["backup"].exists(copied.folder)

    @pytest.mark.parametrize("hostile", ["link", "folder", "pipe"])
    def test_what_is_no_file_is_not_taken(self, ws: Workspace, copied: Artifact, hostile: str) -> None:
        """A link to the right bytes, a folder or a pipe in a file's place is not followed, opened or waited for."""
        suspect = spoil(ws, copied, "backup", FIRST)
        folder = ws.stores["nas"].local(copied.folder)
        release(folder)
        good = (folder / FIRST).rename(ws.stores["nas"].store.root / "good")
        {
            "link": lambda: (folder / FIRST).symlink_to(good),
            "folder": (folder / FIRST).mkdir,
            "pipe": lambda: os.mkfifo(folder / FIRST),
        }[hostile]()
        inspecting.doubt(ws, copy_of(ws, copied, "nas"), "wrong")
        with pytest.raises(IntegrityError, match=FIRST):
            repairing.repair(ws, suspect)
        assert ws.stores["backup"].exists(copied.folder)


class TestRefused:
    """What is not repaired, and why."""

    def test_data_that_may_not_go_there(self, ws: Workspace, copied: Artifact) -> None:
        """An agreement that ended since stops a repair like any other transfer; nothing moves."""
        transfer.deliver(ws, copied, "partner")
        suspect = spoil(ws, copied, "partner")
        ws.catalogue.save_project(Project(id="PRJ-0001", origin="collaborator_industry"))
        with pytest.raises(EgressRefused):
            repairing.repair(ws, suspect)
        assert ws.stores["partner"].exists(copied.folder)

    def test_a_location_whose_audit_is_stopped(self, ws: Workspace, copied: Artifact) -> None:
        """Nothing is repaired onto a location that is itself in doubt, and a dry run says so."""
        suspect = spoil(ws, copied, "backup")
        ws.catalogue.set_brake("backup", "a broken mount", ws.now())
        with pytest.raises(Refused, match="a broken mount"):
            repairing.repair(ws, suspect)
        assert "a broken mount" in repairing.repair_all(ws)[0].said
        assert copy_of(ws, copied, "backup") == suspect

    @pytest.mark.parametrize("state", [CopyState.TRASHED, CopyState.REMOVED])
    def test_a_copy_on_its_way_out(self, ws: Workspace, copied: Artifact, state: CopyState) -> None:
        """What was let go since is not brought back by a repair."""
        suspect = spoil(ws, copied, "backup")
        ws.catalogue.change_copy(suspect.id, state=state)
        with pytest.raises(Refused, match=state):
            repairing.repair(ws, suspect)

    def test_a_copy_that_is_in_use(self, ws: Workspace, copied: Artifact) -> None:
        """Whoever has the artifact for himself goes first."""
        suspect = spoil(ws, copied, "backup")
        for scope in (copied.id, f"{copied.id} at backup"):
            with ws.catalogue.lease([scope], Use.ALONE, ws.now()), pytest.raises(LeaseTaken):
                repairing.repair(ws, suspect)
        assert copy_of(ws, copied, "backup") == suspect

    def test_a_location_without_space(self, ws: Workspace, copied: Artifact) -> None:
        """Nothing is set aside before the new bytes stand."""
        suspect = spoil(ws, copied, "backup")
        ws.stores["backup"].faults["put"] = fill_up
        with pytest.raises(OutOfSpace):
            repairing.repair(ws, suspect)
        assert copy_of(ws, copied, "backup") == suspect
        assert ws.stores["backup"].exists(copied.folder)

    def test_a_location_that_the_site_does_not_know(self, ws: Workspace, copied: Artifact) -> None:
        """A copy at a place that was taken out of the site file is told, and hinders no other."""
        transfer.deliver(ws, copied, "partner")
        spoil(ws, copied, "partner")
        spoil(ws, copied, "backup")
        space = dataclasses.replace(ws, stores={name: store for name, store in ws.stores.items() if name != "partner"})
        assert [(each.location, each.done) for each in repairing.repair_all(space, dry_run=False)] == [("backup", True), ("partner", False)]


class TestRepairAll:
    """All that is damaged, or what would be done."""

    def test_a_dry_run_says_from_where_and_changes_nothing(self, ws: Workspace, copied: Artifact) -> None:
        """Without being told to act it names the source, reads nothing, and leaves everything as it is."""
        suspect = spoil(ws, copied, "backup")
        for store in ws.stores.values():
            store.faults.update(dict.fromkeys(("put", "read_back", "set_aside", "move"), vanish))
        (would,) = repairing.repair_all(ws)
        assert (would.copy, would.state, would.wrong, would.done) == (suspect.id, CopyState.SUSPECT, "its bytes are wrong", False)
        assert "from nas" in would.said
        assert copy_of(ws, copied, "backup") == suspect

    def test_a_dry_run_says_where_no_copy_can_be_read(self, ws: Workspace, copied: Artifact) -> None:
        """Without a verified copy it says that what is left would be gathered; a place that is not there is told as such."""
        spoil(ws, copied, "backup")
        spoil(ws, copied, "nas")
        told: list[str] = []
        found = repairing.repair_all(ws, tell=told.append)
        assert ["would be gathered" in each.said for each in found] == [True, True]
        assert told == [f"{each.artifact} at {each.location}: {each.said}" for each in found]
        (ws.stores["backup"].store.root / MARKER).unlink()
        said = {each.location: each.said for each in repairing.repair_all(ws)}
        assert "does not show its identity" in said["backup"]
        assert "would be gathered" in said["nas"]

    def test_a_copy_that_is_being_put_in_place_is_not_damaged(self, ws: Workspace, copied: Artifact) -> None:
        """A transfer that was cut off, or is at work, is a transfer's matter."""
        ws.catalogue.start_copy(copied.id, "cold", copied.folder, ws.now())
        assert repairing.repair_all(ws) == []

    def test_one_that_cannot_be_repaired_hinders_no_other(self, ws: Workspace, copied: Artifact) -> None:
        """Each is tried; what could not be done is told."""
        other = _made(ws, copied, 7)
        inspecting.doubt(ws, copy_of(ws, other, "nas"), "wrong")
        release(ws.stores["nas"].local(other.folder))
        flip_bit(ws.stores["nas"].local(other.folder) / "file")
        spoil(ws, copied, "backup")
        found = repairing.repair_all(ws, dry_run=False)
        assert {each.location: each.done for each in found} == {"nas": False, "backup": True}
        assert "no copy has" in next(each.said for each in found if not each.done)

    def test_only_the_dataset_or_location_that_is_named(self, ws: Workspace, copied: Artifact) -> None:
        """A dataset's name, whole, or a location chooses; an unknown dataset is an error."""
        spoil(ws, copied, "backup")
        assert len(repairing.repair_all(ws, dataset=copied.dataset)) == 1
        assert len(repairing.repair_all(ws, location="backup")) == 1
        assert repairing.repair_all(ws, location="nas") == []
        with pytest.raises(NotInCatalogue):
            repairing.repair_all(ws, dataset="PRJ-0001/PLATE")

    def test_a_dataset_whose_name_begins_the_same_is_another(self, ws: Workspace, copied: Artifact) -> None:
        """Who repairs PLATE-A leaves PLATE-AB alone."""
        ws.catalogue.save_dataset(Dataset(project="PRJ-0001", name="PLATE-AB", pattern="plain", channels={1: "DNA"}))
        other = _made(ws, dataclasses.replace(copied, dataset="PRJ-0001/PLATE-AB"), 1, copied)
        inspecting.doubt(ws, copy_of(ws, other, "nas"), "wrong")
        spoil(ws, copied, "backup")
        assert [each.location for each in repairing.repair_all(ws, dataset=copied.dataset)] == ["backup"]
        assert [each.location for each in repairing.repair_all(ws, dataset=other.dataset)] == ["nas"]
        assert len(repairing.repair_all(ws)) == 2


class TestReadmitting:
    """A flaky cable, not a broken disk."""

    def test_a_copy_whose_bytes_match_counts_again(self, ws: Workspace, copied: Artifact) -> None:
        """A suspect copy that matches on a new reading is verified from now; who and why stay in a receipt, and nothing is written."""
        suspect = inspecting.doubt(ws, copy_of(ws, copied, "backup"), "a flaky cable")
        ws.stores["backup"].faults.update(dict.fromkeys(("put", "move", "set_aside"), vanish))
        now = ws.now.forward(days=1)
        readmitted = repairing.readmit(ws, suspect, "the cable was changed")
        assert (readmitted.state, readmitted.verified_at, readmitted.detail) == (CopyState.VERIFIED, now, "")
        (receipt,) = ws.catalogue.receipts("readmission")
        assert (receipt["copy"], receipt["wrong"], receipt["reason"]) == (suspect.id, "a flaky cable", "the cable was changed")

    def test_one_that_does_not_match_stays_suspect(self, ws: Workspace, copied: Artifact) -> None:
        """Wrong bytes are not let back in, whatever the reason."""
        suspect = spoil(ws, copied, "backup")
        with pytest.raises(IntegrityError, match=SECOND):
            repairing.readmit(ws, suspect, "please")
        assert copy_of(ws, copied, "backup") == suspect
        assert ws.catalogue.receipts("readmission") == []

    def test_only_with_a_reason_and_only_what_is_damaged(self, ws: Workspace, copied: Artifact) -> None:
        """No reason, a copy that counts anyway, and a number that is no damaged copy's are refused."""
        with pytest.raises(Refused):
            repairing.readmit(ws, copy_of(ws, copied, "backup"), "why not")
        suspect = inspecting.doubt(ws, copy_of(ws, copied, "backup"), "a flaky cable")
        with pytest.raises(InputError):
            repairing.readmit(ws, suspect, " ")
        assert repairing.one(ws, suspect.id) == suspect
        with pytest.raises(NotInCatalogue, match=f"got: {suspect.id}$"):
            repairing.one(ws, copy_of(ws, copied, "nas").id)
        repairing.readmit(ws, suspect, "the cable was changed")
        with pytest.raises(NotInCatalogue, match="nothing is damaged"):
            repairing.one(ws, suspect.id)

    def test_not_at_a_location_that_is_itself_in_doubt(self, ws: Workspace, copied: Artifact) -> None:
        """While its audit is stopped nothing there is let back in, however well it reads."""
        suspect = inspecting.doubt(ws, copy_of(ws, copied, "backup"), "a flaky cable")
        ws.catalogue.set_brake("backup", "a broken mount", ws.now())
        with pytest.raises(Refused, match="a broken mount"):
            repairing.readmit(ws, suspect, "the cable was changed")
        assert copy_of(ws, copied, "backup") == suspect
        assert ws.catalogue.receipts("readmission") == []


EFFECTS = ("put", "set_aside", "write_manifest", "move", "protect")
WRITES = ("change_copy", "set_aside", "add_receipt")


class Cutting:
    """A catalogue whose writes go through a fault first."""

    def __init__(self, real: Any, fault: Callable[[str, Callable[[], Any]], Any]) -> None:
        """Everything else goes to the real one."""
        self.real, self.fault = real, fault

    def __getattr__(self, name: str) -> Any:
        """One of the real catalogue's methods."""
        found = getattr(self.real, name)
        return (lambda *a, **k: self.fault(name, lambda: found(*a, **k))) if name in WRITES else found


def cut(ws: Workspace, at: int, *, after: bool) -> tuple[Workspace, list[str]]:
    """The same site whose run ends at the n-th effect, of the store or the catalogue, before it or after it; and the effects seen."""
    seen: list[str] = []

    def effect(name: str, real: Callable[[], Any]) -> Any:
        seen.append(name)
        if len(seen) != at:
            return real()
        if after:
            real()
        raise Killed(name)

    real = ws.stores["backup"].store
    faults = {name: lambda operation, _arguments, call: effect(f"store {operation}", call) for name in EFFECTS}
    return dataclasses.replace(ws, catalogue=Cutting(ws.catalogue, effect), stores={**ws.stores, "backup": FaultyStore(real, faults)}), seen


SUSPECT_EFFECTS = [
    "change_copy", "store put", "store set_aside", "add_receipt", "change_copy", "set_aside", "store write_manifest", "store move",
    "store protect", "change_copy",
]  # fmt: skip
LOST_EFFECTS = [name for name in SUSPECT_EFFECTS if "set_aside" not in name and name != "change_copy"]


class TestCutOff:
    """A run that was cut off between any two effects lost nothing, and the next finishes it."""

    def test_the_order_of_effects(self, ws: Workspace, copied: Artifact) -> None:
        """New bytes, old ones aside, receipt, row, final name, protection, `verified`: in this order."""
        suspect = spoil(ws, copied, "backup")
        cutting, seen = cut(ws, 0, after=False)
        repairing.repair(cutting, suspect)
        assert seen == SUSPECT_EFFECTS

    @pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
    @pytest.mark.parametrize("at", range(1, len(SUSPECT_EFFECTS) + 1), ids=lambda at: f"{at}-{SUSPECT_EFFECTS[at - 1]}")
    def test_a_suspect_copy(self, ws: Workspace, copied: Artifact, at: int, *, after: bool) -> None:
        """At each cut every old byte stands; the next run makes the copy whole, keeps the old bytes once, and a receipt tells of them."""
        suspect = spoil(ws, copied, "backup")
        damaged = every_byte(ws, "backup")
        cutting, _seen = cut(ws, at, after=after)
        with pytest.raises(Killed):
            repairing.repair(cutting, suspect)
        ws.now.forward(minutes=1)
        assert every_byte(ws, "backup") >= damaged
        state = copy_of(ws, copied, "backup").state
        assert state is not CopyState.VERIFIED or whole(ws, copied, "backup")
        if state is CopyState.COPYING:
            assert ws.catalogue.receipts("repair")
        repairing.repair_all(ws, dry_run=False)
        assert whole(ws, copied, "backup")
        assert [each.path for each in ws.catalogue.asides("backup")] == [repairing.aside(suspect, 1)]
        assert ws.stores["backup"].children(".coldchain/aside") == [f"{suspect.id}-1"]
        assert ws.stores["backup"].children(".coldchain/staging") == []
        assert {tuple(receipt["aside"]) for receipt in ws.catalogue.receipts("repair")} == {(repairing.aside(suspect, 1),)}
        assert repairing.repair_all(ws, dry_run=False) == []

    @pytest.mark.parametrize("at", range(1, 8))
    def test_a_lost_copy(self, ws: Workspace, copied: Artifact, at: int) -> None:
        """The same where there is nothing to set aside."""
        ws.stores["backup"].store.move(copied.folder, "elsewhere")
        lost = inspecting.doubt(ws, copy_of(ws, copied, "backup"), "gone")
        cutting, _seen = cut(ws, at, after=False)
        with pytest.raises(Killed):
            repairing.repair(cutting, lost)
        ws.now.forward(minutes=1)
        repairing.repair_all(ws, dry_run=False)
        assert whole(ws, copied, "backup")
        assert ws.catalogue.receipts("repair")
        assert ws.catalogue.asides() == []

    def test_a_transfer_finishes_it_too(self, ws: Workspace, copied: Artifact) -> None:
        """A repair that was cut off after the old bytes were set aside is finished by whoever delivers there next."""
        suspect = spoil(ws, copied, "backup")
        cutting, _seen = cut(ws, SUSPECT_EFFECTS.index("set_aside") + 1, after=True)
        with pytest.raises(Killed):
            repairing.repair(cutting, suspect)
        transfer.deliver(ws, copied, "backup")
        assert whole(ws, copied, "backup")

    def test_somebody_put_bytes_back_meanwhile(self, ws: Workspace, copied: Artifact) -> None:
        """Bytes set aside that nobody wrote down, and others in their old place: both are kept and written down."""
        suspect = spoil(ws, copied, "backup")
        cutting, _seen = cut(ws, SUSPECT_EFFECTS.index("store set_aside") + 1, after=True)
        with pytest.raises(Killed):
            repairing.repair(cutting, suspect)
        ws.stores["backup"].local(copied.folder).mkdir()
        (ws.stores["backup"].local(copied.folder) / "restored").write_bytes(b"by hand")
        repairing.repair(ws, suspect)
        assert [each.path for each in ws.catalogue.asides("backup")] == [repairing.aside(suspect, number) for number in (1, 2)]
        assert ws.stores["backup"].names(repairing.aside(suspect, 2)) == ["restored"]
        assert whole(ws, copied, "backup")

    def test_something_took_the_place_of_what_is_made_anew(self, ws: Workspace, copied: Artifact) -> None:
        """Cut off after the old bytes were written down, and a stranger stands in the copy's place: it is kept, and told, as well."""
        suspect = spoil(ws, copied, "backup")
        cutting, _seen = cut(ws, SUSPECT_EFFECTS.index("set_aside") + 1, after=True)
        with pytest.raises(Killed):
            repairing.repair(cutting, suspect)
        assert copy_of(ws, copied, "backup").state is CopyState.COPYING
        ws.stores["backup"].local(copied.folder).mkdir()
        (ws.stores["backup"].local(copied.folder) / "restored").write_bytes(b"by hand")
        repairing.repair(ws, suspect)
        assert whole(ws, copied, "backup")
        assert [(each.path, each.why) for each in ws.catalogue.asides("backup")] == [
            (repairing.aside(suspect, 1), "its bytes are wrong"),
            (repairing.aside(suspect, 2), "it stood in the copy's place"),
        ]
        assert [receipt["aside"] for receipt in ws.catalogue.receipts("repair")] == [
            [repairing.aside(suspect, number)] for number in (1, 2)
        ]

    def test_a_number_is_not_given_again(self, ws: Workspace, copied: Artifact) -> None:
        """What was set aside first was taken away by hand since: what is set aside next has a number of its own."""
        suspect = spoil(ws, copied, "backup")
        repairing.repair(ws, suspect)
        release(ws.stores["backup"].local(repairing.aside(suspect, 1)))
        ws.stores["backup"].store.delete(repairing.aside(suspect, 1))
        repairing.repair(ws, spoil(ws, copied, "backup"))
        assert [each.path for each in ws.catalogue.asides("backup")] == [repairing.aside(suspect, number) for number in (1, 2)]

    @pytest.mark.parametrize("operation", ["put", "read_back", "set_aside", "write_manifest", "move", "protect"])
    def test_a_location_that_vanishes(self, ws: Workspace, copied: Artifact, operation: str) -> None:
        """A location that goes at any step is told, and the next run completes."""
        suspect = spoil(ws, copied, "backup")
        ws.stores["backup"].faults[operation] = vanish
        with pytest.raises(LocationUnreachable):
            repairing.repair(ws, suspect)
        del ws.stores["backup"].faults[operation]
        assert len(repairing.repair_all(ws, dry_run=False)) == 1
        assert whole(ws, copied, "backup")


ASIDE = """
import sys
from pathlib import Path
from coldchain.location import Location
from coldchain.store import Protection
from coldchain.protection import protect
from coldchain.store_posix import PosixStore
root = Path(sys.argv[1])
store = PosixStore(Location(name="place", root="place", medium="disk", domain="place", site="here"), root)
print(protect(root / "data", Protection.PERMISSIONS).in_force)
store.set_aside("data", ".coldchain/aside/1-1")
aside = root / ".coldchain/aside/1-1"
print([oct(path.stat().st_mode & 0o222) for path in (aside, aside / "MANIFEST.sha256")])
"""


class TestProtected:
    """What is write-protected can be set aside, and is write-protected there."""

    def test_against_root(self, ws: Workspace, copied: Artifact) -> None:
        """The folder of the NAS is immutable as root, or read-only as anybody else, before and after it is set aside."""
        suspect = spoil(ws, copied, "nas")
        if suspect.protection == "none":
            pytest.skip("this user cannot protect anything on this file system")
        repairing.repair(ws, suspect)
        kept = ws.stores["nas"].local(ws.catalogue.asides("nas")[0].path)
        for attempt in (lambda: (kept / SECOND).write_bytes(b""), (kept / SECOND).unlink, lambda: kept.rename(kept.with_name("x"))):
            with pytest.raises(PermissionError):
                attempt()

    def test_as_an_ordinary_user(self) -> None:
        """Permission bits alone do not keep an ordinary user from setting aside what is his, and are as they were afterwards."""
        with tempfile.TemporaryDirectory() as name:  # other runs of pytest close their common folder to other users
            place = Path(name) / "place"
            (place / "data").mkdir(parents=True)
            (place / "data" / MANIFEST).write_bytes(b"a manifest\n")
            assert as_nobody(place, ASIDE).splitlines() == ["True", "['0o0', '0o0']"]
            release(place)

    def test_one_who_may_not_is_told(self, ws: Workspace, copied: Artifact) -> None:
        """A location that refuses the move: the copy stays suspect where it is, and the error says what is needed."""
        from coldchain.errors import ProtectionError

        suspect = spoil(ws, copied, "backup")

        def refuse(*_call: Any) -> None:
            raise ProtectionError("the protection of a folder cannot be changed")

        ws.stores["backup"].faults["set_aside"] = refuse
        assert [each.done for each in repairing.repair_all(ws, dry_run=False)] == [False]
        assert copy_of(ws, copied, "backup") == suspect


NOBODY = 65534


def as_nobody(folder: Path, code: str) -> str:
    """Run Python as an unprivileged user who owns a folder; gives what it printed."""
    if os.geteuid() != 0:
        return subprocess.run([sys.executable, "-c", code, str(folder)], check=True, capture_output=True, text=True).stdout.strip()
    for path in (folder.parent, folder, *folder.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    reading, writing = os.pipe()
    if (pid := os.fork()) == 0:  # everything is imported already: another user may not be able to read this Python
        try:
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            os.dup2(writing, 1)
            sys.argv, sys.stdout = ["-c", str(folder)], os.fdopen(1, "w")
            exec(code, {})  # noqa: S102 - our own lines, as another user
            sys.stdout.flush()
            os._exit(0)
        finally:
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading) as said:
        text = said.read()
    assert os.waitpid(pid, 0)[1] == 0
    return text.strip()
