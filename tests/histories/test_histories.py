"""Random histories: people, runs, disks and clocks do what they like, and after each step the disks themselves say whether data was lost.

Nothing here asks the product whether a removal was right: what must stand is counted again, from the bytes on the disks, by plain code.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from coldchain import auditing, making, repairing, sweeping, transfer
from coldchain.copies import Artifact, Copy, CopyState, Total
from coldchain.dataset import Dataset
from coldchain.errors import ColdchainError
from coldchain.files import no_progress
from coldchain.holds import Use
from coldchain.levels import MADE_FROM, Level
from coldchain.overrides import Check
from coldchain.policy import Rule
from coldchain.proposals import Answer
from coldchain.sql import tables
from coldchain.testing.faults import flip_bit
from coldchain.verifying import verify
from coldchain.workspace import Workspace

PROJECT = "PRJ-0001"
LENGTH = 50
"""Steps of a history."""

STEPS = int(os.environ.get("COLDCHAIN_STEPS", "0"))
"""Steps of the long run; 0: the short, repeatable one."""

SHORT = 600
MADE = (Level.STANDARD, Level.CORRECTED, Level.MASKS)
MANIFEST = "MANIFEST.sha256"

done = Counter[str]()


@dataclass(frozen=True)
class Thing:
    """What an artifact really is: its bytes, and what it is made from."""

    dataset: str
    level: Level
    version: int
    inputs: tuple[Thing, ...] = ()

    @cached_property
    def files(self) -> Mapping[str, bytes]:
        """Its files by name."""
        word = " ".join([self.dataset, self.level, str(self.version), *(each.id for each in self.inputs)]).encode()
        return {"0/c": word * 3, "1/c": word, "zarr.json": b"{}"}

    @cached_property
    def manifest(self) -> bytes:
        """What its manifest says."""
        return b"".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n".encode() for name, data in self.files.items())

    @cached_property
    def whole(self) -> Mapping[str, bytes]:
        """All that stands in the folder of an intact copy."""
        return {**self.files, MANIFEST: self.manifest}

    @cached_property
    def id(self) -> str:
        """Its artifact's id."""
        return f"{self.dataset}/{self.level}@{hashlib.sha256(self.manifest).hexdigest()}"

    def write(self, folder: Path) -> None:
        """Write its files."""
        for name, data in self.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)


@dataclass
class Moment:
    """What stands on the disks and in the catalogue at one moment."""

    files: dict[str, dict[str, bytes]]
    copies: dict[int, Copy]
    artifacts: dict[str, Artifact]
    brakes: frozenset[str]
    receipted: frozenset[int]
    open: frozenset[int]
    folders: dict[tuple[str, str], dict[str, bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Sort the files into the folders of copies, in their place, in the trash or set aside."""
        paths = {copy.path for copy in self.copies.values()} | {artifact.folder for artifact in self.artifacts.values()}
        for disk, found in self.files.items():
            for name, data in found.items():
                parts = name.split("/")
                tops = ["/".join(parts[:end]) for end in (3, 4, 5, 6)]
                top = next((top for top in tops if top in paths or (top.startswith(".coldchain/") and top.count("/") == 2)), None)
                if top is not None and not top.startswith(".coldchain/staging"):
                    self.folders.setdefault((disk, top), {})[name[len(top) + 1 :]] = data

    def at(self, disk: str, path: str) -> dict[str, bytes] | None:
        """What stands in a folder, if anything."""
        return self.folders.get((disk, path))

    def elsewhere(self, disk: str, content: Mapping[str, bytes]) -> bool:
        """Whether a folder stands whole in the trash or aside."""
        return any(disk == where and path.startswith(".coldchain/") and content == there for (where, path), there in self.folders.items())


def later(moment: dt.datetime, years: int) -> dt.datetime:
    """The same day so many years later; there, the day after the 28 February where it has no 29th."""
    leap = (moment.month, moment.day) == (2, 29) and (moment.year + years) % 4
    return moment.replace(year=moment.year + years, month=3, day=1) if leap else moment.replace(year=moment.year + years)


Interruption = tuple[str, int] | None
numbers = st.integers(0, 11)
kills = st.tuples(st.sampled_from(["kill before", "kill half", "kill after"]), st.integers(1, 40))
vanishing = st.tuples(st.just("vanish"), st.integers(1, 80))
interruptions = st.one_of(st.none(), st.none(), st.none(), kills, vanishing)
places = st.sampled_from(["nas", "shelf", "backup", "cold", "scratch"])
laws = st.sampled_from(["quick", "strict", "disposal", "lifetime", "grace", "notice", "persons", "timid"])
busy = st.sampled_from(["scratch", "scratch", "scratch", "shelf", "backup"])


class History(RuleBasedStateMachine):
    """People, runs, disks and clocks."""

    new_world: ClassVar[Callable[[], Any]]

    def __init__(self) -> None:
        super().__init__()
        self.world = History.new_world()
        self.things: dict[str, Thing] = {}
        self.holds: dict[int, tuple[str, dt.date]] = {}
        self.overrides: list[tuple[str, Check, dt.date]] = []
        self.leases: list[tuple[str, dt.datetime, ExitStack]] = []
        self.said: dict[int, tuple[int, Answer]] = {}
        self.spoilt: set[tuple[str, str]] = set()
        self.files: dict[str, dict[str, bytes]] | None = None

    @property
    def ws(self) -> Workspace:
        """The site at work."""
        found: Workspace = self.world.ws
        return found

    @property
    def now(self) -> dt.datetime:
        """What the clock says."""
        return self.ws.now()

    @initialize(policy=laws)
    def begin(self, policy: str) -> None:
        """A plate was taken in, converted, corrected and copied, all in time."""
        self.rule_by(policy)
        self.ingest(0, None)
        self.make(Level.STANDARD, 0, 0, "nas", None)
        self.make(Level.CORRECTED, 0, 0, "scratch", None)
        self.back_up()

    # what the software does

    def do(self, act: Callable[[Workspace], Any], interruption: Interruption = None, *, removes: bool = True) -> None:
        """Let the software do something, and look at what it left."""
        before, mounted = self.look(self.files), {point for point, disk in self.world.disks.mounted.items() if disk == point}
        interrupted = self.world.run(act, interruption)
        after = self.look()
        self.files = after.files
        self.spoilt -= {key for key in self.spoilt if after.at(key[0], self.path(key[1], after)) == self.things[key[1]].whole}
        Change(self, before, after, mounted, interrupted).check(removes=removes)

    @rule(number=st.integers(0, 2), interruption=interruptions)
    def ingest(self, number: int, interruption: Interruption) -> None:
        """An instrument's files come in, or come again."""
        thing = self.known(Thing(f"{PROJECT}/P{number}", Level.RAW, 0))
        source = self.world.folder / "acquisition" / f"P{number}"
        thing.write(source)
        self.ws.catalogue.save_dataset(Dataset(project=PROJECT, name=f"P{number}", pattern="plain", channels={1: "DNA"}))
        step = making.Step("ingest", thing.dataset, Level.RAW)
        self.do(lambda ws: making.take_in(ws, step, source, "nas", no_progress), interruption)

    @rule(level=st.sampled_from(MADE), number=st.integers(0, 2), version=st.integers(0, 1), place=places, interruption=interruptions)
    def make(self, level: Level, number: int, version: int, place: str, interruption: Interruption) -> None:
        """A level is made, or made again."""
        dataset = f"{PROJECT}/P{number}"
        made = {self.things[each.id].level: self.things[each.id] for each in self.ws.catalogue.artifacts() if each.dataset == dataset}
        if set(MADE_FROM[level]) <= made.keys():
            thing = self.known(Thing(dataset, level, version, tuple(made[parent] for parent in MADE_FROM[level])))
            inputs = tuple(self.ws.catalogue.artifact(each.id) for each in thing.inputs)
            step = making.Step(f"make {level}", dataset, level, inputs, {"version": version})
            self.do(
                lambda ws: making.make(ws, step, lambda _inputs, target: thing.write(target) or making.Outcome(), at=place), interruption
            )

    @precondition(lambda self: self.things)
    @rule(number=numbers, place=places, interruption=interruptions)
    def deliver(self, number: int, place: str, interruption: Interruption) -> None:
        """A copy is made somewhere."""
        if artifact := pick(self.ws.catalogue.artifacts(), number):
            self.do(lambda ws: transfer.deliver(ws, artifact, place), interruption)

    @precondition(lambda self: self.things)
    @rule()
    def back_up(self) -> None:
        """Everything is copied everywhere."""
        self.do(lambda ws: deliver_all(ws, ("nas", "backup", "cold")))

    @precondition(lambda self: self.things)
    @rule()
    def stage(self) -> None:
        """Everything is copied to scratch."""
        self.do(lambda ws: deliver_all(ws, ("scratch",)))

    @precondition(lambda self: self.things)
    @rule(days=st.integers(0, 10), interruption=interruptions)
    def sweep(self, days: int, interruption: Interruption) -> None:
        """Some days later the night's sweep runs; where it was not interrupted, another one has nothing left to do."""
        self.forward(dt.timedelta(days=days))
        self.do(lambda ws: sweeping.sweep(ws, dry_run=False), interruption)
        if interruption is None:
            self.do(lambda ws: sweeping.sweep(ws, dry_run=False), removes=False)

    @precondition(lambda self: self.things)
    @rule(place=busy, days=st.integers(0, 3), number=numbers, minds=st.sampled_from(["", "", "hold", "use"]), interruption=interruptions)
    def stage_and_sweep(self, place: str, days: int, number: int, minds: str, interruption: Interruption) -> None:
        """With all disks mounted everything is copied somewhere, somebody may mind, and the sweep runs."""
        self.mount()
        self.do(lambda ws: deliver_all(ws, (place,)))
        self.forward(dt.timedelta(days=days))
        if minds == "hold":
            self.hold(number, 1)
        elif minds == "use":
            self.use(number)
        self.sweep(0, interruption)

    @precondition(lambda self: self.things)
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

    @precondition(lambda self: self.things)
    @rule(days=st.integers(0, 40))
    def sweep_dry(self, days: int) -> None:
        """A sweep only says what it would do."""
        self.forward(dt.timedelta(days=days))
        self.do(lambda ws: sweeping.sweep(ws, dry_run=True), removes=False)

    @precondition(lambda self: self.things)
    @rule(interruption=interruptions)
    def audit(self, interruption: Interruption) -> None:
        """The night's audit runs."""
        self.do(auditing.audit, interruption, removes=False)

    @precondition(lambda self: self.things)
    @rule(interruption=interruptions)
    def repair(self, interruption: Interruption) -> None:
        """All that is damaged is repaired."""
        self.do(lambda ws: repairing.repair_all(ws, dry_run=False), interruption)

    @precondition(lambda self: self.things)
    @rule()
    def verify(self) -> None:
        """Everything is read back."""
        self.do(verify, removes=False)

    @precondition(lambda self: self.things)
    @rule(number=numbers)
    def readmit(self, number: int) -> None:
        """A person lets a damaged copy back in, if it matches."""
        if copy := pick(self.ws.catalogue.copies(states=repairing.DAMAGED), number):
            self.do(lambda ws: repairing.readmit(ws, copy, "the cable was changed"), removes=False)

    # what happens to disks

    @precondition(lambda self: self.things)
    @rule(number=st.integers(0, 99), file=st.integers(0, 3), how=st.sampled_from(["flip", "flip", "remove file", "remove folder"]))
    def damage(self, number: int, file: int, how: str) -> None:
        """A bit flips, or somebody deletes a file or a folder, in the place of a copy or in the trash."""
        now = self.look()
        folders = sorted(key for key in now.folders if not key[1].startswith(".coldchain/aside"))
        if found := pick(folders, number):
            disk, path = found
            folder, name = self.world.disks.where(disk) / path, sorted(now.folders[found])[file % len(now.folders[found])]
            spoil(folder, name, how)
            self.files = None
            self.spoilt |= {(disk, copy.artifact) for copy in now.copies.values() if copy.location == disk and copy.path == path}

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

    @precondition(lambda self: self.things)
    @rule(number=numbers, days=st.integers(0, 5))
    def hold(self, number: int, days: int) -> None:
        """Somebody says "not yet"."""
        dataset = pick(sorted({thing.dataset for thing in self.things.values()}), number)
        held = self.ws.catalogue.add_hold(dataset, "figure 3", "ada", (self.now + dt.timedelta(days=days)).date())
        self.holds[held.id] = dataset, held.until

    @precondition(lambda self: self.holds)
    @rule(number=numbers)
    def end_hold(self, number: int) -> None:
        """A hold is ended."""
        key = pick(sorted(self.holds), number)
        self.ws.catalogue.end_hold(key)
        del self.holds[key]

    @precondition(lambda self: self.things)
    @rule(number=numbers, answer=st.sampled_from([Answer.YES, Answer.YES, Answer.NO]))
    def answer(self, number: int, answer: Answer) -> None:
        """Somebody answers a notice."""
        if notice := pick(self.ws.catalogue.notices(open_only=True), number):
            for proposal in self.ws.catalogue.answer(notice.id, answer, "ada", "command line", "because", self.now):
                self.said[proposal.copy] = proposal.id, answer

    @precondition(lambda self: self.things)
    @rule(number=numbers, check=st.sampled_from(Check), days=st.integers(1, 40))
    def override(self, number: int, check: Check, days: int) -> None:
        """A check is set aside for a dataset."""
        dataset, until = (
            pick(sorted({thing.dataset for thing in self.things.values()}), number),
            (self.now + dt.timedelta(days=days)).date(),
        )
        asked = self.ws.catalogue.add_override(dataset, check, "an experiment", "ada", until, self.now)
        self.ws.catalogue.approve_override(asked.id, "grace", "command line", self.now)
        self.overrides.append((dataset, check, until))

    @precondition(lambda self: self.things)
    @rule(number=numbers)
    def use(self, number: int) -> None:
        """A run begins to read an artifact."""
        if artifact := pick(self.ws.catalogue.artifacts(), number):
            lease = ExitStack()
            lease.enter_context(self.ws.catalogue.lease([artifact.id], Use.READ, self.now))
            self.leases.append((artifact.id, self.now + dt.timedelta(minutes=15), lease))

    @precondition(lambda self: self.leases)
    @rule(number=numbers)
    def end_use(self, number: int) -> None:
        """A run has read what it wanted."""
        self.leases.pop(number % len(self.leases))[2].close()

    @rule()
    def release(self) -> None:
        """A person releases every brake."""
        for place in self.ws.catalogue.brakes():
            auditing.release(self.ws, place, "looked at")

    # what clocks do

    @rule(hours=st.sampled_from([1, 12, 24, 24 * 31, 24 * 100, 24 * 366, 24 * 366 * 10, -1, -24 * 2]))
    def jump(self, hours: int) -> None:
        """The clock jumps, forward or back."""
        self.forward(dt.timedelta(hours=hours))

    @rule()
    def leap_day(self) -> None:
        """It is the 29 February."""
        year = next(year for year in range(self.now.year + 1, self.now.year + 9) if not year % 4)
        self.forward(dt.datetime(year, 2, 29, 12, tzinfo=dt.UTC) - self.now)

    def forward(self, by: dt.timedelta) -> None:
        """Move the clock; a run that lives on another clock has lost its lease."""
        self.world.clock.at = min(self.now + by, dt.datetime(2090, 1, 1, tzinfo=dt.UTC))
        for lease in [lease for lease in self.leases if lease[1] <= self.now]:
            lease[2].close()
            self.leases.remove(lease)

    # what is looked at

    def known(self, thing: Thing) -> Thing:
        """Keep in mind what an artifact really is."""
        return self.things.setdefault(thing.id, thing)

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
        )

    def path(self, artifact: str, moment: Moment) -> str:
        """Where the copies of an artifact stand."""
        return moment.artifacts[artifact].folder

    @invariant()
    def nothing_is_claimed_that_is_not_so(self) -> None:
        """Totals are a full count, what was removed is not waited for, no run that ended holds a lease; and a step is counted."""
        done["steps"] += 1
        catalogue = self.ws.catalogue
        assert catalogue.totals() == counted(catalogue)
        gone = {copy.id for copy in catalogue.copies(states=[CopyState.REMOVED])}
        assert not gone & {proposal.copy for proposal in catalogue.proposals()}, "a removed copy has an open proposal"
        ours = Counter(artifact for artifact, _until, _lease in self.leases)
        assert Counter(lease.scope for lease in catalogue.leases(self.now)) == ours, "a lease was left"

    def teardown(self) -> None:
        """When all disks are back and nobody hinders it, everything that is intact somewhere can be repaired."""
        for _artifact, _until, lease in self.leases:
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


@dataclass
class Change:
    """What a step of the software changed, held against what it may change."""

    history: History
    before: Moment
    after: Moment
    mounted: set[str]
    interrupted: bool

    def check(self, *, removes: bool) -> None:
        """Look at every folder that is not as it was, and at every copy that was read."""
        for (disk, path), content in self.before.folders.items():
            if self.after.at(disk, path) != content:
                assert removes, f"{path} at {disk} changed in a step that removes nothing"
                self._changed(disk, path, content)
        for copy in self.after.copies.values():
            if copy.state is CopyState.VERIFIED:
                self._verified(copy)

    def _verified(self, copy: Copy) -> None:
        """What the catalogue calls verified is on the disk, unless somebody spoilt it since it was read."""
        was, now = self.before.copies.get(copy.id), self.history.now
        read = copy.verified_at == now and (was is None or was.verified_at != now or was.state is not CopyState.VERIFIED)
        if read or (copy.location, copy.artifact) not in self.history.spoilt:
            whole = self.after.at(copy.location, copy.path) == self._thing(copy).whole
            assert whole, f"{copy} counts, and is not on its disk"

    def _changed(self, disk: str, path: str, content: dict[str, bytes]) -> None:
        """A folder went, or something else stands in its place."""
        assert not path.startswith(".coldchain/aside"), f"what was set aside changed: {path} at {disk}"
        copy = self._copy(disk, path)
        was, now = self.before.copies.get(copy.id), self.after.copies[copy.id]
        kept = self.after.elsewhere(disk, content) or self.after.at(disk, now.path) == content
        damaged = {CopyState.SUSPECT, CopyState.LOST} & {was.state if was else None, now.state}
        assert kept or not damaged, f"bytes of a damaged copy are gone: {copy}"
        renewed = now.state is CopyState.VERIFIED and path != now.path
        whole = content == self._thing(copy).whole
        if not (kept or renewed):
            self._deleted(now)
        if whole and not renewed and not self._aside(disk, content):
            self._let_go(copy, path)

    def _deleted(self, now: Copy) -> None:
        """Bytes are gone: with a receipt, or the next sweep writes it."""
        done["deleted"] += 1
        receipted = now.state is CopyState.REMOVED and now.id in self.after.receipted
        assert receipted or (self.interrupted and now.state is CopyState.TRASHED), f"bytes are gone without a receipt: {now}"

    def _aside(self, disk: str, content: dict[str, bytes]) -> bool:
        return any(
            where == disk and path.startswith(".coldchain/aside") and content == there
            for (where, path), there in self.after.folders.items()
        )

    def _let_go(self, copy: Copy, path: str) -> None:
        """An intact copy went to the trash, or from there for good: nobody refused it, and something covers it."""
        now, trashed = self.after.copies[copy.id], path.startswith(".coldchain/trash")
        if trashed and self.after.at(copy.location, copy.path) == self._thing(copy).whole:
            done["brought back"] += 1
            return
        done["let go from " + ("the trash" if trashed else "a lasting place" if copy.location in LASTING else "scratch")] += 1
        self._nobody_minds(copy)
        if not trashed:
            self._somebody_said_yes(copy)
        without = self.before.brakes if now.state is CopyState.TRASHED else self.after.brakes
        counting = self.mounted - without
        thing = self._thing(copy)
        lasting = copy.location in LASTING
        if thing.level is Level.RAW and lasting:
            assert self._ended(thing), f"raw left a lasting place: {copy}"
            assert any(LASTING[place][3] for place in self._places(thing, counting)), f"raw left its last protected place: {copy}"
        elif lasting and not self._ended(thing):
            assert self._rule(thing).disposal is not None, f"it left a lasting place without a ground: {copy}"
        if self._ended(thing) and (thing.level is not Level.RAW):
            wanting = [each for each in self._made_of(thing) if not self._ended(each) and not self._stands(each, counting)]
            assert not wanting or self._stands(thing, counting) or self._remade(thing, counting), f"{copy} is needed for {wanting}"
        else:
            stands = self._stands(thing, counting) or self._remade(thing, counting) or self._ended(thing)
            assert stands, f"nothing covers what went: {copy}"

    def _nobody_minds(self, copy: Copy) -> None:
        """No hold, no answer and no run kept it."""
        history, dataset = self.history, self._thing(copy).dataset
        today = (history.now - dt.timedelta(hours=12)).date()
        assert not [until for held, until in history.holds.values() if held == dataset and until >= today], f"it was held: {copy}"
        assert copy.artifact not in [artifact for artifact, _until, _lease in history.leases], f"it was in use: {copy}"
        assert history.said.get(copy.id, (0, Answer.NONE))[1] is not Answer.NO, f"it was refused: {copy}"

    def _somebody_said_yes(self, copy: Copy) -> None:
        """Where a person's yes is asked for, it was given, to this copy, in a notice that is still open."""
        lasting_raw = self._thing(copy).level is Level.RAW and copy.location in LASTING
        if lasting_raw or self.history.ws.policy.name in {"persons", "strict"}:
            proposal, said = self.history.said.get(copy.id, (0, Answer.NONE))
            assert (said, proposal in self.before.open) == (Answer.YES, True), f"nobody said yes: {copy}"
            done["with a yes"] += 1

    # what stands, counted from the disks

    def _copy(self, disk: str, path: str) -> Copy:
        """Whose folder it was."""
        if path.startswith(".coldchain/trash/"):
            return self.before.copies[int(path.rpartition("/")[2].partition("-")[0])]
        (found,) = (
            copy
            for copy in self.before.copies.values()
            if (copy.location, copy.path) == (disk, path) and copy.state is not CopyState.REMOVED
        )
        return found

    def _thing(self, copy: Copy) -> Thing:
        return self.history.things[copy.artifact]

    def _rule(self, thing: Thing) -> Rule:
        return self.history.ws.policy.rule(thing.level, self.history.ws.catalogue.project(PROJECT))

    def _places(self, thing: Thing, counting: Iterable[str]) -> list[str]:
        """Lasting places that count and hold an intact, verified copy."""
        copies = [copy for copy in self.after.copies.values() if copy.artifact == thing.id and copy.state is CopyState.VERIFIED]
        held = {copy.location for copy in copies if self.after.at(copy.location, copy.path) == thing.whole}
        return sorted(held & LASTING.keys() & set(counting))

    def _stands(self, thing: Thing, counting: Iterable[str]) -> bool:
        """Whether as many copies stand as the policy asks for, one a failure domain."""
        today, wanted = (self.history.now + dt.timedelta(hours=14)).date(), self._rule(thing).wanted
        aside = {check for dataset, check, until in self.history.overrides if dataset == thing.dataset and until >= today}
        about = [LASTING[place] for place in self._places(thing, counting)]
        domains, media = len({each[0] for each in about}), len({each[1] for each in about})
        return (
            domains >= (1 if Check.COPIES in aside else wanted.copies)
            and media >= (1 if Check.MEDIA in aside else wanted.media)
            and sum(each[2] for each in about) >= (0 if Check.OFF_SITE in aside else wanted.off_site)
        )

    def _remade(self, thing: Thing, counting: Iterable[str]) -> bool:
        inputs = [self._stands(each, counting) or self._remade(each, counting) for each in thing.inputs]
        return bool(inputs) and self._rule(thing).remake and all(inputs)

    def _ended(self, thing: Thing) -> bool:
        lifetime, made_at = self._rule(thing).lifetime, self.after.artifacts[thing.id].made_at
        return lifetime is not None and later(made_at, lifetime.years) <= self.history.now

    def _made_of(self, thing: Thing) -> list[Thing]:
        """Everything that was made from something, however far down."""
        direct = [self.history.things[key] for key in self.after.artifacts if thing in self.history.things[key].inputs]
        return [*direct, *chain.from_iterable(self._made_of(each) for each in direct)]


LASTING = {
    "nas": ("nas", "disk", False, True),
    "shelf": ("nas", "disk", False, False),
    "backup": ("backup", "disk", False, False),
    "cold": ("vault", "tape", True, True),
}
"""Lasting places: failure domain, medium, whether off site, whether protected."""


def pick(found: Any, number: int) -> Any:
    """One of some things by any number; nothing where there is none."""
    return found[number % len(found)] if found else None


def deliver_all(ws: Workspace, to: Iterable[str]) -> None:
    """Copy everything to some places; what cannot be copied hinders no other."""
    for artifact in ws.catalogue.artifacts():
        for place in to:
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


def counted(catalogue: Any) -> list[Any]:
    """The totals as counting every row gives them."""
    group = (tables.copy.c.location, tables.artifact.c.level, tables.copy.c.state)
    amounts = (sa.func.count().label("copies"), sa.func.sum(tables.artifact.c.bytes).label("bytes"))
    query = sa.select(*group, *amounts).select_from(tables.copy.join(tables.artifact)).group_by(*group).order_by(*group)
    with catalogue.engine.connect() as db:
        rows = db.execute(query.where(tables.copy.c.state != "removed")).all()
    return [Total(location, Level(level), CopyState(state), copies, int(size)) for location, level, state, copies, size in rows]


@pytest.mark.long
def test_no_history_loses_data(new_world: Callable[[], Any]) -> None:
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
