from __future__ import annotations

import csv
import hashlib
import os
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import yaozarrs

from coldchain.errors import ImageError, InputError, IntegrityError, LayoutError
from coldchain.imaging.conventions import BUILT_IN
from coldchain.imaging.convert import convert_plate, prove
from coldchain.imaging.nativetiff import read_tiff
from coldchain.imaging.platezarr import field_path, plate_info, read_plane

DATA = Path(os.environ.get("COLDCHAIN_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
Plane = np.ndarray[Any, Any]


def noise(seed: int, shape: tuple[int, int] = (200, 260), dtype: str = "uint16") -> Plane:
    """Make a plane that no other seed makes."""
    return np.random.default_rng(seed).integers(0, 250, shape).astype(dtype)


def acquire(folder: Path, **written: Any) -> Path:
    """Write 2 wells x 2 fields x 2 channels as an ImageXpress would."""
    folder.mkdir(parents=True)
    names = [f"P_{well}_s{field}_w{channel}.TIF" for well in ("A01", "B02") for field in (1, 2) for channel in (1, 2)]
    for seed, name in enumerate(names):
        tifffile.imwrite(folder / name, noise(seed), metadata=None, **written)
    return folder


def convert(source: Path, target: Path, **changed: Any) -> dict[str, Any]:
    """Convert with the parameters that most tests use."""
    given: dict[str, Any] = {
        "convention": BUILT_IN["imagexpress"],
        "channels": {1: "DNA", 2: "GFP"},
        "plate_name": "P",
        "pixel_size_um": 0.5,
    }
    return convert_plate(str(source), str(target), **(given | changed))


def test_every_pixel_arrives(tmp_path: Path) -> None:
    """Each native plane is found in the plate at its well, field and channel, pixel by pixel, and the plate is valid NGFF."""
    convert(acquire(tmp_path / "in"), tmp_path / "out")
    plate = tmp_path / "out" / "plate.ome.zarr"
    assert np.array_equal(read_plane(plate, "A01", 1, 0), noise(0))
    assert np.array_equal(read_plane(plate, "B02", 2, 1), noise(7))
    yaozarrs.validate_zarr_store(str(plate))


def test_the_result_says_what_was_done(tmp_path: Path) -> None:
    """Counts and sizes are returned as plain values, and progress is told field by field up to the end."""
    told: list[tuple[int, int]] = []
    result = convert(acquire(tmp_path / "in"), tmp_path / "out", progress=lambda done, total: told.append((done, total)))
    assert (result["wells"], result["fields"], result["channels"], result["planes"]) == (["A01", "B02"], [1, 2], ["DNA", "GFP"], 8)
    assert result["bytes_in"] == sum(file.stat().st_size for file in (tmp_path / "in").iterdir())
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_every_plane_has_its_digest_and_native_file(tmp_path: Path) -> None:
    """`planes.csv` holds the SHA-256 of each native plane, which anyone can compute from the native file again."""
    convert(acquire(tmp_path / "in"), tmp_path / "out")
    with (tmp_path / "out" / "planes.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 8
    for row in rows:
        assert row["sha256"] == hashlib.sha256(tifffile.imread(tmp_path / "in" / row["file"]).tobytes()).hexdigest()


def test_the_same_acquisition_gives_the_same_bytes(tmp_path: Path) -> None:
    """Converted twice, every file is the same, so that the artifact has the same name."""
    acquire(tmp_path / "in")
    for name in ("one", "two"):
        convert(tmp_path / "in", tmp_path / name)
    files = sorted(file.relative_to(tmp_path / "one") for file in (tmp_path / "one").rglob("*") if file.is_file())
    assert all((tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes() for file in files)


def test_native_metadata_is_kept_whole(tmp_path: Path) -> None:
    """What the instrument wrote into its first file, and the files beside the images, are found in the plate's attributes."""
    said = "exposure 30 ms; objective 20x\n" * 50 + "end"
    acquire(tmp_path / "in", description=said)
    (tmp_path / "in" / "protocol.txt").write_text("x")
    convert(tmp_path / "in", tmp_path / "out")
    notes = plate_info(tmp_path / "out" / "plate.ome.zarr").notes
    assert notes["native"]["tags"]["ImageDescription"] == said
    assert notes["native"]["file"] == "P_A01_s1_w1.TIF"
    assert notes["native"]["other_files"] == ["protocol.txt"]
    assert notes["corrected"] is False


@pytest.mark.parametrize("written", [{"byteorder": ">"}, {"compression": "zlib"}, {"rowsperstrip": 7}, {"tile": (16, 16)}])
def test_every_usual_kind_of_tiff_is_read(tmp_path: Path, written: dict[str, Any]) -> None:
    """Big-endian, compressed, striped and tiled files give the same pixels."""
    convert(acquire(tmp_path / "in", **written), tmp_path / "out")
    assert np.array_equal(read_plane(tmp_path / "out" / "plate.ome.zarr", "A01", 2, 0), noise(2))


def test_a_stack_is_converted_with_its_planes(tmp_path: Path) -> None:
    """An Operetta's planes in z become an axis of the image."""
    (tmp_path / "in").mkdir()
    for z in (1, 2, 3):
        tifffile.imwrite(tmp_path / "in" / f"r01c01f01p{z:02d}-ch1sk1fk1fl1.tiff", noise(z), metadata=None)
    convert(tmp_path / "in", tmp_path / "out", convention=BUILT_IN["operetta"], channels=None)
    assert np.array_equal(read_plane(tmp_path / "out" / "plate.ome.zarr", "A01", 1, 0, z=2), noise(3))


def cut(path: Path) -> None:
    """Leave two thirds of a file, as a broken copy does."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


def empty(path: Path) -> None:
    """Leave nothing."""
    path.write_bytes(b"")


def scramble(path: Path) -> None:
    """Leave something that is no TIFF."""
    path.write_bytes(b"II*\0" + bytes(range(256)) * 10)


def set_tag(path: Path, code: int, value: int) -> None:
    """Write another value into one number of a little-endian TIFF's header."""
    with tifffile.TiffFile(path) as tiff:
        tag = tiff.pages.first.tags[code]
        place, kind = tag.valueoffset, {3: "<H", 4: "<I"}[int(tag.dtype)]
    with path.open("r+b") as file:
        file.seek(place)
        file.write(struct.pack(kind, value))


def lose_strip(path: Path) -> None:
    """Say that the strip of pixels is nowhere, which tifffile would read as zeros."""
    set_tag(path, 273, 0)


def claim_size(path: Path) -> None:
    """Say that the image is 60,000 pixels high and wide."""
    set_tag(path, 256, 60_000)
    set_tag(path, 257, 60_000)


def claim_rows(path: Path) -> None:
    """Say that the image is a little higher than the file has bytes for."""
    set_tag(path, 257, 240)


def two_pages(path: Path) -> None:
    """Make a file of two images."""
    tifffile.imwrite(path, np.stack([noise(1), noise(2)]), photometric="minisblack", metadata=None)


def colours(path: Path) -> None:
    """Make a colour photograph."""
    tifffile.imwrite(path, np.zeros((200, 260, 3), np.uint8), photometric="rgb", metadata=None)


def doubles(path: Path) -> None:
    """Make an image of 64-bit floats."""
    tifffile.imwrite(path, np.zeros((200, 260)), metadata=None)


def smaller(path: Path) -> None:
    """Make an image smaller than the others."""
    tifffile.imwrite(path, noise(3, (100, 100)), metadata=None)


def shallower(path: Path) -> None:
    """Make an image of 8 bits where the others have 16."""
    tifffile.imwrite(path, noise(3, dtype="uint8"), metadata=None)


@pytest.mark.parametrize(
    "damage", [cut, empty, scramble, lose_strip, claim_size, claim_rows, two_pages, colours, doubles, smaller, shallower]
)
@pytest.mark.parametrize("name", ["P_A01_s1_w1.TIF", "P_B02_s1_w2.TIF"])
def test_a_damaged_image_is_named(tmp_path: Path, damage: Callable[[Path], None], name: str) -> None:
    """A truncated, corrupt, absurd or different image is an error that names a file, and nothing native is touched."""
    acquire(tmp_path / "in")
    damage(tmp_path / "in" / name)
    before = {file: file.read_bytes() for file in (tmp_path / "in").iterdir()}
    differs = damage in {smaller, shallower} and name == "P_A01_s1_w1.TIF"  # then the second is unlike the first
    with pytest.raises(ImageError, match="P_A01_s1_w2" if differs else name[:-4]):
        convert(tmp_path / "in", tmp_path / "out")
    assert before == {file: file.read_bytes() for file in (tmp_path / "in").iterdir()}


def test_a_small_file_cannot_ask_for_a_great_image(tmp_path: Path) -> None:
    """A compressed file of a few kilobytes that says it is gigabytes is an error before memory is asked for."""
    path = tmp_path / "bomb.tif"
    tifffile.imwrite(path, np.zeros((64, 64), np.uint8), compression="zlib", metadata=None)
    set_tag(path, 256, 40_000)
    set_tag(path, 257, 40_000)
    with pytest.raises(ImageError, match="cannot be true"):
        read_tiff(path)


def test_a_missing_codec_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A compression that this installation cannot read is told apart from damage."""
    path = tmp_path / "lzw.tif"
    tifffile.imwrite(path, noise(1), compression="zlib", metadata=None)
    set_tag(path, 259, 34887)  # LERC, which only imagecodecs reads
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    with pytest.raises(ImageError, match="codec"):
        read_tiff(path)


def test_a_plane_that_comes_back_otherwise_is_named() -> None:
    """One changed pixel, another type or another shape on the way back is an error with the place and both digests."""
    plane = noise(1)
    changed = plane.copy()
    changed[-1, -1] += 1
    digest = hashlib.sha256(plane.data).hexdigest()
    prove(plane, plane.copy(), on="A01", sha256=digest)
    for back in (changed, plane[:-1], plane.astype(np.uint32)):
        with pytest.raises(IntegrityError, match="B02 field 1 channel DNA") as caught:
            prove(plane, back, on="B02 field 1 channel DNA", sha256=digest)
        assert caught.value.expected == digest
        assert len(str(caught.value.got)) == 64


def test_a_disk_that_lies_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plane whose file is changed between writing and reading back stops the conversion, and the place is named."""
    import zarr

    genuine = zarr.Array.__getitem__

    def flip(array: Any, selection: Any) -> Any:
        pixels = np.array(genuine(array, selection))
        pixels.flat[0] ^= 1
        return pixels

    monkeypatch.setattr(zarr.Array, "__getitem__", flip)
    with pytest.raises(IntegrityError, match="A01 field 1 channel DNA plane 1"):
        convert(acquire(tmp_path / "in"), tmp_path / "out")


def test_floats_with_nan_are_proven_by_their_bytes(tmp_path: Path) -> None:
    """A plane of floats that holds NaN comes back the same and is not an error, though NaN is not equal to itself."""
    (tmp_path / "in").mkdir()
    plane = noise(1).astype(np.float32)
    plane[0, 0] = np.nan
    tifffile.imwrite(tmp_path / "in" / "P_A01_s1_w1.TIF", plane, metadata=None)
    convert(tmp_path / "in", tmp_path / "out", channels={1: "DNA"})
    assert np.isnan(read_plane(tmp_path / "out" / "plate.ome.zarr", "A01", 1, 0)[0, 0])


def test_a_target_in_use_is_refused(tmp_path: Path) -> None:
    """A folder that holds something is an error, and what it holds stays."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("x")
    with pytest.raises(InputError, match="new"):
        convert(acquire(tmp_path / "in"), tmp_path / "out")
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["mine"]


@pytest.mark.parametrize("size", [0.0, -1.0, float("nan"), float("inf"), 1000.0])
def test_the_size_of_a_pixel_is_possible(tmp_path: Path, size: float) -> None:
    """A pixel of no size, or of a millimetre, is an error before anything is written."""
    with pytest.raises(InputError, match="size of a pixel"):
        convert(acquire(tmp_path / "in"), tmp_path / "out", pixel_size_um=size)
    assert not (tmp_path / "out").exists()


def test_an_incomplete_plate_is_refused_before_writing(tmp_path: Path) -> None:
    """A missing image is an error while the target does not exist yet."""
    (acquire(tmp_path / "in") / "P_B02_s1_w2.TIF").unlink()
    with pytest.raises(LayoutError, match="B02 field 1 channel 2"):
        convert(tmp_path / "in", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_real_images_of_three_channels_arrive(tmp_path: Path) -> None:
    """HT-29 cells in three channels, two of them packed (PackBits), are the same pixels in the plate."""
    if not (DATA / "ht29").is_dir():
        pytest.skip(f"real plate images are not at {DATA}")
    convert(DATA / "ht29", tmp_path / "out", convention=BUILT_IN["roche"], channels={0: "DNA", 1: "pH3", 2: "Actin"}, pixel_size_um=None)
    plate = tmp_path / "out" / "plate.ome.zarr"
    for index in range(3):
        native = tifffile.imread(DATA / "ht29" / f"AS_09125_050116030001_D03f00d{index}.tif")
        assert np.array_equal(read_plane(plate, "D03", 0, index), native)
    assert field_path(plate, "D03", 0).is_dir()
