"""Hours at which a location takes data: so that bulk goes over a line at night. Pure."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from coldchain.errors import NotNow

if TYPE_CHECKING:
    from coldchain.location import Location


def open_at(hours: str, moment: dt.datetime) -> bool:
    """Whether hours, like ``20:00-06:00`` in UTC, hold a moment: the first minute is in, the last is not; empty: always."""
    if not hours:
        return True
    begin, end = (dt.time.fromisoformat(text) for text in hours.split("-"))
    now = moment.astimezone(dt.UTC).time()
    return begin <= now < end if begin < end else now >= begin or now < end


def refuse_closed(location: Location, now: dt.datetime) -> None:
    """Raise NotNow where a location takes no data at this hour."""
    if not open_at(location.hours, now):
        raise NotNow(
            "a location takes data at other hours",
            on=location.name,
            expected=f"{location.hours} UTC",
            got=f"{now.astimezone(dt.UTC):%H:%M} UTC",
            done="nothing was moved",
            hint="the next run within these hours does it",
        )
