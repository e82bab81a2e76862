"""Segmentation of stacks: a model for stacks is shown all planes, one for planes the middle one, and neither what it cannot take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import yaozarrs

from coldchain.errors import ImageError, InputError, ModelError
from coldchain.imaging import blocks, models
from coldchain.imaging.crops import crop_field, prepare_crops
from coldchain.imaging.fieldzarr import FieldWriter, attributes_of
from coldchain.imaging.labelzarr import read_label_stack
from coldchain.imaging.measure import measure_field, prepare_measure
from coldchain.imaging.pictures import plate_overlay_sheet
from coldchain.imaging.platezarr import PLATE, create_plate, field_path, read_labels
from coldchain.imaging.pyramid import Frame
from coldchain.imaging.segment import findings, merge_image, merges, prepare_masks, segment_images, segment_item
from coldchain.testing.cheap_models import COLOUR, PLANES, STACKS

SHAPE = (7, 140, 160)


def spheres(shape: tuple[int, ...] = SHAPE, *, gap: int = 30) -> np.ndarray[Any, Any]:
    """A stack of dim background with bright balls: some in the middle plane, some only above or below it."""
    z, y, x = np.indices((3, 17, 17)) - np.array([1, 8, 8])[:, None, None, None]
    ball, stack = (4 * z) ** 2 + y**2 + x**2 < 64, np.full(shape, 100, np.uint16)
    for number, (cy, cx) in enumerate((cy, cx) for cy in range(16, shape[1] - 8, gap) for cx in range(16, shape[2] - 8, gap)):
        cz = (shape[0] // 2, 1)[number % 2]
        stack[cz - 1 : cz + 2, cy - 8 : cy + 9, cx - 8 : cx + 9][ball] = 3000
    return stack


def write_stack(root: Path, stack: np.ndarray[Any, Any]) -> Path:
    """A plate of one field with a stack in its one channel."""
    create_plate(root / PLATE, name="stacks", wells=["A01"], fields=[1], channels=["DNA"], pixel_size_um=0.5)
    frame = Frame((stack.shape[1], stack.shape[2]), np.uint16, 0.5, z_count=stack.shape[0], z_step_um=2.0)
    with FieldWriter(field_path(root / PLATE, "A01", 1), ["DNA"], frame) as writer:
        for z, plane in enumerate(stack):
            writer.write(plane, 0, z)
    return root


@pytest.fixture
def stacks(tmp_path: Path, cheap_models: None) -> Path:
    """A plate of one small stack."""
    (tmp_path / "corrected").mkdir()
    return write_stack(tmp_path / "corrected", spheres())


def test_a_model_for_stacks_labels_all_planes(stacks: Path, tmp_path: Path) -> None:
    """Every ball is one object through all planes; the labels are NGFF with z and its step, and an OME-TIFF with z."""
    from scipy.ndimage import label

    (item,) = prepare_masks(str(stacks), str(tmp_path / "masks"), channel="DNA", model=STACKS)
    report = segment_item(item)
    path = field_path(tmp_path / "masks" / PLATE, "A01", 1) / "labels" / "nuclei"
    found, (expected, count) = read_label_stack(path), label(spheres() > 1000)
    assert np.array_equal(found, expected)
    assert report["objects"] == count > 10
    said = attributes_of(path)["ome"]["multiscales"][0]
    assert [axis["name"] for axis in said["axes"]] == ["z", "y", "x"]
    assert said["datasets"][0]["coordinateTransformations"][0]["scale"] == [2.0, 0.5, 0.5]
    for group in (path, path.parent, path.parent.parent, tmp_path / "masks" / PLATE):
        yaozarrs.validate_zarr_store(str(group))
    assert np.array_equal(tifffile.imread(tmp_path / "masks" / "tiff" / "A01_f001.ome.tiff"), expected)


def test_a_model_for_planes_sees_the_middle_one(stacks: Path, tmp_path: Path) -> None:
    """As quality was measured there, and as measurements are made."""
    (item,) = prepare_masks(str(stacks), str(tmp_path / "masks"), channel="DNA", model=PLANES)
    segment_item(item)
    assert np.array_equal(read_labels(tmp_path / "masks" / PLATE, "A01", 1, "nuclei") > 0, spheres()[3] > 1000)
    assert read_label_stack(field_path(tmp_path / "masks" / PLATE, "A01", 1) / "labels" / "nuclei").ndim == 2


def test_nuclei_of_a_stack_are_measured_and_cut_in_its_middle_plane(stacks: Path, tmp_path: Path) -> None:
    """Measurements, crops and outlines take the labels of the middle plane: objects that it does not cross are not among them."""
    (item,) = prepare_masks(str(stacks), str(tmp_path / "masks"), channel="DNA", model=STACKS)
    segment_item(item)
    middle = read_labels(tmp_path / "masks" / PLATE, "A01", 1, "nuclei")
    crossed = len(np.unique(middle)) - 1
    assert 0 < crossed < segment_item(item)["objects"]
    assert np.array_equal(middle > 0, spheres()[3] > 1000)
    folders = str(stacks), str(tmp_path / "masks"), str(tmp_path / "parts")
    assert measure_field(prepare_measure(*folders)[0])["nuclei"] == crossed
    assert crop_field(prepare_crops(*folders)[0])["crops"] == crossed
    assert plate_overlay_sheet(*folders[:2])[:4] == b"\x89PNG"


def test_a_model_for_stacks_refuses_a_flat_plate(known_plate: Any, tmp_path: Path, cheap_models: None) -> None:
    """Before anything is written, with the field's name and what to do."""
    with pytest.raises(InputError, match="one plane") as caught:
        prepare_masks(known_plate.corrected, str(tmp_path / "masks"), channel="DNA", model=STACKS)
    assert caught.value.on == "A01 field 1"
    assert not (tmp_path / "masks").exists()


def test_a_model_for_colour_images_is_refused(known_plate: Any, tmp_path: Path, cheap_models: None) -> None:
    """Channels are segmented one by one: a model that wants three at once cannot be used, and nothing is written."""
    with pytest.raises(ModelError, match="colour"):
        prepare_masks(known_plate.corrected, str(tmp_path / "masks"), channel="DNA", model=COLOUR)
    assert not (tmp_path / "masks").exists()


@pytest.mark.usefixtures("cheap_models")
@pytest.mark.parametrize(("name", "shape", "kind"), [(PLANES, (3, 8, 8), "plane"), (STACKS, (8, 8), "stack")])
def test_a_model_is_not_shown_what_it_cannot_take(name: str, shape: tuple[int, ...], kind: str) -> None:
    """A whole stack for a model of planes, and a plane for one of stacks, are errors that say which axes it takes."""
    with pytest.raises(ImageError, match=f"Not a {kind}"):
        segment_images([np.arange(np.prod(shape)).reshape(shape)], models.load(name))


def test_a_large_stack_is_segmented_by_blocks(tmp_path: Path, cheap_models: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """By blocks in z, y and x there are the objects of the whole, each once, on whatever seam it lies."""
    from scipy.ndimage import label

    (tmp_path / "corrected").mkdir()
    stack = spheres((80, 200, 220), gap=25)
    write_stack(tmp_path / "corrected", stack)
    monkeypatch.setattr(blocks, "WHOLE", 64**3)
    monkeypatch.setattr(blocks, "NARROWEST", 96)
    monkeypatch.setattr(blocks, "DEEPEST", 32)
    monkeypatch.setattr(blocks, "OVERLAP", 32)
    monkeypatch.setattr(blocks, "ALIGNED", 8)
    monkeypatch.setattr("coldchain.imaging.segment.OBJECT", 0)
    monkeypatch.setattr("coldchain.imaging.labelzarr.TOGETHER", 200 * 220 * 7)
    items = prepare_masks(str(tmp_path / "corrected"), str(tmp_path / "masks"), channel="DNA", model=STACKS)
    results = [segment_item(item) for item in items[::-1]]
    (merged,) = (merge_image(item) for item in merges(items))
    found = read_label_stack(field_path(tmp_path / "masks" / PLATE, "A01", 1) / "labels" / "nuclei")
    expected, count = label(stack > 1000)
    assert len(items) >= 18
    assert merged["objects"] == count == findings(items, results, [merged])["objects"]
    assert np.array_equal(found > 0, expected > 0)
    assert np.unique(np.stack([found.ravel(), expected.ravel()]), axis=1).shape[1] == count + 1
