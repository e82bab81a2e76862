"""A comparison as one HTML file: no script, nothing fetched, every value escaped, charts and pictures in the page itself."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from statistics import median

import numpy as np
from numpy.typing import NDArray

from coldchain.imaging.comparison import FieldComparison, MasksComparison
from coldchain.imaging.comparison_tables import Correlation
from coldchain.literal import literal

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
WIDTH, HEIGHT, EDGE = 420, 300, 44
MOST = 40
"""Lines of a table."""

STYLE = """
.charts{display:flex;flex-wrap:wrap;gap:1rem}.charts figure{margin:0}svg text{font:11px sans-serif;fill:currentColor}
svg .dot{fill:#0072b2;fill-opacity:.6}svg .bar{fill:#0072b2}svg .axis{stroke:currentColor;stroke-opacity:.5}
svg .same{stroke:#d55e00;stroke-dasharray:4 3}img{max-width:100%;image-rendering:auto}td{font-variant-numeric:tabular-nums}
"""


@dataclass(frozen=True)
class Pair:
    """A level: digests of what is current and of what was made beside it, what was done otherwise, and the bytes it takes more."""

    level: str
    old: str
    new: str
    how: str
    bytes: int


@dataclass(frozen=True)
class Page:
    """What a comparison shows."""

    dataset: str
    pairs: tuple[Pair, ...]
    masks: MasksComparison | None
    profiles: Correlation | None
    picture: bytes
    notes: tuple[str, ...]

    @property
    def headline(self) -> str:
        """Say in one line what differs."""
        said = [f"{self.dataset}: {', '.join(pair.level for pair in self.pairs)} made beside the old"]
        if self.masks is not None:
            old, new, matched = (self.masks.total(name) for name in ("old", "new", "matched"))
            said.append(f"{old} objects, now {new}, {matched} match")
        if self.profiles is not None and (middle := _median(self.profiles.features)):
            said.append(f"profiles correlate by {middle} (median feature)")
        return "; ".join(said)


def figures(page: Page) -> dict[str, str]:
    """The numbers at the head of the page."""
    found: dict[str, str] = {}
    if page.masks is not None:
        names = {"old": "objects before", "new": "objects now", "matched": "match", "split": "split", "merged": "merged", "lost": "lost"}
        found |= {said: str(page.masks.total(name)) for name, said in (names | {"added": "new"}).items()}
        found["median overlap (IoU)"] = f"{np.median(page.masks.iou):.3f}" if page.masks.iou.size else "none"
        found["median area, now / before"] = f"{np.median(page.masks.area_ratio):.3f}" if page.masks.area_ratio.size else "none"
    if page.profiles is not None:
        found["median correlation by feature"] = _median(page.profiles.features) or "none"
        found["median correlation by well"] = _median(page.profiles.rows) or "none"
    return found


def as_html(page: Page) -> str:
    """The comparison as one page that stands alone."""
    parts = [
        f'<header class="asks"><p class="when">Old against new</p><h1>{_text(page.headline)}</h1></header>',
        _choose(page),
        f'<dl class="figures">{"".join(f"<div><dt>{_text(k)}</dt><dd>{_text(v)}</dd></div>" for k, v in figures(page).items())}</dl>',
        *(f"<p>{_text(note)}</p>" for note in page.notes),
        _charts(page),
        *_picture(page),
        *_tables(page),
        "<footer>Coldchain. Nothing was removed, and nothing switched: the old artifacts are current until a person chooses.</footer>",
    ]
    style = files("tasks").joinpath("sweep.css").read_text("utf-8")
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{_text(page.dataset)}: old against new</title>'
        f"<style>\n{style}{STYLE}</style></head>\n<body><main>\n" + "\n".join(parts) + "\n</main></body></html>\n"
    )


def as_markdown(page: Page, name: str) -> str:
    """The same in short, for the Prefect UI."""
    numbers = "".join(f"| {literal(what)} | {literal(value)} |\n" for what, value in figures(page).items())
    pairs = "".join(f"| {literal(each.level)} | `{each.old}` | `{each.new}` | {literal(each.how)} |\n" for each in page.pairs)
    worst = _field_rows(page.masks.worst[:10]) if page.masks else []
    fields = "".join(f"| {' | '.join(map(literal, row))} |\n" for row in worst)
    return (
        f"# {page.dataset}: old against new\n\n{literal(' '.join(page.notes))}\n\n"
        f"| level | old | new | otherwise |\n|---|---|---|---|\n{pairs}\n"
        f"| | |\n|---|---|\n{numbers}\n"
        + (f"Fields that differ most:\n\n| {' | '.join(FIELD_COLUMNS)} |\n{'|---' * len(FIELD_COLUMNS)}|\n{fields}\n" if fields else "")
        + f"Charts and pictures: `{name}` beside the site file. The old ones are current until somebody runs `choose`.\n"
    )


def _choose(page: Page) -> str:
    rows = [(each.level, each.old, each.new, each.how, f"{each.bytes / 1e6:+.2f}") for each in page.pairs]
    table = _table("What was made", ("level", "old", "new", "otherwise", "MB more"), rows)
    first = page.pairs[0]
    commands = "".join(
        f"<li><code>coldchain choose {_text(page.dataset)} {_text(first.level)} {_text(digest)} --reason …</code>: {what}</li>"
        for digest, what in ((first.new, "the new one, and what was made of it"), (first.old, "back to the old one"))
        if digest
    )
    return f"{table}<ul>{commands}</ul>"


def _charts(page: Page) -> str:
    drawn = []
    if page.masks is not None:
        wells = page.masks.wells.values()
        drawn.append(scatter([old for old, _ in wells], [new for _, new in wells], "objects of a well, before", "now"))
        drawn.append(histogram(page.masks.iou, (0.5, 1.0), "overlap of matched objects (IoU)"))
        drawn.append(histogram(np.clip(page.masks.area_ratio, 0.5, 1.5), (0.5, 1.5), "area of matched objects, now / before"))
    if page.profiles is not None:
        values = np.array([value for value in page.profiles.features.values() if value is not None])
        drawn.append(histogram(np.clip(values, -1, 1), (-1.0, 1.0), "correlation of a feature over wells"))
    return f'<div class="charts">{"".join(f"<figure>{svg}</figure>" for svg in drawn)}</div>'


def scatter(x: Sequence[float], y: Sequence[float], x_title: str, y_title: str) -> str:
    """A scatter plot as SVG, with the line on which both are the same."""
    top = max([*x, *y, 1]) * 1.05
    at = [
        (EDGE + value / top * (WIDTH - EDGE - 8), HEIGHT - EDGE - other / top * (HEIGHT - EDGE - 8))
        for value, other in zip(x, y, strict=True)
    ]
    dots = "".join(f'<circle class="dot" cx="{a:.1f}" cy="{b:.1f}" r="4"/>' for a, b in at)
    same = f'<line class="same" x1="{EDGE}" y1="{HEIGHT - EDGE}" x2="{WIDTH - 8}" y2="8"/>'
    return _svg(same + dots, x_title, y_title, ("0", f"{top:.0f}"), f"{top:.0f}")


def histogram(values: NDArray[np.float64], limits: tuple[float, float], title: str, bins: int = 25) -> str:
    """A histogram as SVG."""
    counts, _ = np.histogram(values, bins=bins, range=limits)
    top, step = max(int(counts.max(initial=0)), 1), (WIDTH - EDGE - 8) / bins
    heights = [count / top * (HEIGHT - EDGE - 8) for count in counts]
    bars = "".join(
        f'<rect class="bar" x="{EDGE + number * step:.1f}" y="{HEIGHT - EDGE - high:.1f}" width="{step - 1:.1f}" height="{high:.1f}"/>'
        for number, high in enumerate(heights)
        if high
    )
    return _svg(bars, title, "how many", (f"{limits[0]:g}", f"{limits[1]:g}"), str(top))


def _svg(drawn: str, x_title: str, y_title: str, x_limits: tuple[str, str], y_top: str) -> str:
    floor = HEIGHT - EDGE
    axes = f'<path class="axis" fill="none" d="M{EDGE} 8V{floor}H{WIDTH - 8}"/>'
    words = (
        f'<text x="{EDGE}" y="{floor + 16}">{x_limits[0]}</text>'
        f'<text x="{WIDTH - 8}" y="{floor + 16}" text-anchor="end">{x_limits[1]}</text>'
        f'<text x="{(EDGE + WIDTH) // 2}" y="{floor + 34}" text-anchor="middle">{_text(x_title)}</text>'
        f'<text x="{EDGE - 6}" y="18" text-anchor="end">{y_top}</text>'
        f'<text x="14" y="{floor // 2}" text-anchor="middle" transform="rotate(-90 14 {floor // 2})">{_text(y_title)}</text>'
    )
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img" aria-label="{_text(x_title)}">{axes}{drawn}{words}</svg>'


def _picture(page: Page) -> Iterable[str]:
    if page.picture:
        data = base64.b64encode(page.picture).decode("ascii")
        yield f'<section><h2>Fields that differ most: old left, new right</h2><img alt="" src="data:image/png;base64,{data}"></section>'


FIELD_COLUMNS = ("well", "field", "before", "now", "match", "split", "merged", "lost", "new", "IoU", "area")


def _field_rows(fields: Sequence[FieldComparison]) -> list[tuple[str, ...]]:
    return [
        (
            each.well,
            str(each.field),
            *(str(number) for number in (each.old, each.new, each.matched, each.split, each.merged, each.lost, each.added)),
            _number(each.iou),
            _number(each.area_ratio),
        )
        for each in fields
    ]


def _tables(page: Page) -> Iterable[str]:
    if page.masks is not None:
        yield _table("Fields, those that differ most first", FIELD_COLUMNS, _field_rows(page.masks.worst))
        wells = [(well, str(old), str(new), f"{new - old:+d}") for well, (old, new) in page.masks.wells.items()]
        yield _table("Objects by well", ("well", "before", "now", "change"), wells)
    if page.profiles is not None:
        yield _table("Features, those that agree least first", ("feature", "correlation over wells"), _lowest(page.profiles.features))
        yield _table("Wells, those that agree least first", ("well", "correlation over features"), _lowest(page.profiles.rows))
        for names, what in ((page.profiles.only_old, "only before"), (page.profiles.only_new, "only now")):
            yield _table(f"Features that there are {what}", ("feature",), [(name,) for name in names]) if names else ""


def _lowest(values: Mapping[str, float | None]) -> list[tuple[str, str]]:
    ordered = sorted(values.items(), key=lambda item: (np.inf if item[1] is None else item[1], item[0]))
    return [(name, "does not vary" if value is None else f"{value:.4f}") for name, value in ordered]


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{_text(name)}</th>" for name in columns)
    body = "".join("<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>\n" for row in rows[:MOST])
    more = f"<p>and {len(rows) - MOST} more</p>" if len(rows) > MOST else ""
    return f"<section><h2>{_text(title)}</h2><table><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table>{more}</section>"


def _median(values: Mapping[str, float | None]) -> str:
    known = [value for value in values.values() if value is not None]
    return f"{median(known):.3f}" if known else ""


def _number(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.3f}"


def _text(text: str) -> str:
    """Text that cannot be taken for markup."""
    return escape("".join(letter if letter.isprintable() else "�" for letter in text))
