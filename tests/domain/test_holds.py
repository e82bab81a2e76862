"""Holds and leases: what keeps what away, and until when."""

from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
import sys

import pytest

from coldchain.holds import Hold, Lease, Use, blocks, holder_lives, new_holder

NOW = dt.datetime(2030, 1, 15, 12, tzinfo=dt.UTC)
LATER = NOW + dt.timedelta(minutes=5)


def lease(use: Use, holder: str, until: dt.datetime = LATER) -> Lease:
    """A lease of something."""
    return Lease("something", use, holder, until)


@pytest.mark.parametrize(
    ("held", "wanted", "blocked"),
    [(Use.READ, Use.READ, False), (Use.READ, Use.ALONE, True), (Use.ALONE, Use.READ, True), (Use.ALONE, Use.ALONE, True)],
)
def test_many_may_read_and_one_is_alone(held: Use, wanted: Use, blocked: bool) -> None:
    """Readers do not hinder one another; whoever is alone hinders everyone."""
    assert blocks(lease(held, new_holder()), wanted, NOW) is blocked


@pytest.mark.parametrize("until", [NOW, NOW - dt.timedelta(days=1)])
def test_a_lease_that_ended_hinders_nobody(until: dt.datetime) -> None:
    """At its end a lease is over."""
    assert not blocks(lease(Use.ALONE, new_holder(), until), Use.ALONE, NOW)


def test_every_holder_is_another() -> None:
    """Two holders of one process have two names."""
    assert new_holder() != new_holder()


def test_this_process_lives() -> None:
    """Our own holder is alive."""
    assert holder_lives(new_holder())


def holder_of_another() -> tuple[subprocess.Popen[str], str]:
    """Another process, and the holder's name that it gave itself."""
    code = "import sys, coldchain.holds as h; print(h.new_holder(), flush=True); sys.stdin.read()"
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    return process, process.stdout.readline().strip()


def test_a_killed_holder_is_dead_at_once() -> None:
    """A process that was killed holds nothing from that moment, even before its parent has noticed."""
    process, holder = holder_of_another()
    with process:
        assert holder_lives(holder)
        assert blocks(lease(Use.ALONE, holder), Use.READ, NOW)
        process.send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # dead, and still a zombie
        assert not holder_lives(holder)
        assert not blocks(lease(Use.ALONE, holder), Use.READ, NOW)


def test_another_process_with_the_same_number_is_not_the_holder() -> None:
    """A process number that was given again is told apart by its start."""
    boot, pid, start, unique = new_holder().split("/")
    assert not holder_lives(f"{boot}/{pid}/{int(start) + 1}/{unique}")


def test_a_holder_elsewhere_lives_until_its_lease_ends() -> None:
    """Of another machine, or of this one before it started again, we cannot know: its lease is respected to its end."""
    _, pid, start, unique = new_holder().split("/")
    holder = f"other-boot/{pid}/{start}/{unique}"
    assert blocks(lease(Use.ALONE, holder), Use.READ, NOW)
    assert not blocks(lease(Use.ALONE, holder, NOW), Use.READ, NOW)


@pytest.mark.parametrize("holder", ["", "somebody", "a/b/c", "a/b/c/d/e"])
def test_a_holder_that_cannot_be_read_is_respected(holder: str) -> None:
    """A name in another form (an older or newer version's) hinders us until its lease ends, and breaks nothing."""
    assert holder_lives(holder)


@pytest.mark.parametrize(
    ("now", "lasts"),
    [
        ("2030-01-14T00:00:00+00:00", True),
        ("2030-01-15T23:59:59+00:00", True),
        ("2030-01-15T16:00:00-08:00", True),
        ("2030-01-16T11:59:59+00:00", True),
        ("2030-01-16T12:00:00+00:00", False),
        ("2030-01-17T00:00:00+14:00", True),
        ("2030-02-01T00:00:00+00:00", False),
    ],
)
def test_a_hold_lasts_through_its_last_day_everywhere(now: str, lasts: bool) -> None:
    """A hold until the 15th ends when the 15th has ended in the last time zone."""
    assert Hold(1, "PRJ-0001/PLATE-A", "wait", "ada", dt.date(2030, 1, 15)).holds(dt.datetime.fromisoformat(now)) is lasts
