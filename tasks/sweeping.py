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


def as_markdown(report: Report) -> str:
    """The report of a sweep: what went, what stays and why, what is damaged, what is missing."""
    done = "would be removed (dry run)" if report.dry_run else "removed"
    head = (
        f"# Sweep of {report.at:%Y-%m-%d %H:%M} UTC\n\nPolicy {report.policy}. {report.read_back} copies read back. "
        f"{len(report.removed)} copies {done}, {report.bytes_removed / 1e6:.1f} MB. "
        f"Receipt: {report.receipt or 'none, nothing was removed'}.\n"
    )
    parts = {
        f"Copies {done}": report.removed,
        "Wait for a person's approval": report.asked,
        "Stay on scratch": report.kept,
        "Dropped out since the plan": report.dropped,
        "Damaged or lost: nothing that needs them is removed": report.damaged,
    }
    short = [Line(artifact, "", 0, reasons) for artifact, reasons in report.shortfalls.items()]
    return (
        head
        + "".join(_section(title, lines) for title, lines in {**parts, "Not as the policy wants": short}.items() if lines)
        + _warned(report)
    )


def _section(title: str, lines: list[Line]) -> str:
    rows = "\n".join(
        f"| {line.artifact[:80]} | {line.location} | {line.bytes / 1e6:.2f} | {_cell('; '.join(line.reasons))} |" for line in lines
    )
    return f"\n## {title}\n\n| artifact | location | MB | why |\n|---|---|---|---|\n{rows}\n"


def _warned(report: Report) -> str:
    return "\n## Warnings\n\n" + "\n".join(f"- {_cell(line)}" for line in report.warnings) + "\n" if report.warnings else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
