"""Text that Markdown shows as it is: a name, a reason or a table's content is never taken for markup."""

from __future__ import annotations

_MARKS = str.maketrans({**{mark: f"\\{mark}" for mark in "\\`*[]|~"}, "&": "&amp;", "<": "&lt;", ">": "&gt;"})
"""What Markdown would take for more than text; the back slash first of all: before a bar it would end a cell."""


def in_line(text: str) -> str:
    """A text in one line of visible characters."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def literal(text: str) -> str:
    """A text in one line of visible characters that Markdown shows as it is, in a cell of a table, too."""
    return in_line(text).translate(_MARKS)
