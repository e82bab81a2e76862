"""How alike the wells of one treatment are: correlation between them, and mean average precision."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

NULL_SIZE = 10_000  # random rankings that a precision is held against
SEED = 0
_GROUP, _REFERENCE = "Metadata_group", "Metadata_reference"


def reproducibility(
    wells: pd.DataFrame, features: Sequence[str], groups: pd.Series[Any], controls: pd.Series[bool]
) -> tuple[pd.DataFrame | None, dict[str, Any]]:
    """Return one row a treatment with two wells or more, by its group, and in plain values what the plate comes to.

    Args:
        wells: profiles, normalised and selected; one row a well.
        features: columns of the profile, complete.
        groups: treatment of each well, missing where it has none.
        controls: whether a well is a negative control.

    Columns: `median_replicate_correlation` (Pearson, between all pairs of its wells), `null_correlation_95` (the 95th percentile
    between wells of different treatments, the same in each row), `mean_average_precision`, `p_value` and `corrected_p_value` by copairs
    (do a well's profile find its replicates before the controls, or the wells of other treatments where no control is named; against
    10,000 random rankings; Benjamini-Hochberg; Kalinin et al., Nature Communications 16, 5181 (2025)), `compared_with`.
    Without replicates the table is None, and `why` says so.
    """
    sizes = groups.groupby(groups).size()
    if not (sizes >= 2).any():
        return None, {"why": "no treatment has two wells"}
    if len(features) < 2:
        return None, {"why": "fewer than two features are left to compare wells by"}
    values = wells[list(features)].to_numpy(np.float64)
    table, null = _correlations(values, groups)
    table["null_correlation_95"] = null
    precision, against = _precision(values, groups, controls)
    table = table.join(precision).assign(compared_with=against).sort_index()
    return table, _told(table)


def _told(table: pd.DataFrame) -> dict[str, Any]:
    above = table["median_replicate_correlation"] > table["null_correlation_95"]
    precision = table["mean_average_precision"]
    return {
        "replicated_treatments": len(table),
        "percent_replicating": round(100.0 * float(above.mean()), 1),
        "mean_average_precision": None if precision.isna().all() else round(float(precision.mean()), 4),
        "precision_compared_with": str(table["compared_with"].iloc[0]),
    }


def _correlations(values: NDArray[np.float64], groups: pd.Series[Any]) -> tuple[pd.DataFrame, float]:
    import pandas as pd

    between: NDArray[np.float64] = np.asarray(np.corrcoef(values), np.float64)
    one, two = np.triu_indices(len(values), 1)
    named = groups.to_numpy(object)
    both = groups.notna().to_numpy()[one] & groups.notna().to_numpy()[two]
    same = (named[one] == named[two]) & both
    pairs = pd.Series(between[one, two][same]).groupby(named[one][same]).median()
    other = between[one, two][both & ~same]
    other = other[np.isfinite(other)]
    null = float(np.percentile(other, 95)) if len(other) else float("nan")
    return pairs.rename("median_replicate_correlation").rename_axis(_GROUP).to_frame(), null


def _precision(values: NDArray[np.float64], groups: pd.Series[Any], controls: pd.Series[bool]) -> tuple[pd.DataFrame, str | None]:
    """Return copairs' precision by group; empty where there is nothing to compare replicates with.

    copairs keeps random rankings in the home folder, made with a seed that depends on what else was asked: a folder of its own for each
    call gives the same numbers each time.
    """
    import pandas as pd
    from copairs.map import average_precision, mean_average_precision
    from copairs.matching import UnpairedException

    marked = (controls & groups.notna()).to_numpy()
    meta = pd.DataFrame({_GROUP: groups.to_numpy(object), _REFERENCE: np.where(marked, np.arange(len(groups)), -1)})
    known = groups.notna().to_numpy()
    apart = [_GROUP, _REFERENCE] if marked.any() else [_GROUP]
    try:
        scores = average_precision(
            meta[known].reset_index(drop=True), values[known], apart, [], [], apart, batch_size=20_000, progress_bar=False
        )
    except UnpairedException:
        return pd.DataFrame(columns=["mean_average_precision", "p_value", "corrected_p_value"], dtype="float64"), None
    with tempfile.TemporaryDirectory() as cache:
        found = mean_average_precision(scores, [_GROUP], NULL_SIZE, 0.05, SEED, progress_bar=False, cache_dir=cache)
    columns = ["mean_average_precision", "p_value", "corrected_p_value"]
    return found.set_index(_GROUP)[columns].astype("float64"), "negative controls" if marked.any() else "other treatments"
