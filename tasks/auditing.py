"""The audit, the look for strays and the repair as tasks, and their reports as people read them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from coldchain import auditing, repairing, strays
from coldchain.auditing import Audited, Failure, Place
from coldchain.errors import IntegrityError, LocationUnreachable
from coldchain.repairing import Repaired
from coldchain.strays import Names, Strays
from tasks.running import progress, say, work
from tasks.show import key, showing
from tasks.workspace import open_workspace

MOST = 500
"""Lines that a part of a report shows."""


@work
def audit_site(*, budget_gb: float, locations: Sequence[str]) -> Audited:
    """Read back what is due; a budget of 0 is the policy's."""
    return auditing.audit(open_workspace(), budget=int(budget_gb * 1e9) or None, locations=locations, tell=say)


@work
def find_strays(locations: Sequence[str], *, wanted: bool) -> list[Strays]:
    """Look for strays at the lasting locations that can be reached, where that is wanted."""
    ws, found = open_workspace(), []
    for place in ws.site.locations if wanted else ():
        if not place.transient and (place.name in locations or not locations):
            try:
                found.append(strays.look(ws, place.name))
            except LocationUnreachable as error:
                say(f"not looked for strays: {error}")
    return found


@work
def repair_dataset(dataset: str, *, dry_run: bool) -> list[Repaired]:
    """Repair every damaged copy of a dataset, or say from where."""
    shown = progress(f"repair of {dataset}")
    return repairing.repair_all(open_workspace(), dataset=dataset, dry_run=dry_run, tell=say, progress=shown)


@showing
def audited(report: Audited, found: Sequence[Strays]) -> None:
    """Show what an audit read and found."""
    create_markdown_artifact(as_markdown(report, found), key="audit", description="What the audit read back, and what it found")
    create_table_artifact(rows(report), key="audit-locations", description="The audit, location by location")


@showing
def repaired(dataset: str, found: Sequence[Repaired]) -> None:
    """Show what was repaired, or would be."""
    table = [{"copy": each.copy, "artifact": each.artifact, "location": each.location, "was": each.state, "repaired": each.done,
              "what": flat(each.said), "wrong": flat(each.wrong)} for each in found]  # fmt: skip
    create_table_artifact(table, key=key(dataset, "repair"), description=f"Damaged copies of {dataset}")


def conclude(report: Audited) -> str:
    """Say what an audit did in one line.

    Raises:
        IntegrityError: the audit of a location is stopped by its brake.
    """
    if report.braked:
        raise IntegrityError(
            "the audit of a location is stopped",
            on=", ".join(report.braked),
            got="; ".join(report.braked.values()),
            done="no copy there was touched, and none counts until a person looked",
            hint="look at the mount and the disk; then `coldchain audit --release LOCATION --reason ...`",
        )
    return headline(report)


def headline(report: Audited) -> str:
    """What an audit did, in one line."""
    read = f"{report.copies} copies, {report.bytes / 1e9:.2f} GB read back in the night of {report.night}"
    return f"{read}; {len(report.suspect)} do not match and do not count any more."


def summary(found: Sequence[Repaired]) -> str:
    """What a repair did, in one line."""
    return f"{sum(each.done for each in found)} of {len(found)} damaged copies are repaired"


def rows(report: Audited) -> list[dict[str, Any]]:
    """One row for each location."""
    return [
        {
            "location": place.location,
            "read back": place.copies,
            "GB": round(place.bytes / 1e9, 3),
            "suspect": len(place.suspect),
            "left": len(place.left),
            "ended": flat(place.ended),
            "stopped": flat(place.braked),
        }
        for place in report.places
    ]


def sections(report: Audited, found: Sequence[Strays]) -> Mapping[str, Sequence[str]]:
    """The parts of a report that hold something, by their titles."""
    parts = {
        "Stopped: so much fails that the location is to blame; nothing was touched": [
            f"{name}: {why}" for name, why in report.braked.items()
        ],
        "Do not match, and do not count any more": _failures(report.places, lambda place: place.suspect),
        "Do not match, and were left as they are": _failures(report.places, lambda place: place.unjudged),
        "As they were written, and not whole by the rules of today: look, and ingest again": _failures(
            report.places, lambda place: place.incomplete
        ),
        "Could not be read now": [f"{place.location}: {line}" for place in report.places for line in place.left],
        "Ended early": [f"{place.location}: {place.ended}" for place in report.places if place.ended],
        "Belong to no copy": _names(found, lambda each: each.unregistered),
        "Missing": _names(found, lambda each: each.missing),
        "Set aside, kept until a person throws them away": _names(found, lambda each: each.aside),
    }
    return {title: _shortened(lines) for title, lines in parts.items() if lines}


def as_markdown(report: Audited, found: Sequence[Strays]) -> str:
    """The report of an audit: what was read, what does not match, what is astray."""
    parts = (f"\n## {title}\n\n" + "".join(f"- {_plain(line)}\n" for line in lines) for title, lines in sections(report, found).items())
    return f"# Audit of the night of {report.night}\n\n{headline(report)}\n" + "".join(parts)


def _plain(text: str) -> str:
    """A line that Markdown shows as it is, whatever names stand in it."""
    return flat(text).replace("&", "&amp;").replace("<", "&lt;")


def flat(text: str) -> str:
    """A text of several lines in one."""
    return " ".join(text.split())


def _failures(places: Iterable[Place], which: Callable[[Place], Sequence[Failure]]) -> list[str]:
    return [f"{each.artifact} at {place.location}: {each.found}" for place in places for each in which(place)]


def _names(found: Iterable[Strays], which: Callable[[Strays], Names]) -> list[str]:
    lines = []
    for each in found:
        names = which(each)
        lines += [f"{each.location}: {line}" for line in names.lines]
        if names.count > len(names.lines):
            lines.append(f"{each.location}: and {names.count - len(names.lines)} more")
    return lines


def _shortened(lines: Sequence[str]) -> list[str]:
    return [*lines[:MOST], f"and {len(lines) - MOST} more"] if len(lines) > MOST else list(lines)
