from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaozarrs

from coldchain.errors import ImageError, InputError, IntegrityError, LayoutError, OutOfSpace
from coldchain.imaging.fieldzarr import FieldWriter, read_frame, translated
from coldchain.imaging.platezarr import (
    create_plate,
    field_path,
    iter_fields,
    plate_info,
    read_labels,
    read_plane,
    write_field,
    write_labels,
)
from coldchain.imaging.pyramid import Frame, halve, level_shapes

CHANNELS = ("DNA", "GFP")
SHAPE = (300, 520)


def noise(seed: int, shape: tuple[int, int] = SHAPE) -> np.ndarray[Any, Any]:
    """Make a plane that no other seed makes."""
    return np.random.default_rng(seed).integers(0, 4000, shape, dtype=np.uint16)


def new_plate(target: Path, wells: tuple[str, ...] = ("A01", "B12"), fields: tuple[int, ...] = (3, 7)) -> Path:
    """Make a plate of two wells and two fields, without images."""
    return create_plate(target, name="P", wells=wells, fields=fields, channels=CHANNELS, pixel_size_um=0.5)


def fill(plate: Path, well: str, field: int, seed: int) -> Path:
    """Write one field of noise."""
    planes = ((index, noise(seed + index)) for index in range(2))
    return write_field(plate, well, field, planes, channels=CHANNELS, dtype="uint16", shape=SHAPE, pixel_size_um=0.5)


def fill_all(plate: Path) -> Path:
    """Write every field, each with noise of its own."""
    for seed, ref in enumerate(iter_fields(plate)):
        fill(plate, ref.well, ref.field, 10 * seed)
    return plate


def metadata(group: Path) -> dict[str, Any]:
    """Read the NGFF metadata of a group."""
    found: dict[str, Any] = json.loads((group / "zarr.json").read_text())["attributes"]["ome"]
    return found


def test_planes_come_back_as_they_went(tmp_path: Path) -> None:
    """Every pixel of every channel is read back as it was written, from the field that the instrument numbered."""
    plate = fill_all(new_plate(tmp_path / "p"))
    assert np.array_equal(read_plane(plate, "B12", 7, 1), noise(31))
    assert np.array_equal(read_plane(plate, "A01", 3, 0, level=1), halve(noise(0)))


def test_the_plate_is_valid_ngff(tmp_path: Path) -> None:
    """A validator of OME-NGFF 0.5 that is not ours accepts plate, wells, fields and labels."""
    plate = fill_all(new_plate(tmp_path / "p"))
    write_labels(plate, "A01", 3, "nuclei", np.ones(SHAPE, np.int32), pixel_size_um=0.5)
    yaozarrs.validate_zarr_store(str(plate))
    yaozarrs.validate_zarr_store(str(field_path(plate, "A01", 3)))
    yaozarrs.validate_zarr_store(str(field_path(plate, "A01", 3) / "labels"))
    yaozarrs.validate_zarr_store(str(field_path(plate, "A01", 3) / "labels" / "nuclei"))


def test_a_plane_is_one_file(tmp_path: Path) -> None:
    """A plane of several chunks is one shard, so that a plate costs one inode a plane and level."""
    plate = new_plate(tmp_path / "p", ("A01",), (1,))
    shape = (1200, 2300)
    path = write_field(plate, "A01", 1, [(0, noise(1, shape))], channels=("DNA",), dtype="uint16", shape=shape, pixel_size_um=None)
    assert len([file for file in (path / "s0" / "c").rglob("*") if file.is_file()]) == 1
    assert np.array_equal(read_plane(plate, "A01", 1, 0), noise(1, shape))


def test_the_same_images_give_the_same_bytes(tmp_path: Path) -> None:
    """Two plates of the same images are the same files, byte by byte, so that an artifact has one name."""
    one, two = (fill_all(new_plate(tmp_path / name)) for name in ("one", "two"))
    files = sorted(file.relative_to(one) for file in one.rglob("*") if file.is_file())
    assert files == sorted(file.relative_to(two) for file in two.rglob("*") if file.is_file())
    assert all((one / file).read_bytes() == (two / file).read_bytes() for file in files)


def test_what_the_plate_says_of_itself(tmp_path: Path) -> None:
    """Name, wells in plate order, fields, channels, pixel size and our notes are read from the metadata alone."""
    wells, notes = ["AA01", "B10", "B02"], {"corrected": True}
    plate = create_plate(tmp_path / "p", name="P-1", wells=wells, fields=[5], channels=CHANNELS, pixel_size_um=0.3, notes=notes)
    info = plate_info(plate)
    assert (info.name, info.wells, info.fields) == ("P-1", ("B02", "B10", "AA01"), (5,))
    assert (info.channels, info.pixel_size_um, info.notes["corrected"]) == (CHANNELS, 0.3, True)
    assert [(ref.well, ref.path.relative_to(plate).as_posix()) for ref in iter_fields(plate)] == [
        ("B02", "B/2/0"),
        ("B10", "B/10/0"),
        ("AA01", "AA/1/0"),
    ]


def test_scales_are_micrometres_and_levels_lie_on_each_other(tmp_path: Path) -> None:
    """A level's pixel is twice as wide, and its first centre lies between those of the pixels it is the mean of."""
    plate = fill_all(new_plate(tmp_path / "p"))
    image = metadata(field_path(plate, "A01", 3))["multiscales"][0]
    assert image["axes"][-1] == {"name": "x", "type": "space", "unit": "micrometer"}
    assert image["datasets"][0]["coordinateTransformations"] == [{"type": "scale", "scale": [1.0, 0.5, 0.5]}]
    assert image["datasets"][1]["coordinateTransformations"] == [
        {"type": "scale", "scale": [1.0, 1.0, 1.0]},
        {"type": "translation", "translation": [0.0, 0.25, 0.25]},
    ]


def test_a_shrunk_picture_has_the_scale_of_its_pixels(tmp_path: Path) -> None:
    """A preview at a quarter of the width lies where the full image lies, with labels at full size beside it."""
    plate = new_plate(tmp_path / "p")
    path = write_field(plate, "A01", 3, [(0, noise(1))], channels=("DNA",), dtype="uint16", shape=SHAPE, pixel_size_um=0.5, shrink=4)
    assert metadata(path)["multiscales"][0]["datasets"][0]["coordinateTransformations"] == [
        {"type": "scale", "scale": [1.0, 2.0, 2.0]},
        {"type": "translation", "translation": [0.0, 0.75, 0.75]},
    ]


def test_channels_have_names_colours_and_windows(tmp_path: Path) -> None:
    """A viewer finds each channel's name, its usual colour, and from which to which grey level to show it."""
    plate = fill_all(new_plate(tmp_path / "p"))
    dna, gfp = metadata(field_path(plate, "A01", 3))["omero"]["channels"]
    assert (dna["label"], dna["color"], gfp["label"], gfp["color"]) == ("DNA", "0000FF", "GFP", "00FF00")
    assert 0 < dna["window"]["start"] < dna["window"]["end"] < 4000


def test_a_stack_keeps_its_planes(tmp_path: Path) -> None:
    """With more than one plane in z, each is found again by its channel and index."""
    plate = new_plate(tmp_path / "p")
    with FieldWriter(field_path(plate, "A01", 3), CHANNELS, Frame(SHAPE, np.uint16, 0.5, z_count=3)) as writer:
        for channel in range(2):
            for z in range(3):
                writer.write(noise(10 * channel + z), channel, z)
    assert np.array_equal(read_plane(plate, "A01", 3, 1, z=2), noise(12))
    assert read_frame(field_path(plate, "A01", 3), 0.5).z_count == 3
    yaozarrs.validate_zarr_store(str(field_path(plate, "A01", 3)))


def test_labels_stay_labels_in_every_level(tmp_path: Path) -> None:
    """A smaller level of labels takes pixels and never a mean, so that no label is invented."""
    plate = fill_all(new_plate(tmp_path / "p"))
    labels = np.zeros((512, 600), np.int64)
    labels[100:200, 100:200], labels[100:200, 200:300] = 7, 1_000_000
    path = write_labels(plate, "A01", 3, "nuclei", labels, pixel_size_um=0.5)
    assert read_labels(plate, "A01", 3, "nuclei").dtype == np.int32
    assert np.array_equal(read_labels(plate, "A01", 3, "nuclei"), labels)
    assert np.unique(read_labels(plate, "A01", 3, "nuclei", level=2)).tolist() == [0, 7, 1_000_000]
    assert metadata(path.parent) == {"version": "0.5", "labels": ["nuclei"]}


FILLS_ONE_FIELD = """
import sys, numpy as np
from coldchain.imaging.platezarr import write_field
plate, well, field, *planes = sys.argv[1:]
kind = {"channels": ("DNA", "GFP"), "dtype": "uint16", "shape": (300, 520), "pixel_size_um": 0.5}
write_field(plate, well, int(field), enumerate(map(np.load, planes)), **kind)
"""


def test_fields_are_written_by_many_processes_at_once(tmp_path: Path) -> None:
    """Workers that write different fields at the same time leave what one worker would have left."""
    plate = new_plate(tmp_path / "many")
    workers = []
    for seed, ref in enumerate(iter_fields(plate)):
        planes = [tmp_path / f"{seed}-{index}.npy" for index in range(2)]
        for index, plane in enumerate(planes):
            np.save(plane, noise(10 * seed + index))
        workers.append(subprocess.Popen([sys.executable, "-c", FILLS_ONE_FIELD, str(plate), ref.well, str(ref.field), *map(str, planes)]))
    assert [worker.wait(timeout=120) for worker in workers] == [0] * 4
    alone = fill_all(new_plate(tmp_path / "alone"))
    files = sorted(file.relative_to(alone) for file in alone.rglob("*") if file.is_file())
    assert all((plate / file).read_bytes() == (alone / file).read_bytes() for file in files)


def test_a_lost_file_is_not_a_black_image(tmp_path: Path) -> None:
    """Zarr gives zeros for a file that is gone; we raise, and name the file."""
    plate = fill_all(new_plate(tmp_path / "p"))
    lost = field_path(plate, "A01", 3) / "s0" / "c" / "1" / "0" / "0"
    lost.unlink()
    with pytest.raises(IntegrityError, match="s0/c/1/0/0"):
        read_plane(plate, "A01", 3, 1)


def test_a_black_plane_is_a_file(tmp_path: Path) -> None:
    """A plane of zeros is written out, so that a lost file is never taken for it."""
    plate = new_plate(tmp_path / "p")
    black = np.zeros(SHAPE, np.uint16)
    write_field(plate, "A01", 3, [(0, black)], channels=("DNA",), dtype="uint16", shape=SHAPE, pixel_size_um=None)
    assert np.array_equal(read_plane(plate, "A01", 3, 0), black)


def test_a_truncated_file_is_an_error(tmp_path: Path) -> None:
    """A plane whose file was cut short is an error that names the file, and never a picture."""
    plate = fill_all(new_plate(tmp_path / "p"))
    file = field_path(plate, "A01", 3) / "s0" / "c" / "0" / "0" / "0"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(IntegrityError, match="s0/c/0/0/0"):
        read_plane(plate, "A01", 3, 0)


def test_a_plate_is_never_written_over(tmp_path: Path) -> None:
    """A second plate, field or label of the same name is an error, and the first stays."""
    plate = fill_all(new_plate(tmp_path / "p"))
    write_labels(plate, "A01", 3, "nuclei", np.ones(SHAPE, np.int32), pixel_size_um=None)
    for again in (
        lambda: new_plate(tmp_path / "p"),
        lambda: fill(plate, "A01", 3, 99),
        lambda: write_labels(plate, "A01", 3, "nuclei", np.zeros(SHAPE, np.int32), pixel_size_um=None),
    ):
        with pytest.raises(InputError, match="once"):
            again()
    assert np.array_equal(read_plane(plate, "A01", 3, 0), noise(0))
    assert read_labels(plate, "A01", 3, "nuclei").all()


@pytest.mark.parametrize("well", ["../A01", "A00", "1A", "A01/B01", "AAA01", "A/1", "a01", ""])
def test_a_well_that_is_a_path_is_refused(tmp_path: Path, well: str) -> None:
    """A well name becomes a folder: anything but letters and digits is an error before a folder is made."""
    with pytest.raises(LayoutError):
        new_plate(tmp_path / "p", (well,))
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize("lists", [{"wells": ()}, {"wells": ("A01", "A01")}, {"fields": ()}, {"fields": (1, 1)}])
def test_a_plate_has_different_wells_and_fields(tmp_path: Path, lists: dict[str, Any]) -> None:
    """No well, no field, or one twice, is an error."""
    with pytest.raises(LayoutError, match="each once"):
        new_plate(tmp_path / "p", **lists)


def test_a_field_that_the_plate_lacks_is_refused(tmp_path: Path) -> None:
    """A well or field number outside of the plate is an error, also where a folder of that name could be made."""
    plate = new_plate(tmp_path / "p")
    for well, field in (("C01", 3), ("A01", 0)):
        with pytest.raises(LayoutError, match="no such field"):
            field_path(plate, well, field)


@pytest.mark.parametrize("place", [{"channel": 2}, {"channel": -1}, {"channel": 0, "level": 9}])
def test_a_plane_that_the_field_lacks_is_refused(tmp_path: Path, place: dict[str, int]) -> None:
    """A channel or level outside of the field is an error, and not another plane."""
    plate = fill_all(new_plate(tmp_path / "p"))
    with pytest.raises(LayoutError):
        read_plane(plate, "A01", 3, **place)


@pytest.mark.parametrize("plane", [noise(0, (10, 10)), noise(0).astype(np.int32), noise(0).astype(np.float32)])
def test_planes_of_a_field_are_alike(tmp_path: Path, plane: np.ndarray[Any, Any]) -> None:
    """Another shape or type of pixel is an error, and is not converted silently."""
    plate = new_plate(tmp_path / "p")
    with pytest.raises(ImageError, match="differ"):
        write_field(plate, "A01", 3, [(0, plane)], channels=("DNA",), dtype="uint16", shape=SHAPE, pixel_size_um=None)


def test_a_field_has_all_its_channels(tmp_path: Path) -> None:
    """A channel that was never written is an error, and an index beyond the channels too."""
    plate = new_plate(tmp_path / "p")
    with pytest.raises(ImageError, match="lacks planes"):
        write_field(plate, "A01", 3, [(0, noise(0))], channels=CHANNELS, dtype="uint16", shape=SHAPE, pixel_size_um=None)
    with pytest.raises(ImageError, match="No such plane"):
        write_field(plate, "A01", 7, [(2, noise(0))], channels=CHANNELS, dtype="uint16", shape=SHAPE, pixel_size_um=None)


@pytest.mark.parametrize("labels", [np.zeros((4, 4)), np.zeros((2, 2, 4, 4), np.int32), np.full((4, 4), -1), np.full((4, 4), 2**31)])
def test_labels_are_whole_numbers_that_fit(tmp_path: Path, labels: np.ndarray[Any, Any]) -> None:
    """Fractions, a fourth axis, negative labels and labels beyond 31 bits are errors."""
    plate = fill_all(new_plate(tmp_path / "p"))
    with pytest.raises(ImageError, match="label"):
        write_labels(plate, "A01", 3, "nuclei", labels, pixel_size_um=None)


@pytest.mark.parametrize("name", ["../x", "a/b", "", "a\n", "x" * 65])
def test_the_name_of_labels_is_plain(tmp_path: Path, name: str) -> None:
    """A label's name becomes a folder: only letters, digits, - and _ are taken."""
    plate = fill_all(new_plate(tmp_path / "p"))
    with pytest.raises(InputError, match="Not a name"):
        write_labels(plate, "A01", 3, name, np.zeros(SHAPE, np.int32), pixel_size_um=None)


NO_PLATES = [
    "",
    "[]",
    '{"attributes": 3}',
    '{"attributes": {"ome": {}}}',
    '{"attributes": {"ome": {"plate": {"wells": 3}}, "coldchain": {}}}',
]


@pytest.mark.parametrize("text", NO_PLATES)
def test_what_is_no_plate_is_refused(tmp_path: Path, text: str) -> None:
    """Metadata that is empty, cut or of another kind is an error that names the folder."""
    (tmp_path / "zarr.json").write_text(text)
    with pytest.raises(LayoutError, match="Not"):
        plate_info(tmp_path)


def test_metadata_cannot_point_out_of_the_plate(tmp_path: Path) -> None:
    """A well path with `..` in a plate's metadata is an error before anything is read there."""
    plate = new_plate(tmp_path / "p", ("A01",))
    described = json.loads((plate / "zarr.json").read_text())
    described["attributes"]["ome"]["plate"]["wells"][0]["path"] = "../1"
    (plate / "zarr.json").write_text(json.dumps(described))
    with pytest.raises(LayoutError):
        plate_info(plate)


def test_a_full_disk_is_out_of_space(tmp_path: Path) -> None:
    """What a file system says when it is full becomes an error that may pass; other words of it stay."""
    with pytest.raises(OutOfSpace, match="free space"), translated(tmp_path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(PermissionError), translated(tmp_path):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def test_pyramids_end_at_128_pixels_or_four_levels() -> None:
    """Levels halve until the shorter side would fall under 128 px, and are four at most."""
    assert level_shapes((100, 100)) == [(100, 100)]
    assert level_shapes((512, 520)) == [(512, 520), (256, 260), (128, 130)]
    assert len(level_shapes((9000, 9000))) == 4


@pytest.mark.parametrize(("dtype", "top"), [("uint8", 255), ("uint16", 65535), ("int32", 2**31 - 1), ("float32", 1.0)])
def test_halving_is_the_mean_of_four_without_overflow(dtype: str, top: float) -> None:
    """Four full pixels give a full pixel, whatever the type; an odd last row is left out."""
    assert (halve(np.full((5, 4), top, dtype)) == np.full((2, 2), top, dtype)).all()
    assert halve(np.array([[0, 1], [1, 1]], dtype)).tolist() == [[0.75 if dtype == "float32" else 1]]
