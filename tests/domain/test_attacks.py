"""Attacks on the removal: histories in which the last good bytes, or something that nobody approved, could go. None does."""

from __future__ import annotations

import dataclasses
import datetime as dt
import errno
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from coldchain import inspecting, planning, removing, repairing, reviewing, sweeping, transfer, verifying
from coldchain.copies import Artifact, Copy, CopyState
from coldchain.errors import ColdchainError, ConfigurationError, LeaseTaken
from coldchain.levels import Level
from coldchain.location import Location, Medium
from coldchain.overrides import Check
from coldchain.policy import Policy
from coldchain.proposals import Answer
from coldchain.protection import release
from coldchain.site import Site
from coldchain.sql.catalogue import SqlCatalogue
from coldchain.store_posix import PosixStore
from coldchain.testing.faults import FaultyStore, flip_bit, vanish
from coldchain.workspace import Workspace

DATASET = "PRJ-0001/PLATE-A"


class Hanging(BaseException):
    """Ends what waits for ever: nothing of ours catches it."""


LASTING = {"levels": ["raw", "release"], "wanted": {"copies": 2}}
REST = {"levels": ["masks", "single_cell_profiles", "bulk_profiles"], "wanted": {"copies": 1}}
REMADE = {"levels": ["standard", "corrected", "single_cell_images"], "wanted": {"copies": 1}, "remake": True}
RAW_FOR_TEN_YEARS = LASTING | {"lifetime": {"years": 10, "notice_days": 0, "grace_days": 90}}


def purge(days: float = 7, **approval: str) -> dict[str, Any]:
    """Scratch goes at once, with days in the trash; nobody is asked where nothing is said."""
    return {"after_days": 0, "grace_days": days, "approval": {"original_stands": "none", "remake": "none"} | approval}


def under(ws: Workspace, **changes: Any) -> Workspace:
    """The same site under another policy, whose audits are monthly."""
    said = {"name": "attacked", "version": 1, "rules": [LASTING, REST, REMADE], "purge": purge()}
    return dataclasses.replace(ws, policy=Policy.model_validate(said | changes))


@pytest.fixture(autouse=True)
def released(ws: Workspace) -> Iterator[None]:
    """Lift write protection below the site at the end."""
    yield
    release(ws.site.path("."))


@pytest.fixture
def staged(ws: Workspace, made: Callable[..., Artifact]) -> Artifact:
    """A standard that stands on the NAS and is staged on scratch: due at once."""
    artifact = made(Level.STANDARD, {"0/c/0": b"pixels", "zarr.json": b"{}"}, at="nas")
    transfer.deliver(ws, artifact, "scratch")
    return artifact


@pytest.fixture
def masks(ws: Workspace, made: Callable[..., Artifact]) -> Artifact:
    """Masks that stand on the NAS and on scratch, and cannot be made again."""
    artifact = made(Level.MASKS, {"m": b"masks", "n": b"more"}, at="nas")
    transfer.deliver(ws, artifact, "scratch")
    return artifact


def copy_at(ws: Workspace, artifact: Artifact, location: str) -> Copy:
    """The newest copy of an artifact at a location."""
    return ws.catalogue.copies(artifact=artifact.id, location=location)[-1]


def folder(ws: Workspace, copy: Copy) -> Path:
    """Local folder of a copy, in the trash where it is there."""
    return ws.store(copy.location).local(transfer.trash(copy) if copy.state is CopyState.TRASHED else copy.path)


def lose(ws: Workspace, artifact: Artifact, location: str) -> None:
    """Make a copy unreadable, and let it be known."""
    copy = copy_at(ws, artifact, location)
    release(folder(ws, copy))
    for path in folder(ws, copy).rglob("*"):
        if path.is_file():
            path.write_bytes(b"zero")
    inspecting.doubt(ws, copy, "its disk died")


def answer(ws: Workspace, notice: int, said: Answer) -> None:
    """Answer a notice as ada."""
    ws.catalogue.answer(notice, said, "ada@lab", "command line", "because", ws.now())


class TestTakingBack:
    """What is in the trash, when something else stands in its place."""

    def test_the_last_bytes_in_the_trash_outlive_a_stranger_in_their_place(self, ws: Workspace, clock: Any, masks: Artifact) -> None:
        """A job writes into the folder of a copy that is in the trash, then the NAS loses its copy: the trash keeps the last bytes."""
        ws = under(ws)
        sweeping.sweep(ws, dry_run=False)
        copy = copy_at(ws, masks, "scratch")
        stranger = ws.stores["scratch"].local(copy.path)
        stranger.mkdir(parents=True)
        (stranger / "job.log").write_bytes(b"still running")
        lose(ws, masks, "nas")
        clock.forward(days=8)
        report = sweeping.sweep(ws, dry_run=False)
        assert (folder(ws, copy) / "m").read_bytes() == b"masks"
        assert (stranger / "job.log").read_bytes() == b"still running"
        assert any("something else stands" in reason for line in report.dropped.lines for reason in line.reasons)
        release(stranger)
        (stranger / "job.log").unlink()
        stranger.rmdir()
        sweeping.sweep(ws, dry_run=False)
        assert copy_at(ws, masks, "scratch").state is CopyState.VERIFIED

    def test_emptying_the_trash_leaves_a_stranger_in_its_place_alone(self, ws: Workspace, clock: Any, staged: Artifact) -> None:
        """What a job wrote where the copy stood was never approved: the trash is emptied, and it stays."""
        ws = under(ws)
        sweeping.sweep(ws, dry_run=False)
        copy = copy_at(ws, staged, "scratch")
        stranger = ws.stores["scratch"].local(copy.path)
        stranger.mkdir(parents=True)
        (stranger / "results.csv").write_bytes(b"the only ones")
        clock.forward(days=8)
        sweeping.sweep(ws, dry_run=False)
        assert (stranger / "results.csv").read_bytes() == b"the only ones"
        assert not ws.stores["scratch"].exists(transfer.trash(copy))

    def test_raw_that_took_the_place_of_raw_is_not_taken_for_it(self, ws: Workspace, clock: Any, ingested: Artifact) -> None:
        """Ten years on, raw waits in the trash and its dataset is acquired anew, at the same path: the new bytes stay."""
        ws = under(ws, rules=[RAW_FOR_TEN_YEARS, REST, REMADE])
        for place in ("cold", "backup"):
            transfer.deliver(ws, ingested, place)
        clock.forward(days=3660)
        answer(ws, sweeping.sweep(ws, dry_run=False).notice, Answer.YES)
        sweeping.sweep(ws, dry_run=False)
        gone = [copy for copy in ws.catalogue.copies(artifact=ingested.id) if copy.state is CopyState.TRASHED]
        assert gone
        newer = Artifact(DATASET, Level.RAW, "ab" * 32, 1, 3, ingested.activity, ws.now())
        place = gone[0].location
        path = ws.stores[place].local(newer.folder)
        path.mkdir(parents=True)
        (path / "new.tif").write_bytes(b"new")
        clock.forward(days=91)
        sweeping.sweep(ws, dry_run=False)
        assert (path / "new.tif").read_bytes() == b"new"

    def test_half_a_copy_in_the_trash_helps_to_gather(self, ws: Workspace, clock: Any, masks: Artifact) -> None:
        """The trash has one file and the NAS the other: a recall that failed does not hide what is in the trash from repair."""
        ws = under(ws)
        sweeping.sweep(ws, dry_run=False)
        (folder(ws, copy_at(ws, masks, "scratch")) / "n").unlink()
        nas = ws.stores["nas"].local(masks.folder)
        release(nas)
        flip_bit(nas / "m")
        inspecting.doubt(ws, copy_at(ws, masks, "nas"), "a bit flipped")
        clock.forward(days=8)
        with pytest.raises(ColdchainError):
            transfer.deliver(ws, masks, "scratch")
        assert repairing.repair(ws, copy_at(ws, masks, "nas")).state is CopyState.VERIFIED
        assert (nas / "m").read_bytes() == b"masks"


class Meanwhile:
    """The real catalogue; just before a lease is taken for the first time, somebody else does something."""

    def __init__(self, catalogue: Any, act: Callable[[], Any]) -> None:
        """Everything else goes to the real one."""
        self.catalogue, self.acts = catalogue, [act]

    def __getattr__(self, name: str) -> Any:
        """One of the real catalogue's methods."""
        while name == "lease" and self.acts:
            self.acts.pop()()
        return getattr(self.catalogue, name)


class TestCutOff:
    """A deletion that was cut off between two of its steps, and what came before the next sweep."""

    @pytest.fixture
    def old(self, ws: Workspace, made: Callable[..., Artifact], clock: Any) -> tuple[Workspace, Artifact]:
        """Masks on the NAS alone whose lifetime is over, under a policy that lets them go at once without asking."""
        short = REST | {"levels": ["masks"], "lifetime": {"years": 1, "notice_days": 0, "grace_days": 0, "approval": "none"}}
        space = under(ws, rules=[LASTING, short, REST | {"levels": ["single_cell_profiles", "bulk_profiles"]}, REMADE])
        artifact = made(Level.MASKS, {"m": b"masks"}, at="nas")
        clock.forward(days=367)
        return space, artifact

    def test_a_deletion_that_took_the_last_manifest_is_ended(self, old: tuple[Workspace, Artifact]) -> None:
        """Nobody can say any more what belonged to the folder; that it goes was written down before, so the rest goes too."""
        ws, artifact = old

        def half(_operation: str, arguments: tuple[Any, ...], _real: Callable[[], Any]) -> Any:
            place = ws.stores["nas"].local(arguments[0])
            release(place)
            (place / "MANIFEST.sha256").unlink()
            raise Hanging("the power went out")

        ws.stores["nas"].faults["destroy"] = half
        with pytest.raises(Hanging):
            sweeping.sweep(ws, dry_run=False)
        ws.stores["nas"].faults.clear()
        copy = copy_at(ws, artifact, "nas")
        assert ws.stores["nas"].exists(transfer.trash(copy))
        assert sweeping.sweep(ws, dry_run=False).removed.count == 1
        assert not ws.stores["nas"].exists(transfer.trash(copy))
        assert [line["copy"] for receipt in ws.catalogue.receipts("removal") for line in receipt["removed"]] == [copy.id]

    @pytest.fixture
    def begun(self, ws: Workspace, masks: Artifact) -> Workspace:
        """Masks on scratch in the trash, whose deletion was begun and cut off before the first byte; then the NAS lost its copy."""
        space = under(ws, purge=purge(0))

        def cut(*_call: Any) -> Any:
            raise Hanging("the power went out")

        space.stores["scratch"].faults["destroy"] = cut
        with pytest.raises(Hanging):
            sweeping.sweep(space, dry_run=False)
        space.stores["scratch"].faults.clear()
        lose(space, masks, "nas")
        return space

    @pytest.mark.parametrize("where", ["in the trash", "in its place"])
    def test_a_deletion_that_was_only_begun_is_taken_back(self, begun: Workspace, masks: Artifact, where: str) -> None:
        """Its bytes are the last ones, in the trash or back in their place: they count again, and no receipt says that they went."""
        copy, store = copy_at(begun, masks, "scratch"), begun.stores["scratch"]
        if where == "in its place":
            store.set_aside(transfer.trash(copy), copy.path)
        report = sweeping.sweep(begun, dry_run=False)
        assert (report.recalled.count, report.removed.count) == (1, 0)
        copy = copy_at(begun, masks, "scratch")
        assert copy.state is CopyState.VERIFIED
        assert (folder(begun, copy) / "m").read_bytes() == b"masks"
        assert begun.catalogue.receipts("removal") == []

    def test_a_deletion_that_two_sweeps_end_has_one_receipt(self, begun: Workspace, masks: Artifact) -> None:
        """Another sweep wrote it while this one waited for its turn: nothing is left to end, and nothing is said twice."""
        copy = copy_at(begun, masks, "scratch")
        begun.stores["scratch"].destroy(transfer.trash(copy))
        others: list[str] = []
        meanwhile = Meanwhile(begun.catalogue, lambda: others.append(removing.end_deletion(begun, copy, "attacked v1")))
        assert removing.end_deletion(dataclasses.replace(begun, catalogue=meanwhile), copy, "attacked v1") == ""
        assert [receipt["digest"] for receipt in begun.catalogue.receipts("removal")] == others
        assert copy_at(begun, masks, "scratch").state is CopyState.REMOVED

    def test_nothing_is_brought_back_twice(self, ws: Workspace, masks: Artifact) -> None:
        """Another run took the copy out of the trash since it was looked at: whoever comes second is told, and touches nothing."""
        ws = under(ws)
        sweeping.sweep(ws, dry_run=False)
        stale = copy_at(ws, masks, "scratch")
        brought = transfer.deliver(ws, masks, "scratch")
        with pytest.raises(LeaseTaken, match="not in the trash any more"):
            removing.bring_back(ws, masks, stale)
        assert copy_at(ws, masks, "scratch") == brought

    def test_bytes_that_never_reached_the_trash_come_back_where_they_are(self, ws: Workspace, masks: Artifact) -> None:
        """Cut off after the copy stopped counting and before its folder moved: once nothing covers it, it counts again from where it is."""
        ws = under(ws, purge=purge(0))

        def cut(*_call: Any) -> Any:
            raise Hanging("the power went out")

        ws.stores["scratch"].faults["set_aside"] = cut
        with pytest.raises(Hanging):
            sweeping.sweep(ws, dry_run=False)
        lose(ws, masks, "nas")
        assert sweeping.sweep(ws, dry_run=False).recalled.count == 1
        assert (ws.stores["scratch"].local(masks.folder) / "m").read_bytes() == b"masks"


class TestConsentInTheTrash:
    """What people said is true as long as bytes are there."""

    def test_a_no_during_the_grace_brings_the_copy_back(self, ws: Workspace, clock: Any, staged: Artifact) -> None:
        """Who says no while a copy waits in the trash is told that it stays: it comes back, and stays."""
        ws = under(ws, purge=purge(original_stands="person"))
        notice = sweeping.sweep(ws, dry_run=False).notice
        answer(ws, notice, Answer.YES)
        sweeping.sweep(ws, dry_run=False)
        assert copy_at(ws, staged, "scratch").state is CopyState.TRASHED
        answer(ws, notice, Answer.NO)
        clock.forward(days=8)
        for _night in range(2):
            sweeping.sweep(ws, dry_run=False)
            assert copy_at(ws, staged, "scratch").state is CopyState.VERIFIED

    @pytest.mark.usefixtures("staged")
    def test_the_receipt_names_who_approved_however_long_the_grace(self, ws: Workspace, clock: Any) -> None:
        """Nightly sweeps in between do not forget who said yes to what is in the trash."""
        ws = under(ws, purge=purge(original_stands="person"))
        notice = sweeping.sweep(ws, dry_run=False).notice
        answer(ws, notice, Answer.YES)
        for _night in range(9):
            report = sweeping.sweep(ws, dry_run=False)
            assert report.dropped.lines == []
            clock.forward(days=1)
        (receipt,) = ws.catalogue.receipts("removal")
        assert (receipt["removed"][0]["approved_by"], receipt["removed"][0]["notice"]) == ("ada@lab", notice)

    def test_a_ground_that_needs_a_person_is_not_slipped_in_through_the_trash(self, ws: Workspace, clock: Any, staged: Artifact) -> None:
        """Staged without asking because the original stood; that is lost in the grace: what could only be made again waits for a yes."""
        ws = under(ws, purge=purge(remake="person"), rules=[LASTING | {"wanted": {"copies": 2}}, REST, REMADE])
        transfer.deliver(ws, ws.current(DATASET, Level.RAW), "backup")
        sweeping.sweep(ws, dry_run=False)
        assert copy_at(ws, staged, "scratch").state is CopyState.TRASHED
        lose(ws, staged, "nas")
        clock.forward(days=8)
        report = sweeping.sweep(ws, dry_run=False)
        assert report.removed.lines == []
        assert copy_at(ws, staged, "scratch").state is CopyState.VERIFIED
        assert sweeping.sweep(ws, dry_run=False).noticed.count == 1

    def test_a_yes_does_not_reach_a_copy_that_was_taken_back(self, ws: Workspace, staged: Artifact) -> None:
        """A copy that somebody staged again out of the trash is another matter: the old yes does not let it go."""
        ws = under(ws, purge=purge(original_stands="person"))
        answer(ws, sweeping.sweep(ws, dry_run=False).notice, Answer.YES)
        sweeping.sweep(ws, dry_run=False)
        transfer.deliver(ws, staged, "scratch")
        report = sweeping.sweep(ws, dry_run=False)
        assert report.trashed.lines == []
        assert (report.noticed.count, copy_at(ws, staged, "scratch").state) == (1, CopyState.VERIFIED)


class TestNeighbours:
    """Others at work at the same time, or a sweep that was stopped and goes on."""

    def test_a_sweep_that_was_stopped_while_it_empties_the_trash_deletes_nothing_that_was_taken_out(
        self, ws: Workspace, clock: Any, masks: Artifact, staged: Artifact
    ) -> None:
        """Suspended before a deletion until its lease ended; meanwhile both copies are taken out and the NAS dies: they are the last."""
        ws = under(ws)
        sweeping.sweep(ws, dry_run=False)
        clock.forward(days=8)
        stopped: list[str] = []

        def tell(line: str) -> None:
            if line.startswith("delete") and not stopped:
                stopped.append(line)
                clock.forward(minutes=16)
                other = dataclasses.replace(ws, catalogue=SqlCatalogue(ws.catalogue.url))
                for artifact in (masks, staged):
                    assert transfer.deliver(other, artifact, "scratch").state is CopyState.VERIFIED
                    lose(other, artifact, "nas")
                other.catalogue.close()

        report = sweeping.sweep(ws, dry_run=False, tell=tell)
        assert stopped
        assert report.removed.lines == []
        for artifact, name, content in ((masks, "m", b"masks"), (staged, "0/c/0", b"pixels")):
            copy = copy_at(ws, artifact, "scratch")
            assert copy.state is CopyState.VERIFIED
            assert (folder(ws, copy) / name).read_bytes() == content
        assert ws.catalogue.receipts("removal") == []

    def test_dating_copies_anew_does_not_shorten_a_grace(self, ws: Workspace, staged: Artifact) -> None:
        """A sweep dates copies anew by what it read before another one put a copy in the trash: that copy keeps its days there."""
        ws = under(ws, purge=purge() | {"idle_days": 1})
        before = copy_at(ws, staged, "scratch")
        ws.catalogue.change_copy(before.id, due_at=ws.now() - dt.timedelta(days=30))
        read = copy_at(ws, staged, "scratch")
        sweeping.sweep(ws, dry_run=False)
        until = copy_at(ws, staged, "scratch").due_at
        planning.redate(ws, [read])
        assert copy_at(ws, staged, "scratch").due_at == until

    def test_a_reading_does_not_bring_a_removed_copy_back_into_the_catalogue(self, ws: Workspace, staged: Artifact) -> None:
        """Somebody verifies a copy while the sweep removes it: it is removed, and nobody is told that it was lost."""
        ws = under(ws, purge=purge(0))

        def swept(_operation: str, _arguments: tuple[Any, ...], real: Callable[[], Any]) -> Any:
            ws.stores["scratch"].faults.clear()
            sweeping.sweep(ws, dry_run=False)
            return real()

        ws.stores["scratch"].faults["manifest"] = swept
        verifying.verify(ws, location="scratch")
        assert copy_at(ws, staged, "scratch").state in {CopyState.REMOVED, CopyState.VERIFIED}

    def test_what_is_made_from_it_is_read_back_before_an_input_goes_for_good(
        self, ws: Workspace, clock: Any, made: Callable[..., Artifact]
    ) -> None:
        """The lifetime of an input is over because what was made from it stands: that is read before, and has rotted."""
        short = REST | {"levels": ["masks"], "lifetime": {"years": 1, "notice_days": 0, "grace_days": 0, "approval": "none"}}
        kept = {"levels": ["single_cell_profiles", "bulk_profiles"], "wanted": {"copies": 1, "verified_within_days": 3660}}
        ws = under(ws, rules=[LASTING, short, kept, REMADE])
        masks = made(Level.MASKS, {"m": b"masks"}, at="nas")
        profiles = made(Level.SINGLE_CELL_PROFILES, {"p": b"profiles"}, (masks,), at="nas")
        planning.redate(ws, ws.catalogue.copies(artifact=masks.id))
        clock.forward(days=367)
        ws.catalogue.change_copy(copy_at(ws, profiles, "nas").id, verified_at=ws.now() - dt.timedelta(days=1))
        ws.catalogue.change_copy(copy_at(ws, masks, "nas").id, verified_at=ws.now() - dt.timedelta(days=1))
        path = folder(ws, copy_at(ws, profiles, "nas"))
        release(path)
        flip_bit(path / "p")
        report = sweeping.sweep(ws, dry_run=False)
        assert report.removed.lines == []
        assert copy_at(ws, masks, "nas").state is CopyState.VERIFIED


class TestPlaces:
    """Locations that are not what they seem."""

    @pytest.fixture
    def mirrored(self, ws: Workspace) -> Iterator[Workspace]:
        """A location whose data folder is the NAS's own, mounted there once more."""
        if os.geteuid() != 0:
            pytest.skip("no test of mounts: not root")
        mirror = Location(name="mirror", root="mirror", medium=Medium.TAPE, domain="mirror", site="elsewhere")
        site = Site.model_validate(ws.site.model_dump() | {"locations": (*ws.site.locations, mirror)})
        site._folder = ws.site._folder
        space = dataclasses.replace(ws, site=site, stores={**ws.stores, "mirror": FaultyStore(PosixStore(mirror, site.path("mirror")))})
        space.register()
        inner = site.path("mirror") / "projects"
        inner.mkdir()
        (site.path("nas") / "projects").mkdir(exist_ok=True)
        if subprocess.run(["mount", "--bind", site.path("nas") / "projects", inner], check=False).returncode:
            pytest.skip("no test of mounts: this machine does not mount")
        yield space
        release(site.path("nas"))
        subprocess.run(["umount", inner], check=True)

    def test_one_folder_under_two_roots_is_not_two_copies(self, mirrored: Workspace, made: Callable[..., Artifact]) -> None:
        """The mirror's folder is the NAS's: what is delivered there is said to be the same folder, and does not count."""
        artifact = made(Level.MASKS, {"m": b"masks"}, at="nas")
        with pytest.raises(ConfigurationError, match="same folder"):
            transfer.deliver(mirrored, artifact, "mirror")
        assert copy_at(mirrored, artifact, "mirror").state is CopyState.COPYING

    def test_a_copy_that_went_with_another_is_not_leaned_on(self, mirrored: Workspace, clock: Any, ingested: Artifact) -> None:
        """What leans on the mirror moved with what went from the NAS: it is read again before the trash is emptied, and raw comes back."""
        rule = LASTING | {"wanted": {"copies": 2}, "lifetime": {"years": 10, "notice_days": 0, "grace_days": 0}}
        ws = under(mirrored, rules=[rule, REST, REMADE])
        nas = copy_at(ws, ingested, "nas")
        mirror = ws.catalogue.start_copy(ingested.id, "mirror", nas.path, ws.now())
        ws.catalogue.change_copy(mirror.id, state=CopyState.VERIFIED, verified_at=ws.now(), protection="immutable")
        clock.forward(days=3660)
        answer(ws, sweeping.sweep(ws, dry_run=False).notice, Answer.YES)
        report = sweeping.sweep(ws, dry_run=False)
        sweeping.sweep(ws, dry_run=False)
        assert report.removed.lines == []
        assert (ws.stores["nas"].local(nas.path) / "A01_f1_c1.tif").read_bytes() == bytes([0]) * 3000

    @pytest.mark.parametrize("what", ["a file", "a link that leads out", "another file system"])
    def test_a_trash_that_is_none_stops_neither_the_sweep_nor_loses_a_byte(
        self, ws: Workspace, staged: Artifact, masks: Artifact, tmp_path: Path, what: str
    ) -> None:
        """What cannot be moved to the trash stays where it is with a reason, and the sweep goes on to its end."""
        ws = under(ws, purge=purge(0))
        trash = ws.site.path("scratch") / ".coldchain/trash"
        if what == "a file":
            trash.write_bytes(b"")
        elif what == "a link that leads out":
            (tmp_path / "out").mkdir()
            trash.symlink_to(tmp_path / "out")
        else:
            ws.stores["scratch"].faults["set_aside"] = _other_file_system(ws.stores["scratch"].store)
        report = sweeping.sweep(ws, dry_run=False)
        assert (report.removed.count, report.receipts) == (0, [])
        assert {line.artifact for line in report.dropped.lines} == {staged.label, masks.label}
        assert (ws.stores["scratch"].store.root / masks.folder / "m").read_bytes() == b"masks"
        assert len(ws.catalogue.receipts("sweep")) == 1

    def test_a_folder_that_somebody_keeps_open_does_not_stop_the_others(self, ws: Workspace, staged: Artifact, masks: Artifact) -> None:
        """NFS keeps a file of a deleted folder that is open: that copy is told, and the others get their receipt."""
        ws = under(ws, purge=purge(0))
        busy = transfer.trash(copy_at(ws, staged, "scratch"))
        real = PosixStore.delete

        def delete(store: PosixStore, path: str) -> None:
            if path == busy:
                with store._refusing("the location refuses a removal", path):
                    raise OSError(errno.EBUSY, "Device or resource busy")
            real(store, path)

        PosixStore.delete = delete  # type: ignore[method-assign]
        try:
            report = sweeping.sweep(ws, dry_run=False)
        finally:
            PosixStore.delete = real  # type: ignore[method-assign]
        assert [line.artifact for line in report.removed.lines] == [masks.label]
        assert any("busy" in reason for line in report.dropped.lines for reason in line.reasons)

    def test_a_pipe_among_the_files_does_not_hang_the_sweep(self, ws: Workspace, staged: Artifact) -> None:
        """A named pipe in a folder on scratch would block whoever opens it: the sweep does not."""
        ws = under(ws, purge=purge(0))
        os.mkfifo(folder(ws, copy_at(ws, staged, "scratch")) / "pipe")

        def hangs(_signal: int, _frame: object) -> None:
            raise Hanging("the sweep hangs at a pipe")

        signal.signal(signal.SIGALRM, hangs)
        signal.alarm(20)
        try:
            report = sweeping.sweep(ws, dry_run=False)
        finally:
            signal.alarm(0)
        assert report.removed.count == 0
        assert any("not a regular file" in reason for line in report.dropped.lines for reason in line.reasons)

    def test_a_pipe_in_the_trash_does_not_hang_the_sweep(self, ws: Workspace, clock: Any, staged: Artifact) -> None:
        """The same, put there while the copy waited in the trash."""
        ws = under(ws)
        sweeping.sweep(ws, dry_run=False)
        os.mkfifo(folder(ws, copy_at(ws, staged, "scratch")) / "pipe")
        clock.forward(days=8)

        def hangs(_signal: int, _frame: object) -> None:
            raise Hanging("the sweep hangs at a pipe")

        signal.signal(signal.SIGALRM, hangs)
        signal.alarm(20)
        try:
            report = sweeping.sweep(ws, dry_run=False)
        finally:
            signal.alarm(0)
        assert report.removed.count == 0
        assert any("not a regular file" in reason for line in report.dropped.lines for reason in line.reasons)

    def test_what_somebody_put_into_a_folder_does_not_go_with_it(self, ws: Workspace, staged: Artifact, masks: Artifact) -> None:
        """A scientist leaves a table in a staged folder: nobody was told that it goes, so the folder stays, and the others go."""
        ws = under(ws, purge=purge(0))
        mine = folder(ws, copy_at(ws, staged, "scratch")) / "mine.csv"
        mine.write_bytes(b"a week's work")
        report = sweeping.sweep(ws, dry_run=False)
        assert mine.read_bytes() == b"a week's work"
        assert [line.artifact for line in report.removed.lines] == [masks.label]
        assert any("mine.csv" in reason for line in report.dropped.lines for reason in line.reasons)
        assert copy_at(ws, staged, "scratch").state is CopyState.VERIFIED

    def test_deleting_lifts_no_protection_of_what_shares_its_bytes(self, ws: Workspace, staged: Artifact) -> None:
        """A file in the trash that is linked elsewhere, as some tools save space: the other name keeps its protection."""
        ws = under(ws, purge=purge(0))
        here = folder(ws, copy_at(ws, staged, "scratch")) / "zarr.json"
        here.chmod(0o444)
        elsewhere = ws.site.path("scratch") / "shared"
        os.link(here, elsewhere)
        assert sweeping.sweep(ws, dry_run=False).removed.count == 1
        assert elsewhere.stat().st_mode & 0o222 == 0

    @pytest.mark.usefixtures("staged")
    def test_a_place_that_does_not_tell_its_space_does_not_stop_the_sweep(self, ws: Workspace) -> None:
        """Scratch vanishes between two looks: nothing goes early there, and the sweep goes on."""
        ws = under(ws, purge=purge(0), high_water={"start": 0.85, "stop": 0.7, "after_days": 0})
        ws.stores["scratch"].faults["capacity"] = vanish
        assert sweeping.sweep(ws, dry_run=False).removed.count == 1


class TestDates:
    """Days at the end of the calendar."""

    @pytest.mark.usefixtures("staged")
    def test_an_override_until_the_end_of_the_calendar(self, ws: Workspace) -> None:
        """Who types the last day there is for "always" stops no review."""
        override = ws.catalogue.add_override(DATASET, Check.COPIES, "moving house", "ada", dt.date.max, ws.now())
        ws.catalogue.approve_override(override.id, "bob", "command line", ws.now())
        assert reviewing.review(under(ws)) > 0

    def test_a_copy_that_came_at_the_end_of_the_calendar(self, ws: Workspace, staged: Artifact) -> None:
        """A clock that stood in December 9999 when a copy came hinders no sweep afterwards, and nothing goes by it."""
        copy = copy_at(ws, staged, "scratch")
        ws.catalogue.change_copy(copy.id, created_at=dt.datetime(9999, 12, 1, tzinfo=dt.UTC))
        report = sweeping.sweep(under(ws), dry_run=False)
        assert report.trashed.count == 0
        assert copy_at(ws, staged, "scratch").state is CopyState.VERIFIED


class TestNames:
    """Names and manifests that somebody tampered with."""

    def test_a_manifest_that_names_an_odd_file_twice(self, ws: Workspace, masks: Artifact) -> None:
        """A source whose manifest repeats a name that is no UTF-8 is passed over, and the next one is taken."""
        nas = ws.stores["nas"].local(masks.folder)
        release(nas)
        line = b"0" * 64 + b"  \xff\n"
        (nas / "MANIFEST.sha256").write_bytes(line + line)
        transfer.deliver(ws, masks, "backup")
        assert copy_at(ws, masks, "nas").state is CopyState.SUSPECT


def _other_file_system(store: Any) -> Callable[..., Any]:
    def fault(_operation: str, arguments: tuple[Any, ...], _real: Callable[[], Any]) -> Any:
        with store._refusing("the location refuses to move a folder", arguments[0]):
            raise OSError(errno.EXDEV, "Invalid cross-device link")

    return fault
