"""Bulk profiles that can be compared: in units of the controls' spread, of few features, and one a treatment."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from coldchain import controls
from coldchain.imaging import partitions, tables
from coldchain.imaging.aggregate import COUNTS, NUCLEI, PLATE, WELL, WELLS_COUNT, features_of, pycytominer, write
from coldchain.imaging.replicates import reproducibility

if TYPE_CHECKING:
    import pandas as pd

REPEATS = ("replicate", "batch", "comment")  # keys that tell wells of one treatment apart
_REFERENCE = "Metadata__reference"  # no key of a plate map begins with `_`
FEWEST = 3  # wells that a median and a spread are taken of
CORRELATED = 0.9  # of two features above it one is dropped
EXTREME = 500.0  # robust z beyond which a feature is dropped: its controls hardly spread


def compare_wells(wells_parquet: str, folder: str, plate: str) -> dict[str, Any]:
    """Write the tables that follow from the wells of a plate, and return what was done and what was left out, with the reason.

    Wells with nuclei are normalised by `pycytominer.normalize` (robust z: minus the median, over 1.4826 times the median absolute
    deviation) against the wells that the plate map names as negative controls, or against all where it names fewer than 3. Features
    are then kept by the rules of `pycytominer.feature_select`: those without missing values, that vary, are not on its blocklist, not
    beyond 500, and of each pair correlated above 0.9 one. A treatment is what all keys of the plate map say but those of controls and
    repeats; its profile is the median of its wells (`pycytominer.consensus`).

    Args:
        wells_parquet: table of `aggregate.bulk_profiles`.
        folder: of the artifact; tables go where `partitions.place` says.
        plate: the plate's name.

    Returns:
        Plain values: normalized_against, features, features_selected, treatments, left_out (table: reason), and what
        `replicates.reproducibility` found. The same wells give the same bytes.
    """
    wells = tables.read(wells_parquet).to_pandas()
    used = wells[wells[NUCLEI] > 0].reset_index(drop=True)
    found: dict[str, Any] = {"left_out": {}, "features": len(features_of(wells))}
    with _quietly():
        for table, made in _steps(used, found):
            write(made, partitions.place(folder, table, plate))
    return found


def _steps(used: pd.DataFrame, found: dict[str, Any]) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield each table by its name, and tell `found` how it was made, or why it and what follows from it is left out."""
    left_out = found["left_out"]
    if len(used) < FEWEST:
        left_out[partitions.NORMALIZED] = f"{len(used)} wells with nuclei: a spread needs {FEWEST}"
        return
    normalized, found["normalized_against"] = _normalized(used)
    yield partitions.NORMALIZED, normalized
    selected = _selected(normalized)
    found["features_selected"] = len(features_of(selected))
    if not found["features_selected"]:
        left_out[partitions.SELECTED] = "no feature is complete, varies and stays within bounds"
        return
    yield partitions.SELECTED, selected
    if not (keys := treatment_keys(selected)):
        left_out[partitions.TREATMENTS] = "no plate map says what the wells were treated with"
        return
    groups = treatments_of(selected, keys)
    yield partitions.TREATMENTS, _consensus(selected, groups, keys)
    repeated, told = reproducibility(selected, features_of(selected), groups, controls_of(selected))
    if repeated is None:
        left_out[partitions.REPRODUCIBILITY] = told["why"]
        return
    found |= told
    yield partitions.REPRODUCIBILITY, _described(selected, groups, keys, repeated)


def _map_columns(wells: pd.DataFrame) -> dict[str, str]:
    """Return the columns of the plate map by their key, in lower case."""
    own = {PLATE, WELL, *COUNTS}
    return {name.removeprefix("Metadata_").lower(): name for name in wells.columns if name.startswith("Metadata_") and name not in own}


def controls_of(wells: pd.DataFrame) -> pd.Series[bool]:
    """Mark the wells that the plate map names as negative controls, by `controls.kind_of`: `control_type` or `control` says `neg…`."""
    import pandas as pd

    columns = _map_columns(wells)
    said = {key: wells[columns[key]] for key in controls.KEYS if key in columns}
    given = [{key: values.iloc[n] for key, values in said.items() if pd.notna(values.iloc[n])} for n in range(len(wells))]
    return pd.Series([controls.kind_of(each) == controls.NEGATIVE for each in given], index=wells.index, dtype=bool)


def treatment_keys(wells: pd.DataFrame) -> list[str]:
    """Return the columns that say what a well was treated with."""
    return [name for key, name in _map_columns(wells).items() if key not in (*controls.KEYS, *REPEATS)]


def treatments_of(wells: pd.DataFrame, keys: Sequence[str]) -> pd.Series[Any]:
    """Return a text for each well that names its treatment; missing where the plate map says nothing of it."""
    said = wells[list(keys)]
    text = said.astype("string").fillna("").agg("\x1f".join, axis=1)
    return text.where(said.notna().any(axis=1))


def _normalized(used: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    negative = controls_of(used)
    against = negative.sum() >= FEWEST
    names = features_of(used)
    given = used.assign(**{_REFERENCE: negative if against else True})
    made = (
        pycytominer()
        .normalize(
            given,
            features=names,
            meta_features=[name for name in given.columns if name not in names],
            samples=f"{_REFERENCE} == True",
            method="mad_robustize",
            mad_robustize_epsilon=0,
        )
        .drop(columns=_REFERENCE)
    )
    made[names] = made[names].astype("float64").where(np.isfinite(made[names].astype("float64")))
    if against:
        return made, f"{negative.sum()} negative controls"
    some = f"the plate map names {negative.sum()} negative controls" if negative.any() else "no negative controls are named"
    return made, f"all {len(used)} wells: {some}"


def _selected(normalized: pd.DataFrame) -> pd.DataFrame:
    """Drop one kind of feature after the other; pycytominer stops with an error where a step has none left to look at."""
    features = set(features_of(normalized))
    meta = [name for name in normalized.columns if name not in features]
    kept = normalized
    for step in ("drop_na_columns", "variance_threshold", "blocklist", "drop_outliers"):
        if not (names := features_of(kept)):
            return kept[meta]
        kept = pycytominer().feature_select(kept, features=names, operation=step, na_cutoff=0.0, outlier_cutoff=EXTREME)
    names = features_of(kept)
    return kept[[*meta, *(name for name, alone in zip(names, uncorrelated(kept[names].to_numpy(np.float64)), strict=True) if alone)]]


def uncorrelated(values: NDArray[np.float64], threshold: float = CORRELATED) -> NDArray[np.bool_]:
    """Tell which features (columns) are kept, where of two correlated above a threshold the one goes that is more like all others.

    The rule of `pycytominer.operations.correlation_threshold`, which asks pandas about each pair: a minute for two thousand features.
    """
    if values.shape[1] < 2:
        return np.ones(values.shape[1], bool)
    between = np.asarray(np.corrcoef(values.T))
    rank = np.empty(len(between), np.int64)
    rank[np.argsort(np.abs(between).sum(axis=0), kind="stable")] = np.arange(len(between))
    return np.asarray(~((between > threshold) & (rank[None, :] < rank[:, None])).any(axis=1))


def _consensus(selected: pd.DataFrame, groups: pd.Series[Any], keys: Sequence[str]) -> pd.DataFrame:
    names = features_of(selected)
    given = selected.assign(Metadata_group=groups)[groups.notna()]
    made = pycytominer().consensus(given, replicate_columns=["Metadata_group"], operation="median", features=names)
    made = made.sort_values("Metadata_group", ignore_index=True)
    return _described(selected, groups, keys, made.set_index("Metadata_group")[names])


def _described(selected: pd.DataFrame, groups: pd.Series[Any], keys: Sequence[str], values: pd.DataFrame) -> pd.DataFrame:
    """Return values by treatment with the plate, what the plate map says, and the number of wells in front."""
    about = selected[[PLATE, *keys]].groupby(groups).first()
    about[WELLS_COUNT] = groups.groupby(groups).size()
    return about.loc[values.index].join(values).reset_index(drop=True)


@contextmanager
def _quietly() -> Iterator[None]:
    """Pycytominer and what it stands on warn of spreads that are zero, which are dealt with here."""
    with warnings.catch_warnings(), np.errstate(divide="ignore", invalid="ignore"):
        warnings.simplefilter("ignore")
        yield
