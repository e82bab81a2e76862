"""What the kernels of the pipeline write is known, so that a run that comes back believes what they finished."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coldchain.finished import Finished, written
from coldchain.imaging import crops, measure, segment
from coldchain.testing.faults import flip_bit
from tests.imaging.conftest import KnownPlate

Prepare = Callable[[KnownPlate, Path], list[dict[str, Any]]]


@pytest.mark.parametrize(
    ("prepare", "kernel", "suffixes"),
    [
        (lambda plate, to: segment.prepare_masks(plate.corrected, str(to), channel="DNA"), segment.segment_field, {".json", ""}),
        (lambda plate, to: measure.prepare_measure(plate.corrected, plate.masks, str(to)), measure.measure_field, {".parquet"}),
        (lambda plate, to: crops.prepare_crops(plate.corrected, plate.masks, str(to)), crops.crop_field, {".npy", ".parquet"}),
    ],
    ids=["segment", "measure", "crop"],
)
def test_a_kernels_files_are_known_and_no_other_items(
    known_plate: KnownPlate, tmp_path: Path, prepare: Prepare, kernel: Callable[[dict[str, Any]], dict[str, Any]], suffixes: set[str]
) -> None:
    """Each of two items has files of its own; a result is plain; harm to one item's file leaves the other finished."""
    target = tmp_path / "staging" / "abc"
    target.mkdir(parents=True)
    items = prepare(known_plate, target)[:2]
    results = [kernel(item) for item in items]
    files = [written(item, result) for item, result in zip(items, results, strict=True)]
    paths = [{path for path, _, _ in found or []} for found in files]
    assert {Path(path).suffix for path in paths[0]} >= suffixes
    assert not paths[0] & paths[1]
    answers = [{"result": result, "files": found, "job": ""} for result, found in zip(results, files, strict=True)]
    Finished(target).add("kernel", zip(items, answers, strict=True))
    assert Finished(target).results("kernel", prepare(known_plate, target)[:2]) == dict(enumerate(results))
    flip_bit(Path(min(paths[0])))
    assert list(Finished(target).results("kernel", items)) == [1]
