"""Taking an acquisition in, and making artifacts: once, with their provenance, and finished where they were cut off."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from coldchain import making
from coldchain.copies import Artifact, CopyState
from coldchain.dataset import Project
from coldchain.errors import EgressRefused, InputError, LeaseTaken, LocationUnreachable, NotInCatalogue, UnsafePathError
from coldchain.files import no_progress
from coldchain.holds import Use
from coldchain.levels import Level
from coldchain.manifest import MANIFEST
from coldchain.sql.catalogue import SqlCatalogue
from coldchain.testing.faults import flip_bit, lose_bytes, vanish
from coldchain.workspace import Workspace

RAW = making.Step("ingest", "PRJ-0001/PLATE-A", Level.RAW)
EFFECTS = ("put", "read_back", "write_manifest", "move", "protect", "delete")


class CutOff(BaseException):
    """Ends a run as a kill would: nothing of ours catches it."""


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


def snapshot(folder: Path) -> dict[str, tuple[bytes, int, int]]:
    """Bytes, mode and time of every file."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mode, path.stat().st_mtime_ns) for path in files}


def staging(ws: Workspace, location: str) -> list[Path]:
    """List what stands in a location's staging."""
    return sorted((ws.stores[location].store.root / ".coldchain" / "staging").glob("*"))


def take_in(ws: Workspace, source: Path) -> making.Made:
    """Take an acquisition in to the NAS."""
    return making.take_in(ws, RAW, source, "nas", no_progress)


class Work:
    """A step's work that counts how often it was done."""

    def __init__(self, content: bytes = b"made") -> None:
        self.done, self.content = 0, content

    def __call__(self, inputs: list[Path], target: Path) -> making.Outcome:
        """Write one file, and tell of the inputs."""
        self.done += 1
        (target / "out.bin").write_bytes(self.content)
        return making.Outcome(findings={"inputs": len(inputs)})


class TestTakeIn:
    """An acquisition comes in as it is."""

    def test_raw_is_as_the_instrument_wrote_it(self, ws: Workspace, acquisition: Path) -> None:
        """Every byte and time arrives; the acquisition itself is only read; provenance is written down."""
        before = snapshot(acquisition)
        made = take_in(ws, acquisition)
        assert made.new
        assert snapshot(acquisition) == before
        (copy,) = ws.catalogue.copies(artifact=made.artifact.id)
        folder = ws.stores["nas"].local(copy.path)
        arrived = {name: (data, time) for name, (data, _, time) in snapshot(folder).items() if name != MANIFEST}
        assert arrived == {name: (data, time) for name, (data, _, time) in before.items()}
        assert (made.artifact.files, made.artifact.bytes) == (5, sum(len(data) for data, _, _ in before.values()))
        assert copy.state is CopyState.VERIFIED
        assert ws.catalogue.activity(made.artifact.activity).inputs == ()

    def test_a_second_run_does_nothing(self, ws: Workspace, acquisition: Path) -> None:
        """The same acquisition again is found, says so, and writes nothing."""
        first = take_in(ws, acquisition)
        seen = cut(ws, "nas", 0, after=False)
        second = take_in(ws, acquisition)
        assert (second.artifact, second.new, seen) == (first.artifact, False, [])

    def test_an_acquisition_that_is_gone_was_taken_in(self, ws: Workspace, acquisition: Path) -> None:
        """Once taken in, the acquisition's folder is not needed any more."""
        first = take_in(ws, acquisition)
        acquisition.rename(acquisition.with_name("cleared"))
        assert take_in(ws, acquisition).artifact == first.artifact

    @pytest.mark.parametrize("change", ["a file more", "a file less", "a byte more", "another byte"])
    def test_a_changed_acquisition_is_refused(self, ws: Workspace, acquisition: Path, change: str) -> None:
        """What changed after it was taken in is another acquisition, even where count, size and times are the same."""
        take_in(ws, acquisition)
        victim = acquisition / "A01_f1_c1.tif"
        if change == "a file more":
            (acquisition / "new.tif").touch()
        elif change == "a file less":
            (acquisition / "finished").unlink()
        elif change == "a byte more":
            victim.write_bytes(victim.read_bytes() + b"x")
        else:
            flip_bit(victim)
        before = snapshot(ws.stores["nas"].local("projects/PRJ-0001/raw/PLATE-A"))
        with pytest.raises(InputError, match="another dataset"):
            take_in(ws, acquisition)
        assert snapshot(ws.stores["nas"].local("projects/PRJ-0001/raw/PLATE-A")) == before

    @pytest.mark.parametrize("change", ["a new file", "a written file", "a removed file"])
    def test_an_acquisition_that_still_runs_is_refused(self, ws: Workspace, acquisition: Path, change: str) -> None:
        """What the instrument writes while the files are taken in is noticed: nothing is registered."""

        def instrument_goes_on(_operation: str, _arguments: tuple[Any, ...], real: Callable[[], Any]) -> Any:
            found = real()
            if change == "a new file":
                (acquisition / "A04_f1_c1.tif").touch()
            elif change == "a written file":
                (acquisition / "A01_f1_c1.tif").write_bytes(b"longer than before" * 1000)
            else:
                (acquisition / "finished").unlink()
            return found

        ws.stores["nas"].faults["put"] = instrument_goes_on
        with pytest.raises(InputError, match="changed while it was taken in"):
            take_in(ws, acquisition)
        assert ws.catalogue.artifacts() == []
        del ws.stores["nas"].faults["put"]
        assert take_in(ws, acquisition).artifact.files == len(snapshot(acquisition))
        assert staging(ws, "nas") == []

    @pytest.mark.parametrize("content", ["manifest", "link", "linked folder", "pipe", "nothing", "no folder", "a link for the folder"])
    def test_what_cannot_be_taken_in_is_refused(self, ws: Workspace, acquisition: Path, content: str) -> None:
        """A manifest's name, links, pipes, an empty or missing folder: refused, named, and nothing is registered."""
        strange = acquisition / (MANIFEST if content == "manifest" else "metadata/strange")
        if content == "manifest":
            strange.touch()
        elif content == "link":
            strange.symlink_to(acquisition / "finished")
        elif content == "linked folder":
            strange.symlink_to(acquisition.parent)
        elif content == "pipe":
            os.mkfifo(strange)
        elif content == "nothing":
            acquisition = acquisition.parent / "EMPTY"
            acquisition.mkdir()
        elif content == "no folder":
            acquisition = acquisition / "finished"
        else:
            acquisition.with_name("LINK").symlink_to(acquisition)
            acquisition = acquisition.with_name("LINK")
        with pytest.raises((UnsafePathError, InputError)):
            take_in(ws, acquisition)
        assert ws.catalogue.artifacts() == []
        assert not ws.stores["nas"].exists("projects/PRJ-0001/raw/PLATE-A")

    def test_a_lying_store_registers_nothing(self, ws: Workspace, acquisition: Path) -> None:
        """Where the NAS does not hold what was read, nothing is registered."""
        ws.stores["nas"].faults["put"] = lose_bytes(ws.stores["nas"].store)
        with pytest.raises(Exception, match="not what is read back"):
            take_in(ws, acquisition)
        assert ws.catalogue.artifacts() == []

    def test_what_may_not_go_there_is_not_taken_in(self, ws: Workspace, acquisition: Path) -> None:
        """A collaborator's data is not taken in to an outside place."""
        ws.catalogue.save_project(Project(id="PRJ-0001", origin="collaborator_industry"))
        with pytest.raises(EgressRefused):
            making.take_in(ws, RAW, acquisition, "partner", no_progress)
        assert staging(ws, "partner") == []

    @pytest.mark.parametrize("after", [False, True])
    @pytest.mark.parametrize("at", range(1, 6))
    def test_cut_off_at_each_effect(self, ws: Workspace, acquisition: Path, at: int, after: bool) -> None:
        """Wherever taking in ends, the next run completes it: one artifact, one copy, every byte, no strays."""
        cut(ws, "nas", at, after=after)
        with pytest.raises(CutOff):
            take_in(ws, acquisition)
        assert ws.catalogue.copies(states=[CopyState.VERIFIED]) == []
        ws.stores["nas"].faults.clear()
        made = take_in(ws, acquisition)
        assert [copy.state for copy in ws.catalogue.copies()] == [CopyState.VERIFIED]
        assert ws.catalogue.artifacts() == [made.artifact]
        arrived = snapshot(ws.stores["nas"].local(made.artifact.folder))
        assert {name: each[0] for name, each in arrived.items() if name != MANIFEST} == {
            name: each[0] for name, each in snapshot(acquisition).items()
        }
        assert staging(ws, "nas") == []

    def test_those_were_all_effects(self, ws: Workspace, acquisition: Path) -> None:
        """The test above cuts at every effect there is."""
        seen = cut(ws, "nas", 0, after=False)
        take_in(ws, acquisition)
        assert seen == ["put", "read_back", "write_manifest", "move", "protect"]


class TestMake:
    """A step is done once."""

    def step(self, *inputs: Artifact, **parameters: Any) -> making.Step:
        """A step that makes `standard`."""
        return making.Step("convert", "PRJ-0001/PLATE-A", Level.STANDARD, inputs, parameters)

    def test_done_once(self, ws: Workspace, ingested: Artifact) -> None:
        """The same step again finds what it made, with its findings, and does no work."""
        work = Work()
        first, second = (making.make(ws, self.step(ingested), work) for _ in range(2))
        assert (first.new, second.new, work.done) == (True, False, 1)
        assert second.artifact == first.artifact
        assert second.findings == {"inputs": 1} == first.findings

    def test_other_parameters_are_another_step(self, ws: Workspace, ingested: Artifact) -> None:
        """Other parameters, other inputs or another name make another fingerprint; the order of parameters does not."""
        steps = [
            self.step(ingested),
            self.step(ingested, level=3),
            self.step(),
            making.Step("other", ingested.dataset, Level.STANDARD, (ingested,)),
        ]
        assert len({step.fingerprint for step in steps}) == 4
        assert self.step(a=1, b=2).fingerprint == self.step(b=2, a=1).fingerprint
        work = Work()
        making.make(ws, self.step(ingested), work)
        making.make(ws, self.step(ingested, level=3), work)
        assert work.done == 2

    def test_provenance_is_written_down(self, ws: Workspace, ingested: Artifact) -> None:
        """How it was made stands in the catalogue: inputs, parameters, start, end, code and machine."""
        activity = ws.catalogue.activity(making.make(ws, self.step(ingested, level=3), Work()).artifact.activity)
        assert (activity.inputs, activity.parameters) == ((ingested.id,), {"level": 3})
        assert activity.started_at == activity.ended_at == ws.now()
        assert activity.code_version
        assert activity.hardware["cpus"]

    def test_failed_work_leaves_nothing_that_counts(self, ws: Workspace, ingested: Artifact) -> None:
        """Work that raises registers nothing, and the next run starts from an empty folder."""

        def fails(_inputs: list[Path], target: Path) -> making.Outcome:
            (target / "half").touch()
            raise RuntimeError("out of memory")

        with pytest.raises(RuntimeError):
            making.make(ws, self.step(ingested), fails)
        assert ws.catalogue.artifacts(level=Level.STANDARD) == []
        made = making.make(ws, self.step(ingested), Work())
        assert ws.stores["scratch"].names(made.artifact.folder) == ["out.bin"]

    def test_a_link_that_work_leaves_is_refused(self, ws: Workspace, ingested: Artifact) -> None:
        """Work cannot smuggle a link into an artifact."""

        def links(_inputs: list[Path], target: Path) -> making.Outcome:
            (target / "passwd").symlink_to("/etc/passwd")
            return making.Outcome()

        with pytest.raises(UnsafePathError):
            making.make(ws, self.step(ingested), links)
        assert ws.catalogue.artifacts(level=Level.STANDARD) == []

    def test_work_reads_only_verified_copies(self, ws: Workspace, ingested: Artifact) -> None:
        """Without a verified copy of an input no work is done."""
        ws.catalogue.change_copy(ws.catalogue.copies(artifact=ingested.id)[0].id, state=CopyState.SUSPECT)
        work = Work()
        with pytest.raises(NotInCatalogue):
            making.make(ws, self.step(ingested), work)
        assert work.done == 0

    @pytest.mark.parametrize("after", [False, True])
    @pytest.mark.parametrize("at", range(1, 6))
    def test_cut_off_at_each_effect(self, ws: Workspace, ingested: Artifact, at: int, after: bool) -> None:
        """Wherever making ends, the next run completes it: one artifact, one copy, no strays, work not repeated once it is recorded."""
        work = Work()
        seen = cut(ws, "scratch", at, after=after)
        with pytest.raises(CutOff):
            making.make(ws, self.step(ingested), work)
        recorded = bool(ws.catalogue.artifacts(level=Level.STANDARD))
        ws.stores["scratch"].faults.clear()
        made = making.make(ws, self.step(ingested), work)
        assert [copy.state for copy in ws.catalogue.copies(artifact=made.artifact.id)] == [CopyState.VERIFIED]
        assert ws.catalogue.artifacts(level=Level.STANDARD) == [made.artifact]
        assert staging(ws, "scratch") == []
        assert work.done <= (1 if recorded else 2)
        assert seen == ["delete", "read_back", "write_manifest", "move", "protect"][:at]

    def test_other_bytes_in_staging_are_made_again(self, ws: Workspace, ingested: Artifact) -> None:
        """What was recorded and then changed in staging is not settled: the work is done again."""
        work = Work()
        cut(ws, "scratch", 3, after=False)
        with pytest.raises(CutOff):
            making.make(ws, self.step(ingested), work)
        ws.stores["scratch"].faults.clear()
        flip_bit(staging(ws, "scratch")[0] / "out.bin")
        made = making.make(ws, self.step(ingested), work)
        assert work.done == 2
        assert (ws.stores["scratch"].local(made.artifact.folder) / "out.bin").read_bytes() == b"made"

    def test_a_location_that_vanishes_is_tried_again(self, ws: Workspace, ingested: Artifact) -> None:
        """A scratch that goes away is a transient error, and the next run completes."""
        ws.stores["scratch"].faults["move"] = vanish
        with pytest.raises(LocationUnreachable):
            making.make(ws, self.step(ingested), Work())
        ws.stores["scratch"].faults.clear()
        assert making.make(ws, self.step(ingested), Work()).artifact.level is Level.STANDARD

    def test_a_second_maker_is_turned_away(self, ws: Workspace, ingested: Artifact) -> None:
        """While a step is being done another run of it is turned away; inputs may be read by many, and not removed."""
        tried = []

        def work(_inputs: list[Path], target: Path) -> making.Outcome:
            with pytest.raises(LeaseTaken):
                making.make(ws, self.step(ingested), Work())
            with pytest.raises(LeaseTaken), ws.catalogue.lease([ingested.id], Use.ALONE, ws.now()):
                tried.append("removed an input")
            making.make(ws, self.step(ingested, other=True), Work())
            (target / "out").touch()
            return making.Outcome()

        assert making.make(ws, self.step(ingested), work).new
        assert tried == []

    def test_a_dead_makers_lease_ends(self, ws: Workspace, ingested: Artifact) -> None:
        """A run that was killed keeps nobody away: its lease ends with its process."""
        fork = multiprocessing.get_context("fork")
        told, tell = fork.Pipe(duplex=False)
        ws.catalogue.close()
        child = fork.Process(target=_hold_lease, args=(ws.catalogue.url, self.step(ingested).fingerprint, ws.now(), tell))
        child.start()
        assert told.poll(60)
        with pytest.raises(LeaseTaken):
            making.make(ws, self.step(ingested), Work())
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        assert making.make(ws, self.step(ingested), Work()).new


def _hold_lease(url: str, scope: str, now: Any, tell: Connection) -> None:
    """Take a lease, say so, and never come back."""
    with SqlCatalogue(url).lease([scope], Use.ALONE, now):
        tell.send("held")
        time.sleep(600)


@pytest.mark.long
def test_killed_at_random_moments(ws: Workspace, acquisition: Path) -> None:
    """Taking in that is killed again and again is in the end there once, with every byte, and without strays."""
    for number in range(150):
        (acquisition / f"B01_f{number}_c1.tif").write_bytes(os.urandom(60_000))
    fork, began = multiprocessing.get_context("fork"), time.monotonic()
    ws.catalogue.close()
    for round_ in range(1, 16):
        child = fork.Process(target=_take_in_alone, args=(ws, acquisition))
        child.start()
        child.join(0.01 * round_)
        if child.is_alive():
            os.kill(child.pid, signal.SIGKILL)
        child.join()
        if child.exitcode == 0 or time.monotonic() - began > 60:
            break
    made = take_in(ws, acquisition)
    assert made.artifact.files == 155
    assert [copy.state for copy in ws.catalogue.copies()] == [CopyState.VERIFIED]
    assert staging(ws, "nas") == []


def _take_in_alone(ws: Workspace, acquisition: Path) -> None:
    """Take in in a process of its own, with connections of its own."""
    ws.catalogue.engine.dispose(close=False)
    take_in(ws, acquisition)
