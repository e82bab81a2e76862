"""Pictures for the Prefect UI: readable, small, the same bytes each time."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from coldchain.errors import ImageError, InputError, LayoutError
from coldchain.imaging import pictures
from coldchain.imaging.heatmap import short
from coldchain.imaging.platezarr import FieldRef

BLACK_AND_GREYS = pictures.GREYS


def positions(png: bytes) -> NDArray[np.uint8]:
    """Return the palette positions of a picture."""
    return np.asarray(Image.open(io.BytesIO(png)))


def coloured(png: bytes) -> NDArray[np.bool_]:
    """Return which pixels are coloured."""
    return positions(png) >= BLACK_AND_GREYS


def test_an_overlay_outlines_each_label() -> None:
    """Pixels on the inner edge of a label are coloured, those inside it and those outside are grey."""
    labels = np.zeros((128, 128), np.int32)
    labels[32:96, 32:96] = 1
    image = np.random.default_rng(0).integers(0, 4000, labels.shape).astype(np.uint16)
    edge = coloured(pictures.overlay(image, labels))
    assert edge.shape == (256, 256)
    assert edge[64, 64:192].all()
    assert edge[64:192, 191].all()
    assert edge.sum() == 4 * 127


def test_labels_that_touch_are_told_apart() -> None:
    """Two nuclei that touch have an outline of their own colour on either side of the border."""
    labels = np.repeat(np.repeat([[1, 2]], 128, axis=0), 64, axis=1)
    shown = positions(pictures.overlay(np.zeros((128, 128)), labels))
    assert shown[128, 127] != shown[128, 128]
    assert min(shown[128, 127:129]) >= BLACK_AND_GREYS


@pytest.mark.parametrize("value", [0, 7, 65535])
def test_a_constant_image_is_drawn(value: int) -> None:
    """An image of one grey value is drawn, without a division by zero."""
    assert coloured(pictures.overlay(np.full((64, 80), value, np.uint16), np.zeros((64, 80), np.int32))).sum() == 0


@pytest.mark.parametrize("shape", [(3000, 1000), (1024, 1024), (1, 1), (1, 500)])
def test_an_overlay_of_noise_is_small(shape: tuple[int, int]) -> None:
    """An overlay is below 150 kB whatever the image, also of noise that cannot be compressed."""
    rng = np.random.default_rng(1)
    png = pictures.overlay(rng.integers(0, 65536, shape).astype(np.uint16), rng.integers(0, 50, shape).astype(np.int32))
    assert 0 < len(png) <= pictures.LIMIT


def test_an_overlay_of_two_sizes_is_refused() -> None:
    """An image and labels of different sizes raise ImageError with both."""
    with pytest.raises(ImageError, match=r"\(4, 4\)[\s\S]*\(4, 5\)"):
        pictures.overlay(np.zeros((4, 4)), np.zeros((4, 5), int))


def test_a_sheet_shows_all_fields(known_plate: Any) -> None:
    """A sheet of a plate has outlines in the tile of each field with nuclei, is small, and the same each time."""
    png = pictures.plate_overlay_sheet(known_plate.corrected, known_plate.masks)
    assert png == pictures.plate_overlay_sheet(known_plate.corrected, known_plate.masks)
    assert len(png) <= pictures.LIMIT
    assert coloured(png).sum() > 500


def test_flagged_fields_are_framed(known_plate: Any) -> None:
    """The tile of a field that quality control flagged is framed and named in vermilion."""
    plain, flagged = (positions(pictures.thumbnail_sheet(known_plate.corrected, "Marker", flagged=marked)) for marked in ((), {("B01", 1)}))
    assert not (plain == pictures.FLAG).any()
    assert (flagged == pictures.FLAG).sum() > 100


def test_thumbnails_share_their_contrast(known_plate: Any) -> None:
    """The empty field, at the background's grey value, is drawn dark and not stretched to white."""
    shown = positions(pictures.thumbnail_sheet(known_plate.corrected, "DNA"))
    last = shown[-60:-20, -60:-20]
    assert len(np.unique(last)) == 1


def test_an_unknown_channel_names_those_there_are(known_plate: Any) -> None:
    """A channel that the plate does not have raises InputError naming the ones it has."""
    with pytest.raises(InputError, match="'DNA', 'Marker'"):
        pictures.thumbnail_sheet(known_plate.corrected, "Actin")
    with pytest.raises(InputError, match="'DNA', 'Marker'"):
        pictures.plate_overlay_sheet(known_plate.corrected, known_plate.masks, channel="Actin")


@pytest.mark.parametrize(("wells", "fields", "shown"), [(12, 2, 24), (96, 1, 48), (96, 9, 48), (20, 9, 40), (1, 100, 48)])
def test_a_large_plate_is_sampled(wells: int, fields: int, shown: int) -> None:
    """Of more than 48 fields evenly spread wells are shown, from the first to the last, with their first fields."""
    refs = [FieldRef(f"W{w}", f, Path()) for w in range(wells) for f in range(fields)]
    chosen = pictures.choose_fields(refs, 48)
    assert len(chosen) == shown
    assert (chosen[0].well, chosen[-1].well) == ("W0", f"W{wells - 1}")
    assert chosen == sorted(chosen, key=refs.index)


def test_a_heat_map_is_cut_to_the_wells_in_use() -> None:
    """A plate that uses a corner is drawn small, a whole 384-well plate large; both are pictures below 150 kB, the same each time."""
    corner = {f"{row}{column:02d}": float(column) for row in "BC" for column in (2, 3, 4)}
    whole = {f"{chr(65 + row)}{column:02d}": row * column * 0.5 for row in range(16) for column in range(1, 25)}
    small, large = (pictures.plate_heatmap(values, "nuclei", unit="count") for values in (corner, whole))
    assert small == pictures.plate_heatmap(dict(reversed(corner.items())), "nuclei", unit="count")
    widths = [Image.open(io.BytesIO(png)).width for png in (small, large)]
    assert widths[0] < widths[1]
    assert max(len(small), len(large)) <= pictures.LIMIT


@pytest.mark.parametrize("values", [{"A01": None, "B02": float("nan")}, {"A01": 3.0}, {"A01": 0.0, "A02": 0.0}, {"AF48": float("inf")}])
def test_wells_without_a_value_are_drawn(values: dict[str, float | None]) -> None:
    """Wells without a value, equal values and the last well of a 1536-well plate are drawn without a warning."""
    assert pictures.plate_heatmap(values, "a $title with\na formula$ and a line").startswith(b"\x89PNG")


@pytest.mark.parametrize("well", ["A1x", "", "A00", "A49", "AG01", "01A", "A01\n"])
def test_what_is_no_well_is_refused(well: str) -> None:
    """A name that is not a well raises LayoutError naming it."""
    with pytest.raises(LayoutError, match="Not the name of a well"):
        pictures.plate_heatmap({"A01": 1.0, well: 1.0}, "nuclei")


def test_a_heat_map_of_nothing_is_refused() -> None:
    """No well at all raises InputError."""
    with pytest.raises(InputError, match="needs wells"):
        pictures.plate_heatmap({}, "nuclei")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (52.0, "52"), (3.14159, "3.14"), (153.7, "154"), (12_345.0, "12k"), (0.00001, "1e-05"), (2.5e7, "2e+07"), (-4.5, "-4.5")],
)
def test_values_fit_their_wells(value: float, text: str) -> None:
    """A value is written in at most about five characters."""
    assert short(value) == text


def test_a_data_address_holds_the_picture() -> None:
    """A data address gives back the bytes of the picture."""
    head, body = pictures.data_uri(b"\x89PNG...").split(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(body) == b"\x89PNG..."
