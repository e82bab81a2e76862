"""What a step may change: every folder that is not as it was has to have a reason, counted from the disks by plain code."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain

from coldchain.copies import Copy, CopyState
from coldchain.levels import Level
from coldchain.overrides import Check
from coldchain.policy import Rule
from coldchain.proposals import Answer
from coldchain.workspace import Workspace
from tests.histories.truth import LASTING, Known, Moment, Thing, later

done = Counter[str]()
"""How much was tried: steps, and what went from where."""


@dataclass
class Change:
    """What a step of the software changed, held against what it may change."""

    known: Known
    ws: Workspace
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
        was, now = self.before.copies.get(copy.id), self.ws.now()
        read = copy.verified_at == now and (was is None or was.verified_at != now or was.state is not CopyState.VERIFIED)
        if read or (copy.location, copy.artifact) not in self.known.spoilt:
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
        self._time_is_believed()
        self._nobody_minds(copy)
        if not trashed:
            self._somebody_said_yes(copy)
        self._covered(copy, self.mounted - (self.before.brakes if now.state is CopyState.TRASHED else self.after.brakes))

    def _covered(self, copy: Copy, counting: set[str]) -> None:
        """What went had a ground, and enough stands without it at the places that count."""
        thing, lasting = self._thing(copy), copy.location in LASTING
        if self._stands(thing, counting) or self._remade(thing, counting):
            assert self._ended(thing) or not lasting or self._rule(thing).disposal, f"it left a lasting place without a ground: {copy}"
        else:
            assert self._ended(thing), f"nothing covers what went: {copy}"
            wanting = [each.id for each in self._made_of(thing) if not self._ended(each) and not self._stands(each, counting)]
            assert not wanting, f"{copy} is needed for {wanting}"
        if thing.level is Level.RAW and lasting:
            assert self._ended(thing), f"raw left a lasting place: {copy}"
            assert any(LASTING[place][3] for place in self._places(thing, counting)), f"raw left its last protected place: {copy}"

    def _time_is_believed(self) -> None:
        """Nothing goes after a leap of the clock that nobody has seen to."""
        leapt = self.before.believed and self.ws.now() - self.before.believed > dt.timedelta(days=self.ws.policy.clock_leap_days)
        assert not leapt, f"something went at {self.ws.now()}, and the newest time that was believed is {self.before.believed}"

    def _nobody_minds(self, copy: Copy) -> None:
        """No hold, no answer and no run kept it."""
        known, dataset = self.known, self._thing(copy).dataset
        today = (self.ws.now() - dt.timedelta(hours=12)).date()
        assert not [until for held, until in known.holds.values() if held == dataset and until >= today], f"it was held: {copy}"
        assert copy.artifact not in [artifact for artifact, _until, _lease in known.leases], f"it was in use: {copy}"
        assert known.said.get(copy.id, (0, Answer.NONE))[1] is not Answer.NO, f"it was refused: {copy}"

    def _somebody_said_yes(self, copy: Copy) -> None:
        """Where a person's yes is asked for, it was given, to this copy, in a notice that is still open."""
        lasting_raw = self._thing(copy).level is Level.RAW and copy.location in LASTING
        if lasting_raw or self.ws.policy.name in {"persons", "strict"}:
            proposal, said = self.known.said.get(copy.id, (0, Answer.NONE))
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
        return self.known.things[copy.artifact]

    def _rule(self, thing: Thing) -> Rule:
        return self.ws.policy.rule(thing.level, self.ws.catalogue.project(thing.dataset.split("/")[0]))

    def _places(self, thing: Thing, counting: Iterable[str]) -> list[str]:
        """Lasting places that count and hold an intact, verified copy."""
        copies = [copy for copy in self.after.copies.values() if copy.artifact == thing.id and copy.state is CopyState.VERIFIED]
        held = {copy.location for copy in copies if self.after.at(copy.location, copy.path) == thing.whole}
        return sorted(held & LASTING.keys() & set(counting))

    def _stands(self, thing: Thing, counting: Iterable[str]) -> bool:
        """Whether as many copies stand as the policy asks for, one a failure domain."""
        today, wanted = (self.ws.now() + dt.timedelta(hours=14)).date(), self._rule(thing).wanted
        aside = {check for dataset, check, until in self.known.overrides if dataset == thing.dataset and until >= today}
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
        return lifetime is not None and later(made_at, lifetime.years) <= self.ws.now()

    def _made_of(self, thing: Thing) -> list[Thing]:
        """Everything that was made from something, however far down."""
        direct = [self.known.things[key] for key in self.after.artifacts if thing in self.known.things[key].inputs]
        return [*direct, *chain.from_iterable(self._made_of(each) for each in direct)]
