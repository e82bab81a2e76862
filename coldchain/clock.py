"""The clock: whether it can be right.

A clock that leaps ahead ends notices, holds and graces all at once, so nothing goes until a person says that it is right.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from coldchain import provenance
from coldchain.dues import later
from coldchain.errors import InputError

if TYPE_CHECKING:
    from coldchain.workspace import Workspace

BELIEVED = "clock"
"""Setting that holds the newest time that a sweep believed, or that a person said is right."""


def doubt(believed: dt.datetime | None, now: dt.datetime, leap_days: float) -> str:
    """Why a clock cannot be believed; nothing where it can. What goes back makes nothing go early, and is believed."""
    if believed is None or now <= later(believed, leap_days):
        return ""
    return f"the clock is not believed: it went from {believed:%Y-%m-%d %H:%M} to {now:%Y-%m-%d %H:%M} UTC since the last sweep"


def read(noted: str | None) -> dt.datetime | None:
    """The time that a catalogue noted."""
    return dt.datetime.fromisoformat(noted) if noted else None


def believe(ws: Workspace) -> str:
    """Note the time of a sweep where it can be believed; else say why not."""
    now = ws.now()
    why = doubt(read(ws.catalogue.setting(BELIEVED)), now, ws.policy.clock_leap_days)
    if not why:
        ws.catalogue.save_setting(BELIEVED, now.isoformat())
    return why


def confirm(ws: Workspace, reason: str) -> dt.datetime:
    """A person says that the clock is right; it is kept in a receipt. Raises InputError where no reason is given."""
    if not reason.strip():
        raise InputError("a clock is confirmed with a reason", expected="a reason", done="nothing was changed")
    now, before = ws.now(), ws.catalogue.setting(BELIEVED)
    ws.catalogue.add_receipt("clock", {"believed": before, "reason": reason.strip()}, provenance.who(), now)
    ws.catalogue.save_setting(BELIEVED, now.isoformat())
    return now
