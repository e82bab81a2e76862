"""The report of a sweep as one HTML file: no script, nothing fetched, every value escaped; for screens and for paper."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path

from coldchain.errors import ConfigurationError
from coldchain.files import write_durably
from coldchain.levels import Level
from coldchain.report import Part, Report
from tasks.running import say, work
from tasks.sweeping import NONE, Duty, Section, amount, duties, figures, more, plain, sections, size, space, title, verdict
from tasks.workspace import open_workspace

FOLDER = "reports"
"""Folder of the reports, beside the site file."""

LATEST = "latest.html"

OPEN = 20
"""A part with more lines is shown folded."""

KINDS = [*(str(level) for level in Level), "trash"]
"""What stands somewhere, in the order of the bars."""

COLUMNS = ("artifact", "location", "size", "why")
SHORT, QUIET = ' class="short"', ' class="quiet"'

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
WIDTH, BAR, ROW, LEFT, RIGHT = 760, 20, 34, 150, 90


def page_of(report: Report) -> str:
    """Where a sweep's report goes, relative to the site file."""
    return f"{FOLDER}/sweep-{report.at:%Y%m%dT%H%M%S.%fZ}.html"


@work
def leave(report: Report) -> str:
    """Write a sweep's report beside the site file, and once more as the latest; gives its name.

    Raises:
        ConfigurationError: the folder of the reports cannot be made.
    """
    site, page = open_workspace().site, page_of(report)
    text = as_html(report).encode()
    _make(site.path(FOLDER))
    for name in (page, f"{FOLDER}/{LATEST}"):
        write_durably(site.path(name), text)
    say(f"report: {page}")
    return page


def _make(folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            "the folder of the reports cannot be made",
            on=folder,
            got=error.strerror,
            done="the sweep has ended; its report stands in the Prefect UI",
            hint="make the folder, or a link to another one, and give it to the service's user",
        ) from error


def as_html(report: Report) -> str:
    """The report of a sweep as one page that stands alone."""
    found = duties(report)
    mood = "urgent" if any(duty.now for duty in found) else "asks" if found else "well"
    parts = [
        f'<header class="{mood}">{_dry(report)}<p class="when">{_text(title(report))}</p><h1>{_text(verdict(report))}</h1>',
        f"<p>Site <b>{_text(report.site)}</b>, policy <b>{_text(report.policy)}</b></p></header>",
        *_to_do(found),
        _figures(figures(report)),
        *_space(space(report)),
        *(_section(section) for section in sections(report)),
        *_receipts(report.receipts),
        f"<footer>Coldchain, {_text(title(report))}. What stays, stays for the reason that is named; what went has a receipt.</footer>",
    ]
    return f"{_head(title(report))}<body><main>\n" + "\n".join(part for part in parts if part) + "\n</main></body></html>\n"


def _head(name: str) -> str:
    style = files("tasks").joinpath("sweep.css").read_text("utf-8")
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{_text(name)}</title><style>\n{style}</style></head>\n'
    )


def _dry(report: Report) -> str:
    return '<p class="dry">Dry run: nothing was removed, and nobody was told</p>' if report.dry_run else ""


def _to_do(found: Iterable[Duty]) -> Iterator[str]:
    lines = "".join(
        f'<li class="{"now" if duty.now else "later"}"><b>{"Now" if duty.now else "When you can"}</b> {_text(duty.what)}.'
        f"<br><span>{_commands(duty.how)}.</span></li>\n"
        for duty in found
    )
    if lines:
        yield f'<section class="todo"><h2>What to do</h2><ol>\n{lines}</ol></section>'


def _figures(found: Mapping[str, str]) -> str:
    tiles = "".join(
        f"<div{QUIET if value == NONE else ''}><dt>{_text(name)}</dt><dd>{_text(value)}</dd></div>" for name, value in found.items()
    )
    return f'<dl class="figures">{tiles}</dl>'


def _section(section: Section) -> str:
    hint = f"<p>{_commands(section.hint)}</p>" if section.hint else ""
    shown = section.part.lines
    opened = " open" if len(shown) <= OPEN else ""
    head = f'<summary><h2>{_text(section.title)}</h2> <span class="count">{_text(amount(section.part, section.what))}</span></summary>'
    return f"<details{opened}>{head}{hint}{_lines(section.part)}</details>"


def _lines(part: Part) -> str:
    """The lines of a part, without the columns in which none of them says anything."""
    rows = [(line.artifact, line.location, size(line.bytes), "; ".join(line.reasons)) for line in part.lines]
    used = [column for column in range(len(COLUMNS)) if any(row[column] for row in rows)]
    left = more(part, len(rows)).strip()
    table = _table([COLUMNS[column] for column in used], ([row[column] for column in used] for row in rows))
    return table + (f'<p class="more">{_text(left)}</p>' if left else "")


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{_text(column)}</th>' for column in columns)
    body = "".join(f"<tr>{''.join(map(_cell, columns, row))}</tr>\n" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table></div>'


def _cell(column: str, text: str) -> str:
    return f"<td{SHORT if column in {'location', 'size'} else ''}>{_text(text)}</td>"


def _space(found: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    """The bars of what stands where, and their numbers."""
    if not found:
        return
    used = [kind for kind in KINDS if any(kind in kinds for kinds in found.values())]
    legend = "".join(
        f'<li><svg width="12" height="12" aria-hidden="true">{_box(kind, 0, 0, 12, 12)}</svg> {_text(_named(kind))}</li>' for kind in used
    )
    rows = [[place, *(size(kinds.get(kind, 0)) for kind in used), size(sum(kinds.values()))] for place, kinds in found.items()]
    numbers = _table(("location", *map(_named, used), "in all"), rows)
    yield f'<section class="space"><h2>Space by location and level</h2>{_bars(found)}<ul class="legend">{legend}</ul>{numbers}</section>'


def _named(kind: str) -> str:
    """A level in words that can stand on two lines."""
    return kind.replace("_", " ")


def _bars(found: Mapping[str, Mapping[str, int]]) -> str:
    widest = max(sum(kinds.values()) for kinds in found.values())
    scale = (WIDTH - LEFT - RIGHT) / widest
    bars = "".join(_bar(place, kinds, scale, row * ROW) for row, (place, kinds) in enumerate(found.items()))
    return f'<svg class="bars" viewBox="0 0 {WIDTH} {ROW * len(found)}" role="img" aria-label="Space by location and level">{bars}</svg>'


def _bar(place: str, kinds: Mapping[str, int], scale: float, top: int) -> str:
    """One location: its name, a box a level, and how much it is in all."""
    boxes, x = [], float(LEFT)
    for kind in KINDS:
        if count := kinds.get(kind):
            said = f"{place}, {kind}: {size(count)}"
            boxes.append(_box(kind, x, top + (ROW - BAR) / 2, max(count * scale, 1), BAR, said))
            x += count * scale
    middle = top + ROW / 2 + 5
    name = f'<text x="{LEFT - 10}" y="{middle:g}" text-anchor="end">{_text(shortened(place))}</text>'
    return f'{name}{"".join(boxes)}<text x="{x + 8:.1f}" y="{middle:g}">{size(sum(kinds.values()))}</text>'


def _box(kind: str, x: float, y: float, width: float, height: float, said: str = "") -> str:
    tip = f"<title>{_text(said)}</title>" if said else ""
    return f'<rect class="k{KINDS.index(kind)}" x="{x:.1f}" y="{y:g}" width="{width:.1f}" height="{height:g}">{tip}</rect>'


def _receipts(digests: Iterable[str]) -> Iterator[str]:
    if lines := "".join(f"<li><code>{_text(digest)}</code></li>" for digest in digests):
        yield f"<section><h2>Receipts</h2><p>Kept for good in the catalogue.</p><ul>{lines}</ul></section>"


def shortened(name: str) -> str:
    """A location's name, as long as there is room beside its bar."""
    return name if len(name) <= 18 else f"{name[:17]}…"


def _commands(text: str) -> str:
    """A text of ours, with what stands between back quotes set as a command."""
    return re.sub("`([^`]*)`", r"<code>\1</code>", _text(text))


def _text(text: str) -> str:
    """A text that HTML shows as it is."""
    return escape(plain(text))
