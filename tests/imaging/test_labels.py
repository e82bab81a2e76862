"""Label images: stacks, series and planes wider than one file, as OME-Zarr and as OME-TIFF."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import yaozarrs

from coldchain.errors import ImageError, InputError, IntegrityError
from coldchain.imaging import labelzarr
from coldchain.imaging.fieldzarr import FieldWriter, attributes_of, open_level, read_region
from coldchain.imaging.labeltiff import tiff_name, write_label_tiff
from coldchain.imaging.labelzarr import (
    create_labels,
    file_regions,
    fill_labels,
    read_label_plane,
    read_label_stack,
    shrink_labels,
    write_region,
)
from coldchain.imaging.pyramid import Frame


def numbers(shape: tuple[int, ...], seed: int = 1) -> np.ndarray[Any, Any]:
    """Labels that no other seed makes."""
    return np.random.default_rng(seed).integers(0, 90_000, shape, dtype=np.int32)


def image(folder: Path, frame: Frame) -> Path:
    """An image of one black plane for each moment, for labels to stand in."""
    small = Frame(frame.shape, np.uint8, frame.pixel_size_um, t_count=frame.t_count)
    with FieldWriter(folder / "image", ["DNA"], small) as writer:
        for t in range(frame.t_count or 1):
            writer.write(np.zeros(frame.shape, np.uint8), 0, 0, t)
    return folder / "image"


def test_a_stack_of_labels_keeps_its_planes(tmp_path: Path) -> None:
    """Labels (z, y, x) come back plane by plane, with their steps in z, y and x; as a plane they are the middle one."""
    frame, stack = Frame((260, 300), np.int32, 0.5, z_count=5, z_step_um=2.0), numbers((5, 260, 300))
    path = create_labels(image(tmp_path, frame), "nuclei", frame)
    fill_labels(path, stack)
    assert np.array_equal(read_label_stack(path), stack)
    assert np.array_equal(read_label_plane(path), stack[2])
    assert np.array_equal(read_label_plane(path, level=1), stack[2][::2, ::2])
    said = attributes_of(path)["ome"]["multiscales"][0]
    assert [axis["name"] for axis in said["axes"]] == ["z", "y", "x"]
    assert [each["coordinateTransformations"][0]["scale"] for each in said["datasets"]] == [[2.0, 0.5, 0.5], [2.0, 1.0, 1.0]]
    yaozarrs.validate_zarr_store(str(path))


def test_a_series_of_labels_is_written_moment_by_moment(tmp_path: Path) -> None:
    """Each moment is written by itself, in any order, and has its own numbers."""
    frame = Frame((200, 150), np.int32, 0.5, t_count=3, time_step_s=60.0)
    path = create_labels(image(tmp_path, frame), "nuclei", frame)
    for t in (2, 0, 1):
        fill_labels(path, numbers((200, 150), t), (t,))
    assert all(np.array_equal(read_label_plane(path, lead=(t,)), numbers((200, 150), t)) for t in range(3))
    assert [axis["name"] for axis in attributes_of(path)["ome"]["multiscales"][0]["axes"]] == ["t", "y", "x"]
    yaozarrs.validate_zarr_store(str(path))


@pytest.fixture
def narrow_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of at most 128 pixels a side for planes wider than 256, so that a test's image has many."""
    monkeypatch.setattr(labelzarr, "WHOLE_SIDE", 256)
    monkeypatch.setattr(labelzarr, "FILE_SIDE", 128)
    monkeypatch.setattr("coldchain.imaging.pyramid.CHUNK", 64)


@pytest.mark.usefixtures("narrow_files")
@pytest.mark.parametrize("depth", [1, 3])
def test_what_is_written_part_by_part_is_what_is_written_whole(tmp_path: Path, depth: int) -> None:
    """A wide plane is several files, and each part with its smaller levels comes to the same bytes as the whole at once."""
    frame = Frame((300, 517), np.int32, 0.5, z_count=depth)
    labels = numbers((depth, 300, 517) if depth > 1 else (300, 517))
    one, other = (create_labels(image(tmp_path / name, frame), "nuclei", frame) for name in ("one", "other"))
    fill_labels(one, labels)
    regions = list(file_regions(other))
    for region in regions[::-1]:
        write_region(other, region, labels[region])
    shrink_labels(other)
    files = sorted(path.relative_to(one) for path in one.rglob("*") if path.is_file())
    assert len(regions) == 3 * 5
    assert sum("s0" in str(file) for file in files) == depth * 15 + 1
    assert files == sorted(path.relative_to(other) for path in other.rglob("*") if path.is_file())
    assert all((one / file).read_bytes() == (other / file).read_bytes() for file in files)


@pytest.mark.usefixtures("narrow_files")
def test_a_lost_file_of_many_is_an_error_where_it_is_needed(tmp_path: Path) -> None:
    """A part whose files are there is read; one with a lost file is an error that names it."""
    frame = Frame((300, 517), np.int32, 0.5)
    path = create_labels(image(tmp_path, frame), "nuclei", frame)
    fill_labels(path, numbers((300, 517)))
    (path / "s0" / "c" / "1" / "2").unlink()
    part = read_region(open_level(path / "s0"), path / "s0", (slice(0, 100), slice(0, 100)))
    assert np.array_equal(part, numbers((300, 517))[:100, :100])
    with pytest.raises(IntegrityError, match="s0/c/1/2"):
        read_label_plane(path)


def test_an_empty_part_is_a_file_too(tmp_path: Path) -> None:
    """Background that was written is never taken for a lost file, whichever way it was written."""
    frame = Frame((200, 150), np.int32, 0.5)
    path = create_labels(image(tmp_path, frame), "nuclei", frame)
    write_region(path, (slice(0, 200), slice(0, 150)), np.zeros((200, 150), np.int32))
    shrink_labels(path)
    assert read_label_plane(path).max() == 0


def test_labels_have_the_size_of_their_image(tmp_path: Path) -> None:
    """Labels of another shape are an error, and so is a name that is there."""
    frame = Frame((200, 150), np.int32, 0.5)
    path = create_labels(image(tmp_path, frame), "nuclei", frame)
    with pytest.raises(ImageError, match="size"):
        fill_labels(path, numbers((200, 151)))
    with pytest.raises(InputError, match="once"):
        create_labels(tmp_path / "image", "nuclei", frame)


@pytest.mark.parametrize(
    ("frame", "axes"),
    [
        (Frame((300, 517), np.int32, 0.5), "YX"),
        (Frame((260, 300), np.int32, 0.5, z_count=4, z_step_um=2.0), "ZYX"),
        (Frame((260, 300), np.int32, None, t_count=2, z_count=3, time_step_s=60.0), "TZYX"),
    ],
)
@pytest.mark.parametrize(("largest", "dtype"), [(60_000, "uint16"), (80_000, "int32")])
def test_labels_are_an_ome_tiff_that_others_read(tmp_path: Path, frame: Frame, axes: str, largest: int, dtype: str) -> None:
    """Every label comes back from a deflated, tiled OME-TIFF with its levels, in 16 bits where they fit, with the size of a pixel."""
    path = create_labels(image(tmp_path, frame), "nuclei", frame)
    counts = {"T": frame.t_count or 1, "Z": frame.z_count}
    labels = np.minimum(numbers((*(counts[axis] for axis in axes[:-2]), *frame.shape)), largest)
    for t in range(counts["T"]):
        fill_labels(path, labels[t] if "T" in axes else labels, (t,) if "T" in axes else ())
    target = tmp_path / tiff_name(0, "", "A01", 7)
    write_label_tiff(path, target, frame, name="A01 field 7", largest=largest)
    assert target == tmp_path / "tiff" / "A01_f007.ome.tiff"
    with tifffile.TiffFile(target) as tiff:
        (series,) = tiff.series
        assert (tiff.is_ome, series.axes, series.dtype, len(series.levels)) == (True, axes, np.dtype(dtype), 2)
        assert tiff.pages[0].compression.name == "ADOBE_DEFLATE"
        assert tiff.pages[0].is_tiled
        assert ('PhysicalSizeX="0.5"' in str(tiff.ome_metadata)) == (frame.pixel_size_um == 0.5)
        assert ('PhysicalSizeZ="2.0"' in str(tiff.ome_metadata)) == (frame.z_step_um == 2.0)
        assert np.array_equal(series.asarray(), labels)
        assert np.array_equal(series.levels[1].asarray(), labels[..., ::2, ::2][..., : frame.shape[0] // 2, : frame.shape[1] // 2])
    first = target.read_bytes()
    write_label_tiff(path, target, frame, name="A01 field 7", largest=largest)
    assert target.read_bytes() == first
    assert [each.name for each in target.parent.iterdir()] == [target.name]


@pytest.mark.parametrize("name", ["Series\x01\x00", "cells \udcff", "a\x1fb\ufffe"])
def test_a_name_that_xml_cannot_hold_harms_no_file(tmp_path: Path, name: str) -> None:
    """A microscope's name for an image may hold any character: what XML has none for becomes a blank, and others read the file."""
    frame = Frame((60, 70), np.int32, 0.5)
    path = create_labels(image(tmp_path, frame), "nuclei", frame)
    fill_labels(path, numbers(frame.shape))
    write_label_tiff(path, tmp_path / "labels.ome.tiff", frame, name=name, largest=1)
    with tifffile.TiffFile(tmp_path / "labels.ome.tiff") as tiff:
        found = tifffile.xml2dict(str(tiff.ome_metadata))["OME"]["Image"]["Name"]
        assert (len(found), found[0]) == (len(name), name[0])


def test_files_of_a_collection_are_named_by_number_and_name() -> None:
    """Whatever an image is called, its file has a name that any file system takes, and that no other image has."""
    assert tiff_name(2, "../Series 003: cells/1") == "tiff/0003_Series-003-cells-1.ome.tiff"
    assert tiff_name(3, "//") == "tiff/0004.ome.tiff"
