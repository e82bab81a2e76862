"""Segmentation of a plate: laid out once, filled field by field, the same bytes each time."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coldchain.errors import ImageError, InputError, IntegrityError, ModelError
from coldchain.imaging import models
from coldchain.imaging.masks import preview_level
from coldchain.imaging.platezarr import PLATE, field_path, iter_fields, plate_info, read_labels, read_plane
from coldchain.imaging.segment import apart, prepare_masks, segment_field, segment_images, segment_item, summary, together


def digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file below a folder."""
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_masks_plate_is_laid_out_like_its_source(known_plate: Any, tmp_path: Path) -> None:
    """The masks plate has the name, wells, fields and pixel size of its source, the one channel, and one plain work item a field."""
    items = prepare_masks(known_plate.corrected, str(tmp_path), channel="DNA")
    source, target = plate_info(Path(known_plate.corrected) / PLATE), plate_info(tmp_path / PLATE)
    assert (target.name, target.wells, target.fields, target.pixel_size_um) == (
        source.name,
        source.wells,
        source.fields,
        source.pixel_size_um,
    )
    assert target.channels == ("DNA",)
    assert [(item["well"], item["field"]) for item in items] == [(r.well, r.field) for r in iter_fields(tmp_path / PLATE)]
    assert all(isinstance(value, str | int | float | None) for item in items for value in item.values())


def test_an_unknown_channel_names_those_there_are(known_plate: Any, tmp_path: Path) -> None:
    """A channel that the plate does not have raises InputError naming the ones it has, and nothing is written."""
    with pytest.raises(InputError, match=r"'DNA', 'Marker'[\s\S]*'Actin'"):
        prepare_masks(known_plate.corrected, str(tmp_path / "masks"), channel="Actin")
    assert not (tmp_path / "masks").exists()


def test_an_unknown_model_is_refused_before_anything_is_written(known_plate: Any, tmp_path: Path) -> None:
    """A model that is not registered raises ModelError, and nothing is written."""
    with pytest.raises(ModelError, match="no such"):
        prepare_masks(known_plate.corrected, str(tmp_path / "masks"), channel="DNA", model="best-model-ever")
    assert not (tmp_path / "masks").exists()


@pytest.mark.parametrize("name", ["prob_threshold", "nms_threshold"])
@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_a_threshold_out_of_range_is_refused(known_plate: Any, tmp_path: Path, name: str, value: float) -> None:
    """A threshold that is not from 0 to 1 raises InputError naming it."""
    with pytest.raises(InputError, match=name):
        prepare_masks(known_plate.corrected, str(tmp_path), channel="DNA", **{name: value})  # type: ignore[arg-type]


def test_a_layout_is_used_again(known_plate: Any, tmp_path: Path) -> None:
    """Preparing twice leaves the plate as it was; what a killed run left half written is written anew."""
    (tmp_path / (PLATE + ".part") / "A").mkdir(parents=True)
    first = prepare_masks(known_plate.corrected, str(tmp_path), channel="DNA")
    before = digests(tmp_path)
    assert prepare_masks(known_plate.corrected, str(tmp_path), channel="DNA") == first
    assert digests(tmp_path) == before
    assert [path.name for path in tmp_path.iterdir()] == [PLATE]


def test_masks_of_another_channel_are_not_mixed(known_plate: Any, tmp_path: Path) -> None:
    """A folder that holds masks of one channel is refused for another."""
    prepare_masks(known_plate.corrected, str(tmp_path), channel="DNA")
    with pytest.raises(InputError, match="another plate or channel"):
        prepare_masks(known_plate.corrected, str(tmp_path), channel="Marker")


def test_a_field_is_segmented(known_plate: Any, tmp_path: Path) -> None:
    """Most true nuclei of a sharp field are found, labels run from 1 without a gap, and the report says with which weights and where."""
    from stardist.matching import matching

    item = prepare_masks(known_plate.corrected, str(tmp_path), channel="DNA")[0]
    report = segment_field(item)
    labels = read_labels(tmp_path / PLATE, item["well"], item["field"], "nuclei")
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(np.unique(labels), np.arange(report["objects"] + 1))
    score = matching(known_plate.truth[item["well"], item["field"]], labels, thresh=0.5).f1
    print(f"F1 at IoU 0.5 on a synthetic field: {score:.2f}")
    assert score > 0.6
    assert report["model"]["digest"] == models.digest_of("nuclei-small")
    assert report["device"]
    assert report["host"]
    assert report["seconds"] > 0


def test_a_second_run_writes_the_same_bytes(known_plate: Any, tmp_path: Path) -> None:
    """A field that is segmented again, also over what a killed run left, has the same bytes."""
    item = prepare_masks(known_plate.corrected, str(tmp_path), channel="DNA")[1]
    segment_field(item)
    own = field_path(tmp_path / PLATE, item["well"], item["field"])
    first = digests(own)
    (own / "left-by-a-killed-run").write_text("x")
    (own / "zarr.json").unlink()
    segment_field(item)
    assert digests(own) == first


def test_a_constant_field_has_no_object(known_plate: Any, tmp_path: Path) -> None:
    """A field of one grey value gives zero objects, and labels that can be read."""
    items = prepare_masks(known_plate.corrected, str(tmp_path), channel="DNA")
    report = segment_field(items[-1])
    assert (report["objects"], report["median_area_px"], report["covered"]) == (0, 0.0, 0.0)
    assert read_labels(tmp_path / PLATE, "B02", 2, "nuclei").max() == 0


def test_the_preview_shows_the_channel(known_plate: Any, tmp_path: Path) -> None:
    """The masks plate holds a picture of the segmented channel beside the labels, so that it can be looked at without the images."""
    item = prepare_masks(known_plate.corrected, str(tmp_path), channel="Marker")[0]
    segment_field(item)
    shown = read_plane(tmp_path / PLATE, "A01", 1, 0)
    level = preview_level((160, 160))
    np.testing.assert_array_equal(shown, read_plane(Path(known_plate.corrected) / PLATE, "A01", 1, 1, level=level))


@pytest.mark.parametrize(("side", "shown"), [(160, 0), (256, 1), (1024, 1), (2048, 2), (4096, 3), (8192, 3)])
def test_the_preview_is_small(side: int, shown: int) -> None:
    """The picture is the first smaller level that is at most 512 pixels wide, or else the smallest there is."""
    assert preview_level((side, side)) == shown


def test_a_lost_plane_is_named(known_plate: Any, tmp_path: Path) -> None:
    """A field whose file is gone raises IntegrityError; it is not segmented as black."""
    import shutil

    shutil.copytree(known_plate.corrected, tmp_path / "copy")
    item = prepare_masks(str(tmp_path / "copy"), str(tmp_path / "masks"), channel="DNA")[0]
    for file in (field_path(tmp_path / "copy" / PLATE, "A01", 1) / "s0" / "c").rglob("*"):
        if file.is_file():
            file.unlink()
    with pytest.raises(IntegrityError):
        segment_field(item)


def test_what_is_no_plane_is_refused() -> None:
    """A stack or an empty plane raises ImageError before a model sees it."""
    model = models.LoadedModel("none", "0", lambda images, *_, **__: [np.zeros(image.shape, np.int32) for image in images])
    for plane in (np.zeros((2, 4, 4)), np.zeros((0, 4))):
        with pytest.raises(ImageError, match="Not a plane"):
            segment_images([plane], model)


def test_a_summary_counts_labels() -> None:
    """The summary gives the number of labels that are there, their median area and the share of the plane they cover."""
    labels = np.array([[1, 1, 0, 3], [1, 0, 0, 0]])
    assert summary(labels) == {"objects": 2, "median_area_px": 2.0, "covered": 0.5}


def small(count: int, pixels: int = 2**20) -> list[dict[str, Any]]:
    """Items of images of a million pixels each."""
    return [{"target": "masks", "image": str(number), "pixels": pixels} for number in range(count)]


@pytest.mark.parametrize(
    ("count", "pixels", "workers", "sizes"),
    [
        (72, 2**20, 1, [16, 16, 16, 16, 8]),  # 16 of a million pixels are one image of 4096 x 4096
        (72, 2**20, 2, [9] * 8),  # four items a worker
        (72, 2**20, 8, [2] * 36),
        (7, 2**20, 2, [1] * 7),
        (72, 2**23, 1, [2] * 36),
        (8, 2**24, 1, [1] * 8),
        (0, 2**20, 4, []),
    ],
)
def test_small_images_are_taken_together(count: int, pixels: int, workers: int, sizes: list[int]) -> None:
    """As many as make one of the largest that is segmented in one piece, and not so many that a worker has nothing to do at the end."""
    items = small(count, pixels)
    groups = together(items, workers)
    assert [len(group.get("together", [group])) for group in groups] == sizes
    assert apart(groups) == items


def test_pieces_of_large_images_stay_alone() -> None:
    """A piece is as much as a worker takes at once; images on both sides of it are not mixed with it."""
    pieces = [{"target": "parts", "image": "large", "block": block} for block in range(2)]
    items = [*small(8), *pieces, *small(8)]
    groups = together(items, 1)
    assert [len(group.get("together", [group])) for group in groups] == [4, 4, 1, 1, 4, 4]
    assert apart(groups) == items


def test_fields_together_are_the_fields_one_by_one(known_plate: Any, tmp_path: Path) -> None:
    """An item of several fields writes the same bytes and finds the same as an item for each, and names all files that it wrote."""
    alone = [segment_item(item) for item in prepare_masks(known_plate.corrected, str(tmp_path / "alone"), channel="DNA")]
    items = prepare_masks(known_plate.corrected, str(tmp_path / "together"), channel="DNA")
    (answer,) = [segment_item(item) for item in [{"target": items[0]["target"], "together": items}]]
    found = apart([answer])
    assert digests(tmp_path / "together") == digests(tmp_path / "alone")
    varying = ("seconds",)
    assert [{k: v for k, v in own.items() if k not in varying} for own in found] == [
        {k: v for k, v in own.items() if k not in varying} for own in alone
    ]
    assert answer["files"] == [file for own in alone for file in own["files"]]
