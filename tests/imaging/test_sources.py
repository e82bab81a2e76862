"""Readers of instruments' formats: the planes that were written, the words that were said, and damage that is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from coldchain.errors import ImageError, InputError
from coldchain.imaging.sources.opening import OPAQUE, READERS, ending, open_source
from coldchain.imaging.sources.source import Channel, Image, believed, named, positive
from coldchain.testing import microscopes

SHAPE = (2, 2, 3, 40, 50)
CHANNELS = ["DAPI", "GFP"]
WRITERS: dict[str, Callable[[Path, Any], None]] = {
    "made.czi": lambda path, data: microscopes.write_czi(path, [data], channels=CHANNELS),
    "made.ims": lambda path, data: microscopes.write_ims(path, data, channels=CHANNELS),
    "made.ome.tiff": lambda path, data: microscopes.write_ome_tiff(path, [data], channels=CHANNELS),
    "made.ome.zarr": lambda path, data: microscopes.write_ome_zarr(path, data, channels=CHANNELS),
    "older.ome.zarr": lambda path, data: microscopes.write_ome_zarr(path, data, channels=CHANNELS, version="0.4"),
}


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("name", WRITERS)
def test_each_plane_is_the_one_that_was_written(tmp_path: Path, name: str, dtype: str) -> None:
    """Every plane of every format, and what it says of channels and sizes."""
    data = microscopes.pixels(SHAPE, dtype=dtype)
    WRITERS[name](tmp_path / name, data)
    with open_source(tmp_path / name) as source:
        (image,) = source.images
        assert (image.shape, image.dtype) == (SHAPE, dtype)
        assert [channel.name for channel in image.channels] == CHANNELS
        assert image.pixel_size_um == pytest.approx((2.0, 0.5, 0.5))
        for t, c, z in image.planes:
            np.testing.assert_array_equal(source.plane(0, t, c, z), data[t, c, z], strict=True)
        assert all(source.metadata().values())


TIMED = {"made.ims": 10.0, "made.ome.tiff": 3.0, "made.ome.zarr": 3.0, "older.ome.zarr": 3.0}


@pytest.mark.parametrize("name", TIMED)
def test_the_time_between_two_moments_is_told(tmp_path: Path, name: str) -> None:
    """Where the format says it."""
    WRITERS[name](tmp_path / name, microscopes.pixels(SHAPE))
    with open_source(tmp_path / name) as source:
        assert source.images[0].time_step_s == pytest.approx(TIMED[name])


@pytest.mark.parametrize("name", ["made.czi", "made.ims", "made.ome.tiff"])
@pytest.mark.parametrize("left", [0, 200, 0.5, 0.97])
def test_a_truncated_file_is_an_error_that_names_it(tmp_path: Path, name: str, left: float) -> None:
    """Cut off at its beginning, in the middle, or near its end: an error of ours, at the latest when the plane is read."""
    whole = tmp_path / name
    WRITERS[name](whole, microscopes.pixels(SHAPE))
    content = whole.read_bytes()
    whole.write_bytes(content[: int(left if left > 1 else left * len(content))])
    with pytest.raises(ImageError, match=name):
        read_all(whole)


@pytest.mark.parametrize("name", ["made.czi", "made.ims", "made.ome.tiff"])
def test_what_is_something_else_is_an_error_that_names_it(tmp_path: Path, name: str) -> None:
    """A file whose ending says another thing than its bytes."""
    (tmp_path / name).write_bytes(b"<html>not found</html>" * 100)
    with pytest.raises(ImageError, match=name):
        read_all(tmp_path / name)


def read_all(path: Path) -> None:
    """Read every plane."""
    with open_source(path) as source:
        for number, image in enumerate(source.images):
            for t, c, z in image.planes:
                source.plane(number, t, c, z)


def test_a_plane_that_was_never_acquired_is_missing(tmp_path: Path) -> None:
    """Zeiss' library would give black for it."""
    from pylibCZIrw import czi

    path, data = tmp_path / "cut.czi", microscopes.pixels((1, 1, 3, 20, 20))
    with czi.create_czi(str(path)) as file:
        for z in (0, 2):
            file.write(data[0, 0, z][..., None], plane={"T": 0, "C": 0, "Z": z})
    with open_source(path) as source:
        np.testing.assert_array_equal(source.plane(0, 0, 0, 2), data[0, 0, 2])
        with pytest.raises(ImageError, match="A plane is missing"):
            source.plane(0, 0, 0, 1)


def test_scenes_and_series_are_images(tmp_path: Path) -> None:
    """Each with its own pixels, in the file's order."""
    first, second = (microscopes.pixels((1, 1, 1, 30, 30), seed=seed) for seed in (1, 2))
    microscopes.write_czi(tmp_path / "two.czi", [first, second], channels=["A"])
    microscopes.write_ome_tiff(tmp_path / "two.ome.tif", [first, second], channels=["A"])
    for name in ("two.czi", "two.ome.tif"):
        with open_source(tmp_path / name) as source:
            assert len({image.name for image in source.images}) == 2
            for number, data in enumerate((first, second)):
                np.testing.assert_array_equal(source.plane(number, 0, 0, 0), data[0, 0, 0])


def test_colours_of_a_camera_are_channels(tmp_path: Path) -> None:
    """A colour image has three channels, red first, whatever the file's order."""
    import tifffile
    from pylibCZIrw import czi

    red, green, blue = (microscopes.pixels((1, 1, 1, 20, 20), seed=seed, dtype="uint8")[0, 0, 0] for seed in (1, 2, 3))
    with czi.create_czi(str(tmp_path / "colour.czi")) as file:
        file.write(np.stack([blue, green, red], -1), plane={"C": 0})
    tifffile.imwrite(tmp_path / "colour.ome.tif", np.stack([red, green, blue], -1), photometric="rgb", ome=True)
    for name in ("colour.czi", "colour.ome.tif"):
        with open_source(tmp_path / name) as source:
            assert [channel.name for channel in source.images[0].channels] == ["Red", "Green", "Blue"]
            for number, plane in enumerate((red, green, blue)):
                np.testing.assert_array_equal(source.plane(0, 0, number, 0), plane)


def test_real_nikon_files_say_what_nikons_own_software_showed(shared_data: Path) -> None:
    """Sizes and steps of every file in the collection, as they were written down beside it."""
    known = yaml.safe_load((shared_data / "nikon" / "known-metadata.yml").read_text())
    for name, channels in known.items():
        if not (shared_data / "nikon" / name).is_file():
            continue
        with open_source(shared_data / "nikon" / name) as source:
            (image,) = source.images
            assert len(image.channels) == len(channels)
            said = next(iter(channels.values()))["resolution"]
            assert image.shape[-2:] == (said["y_size_px"], said["x_size_px"])
            assert image.shape[2] == said["z_size_px"]
            assert image.pixel_size_um[2] == pytest.approx(said["xy_step_um"])
            assert image.acquired_at is not None
            assert image.position_um is not None
            assert "<OME" in source.metadata()["ome.xml"]
            assert source.plane(0, image.shape[0] - 1, 0, 0).any()


def test_a_real_nikon_file_that_was_cut_off_is_an_error(shared_data: Path, tmp_path: Path) -> None:
    """Near its end, in the middle, at its beginning."""
    content = (shared_data / "nikon" / "example-zstack.nd2").read_bytes()
    for left in (0, 100, len(content) // 2, len(content) - 1000):
        (tmp_path / "cut.nd2").write_bytes(content[:left])
        with pytest.raises(ImageError, match=r"cut\.nd2"):
            read_all(tmp_path / "cut.nd2")


def test_a_real_leica_xz_scan_is_read(shared_data: Path) -> None:
    """Which some readers refuse: every plane, against the library's own whole array."""
    import liffile

    path = shared_data / "leica" / "xz-example.lif"
    with open_source(path) as source, liffile.LifFile(path) as file:
        assert [image.shape for image in source.images] == [(20, 2, 128, 1, 128), (1, 2, 128, 23, 128), (1, 2, 512, 1, 512)]
        whole = np.moveaxis(file.images[1].asarray(), 0, 2)  # (y, c, z, x) as (c, z, y, x)
        for c, z in np.ndindex(2, 128):
            np.testing.assert_array_equal(source.plane(1, 0, c, z), whole[c, z])
        assert [channel.colour for channel in source.images[0].channels] == ["00FF00", "FF0000"]
        assert source.images[0].time_step_s == pytest.approx(0.53)
        assert "LMSDataContainerHeader" in source.metadata()["leica.xml"]


def test_a_real_leica_file_that_was_cut_off_is_an_error(shared_data: Path, tmp_path: Path) -> None:
    """What is missing of its last image is noticed when it is opened, not when somebody looks."""
    content = (shared_data / "leica" / "xz-example.lif").read_bytes()
    for left in (0, 100, len(content) // 2, len(content) - 1000):
        (tmp_path / "cut.lif").write_bytes(content[:left])
        with pytest.raises(ImageError, match=r"cut\.lif"):
            read_all(tmp_path / "cut.lif")


# what is believed


@pytest.mark.parametrize("shape", [(0, 1, 1, 9, 9), (1, 1, 1, 0, 9), (1, 1, 1, 60_000, 60_000), (10**5, 1, 10**3, 9, 9)])
def test_a_size_that_cannot_be_true_is_not_believed(tmp_path: Path, shape: tuple[int, int, int, int, int]) -> None:
    """Nothing is asked for that a header says beyond what an instrument makes."""
    with pytest.raises(ImageError, match="cannot be true"):
        believed(tmp_path, Image("i", shape, "uint8", (Channel("c"),)))


def test_a_type_of_pixel_that_no_camera_gives_is_not_believed(tmp_path: Path) -> None:
    """Complex numbers, for one; and as many channels as the image says."""
    with pytest.raises(ImageError, match="Not a type of pixel"):
        believed(tmp_path, Image("i", (1, 1, 1, 9, 9), "complex64", (Channel("c"),)))
    with pytest.raises(ImageError, match="not as many"):
        believed(tmp_path, Image("i", (1, 2, 1, 9, 9), "uint8", (Channel("c"),)))


def test_names_of_channels_are_each_once() -> None:
    """A second one of a name gets its number; one without a name is numbered."""
    assert named(["GFP", " ", "GFP", "a\n b"]) == ("GFP", "Ch2", "GFP 3", "a b")


@pytest.mark.parametrize(("said", "size"), [(1.5, 1.5), ("0.25", 0.25), (0, None), (-1, None), ("nan", None), ("wide", None), (None, None)])
def test_a_size_is_a_positive_number(said: Any, size: float | None) -> None:
    """Or it is not known."""
    assert positive(said) == size


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("A.CZI", ".czi"),
        ("a.ome.tif", ".ome.tif"),
        ("a.tif", ""),
        (".czi", ""),
        ("reads.fastq.gz", ".fastq.gz"),
        ("a.POD5", ".pod5"),
        ("a.zip", ""),
    ],
)
def test_a_file_is_known_by_its_ending(name: str, found: str) -> None:
    """Whatever its case; a name that is nothing but an ending is none."""
    assert ending(name) == found


def test_what_no_reader_is_known_for_is_said(tmp_path: Path) -> None:
    """With the endings that there are readers for; sequencing data are none of them."""
    with pytest.raises(InputError, match=r"\.czi"):
        open_source(tmp_path / "a.xyz")
    assert not set(OPAQUE) & READERS.keys()
