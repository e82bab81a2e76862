"""Segmentation of a collection of images: confocal sessions and series, which are no plate."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import yaozarrs

from coldchain.errors import InputError
from coldchain.imaging.convert_files import convert_files
from coldchain.imaging.imagezarr import IMAGES, image_overlay_sheet, image_sheet, images_of
from coldchain.imaging.labelzarr import read_label_plane
from coldchain.imaging.masks import lay_out
from coldchain.imaging.models import load
from coldchain.imaging.segment import findings, merge_image, merges, prepare_masks, segment_images, segment_item
from coldchain.imaging.synthesis import nuclei_field
from coldchain.imaging.synthetic_nuclei import Conditions
from coldchain.imaging.views import View, axis_sizes
from coldchain.testing import microscopes
from coldchain.testing.cheap_models import PLANES

LABELS = Path("labels") / "nuclei"


def nuclei(seed: int, shape: tuple[int, int]) -> np.ndarray[Any, Any]:
    """A plane of nuclei that no other seed makes."""
    return nuclei_field(np.random.default_rng(seed), shape, count=12, conditions=Conditions()).image.astype(np.uint16)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection of two: a stack of three planes in two channels, the nuclei in the second; and a series of two moments."""
    root = tmp_path_factory.mktemp("session")
    (root / "raw").mkdir()
    stack = np.zeros((1, 2, 3, 160, 160), np.uint16)
    stack[0, 1, 1] = nuclei(1, (160, 160))
    series = np.stack([nuclei(seed, (128, 160)) for seed in (2, 3)])[:, None, None]
    microscopes.write_czi(root / "raw" / "a stack.czi", [stack], channels=["GFP", "DAPI"])
    microscopes.write_czi(root / "raw" / "series.czi", [series], channels=["DAPI"])
    convert_files(str(root / "raw"), str(root / "standard"), name="S-1")
    return root / "standard"


@pytest.fixture(scope="module")
def segmented(session: Path) -> tuple[Path, list[Any], list[Any], list[Any]]:
    """Masks of the session, with the items and results that made them."""
    masks = session.with_name("masks")
    items = prepare_masks(str(session), str(masks), channel="DAPI")
    results = [segment_item(item) for item in items]
    return masks, items, results, [merge_image(item) for item in merges(items)]


def test_each_image_has_its_labels(session: Path, segmented: Any) -> None:
    """The middle plane of a stack, and each moment of a series by itself, as the model sees them; all of it is valid NGFF."""
    masks, items, *_ = segmented
    assert [(item["image"], item.get("t")) for item in items] == [(f"{IMAGES}/0", None), (f"{IMAGES}/1", 0), (f"{IMAGES}/1", 1)]
    model = load("nuclei-small")
    stack, series = images_of(session / IMAGES)
    (expected,) = segment_images([View(stack.path, 1).read()], model)
    assert expected.max() > 3
    assert np.array_equal(read_label_plane(masks / IMAGES / "0" / LABELS), expected)
    for t in range(2):
        (expected,) = segment_images([View(series.path, 0, t).read()], model)
        found = read_label_plane(masks / IMAGES / "1" / LABELS, lead=(t,))
        assert np.array_equal(found > 0, expected > 0)
        assert np.array_equal(np.unique(found), np.unique(expected))
    for path in (masks / IMAGES, masks / IMAGES / "0", masks / IMAGES / "1", masks / IMAGES / "0" / LABELS, masks / IMAGES / "1" / LABELS):
        yaozarrs.validate_zarr_store(str(path))


def test_a_small_picture_stands_beside_the_labels(segmented: Any) -> None:
    """Of each image the segmented channel, small, as an image of the collection with the name that it had."""
    stack, series = images_of(segmented[0] / IMAGES)
    assert (stack.channels, stack.shape[:3], series.shape[:3]) == (("DAPI",), (1, 1, 1), (2, 1, 1))
    assert "a stack" in stack.name
    assert image_sheet(str(segmented[0]))[:4] == b"\x89PNG"


def test_findings_list_each_image_by_its_name(segmented: Any) -> None:
    """Objects of a series are those of all its moments together."""
    _, items, results, merged = segmented
    found = findings(items, results, merged)
    counts = [results[0]["objects"], results[1]["objects"] + results[2]["objects"]]
    assert [each["objects"] for each in found["images"]] == counts
    assert [each["name"] for each in found["images"]] == [items[0]["name"], items[1]["name"]]
    assert found["objects"] == sum(counts)


def test_each_image_has_its_tiff(segmented: Any) -> None:
    """A TIFF for each image, with all moments of a series."""
    files = sorted((segmented[0] / "tiff").iterdir())
    assert [file.name[:5] for file in files] == ["0001_", "0002_"]
    assert [tifffile.imread(file).shape for file in files] == [(160, 160), (2, 128, 160)]


def test_what_a_kernel_wrote_is_named_and_is_written_again_the_same(segmented: Any) -> None:
    """Each result names its files and folders below the item's target; a second run of any writes the same bytes."""
    masks, items, results, merged = segmented

    def digests(item: Any, result: Any) -> dict[str, str]:
        places = [Path(item["target"]) / name for name in result["files"]]
        found = [path for place in places for path in ([place] if place.is_file() else place.rglob("*")) if path.is_file()]
        assert found
        return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}

    for work, done in ((items, results), (merges(items), merged)):
        for item, result in zip(work, done, strict=True):
            before = digests(item, result)
            again = (merge_image if "parts" in item else segment_item)(item)
            assert {**again, "seconds": 0} == {**result, "seconds": 0}
            assert digests(item, again) == before
    named = {str(masks / name) for result in (results[0], *merged) for name in result["files"]}
    assert named == {str(masks / IMAGES / "0"), str(masks / IMAGES / "1"), *(str(file) for file in (masks / "tiff").iterdir())}


def test_outlines_are_drawn_on_the_images(session: Path, segmented: Any) -> None:
    """A sheet of the session has the outlines on the channel that was segmented, and is the same each time."""
    drawn = image_overlay_sheet(str(session), str(segmented[0]))
    assert drawn == image_overlay_sheet(str(session), str(segmented[0]))
    assert len(drawn) < 150_000


@pytest.mark.usefixtures("cheap_models")
def test_a_series_of_images_that_are_long_and_narrow_is_segmented_whole(tmp_path: Path) -> None:
    """An image longer than a block, and with fewer pixels than one, is one piece a moment, in which no object is lost."""
    (tmp_path / "raw").mkdir()
    series = np.full((2, 1, 1, 24, 4300), 100, np.uint16)
    for x in range(10, 4280, 40):
        series[:, 0, 0, 5:15, x : x + 20] = 5000
    microscopes.write_czi(tmp_path / "raw" / "series.czi", [series], channels=["DAPI"])
    convert_files(str(tmp_path / "raw"), str(tmp_path / "standard"), name="S-2")
    items = prepare_masks(str(tmp_path / "standard"), str(tmp_path / "masks"), channel="DAPI", model=PLANES)
    assert [(item["t"], item["blocks"]) for item in items] == [(0, 1), (1, 1)]
    for item in items:
        segment_item(item)
    for item in merges(items):
        merge_image(item)
    for t in range(2):
        found = read_label_plane(tmp_path / "masks" / IMAGES / "0" / LABELS, lead=(t,))
        assert np.array_equal(found > 0, series[t, 0, 0] == 5000)


def test_a_channel_that_an_image_lacks_names_the_image(session: Path, tmp_path: Path) -> None:
    """Every image must have the channel: one that lacks it is named with the channels it has, and nothing is written."""
    with pytest.raises(InputError, match=r"series[\s\S]*'DAPI'"):
        prepare_masks(str(session), str(tmp_path / "masks"), channel="GFP")
    assert not (tmp_path / "masks").exists()


def test_masks_of_another_channel_or_session_are_not_mixed(session: Path, tmp_path: Path) -> None:
    """A layout is used again for the same images and channel, and refused for others."""
    prepare_masks(str(session), str(tmp_path), channel="DAPI")
    prepare_masks(str(session), str(tmp_path), channel="DAPI")
    with pytest.raises(InputError, match="another"):
        lay_out(session, tmp_path, "GFP")


def test_axes_are_told_by_their_names(session: Path) -> None:
    """An image of a collection has all five axes."""
    assert axis_sizes(session / IMAGES / "0") == {"t": 1, "c": 2, "z": 3, "y": 160, "x": 160}
