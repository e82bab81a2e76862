"""Random histories: people, runs, disks and clocks do what they like, and after each step the disks themselves say whether data was lost.

Nothing here asks the product whether a removal was right: what must stand is counted again, from the bytes on the disks, by plain code.
"""

from __future__ import annotations

import datetime as dt
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from coldchain import auditing, clock, making, repairing, sweeping, transfer
from coldchain.copies import CopyState
from coldchain.dataset import Dataset
from coldchain.errors import ColdchainError
from coldchain.files import no_progress
from coldchain.holds import Use
from coldchain.levels import MADE_FROM, Level
from coldchain.overrides import Check
from coldchain.proposals import Answer
from coldchain.testing.faults import flip_bit
from coldchain.verifying import verify
from coldchain.workspace import Workspace
from tests.histories.judging import Change, done
from tests.histories.truth import Known, Moment, Thing, counted
from tests.histories.world import Interruption, World

PROJECT = "PRJ-0001"
LENGTH = 50
"""Steps of a history."""

STEPS = int(os.environ.get("COLDCHAIN_STEPS", "0"))
"""Steps of the long run; 0: the short, repeatable one."""

SHORT = 900
MADE = (Level.STANDARD, Level.CORRECTED, Level.MASKS)

numbers = st.integers(0, 11)
many = st.integers(0, 99)
mostly = st.sampled_from([True, True, True, False])
kills = st.tuples(st.sampled_from(["kill before", "kill half", "kill after"]), st.integers(1, 40))
vanishing = st.tuples(st.just("vanish"), st.integers(1, 80))
interruptions = st.one_of(st.none(), st.none(), st.none(), kills, vanishing)
places = st.sampled_from(["nas", "shelf", "backup", "cold", "scratch"])
laws = st.sampled_from(["quick", "strict", "disposal", "lifetime", "grace", "notice", "persons", "timid"])
busy = st.sampled_from(["scratch", "scratch", "scratch", "shelf", "backup"])


class History(RuleBasedStateMachine):
    """People, runs, disks and clocks."""

    new_world: ClassVar[Callable[[], World]]

    def __init__(self) -> None:
        super().__init__()
        self.world = History.new_world()
        self.known = Known()
        self.files: dict[str, dict[str, bytes]] | None = None

    @property
    def ws(self) -> Workspace:
        """The site at work."""
        return self.world.ws

    @property
    def now(self) -> dt.datetime:
        """What the clock says."""
        return self.ws.now()

    @initialize(policy=laws)
    def begin(self, policy: str) -> None:
        """The site begins under some policy."""
        self.rule_by(policy)

    # what the software does

    def do(self, act: Callable[[Workspace], Any], interruption: Interruption = None, *, removes: bool = True) -> None:
        """Let the software do something, and look at what it left."""
        before, mounted = self.look(self.files), {point for point, disk in self.world.disks.mounted.items() if disk == point}
        interrupted = self.world.run(act, interruption)
        after = self.look()
        self.files = after.files
        self.known.spoilt -= {
            key for key in self.known.spoilt if after.at(key[0], self.path(key[1], after)) == self.known.things[key[1]].whole
        }
        Change(self.known, self.ws, before, after, mounted, interrupted).check(removes=removes)

    @rule(number=st.integers(0, 2), interruption=interruptions)
    def ingest(self, number: int, interruption: Interruption) -> None:
        """An instrument's files come in, or come again."""
        thing = self.is_really(Thing(f"{PROJECT}/P{number}", Level.RAW, 0))
        source = self.world.folder / "acquisition" / f"P{number}"
        thing.write(source)
        self.ws.catalogue.save_dataset(Dataset(project=PROJECT, name=f"P{number}", pattern="plain", channels={1: "DNA"}))
        step = making.Step("ingest", thing.dataset, Level.RAW)
        self.do(lambda ws: making.take_in(ws, step, source, "nas", no_progress), interruption)

    @rule(level=st.sampled_from(MADE), number=st.integers(0, 2), version=st.integers(0, 1), place=places, interruption=interruptions)
    def make(self, level: Level, number: int, version: int, place: str, interruption: Interruption) -> None:
        """A level is made, or made again."""
        dataset = f"{PROJECT}/P{number}"
        made = {
            self.known.things[each.id].level: self.known.things[each.id]
            for each in self.ws.catalogue.artifacts()
            if each.dataset == dataset
        }
        if set(MADE_FROM[level]) <= made.keys():
            thing = self.is_really(Thing(dataset, level, version, tuple(made[parent] for parent in MADE_FROM[level])))
            inputs = tuple(self.ws.catalogue.artifact(each.id) for each in thing.inputs)
            step = making.Step(f"make {level}", dataset, level, inputs, {"version": version})
            self.do(
                lambda ws: making.make(ws, step, lambda _inputs, target: thing.write(target) or making.Outcome(), at=place), interruption
            )

    @rule(number=numbers, place=places, interruption=interruptions)
    def deliver(self, number: int, place: str, interruption: Interruption) -> None:
        """A copy is made somewhere."""
        if artifact := pick(self.ws.catalogue.artifacts(), number):
            self.do(lambda ws: transfer.deliver(ws, artifact, place), interruption)

    @rule()
    def back_up(self) -> None:
        """Everything is copied everywhere."""
        self.do(lambda ws: deliver_all(ws, ("nas", "backup", "cold")))

    @rule()
    def stage(self) -> None:
        """Everything is copied to scratch."""
        self.do(lambda ws: deliver_all(ws, ("scratch",)))

    @rule(days=st.integers(0, 10), interruption=interruptions)
    def sweep(self, days: int, interruption: Interruption) -> None:
        """Some days later the night's sweep runs; where it was not interrupted, another one has nothing left to do.

        Where something was in the trash, the first may have brought it back, and then the second lets go what that covers.
        """
        self.forward(dt.timedelta(days=days))
        waiting = self.ws.catalogue.copies(states=[CopyState.TRASHED])
        self.do(lambda ws: sweeping.sweep(ws, dry_run=False), interruption)
        if interruption is None:
            if waiting:
                self.do(lambda ws: sweeping.sweep(ws, dry_run=False))
            self.do(lambda ws: sweeping.sweep(ws, dry_run=False), removes=False)

    @rule(place=busy, days=st.integers(0, 3), number=many, but=st.sampled_from(["", "", "hold", "use", "rot"]), interruption=interruptions)
    def stage_and_sweep(self, place: str, days: int, number: int, but: str, interruption: Interruption) -> None:
        """With all disks mounted everything is copied somewhere, somebody may mind or something rot, and the sweep runs."""
        self.mount()
        self.do(lambda ws: deliver_all(ws, (place,)))
        self.forward(dt.timedelta(days=days))
        if but == "hold":
            self.hold(number, 1)
        elif but == "use":
            self.use(number)
        elif but == "rot":
            self.damage(number, 1, "flip")
        self.sweep(0, interruption)

    @rule(days=st.integers(0, 8), place=busy, answer=st.sampled_from([Answer.YES, Answer.YES, Answer.NO, Answer.NONE]))
    def ask_and_sweep(self, days: int, place: str, answer: Answer) -> None:
        """Everything is copied somewhere, a sweep tells, somebody answers all of it, and later sweeps act on it."""
        self.mount()
        self.do(lambda ws: deliver_all(ws, (place,)))
        self.sweep(3, None)
        if answer is not Answer.NONE:
            for number, _notice in enumerate(self.ws.catalogue.notices(open_only=True)):
                self.answer(number, answer)
        self.sweep(0, None)
        self.sweep(days, None)

    @rule(days=st.integers(0, 40))
    def sweep_dry(self, days: int) -> None:
        """A sweep only says what it would do."""
        self.forward(dt.timedelta(days=days))
        self.do(lambda ws: sweeping.sweep(ws, dry_run=True), removes=False)

    @rule(interruption=interruptions)
    def audit(self, interruption: Interruption) -> None:
        """The night's audit runs."""
        self.do(auditing.audit, interruption, removes=False)

    @rule(interruption=interruptions)
    def repair(self, interruption: Interruption) -> None:
        """All that is damaged is repaired."""
        self.do(lambda ws: repairing.repair_all(ws, dry_run=False), interruption)

    @rule()
    def verify(self) -> None:
        """Everything is read back."""
        self.do(verify, removes=False)

    @rule(number=numbers)
    def readmit(self, number: int) -> None:
        """A person lets a damaged copy back in, if it matches."""
        if copy := pick(self.ws.catalogue.copies(states=repairing.DAMAGED), number):
            self.do(lambda ws: repairing.readmit(ws, copy, "the cable was changed"), removes=False)

    # what happens to disks

    @rule(number=many, file=st.integers(0, 3), how=st.sampled_from(["flip", "flip", "remove file", "remove folder"]))
    def damage(self, number: int, file: int, how: str) -> None:
        """A bit flips, or somebody deletes a file or a folder, in the place of a copy or in the trash."""
        now = self.look()
        folders = sorted(key for key in now.folders if not key[1].startswith(".coldchain/aside"))
        if found := pick(folders, number):
            disk, path = found
            folder, name = self.world.disks.where(disk) / path, sorted(now.folders[found])[file % len(now.folders[found])]
            spoil(folder, name, how)
            self.files = None
            self.known.spoilt |= {(disk, copy.artifact) for copy in now.copies.values() if copy.location == disk and copy.path == path}

    @rule()
    def mount(self) -> None:
        """Each disk is mounted where it belongs."""
        self.world.disks.put_right()

    @rule(one=places, two=places)
    def exchange(self, one: str, two: str) -> None:
        """Two disks are mounted in one another's place, or one is taken out."""
        if one == two:
            self.world.disks.take_out(one)
        else:
            self.world.disks.exchange(one, two)

    # what people do

    @rule(policy=laws)
    def rule_by(self, policy: str) -> None:
        """Another policy is put in force."""
        self.world.rule_by(policy)

    @rule(number=numbers, days=st.integers(0, 5))
    def hold(self, number: int, days: int) -> None:
        """Somebody says "not yet"."""
        dataset = pick(self.known.datasets(), number)
        held = self.ws.catalogue.add_hold(dataset, "figure 3", "ada", (self.now + dt.timedelta(days=days)).date())
        self.known.holds[held.id] = dataset, held.until

    @precondition(lambda self: self.known.holds)
    @rule(number=numbers)
    def end_hold(self, number: int) -> None:
        """A hold is ended."""
        key = pick(sorted(self.known.holds), number)
        self.ws.catalogue.end_hold(key)
        del self.known.holds[key]

    @rule(number=numbers, answer=st.sampled_from([Answer.YES, Answer.YES, Answer.NO]))
    def answer(self, number: int, answer: Answer) -> None:
        """Somebody answers a notice."""
        if notice := pick(self.ws.catalogue.notices(open_only=True), number):
            for proposal in self.ws.catalogue.answer(notice.id, answer, "ada", "command line", "because", self.now):
                self.known.said[proposal.copy] = proposal.id, answer

    @rule(number=numbers, check=st.sampled_from(Check), days=st.integers(1, 40))
    def override(self, number: int, check: Check, days: int) -> None:
        """A check is set aside for a dataset."""
        dataset, until = (
            pick(self.known.datasets(), number),
            (self.now + dt.timedelta(days=days)).date(),
        )
        asked = self.ws.catalogue.add_override(dataset, check, "an experiment", "ada", until, self.now)
        self.ws.catalogue.approve_override(asked.id, "grace", "command line", self.now)
        self.known.overrides.append((dataset, check, until))

    @rule(number=numbers)
    def use(self, number: int) -> None:
        """A run begins to read an artifact."""
        if artifact := pick(self.ws.catalogue.artifacts(), number):
            lease = ExitStack()
            lease.enter_context(self.ws.catalogue.lease([artifact.id], Use.READ, self.now))
            self.known.leases.append((artifact.id, self.now + dt.timedelta(minutes=15), lease))

    @precondition(lambda self: self.known.leases)
    @rule(number=numbers)
    def end_use(self, number: int) -> None:
        """A run has read what it wanted."""
        self.known.leases.pop(number % len(self.known.leases))[2].close()

    @rule()
    def release(self) -> None:
        """A person releases every brake."""
        for place in self.ws.catalogue.brakes():
            auditing.release(self.ws, place, "looked at")

    # what clocks do

    @rule(hours=st.sampled_from([1, 12, 24, 24 * 31, 24 * 100, 24 * 366, 24 * 366 * 10, -1, -24 * 2]), seen=mostly)
    def jump(self, hours: int, seen: bool) -> None:
        """The clock jumps, forward or back, and somebody may see to it."""
        self.forward(dt.timedelta(hours=hours))
        self.see(seen)

    @rule(seen=mostly)
    def leap_day(self, seen: bool) -> None:
        """It is the 29 February."""
        year = next(year for year in range(self.now.year + 1, self.now.year + 9) if not year % 4)
        self.forward(dt.datetime(year, 2, 29, 12, tzinfo=dt.UTC) - self.now)
        self.see(seen)

    def see(self, seen: bool) -> None:
        """A person says that the clock is right."""
        if seen:
            clock.confirm(self.ws, "so much time has passed")

    def forward(self, by: dt.timedelta) -> None:
        """Move the clock; a run that lives on another clock has lost its lease."""
        self.world.clock.at = min(self.now + by, dt.datetime(2090, 1, 1, tzinfo=dt.UTC))
        for lease in [lease for lease in self.known.leases if lease[1] <= self.now]:
            lease[2].close()
            self.known.leases.remove(lease)

    # what is looked at

    def is_really(self, thing: Thing) -> Thing:
        """Keep in mind what an artifact really is."""
        return self.known.things.setdefault(thing.id, thing)

    def look(self, files: dict[str, dict[str, bytes]] | None = None) -> Moment:
        """What stands on the disks, as it was seen last where nothing has touched them, and what the catalogue says."""
        catalogue = self.ws.catalogue
        receipted = {each["copy"] for receipt in catalogue.receipts("removal") for each in receipt["removed"]}
        return Moment(
            files=files or self.world.disks.files(),
            copies={copy.id: copy for copy in catalogue.copies()},
            artifacts={artifact.id: artifact for artifact in catalogue.artifacts()},
            brakes=frozenset(catalogue.brakes()),
            receipted=frozenset(receipted),
            open=frozenset(proposal.id for proposal in catalogue.proposals()),
            believed=clock.read(catalogue.setting(clock.BELIEVED)),
        )

    def path(self, artifact: str, moment: Moment) -> str:
        """Where the copies of an artifact stand."""
        return moment.artifacts[artifact].folder

    @invariant()
    def nothing_is_claimed_that_is_not_so(self) -> None:
        """Totals are a full count, what was removed is not waited for, no run that ended holds a lease; and a step is counted."""
        done["steps"] += 1
        if STEPS and done["steps"] % 1000 == 0:
            print(f"{done['steps']} steps", flush=True)
        catalogue = self.ws.catalogue
        assert catalogue.totals() == counted(catalogue)
        gone = {copy.id for copy in catalogue.copies(states=[CopyState.REMOVED])}
        assert not gone & {proposal.copy for proposal in catalogue.proposals()}, "a removed copy has an open proposal"
        ours = Counter(artifact for artifact, _until, _lease in self.known.leases)
        assert Counter(lease.scope for lease in catalogue.leases(self.now)) == ours, "a lease was left"

    def teardown(self) -> None:
        """When all disks are back and nobody hinders it, everything that is intact somewhere can be repaired."""
        for _artifact, _until, lease in self.known.leases:
            lease.close()
        done.update(self.world.errors)
        try:
            self.settle()
        finally:
            self.world.close()

    def settle(self) -> None:
        """Mount everything, read everything, repair everything."""
        self.world.disks.put_right()
        self.release()
        self.do(verify, removes=False)
        self.do(lambda ws: repairing.repair_all(ws, dry_run=False))
        left = self.ws.catalogue.copies(states=repairing.DAMAGED)
        sound = {copy.artifact for copy in self.ws.catalogue.copies(states=[CopyState.VERIFIED])}
        assert not [copy for copy in left if copy.artifact in sound], "a sound copy is there, and another one was not repaired from it"


def pick(found: Any, number: int) -> Any:
    """One of some things by any number; nothing where there is none."""
    return found[number % len(found)] if found else None


def deliver_all(ws: Workspace, to: Iterable[str]) -> None:
    """Copy everything to some places; what cannot be copied hinders no other."""
    stands = {(copy.artifact, copy.location) for copy in ws.catalogue.copies(states=[CopyState.VERIFIED])}
    for artifact in ws.catalogue.artifacts():
        for place in (place for place in to if (artifact.id, place) not in stands):
            with suppress(ColdchainError):
                transfer.deliver(ws, artifact, place)


def spoil(folder: Path, name: str, how: str) -> None:
    """Damage a copy, as a disk or a person would."""
    if how == "flip":
        flip_bit(folder / name)
    elif how == "remove file":
        (folder / name).unlink()
    else:
        shutil.rmtree(folder)


@pytest.mark.long
@pytest.mark.timeout(0 if STEPS else 1200)
def test_no_history_loses_data(new_world: Callable[[], World]) -> None:
    """Whatever people, runs, disks and clocks do: no bytes go that are not covered, or that somebody wants, and none without a receipt."""
    History.new_world = new_world
    begun = time.monotonic()
    done.clear()
    whole = {"deadline": None, "stateful_step_count": LENGTH, "database": None, "suppress_health_check": list(HealthCheck)}
    short = settings(max_examples=SHORT // LENGTH, derandomize=True, **whole)
    long = settings(max_examples=max(1, STEPS // LENGTH), print_blob=True, **whole)
    try:
        run_state_machine_as_test(History, settings=long if STEPS else short)
    finally:
        took = time.monotonic() - begun
        print(f"\n{done['steps']} steps in {took:.0f} s, {done['steps'] / took:.1f} a second; {dict(done)}")
