"""Disks and tapes on a shelf: registered, checked in and out, counted while their last reading is recent, and noticed by their identity.

A disk is taken away by renaming its folder here; `tests/tasks/test_media.py` does the same with disks that are mounted.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from coldchain import auditing, reviewing, shelving, sweeping, transfer
from coldchain.copies import Artifact, CopyState
from coldchain.errors import InputError, LocationUnreachable
from coldchain.levels import Level
from coldchain.location import Engine, Location, Medium, Offline
from coldchain.media import State, Whereabouts
from coldchain.planning import wished
from coldchain.policy import Policy
from coldchain.protection import release
from coldchain.retention import Action, plan
from coldchain.shelving import Looked
from coldchain.standing import standing
from coldchain.store_posix import MARKER, PosixStore
from coldchain.testing.faults import FaultyStore
from coldchain.workspace import Workspace

DAY = dt.timedelta(days=1)
DISK = Location(
    name="disk07", root="disk07", medium=Medium.DISK, domain="disk07", site="home", engine=Engine.OFFLINE, offline=Offline(label="Disk 7")
)


@pytest.fixture
def lab(ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """The site with a disk that is taken away, put in for the first time; it is read every thirty days."""
    site = ws.site.model_copy(update={"locations": (*ws.site.locations, DISK)})
    site.__dict__.pop("by_name", None)
    stores = {**ws.stores, "disk07": FaultyStore(PosixStore(DISK, site.path(DISK.root)))}
    policy = Policy.model_validate(ws.policy.model_dump() | {"audit": {"every_days": 30}, "clock_leap_days": 36600})
    found = dataclasses.replace(ws, site=site, stores=stores, policy=policy)
    point = site.path(DISK.root)
    point.mkdir()
    mounted = os.path.ismount
    monkeypatch.setattr(os.path, "ismount", lambda path: is_put_in(point) if Path(path) == point else mounted(path))
    found.register()
    return found


@pytest.fixture
def raw(lab: Workspace, ingested: Artifact) -> Artifact:
    """Raw data on the NAS, in the cold archive and on the disk: as the policy wants it, and not without the disk."""
    for to in ("cold", "disk07"):
        transfer.deliver(lab, ingested, to)
    return ingested


@pytest.fixture(autouse=True)
def released(ws: Workspace) -> object:
    """Lift write protection below the site at the end."""
    yield
    release(ws.site.path("."))


def is_put_in(point: Path) -> bool:
    """Whether this disk, or another, is there."""
    return point.is_dir() and (not point.with_name("in-a-hand").exists() or bool(list(point.iterdir())))


def take_out(lab: Workspace) -> None:
    """The disk is not put in any more."""
    point = lab.site.path(DISK.root)
    point.rename(point.with_name("in-a-hand"))
    point.mkdir()


def put_in(lab: Workspace) -> None:
    """The disk comes back."""
    point = lab.site.path(DISK.root)
    point.rmdir()
    point.with_name("in-a-hand").rename(point)


def another_in_its_place(lab: Workspace) -> None:
    """Another disk of a site like this."""
    marker = lab.site.path(DISK.root) / MARKER
    marker.parent.mkdir()
    marker.write_text(json.dumps({"identity": "ffff", "name": "disk07"}))


def stands(lab: Workspace, artifact: Artifact) -> bool:
    """Whether the policy is met now."""
    return standing(artifact, lab.ledger([artifact.dataset]), lab.policy, lab.now()).stands


def reasons(lab: Workspace, artifact: Artifact) -> str:
    """Why the policy is met or not."""
    return "; ".join(standing(artifact, lab.ledger([artifact.dataset]), lab.policy, lab.now()).reasons)


def look(lab: Workspace) -> Looked:
    """The disk as a look finds it."""
    (found,) = shelving.look(lab)
    return found


class TestKnowingIt:
    """Its identity is written once, onto the medium and nowhere else."""

    def test_it_is_registered_while_it_is_put_in(self, lab: Workspace) -> None:
        """From then on it is known as put in here."""
        assert lab.catalogue.identity("disk07") == lab.store("disk07").identity()
        found = lab.catalogue.media()["disk07"]
        assert (found.state, found.seen_at, found.since) == (State.IN, lab.now(), lab.now())

    def test_an_empty_mount_point_is_not_written_to(self, lab: Workspace) -> None:
        """Another registration, while it is away, leaves its mount point empty, and the others are registered."""
        take_out(lab)
        lab.register()
        assert list(lab.site.path("disk07").iterdir()) == []

    def test_another_disk_is_not_written_to(self, lab: Workspace) -> None:
        """One that is put in where a known one belongs, and that has no identity, does not get one."""
        take_out(lab)
        (lab.site.path("disk07") / "lost+found").mkdir()
        lab.register()
        assert [each.name for each in lab.site.path("disk07").iterdir()] == ["lost+found"]

    def test_a_folder_is_no_medium(self, lab: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where nothing is mounted, a new one is not registered: its copies would land on the system's own disk."""
        monkeypatch.undo()
        new = DISK.model_copy(update={"name": "disk08", "root": "disk08", "domain": "disk08"})
        lab.site.path("disk08").mkdir()
        site = lab.site.model_copy(update={"locations": (*lab.site.locations, new)})
        site.__dict__.pop("by_name", None)
        more = dataclasses.replace(lab, site=site, stores={**lab.stores, "disk08": PosixStore(new, site.path("disk08"))})
        more.register()
        assert more.catalogue.identity("disk08") is None
        assert list(site.path("disk08").iterdir()) == []
        with pytest.raises(InputError, match=r"never put in(?s:.*)doctor --register"):
            shelving.check_in(more, "disk08", "room 3")

    def test_a_location_that_was_always_there_is_known_as_put_in(self, lab: Workspace) -> None:
        """One that the site described as a mounted disk before: the next audit writes it down, once."""
        with lab.catalogue.writing.begin() as db:
            db.exec_driver_sql("delete from medium")
        auditing.audit(lab)
        auditing.audit(lab)
        assert lab.catalogue.media()["disk07"].state is State.IN
        assert [each["after"]["state"] for each in lab.catalogue.receipts("medium")] == ["in", "in"]

    def test_what_was_said_of_a_medium_bars_no_place_that_stays(self, lab: Workspace) -> None:
        """Where the site describes a location as a mounted disk now, it is one."""
        lab.catalogue.save_medium(Whereabouts("nas", State.LOST, lab.now()))
        assert "nas" in lab.reachable()
        assert [each.location for each in shelving.look(lab)] == ["disk07"]


class TestCounting:
    """What stands on a shelf counts, as long as a person answers for it and its last reading is recent."""

    def test_on_the_shelf_it_counts(self, lab: Workspace, raw: Artifact) -> None:
        """With its place, and the day of its last reading, among the reasons."""
        shelving.check_in(lab, "disk07", "room 3, shelf B")
        take_out(lab)
        lab.now.forward(days=10)
        assert stands(lab, raw)
        assert "disk07 is on the shelf: room 3, shelf B, last read back on 2030-01-15" in reasons(lab, raw)

    def test_taken_away_without_a_word_it_does_not(self, lab: Workspace, raw: Artifact) -> None:
        """The review of the next day notices, though nobody said so."""
        reviewing.review(lab)
        take_out(lab)
        assert not stands(lab, raw)
        assert "not put in, and nobody said where it is" in reasons(lab, raw)
        lab.now.forward(days=1)
        assert reviewing.review(lab) == 1
        assert [name for name, _ in lab.catalogue.shortfalls(9)] == [raw.id]

    def test_it_counts_up_to_the_end_of_the_window(self, lab: Workspace, raw: Artifact) -> None:
        """Then it does not; the review looks at that very moment and not every day; back and read again, it counts."""
        shelving.check_in(lab, "disk07", "room 3")
        take_out(lab)
        reviewing.review(lab)
        lab.now.forward(days=60)
        assert reviewing.review(lab) == 0
        for name in ("nas", "cold"):
            auditing.audit(lab, locations=[name])
        reviewing.review(lab)
        lab.now.forward(days=30)
        assert stands(lab, raw)
        lab.now.forward(seconds=1)
        assert reviewing.review(lab) == 1
        ((name, said),) = lab.catalogue.shortfalls(9)
        assert name == raw.id
        assert any("more than 90 days ago (on the shelf: room 3)" in each for each in said)
        put_in(lab)
        assert auditing.audit(lab, locations=["disk07"]).copies == 1
        assert reviewing.review(lab) == 1
        assert lab.catalogue.shortfalls(9) == []

    def test_a_brake_holds_on_the_shelf_too(self, lab: Workspace, raw: Artifact) -> None:
        """Where so much failed that the disk is to blame, nothing on it counts, wherever it is, until a person releases it."""
        shelving.check_in(lab, "disk07", "room 3")
        lab.catalogue.set_brake("disk07", "nine of ten do not match", lab.now())
        take_out(lab)
        assert not stands(lab, raw)
        lab.catalogue.release_brake("disk07", "ada", "the cable", lab.now())
        assert stands(lab, raw)

    def test_another_disk_in_its_place_throws_doubt_on_the_shelf(self, lab: Workspace, raw: Artifact) -> None:
        """Who put it in took it for this one: what stands on the shelf may be another, too."""
        shelving.check_in(lab, "disk07", "room 3")
        take_out(lab)
        assert stands(lab, raw)
        another_in_its_place(lab)
        assert not stands(lab, raw)

    def test_nothing_leaves_or_reaches_a_shelf(self, lab: Workspace, raw: Artifact) -> None:
        """It is no source and no target, and the audit says where it is."""
        shelving.check_in(lab, "disk07", "room 3")
        take_out(lab)
        assert {copy.location for copy in transfer.readable(lab, raw)} == {"nas", "cold"}
        ledger = lab.ledger([raw.dataset])
        judged = {ledger.by_id[each.copy].location: each.action for each in plan(ledger, lab.policy, lab.now()).decisions}
        assert judged["disk07"] is Action.KEEP
        (place,) = auditing.audit(lab, locations=["disk07"]).places
        assert place.ended == "on the shelf: room 3"

    def test_what_is_checked_out_does_not_count_though_it_is_put_in(self, lab: Workspace, raw: Artifact) -> None:
        """From that moment; the next review notices, and nothing leans on it or comes to it, until it is checked in again."""
        reviewing.review(lab)
        shelving.check_out(lab, "disk07", "ada")
        assert not stands(lab, raw)
        assert "disk07" not in lab.reachable()
        assert "checked out: ada has it since 2030-01-15" in reasons(lab, raw)
        assert [wish.to for wish in wished(lab, raw.dataset)] == ["backup"]
        assert reviewing.review(lab) == 1
        assert [name for name, _ in lab.catalogue.shortfalls(9)] == [raw.id]
        shelving.check_in(lab, "disk07")
        assert stands(lab, raw)
        assert reviewing.review(lab) == 1
        assert lab.catalogue.shortfalls(9) == []

    def test_a_removal_leans_on_a_shelf_by_its_last_reading_and_never_alone(self, lab: Workspace, raw: Artifact) -> None:
        """A copy on scratch goes where the rest is read back in that moment; with the others away it stays."""
        transfer.deliver(lab, raw, "scratch")
        shelving.check_in(lab, "disk07", "room 3")
        take_out(lab)
        lab.now.forward(days=40)
        for name in ("nas", "cold"):
            auditing.audit(lab, locations=[name])
        lab.now.forward(days=1)
        report = sweeping.sweep(lab, dry_run=False)
        assert [line.location for line in report.removed.lines] == ["scratch"], report.dropped
        assert {copy.location for copy in lab.catalogue.copies(artifact=raw.id, states=[CopyState.VERIFIED])} == {"nas", "cold", "disk07"}

    @pytest.mark.parametrize("strict", [True, False])
    def test_a_removal_that_leans_on_shelves_alone_waits(self, lab: Workspace, made: Callable[..., Artifact], strict: bool) -> None:
        """Until the disk is put in and read back in that moment, unless the policy asks for no such reading."""
        lab = dataclasses.replace(lab, policy=lab.policy.model_copy(update={"read_back_before_removal": strict}))
        masks = made(Level.MASKS, {"m": b"masks"})
        transfer.deliver(lab, masks, "disk07")
        shelving.check_in(lab, "disk07", "room 3")
        take_out(lab)
        lab.now.forward(days=1)
        report = sweeping.sweep(lab, dry_run=False)
        assert report.removed.count == (not strict)
        assert any("could not be read back now" in line.reasons[0] for line in report.dropped.lines) is strict
        put_in(lab)
        assert sweeping.sweep(lab, dry_run=False).removed.count == strict


class TestCheckIn:
    """Which disk it is, is what it shows, and not what somebody believes."""

    @pytest.mark.usefixtures("raw")
    @pytest.mark.parametrize("days", [0, 2])
    def test_it_says_where_it_goes_and_how_long_it_counts(self, lab: Workspace, days: int) -> None:
        """Blanks do not matter; who said so, and that it was seen, is written down."""
        lab.now.forward(days=days)
        found = shelving.check_in(lab, "disk07", "  room 3,\n shelf B ")
        assert (found.where.state, found.where.place, found.where.seen_at) == (State.SHELF, "room 3, shelf B", lab.now())
        assert found.where.who
        assert found.here
        assert (found.read_at, found.counts_until) == (lab.now() - days * DAY, lab.now() + (90 - days) * DAY)
        assert found.read_again == lab.now() + (30 - days) * DAY

    def test_another_disk_in_its_place_is_refused(self, lab: Workspace) -> None:
        """By both identities; it does not count, and cannot be used."""
        shelving.check_out(lab, "disk07", "ada")
        take_out(lab)
        another_in_its_place(lab)
        known = lab.catalogue.identity("disk07")
        with pytest.raises(InputError, match=f"another medium is put in(?s:.*)Disk 7(?s:.*)identity {known}(?s:.*)identity ffff"):
            shelving.check_in(lab, "disk07", "room 3")
        with pytest.raises(LocationUnreachable, match=f"{known}(?s:.*)ffff"):
            lab.store("disk07")
        assert lab.catalogue.media()["disk07"].state is State.OUT
        assert look(lab).other == "identity ffff"
        assert not look(lab).here

    @pytest.mark.parametrize("place", ["room 3", ""])
    @pytest.mark.parametrize("state", [State.IN, State.OUT, State.LOST])
    def test_what_is_not_put_in_is_not_checked_in(self, lab: Workspace, state: State, place: str) -> None:
        """Nobody knows which disk stands on a shelf that showed its identity to nobody."""
        lab.catalogue.save_medium(Whereabouts("disk07", state, lab.now(), holder="ada"))
        take_out(lab)
        with pytest.raises(InputError, match=r"while it is put in(?s:.*)got: none(?s:.*)mount it at"):
            shelving.check_in(lab, "disk07", place)
        assert lab.catalogue.media()["disk07"].state is state

    def test_what_is_on_the_shelf_may_move_to_another(self, lab: Workspace) -> None:
        """Without being put in: who answers for the one place answers for the other; it was not seen by that."""
        seen = shelving.check_in(lab, "disk07", "room 3").where.seen_at
        take_out(lab)
        lab.now.forward(days=1)
        found = shelving.check_in(lab, "disk07", "room 4")
        assert (found.where.place, found.where.seen_at, found.here) == ("room 4", seen, False)
        with pytest.raises(InputError, match="put in"):
            shelving.check_in(lab, "disk07")

    @pytest.mark.parametrize("mounted", [True, False])
    def test_another_disk_hinders_a_move(self, lab: Workspace, monkeypatch: pytest.MonkeyPatch, mounted: bool) -> None:
        """Who holds another disk in hand may have the wrong one in mind; its files may have been copied into the mount point, too."""
        shelving.check_in(lab, "disk07", "room 3")
        take_out(lab)
        another_in_its_place(lab)
        monkeypatch.setattr(os.path, "ismount", lambda _path: mounted)
        with pytest.raises(InputError, match="another medium"):
            shelving.check_in(lab, "disk07", "room 4")

    @pytest.mark.parametrize("name", ["nas", "disk99"])
    def test_only_what_is_taken_away_is_checked_in_or_out(self, lab: Workspace, name: str) -> None:
        """The error names what there is."""
        for act in (shelving.check_in, shelving.check_out, shelving.short_without):
            with pytest.raises(InputError, match=r"no such medium(?s:.*)disk07"):
                act(lab, name)


class TestCheckOut:
    """Who takes a disk learns what it protects."""

    def test_what_would_be_short_is_told_before(self, lab: Workspace, raw: Artifact) -> None:
        """And not what is short anyway, or stands without it; nothing is written down by that."""
        short = shelving.short_without(lab, "disk07")
        assert list(short) == [raw.label]
        assert "copies: wanted 3, found 2" in short[raw.label]
        assert lab.catalogue.media()["disk07"].state is State.IN
        transfer.deliver(lab, raw, "backup")
        assert shelving.short_without(lab, "disk07") == {}

    def test_what_is_short_already_is_not_told_again(self, lab: Workspace, ingested: Artifact) -> None:
        """Two copies, where three are wanted, are short with the disk too."""
        transfer.deliver(lab, ingested, "disk07")
        assert shelving.short_without(lab, "disk07") == {}

    def test_it_is_with_somebody_or_lost(self, lab: Workspace) -> None:
        """One of both, and not neither."""
        for holder, lost in (("", False), ("ada", True), ("  ", False)):
            with pytest.raises(InputError, match="with somebody, or it is lost"):
                shelving.check_out(lab, "disk07", holder, lost=lost)
        assert shelving.check_out(lab, "disk07", " ada ").holder == "ada"
        found = shelving.check_out(lab, "disk07", lost=True)
        assert (found.state, str(found)) == (State.LOST, "lost since 2030-01-15")
        assert lab.catalogue.media()["disk07"] == found


class TestTheReport:
    """What a sweep says of disks."""

    def test_they_are_not_unreachable(self, lab: Workspace) -> None:
        """A disk on its shelf is where it belongs; one that was never put in cannot be reached."""
        shelving.check_in(lab, "disk07", "room 3")
        take_out(lab)
        report = sweeping.sweep(lab, dry_run=True)
        assert report.unreachable == ()
        assert [(each.location, each.here, str(each.where)) for each in report.media] == [("disk07", False, "on the shelf: room 3")]

    @pytest.mark.parametrize(("days", "wanted"), [(59, False), (60, True), (200, True)])
    @pytest.mark.usefixtures("raw")
    def test_somebody_brings_it_a_month_before_it_stops_counting(self, lab: Workspace, days: int, wanted: bool) -> None:
        """And any day after; not while it is put in, where the audit reads it, and not where somebody has it."""
        shelving.check_in(lab, "disk07", "room 3")
        lab.now.forward(days=days)
        assert not look(lab).wanted(lab.now())
        take_out(lab)
        assert look(lab).wanted(lab.now()) is wanted
        shelving.check_out(lab, "disk07", "ada")
        assert not look(lab).wanted(lab.now())

    def test_an_empty_disk_is_never_wanted(self, lab: Workspace) -> None:
        """Nothing on it can stop counting."""
        shelving.check_in(lab, "disk07", "room 3")
        take_out(lab)
        lab.now.forward(days=500)
        assert (look(lab).read_at, look(lab).counts_until, look(lab).wanted(lab.now())) == (None, None, False)

    @pytest.mark.parametrize("read", [None, 10])
    def test_a_reading_that_nobody_knows_is_wanted_now(self, lab: Workspace, raw: Artifact, read: int | None) -> None:
        """Never read, or read in the future."""
        (copy,) = lab.catalogue.copies(artifact=raw.id, location="disk07")
        lab.catalogue.change_copy(copy.id, verified_at=lab.now() + read * DAY if read else None)
        found = look(lab)
        assert (found.read_at, found.counts_until, found.read_again) == (None, lab.now(), lab.now())

    def test_an_audit_notes_that_it_saw_the_disk(self, lab: Workspace) -> None:
        """And not that it saw one that is not there."""
        lab.now.forward(days=3)
        auditing.audit(lab)
        assert lab.catalogue.media()["disk07"].seen_at == lab.now()
        take_out(lab)
        lab.now.forward(days=3)
        auditing.audit(lab)
        assert lab.catalogue.media()["disk07"].seen_at == lab.now() - 3 * DAY


def test_a_sweep_hears_a_check_out(lab: Workspace, raw: Artifact) -> None:
    """Of a disk that its removal leans on, up to the last moment: the copy on scratch stays."""
    transfer.deliver(lab, raw, "scratch")
    lab.now.forward(days=1)

    def take(line: str) -> None:
        if line.startswith("trash"):
            shelving.check_out(lab, "disk07", "ada")

    report = sweeping.sweep(lab, dry_run=False, tell=take)
    assert report.removed.count == 0
    assert any("things changed while others were removed" in line.reasons[0] for line in report.dropped.lines)
    assert {copy.location for copy in lab.catalogue.copies(artifact=raw.id, states=[CopyState.VERIFIED])} >= {"scratch", "nas", "cold"}
