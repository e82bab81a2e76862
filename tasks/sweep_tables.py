"""The report of a sweep as tables: what goes, what falls due, how much stands where."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from coldchain.report import Part, Report
from tasks.sweeping import plain


def goes(report: Report) -> list[dict[str, Any]]:
    """What went or goes, one row a copy; a dry run is named as such."""
    would = "would be " if report.dry_run else ""
    return [
        *_rows(report.removed, f"{would}removed"),
        *_rows(report.trashed, f"{would}put in the trash"),
        *_rows(report.noticed, f"{would}told of"),
        *_rows(report.waiting, "waiting"),
    ]


def falls_due(report: Report) -> list[dict[str, Any]]:
    """What falls due in the next 30 days, one row a copy."""
    return list(_rows(report.falling_due, "falls due"))


def stands(report: Report) -> list[dict[str, Any]]:
    """How much stands where, one row a location, level and state."""
    return [
        {
            "location": plain(each.location),
            "level": each.level,
            "state": each.state,
            "copies": each.copies,
            "GB": round(each.bytes / 1e9, 3),
        }
        for each in report.space
    ]


def _rows(part: Part, what: str) -> Iterator[dict[str, Any]]:
    """The lines of a part, and what is left unsaid of it in the last one."""
    for line in part.lines:
        why = plain("; ".join(line.reasons))
        yield {
            "artifact": plain(line.artifact),
            "location": plain(line.location),
            "GB": round(line.bytes / 1e9, 3),
            "what": what,
            "why": why,
        }
    if part.count > len(part.lines):
        yield {"artifact": f"and {part.count - len(part.lines):,} more", "location": "", "GB": None, "what": what, "why": ""}
