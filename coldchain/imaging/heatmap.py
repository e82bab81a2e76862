"""A plate as a heat map: one square a well, in the colours of viridis, which people with any common colour vision can read."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from coldchain.errors import InputError, LayoutError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]

MAX_WRITTEN = 96  # wells whose value is written into the square
DPI = 110
CELL = 0.62  # inches of a well's side when values are written, less for dense plates


def plate_heatmap(values: Mapping[str, float | None], title: str, *, unit: str = "") -> bytes:
    """Return a PNG of a plate, cut to the rows and columns that are used; wells without a value are hatched.

    Args:
        values: a number a well, e.g. ``{"A01": 52.0}``; None and not-a-number stand for no value.
        title: what is shown; one line.
        unit: written beside the colour bar.

    Raises:
        InputError: no well at all.
        LayoutError: a name that is not a well.
    """
    if not values:
        raise InputError("A heat map needs wells", expected="a value for at least one well", got="none")
    places = {well: _place(well) for well in values}
    rows, columns = ([place[axis] for place in places.values()] for axis in (0, 1))
    top, left = min(rows), min(columns)
    grid = np.full((max(rows) - top + 1, max(columns) - left + 1), np.nan)
    for well, (row, column) in places.items():
        value = values[well]
        grid[row - top, column - left] = value if value is not None and math.isfinite(value) else np.nan
    figure = _drawn(grid, one_line(title), one_line(unit))
    _name_axes(figure.axes[0], [row_name(top + i) for i in range(grid.shape[0])], [str(left + i) for i in range(grid.shape[1])])
    return as_png(figure)


def _place(well: str) -> tuple[int, int]:
    """Return row (A is 0) and column (as written) of a well of a plate with up to 1536."""
    match = re.fullmatch(r"([A-Z]{1,2})([0-9]{1,2})", well)
    row = -1
    for letter in match[1] if match else "":
        row = (row + 1) * 26 + ord(letter) - ord("A")
    if match is None or row > 31 or not 1 <= int(match[2]) <= 48:
        raise LayoutError("Not the name of a well", expected="A01 to AF48", got=repr(well))
    return row, int(match[2])


def row_name(row: int) -> str:
    """Return the letters of a row: 0 is A, 26 is AA."""
    return chr(ord("A") + row) if row < 26 else "A" + chr(ord("A") + row - 26)


def one_line(text: str) -> str:
    """Return text on one line, shortened, without what matplotlib would take for a formula."""
    return "".join(c if c.isprintable() else " " for c in text)[:90].replace("$", r"\$")


def _drawn(grid: Floats, title: str, unit: str) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    side = CELL if grid.size <= MAX_WRITTEN else 0.28
    figure = Figure(figsize=(max(grid.shape[1] * side + 1.9, 4.2), max(grid.shape[0] * side + 1.2, 2.4)), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    _hatch(axes, grid)
    low, high = _range(grid)
    edge = 1.5 if grid.size <= MAX_WRITTEN else 0.5
    mesh = axes.pcolormesh(np.ma.masked_invalid(grid), cmap="viridis", vmin=low, vmax=high, edgecolors="white", linewidth=edge)
    figure.colorbar(mesh, ax=axes, label=unit, shrink=0.9, aspect=14)
    axes.set_title(title, fontsize=11, loc="left")
    if grid.size <= MAX_WRITTEN:
        _write_values(axes, grid, (low, high))
    return figure


def _range(grid: Floats) -> tuple[float, float]:
    """Return the ends of the colours; equal values get a range around them, no value gets 0 to 1."""
    known = grid[np.isfinite(grid)]
    if known.size == 0:
        return 0.0, 1.0
    low, high = float(known.min()), float(known.max())
    return (low, high) if high > low else (low - max(abs(low), 1.0) / 2, high + max(abs(high), 1.0) / 2)


def _hatch(axes: Axes, grid: Floats) -> None:
    from matplotlib.patches import Rectangle

    for row, column in np.argwhere(~np.isfinite(grid)):
        axes.add_patch(Rectangle((column, row), 1, 1, facecolor="#f4f4f4", edgecolor="#a0a0a0", hatch="////", linewidth=0))


def _write_values(axes: Axes, grid: Floats, ends: tuple[float, float]) -> None:
    low, high = ends
    for row, column in np.argwhere(np.isfinite(grid)):
        value = float(grid[row, column])
        dark = (value - low) / (high - low) < 0.6
        axes.text(column + 0.5, row + 0.5, short(value), ha="center", va="center", fontsize=8, color="white" if dark else "black")


def short(value: float) -> str:
    """Return a number in at most about five characters: 0.031, 4.2, 153, 12k."""
    if value == 0 or 0.001 <= abs(value) < 10_000:
        return f"{value:.0f}" if float(value).is_integer() or abs(value) >= 100 else f"{value:.3g}"
    return f"{value / 1000:.0f}k" if 10_000 <= abs(value) < 1_000_000 else f"{value:.0e}"


def _name_axes(axes: Axes, rows: list[str], columns: list[str]) -> None:
    axes.set_aspect("equal")
    axes.invert_yaxis()
    axes.xaxis.tick_top()
    axes.tick_params(length=0, labelsize=9 if len(rows) * len(columns) <= MAX_WRITTEN else 7)
    axes.set_xticks(np.arange(len(columns)) + 0.5, columns)
    axes.set_yticks(np.arange(len(rows)) + 0.5, rows)
    for spine in axes.spines.values():
        spine.set_visible(False)


def as_png(figure: Any) -> bytes:
    """Return a figure as PNG, without the name of the software: the same figure gives the same bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
