"""Hours at which a location takes data."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

import pytest

from coldchain import transfer
from coldchain.copies import Artifact, CopyState
from coldchain.errors import NotNow
from coldchain.hours import open_at
from coldchain.workspace import Workspace


@pytest.mark.parametrize(
    ("hours", "time", "open_"),
    [
        ("", "12:00", True),
        ("20:00-06:00", "19:59", False),
        ("20:00-06:00", "20:00", True),
        ("20:00-06:00", "00:00", True),
        ("20:00-06:00", "05:59", True),
        ("20:00-06:00", "06:00", False),
        ("08:00-18:30", "07:59", False),
        ("08:00-18:30", "18:29", True),
        ("08:00-18:30", "18:30", False),
        ("00:00-00:00", "12:00", True),
    ],
)
def test_hours_hold_their_first_minute_and_not_their_last(hours: str, time: str, open_: bool) -> None:
    """Also over midnight."""
    moment = dt.datetime.combine(dt.date(2030, 1, 15), dt.time.fromisoformat(time), dt.UTC)
    assert open_at(hours, moment) is open_
    assert open_at(hours, moment.astimezone(dt.timezone(dt.timedelta(hours=9)))) is open_, "hours are UTC, wherever somebody is"


def test_nothing_is_brought_at_other_hours(ws: Workspace, ingested: Artifact, clock: Any) -> None:
    """It is said when; within the hours it goes."""
    places = [each.model_copy(update={"hours": "20:00-06:00"}) if each.name == "cold" else each for each in ws.site.locations]
    limited = dataclasses.replace(ws, site=ws.site.model_copy(update={"locations": tuple(places)}))
    with pytest.raises(NotNow, match=r"(?s)cold.*20:00-06:00 UTC.*12:00"):
        transfer.deliver(limited, ingested, "cold")
    assert ws.stores["cold"].children("") == [".coldchain"]
    assert transfer.deliver(limited, ingested, "backup").state is CopyState.VERIFIED
    clock.forward(hours=10)
    assert transfer.deliver(limited, ingested, "cold").state is CopyState.VERIFIED
