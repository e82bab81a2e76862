"""Images cut into blocks: every object once, wherever a seam lies, and the same labels whoever predicts them in whatever order."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coldchain.errors import IntegrityError, LayoutError
from coldchain.imaging import blocks
from coldchain.imaging.labelzarr import file_regions
from coldchain.imaging.platezarr import PLATE, create_plate, field_path, read_labels, write_field
from coldchain.imaging.segment import findings, merge_image, merges, model_record, prepare_masks, segment_item
from coldchain.imaging.synthesis import nuclei_field
from coldchain.imaging.synthetic_nuclei import Conditions
from coldchain.testing.cheap_models import PLANES

SIDE = 1400


def discs(shape: tuple[int, int], centres: Sequence[tuple[int, int]], radius: int) -> np.ndarray[Any, Any]:
    """Labels of discs, 1..n in the order of their centres."""
    y, x = np.indices((2 * radius + 1, 2 * radius + 1)) - radius
    disc, labels = y**2 + x**2 < radius**2, np.zeros(np.add(shape, 2 * radius), np.int32)
    for number, (cy, cx) in enumerate(centres, 1):
        labels[cy : cy + 2 * radius + 1, cx : cx + 2 * radius + 1][disc] = number
    return np.ascontiguousarray(labels[radius:-radius, radius:-radius])


def joined(
    truth: np.ndarray[Any, Any], context: int, folder: Path, order: Sequence[int] = ()
) -> tuple[np.ndarray[Any, Any], Any, list[Any]]:
    """Cut true labels into blocks, as a model that errs nowhere would give them, and join them again; also the areas and what was cut."""
    from skimage.segmentation import relabel_sequential

    cover = blocks.cover(truth.shape, context)
    cut: list[Any] = []
    for number in order or range(len(cover)):
        kept = blocks.keep(relabel_sequential(truth[cover[number].slice_read()])[0].astype(np.int32), cover[number])
        blocks.write_part(folder / str(number), kept)
        cut += kept.cut
    out = np.zeros(truth.shape, np.int32)
    parts = blocks.Parts([folder / str(number) for number in range(len(cover))], cover)
    regions = [(slice(y, y + 300), slice(0, truth.shape[1])) for y in range(0, truth.shape[0], 300)]
    regions = [(slice(y.start, min(y.stop, truth.shape[0])), x) for y, x in regions]

    def write(region: Any, labels: Any) -> None:
        out[region] = labels

    return out, blocks.merge(parts, regions, write), cut


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of some hundred pixels, for images that a test can afford."""
    monkeypatch.setattr(blocks, "WHOLE", 600 * 600)
    monkeypatch.setattr(blocks, "LONGEST", 640)


@pytest.mark.parametrize(
    ("shape", "context"), [((16384, 16384), 160), ((4097, 5000), 96), ((3000, 20000), 160), ((60, 3000, 2500), 64), ((400, 1024, 1024), 32)]
)
def test_blocks_cover_an_image_and_are_no_larger_than_what_is_segmented_whole(shape: tuple[int, ...], context: int) -> None:
    """Every pixel has a block, neighbours share the overlap and what the model must see, a block is about as large as a whole image."""
    cover = blocks.cover(shape, context)
    for axis, size in enumerate(shape):
        sides = sorted({(block.blocks[axis].slice_write.start, block.blocks[axis].slice_write.stop) for block in cover})
        assert sides[0][0] == 0
        assert sides[-1][1] == size
        shared = [one[1] - other[0] for one, other in pairwise(sides)]
        assert all(width >= blocks.OVERLAP // (2 if len(shape) == 3 and axis == 0 else 1) for width in shared)
    largest = max(math.prod(side.stop - side.start for side in block.slice_read()) for block in cover)
    assert largest <= (blocks.WHOLE if len(shape) == 2 else 4 * blocks.WHOLE)
    assert [str(block) for block in blocks.cover(shape, context)] == [str(block) for block in cover]


@pytest.mark.usefixtures("small_blocks")
def test_objects_on_seams_and_corners_are_found_once(tmp_path: Path) -> None:
    """Discs where blocks begin and end, on every corner where such seams cross, and between, come back as they were, each once."""
    sides = [side for block in blocks.cover((SIDE, SIDE), 64) for side in block.slice_write()]
    edges = sorted({edge for side in sides for edge in (side.start, side.stop)} - {0, SIDE})
    places: list[int] = []
    for place in [*edges, *range(20, SIDE - 20, 40)]:
        if all(abs(place - other) > 36 for other in places):
            places.append(place)
    assert set(edges) <= set(places)
    truth = discs((SIDE, SIDE), [(y, x) for y in places for x in places], 17)
    found, areas, cut = joined(truth, 64, tmp_path)
    assert len(blocks.cover((SIDE, SIDE), 64)) == 9
    assert cut == []
    assert len(areas) == len(places) ** 2 == found.max()
    assert np.array_equal(found > 0, truth > 0)
    pairs = np.unique(np.stack([truth.ravel(), found.ravel()]), axis=1)
    assert pairs.shape[1] == len(places) ** 2 + 1  # one to one, and background
    assert np.array_equal(areas, np.bincount(found.ravel())[1:])


@pytest.mark.usefixtures("small_blocks")
def test_an_object_beyond_the_overlap_is_reported(tmp_path: Path) -> None:
    """An object that no block sees whole is kept as far as its last block sees it, and its place in the image is said."""
    truth = np.zeros((SIDE, SIDE), np.int32)
    truth[100:130, 200:900] = 1
    truth[700:720, 700:720] = 2
    found, areas, cut = joined(truth, 64, tmp_path)
    assert len(cut) >= 1
    assert all(found[place[0][0] : place[0][1], place[1][0] : place[1][1]].all() for place in cut)
    assert all(place[0] == [100, 130] for place in cut)
    assert len(areas) == 1 + len(cut)
    assert not found[truth == 0].any()


@pytest.mark.usefixtures("small_blocks")
def test_an_object_as_wide_as_the_image_is_not_cut_where_nothing_is_cut(tmp_path: Path) -> None:
    """Along an axis that has one block, an object may be as long as it likes."""
    truth = np.zeros((300, 3000), np.int32)
    truth[:, 1000:1050] = 1
    found, _, cut = joined(truth, 64, tmp_path)
    assert cut == []
    assert np.array_equal(found, truth)


@pytest.mark.usefixtures("small_blocks")
def test_the_order_in_which_blocks_end_does_not_matter(tmp_path: Path) -> None:
    """Blocks that end in another order, and twice, give the same labels."""
    rng = np.random.default_rng(5)
    truth = discs((SIDE, SIDE), [(int(y), int(x)) for y, x in rng.uniform(0, SIDE, (120, 2))], 20)
    first, *_ = joined(truth, 64, tmp_path / "one")
    second, *_ = joined(truth, 64, tmp_path / "two", [*rng.permutation(9).tolist(), 4, 0])
    assert np.array_equal(first, second)
    assert np.array_equal(np.unique(first), np.arange(first.max() + 1))


def test_where_two_claim_a_pixel_the_earlier_block_has_it_and_no_number_is_lost(tmp_path: Path) -> None:
    """An object that others hide wholly leaves no gap in the numbers."""
    cover = blocks.cover((4200, 100), 0)
    rows = cover[0].slice_write()[0].stop, cover[1].slice_write()[0].start
    for number, block in enumerate(cover):
        height = block.slice_write()[0].stop - block.slice_write()[0].start
        labels = np.zeros((height, 100), np.int32)
        seam = slice(rows[1] + 10, rows[1] + 30) if number == 0 else slice(10, 30)
        labels[seam, 10:20] = 1
        labels[5 if number == 0 else -5, 50] = 2
        blocks.write_part(tmp_path / str(number), blocks.Kept(labels, 2, []))
    parts = blocks.Parts([tmp_path / "0", tmp_path / "1"], cover)
    seen: list[Any] = []
    areas = blocks.merge(parts, [(slice(0, 4200), slice(0, 100))], lambda _region, labels: seen.append(labels))
    assert parts.total == 4
    assert areas.tolist() == [200, 1, 1]
    assert np.unique(seen[0]).tolist() == [0, 1, 2, 3]


def test_a_part_that_is_missing_or_damaged_is_an_error(tmp_path: Path) -> None:
    """A lost part, and one whose file is gone, are named and never taken for background."""
    cover = blocks.cover((4200, 100), 0)
    for number, block in enumerate(cover):
        height = block.slice_write()[0].stop - block.slice_write()[0].start
        blocks.write_part(tmp_path / str(number), blocks.Kept(np.ones((height, 100), np.int32), 1, []))
    with pytest.raises(LayoutError):
        blocks.Parts([tmp_path / "0", tmp_path / "7"], cover)
    parts = blocks.Parts([tmp_path / "0", tmp_path / "1"], cover)
    for file in (tmp_path / "1" / "s0" / "c").rglob("*"):
        if file.is_file():
            file.unlink()
    with pytest.raises(IntegrityError, match="gone"):
        parts.read((slice(0, 4200), slice(0, 100)))


def test_a_part_with_more_objects_than_it_says_is_an_error(tmp_path: Path) -> None:
    """Numbers of one block never run into those of the next."""
    cover = blocks.cover((4200, 100), 0)
    for number, block in enumerate(cover):
        height = block.slice_write()[0].stop - block.slice_write()[0].start
        blocks.write_part(tmp_path / str(number), blocks.Kept(np.full((height, 100), 5, np.int32), 1, []))
    parts = blocks.Parts([tmp_path / "0", tmp_path / "1"], cover)
    with pytest.raises(IntegrityError, match="more objects"):
        blocks.merge(parts, [(slice(0, 4200), slice(0, 100))], lambda *_: None)


def test_all_blocks_agree_on_what_is_bright(
    tmp_path: Path, cheap_models: None, small_blocks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A block with dim objects only is seen by the grey values of the whole image, as it would be in one piece."""
    monkeypatch.setattr("coldchain.imaging.segment.OBJECT", 0)
    image = np.full((300, 2000), 100, np.uint16)
    for x in range(20, 1980, 40):
        image[140:160, x : x + 20] = 5000 if x > 1400 else 1000
    (tmp_path / "corrected").mkdir()
    create_plate(tmp_path / "corrected" / PLATE, name="P", wells=["A01"], fields=[1], channels=["DNA"], pixel_size_um=None)
    kind = {"channels": ["DNA"], "dtype": image.dtype, "shape": image.shape, "pixel_size_um": None}
    write_field(tmp_path / "corrected" / PLATE, "A01", 1, [(0, image)], **kind)
    items = prepare_masks(str(tmp_path / "corrected"), str(tmp_path / "masks"), channel="DNA", model=PLANES)
    for item in items:
        segment_item(item)
    for item in merges(items):
        merge_image(item)
    assert len(items) > 3
    assert np.array_equal(read_labels(tmp_path / "masks" / PLATE, "A01", 1, "nuclei") > 0, image == 5000)


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder."""
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plate of one field of 1200 x 1200 pixels with about 900 nuclei."""
    folder = tmp_path_factory.mktemp("large")
    create_plate(folder / PLATE, name="large", wells=["A01"], fields=[1], channels=["DNA"], pixel_size_um=0.5)
    image = nuclei_field(np.random.default_rng(3), (1200, 1200), count=900, conditions=Conditions()).image
    write_field(folder / PLATE, "A01", 1, [(0, image)], channels=["DNA"], dtype=image.dtype, shape=image.shape, pixel_size_um=0.5)
    return folder


@pytest.mark.long
def test_an_image_predicted_by_blocks_has_the_objects_of_the_whole(large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By four blocks there are as many nuclei as in one piece, each overlapping its own to 0.9 and more, those on seams too; a rerun in
    another order gives the same bytes.
    """
    from stardist.matching import matching

    (item,) = prepare_masks(str(large), str(tmp_path / "whole"), channel="DNA")
    segment_item(item)
    whole = read_labels(tmp_path / "whole" / PLATE, "A01", 1, "nuclei")
    monkeypatch.setattr(blocks, "WHOLE", 600 * 600)
    monkeypatch.setattr(blocks, "LONGEST", 640)
    for name, turn in (("forward", 1), ("backward", -1)):
        items = prepare_masks(str(large), str(tmp_path / name), channel="DNA")
        assert len(items) == 4
        results = [segment_item(piece) for piece in items[::turn]]
        merged = [merge_image(joining) for joining in merges(items)]
    assert digests(tmp_path / "forward") == digests(tmp_path / "backward")
    parts = read_labels(tmp_path / "forward" / PLATE, "A01", 1, "nuclei")
    seams = [side.start for block in blocks.cover(whole.shape, items[0]["context"]) for side in block.slice_write() if side.start]
    assert any(len(np.unique(whole[seam])) > 5 for seam in seams)
    score = matching(whole, parts, thresh=0.9)
    assert (score.n_pred, score.fp, score.fn) == (score.n_true, 0, 0)
    found = findings(items, results[::-1], merged)
    assert found == {"fields": [{"well": "A01", "field": 1, "objects": int(whole.max())}], "objects": int(whole.max())}
    assert model_record(items, results)["block_px"] == 640
    assert len(list(file_regions(field_path(tmp_path / "forward" / PLATE, "A01", 1) / "labels" / "nuclei"))) == 1
