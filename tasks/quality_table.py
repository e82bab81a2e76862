"""Tables of a plate in the few columns that people read in the Prefect UI."""

from __future__ import annotations

from pathlib import Path
from typing import Any

MOST = 400  # rows: an artifact is to be small; the whole table stands in the artifact's folder


def rows(path: Path) -> list[dict[str, Any]]:
    """Quality by field, the flagged ones first, numbers rounded; at most 400 rows."""
    import pyarrow.parquet as pq

    table = sorted(pq.read_table(path).to_pylist(), key=lambda row: (not row["flagged"], row["Metadata_Well"], row["Metadata_Site"]))
    return [_shown(row) for row in table[:MOST]]


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    named = {"well": row["Metadata_Well"], "field": row["Metadata_Site"], "flags": ", ".join(row["flags"] or [])}
    measures = {key.removeprefix("ImageQuality_"): _short(value) for key, value in row.items() if key.startswith("ImageQuality_")}
    return named | measures


def _short(value: Any) -> Any:
    return float(f"{value:.3g}") if isinstance(value, float) else value


def replicates(path: Path) -> list[dict[str, Any]]:
    """How alike the wells of each treatment are, the most alike first, numbers rounded; at most 400 rows."""
    import pyarrow.parquet as pq

    table = sorted(pq.ParquetFile(path).read().to_pylist(), key=lambda row: -(row["median_replicate_correlation"] or -1.0))
    return [{key.removeprefix("Metadata_").replace("_", " "): _short(value) for key, value in row.items()} for row in table[:MOST]]


def wells(path: Path) -> dict[str, dict[str, float]]:
    """Values by well, for heat maps: the number of nuclei a field, and the mean intensity of each channel."""
    import pyarrow.parquet as pq

    table = pq.read_table(path).to_pylist()
    names = {"nuclei per field": "Metadata_Count_NucleiPerField"}
    names |= {
        f"intensity {key.rpartition('_')[2]}": key
        for key in (table[0] if table else {})
        if key.startswith("Nuclei_Intensity_MeanIntensity_")
    }
    return {name: {row["Metadata_Well"]: row[column] for row in table if row[column] is not None} for name, column in names.items()}
