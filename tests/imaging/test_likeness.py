"""The picture of how alike wells are."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from coldchain.imaging.aggregate import write
from coldchain.imaging.likeness import likeness
from tests.imaging.test_bulk import PLATE_OF_FOUR, wells_of


def test_wells_of_one_treatment_stand_together_and_are_red(tmp_path: Path) -> None:
    """Wells treated alike make red squares on the diagonal, whatever the order of the wells, and the same picture comes each time."""
    wells = wells_of(["b", "a"] * 6, features=40, control=None)
    write(wells, tmp_path / "wells.parquet")
    first, second = (likeness(tmp_path / "wells.parquet", "a\n$plate") for _ in range(2))
    assert first is not None
    assert first == second
    picture = np.asarray(Image.open(BytesIO(first)).convert("RGB")).astype(int)
    red = picture[..., 0] - picture[..., 2] > 60
    rows, columns = np.nonzero(red[:, : picture.shape[1] * 7 // 10])
    low, high = rows < np.median(rows), columns < np.median(columns)
    assert (low == high).mean() > 0.8, "red lies on the diagonal only: wells of one treatment stand side by side"


def test_two_wells_tell_nothing(tmp_path: Path) -> None:
    """Too few wells or features give no picture, and a plate without a map gives one."""
    write(wells_of(["a", "b"], control=None), tmp_path / "few.parquet")
    assert likeness(tmp_path / "few.parquet", "few") is None
    write(wells_of(PLATE_OF_FOUR, features=2), tmp_path / "short.parquet")
    assert likeness(tmp_path / "short.parquet", "short") is None
    write(wells_of([None] * 5, control=None), tmp_path / "plain.parquet")
    assert likeness(tmp_path / "plain.parquet", "plain") is not None
