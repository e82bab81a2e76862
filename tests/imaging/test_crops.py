"""Pictures of single cells: centred, padded, in the order of their index."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import zarr

from coldchain.errors import ImageError, InputError, IntegrityError, LayoutError
from coldchain.imaging import crops
from coldchain.imaging.crops import CROPS, INDEX, PIXELS, ROW, crop_field, cut, join_crops, prepare_crops


def parts(known: Any, folder: Path, **more: Any) -> list[str]:
    """Crop every field of a plate and return the parts."""
    return [crop_field(item)["part"] for item in prepare_crops(known.corrected, known.masks, str(folder), **more)]


def test_a_crop_is_centred_and_padded() -> None:
    """The pixel nearest to the centre stands at half the side, and what lies outside the image is 0."""
    planes = np.arange(1, 26, dtype=np.uint16).reshape(1, 5, 5)
    got = cut(planes, np.array([2.0, 0.0]), np.array([2.4, 0.0]), 4)
    np.testing.assert_array_equal(got[0, 0], planes[0, 0:4, 0:4])
    np.testing.assert_array_equal(got[1, 0], [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 1, 2], [0, 0, 6, 7]])


def test_a_nucleus_in_the_last_corner_is_cut() -> None:
    """A centre at the last pixel, and a side of one pixel, or one larger than the image, stay inside the padding."""
    planes = np.arange(1, 10, dtype=np.uint8).reshape(1, 3, 3)
    corner = np.array([2.0])
    assert [cut(planes, corner, corner, side)[0, 0, side // 2, side // 2] for side in (1, 2, 3, 48)] == [9, 9, 9, 9]


def test_a_plate_becomes_one_array_and_its_index(known_plate: Any, tmp_path: Path) -> None:
    """Each true nucleus has one crop, at the row that the index gives, and the pixels are those of the image around its centre."""
    report = join_crops(parts(known_plate, tmp_path / "parts")[::-1], str(tmp_path / "out"), ["DNA", "Marker"])
    array = zarr.open_array(tmp_path / "out" / CROPS / PIXELS, mode="r")
    index = pq.read_table(tmp_path / "out" / INDEX).to_pandas()
    nuclei = sum(int(truth.max()) for truth in known_plate.truth.values())
    assert report["shape"] == [nuclei, 2, 48, 48] == list(array.shape)
    assert index[ROW].tolist() == list(range(nuclei))
    for row in (index.iloc[i] for i in (0, nuclei // 2, nuclei - 1)):
        image = known_plate.images[row["Metadata_Well"], row["Metadata_Site"]]
        wanted = cut(image, np.array([row["Nuclei_Location_Center_Y"]]), np.array([row["Nuclei_Location_Center_X"]]), 48)[0]
        np.testing.assert_array_equal(array[row[ROW]], wanted)


def test_crops_are_an_image_of_ome_zarr(known_plate: Any, tmp_path: Path) -> None:
    """The crops pass the schema of NGFF 0.5, with the channels' names and the size of a pixel in its metadata."""
    import yaozarrs

    join_crops(parts(known_plate, tmp_path / "parts"), str(tmp_path / "out"), ["DNA", "Marker"], 0.65)
    yaozarrs.validate_zarr_store(str(tmp_path / "out" / CROPS))
    ome = zarr.open_group(tmp_path / "out" / CROPS, mode="r").attrs["ome"]
    assert [channel["label"] for channel in ome["omero"]["channels"]] == ["DNA", "Marker"]
    image = ome["multiscales"][0]
    assert image["datasets"][0]["coordinateTransformations"][0]["scale"] == [1.0, 1.0, 0.65, 0.65]
    assert {axis.get("unit") for axis in image["axes"][2:]} == {"micrometer"}


def test_crops_are_the_same_bytes_each_time(known_plate: Any, tmp_path: Path) -> None:
    """Cropping and joining again, over what is there and in another order, leaves the same files and no other."""
    found = []
    for order in (1, -1):
        join_crops(parts(known_plate, tmp_path / "parts")[::order], str(tmp_path / "out"))
        files = sorted(p for p in (tmp_path / "out").rglob("*") if p.is_file())
        found.append({str(p.relative_to(tmp_path)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files})
    assert found[0] == found[1]
    assert not list(tmp_path.rglob("*.part"))


def test_shards_are_cut_across_fields(known_plate: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With files too small for a field each, rows come back in the same order as from one large file."""
    done = parts(known_plate, tmp_path / "parts")
    join_crops(done, str(tmp_path / "large"))
    monkeypatch.setattr(crops, "SHARD_BYTES", 16 * 2 * 48 * 48 * 2)
    join_crops(done, str(tmp_path / "small"))
    large, small = (zarr.open_array(tmp_path / name / CROPS / PIXELS, mode="r") for name in ("large", "small"))
    assert small.shards[0] < large.shards[0]
    np.testing.assert_array_equal(small[:], large[:])


def test_a_plate_without_nuclei_has_empty_crops(known_plate: Any, tmp_path: Path) -> None:
    """A plate in which nothing was found gives an array and an index without rows."""
    items = [i for i in prepare_crops(known_plate.corrected, known_plate.masks, str(tmp_path)) if (i["well"], i["field"]) == ("B02", 2)]
    report = join_crops([crop_field(item)["part"] for item in items], str(tmp_path / "out"))
    assert report["shape"] == [0, 2, 48, 48] == list(zarr.open_array(tmp_path / "out" / CROPS / PIXELS, mode="r").shape)
    assert pq.read_table(tmp_path / "out" / INDEX).num_rows == 0


@pytest.mark.parametrize("side", [0, -48, 10**6])
def test_an_absurd_size_is_refused(known_plate: Any, tmp_path: Path, side: int) -> None:
    """A side that is not from 1 to 1024 pixels raises InputError before memory is taken."""
    with pytest.raises(InputError, match="size"):
        prepare_crops(known_plate.corrected, known_plate.masks, str(tmp_path), side=side)


def test_crops_of_two_sizes_are_not_joined(known_plate: Any, tmp_path: Path) -> None:
    """Parts with another side raise LayoutError naming the part."""
    first, second = parts(known_plate, tmp_path / "a")[0], parts(known_plate, tmp_path / "b", side=32)[1]
    with pytest.raises(LayoutError, match=r"differ[\s\S]*A01_2"):
        join_crops([first, second], str(tmp_path / "out"))


def test_crops_without_their_index_are_refused(known_plate: Any, tmp_path: Path) -> None:
    """A part that is truncated, or has another number of crops than its index, raises IntegrityError; no array appears."""
    one, *_, empty = parts(known_plate, tmp_path)
    whole = Path(one + ".npy").read_bytes()
    for damaged, said in ((whole[:-100], "cannot be read"), (Path(empty + ".npy").read_bytes(), "differ in number")):
        Path(one + ".npy").write_bytes(damaged)
        with pytest.raises(IntegrityError, match=said):
            join_crops([one], str(tmp_path / "out"))
    assert not (tmp_path / "out" / CROPS).exists()


def test_what_is_no_field_is_refused() -> None:
    """Planes that are not (channel, y, x) raise ImageError."""
    with pytest.raises(ImageError):
        cut(np.zeros((4, 4)), np.zeros(1), np.zeros(1), 2)
