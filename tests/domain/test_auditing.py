"""The audit: what it reads, in what order, how much of it; what makes it stop; and that it never deletes."""

from __future__ import annotations

import dataclasses
import datetime as dt
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from coldchain import auditing, making, reading, transfer
from coldchain.copies import Artifact, Copy, CopyState
from coldchain.errors import InputError, LocationUnreachable, NotInCatalogue
from coldchain.holds import Use
from coldchain.levels import Level
from coldchain.location import Location, Medium
from coldchain.policy import Policy
from coldchain.protection import release
from coldchain.sql import tables
from coldchain.store_posix import MARKER
from coldchain.testing.faults import flip_bit, vanish
from coldchain.workspace import Workspace

DATASET = "PRJ-0001/PLATE-A"


def with_audit(ws: Workspace, **changes: Any) -> Workspace:
    """The same site with another frequency, budget or brake."""
    audit = {"every_days": 30} | changes
    return dataclasses.replace(ws, policy=Policy.model_validate(ws.policy.model_dump() | {"audit": audit}))


@pytest.fixture
def several(ws: Workspace, ingested: Artifact) -> Callable[[int], list[Artifact]]:
    """Make so many artifacts at the backup, the oldest first; each is one file of 1000 bytes."""

    def make(count: int) -> list[Artifact]:
        def work(_inputs: list[Path], target: Path) -> making.Outcome:
            (target / "file").write_bytes(bytes([len(done)]) * 1000)
            return making.Outcome()

        done: list[Artifact] = []
        while len(done) < count:
            step = making.Step(f"make {len(done)}", DATASET, Level.MASKS, (ingested,))
            done.append(making.make(ws, step, work, at="backup").artifact)
            ws.now.forward(minutes=1)
        return done

    return make


def copy_of(ws: Workspace, artifact: Artifact, location: str = "backup") -> Copy:
    """The copy of an artifact at a location."""
    (found,) = ws.catalogue.copies(artifact=artifact.id, location=location)
    return found


def spoil(ws: Workspace, artifact: Artifact, location: str = "backup") -> None:
    """Flip a bit of a copy's first file."""
    folder = ws.stores[location].local(artifact.folder)
    release(folder)
    flip_bit(folder / ws.stores[location].names(artifact.folder)[0])


def bytes_at(ws: Workspace, location: str) -> dict[str, bytes]:
    """Every file at a location."""
    root = ws.stores[location].store.root
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def states(ws: Workspace, location: str = "backup") -> list[CopyState]:
    """States of the copies at a location, the oldest copy first."""
    return [copy.state for copy in ws.catalogue.copies(location=location)]


class Killed(BaseException):
    """Ends a run as a kill would: nothing of ours catches it."""


def on(ws: Workspace, location: str, operation: str, act: Callable[[int], None]) -> list[str]:
    """Do something before each call of an operation, told how many there were before; gives the paths that it was called for."""
    seen: list[str] = []

    def fault(_operation: str, arguments: tuple[Any, ...], real: Callable[[], Any]) -> Any:
        act(len(seen))
        seen.append(arguments[0])
        return real()

    ws.stores[location].faults[operation] = fault
    return seen


def at(number: int, act: Callable[[], Any]) -> Callable[[int], None]:
    """Do something at the n-th call, counted from 0."""
    return lambda seen: act() if seen == number else None


def kill() -> None:
    """End the run."""
    raise Killed


class TestWhatIsRead:
    """Due, cheapest, oldest, within the budget."""

    def test_a_copy_that_matches_is_known_to_match_now(self, ws: Workspace, ingested: Artifact) -> None:
        """The time of the last reading moves on; state, due date and everything else of the copy stay."""
        before = copy_of(ws, ingested, "nas")
        now = ws.now.forward(days=31)
        audited = auditing.audit(with_audit(ws))
        assert copy_of(ws, ingested, "nas") == dataclasses.replace(before, verified_at=now)
        assert (audited.copies, audited.bytes, audited.suspect, audited.braked) == (1, ingested.bytes, [], {})

    @pytest.mark.usefixtures("ingested")
    def test_what_was_read_lately_is_not_read_again(self, ws: Workspace) -> None:
        """A copy is due after the policy's days to the moment, and not a second earlier."""
        ws.now.forward(days=30, seconds=-1)
        assert auditing.audit(with_audit(ws)).copies == 0
        ws.now.forward(seconds=1)
        assert auditing.audit(with_audit(ws)).copies == 1

    def test_each_location_has_its_own_frequency(self, ws: Workspace, ingested: Artifact) -> None:
        """A location that the policy names is read at its own frequency."""
        transfer.deliver(ws, ingested, "backup")
        ws.now.forward(days=10)
        audited = auditing.audit(with_audit(ws, locations={"backup": 7}))
        assert {place.location: place.copies for place in audited.places} == {"nas": 0, "backup": 1, "partner": 0, "cold": 0}

    def test_a_reading_from_the_future_is_read_again(self, ws: Workspace, ingested: Artifact) -> None:
        """A clock that was wrong once does not keep a copy from being read, and it is read once."""
        ws.now.forward(days=-1)
        assert auditing.audit(with_audit(ws)).copies == 1
        assert copy_of(ws, ingested, "nas").verified_at == ws.now()

    def test_scratch_is_not_read(self, ws: Workspace, ingested: Artifact) -> None:
        """A place that removes files by itself never counts, so nobody reads it back."""
        transfer.deliver(ws, ingested, "scratch")
        seen = on(ws, "scratch", "read_back", at(0, lambda: None))
        ws.now.forward(days=31)
        auditing.audit(with_audit(ws))
        assert seen == []

    def test_only_the_locations_that_are_named(self, ws: Workspace, ingested: Artifact) -> None:
        """Where locations are named, the others are left alone; an unknown one, or scratch, is refused with the names there are."""
        transfer.deliver(ws, ingested, "backup")
        ws.now.forward(days=31)
        assert [place.location for place in auditing.audit(with_audit(ws), locations=["backup"]).places] == ["backup"]
        for name in ("nowhere", "scratch"):
            with pytest.raises(InputError, match=r"nas, cold, backup"):
                auditing.audit(with_audit(ws), locations=[name])

    def test_the_cheapest_first(self) -> None:
        """Disk is read before object storage, and that before tape; among equals the site's order stays."""
        media = [Medium.TAPE, Medium.DISK, Medium.OBJECT, Medium.DISK]
        places = [Location(name=f"p{n}", root=f"p{n}", medium=medium, domain="d", site="s") for n, medium in enumerate(media)]
        assert [place.name for place in auditing.order(places, {})] == ["p1", "p3", "p2", "p0"]

    def test_what_has_waited_for_twice_its_time_comes_first(self) -> None:
        """The longest first, whatever it costs; what has waited for less than that takes its turn by what it costs."""
        media = [Medium.TAPE, Medium.DISK, Medium.OBJECT, Medium.DISK]
        places = [Location(name=f"p{n}", root=f"p{n}", medium=medium, domain="d", site="s") for n, medium in enumerate(media)]
        waits = {"p0": 2.0, "p1": 3.0, "p2": 1.9}
        assert [place.name for place in auditing.order(places, waits)] == ["p1", "p0", "p3", "p2"]

    def test_a_wait_is_counted_in_the_locations_own_time(self, ws: Workspace, ingested: Artifact) -> None:
        """From the oldest reading there; one that lies in the future is none, and has waited for ever; scratch does not wait."""
        for place in ("backup", "scratch"):
            transfer.deliver(ws, ingested, place)
        ws.now.forward(days=60)
        assert auditing.waits(with_audit(ws, locations={"backup": 20})) == {"nas": 2.0, "backup": 3.0}
        ws.now.forward(days=-90)
        assert auditing.waits(with_audit(ws)) == {"nas": float("inf"), "backup": float("inf")}
        ws.now.forward(days=90)
        ws.catalogue.change_copy(copy_of(ws, ingested).id, verified_at=None)
        assert auditing.waits(with_audit(ws)) == {"nas": 2.0, "backup": float("inf")}

    def test_a_budget_that_is_always_short_reaches_every_location(self, ws: Workspace, ingested: Artifact) -> None:
        """One copy a night: disks are read first, and the tape before any disk's third turn comes."""
        transfer.deliver(ws, ingested, "cold")
        transfer.deliver(ws, ingested, "backup")
        space, read = with_audit(ws, every_days=1, bytes_a_night=1), []
        for _ in range(9):
            ws.now.forward(days=1)
            read += [place.location for place in auditing.audit(space).places if place.copies]
        assert set(read) == {"nas", "cold", "backup"}

    def test_the_tape_last(self, ws: Workspace) -> None:
        """An audit of the site goes in that order, so that the budget is spent on what is cheap."""
        assert [place.location for place in auditing.audit(ws).places] == ["nas", "backup", "partner", "cold"]

    def test_the_oldest_first(self, ws: Workspace, several: Callable[[int], list[Artifact]]) -> None:
        """Within a location the copy whose reading is oldest is read first, whatever its number."""
        made = several(3)
        ws.catalogue.change_copy(copy_of(ws, made[0]).id, verified_at=ws.now())
        seen = on(ws, "backup", "read_back", at(-1, kill))
        ws.now.forward(days=31)
        auditing.audit(with_audit(ws), locations=["backup"])
        assert seen == [made[1].folder, made[2].folder, made[0].folder]

    def test_each_copy_once_over_many_pages(
        self, ws: Workspace, several: Callable[[int], list[Artifact]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whether a copy matches, fails, is leased or is due again at once: an audit looks at it once, and comes to an end."""
        made = several(5)
        spoil(ws, made[0])
        monkeypatch.setattr(auditing, "PAGE", 2)
        seen = on(ws, "backup", "read_back", at(-1, kill))
        with ws.catalogue.lease([made[1].id], Use.ALONE, ws.now()):
            audited = auditing.audit(with_audit(ws, every_days=0), locations=["backup"])
        assert sorted(seen) == sorted(artifact.folder for artifact in (made[0], *made[2:]))
        assert (audited.copies, len(audited.suspect), len(audited.places[0].left)) == (4, 1, 1)

    @pytest.mark.parametrize(
        ("moment", "night"),
        [("01-15T22:00", "01-15"), ("01-16T06:00", "01-15"), ("01-16T11:59", "01-15"), ("01-16T12:00", "01-16"), ("03-01T00:30", "02-29")],
    )
    def test_a_night_lasts_from_noon_to_noon(self, moment: str, night: str) -> None:
        """An audit from the evening to the morning is one night's, named by its evening."""
        at = dt.datetime.fromisoformat(f"2028-{moment}").replace(tzinfo=dt.UTC)
        assert auditing.night_of(at) == dt.date.fromisoformat(f"2028-{night}")
        assert auditing.night_of(at.astimezone(dt.timezone(dt.timedelta(hours=-9)))) == dt.date.fromisoformat(f"2028-{night}")

    def test_it_is_told_what_was_read_and_why_it_ended(self, ws: Workspace, several: Callable[[int], list[Artifact]]) -> None:
        """A line for each location, with what ended its night early where something did, and one for each copy that does not match."""
        made, told = several(3), list[str]()
        spoil(ws, made[0])
        ws.now.forward(days=31)
        auditing.audit(with_audit(ws), budget=2000, locations=["backup"], tell=told.append)
        auditing.audit(with_audit(ws), budget=9000, locations=["backup"], tell=told.append)
        assert told[0].startswith(f"{made[0].label} at backup does not match: 'file'")
        assert told[1:] == [
            "backup: 2 copies, 2000 bytes read back; the night's budget is used up; the rest is read in the nights that follow",
            "backup: 1 copies, 1000 bytes read back",
        ]


class TestTheBudget:
    """So many bytes a night, in all."""

    def test_the_budget_ends_the_night_and_the_next_goes_on(self, ws: Workspace, several: Callable[[int], list[Artifact]]) -> None:
        """Three copies fit in the night, a second run of the same night reads nothing, and the next night goes on where it stopped."""
        made = several(5)
        seen = on(ws, "backup", "read_back", at(-1, kill))
        ws.now.forward(days=31)
        space = with_audit(ws, bytes_a_night=3000)
        assert [auditing.audit(space, locations=["backup"]).copies for _run in range(2)] == [3, 0]
        assert "budget" in auditing.audit(space, locations=["backup"]).places[0].ended
        ws.now.forward(days=1)
        assert auditing.audit(space, locations=["backup"]).copies == 2
        assert seen == [artifact.folder for artifact in made]

    def test_a_copy_larger_than_the_budget_is_read(self, ws: Workspace, several: Callable[[int], list[Artifact]]) -> None:
        """The first copy of a night is read whatever its size, so that none is never read."""
        several(2)
        ws.now.forward(days=31)
        assert auditing.audit(with_audit(ws), budget=1, locations=["backup"]).copies == 1

    def test_what_fails_uses_the_budget_too(self, ws: Workspace, several: Callable[[int], list[Artifact]]) -> None:
        """Bytes that do not match were read like others."""
        spoil(ws, several(2)[0])
        ws.now.forward(days=31)
        assert auditing.audit(with_audit(ws), budget=1, locations=["backup"]).copies == 1

    def test_an_audit_that_is_killed_goes_on_where_it_was(self, ws: Workspace, several: Callable[[int], list[Artifact]]) -> None:
        """What matched before the kill is not read again, and its bytes are on the night's account."""
        made = several(4)
        ws.now.forward(days=31)
        on(ws, "backup", "read_back", at(2, kill))
        with pytest.raises(Killed):
            auditing.audit(with_audit(ws), locations=["backup"])
        assert ws.catalogue.audited(auditing.night_of(ws.now())) == 2000
        seen = on(ws, "backup", "read_back", at(-1, kill))
        auditing.audit(with_audit(ws), locations=["backup"])
        assert seen == [artifact.folder for artifact in made[2:]]


class TestDamage:
    """What does not match stops counting, and stays where it is."""

    def test_a_flipped_bit_makes_a_copy_suspect_at_once(self, ws: Workspace, several: Callable[[int], list[Artifact]]) -> None:
        """One of three copies fails: it is suspect after the audit, the file is named, no byte is touched, and no brake is set."""
        made = several(3)
        spoil(ws, made[1])
        before = bytes_at(ws, "backup")
        ws.now.forward(days=31)
        audited = auditing.audit(with_audit(ws), locations=["backup"])
        assert states(ws) == [CopyState.VERIFIED, CopyState.SUSPECT, CopyState.VERIFIED]
        assert [(each.artifact, "'file'" in each.found) for each in audited.suspect] == [(made[1].label, True)]
        assert "'file'" in copy_of(ws, made[1]).detail
        assert bytes_at(ws, "backup") == before
        assert ws.catalogue.brakes() == {}

    def test_a_folder_that_is_gone_makes_a_copy_lost(self, ws: Workspace, several: Callable[[int], list[Artifact]]) -> None:
        """A copy without its folder is lost, the others count."""
        made = several(2)
        ws.stores["backup"].local(made[0].folder).rename(ws.stores["backup"].store.root / "elsewhere")
        ws.now.forward(days=31)
        auditing.audit(with_audit(ws), locations=["backup"])
        assert states(ws) == [CopyState.LOST, CopyState.VERIFIED]

    @pytest.mark.parametrize("stands", ["link", "loop", "file"])
    def test_something_else_in_its_place_is_not_followed(
        self, ws: Workspace, several: Callable[[int], list[Artifact]], stands: str
    ) -> None:
        """A link to the very same bytes, a link to itself or a file in a copy's place is no copy, and ends no audit."""
        made = several(2)
        folder = ws.stores["backup"].local(made[0].folder)
        moved = folder.rename(ws.stores["backup"].store.root / "elsewhere")
        if stands == "file":
            folder.write_bytes(b"")
        else:
            folder.symlink_to(moved if stands == "link" else folder)
        ws.now.forward(days=31)
        auditing.audit(with_audit(ws), locations=["backup"])
        assert states(ws) == [CopyState.LOST if stands == "file" else CopyState.SUSPECT, CopyState.VERIFIED]

    def test_what_was_let_go_meanwhile_is_not_judged(self, ws: Workspace, several: Callable[[int], list[Artifact]]) -> None:
        """A copy that was trashed between the listing and its turn is not read, and is not lost."""
        made = several(2)
        second = copy_of(ws, made[1])

        def trash() -> None:
            ws.catalogue.change_copy(second.id, state=CopyState.TRASHED)
            ws.stores["backup"].store.move(second.path, transfer.trash(second))

        on(ws, "backup", "read_back", at(0, trash))
        ws.now.forward(days=31)
        assert auditing.audit(with_audit(ws), locations=["backup"]).copies == 1
        assert states(ws) == [CopyState.VERIFIED, CopyState.TRASHED]

    def test_what_was_removed_and_made_anew_meanwhile_is_another_copy(
        self, ws: Workspace, several: Callable[[int], list[Artifact]]
    ) -> None:
        """A copy that went, and whose successor stands in its place when its turn comes, is not read under the old one's number."""
        made = several(2)
        second = copy_of(ws, made[1])

        def anew() -> None:
            ws.catalogue.change_copy(second.id, state=CopyState.REMOVED)
            copy = ws.catalogue.start_copy(made[1].id, "backup", second.path, ws.now())
            ws.catalogue.change_copy(copy.id, state=CopyState.VERIFIED, verified_at=ws.now())

        on(ws, "backup", "read_back", at(0, anew))
        ws.now.forward(days=31)
        audited = auditing.audit(with_audit(ws), locations=["backup"])
        assert (audited.copies, audited.places[0].left) == (1, [f"{made[1].id[:80]}: it does not count any more"])
        assert ws.catalogue.copies(artifact=made[1].id, location="backup")[0].verified_at == second.verified_at

    @pytest.mark.parametrize("change", [{"state": CopyState.TRASHED}, {"verified_at": dt.datetime(2031, 1, 1, tzinfo=dt.UTC)}])
    def test_what_changed_since_it_failed_is_not_judged(
        self, ws: Workspace, several: Callable[[int], list[Artifact]], change: dict[str, Any]
    ) -> None:
        """A copy that failed, and that somebody let go or read back before the audit ended, is not made suspect."""
        made = several(2)
        spoil(ws, made[0])
        failed = copy_of(ws, made[0])
        on(ws, "backup", "read_back", at(1, lambda: ws.catalogue.change_copy(failed.id, **change)))
        ws.now.forward(days=31)
        assert auditing.audit(with_audit(ws), locations=["backup"]).suspect == []
        assert copy_of(ws, made[0]) == dataclasses.replace(failed, **change)

    def test_nothing_is_removed_while_it_is_read(self, ws: Workspace, ingested: Artifact) -> None:
        """While a copy is read its artifact is leased for reading, and not any more afterwards."""
        held: list[tuple[str, Use]] = []
        on(ws, "nas", "read_back", at(0, lambda: held.extend((each.scope, each.use) for each in ws.catalogue.leases(ws.now()))))
        ws.now.forward(days=31)
        auditing.audit(with_audit(ws))
        assert held == [(ingested.id, Use.READ)]
        assert ws.catalogue.leases(ws.now()) == []

    def test_what_is_being_removed_is_left_for_another_night(self, ws: Workspace, ingested: Artifact) -> None:
        """A copy that somebody has for himself is not read, not judged, and told."""
        spoil(ws, ingested, "nas")
        ws.now.forward(days=31)
        with ws.catalogue.lease([ingested.id], Use.ALONE, ws.now()):
            audited = auditing.audit(with_audit(ws))
        assert (audited.copies, len(audited.places[0].left)) == (0, 1)
        assert states(ws, "nas") == [CopyState.VERIFIED]


class TestTheBrake:
    """A broken mount looks like ten thousand corrupt files."""

    @pytest.fixture
    def braked(self, ws: Workspace, several: Callable[[int], list[Artifact]]) -> Workspace:
        """A site whose backup lost everything but its marker, in an audit that stopped there."""
        several(5)
        shutil.rmtree(ws.stores["backup"].store.root / "projects")
        ws.now.forward(days=31)
        space = with_audit(ws, brake={"failures": 2, "share": 0.5})
        audited = auditing.audit(space)
        assert list(audited.braked) == ["backup"]
        return space

    @pytest.mark.parametrize("how", ["empty", "corrupt"])
    def test_nothing_is_touched(self, ws: Workspace, several: Callable[[int], list[Artifact]], how: str) -> None:
        """All folders gone, or all bytes wrong: the audit stops at the first failure too many, marks nothing and tells why."""
        made = several(5)
        for artifact in made:
            spoil(ws, artifact)
        if how == "empty":
            shutil.rmtree(ws.stores["backup"].store.root / "projects")
        copies, before, told = ws.catalogue.copies(), bytes_at(ws, "backup"), list[str]()
        ws.now.forward(days=31)
        audited = auditing.audit(with_audit(ws, brake={"failures": 2, "share": 0.5}), locations=["backup"], tell=told.append)
        assert ws.catalogue.copies() == copies
        assert bytes_at(ws, "backup") == before
        assert (audited.copies, audited.suspect, len(audited.places[0].unjudged)) == (3, [], 3)
        assert ws.catalogue.brakes() == audited.braked
        assert "3 of 3 copies read there do not match" in audited.braked["backup"]
        assert any("backup is stopped" in line for line in told)

    def test_few_failures_among_many_are_failures(self, ws: Workspace, several: Callable[[int], list[Artifact]]) -> None:
        """More failures than the brake's number, but not more than its share: the copies are to blame."""
        made = several(6)
        for artifact in made[3:]:
            spoil(ws, artifact)
        ws.now.forward(days=31)
        auditing.audit(with_audit(ws, brake={"failures": 2, "share": 0.5}), locations=["backup"])
        assert states(ws) == [CopyState.VERIFIED] * 3 + [CopyState.SUSPECT] * 3

    def test_a_small_place_is_not_to_blame(self, ws: Workspace, several: Callable[[int], list[Artifact]]) -> None:
        """Not more failures than the brake's number, though all of them: the copies are to blame."""
        for artifact in several(2):
            spoil(ws, artifact)
        ws.now.forward(days=31)
        auditing.audit(with_audit(ws, brake={"failures": 2, "share": 0.5}), locations=["backup"])
        assert states(ws) == [CopyState.SUSPECT] * 2

    def test_a_braked_location_counts_no_more_and_is_left_alone(self, braked: Workspace) -> None:
        """Until a person releases it, nothing there counts and nothing there is read; the others are audited."""
        assert "backup" not in braked.reachable()
        seen = on(braked, "backup", "manifest", at(-1, kill))
        braked.now.forward(days=31)
        audited = auditing.audit(braked)
        assert (seen, list(audited.braked)) == ([], ["backup"])
        assert {place.location for place in audited.places if place.copies} == {"nas"}
        assert [place.ended for place in audited.places if place.braked] == ["it is stopped until a person releases it"]

    def test_a_person_releases_it(self, braked: Workspace) -> None:
        """With a reason it counts again and is audited again; who and why stay in a receipt."""
        with pytest.raises(InputError):
            auditing.release(braked, "backup", " ")
        auditing.release(braked, "backup", "the cable was loose")
        assert "backup" in braked.reachable()
        assert [(each["location"], each["why"]) for each in braked.catalogue.receipts("brake")][-1] == ("backup", "the cable was loose")
        with pytest.raises(NotInCatalogue):
            auditing.release(braked, "backup", "again")

    def test_reading_before_a_removal_has_the_brake_too(self, ws: Workspace, several: Callable[[int], list[Artifact]]) -> None:
        """Copies that are read back under somebody else's lease: those that match are given, and a broken mount judges none."""
        made = several(5)
        copies = [copy_of(ws, artifact) for artifact in made]
        with ws.catalogue.lease([artifact.id for artifact in made], Use.ALONE, ws.now()):
            assert auditing.read_back(ws, copies) == {copy.id for copy in copies}
            spoil(ws, made[0])
            assert auditing.read_back(ws, copies) == {copy.id for copy in copies[1:]}
            assert states(ws).count(CopyState.SUSPECT) == 1
            shutil.rmtree(ws.stores["backup"].store.root / "projects")
            space = with_audit(ws, brake={"failures": 2, "share": 0.5})
            seen = on(ws, "backup", "manifest", at(-1, kill))
            assert auditing.read_back(space, copies[1:]) == set()
            assert len(seen) == 3
        assert states(ws).count(CopyState.VERIFIED) == 4
        assert list(ws.catalogue.brakes()) == ["backup"]


class TestALocationThatGoes:
    """Nothing is judged on what cannot be reached."""

    def test_a_place_that_the_site_does_not_know_says_nothing_of_its_copies(self, ws: Workspace, ingested: Artifact) -> None:
        """A location that was taken out of the site file cannot be read: its copies are neither sound nor damaged."""
        copy = copy_of(ws, ingested, "nas")
        space = dataclasses.replace(ws, stores={name: store for name, store in ws.stores.items() if name != "nas"})
        found = reading.read(space, ingested, copy)
        assert (found.outcome, found.found) == (reading.Outcome.UNREAD, "the site does not know this location")
        assert reading.read(ws, ingested, copy).outcome is reading.Outcome.MATCHES

    def test_another_medium_in_its_place_is_not_read(self, ws: Workspace, several: Callable[[int], list[Artifact]]) -> None:
        """An empty mount point, or another disk: the location is told, nothing is read, marked or braked, and the others are audited."""
        several(3)
        copies = ws.catalogue.copies(location="backup")
        root = ws.stores["backup"].store.root
        root.rename(root.with_name("unmounted"))
        root.mkdir()
        ws.now.forward(days=31)
        audited = auditing.audit(with_audit(ws))
        assert {place.location: bool(place.ended) for place in audited.places} == {
            "nas": False, "backup": True, "partner": False, "cold": False
        }  # fmt: skip
        assert [place.left for place in audited.places] == [[], [], [], []]
        assert ws.catalogue.copies(location="backup") == copies
        assert ws.catalogue.brakes() == {}

    @pytest.mark.parametrize("failed_before", [0, 1])
    def test_a_mount_that_goes_in_the_middle(self, ws: Workspace, several: Callable[[int], list[Artifact]], failed_before: int) -> None:
        """The files are gone because the mount is: the copy is not judged, nor what failed before it, and the audit goes on elsewhere."""
        made = several(3)
        for artifact in made[:failed_before]:
            spoil(ws, artifact)
        copies, root = ws.catalogue.copies(location="backup")[1:], ws.stores["backup"].store.root
        on(ws, "backup", "read_back", at(1, lambda: root.rename(root.with_name("unmounted"))))
        ws.now.forward(days=31)
        audited = auditing.audit(with_audit(ws))
        assert states(ws) == [CopyState.VERIFIED] * 3
        assert ws.catalogue.copies(location="backup")[1:] == copies
        assert next(place for place in audited.places if place.location == "backup").ended
        assert (len(audited.suspect), audited.braked) == (0, {})

    def test_a_mount_that_goes_sets_no_brake(self, ws: Workspace, several: Callable[[int], list[Artifact]]) -> None:
        """However few failures stop an audit: files that are gone because the mount is are none, and nobody has to release it."""
        spoil(ws, several(3)[0])
        root = ws.stores["backup"].store.root
        on(ws, "backup", "read_back", at(1, lambda: root.rename(root.with_name("unmounted"))))
        ws.now.forward(days=31)
        audited = auditing.audit(with_audit(ws, brake={"failures": 1, "share": 0.1}), locations=["backup"])
        assert (audited.copies, len(audited.places[0].left), audited.braked, ws.catalogue.brakes()) == (1, 1, {}, {})

    def test_a_mount_that_goes_at_the_end(self, ws: Workspace, several: Callable[[int], list[Artifact]]) -> None:
        """What failed on a location that went away before it was judged stays as it was."""
        spoil(ws, several(1)[0])
        marker = ws.stores["backup"].store.root / MARKER
        ws.now.forward(days=31)
        audited = auditing.audit(with_audit(ws), locations=["backup"], tell=lambda _line: marker.unlink(missing_ok=True))
        assert (states(ws), len(audited.places[0].unjudged)) == ([CopyState.VERIFIED], 1)

    def test_a_location_that_goes_after_all_of_it_matched(self, ws: Workspace, several: Callable[[int], list[Artifact]]) -> None:
        """Its last copy matches, and then it shows no identity any more: everything was read, and nothing is to be judged there."""
        several(1)
        on(ws, "backup", "read_back", at(0, (ws.stores["backup"].store.root / MARKER).unlink))
        ws.now.forward(days=31)
        audited = auditing.audit(with_audit(ws), locations=["backup"])
        assert (audited.copies, audited.places[0].ended) == (1, "")

    def test_a_location_that_answers_badly_ends_its_night(
        self, ws: Workspace, several: Callable[[int], list[Artifact]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Copies that cannot be read now are left as they are; after a number of them the location has had its night."""
        several(3)
        monkeypatch.setattr(auditing, "UNREAD_MOST", 2)
        copies = ws.catalogue.copies()
        ws.stores["backup"].faults["read_back"] = vanish
        ws.now.forward(days=31)
        audited = auditing.audit(with_audit(ws), locations=["backup"])
        assert (audited.copies, len(audited.places[0].left)) == (0, 2)
        assert "2 copies could not be read" in audited.places[0].ended
        assert ws.catalogue.copies() == copies
        with ws.catalogue.engine.connect() as db:
            assert db.execute(sa.select(tables.audit_night)).all() == [], "nothing was read in this night"

    @pytest.mark.usefixtures("ingested")
    def test_a_catalogue_that_is_away_is_an_error(self, ws: Workspace) -> None:
        """An audit that cannot write down what it read does not end as if it had."""

        def away() -> None:
            raise LocationUnreachable("the catalogue does not answer")

        class Away:
            def __getattr__(self, name: str) -> Any:
                return (lambda *_a, **_k: away()) if name == "change_copy" else getattr(ws.catalogue, name)

        ws.now.forward(days=31)
        with pytest.raises(LocationUnreachable):
            auditing.audit(dataclasses.replace(with_audit(ws), catalogue=Away()))
