"""Disks and tapes in the report of a sweep: who has to do what, and where the others are."""

from __future__ import annotations

import datetime as dt

import pytest

from coldchain.media import State, Whereabouts
from coldchain.report import Report
from coldchain.shelving import Looked
from tasks.sweep_html import as_html
from tasks.sweeping import as_markdown, duties, verdict

AT = dt.datetime(2030, 1, 15, 2, 41, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)


def report(state: State, *, here: bool = False, other: str = "", days: int = 60) -> Report:
    """A quiet night with one disk, whose first copies count for so many days more."""
    where = Whereabouts("disk07", state, AT - 9 * DAY, "room 3" if state is State.SHELF else "", "ada" if state is State.OUT else "")
    looked = Looked("disk07", "Disk 7", "D7", where, here, other, AT + (days - 90) * DAY, AT, AT + days * DAY)
    return Report(AT, False, "lab v1", "campus", media=(looked,))


@pytest.mark.parametrize(
    ("given", "now", "what"),
    [
        (report(State.IN), True, "disk07 (Disk 7) is not put in, and nobody said where it is: no copy on it counts"),
        (report(State.SHELF, days=30), False, "Bring disk07 (Disk 7) from room 3: copies on it count only until 2030-02-14"),
        (report(State.SHELF, days=0), True, "Bring disk07 (Disk 7) from room 3: the first copies on it do not count since 2030-01-15"),
        (report(State.OUT), False, "disk07 (Disk 7) is checked out: ada has it since 2030-01-06: no copy on it counts"),
        (
            report(State.OUT, here=True),
            False,
            "disk07 (Disk 7) is put in, and checked out: ada has it since 2030-01-06: no copy on it counts",
        ),
        (report(State.LOST), False, "disk07 (Disk 7) is lost since 2030-01-06: no copy on it counts"),
        (
            report(State.SHELF, other="identity ffff"),
            True,
            "Another medium is put in where disk07 (Disk 7) belongs: it shows identity ffff",
        ),
    ],
)
def test_a_person_is_asked(given: Report, now: bool, what: str) -> None:
    """For one thing, and in the words of the form that does it."""
    (duty,) = duties(given)
    assert (duty.now, duty.what) == (now, what)
    assert duty.how
    assert what.partition(" (")[0] in as_html(given)


@pytest.mark.parametrize("given", [report(State.IN, here=True), report(State.SHELF, days=31), report(State.SHELF, here=True, days=1)])
def test_all_is_well(given: Report) -> None:
    """A disk that is put in is read by the audit, and one on its shelf is where it belongs."""
    assert verdict(given) == "All is well. There is nothing to do."


def test_what_is_not_put_in_has_a_line_of_its_own() -> None:
    """With its label, its place, its last reading and until when it counts; what is put in has none."""
    assert "| Disk 7 D7 | disk07 |  | on the shelf: room 3; last read back on 2029-12-16; counts until 2030-03-16 |" in as_markdown(
        report(State.SHELF)
    )
    assert "counts until" not in as_markdown(report(State.OUT))
    assert "Disks and tapes" not in as_markdown(report(State.IN, here=True))
