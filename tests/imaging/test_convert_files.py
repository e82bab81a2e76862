"""Conversion of instruments' own files: images as a collection, wells as a plate, every plane proved, NGFF 0.5 throughout."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from yaozarrs import validate_zarr_store

from coldchain.errors import ImageError, InputError, IntegrityError, LayoutError
from coldchain.imaging import convert_files
from coldchain.imaging.convert_files import IMAGES, container_files
from coldchain.imaging.fieldzarr import FieldWriter
from coldchain.imaging.imagezarr import image_sheet, images_of, read_image_plane
from coldchain.imaging.platezarr import PLATE, plate_info, read_plane
from coldchain.imaging.sources.opening import open_source
from coldchain.imaging.sources.source import Channel, Closing, Image
from coldchain.testing import microscopes


def convert(source: Path, target: Path) -> dict[str, Any]:
    """Convert a folder."""
    return convert_files.convert_files(str(source), str(target), name="session-1")


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """An acquisition with a CZI of two scenes, an Imaris file in a folder below, and a text."""
    folder = tmp_path / "acquisition"
    (folder / "below").mkdir(parents=True)
    scenes = [microscopes.pixels((2, 2, 3, 300, 310), seed=seed) for seed in (1, 2)]
    microscopes.write_czi(folder / "a.czi", scenes, channels=["DAPI", "GFP"])
    microscopes.write_ims(folder / "below" / "b.ims", microscopes.pixels((1, 1, 1, 64, 64), seed=3), channels=["GFP"])
    (folder / "notes.txt").write_text("hello")
    return folder


def rows(target: Path) -> list[dict[str, str]]:
    """The proof of each plane."""
    with (target / "planes.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_image_of_every_file_is_in_the_collection(mixed: Path, tmp_path: Path) -> None:
    """In the order of the files; each plane is the reader's, and its digest is that of the reader's bytes."""
    target = tmp_path / "standard"
    found = convert(mixed, target)
    assert (found["layout"], found["images"], found["planes"], found["files"]) == ("images", 3, 25, ["a.czi", "below/b.ims"])
    images = images_of(target / IMAGES)
    assert [image.shape for image in images] == [(2, 2, 3, 300, 310), (2, 2, 3, 300, 310), (1, 1, 1, 64, 64)]
    proven = iter(rows(target))
    for file, numbers in {"a.czi": (0, 1), "below/b.ims": (2,)}.items():
        with open_source(mixed / file) as source:
            for number, written in enumerate(images[n] for n in numbers):
                for t, c, z in source.images[number].planes:
                    native, row = source.plane(number, t, c, z), next(proven)
                    np.testing.assert_array_equal(read_image_plane(written, t, c, z), native, strict=True)
                    assert row["sha256"] == hashlib.sha256(native.tobytes()).hexdigest()
                    assert (row["file"], row["t"], row["z"], row["channel"]) == (file, str(t), str(z), written.channels[c])


def test_the_collection_is_what_the_standard_says(mixed: Path, tmp_path: Path) -> None:
    """NGFF 0.5 by its schema; axes, units, scales and colours; bioformats2raw's layout 3; Zarr v3 with shards and zstd."""
    convert(mixed, tmp_path / "standard")
    collection = tmp_path / "standard" / IMAGES
    validate_zarr_store(str(collection))
    assert attributes(collection)["ome"] == {"version": "0.5", "bioformats2raw.layout": 3}
    assert attributes(collection / "OME")["ome"]["series"] == ["0", "1", "2"]
    (multiscale,) = attributes(collection / "0")["ome"]["multiscales"]
    assert [axis["name"] for axis in multiscale["axes"]] == ["t", "c", "z", "y", "x"]
    assert [axis.get("unit") for axis in multiscale["axes"]] == [None, None, "micrometer", "micrometer", "micrometer"]
    scales = [level["coordinateTransformations"][0]["scale"] for level in multiscale["datasets"]]
    np.testing.assert_allclose(scales, [[1, 1, 2.0, 0.5, 0.5], [1, 1, 2.0, 1.0, 1.0]])
    shown = attributes(collection / "2")["ome"]["omero"]["channels"]
    assert [(each["label"], each["color"]) for each in shown] == [("GFP", "00FF00")]
    array = json.loads((collection / "0" / "s0" / "zarr.json").read_text())
    assert array["zarr_format"] == 3
    assert "zstd" in json.dumps(array["codecs"])


def attributes(group: Path) -> Mapping[str, Any]:
    """Attributes of a group."""
    found: Mapping[str, Any] = json.loads((group / "zarr.json").read_text())["attributes"]
    return found


def test_all_that_the_files_say_is_kept(mixed: Path, tmp_path: Path) -> None:
    """Zeiss' XML whole, Imaris' attributes, each beside the Zarr under its file's name."""
    convert(mixed, tmp_path / "standard")
    native = tmp_path / "standard" / "native"
    assert sorted(path.relative_to(native).as_posix() for path in native.rglob("*.*")) == ["a.czi.zeiss.xml", "below/b.ims.imaris.json"]
    assert "<Value>5e-07</Value>" in (native / "a.czi.zeiss.xml").read_text()


def test_real_files_are_converted(shared_data: Path, tmp_path: Path) -> None:
    """Nikon's and Leica's, all planes proved, valid by the schema; a picture of them can be looked at."""
    for name, planes in {"nikon": 68, "leica": 10_240 // 2 + 256 + 1024}.items():
        found = convert(shared_data / name, tmp_path / name)
        assert found["planes"] == planes
        validate_zarr_store(str(tmp_path / name / IMAGES))
        assert image_sheet(str(tmp_path / name)).startswith(b"\x89PNG")


def test_an_ome_zarr_is_taken_as_it_comes(tmp_path: Path) -> None:
    """A folder that is an OME-Zarr is one file of the acquisition; a chunk that is all fill value, and so was left out, passes."""
    data = microscopes.pixels((1, 2, 3, 64, 64))
    data[0, 1] = 0
    microscopes.write_ome_zarr(tmp_path / "in" / "image.ome.zarr", data, channels=["A", "B"])
    assert container_files(tmp_path / "in") == ["image.ome.zarr"]
    assert convert(tmp_path / "in", tmp_path / "out")["planes"] == 6
    (image,) = images_of(tmp_path / "out" / IMAGES)
    np.testing.assert_array_equal(read_image_plane(image, 0, 1, 2), np.zeros((64, 64)))


def test_a_plane_that_is_read_back_otherwise_fails_by_name(mixed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which file, image, channel, plane and time."""
    real = FieldWriter.read

    def wrong(writer: FieldWriter, channel: int, z: int = 0, t: int = 0) -> Any:
        plane = real(writer, channel, z, t)
        return plane + 1 if (channel, z, t) == (1, 2, 1) else plane

    monkeypatch.setattr(FieldWriter, "read", wrong)
    with pytest.raises(IntegrityError, match=r"a\.czi: a 1 channel GFP plane 3 time 2"):
        convert(mixed, tmp_path / "standard")


def test_nothing_to_read_is_said(tmp_path: Path) -> None:
    """With what there are readers for; and a damaged file fails by its name."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "a.txt").touch()
    with pytest.raises(InputError, match=r"\.czi, \.nd2"):
        convert(tmp_path / "empty", tmp_path / "out")
    (tmp_path / "empty" / "b.czi").touch()
    with pytest.raises(ImageError, match=r"b\.czi"):
        convert(tmp_path / "empty", tmp_path / "out")


def test_an_ome_tiff_of_several_files_is_one_set(tmp_path: Path) -> None:
    """Each file names the others: the images are converted once. One that is missing is a missing plane, and one elsewhere is refused."""
    (tmp_path / "in").mkdir()
    data = microscopes.pixels((1, 1, 2, 40, 40))[0, 0]
    write_set(tmp_path / "in", data, "b.ome.tif")
    assert convert(tmp_path / "in", tmp_path / "out")["planes"] == 2
    (image,) = images_of(tmp_path / "out" / IMAGES)
    for z in range(2):
        np.testing.assert_array_equal(read_image_plane(image, 0, 0, z), data[z])
    (tmp_path / "in" / "b.ome.tif").unlink()
    with pytest.raises(ImageError, match="A plane is missing"):
        convert(tmp_path / "in", tmp_path / "missing")
    write_set(tmp_path / "in", data, "../b.ome.tif")
    with pytest.raises(ImageError, match="does not stand beside it"):
        convert(tmp_path / "in", tmp_path / "elsewhere")


def write_set(folder: Path, data: Any, second: str) -> None:
    """Two files of a plane each, which say that they belong together."""
    uuids = {"a.ome.tif": "urn:uuid:00000000-0000-0000-0000-00000000000a", second: "urn:uuid:00000000-0000-0000-0000-00000000000b"}
    planes = "".join(
        f'<TiffData FirstZ="{z}" IFD="0" PlaneCount="1"><UUID FileName="{name}">{uuid}</UUID></TiffData>'
        for z, (name, uuid) in enumerate(uuids.items())
    )
    for plane, (name, uuid) in zip(data, uuids.items(), strict=True):
        xml = (
            f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="{uuid}"><Image ID="Image:0" Name="set">'
            '<Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="40" SizeY="40" SizeZ="2" SizeC="1" SizeT="1">'
            f'<Channel ID="Channel:0:0" SamplesPerPixel="1"/>{planes}</Pixels></Image></OME>'
        )
        tifffile.imwrite(folder / name, plane, description=xml, metadata=None)


# plates


class Wells(Closing):
    """A source whose images lie in wells."""

    def __init__(self, places: list[tuple[str | None, int]], shape: tuple[int, int, int, int, int] = (1, 2, 2, 64, 64)) -> None:
        """So many images, each with its place."""
        channels = tuple(Channel(f"c{n}", "FF0000") for n in range(shape[1]))
        self.images = tuple(Image(f"{w}{f}", shape, "uint16", channels, (1.0, 0.5, 0.5), well=w, field=f) for w, f in places)
        self.data = [microscopes.pixels(shape, seed=n) for n in range(len(places))]

    def plane(self, image: int, t: int, c: int, z: int) -> Any:
        """One plane."""
        return self.data[image][t, c, z]

    def metadata(self) -> dict[str, str]:
        """Nothing."""
        return {}


PLACES = [("A01", 1), ("A01", 2), ("B03", 1), ("B03", 2)]


def plate_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: Wells) -> dict[str, Any]:
    """Convert a folder whose one file is such a source."""
    (tmp_path / "in").mkdir(exist_ok=True)
    (tmp_path / "in" / "plate.czi").touch()
    monkeypatch.setattr(convert_files, "open_source", lambda _path: source)
    return convert(tmp_path / "in", tmp_path / "out")


def test_images_that_lie_in_wells_are_a_plate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the images of a TIFF plate are: well, field, channel and plane, valid by the schema."""
    source = Wells(PLACES)
    assert plate_of(tmp_path, monkeypatch, source)["layout"] == "plate"
    plate = tmp_path / "out" / PLATE
    validate_zarr_store(str(plate))
    info = plate_info(plate)
    assert (info.wells, info.fields, info.channels, info.pixel_size_um) == (("A01", "B03"), (1, 2), ("c0", "c1"), 0.5)
    for number, (well, field) in enumerate(PLACES):
        for c, z in np.ndindex(2, 2):
            np.testing.assert_array_equal(read_plane(plate, str(well), field, c, z=z), source.data[number][0, c, z])
    assert {(row["well"], row["field"], row["channel"], row["z"]) for row in rows(tmp_path / "out")} == {
        (str(well), str(field), f"c{c}", str(z)) for well, field in PLACES for c in range(2) for z in (1, 2)
    }


@pytest.mark.parametrize(
    ("places", "said"),
    [
        ([*PLACES[:3]], "B03 field 2"),
        ([*PLACES, ("B03", 2)], "B03 field 2"),
        ([*PLACES, (None, 1)], "and some do not"),
    ],
)
def test_what_is_no_whole_plate_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, places: list[tuple[str | None, int]], said: str
) -> None:
    """A field that another well has, two images for one field, an image without a well."""
    with pytest.raises(LayoutError, match=said):
        plate_of(tmp_path, monkeypatch, Wells(places))


def test_a_plate_of_several_moments_or_kinds_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All images are alike, and of one moment."""
    with pytest.raises(LayoutError, match="of one moment"):
        plate_of(tmp_path, monkeypatch, Wells(PLACES, shape=(2, 1, 1, 64, 64)))
    odd = Wells(PLACES)
    odd.images = (*odd.images[:3], Wells([("B03", 2)], shape=(1, 2, 1, 64, 64)).images[0])
    with pytest.raises(LayoutError, match="alike"):
        plate_of(tmp_path, monkeypatch, odd)
