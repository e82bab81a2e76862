"""The report of a sweep, as Markdown and as HTML: says first what is to do, names a dry run, and no name in it does harm.

`python tests/tasks/test_sweep_report.py` writes the golden pages anew, after their words were changed on purpose: read the diff.
"""

from __future__ import annotations

import datetime as dt
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from coldchain.copies import CopyState, Total
from coldchain.levels import Level
from coldchain.report import MOST, Line, Part, Report
from tasks import sweep_html, sweeping
from tasks.sweep_html import as_html
from tasks.sweeping import as_markdown, duties, headline, plain, said, sections, size, so_many, space, verdict

GOLDEN = Path(__file__).with_name("golden")
AT = dt.datetime(2030, 1, 15, 2, 41, 7, 250_000, tzinfo=dt.UTC)
GB = 10**9

SCRIPT = "<script>alert(1)</script>"
BREAKS = "a\nb\r\n| c |\tend"
UNDECODED = "plate\udcff.tif"
IMAGE = "![x](https://tracker.example/x.png) <img src=//tracker.example/y.png onerror=alert(1)>"
QUOTES = '"\'`` onmouseover="alert(1)" x=\''
TURNED = "gnp.\u202etif\x1b[31m\x00"
LINK = "[click](javascript:alert(1)) www.evil.example ada@evil.example <a href='javascript:1'>x</a>"
CLOSES = "</title></style></td></table><style>*{display:none}</style><!-- ]]> &lt;"
HOSTILE = [SCRIPT, BREAKS, UNDECODED, IMAGE, QUOTES, TURNED, LINK, CLOSES]


def part(*lines: Line, count: int | None = None) -> Part:
    """A part with these lines, and more that were only counted."""
    found = Part()
    for line in lines:
        found.add(line)
    found.count = count or found.count
    return found


def line(artifact: str, location: str = "", size_of: int = 0, *reasons: str) -> Line:
    """A line of a report."""
    return Line(artifact, location, size_of, reasons)


def troubled(*, dry_run: bool = False) -> Report:
    """A night on which everything happened, to things with hostile names."""
    return Report(
        AT, dry_run, "lab v3", "campus", read_back=41, notice=0 if dry_run else 12,
        removed=part(line("PRJ-0001/PLATE-A/standard@0123456789ab", "scratch", 41 * GB, "stands on nas and cold, read on 2030-01-15")),
        trashed=part(line("PRJ-0001/PLATE-B/corrected@123456789abc", "scratch", 17 * GB, "due since 2030-01-10", "covered by nas")),
        noticed=part(line(f"PRJ-0002/{SCRIPT}/masks@23456789abcd", "nas", 3 * GB, "told now; may go from 2030-01-29", IMAGE)),
        waiting=part(line("PRJ-0002/PLATE-D/raw@3456789abcde", "nas", 120 * GB, "in notice 9; nobody has answered", QUOTES), count=640),
        refused=part(line("PRJ-0003/PLATE-E/masks@456789abcdef", "scratch", 900_000, f"Ada said no: {LINK}")),
        kept=part(line(f"PRJ-0003/{BREAKS}/standard@56789abcdef0", "scratch", 1, f"held by {CLOSES} until 2030-02-01: {BREAKS}")),
        dropped=part(line("PRJ-0003/PLATE-F/standard@6789abcdef01", "scratch", 5 * GB, "in use (read) until 2030-01-15T03:00")),
        recalled=part(line("PRJ-0004/PLATE-G/masks@789abcdef012", "nas", 2 * GB, "in the trash, and not covered any more")),
        damaged=part(line("PRJ-0004/PLATE-H/raw@89abcdef0123", "cold", 70 * GB, f"{UNDECODED} does not match", TURNED)),
        falling_due=part(line("PRJ-0005/PLATE-I/standard@9abcdef01234", "scratch", 8 * GB, "falls due on 2030-01-20"), count=3),
        short=part(line("PRJ-0004/PLATE-H/raw@89abcdef0123", "", 0, "2 of 3 copies, 1 of 2 media")),
        warnings=part(line(f"PRJ-0006/{TURNED}/masks@abcdef012345 at scratch goes on 2030-01-18 by the cluster's own purge")),
        space=(
            Total("cold", Level.RAW, CopyState.VERIFIED, 310, 9_100 * GB),
            Total("cold", Level.RAW, CopyState.SUSPECT, 1, 70 * GB),
            Total("cold", Level.RELEASE, CopyState.VERIFIED, 12, 240 * GB),
            Total("nas", Level.RAW, CopyState.VERIFIED, 311, 9_170 * GB),
            Total("nas", Level.STANDARD, CopyState.VERIFIED, 311, 6_350 * GB),
            Total("nas", Level.MASKS, CopyState.VERIFIED, 290, 610 * GB),
            Total("nas", Level.MASKS, CopyState.TRASHED, 2, 4 * GB),
            Total("nas", Level.RAW, CopyState.LOST, 1, 999 * GB),
            Total("scratch", Level.STANDARD, CopyState.VERIFIED, 22, 690 * GB),
            Total("scratch", Level.CORRECTED, CopyState.TRASHED, 4, 66 * GB),
            Total(f"off-site {SCRIPT}", Level.RAW, CopyState.VERIFIED, 300, 8_800 * GB),
        ),
        unreachable=("backup", "tape"), braked={"tape": f"9 of 12 copies failed: {SCRIPT}"},
        receipts=[] if dry_run else ["5f" * 32, "a0" * 32],
    )  # fmt: skip


def quiet(*, dry_run: bool = False) -> Report:
    """A night on which nothing was to do."""
    return Report(AT, dry_run, "lab v3", "campus", read_back=7, space=(Total("nas", Level.RAW, CopyState.VERIFIED, 1, GB),))


PAGES = {
    "troubled.md": lambda: as_markdown(troubled(), "reports/sweep-1.html"),
    "troubled.html": lambda: as_html(troubled()),
    "dry-run.md": lambda: as_markdown(troubled(dry_run=True), "reports/sweep-1.html"),
    "quiet.md": lambda: as_markdown(quiet()),
    "quiet.html": lambda: as_html(quiet()),
}


@pytest.mark.parametrize("name", PAGES)
def test_the_pages_say_what_they_said(name: str) -> None:
    """Every word of the report is as it was reviewed."""
    assert PAGES[name]() == (GOLDEN / name).read_text("utf-8")


class Elements(HTMLParser):
    """Collects what a browser would make of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[tuple[str, str]] = set()
        self.shown = ""
        self.declared: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element and its attributes."""
        self.tags.add(tag)
        self.attributes |= {(name, value or "") for name, value in attrs}

    def handle_data(self, data: str) -> None:
        """Note what is shown."""
        self.shown += data

    def handle_comment(self, data: str) -> None:
        """Note a comment: the page has none of its own."""
        self.declared.append(data)


@pytest.mark.parametrize("report", [troubled(), troubled(dry_run=True)], ids=["real", "dry run"])
def test_no_name_becomes_an_element_or_an_attribute_of_the_page(report: Report) -> None:
    """Elements and attributes of a page full of hostile names are those of a page without them, or of its tables and bars."""
    found = Elements(as_html(report))
    ours = {
        "html", "head", "meta", "title", "style", "body", "main", "header", "p", "h1", "h2", "b", "section", "ol", "ul", "li", "br", "span",
        "code", "dl", "div", "dt", "dd", "svg", "rect", "text", "details", "summary", "table", "thead", "tbody", "tr", "th", "td", "footer",
    }  # fmt: skip
    assert found.tags <= ours
    assert {name for name, _value in found.attributes} <= {
        "lang", "charset", "http-equiv", "content", "name", "class", "scope", "open", "role", "aria-label", "aria-hidden", "viewbox",
        "width", "height", "x", "y", "text-anchor",
    }  # fmt: skip
    assert not any(mark in value for _name, value in found.attributes for mark in ("script", "alert", "evil", "tracker"))
    assert found.declared == []


def test_every_hostile_name_is_shown_as_it_is() -> None:
    """What a reader sees is the name, with what cannot be seen spelled out."""
    shown = Elements(as_html(troubled())).shown
    assert [name for name in HOSTILE if plain(name) not in shown] == []


def test_the_html_stands_alone() -> None:
    """No script runs and nothing is fetched: the page says so to the browser, and names no address."""
    page = as_html(troubled())
    assert "default-src 'none'" in page
    assert "<script" not in page
    assert "@import" not in page
    assert "url(" not in page


@pytest.mark.parametrize("page", [as_html(troubled()), as_markdown(troubled())], ids=["html", "markdown"])
def test_pages_are_utf_8_without_hidden_characters(page: str) -> None:
    """A name that is no UTF-8, and characters that turn or hide text, are spelled out."""
    assert page.encode("utf-8")
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u202a-\u202e\ud800-\udfff]", page)
    assert "\\udcff" in page.replace("\\\\", "\\")
    assert "\\u202e" in page.replace("\\\\", "\\")


@pytest.mark.parametrize("report", [troubled(), troubled(dry_run=True)], ids=["real", "dry run"])
def test_a_hostile_name_is_only_text_in_the_markdown(report: Report) -> None:
    """As Markdown is drawn, names make no element, link, picture or further cell."""
    drawn = MarkdownIt("commonmark", {"html": True}).enable("table").render(as_markdown(report, "reports/x.html"))
    found = Elements(drawn)
    assert found.tags <= {"h1", "h2", "p", "strong", "ol", "ul", "li", "table", "thead", "tbody", "tr", "th", "td", "code"}
    assert found.attributes <= {("class", "")}
    cells = [row.count("<td>") for row in drawn.split("<tr>") if "<td>" in row]
    assert set(cells) <= {2, 3, 4}
    assert len([count for count in cells if count == 4]) == sum(len(section.part.lines) for section in sections(report))
    flat = re.sub(r"\s+", " ", found.shown)
    assert [name for name in HOSTILE if plain(name) not in flat] == []


@pytest.mark.parametrize("text", ["https://evil.example", "WWW.evil.example", "ada@evil.example"])
def test_markdown_begins_no_link_by_itself(text: str) -> None:
    """The addresses that a renderer would turn into links are broken up in the source, and shown whole."""
    page = as_markdown(Report(AT, dry_run=False, policy=text))
    assert text not in page
    assert text in Elements(MarkdownIt("commonmark").render(page)).shown


@pytest.mark.parametrize("page", [as_html(troubled(dry_run=True)), as_markdown(troubled(dry_run=True)), headline(troubled(dry_run=True))])
def test_a_dry_run_is_named_as_such(page: str) -> None:
    """Nobody takes what would be removed for what was removed."""
    assert "ry run" in page[:9000]
    assert "Copies removed" not in page
    assert "Told of now" not in page


@pytest.mark.parametrize("page", [as_html(troubled()), as_markdown(troubled()), headline(troubled())])
def test_what_was_done_is_not_called_a_dry_run(page: str) -> None:
    """A sweep that removed something says so."""
    assert "ry run" not in page
    assert "would be" not in page.lower()


def test_a_quiet_night_says_that_all_is_well() -> None:
    """Nothing to do is said first, in plain words."""
    assert duties(quiet()) == []
    assert verdict(quiet()) == "All is well. There is nothing to do."
    assert "What to do" not in as_markdown(quiet()) + as_html(quiet())


@pytest.mark.parametrize(
    ("given", "urgent", "said_so"),
    [
        ({"braked": {"tape": "9 of 12 failed"}, "unreachable": ("tape",)}, True, "audit of tape was stopped"),
        ({"unreachable": ("backup",)}, True, "backup cannot be reached"),
        ({"warnings": part(line("goes on Friday"))}, True, "1 warning"),
        ({"damaged": part(line("a", "nas", 1, "torn"))}, True, "1 copy damaged or lost"),
        ({"short": part(line("a", "", 0, "1 of 3"), count=2)}, False, "2 artifacts lack copies"),
        ({"noticed": part(line("a", "nas", 1)), "notice": 4}, False, "Notice 4"),
        ({"waiting": part(line("a", "nas", 1))}, False, "waiting"),
    ],
)
def test_whatever_needs_a_person_is_named_first(given: dict[str, object], urgent: bool, said_so: str) -> None:
    """Each thing that is wrong or asked makes one duty, and the verdict counts it as urgent or not."""
    report = Report(AT, dry_run=False, policy="lab v3", **given)
    (duty,) = duties(report)
    assert duty.now is urgent
    assert said_so in duty.what
    assert verdict(report).startswith("One thing needs you now" if urgent else "Nothing is wrong. One thing waits")
    assert plain(duty.what) in Elements(as_html(report)).shown


@pytest.mark.parametrize("quietly", ["removed", "trashed", "kept", "refused", "falling_due", "recalled", "dropped"])
def test_what_needs_nobody_asks_nobody(quietly: str) -> None:
    """What went, stays, fell out or came back is told, and is no duty."""
    report = Report(AT, dry_run=False, policy="lab v3", **{quietly: part(line("PRJ-0001/A/raw@0", "nas", 1, "because"))})
    assert duties(report) == []
    assert "because" in as_markdown(report)
    assert "because" in as_html(report)


def test_the_urgent_stands_before_what_can_wait() -> None:
    """The first thing that is read is the first to be done."""
    order = [duty.now for duty in duties(troubled())]
    assert order == sorted(order, reverse=True)
    assert set(order) == {True, False}


def test_a_notice_says_how_it_is_answered() -> None:
    """The command and the form stand beside the number."""
    for page in (as_markdown(troubled()), as_html(troubled())):
        assert "coldchain approve 12" in page
        assert "coldchain refuse 12" in page


@pytest.mark.parametrize(("page", "shown"), [(as_markdown, sweeping.MOST), (as_html, MOST)])
def test_what_is_not_shown_is_counted(page: object, shown: int) -> None:
    """A part of a million lines shows the first, and says how many more there are."""
    report = Report(AT, dry_run=False, policy="lab v3")
    for number in range(MOST + 100):
        report.kept.add(line(f"artifact-{number:06}", "scratch", 1, "held"))
    report.kept.count = 1_000_000
    text = page(report)
    assert text.count("artifact-") == shown
    assert f"and {1_000_000 - shown:,} more" in text
    assert "1,000,000 copies" in text


def test_a_whole_part_says_nothing_of_more() -> None:
    """No part ends with "and 0 more"."""
    report = Report(AT, dry_run=False, policy="lab v3", kept=part(line("a", "nas", 1, "held")))
    assert " more" not in as_markdown(report)
    assert " more<" not in as_html(report)


def test_space_counts_what_stands() -> None:
    """Damaged bytes take up space, those in the trash are named as such, what is lost stands nowhere."""
    found = space(troubled())
    assert found["cold"] == {"raw": 9_170 * GB, "release": 240 * GB}
    assert found["nas"] == {"raw": 9_170 * GB, "standard": 6_350 * GB, "masks": 610 * GB, "trash": 4 * GB}


def test_the_longest_bar_is_the_fullest_location() -> None:
    """Bars are drawn to one scale, and no bar leaves the picture."""
    found = re.findall(r'<rect class="k\d" x="([\d.]+)" y="[\d.]+" width="([\d.]+)"[^>]*><title>([^,]+),', as_html(troubled()))
    ends: dict[str, float] = {}
    for x, width, place in found:
        ends[place] = max(ends.get(place, 0), float(x) + float(width))
    assert max(ends, key=lambda place: ends[place]) == "nas"
    assert ends["nas"] == pytest.approx(sweep_html.WIDTH - sweep_html.RIGHT, abs=2)
    assert (ends["cold"] - sweep_html.LEFT) / (ends["nas"] - sweep_html.LEFT) == pytest.approx(9_410 / 16_134, abs=0.01)


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, ""), (1, "1 B"), (999, "999 B"), (1000, "1.0 kB"), (41 * GB, "41.0 GB"), (9_170 * GB, "9.2 TB"), (5 * 10**18, "5,000.0 PB")],
)  # fmt: skip
def test_sizes_are_for_people(count: int, words: str) -> None:
    """Bytes in the unit that people say."""
    assert size(count) == words


def test_counts_are_for_people() -> None:
    """One copy, two copies, a thousand artifacts."""
    assert [so_many(1), so_many(2), so_many(1234, "artifact")] == ["1 copy", "2 copies", "1,234 artifacts"]


def test_the_command_can_print_every_line() -> None:
    """A terminal gets no control character and no name that it cannot write."""
    lines = [said(each) for section in sections(troubled()) for each in section.part.lines]
    assert all(text.isprintable() and text.encode("utf-8") for text in lines)
    assert said(line("a warning")) == "a warning"
    assert said(line("a", "nas", 1, "held", "due")) == "a at nas: held; due"


def write() -> None:
    """Write the golden pages anew."""
    GOLDEN.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (GOLDEN / name).write_text(page(), "utf-8")


if __name__ == "__main__":
    write()
