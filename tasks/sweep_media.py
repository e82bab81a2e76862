"""Disks and tapes that are taken away, in the report of a sweep: which somebody has to bring, and where the others are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coldchain.media import State
from coldchain.report import Line, Part, Report

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator

    from coldchain.shelving import Looked

Asked = tuple[bool, str, str]
"""Whether it cannot wait, what it is about, and how it is done."""

CHECK_IN = "Put it in, and fill the form `check-in`"


def asked(report: Report) -> Iterator[Asked]:
    """What a person has to do with media, one by one."""
    for medium in report.media:
        yield from _asked(medium, report.at)


def _asked(medium: Looked, now: dt.datetime) -> Iterator[Asked]:
    name, where = f"{medium.location} ({medium.label})", medium.where
    if medium.other:
        yield (
            True,
            f"Another medium is put in where {name} belongs: it shows {medium.other}",
            "Take it out, and put in the right one",
        )
    elif where.gone and medium.here:
        yield False, f"{name} is put in, and {where}: no copy on it counts", "Fill the form `check-in`"
    elif where.gone:
        yield False, f"{name} is {where}: no copy on it counts", f"When it is back: {CHECK_IN.lower()}"
    elif where.state is State.IN and not medium.here:
        yield True, f"{name} is {where}: no copy on it counts", f"{CHECK_IN}, or `check-out` where somebody has it"
    elif medium.wanted(now) and medium.counts_until is not None:
        passed = medium.counts_until <= now
        until = f"{'the first copies on it do not count since' if passed else 'copies on it count only until'} {day(medium.counts_until)}"
        yield passed, f"Bring {name} from {where.place}: {until}", "Put it in: the nightly audit reads it, and then it may go back"


def away(report: Report) -> Part:
    """The media that are not put in: where each is, and by when it has to be read again."""
    found = Part()
    for medium in report.media:
        if not medium.here:
            read = (f"last read back on {day(medium.read_at)}",) if medium.read_at else ()
            until = (f"counts until {day(medium.counts_until)}",) if medium.counts_until and medium.where.state is State.SHELF else ()
            found.add(Line(f"{medium.label} {medium.barcode}".strip(), medium.location, 0, (str(medium.where), *read, *until)))
    return found


def day(moment: dt.datetime) -> str:
    """A moment's day, for people."""
    return moment.date().isoformat()
