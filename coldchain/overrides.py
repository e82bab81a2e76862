"""Overrides: one named check, set aside for one dataset until a day, asked for by one person and approved by one.

There is none that sets all checks aside, and none for what may never be set aside: at least one verified copy elsewhere that can be
reached, holds, leases, and raw data's last protected place.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum

FIRST_ZONE = dt.timezone(dt.timedelta(hours=14))
"""Where a day ends first on Earth: an override has no zone, so it is given no benefit."""


class Check(StrEnum):
    """A check that can be set aside, by the policy's own word; `gate`: what tables that have not passed it keep."""

    COPIES = "copies"
    MEDIA = "media"
    OFF_SITE = "off_site"
    VERIFIED_WITHIN_DAYS = "verified_within_days"
    AFTER_DAYS = "after_days"
    IDLE_DAYS = "idle_days"
    NOTICE_DAYS = "notice_days"
    GRACE_DAYS = "grace_days"
    GATE = "gate"


@dataclass(frozen=True, slots=True)
class Override:
    """One check set aside for one dataset; it holds only once somebody approved it."""

    id: int
    dataset: str
    check: Check
    reason: str
    who: str
    until: dt.date
    approved_by: str = ""
    approved_at: dt.datetime | None = None

    def holds(self, now: dt.datetime) -> bool:
        """Whether it was approved and has not ended: its last day ends in UTC+14."""
        return bool(self.approved_by) and self.until >= now.astimezone(FIRST_ZONE).date()

    def __str__(self) -> str:
        """Say which check, by whom and why."""
        return (
            f"override {self.id}: {self.check} set aside by {self.who}, approved by {self.approved_by}, until {self.until}: {self.reason}"
        )
