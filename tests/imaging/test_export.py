"""OME-TIFF of what was converted: the same pixels, sizes, channels and colours, every plane proved."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from coldchain.errors import InputError, IntegrityError, LayoutError, OutOfSpace
from coldchain.imaging import export
from coldchain.imaging.conventions import BUILT_IN
from coldchain.imaging.convert import convert_plate
from coldchain.imaging.convert_files import convert_files
from coldchain.imaging.export import export_tiff
from coldchain.imaging.imagezarr import IMAGES
from coldchain.imaging.sources.opening import open_source
from coldchain.imaging.sources.source import Channel
from coldchain.testing import microscopes

SHAPE = (2, 2, 3, 600, 530)


@pytest.fixture
def session(tmp_path: Path) -> Path:
    """Two 5-D images of two files, converted."""
    (tmp_path / "in").mkdir()
    for name, shape in (("cells", SHAPE), ("other", (1, 2, 1, 64, 90))):
        microscopes.write_czi(tmp_path / "in" / f"{name}.czi", [microscopes.pixels(shape)], channels=["DAPI", "Actin"])
    convert_files(str(tmp_path / "in"), str(tmp_path / "standard"), name="S")
    return tmp_path / "standard"


@pytest.fixture
def plate(tmp_path: Path) -> Path:
    """A plate of two wells and two channels, converted."""
    (tmp_path / "in").mkdir()
    for number, (well, channel) in enumerate((well, channel) for well in ("A01", "B02") for channel in (1, 2)):
        tifffile.imwrite(tmp_path / "in" / f"P_{well}_s1_w{channel}.TIF", np.full((300, 280), 1000 * number + 7, np.uint16))
    given: dict[str, Any] = {"convention": BUILT_IN["imagexpress"], "channels": {1: "DNA", 2: "Actin"}}
    convert_plate(str(tmp_path / "in"), str(tmp_path / "standard"), **given, plate_name="P", pixel_size_um=0.5)
    return tmp_path / "standard"


def test_every_pixel_arrives(session: Path, tmp_path: Path) -> None:
    """Each image is a file of its own, whose planes, channels, colours and sizes are those of the OME-Zarr."""
    told: list[tuple[int, int]] = []
    found = export_tiff(str(session), str(tmp_path / "out"), progress=lambda done, total: told.append((done, total)))
    assert (found["images"], told) == (2, [(1, 2), (2, 2)])
    with open_source(session / IMAGES) as zarr:
        for number, name in enumerate(found["files"]):
            with open_source(tmp_path / "out" / name) as tiff:
                (one,), other = tiff.images, zarr.images[number]
                assert (one.shape, one.dtype, one.name, one.channels) == (other.shape, other.dtype, other.name, other.channels)
                assert one.pixel_size_um == pytest.approx(other.pixel_size_um)
                for t, c, z in one.planes:
                    assert np.array_equal(tiff.plane(0, t, c, z), zarr.plane(number, t, c, z))


def test_names_that_xml_cannot_hold_are_written_as_it_can(session: Path) -> None:
    """A name of an image or a channel may hold any character; OME-XML has none of the control characters."""
    with open_source(session / IMAGES) as zarr:
        named = replace(zarr.images[0], name="Series\x01", well="", channels=(Channel("D\x00NA", None), Channel("\udcff", None)))
    said = export._described(named)
    assert (said["Name"], said["Channel"]["Name"]) == ("Series ", ["D NA", " "])


def test_it_has_a_pyramid_that_other_readers_know(session: Path, tmp_path: Path) -> None:
    """The smaller levels are SubIFDs of the full one, each half as wide, and tifffile's own reader finds them."""
    (name, _) = export_tiff(str(session), str(tmp_path / "out"))["files"]
    with tifffile.TiffFile(tmp_path / "out" / name) as tiff:
        assert tiff.is_ome
        assert tiff.is_bigtiff
        assert [level.shape for level in tiff.series[0].levels] == [SHAPE, (*SHAPE[:3], 300, 265), (*SHAPE[:3], 150, 132)]
        full, half = (tiff.series[0].levels[level].asarray() for level in (0, 1))
    assert half[1, 1, 2, 3, 4] == round(int(full[1, 1, 2, 6:8, 8:10].astype(np.uint32).sum()) / 4 + 1e-9)


def test_what_the_instrument_said_comes_along(session: Path, tmp_path: Path) -> None:
    """The files' own metadata stand beside the images."""
    export_tiff(str(session), str(tmp_path / "out"))
    native = {str(path.relative_to(session)): path.read_bytes() for path in (session / "native").rglob("*") if path.is_file()}
    assert native
    assert all((tmp_path / "out" / name).read_bytes() == said for name, said in native.items())


def test_wells_are_chosen_by_name(plate: Path, tmp_path: Path) -> None:
    """All fields of a plate, or those of some wells, each named by its well and field, with the size of a pixel."""
    assert export_tiff(str(plate), str(tmp_path / "all"))["files"] == ["A01_f001.ome.tif", "B02_f001.ome.tif"]
    assert export_tiff(str(plate), str(tmp_path / "some"), wells=["b2"])["files"] == ["B02_f001.ome.tif"]
    with open_source(tmp_path / "some" / "B02_f001.ome.tif") as tiff:
        assert tiff.images[0].pixel_size_um[1:] == (0.5, 0.5)
        assert [channel.name for channel in tiff.images[0].channels] == ["DNA", "Actin"]
        assert tiff.plane(0, 0, 1, 0)[0, 0] == 3007


@pytest.mark.parametrize(("well", "error"), [("C03", InputError), ("../A01", LayoutError), ("", LayoutError)])
def test_a_well_that_there_is_not_is_refused(plate: Path, tmp_path: Path, well: str, error: type[Exception]) -> None:
    """Before anything is written; the wells that there are, are named."""
    with pytest.raises(error):
        export_tiff(str(plate), str(tmp_path / "out"), wells=[well])
    assert not list((tmp_path / "out").glob("*"))


def test_a_session_has_no_wells(session: Path, tmp_path: Path) -> None:
    """Asking for one is an error that says so."""
    with pytest.raises(InputError, match="no plate"):
        export_tiff(str(session), str(tmp_path / "out"), wells=["A01"])


def test_a_plane_that_was_never_proved_does_not_leave(plate: Path, tmp_path: Path) -> None:
    """Where the OME-Zarr does not hold what its conversion proved, as after damage that nobody noticed, the export fails by its name."""
    planes = (plate / "planes.csv").read_text()
    (plate / "planes.csv").write_text(planes.replace(hashlib.sha256(np.full((300, 280), 3007, np.uint16).data).hexdigest(), "0" * 64))
    with pytest.raises(IntegrityError, match=r"proved when it was converted(?s:.*)\(0, 1, 0\)"):
        export_tiff(str(plate), str(tmp_path / "out"))


def test_what_is_read_back_differently_is_an_error(plate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that does not give back what was written is noticed by the plane."""
    written = export._write

    def damaged(source: Any, number: int, path: Path) -> Any:
        yield from written(source, number, path)
        with tifffile.TiffFile(path) as tiff:
            (one, other), count = (tiff.pages[0], tiff.pages[1]), tiff.pages[0].databytecounts[0]
        with path.open("r+b") as file:
            file.seek(one.dataoffsets[0])
            first = file.read(count)
            file.seek(other.dataoffsets[0])
            file.write(first)

    monkeypatch.setattr(export, "_write", damaged)
    with pytest.raises(IntegrityError, match="read back"):
        export_tiff(str(plate), str(tmp_path / "out"))


def test_a_folder_that_is_no_conversion_is_refused(tmp_path: Path) -> None:
    """It says what it looked for."""
    (tmp_path / "in").mkdir()
    with pytest.raises(InputError, match=r"planes\.csv"):
        export_tiff(str(tmp_path / "in"), str(tmp_path / "out"))


def test_a_target_that_is_used_is_refused(plate: Path, tmp_path: Path) -> None:
    """Nothing is written over."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    with pytest.raises(InputError, match="new"):
        export_tiff(str(plate), str(tmp_path / "out"))


def test_a_full_disk_is_said(session: Path, small_disk: Path) -> None:
    """In our words, with the folder that was written to."""
    with pytest.raises(OutOfSpace, match="No space left"):
        export_tiff(str(session), str(small_disk / "out"))
