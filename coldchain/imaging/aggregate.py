"""Bulk profiles: one row a well, the median of its nuclei, with how many there were and what the well was treated with."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

from coldchain.errors import InputError, LayoutError
from coldchain.imaging import tables
from coldchain.imaging.measure import field_flags
from coldchain.imaging.tables import FLAGGED

if TYPE_CHECKING:
    import pandas as pd

PLATE, WELL, SITE = tables.IDENTITY[:3]
NUCLEI = "Metadata_Count_Nuclei"  # that the profile is made of
NUCLEI_FLAGGED = "Metadata_Count_NucleiFlagged"  # in fields that quality control flagged
FIELDS = "Metadata_Count_Fields"  # that the profile is made of
FIELDS_FLAGGED = "Metadata_Count_FieldsFlagged"
PER_FIELD = "Metadata_Count_NucleiPerField"  # comparable between wells that lost fields to quality control
COUNTS = (NUCLEI, NUCLEI_FLAGGED, FIELDS, FIELDS_FLAGGED, PER_FIELD)
WELLS_COUNT = "Metadata_Count_Wells"  # that a treatment is made of
EMBEDDING = "Embedding_"
FEATURES = ("Nuclei_", "Cells_", "Cytoplasm_", EMBEDDING)
_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")


def bulk_profiles(
    cells_parquet: str,
    target: str,
    *,
    plate_map: Mapping[str, Mapping[str, Any]] | None = None,
    wells: Sequence[str] | None = None,
    quality: str | None = None,
    exclude_flagged: bool = True,
    embeddings: str | None = None,
    plate: str | None = None,
) -> dict[str, Any]:
    """Write one Parquet row a well: the median of each feature over its nuclei, by `pycytominer.aggregate`.

    Args:
        cells_parquet: table of `measure.join_tables`.
        target: the Parquet file to write.
        plate_map: what each well holds, e.g. ``{"A01": {"treatment": "DMSO", "dose": 0.0}}``; keys become `Metadata_<key>`. Wells
            that it does not name stay, without these values.
        wells: all wells of the plate; those without a nucleus are kept with a count of 0.
        quality: quality table of the plate; gives the number of fields, and the wells where `wells` is not given. Without it a field
            counts only where it has a nucleus.
        embeddings: table of `embed.join_vectors` of the same nuclei; their medians stand beside the others.
        plate: the plate's name; needed where no nucleus says it.
        exclude_flagged: leave flagged fields out of the medians and of the count; they are counted in columns of their own.

    Returns:
        Plain values: table, wells, nuclei, nuclei_flagged, and the lists empty_wells and unannotated_wells.

    Raises:
        InputError: a plate map whose wells or keys cannot be used.
        LayoutError: a table that lacks columns, or has wells that are not of the plate.
        IntegrityError: a table that cannot be read.
    """
    cells = _cells(cells_parquet) if embeddings is None else _joined(_cells(cells_parquet), _cells(embeddings), embeddings)
    fields = _fields(cells, quality)
    plate_wells = _wells(cells, fields, wells)
    _refuse_bad_map(plate_map or {}, plate_wells)
    counts = _counts(cells, fields, plate_wells, exclude_flagged=exclude_flagged)
    counts.insert(0, PLATE, plate or _plate_name(cells))
    used = cells[~cells[FLAGGED]] if exclude_flagged else cells
    bulk = _annotated(_medians(used, counts), plate_map or {})
    write(bulk, target)
    return {
        "table": str(target),
        "wells": len(bulk),
        "nuclei": int(bulk[NUCLEI].sum()),
        "nuclei_flagged": int(bulk[NUCLEI_FLAGGED].sum()),
        "empty_wells": [str(well) for well in bulk.loc[bulk[NUCLEI] == 0, WELL]],
        "unannotated_wells": [well for well in plate_wells if plate_map and well not in plate_map],
    }


def _cells(path: str) -> pd.DataFrame:
    table = tables.read(path)
    if missing := [name for name in (*tables.IDENTITY, FLAGGED) if name not in table.column_names]:
        raise LayoutError("A table of nuclei lacks columns", on=path, expected=missing, got=table.column_names)
    return table.to_pandas()


def _joined(cells: pd.DataFrame, vectors: pd.DataFrame, path: str) -> pd.DataFrame:
    """Return the nuclei with the vectors of their images. Raises LayoutError where the two tables are not of the same nuclei."""
    identity = list(tables.IDENTITY)
    if not cells[identity].equals(vectors[identity]):
        raise LayoutError("Embeddings are of other nuclei than the measurements", on=path, expected=f"{len(cells)} nuclei, in their order")
    return cells.join(vectors[[name for name in vectors.columns if name.startswith(EMBEDDING)]])


def features_of(table: pd.DataFrame) -> list[str]:
    """Return the columns that describe what was measured; positions in a field say nothing of a well or a treatment and are left out."""
    return [name for name in table.columns if name.startswith(FEATURES) and "_Location_" not in name]


def _fields(cells: pd.DataFrame, quality: str | None) -> pd.DataFrame:
    """Return well, site and flag of each field once: from the quality table, or else of the fields that have a nucleus."""
    import pandas as pd

    if quality is None:
        return cells[[WELL, SITE, FLAGGED]].drop_duplicates([WELL, SITE])
    rows = pd.DataFrame(field_flags(quality), columns=[WELL, SITE, FLAGGED])
    return rows.groupby([WELL, SITE], as_index=False)[FLAGGED].any()


def _wells(cells: pd.DataFrame, fields: pd.DataFrame, wells: Sequence[str] | None) -> list[str]:
    known = sorted(set(wells) if wells is not None else set(fields[WELL]) | set(cells[WELL]), key=lambda well: (len(well), well))
    if strangers := sorted(set(cells[WELL]) - set(known)):
        raise LayoutError("Nuclei lie in wells that are not of the plate", expected=f"wells of {known}", got=strangers)
    return known


def _refuse_bad_map(plate_map: Mapping[str, Mapping[str, Any]], wells: Sequence[str]) -> None:
    taken = {name.removeprefix("Metadata_") for name in (*tables.IDENTITY, *COUNTS, WELLS_COUNT, FLAGGED)} | {"well_position"}
    keys = {str(key) for values in plate_map.values() for key in values}
    if bad := sorted(key for key in keys if not _KEY.fullmatch(key) or key in taken):
        raise InputError(
            "A plate map has keys that cannot be columns", expected="letters, digits and _; not a column that is there", got=bad
        )
    lower = [key.lower() for key in keys]
    if alike := sorted(key for key in keys if lower.count(key.lower()) > 1):
        raise InputError("A plate map has keys that differ in case only", expected="one way to write each", got=alike)
    if plate_map and not set(plate_map) & set(wells):
        raise InputError("A plate map names no well of the plate", expected=f"some of {list(wells)}", got=sorted(map(str, plate_map)))


def _counts(cells: pd.DataFrame, fields: pd.DataFrame, wells: Sequence[str], *, exclude_flagged: bool) -> pd.DataFrame:
    import pandas as pd

    used_cells, used_fields = (t[~t[FLAGGED]] if exclude_flagged else t for t in (cells, fields))
    by_well = {
        NUCLEI: used_cells.groupby(WELL).size(),
        NUCLEI_FLAGGED: cells.groupby(WELL)[FLAGGED].sum(),
        FIELDS: used_fields.groupby(WELL).size(),
        FIELDS_FLAGGED: fields.groupby(WELL)[FLAGGED].sum(),
    }
    counts = pd.DataFrame({name: values.reindex(wells).fillna(0).astype("int64") for name, values in by_well.items()}, index=wells)
    counts[PER_FIELD] = counts[NUCLEI] / counts[FIELDS].where(counts[FIELDS] > 0)
    return counts.rename_axis(WELL).reset_index()


def _plate_name(cells: pd.DataFrame) -> str:
    names = sorted(set(cells[PLATE]))
    if len(names) > 1:
        raise LayoutError("A table of nuclei holds several plates", expected="one", got=names)
    return str(names[0]) if names else ""


def _medians(cells: pd.DataFrame, counts: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each well of `counts`, with the medians of its nuclei."""
    features = features_of(cells)
    medians = pycytominer().aggregate(cells, strata=[PLATE, WELL], features=features, operation="median")
    return counts.merge(medians, on=[PLATE, WELL], how="left")


def pycytominer() -> ModuleType:
    """Import pycytominer, which sets an option at import that pandas 3 has had for good and says so."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*copy_on_write.*")
        import pycytominer
    return cast("ModuleType", pycytominer)


def _annotated(bulk: pd.DataFrame, plate_map: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Return the profiles with the columns of the plate map, by `pycytominer.annotate`, wells that it does not name included."""
    import pandas as pd

    keys = sorted({key for values in plate_map.values() for key in values})
    columns = {key: _values([plate_map.get(well, {}).get(key) for well in bulk[WELL]]) for key in keys}
    described = pd.DataFrame({"well_position": bulk[WELL], **columns})
    together = pycytominer().annotate(bulk, described, join_on=["Metadata_well_position", WELL], clean_cellprofiler=False)
    front = [PLATE, WELL, *(f"Metadata_{key}" for key in keys), *COUNTS]
    return together[front + [name for name in together.columns if name not in front]]


def _values(values: list[Any]) -> pd.Series[Any]:
    """Return a column that Parquet can hold: numbers where all are numbers, text otherwise."""
    import pandas as pd

    given = [value for value in values if value is not None]
    if given and all(isinstance(value, int | float) and not isinstance(value, bool) for value in given):
        return pd.Series(values, dtype="float64")
    return pd.Series([None if value is None else str(value) for value in values], dtype="string")


def write(bulk: pd.DataFrame, target: str | Path) -> None:
    """Write profiles as Parquet, without what pandas would add: the same rows give the same bytes."""
    import pyarrow as pa

    tables.write(pa.Table.from_pandas(bulk, preserve_index=False).replace_schema_metadata(None), Path(target))
