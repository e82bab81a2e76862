"""The sweep as a task, and its report as people read it."""

from __future__ import annotations

from coldchain import sweeping
from coldchain.sweeping import Line, Report
from tasks.running import say, work
from tasks.workspace import open_workspace


@work
def sweep_site(*, dry_run: bool) -> Report:
    """Read back what is due, plan, recheck, and purge scratch unless it is a dry run."""
    return sweeping.sweep(open_workspace(), dry_run=dry_run, tell=say)


def headline(report: Report) -> str:
    """What a sweep did, in one line."""
    done = "would be removed (dry run)" if report.dry_run else "removed"
    return (
        f"Policy {report.policy}. {report.read_back} copies read back. {len(report.removed)} copies {done}, "
        f"{report.bytes_removed / 1e6:.1f} MB. Receipt: {report.receipt or 'none, nothing was removed'}."
    )


def sections(report: Report) -> dict[str, list[Line]]:
    """The parts of a report that hold something, by their titles."""
    short = [Line(artifact[:80], "", 0, reasons) for artifact, reasons in report.shortfalls.items()]
    parts = {
        "Copies that would be removed" if report.dry_run else "Copies removed": report.removed,
        "Wait for a person's approval": report.asked,
        "Stay on scratch": report.kept,
        "Dropped out since the plan": report.dropped,
        "Damaged or lost: nothing that needs them is removed": report.damaged,
        "Not as the policy wants": short,
        "Warnings": [Line(warning, "", 0, ()) for warning in report.warnings],
    }
    return {title: lines for title, lines in parts.items() if lines}


def as_markdown(report: Report) -> str:
    """The report of a sweep: what went, what stays and why, what is damaged, what is missing."""
    head = f"# Sweep of {report.at:%Y-%m-%d %H:%M} UTC\n\n{headline(report)}\n"
    return head + "".join(_section(title, lines) for title, lines in sections(report).items())


def _section(title: str, lines: list[Line]) -> str:
    rows = "\n".join(
        f"| {line.artifact[:80]} | {line.location} | {line.bytes / 1e6:.2f} | {_cell('; '.join(line.reasons))} |" for line in lines
    )
    return f"\n## {title}\n\n| artifact | location | MB | why |\n|---|---|---|---|\n{rows}\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
