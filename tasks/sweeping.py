"""The sweep as a task, and its report as people read it: what to do first, then what happened and why."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from coldchain import sweeping
from coldchain.copies import CopyState
from coldchain.report import Line, Part, Report
from tasks import sweep_media
from tasks.running import say, work
from tasks.workspace import open_workspace

MOST = 50
"""Lines that a part of the Markdown page shows; the HTML report has more of them."""

KILO = 1000

NONE = "none"


@work
def sweep_site(*, dry_run: bool) -> Report:
    """Read back what is due, plan, tell, recheck, and remove what may go unless it is a dry run."""
    return sweeping.sweep(open_workspace(), dry_run=dry_run, tell=say)


@dataclass(frozen=True)
class Duty:
    """Something that a person has to do: what it is about, how it is done, and whether it cannot wait."""

    now: bool
    what: str
    how: str


@dataclass(frozen=True)
class Section:
    """A part of a report with its title, and what it means to the reader."""

    title: str
    part: Part
    hint: str = ""
    what: str = "copy"


def duties(report: Report) -> list[Duty]:
    """What a person has to do, the urgent first; nothing where all is well."""
    found = [*_at_places(report), *_of_copies(report), *_of_notices(report)]
    return sorted(found, key=lambda duty: not duty.now)


def _at_places(report: Report) -> Iterator[Duty]:
    if report.doubted_clock:
        yield Duty(
            True,
            f"Nothing may go and nobody is told: {report.doubted_clock}",
            "Look at this machine's clock; where it is right, `coldchain clock --right --reason ...`",
        )
    for name, why in report.braked.items():
        yield Duty(
            True,
            f"The audit of {name} was stopped, and no copy there counts: {why}",
            "Look at its mount and its disk, then `coldchain audit --release LOCATION --reason ...`",
        )
    for name in report.unknown:
        yield Duty(True, f"The site does not name {name}, and no copy there counts", "Enter it in the site file again, as it was")
    for name in report.unreachable:
        if name not in report.braked:
            yield Duty(True, f"{name} cannot be reached, and no copy there counts", "Mount it; `coldchain doctor` says what is missing")
    for now, what, how in sweep_media.asked(report):
        yield Duty(now, what, how)


def _of_copies(report: Report) -> Iterator[Duty]:
    if count := report.warnings.count:
        yield Duty(True, f"{so_many(count, 'warning')}, below: act today", "Fill the form `archive` for what is named there")
    if report.damaged.count:
        yield Duty(
            True,
            f"{so_many(report.damaged.count)} damaged or lost; their bytes stay, and nothing leans on them",
            "`coldchain repair` says from where they can be made again, `coldchain repair --act` does it; or the form `repair`",
        )
    if count := report.short.count:
        lacks = "lacks" if count == 1 else "lack"
        yield Duty(
            False, f"{so_many(count, 'artifact')} {lacks} copies that the policy wants", "Fill the form `preserve` for their datasets"
        )


def _of_notices(report: Report) -> Iterator[Duty]:
    if report.noticed.count and report.notice:
        yield Duty(False, f"Notice {report.notice} tells of {amount(report.noticed)} that are to go", _answer(report.notice))
    if report.waiting.count:
        yield Duty(False, f"{amount(report.waiting)} told of before are waiting", f"`coldchain notices` lists them. {_answer(0)}")


def _answer(notice: int) -> str:
    """How a notice is answered; 0: one of several."""
    name = notice or "NUMBER"
    yes = f"Yes: `coldchain approve {name}` or the form `approve`; no: `coldchain refuse {name}`; not yet: the form `hold`."
    return f"{yes} Where a person is asked, silence is no"


def verdict(report: Report) -> str:
    """Whether all is well, in one sentence."""
    found = duties(report)
    urgent, later = sum(duty.now for duty in found), sum(not duty.now for duty in found)
    if urgent:
        return f"{'One thing needs' if urgent == 1 else f'{urgent} things need'} you now."
    if later:
        return f"Nothing is wrong. {'One thing waits' if later == 1 else f'{later} things wait'} for you."
    return "All is well. There is nothing to do."


def headline(report: Report) -> str:
    """What a sweep did, in one line."""
    parts = [f"{name.lower()} {value}" for name, value in figures(report).items() if value != NONE]
    dry = "Dry run: nothing was removed. " if report.dry_run else ""
    return f"{dry}{verdict(report)} Policy {plain(report.policy)}. {'; '.join([*parts, _receipts(report)])}."


def _receipts(report: Report) -> str:
    return so_many(len(report.receipts), "receipt") if report.receipts else "no receipt, nothing was removed"


def outcome(report: Report) -> str:
    """What a sweep did, as the result of a flow run."""
    gone = f"{so_many(report.removed.count)}, {report.removed.bytes} bytes {'would be ' if report.dry_run else ''}removed"
    return f"{gone}; {report.damaged.count} damaged; {verdict(report)}"


def figures(report: Report) -> dict[str, str]:
    """The numbers of a sweep, each with its name."""
    would = "would be " if report.dry_run else ""
    return {
        f"{would}removed: space won".capitalize(): amount(report.removed),
        f"{would}put in the trash".capitalize(): amount(report.trashed),
        f"{would}told of".capitalize(): amount(report.noticed),
        "Told of before, waiting": amount(report.waiting),
        "Falling due in 30 days": amount(report.falling_due),
        "Damaged or lost": amount(report.damaged),
        "Short of copies": amount(report.short, "artifact"),
        "Read back": so_many(report.read_back) if report.read_back else NONE,
    }


def sections(report: Report) -> list[Section]:
    """The parts of a report that hold something: what is wrong, what is asked, what happened, what stays."""
    found = [*_wrong(report), *_asked(report), *_done(report), *_left(report)]
    return [section for section in found if section.part.count]


def _wrong(report: Report) -> Iterator[Section]:
    yield Section("Warnings", report.warnings, "The cluster removes these by itself, and nothing else covers them.", "warning")
    damaged = "They do not count. Their bytes stay until they are repaired."
    yield Section("Damaged or lost: nothing that needs them is removed", report.damaged, damaged)
    yield Section("Copies missing: not as the policy wants (3-2-1)", report.short, "The form `preserve` makes what is missing.", "artifact")


def _asked(report: Report) -> Iterator[Section]:
    told = f"Told of now, in notice {report.notice}" if report.notice else "Told of now"
    yield Section("Would be told of" if report.dry_run else told, report.noticed, f"{_answer(report.notice)}.")
    yield Section("Wait for their notice period, or for a person's answer", report.waiting, f"{_answer(0)}.")


def _done(report: Report) -> Iterator[Section]:
    dry = report.dry_run
    gone = "" if dry else "Deleted. The receipts say which copies remain."
    trash = "Deleted when their grace is over, if all that covers them still stands."
    yield Section("Copies that would be removed" if dry else "Copies removed", report.removed, gone)
    yield Section("Would be put in the trash" if dry else "Put in the trash", report.trashed, trash)
    again = "Would be brought back from the trash" if dry else "Brought back from the trash"
    yield Section(again, report.recalled, "Nothing else covered them any more.")
    yield Section("Dropped out since the plan", report.dropped, "They stay. The next sweep looks again.")


def _left(report: Report) -> Iterator[Section]:
    yield Section("Refused by a person", report.refused, "They stay.")
    yield Section("Disks and tapes that are not put in", sweep_media.away(report), what="medium")
    yield Section("Fall due in the next 30 days", report.falling_due, "Due means looked at: whether they go is decided then.")
    yield Section("Stay, and why", report.kept)


def space(report: Report) -> dict[str, dict[str, int]]:
    """Bytes that stand at each location, by level; what is in the trash is named as such, what is lost stands nowhere."""
    found: dict[str, dict[str, int]] = {}
    for total in report.space:
        if total.state not in {CopyState.LOST, CopyState.REMOVED} and total.bytes:
            kind = "trash" if total.state is CopyState.TRASHED else str(total.level)
            at = found.setdefault(total.location, {})
            at[kind] = at.get(kind, 0) + total.bytes
    return found


def as_markdown(report: Report, page: str = "") -> str:
    """The report of a sweep: is all well, what is to do, what went, what stays and why; `page` names the HTML report."""
    parts = [
        f"# {title(report)}\n\n{_bold(report)}\n",
        *_to_do(duties(report)),
        _table(("", ""), figures(report).items()),
        *(_section(section) for section in sections(report)),
        *_space(report),
        *_account(report),
        f"\nThe whole report: `{plain(page)}`, beside the site file.\n" if page else "",
    ]
    return "\n".join(part for part in parts if part)


def title(report: Report) -> str:
    """What a report is called; a dry run is named as such."""
    return f"{'Dry run: sweep' if report.dry_run else 'Sweep'} of {report.at:%Y-%m-%d %H:%M} UTC"


def _bold(report: Report) -> str:
    dry = " This was a **dry run**: nothing was removed, and nobody was told." if report.dry_run else ""
    return f"**{verdict(report)}**{dry}\n\nSite {literal(report.site)}, policy {literal(report.policy)}."


def _to_do(found: Sequence[Duty]) -> Iterator[str]:
    if found:
        lines = "".join(f"1. {'**Now:** ' if duty.now else ''}{literal(duty.what)}. {duty.how}.\n" for duty in found)
        yield f"## What to do\n\n{lines}"


def _section(section: Section) -> str:
    shown = section.part.lines[:MOST]
    rows = ((line.artifact, line.location, size(line.bytes), "; ".join(line.reasons)) for line in shown)
    table = _table(("artifact", "location", "size", "why"), rows)
    said = f"{amount(section.part, section.what)}. {section.hint}".strip()
    return f"## {section.title}\n\n{said}\n\n{table}{more(section.part, len(shown))}"


def _space(report: Report) -> Iterator[str]:
    if found := space(report):
        rows = ((place, kind, size(count)) for place, kinds in found.items() for kind, count in kinds.items())
        yield f"## Space\n\n{_table(('location', 'level', 'size'), rows)}"


def _account(report: Report) -> Iterator[str]:
    if report.receipts:
        yield "## Receipts\n\n" + "".join(f"- `{plain(digest)}`\n" for digest in report.receipts)


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = "".join(f"| {' | '.join(literal(cell) for cell in row)} |\n" for row in rows)
    return f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}\n{lines}"


def more(part: Part, shown: int) -> str:
    """What is left unsaid of a part."""
    return f"\nand {part.count - shown:,} more\n" if part.count > shown else ""


def said(line: Line) -> str:
    """A line of a report, as the command prints it."""
    where = f" at {line.location}" if line.location else ""
    return plain(f"{line.artifact}{where}: {'; '.join(line.reasons)}".removesuffix(": "))


def so_many(count: int, what: str = "copy") -> str:
    """So many copies, or artifacts, or warnings."""
    plural = {"copy": "copies", "medium": "media"}.get(what, f"{what}s")
    return f"1 {what}" if count == 1 else f"{count:,} {plural}"


def amount(part: Part, what: str = "copy") -> str:
    """How much a part holds."""
    if not part.count:
        return NONE
    return ", ".join(each for each in (so_many(part.count, what), size(part.bytes)) if each)


def size(count: float) -> str:
    """Bytes for people, in powers of 1000; nothing where there are none."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < KILO:
            return f"{count:.{0 if unit == 'B' else 1}f} {unit}" if count else ""
        count /= KILO
    return f"{count:,.1f} PB"


def plain(text: str) -> str:
    """A text in one line of visible characters: what cannot be seen, or cannot be written as UTF-8, is spelled out."""
    return "".join(char if _visible(char) else _spelled(char) for char in " ".join(text.split()))


def _visible(char: str) -> bool:
    return unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp"}


def _spelled(char: str) -> str:
    return f"\\u{ord(char):04x}"


MARKS = str.maketrans({**{mark: f"\\{mark}" for mark in "\\`*[]|~"}, "&": "&amp;", "<": "&lt;", ">": "&gt;"})
"""What Markdown would take for more than text."""

LINKS = re.compile(r":(?=//)|@(?=[^\s@]*\.)|(?<=www)\.", re.IGNORECASE)
"""Where Markdown would begin a link by itself."""


def literal(text: str) -> str:
    """A text that Markdown shows as it is, in one cell of a table."""
    return LINKS.sub(lambda found: f"&#{ord(found.group())};", plain(text).translate(MARKS))
