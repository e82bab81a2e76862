"""From a standard plate to a corrected one: measure every field, flag the bad, estimate the light, take it out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from coldchain.errors import ConfigurationError, InputError
from coldchain.imaging.convert import refuse_used
from coldchain.imaging.fieldzarr import FieldWriter, read_frame, translated
from coldchain.imaging.illumination import Function, Illumination, IlluminationRules, apply, estimate, shrink
from coldchain.imaging.platezarr import PLATE, FieldRef, PlateInfo, create_plate, iter_fields, plate_info, read_plane
from coldchain.imaging.quality import PREFIX, QualityRules, flag_fields, measure_plane

QUALITY = "quality.parquet"

Progress = Callable[[int, int], None]
Rules = TypeVar("Rules", QualityRules, IlluminationRules)


def correct_plate(
    source: str,
    target: str,
    *,
    quality: Mapping[str, float] | None = None,
    illumination: Mapping[str, float] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Correct the plate in the folder `source` into the new folder `target`, and never twice.

    `target` then holds ``plate.ome.zarr``, ``quality.parquet`` (a row a field: measures, flags and the rules that raised them) and
    ``illumination-<n>.npy`` for channel n from 1 (float32, y, x, mean 1). `quality` and `illumination` change single limits of
    QualityRules and IlluminationRules. Flagged fields are kept, and do not count in the estimate. `progress` is told (steps done, steps in
    all), two steps a field. Raises InputError for a source that is corrected already or a target in use.
    """
    plate, out = Path(source) / PLATE, Path(target)
    info = _uncorrected(plate)
    refuse_used(out)
    steps = _Steps(progress, 2 * len(info.wells) * len(info.fields))
    rows, pictures = _survey(plate, info, steps)
    table = flag_fields(rows, _rules(QualityRules, quality))
    light = _rules(IlluminationRules, illumination)
    found = _estimate_all(plate, info, table, pictures, light)
    with translated(out):
        out.mkdir(parents=True, exist_ok=True)
        _write_plate(plate, out / PLATE, info, found, light.camera_offset, steps)
        _write_functions(out, found)
        _write_table(out / QUALITY, table)
    return _summary(info, table, found)


def _uncorrected(plate: Path) -> PlateInfo:
    info = plate_info(plate)
    if info.notes.get("corrected"):
        raise InputError("A plate is corrected once", on=plate, expected="a standard plate", got="a corrected one")
    return info


def _rules(kind: type[Rules], changed: Mapping[str, float] | None) -> Rules:
    try:
        return kind(**(changed or {}))  # type: ignore[arg-type]  # whole numbers and fractions both come as numbers
    except TypeError as exc:
        known = ", ".join(kind.__dataclass_fields__)
        raise ConfigurationError("An unknown limit", on=kind.__name__, expected=known, got=sorted(changed or {})) from exc


class _Steps:
    """Counts steps, and tells who wants to know."""

    def __init__(self, told: Progress | None, total: int) -> None:
        self._told, self._total, self._done = told, total, 0

    def step(self) -> None:
        self._done += 1
        if self._told:
            self._told(self._done, self._total)


def _survey(plate: Path, info: PlateInfo, steps: _Steps) -> tuple[list[dict[str, Any]], list[list[Function]]]:
    """Measure every field; of a stack, its middle plane. Returns a row a field, and a small picture a channel of each."""
    rows, pictures = [], []
    for ref in iter_fields(plate):
        middle = read_frame(ref.path, info.pixel_size_um).z_count // 2
        measured, small = [], []
        for channel in range(len(info.channels)):
            plane = read_plane(plate, ref.well, ref.field, channel, z=middle)
            measured.append(measure_plane(plane))
            small.append(shrink(plane))
        rows.append(_row(info, ref, measured))
        pictures.append(small)
        steps.step()
    return rows, pictures


def _row(info: PlateInfo, ref: FieldRef, measured: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    row: dict[str, Any] = {"Metadata_Plate": info.name, "Metadata_Well": ref.well, "Metadata_Site": ref.field}
    for channel, measures in zip(info.channels, measured, strict=True):
        row.update({f"{PREFIX}{name}_{channel}": value for name, value in measures.items()})
    return row


def _estimate_all(
    plate: Path, info: PlateInfo, table: Sequence[Mapping[str, Any]], pictures: Sequence[Sequence[Function]], rules: IlluminationRules
) -> list[Illumination]:
    shape = read_frame(next(iter_fields(plate)).path, info.pixel_size_um).shape
    good = [seen for seen, row in zip(pictures, table, strict=True) if not row["flagged"]]
    return [estimate([seen[channel] for seen in good], shape, rules) for channel in range(len(info.channels))]


def _write_plate(plate: Path, target: Path, info: PlateInfo, found: Sequence[Illumination], offset: float, steps: _Steps) -> None:
    create_plate(
        target,
        name=info.name,
        wells=info.wells,
        fields=info.fields,
        channels=info.channels,
        pixel_size_um=info.pixel_size_um,
        notes={"native": info.notes.get("native"), "corrected": True, "illumination": _describe(info, found)},
    )
    for old, new in zip(iter_fields(plate), iter_fields(target), strict=True):
        frame = read_frame(old.path, info.pixel_size_um)
        with FieldWriter(new.path, info.channels, frame) as writer:
            for channel, z in _planes(len(found), frame.z_count):
                plane = read_plane(plate, old.well, old.field, channel, z=z)
                writer.write(plane if found[channel].flat else apply(plane, found[channel].function, offset), channel, z)
        steps.step()


def _planes(channels: int, depth: int) -> Iterator[tuple[int, int]]:
    return ((channel, z) for channel in range(channels) for z in range(depth))


def _describe(info: PlateInfo, found: Sequence[Illumination]) -> dict[str, dict[str, Any]]:
    return {
        name: {"fields": light.fields, "method": light.method, "file": _function_name(index)}
        for index, (name, light) in enumerate(zip(info.channels, found, strict=True))
    }


def _function_name(index: int) -> str:
    return f"illumination-{index + 1}.npy"


def _write_functions(out: Path, found: Sequence[Illumination]) -> None:
    for index, light in enumerate(found):
        np.save(out / _function_name(index), light.function, allow_pickle=False)


def _write_table(path: Path, table: Sequence[Mapping[str, Any]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {"flags": pa.list_(pa.string()), "flagged": pa.bool_(), "Metadata_Site": pa.int64()}
    schema = pa.schema([(name, kinds.get(name, pa.float64() if name.startswith(PREFIX) else pa.string())) for name in table[0]])
    pq.write_table(pa.Table.from_pylist(list(table), schema=schema), path, compression="zstd")


def _summary(info: PlateInfo, table: Sequence[Mapping[str, Any]], found: Sequence[Illumination]) -> dict[str, Any]:
    return {
        "plate": info.name,
        "wells": list(info.wells),
        "fields": list(info.fields),
        "channels": list(info.channels),
        "images": len(table),
        "flagged": [
            {"well": row["Metadata_Well"], "field": row["Metadata_Site"], "flags": list(row["flags"])} for row in table if row["flagged"]
        ],
        "illumination": _describe(info, found),
    }
