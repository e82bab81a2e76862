from __future__ import annotations

import os
from pathlib import Path

import pytest

from coldchain.errors import InputError, LayoutError, UnsafePathError
from coldchain.imaging.conventions import BUILT_IN, find_convention
from coldchain.imaging.naming import ImageKey, normalise_well, parse_name, read_layout, sort_wells

DATA = Path(os.environ.get("COLDCHAIN_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))


def lay(folder: Path, *names: str) -> Path:
    """Make empty files of these names."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


@pytest.mark.parametrize("pattern", BUILT_IN)
def test_every_convention_reads_its_own_example(pattern: str) -> None:
    """The example that errors show to a person is a name that the convention accepts."""
    assert parse_name(BUILT_IN[pattern].example, find_convention(pattern)).well


@pytest.mark.parametrize(
    ("name", "pattern", "key"),
    [
        ("r02c12f03p04-ch1sk1fk1fl1.tiff", "operetta", ImageKey("B12", 3, 1, 4)),
        ("r32c48f01p01-ch2sk1fk1fl1.tiff", "operetta", ImageKey("AF48", 1, 2)),
        ("My_plate_2_C07_s9_w2.TIF", "imagexpress", ImageKey("C07", 9, 2)),
        ("PLATE_C07_w2.tif", "imagexpress", ImageKey("C07", 1, 2)),
        ("PLATE_C07_s1_w1A1B2C3D4-0000-1111-2222-0123456789AB.tif", "imagexpress", ImageKey("C07", 1, 1)),
        ("AS_09047_050428030001_O01f00d2.TIF", "roche", ImageKey("O01", 0, 2)),
        ("P_A01_T0001F002L01A01Z03C04.tif", "cellvoyager", ImageKey("A01", 2, 4, 3)),
    ],
)
def test_a_name_says_well_field_channel_and_plane(name: str, pattern: str, key: ImageKey) -> None:
    """Names of four instruments give their well, field, channel and plane, up to the last well of 1536."""
    assert parse_name(name, find_convention(pattern)) == key


@pytest.mark.parametrize("name", ["r33c01f01p01-ch1sk1fk1fl1.tiff", "r00c01f01p01-ch1sk1fk1fl1.tiff", "r01c49f01p01-ch1sk1fk1fl1.tiff"])
def test_a_well_that_no_plate_has_is_refused_by_name(name: str) -> None:
    """A row or column beyond 1536 wells is an error that names the file."""
    with pytest.raises(LayoutError, match=name[:6]):
        parse_name(name, find_convention("operetta"))


@pytest.mark.parametrize("text", ["", "1A", "AG01", "A0", "AAA1", "A1000", "A01\n", "../A01"])
def test_what_is_no_well_is_refused(text: str) -> None:
    """Anything but row letters and a column number of a plate is an error."""
    with pytest.raises(LayoutError):
        normalise_well(text)


def test_wells_sort_as_on_a_plate() -> None:
    """Row Z comes before row AA, column 2 before column 10."""
    assert sort_wells(["AA01", "Z02", "A10", "A02", "A02"]) == ("A02", "A10", "Z02", "AA01")


def test_an_unknown_convention_names_the_known_ones() -> None:
    """A misspelt convention is an error that lists what there is, with examples."""
    with pytest.raises(InputError, match=r"operetta.*roche"):
        parse_name("a.tif", find_convention("operetto"))


def test_a_folder_makes_a_rectangle(tmp_path: Path) -> None:
    """Wells, fields and channels come sorted, files that are no images and the instrument's previews come apart."""
    names = [f"P_{well}_s{field}_w{channel}.TIF" for well in ("B01", "A02") for field in (1, 2) for channel in (1, 2)]
    layout = read_layout(
        lay(tmp_path, *names, "dataset.yaml", "P_A02_s1_w1_thumb.TIF"), find_convention("imagexpress"), {1: "DNA", 2: "Marker"}
    )
    assert (layout.wells, layout.fields, layout.channels) == (("A02", "B01"), (1, 2), ("DNA", "Marker"))
    assert layout.images[ImageKey("B01", 2, 1)] == "P_B01_s2_w1.TIF"
    assert layout.others == ("P_A02_s1_w1_thumb.TIF", "dataset.yaml")


def test_images_in_sub_folders_are_found(tmp_path: Path) -> None:
    """An instrument may put its images in a folder of their own."""
    layout = read_layout(lay(tmp_path, "Images/r01c01f01p01-ch1sk1fk1fl1.tiff", "Index.idx.xml"), find_convention("operetta"), None)
    assert layout.images == {ImageKey("A01", 1, 1): "Images/r01c01f01p01-ch1sk1fk1fl1.tiff"}
    assert layout.channels == ("Ch1",)


def test_every_missing_image_is_named(tmp_path: Path) -> None:
    """A field or channel that another well has and this one lacks is an error that names each."""
    names = [f"P_{well}_s{field}_w{channel}.TIF" for well in ("A01", "A02") for field in (1, 2) for channel in (1, 2)]
    lay(tmp_path, *names)
    (tmp_path / "P_A02_s2_w1.TIF").unlink()
    (tmp_path / "P_A01_s1_w2.TIF").unlink()
    with pytest.raises(LayoutError, match="A01 field 1 channel 2 plane 1; A02 field 2 channel 1 plane 1"):
        read_layout(tmp_path, find_convention("imagexpress"), None)


def test_a_hostile_rectangle_is_refused_without_counting_it_out(tmp_path: Path) -> None:
    """A few hundred names that span millions of absent images give an error that lists some and counts the rest."""
    lay(tmp_path, *(f"r{1 + n % 32:02d}c{1 + n % 48:02d}f{n:04d}p{n:04d}-ch{n % 99}sk1fk1fl1.tiff" for n in range(1, 300)))
    with pytest.raises(LayoutError, match=r"and \d{5,} more"):
        read_layout(tmp_path, find_convention("operetta"), None)


def test_mixed_conventions_are_refused(tmp_path: Path) -> None:
    """One image named otherwise is an error that names it."""
    with pytest.raises(LayoutError, match=r"other\.tif"):
        read_layout(lay(tmp_path, "P_A01_s1_w1.TIF", "other.tif"), find_convention("imagexpress"), None)


def test_two_files_for_one_image_are_refused(tmp_path: Path) -> None:
    """A second file for the same well, field and channel is an error that names both."""
    with pytest.raises(LayoutError, match=r"P_A01_s1_w1\.TIF and P_A01_s1_w1\.tif"):
        read_layout(lay(tmp_path, "P_A01_s1_w1.TIF", "P_A01_s1_w1.tif"), find_convention("imagexpress"), None)


def test_two_plates_in_one_folder_are_refused(tmp_path: Path) -> None:
    """Wells of another plate do not fill up a plate: an image of each is named."""
    names = ("P1_A01_s1_w1.TIF", "P1_A02_s1_w1.TIF", "P2_B01_s1_w1.TIF", "P2_B02_s1_w1.TIF")
    with pytest.raises(LayoutError, match=r"several plates(?s:.*)P1_A01_s1_w1\.TIF; P2_B01_s1_w1\.TIF"):
        read_layout(lay(tmp_path, *names), find_convention("imagexpress"), None)


def test_a_time_series_is_refused(tmp_path: Path) -> None:
    """Two time points are an error, and not one overwritten by the other."""
    with pytest.raises(LayoutError, match="2 time points"):
        read_layout(lay(tmp_path, "r01c01f01p01-ch1sk1fk1fl1.tiff", "r01c01f01p01-ch1sk2fk1fl1.tiff"), find_convention("operetta"), None)


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    """A folder that holds only other files is an error that shows what a name looks like."""
    with pytest.raises(LayoutError, match="No image"):
        read_layout(lay(tmp_path, "notes.txt"), find_convention("roche"), None)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """A wrong path is an error, and not an empty plate."""
    with pytest.raises(InputError, match="No acquisition folder"):
        read_layout(tmp_path / "nowhere", find_convention("roche"), None)


@pytest.mark.parametrize("link", ["P_A02_s1_w1.TIF", "folder"])
def test_a_symbolic_link_is_refused_by_name(tmp_path: Path, link: str) -> None:
    """A link to a file or a folder is an error: what it points at may change or be elsewhere."""
    lay(tmp_path / "plate", "P_A01_s1_w1.TIF")
    (tmp_path / "plate" / link).symlink_to(tmp_path)
    with pytest.raises(UnsafePathError, match=link):
        read_layout(tmp_path / "plate", find_convention("imagexpress"), None)


@pytest.mark.parametrize("name", [b"P_A01_s1_w1\n.TIF", b"P\xff_A01_s1_w1.TIF"])
def test_a_name_that_cannot_be_written_down_is_refused(tmp_path: Path, name: bytes) -> None:
    """A newline or bytes that are no text in a name are an error, which itself can be written down."""
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).touch()
    with pytest.raises(UnsafePathError) as caught:
        read_layout(tmp_path, find_convention("imagexpress"), None)
    assert str(caught.value).isascii()
    assert "A01_s1_w1" in str(caught.value)


@pytest.mark.parametrize("channels", [{1: "DNA"}, {1: "DNA", 2: "DNA"}, {1: "DNA", 2: "../x"}, {1: "DNA", 2: "A", 3: "B"}])
def test_channels_are_named_each_and_plainly(tmp_path: Path, channels: dict[int, str]) -> None:
    """A channel without a name, without images, with another's name or with a path in its name is an error."""
    with pytest.raises(LayoutError, match="hannel"):
        read_layout(lay(tmp_path, "P_A01_s1_w1.TIF", "P_A01_s1_w2.TIF"), find_convention("imagexpress"), channels)


def test_a_real_plate_is_read() -> None:
    """Row O of a 384-well plate: 24 wells of 3 fields in one channel."""
    if not (DATA / "plate_strip").is_dir():
        pytest.skip(f"real plate images are not at {DATA}")
    layout = read_layout(DATA / "plate_strip", find_convention("roche"), {2: "GFP"})
    assert (layout.wells[0], layout.wells[-1], len(layout.wells), layout.fields) == ("O01", "O24", 24, (0, 1, 2))
    assert len(layout.images) == 72
