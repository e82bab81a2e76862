"""How alike the wells of a plate are, as a picture: the correlation of each well's profile with each other's, treatment by treatment."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from coldchain.imaging import tables
from coldchain.imaging.aggregate import PLATE, WELL, features_of
from coldchain.imaging.bulk import treatment_keys, treatments_of
from coldchain.imaging.heatmap import as_png, one_line

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

FEWEST = 3  # wells and features that a picture tells something of
MOST_NAMES = 40  # treatments whose names are written
UNKNOWN = "not said"


def likeness(selected_parquet: str | Path, title: str) -> bytes | None:
    """Return a PNG of the correlations (-1 blue, 0 white, 1 red) between the wells of a table of `bulk.compare_wells`.

    Wells stand in the order of their treatments, with lines between treatments. None where there are too few wells or features.
    """
    wells = tables.read(selected_parquet).to_pandas()
    features = features_of(wells)
    if len(wells) < FEWEST or len(features) < FEWEST:
        return None
    groups = _groups(wells)
    order = np.lexsort((wells[WELL].to_numpy(str), groups))
    values = wells[features].to_numpy(np.float64)[order]
    with np.errstate(divide="ignore", invalid="ignore"):
        correlations = np.corrcoef(values)
    return as_png(_drawn(np.asarray(correlations, np.float64), groups[order], one_line(title)))


def _groups(wells: pd.DataFrame) -> NDArray[Any]:
    keys = treatment_keys(wells)
    named = treatments_of(wells, keys).str.replace("\x1f", " ") if keys else wells[PLATE].map(lambda _: UNKNOWN)
    return np.asarray(named.fillna(UNKNOWN).to_numpy(str))


def _drawn(correlations: NDArray[np.float64], groups: NDArray[Any], title: str) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    side = float(np.clip(len(groups) * 0.16, 3.2, 7.0))
    figure = Figure(figsize=(side + 2.2, side + 0.8), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    shown = axes.imshow(np.ma.masked_invalid(correlations), cmap="RdBu_r", vmin=-1, vmax=1, interpolation="nearest")
    figure.colorbar(shown, ax=axes, label="correlation of profiles", shrink=0.8)
    starts = np.flatnonzero(np.concatenate([[True], groups[1:] != groups[:-1]]))
    for start in starts[1:]:
        axes.axhline(start - 0.5, color="black", linewidth=0.6)
        axes.axvline(start - 0.5, color="black", linewidth=0.6)
    _name_groups(axes, starts, groups)
    axes.set_title(title, fontsize=10, loc="left")
    return figure


def _name_groups(axes: Any, starts: NDArray[np.int64], groups: NDArray[Any]) -> None:
    axes.set_xticks([])
    if len(starts) > MOST_NAMES:
        axes.set_yticks([])
        return
    ends = np.append(starts[1:], len(groups))
    axes.set_yticks((starts + ends - 1) / 2, [one_line(groups[start])[:24] for start in starts])
    axes.tick_params(length=0, labelsize=8)
