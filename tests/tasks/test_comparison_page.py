"""What a comparison shows is only text, whatever plates, tables and people name things."""

from __future__ import annotations

import re

from markdown_it import MarkdownIt

from coldchain.imaging.comparison_tables import Correlation
from tasks.comparison_html import Page, Pair, as_html, as_markdown

HOSTILE = "a\\|forged|\\[here](http://evil.test)<img src=//evil.test>\n# All is well\n`x`"
PAGE = Page(
    "PRJ-0001/PLATE-A",
    (Pair("masks", "ab" * 6, "cd" * 6, f"model {HOSTILE}", 7),),
    None,
    Correlation({HOSTILE: 0.5}, {HOSTILE: None}, (HOSTILE,), ()),
    b"",
    (f"The masks could not be compared: {HOSTILE}.",),
)


def test_hostile_names_are_only_text_in_the_markdown() -> None:
    """As Markdown is drawn, they make no link, picture, heading or further cell."""
    drawn = MarkdownIt("commonmark", {"html": True}).enable("table").render(as_markdown(PAGE, "reports/x.html"))
    assert set(re.findall(r"<([a-z0-9]+)", drawn)) <= {"h1", "p", "table", "thead", "tbody", "tr", "th", "td", "code"}
    assert drawn.count("<h1>") == 1
    assert {row.count("<td>") for row in drawn.split("<tr>") if "<td>" in row} == {2, 4}


def test_hostile_names_are_only_text_in_the_page() -> None:
    """The page holds no element that a name brought, and lets no script run."""
    page = as_html(PAGE)
    assert "<img src" not in page
    assert "default-src 'none'" in page
