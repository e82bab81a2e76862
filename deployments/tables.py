"""What the command prints for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from coldchain.ledger import Ledger
from coldchain.status import Row
from coldchain.verifying import Verified
from coldchain.why import Answer
from coldchain.workspace import Workspace
from deployments.doctor import Finding

if TYPE_CHECKING:
    from coldchain.solutions import Solution
    from tasks.sweeping import Section

console = Console(highlight=False, soft_wrap=False)


def tell(line: str) -> None:
    """Print one line of progress."""
    console.print(escape(line), soft_wrap=True)


def _table(title: str, *columns: str, fold: bool = True) -> Table:
    table = Table(title=escape(title), title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=not fold)
    return table


def _yes(good: bool) -> str:
    return "[green]yes[/green]" if good else "[red]no[/red]"


LEVELS = {"single_cell_images": "cell images", "single_cell_profiles": "cell profiles", "bulk_profiles": "bulk profiles"}
MARKS = {"verified": "[green]✓[/green]", "suspect": "[red]suspect[/red]", "lost": "[red]lost[/red]", "copying": "…", "trashed": "trash"}
PROTECTED = {"yes": "[green]yes[/green]", "remake": "[green]remade[/green]", "no": "[red]no[/red]"}


def status(ws: Workspace, ledger: Ledger, rows: Sequence[Row]) -> None:
    """Artifacts of each dataset by location."""
    for dataset in dict.fromkeys(row.dataset for row in rows):
        _dataset(ws, dataset, [row for row in rows if row.dataset == dataset])
    for hold in ledger.holds:
        tell(f"Hold {hold.id} on {hold.dataset} until {hold.until} by {hold.who}: {hold.reason}")
    for location in ws.site.locations:
        if location.name not in ledger.reachable:
            medium = ledger.whereabouts(location.name)
            where = f"is {medium}" if medium else "cannot be reached"
            tell(f"{location.name} {where}" + ("" if location.name in ledger.shelved else ": its copies do not count now"))


def _mark(row: Row, place: str, *, transient: bool) -> str:
    """A copy in a few signs, with the day on which one on scratch falls due."""
    if place not in row.copies:
        return ""
    due = f" {row.falls_due:%m-%d}" if transient and row.falls_due else ""
    return MARKS.get(row.copies[place].partition(" ")[0], row.copies[place]) + due


def _dataset(ws: Workspace, dataset: str, rows: Sequence[Row]) -> None:
    """One row an artifact: a tick for each verified copy, what counts, and whether that is what the policy wants.

    Where a level has several artifacts, each is named in place of when it was read back, with a star where it is current.
    """
    project = ws.catalogue.project(dataset.partition("/")[0])
    places = [location.name for location in ws.site.locations]
    several = len({row.level for row in rows}) < len(rows)
    last = "artifact" if several else "read back"
    table = _table(f"{dataset}  {project.title or project.origin}", "level", "MB", *places, "3-2-1", "covered", last, fold=False)
    for row in rows:
        marks = [_mark(row, place, transient=ws.site.location(place).transient) for place in places]
        read_back = f"{row.read_back:%m-%d %H:%M}" if row.read_back else ""
        size = f"{row.bytes / 1e6:.1f}"
        name = row.digest[:8] + "*" * row.current
        table.add_row(LEVELS.get(row.level, row.level), size, *marks, row.counted, PROTECTED[row.protected], name if several else read_back)
    console.print(table)
    if stale := [row for row in rows if row.stale]:
        tell(f"{len(stale)} of {len(rows)} are stale: `coldchain stale {dataset}` says against what")


def why(answer: Answer) -> None:
    """Everything that is known of a file."""
    table = _table(str(answer.name or answer.copy.path), "", "")
    activity = answer.activity
    rows = {
        "belongs to": answer.artifact.label,
        "copy": f"at {answer.copy.location}, {answer.copy.state}, last read back {answer.copy.verified_at or 'never'}",
        "SHA-256": answer.sha256 or "",
        "made by": f"{activity.name}, coldchain {activity.code_version}, {activity.ended_at:%Y-%m-%d %H:%M} UTC, for {activity.who}",
        "from": ", ".join(activity.inputs) or "the instrument",
        "parameters": json.dumps(dict(activity.parameters), default=str),
        "model": json.dumps(dict(activity.model), default=str) if activity.model else "",
        "write-protection": answer.copy.protection,
        "counts as": answer.counted,
        "now": f"{answer.decision.action}: " + "; ".join(answer.decision.reasons),
        "holds": "; ".join(answer.holds),
    }
    for name, value in rows.items():
        if value:
            table.add_row(name, escape(value))
    console.print(table)


def verified(results: Sequence[Verified]) -> None:
    """Copies that were read back."""
    table = _table("Read back from disk", "artifact", "location", "files", "MB", "matches", "found")
    for each in results:
        table.add_row(each.artifact, each.location, str(each.files), f"{each.bytes / 1e6:.2f}", _yes(each.ok), escape(each.found))
    console.print(table)


def swept(said: str, sections: Sequence[Section]) -> None:
    """The report of a sweep, each copy on a line of its own, no name cut short."""
    from tasks.sweeping import more
    from tasks.sweeping import said as as_line

    tell(said)
    for section in sections:
        tell(f"\n{section.title}:")
        for line in section.part.lines:
            tell(f"  {as_line(line)}")
        if left := more(section.part, len(section.part.lines)):
            tell(f"  {left.strip()}")


def findings(found: Sequence[Finding]) -> None:
    """What the doctor looked at."""
    table = _table("Doctor", "looked at", "fine", "found", "try")
    for each in found:
        fine = "[yellow]look[/yellow]" if each.warning else _yes(each.ok)
        table.add_row(each.what, fine, escape(each.found), escape(each.hint))
    console.print(table)


def demo(ws: Workspace, result: Sequence[dict[str, Any]], folder: Path) -> None:
    """The demo's summary."""
    from coldchain.status import rows

    ledger = ws.ledger()
    status(ws, ledger, rows(ledger, ws.policy, ws.now()))
    nothing = not any(each["ran"] for each in result)
    tell("Nothing was to do: every transition of every dataset was done before." if nothing else f"Done in {result[-1]['seconds']} s.")
    receipts = ws.catalogue.receipts("removal")
    gone = sum(len(each["removed"]) for each in receipts)
    tell(f"{gone} copies were purged from scratch after their survivors were read back; {len(receipts)} receipts keep why.")
    tell("")
    tell("Look around:")
    tell(
        f"  (cd {folder}/nas/projects/PRJ-0001/raw/PLATE-SYNTH && sha256sum -c MANIFEST.sha256)   the raw data, as the instrument wrote it"
    )
    tell(f"  .venv/bin/coldchain why {folder}/nas/projects/PRJ-0001/raw/PLATE-SYNTH/dataset.yaml   why a file is here")
    tell("  make ui   pictures, tables and forms in the Prefect UI")


def listed(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Lines of a table that a flow shows, too; the first one says what the columns are."""
    if not rows:
        return
    columns = list(dict.fromkeys(name for row in rows for name in row))
    table = _table(title, *columns)
    for row in rows:
        table.add_row(*(escape(str(row.get(name, ""))) for name in columns))
    console.print(table)


def media(rows: Sequence[Mapping[str, str]], changers: Mapping[str, Mapping[str, str]]) -> None:
    """Disks and tapes that are taken away, one at a time, and what stands in the changers."""
    for row in rows:
        console.print(f"[bold]{escape(row['location'])}[/bold]", soft_wrap=True)
        for what, text in row.items():
            if text and what != "location":
                tell(f"  {what:16}{text}")
    for device, elements in changers.items():
        tell(f"{device}:")
        for where, tape in elements.items():
            tell(f"  {where} {tape}".rstrip())


def solutions(rows: Mapping[str, Solution]) -> None:
    """The storage table, a place at a time: it has more to say than fits in columns."""
    for name, row in rows.items():
        console.print(f"[bold]{escape(name)}[/bold]: {escape(row.title)}", soft_wrap=True)
        limits = {"largest file": row.file_bytes, "largest artifact": row.deposit_bytes}
        said = [f"{what} {size / 1e9:,g} GB" for what, size in limits.items() if size is not None]
        said += [f"at most {row.deposit_files:,} files"] if row.deposit_files is not None else []
        parts = {"lasts": row.longevity, "versions": row.versioning, "access": row.access, "speed": row.speed, "cost": row.cost}
        for what, text in {**parts, "takes": "; ".join(said) or "no limit is known", "source": f"{row.source}, {row.looked_up}"}.items():
            tell(f"  {what:9}{text}")
