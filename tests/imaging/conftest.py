"""A small plate with known truth, written once for all tests that read it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from coldchain.imaging.platezarr import PLATE, create_plate, write_field, write_labels
from coldchain.imaging.synthesis import plate
from coldchain.testing.cheap_models import install as cheap_models_of

WELLS, FIELDS, CHANNELS = ["A01", "A02", "B01", "B02"], [1, 2], ["DNA", "Marker"]
EMPTY = ("B02", 2)  # this field holds no nucleus


class KnownPlate(NamedTuple):
    """Folders of a corrected plate and of masks that are its truth; `images` (c, y, x) and `truth` (y, x) by well and field."""

    corrected: str
    masks: str
    images: dict[tuple[str, int], NDArray[np.uint16]]
    truth: dict[tuple[str, int], NDArray[np.int32]]


@pytest.fixture(scope="session")
def known_plate(tmp_path_factory: pytest.TempPathFactory) -> KnownPlate:
    """Four wells of two fields of 160 x 160 pixels in two channels; the last field is empty."""
    root = tmp_path_factory.mktemp("known")
    known = KnownPlate(str(root / "corrected"), str(root / "masks"), {}, {})
    for folder, channels in ((known.corrected, CHANNELS), (known.masks, CHANNELS[:1])):
        Path(folder).mkdir()
        create_plate(Path(folder) / PLATE, name="synthetic-1", wells=WELLS, fields=FIELDS, channels=channels, pixel_size_um=0.65)
    for made in plate(7, rows=2, columns=2, fields=2, shape=(160, 160)):
        place = made.well, made.field
        images = np.stack([made.channels[name] for name in CHANNELS])
        known.images[place] = np.full_like(images, 100) if place == EMPTY else images
        known.truth[place] = np.zeros_like(made.truth) if place == EMPTY else made.truth
        _write(known, *place)
    return known


def _write(known: KnownPlate, well: str, field: int) -> None:
    images, truth = known.images[well, field], known.truth[well, field]
    for folder, count in ((known.corrected, 2), (known.masks, 1)):
        write_field(
            Path(folder) / PLATE,
            well,
            field,
            list(enumerate(images[:count])),
            channels=CHANNELS[:count],
            dtype=images.dtype,
            shape=(160, 160),
            pixel_size_um=0.65,
        )
    write_labels(Path(known.masks) / PLATE, well, field, "nuclei", truth, pixel_size_um=0.65)


@pytest.fixture
def cheap_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Models that cost nothing, registered for this process."""
    environment = cheap_models_of(tmp_path / "cheap")
    monkeypatch.syspath_prepend(environment["PYTHONPATH"])
    monkeypatch.setenv("COLDCHAIN_MODELS", environment["COLDCHAIN_MODELS"])
