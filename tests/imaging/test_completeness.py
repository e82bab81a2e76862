"""Whether a conversion is whole: what was taken out of it is named by its place."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from coldchain.errors import IntegrityError, LayoutError
from coldchain.imaging.completeness import check
from coldchain.imaging.conventions import BUILT_IN
from coldchain.imaging.convert import convert_plate
from coldchain.imaging.convert_files import IMAGES, convert_files
from coldchain.imaging.platezarr import PLATE
from coldchain.testing import microscopes


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A collection of one image, 2 moments, 2 channels, 2 planes."""
    (tmp_path / "in").mkdir()
    microscopes.write_ims(tmp_path / "in" / "a.ims", microscopes.pixels((2, 2, 2, 40, 40)), channels=["DNA", "Actin"])
    convert_files(str(tmp_path / "in"), str(tmp_path / "out"), name="a")
    return tmp_path / "out"


@pytest.fixture
def plate(tmp_path: Path) -> Path:
    """A plate of two wells, one field, two channels, two planes, whose numbers begin at 3."""
    (tmp_path / "in").mkdir()
    for number, (well, channel, z) in enumerate((well, channel, z) for well in ("A01", "B02") for channel in (1, 2) for z in (3, 5)):
        image = np.full((40, 40), number, np.uint16)
        tifffile.imwrite(tmp_path / "in" / f"P_{well}_s1_z{z}_w{channel}.TIF", image)
    convert_plate(
        str(tmp_path / "in"),
        str(tmp_path / "out"),
        convention=BUILT_IN["imagexpress"],
        channels={1: "DNA", 2: "Actin"},
        plate_name="P",
        pixel_size_um=None,
    )
    return tmp_path / "out"


def test_what_a_conversion_made_is_whole(images: Path) -> None:
    """It was checked before it returned, and is whole for whoever looks again."""
    check(images)


def change(path: Path, edit: Callable[[str], str]) -> None:
    """Edit a text."""
    path.write_text(edit(path.read_text()))


def test_a_plane_whose_file_is_gone_is_named(images: Path) -> None:
    """Image, channel, plane and time, as people count."""
    (images / IMAGES / "0/s0/c/1/0/1/0/0").unlink()
    with pytest.raises(IntegrityError, match="image 0 channel DNA plane 2 time 2"):
        check(images)


def test_a_plane_of_a_plate_whose_file_is_gone_is_named(plate: Path) -> None:
    """Well, field, channel and plane."""
    check(plate)
    (plate / PLATE / "B/2/0/s0/c/1/0/0/0").unlink()
    with pytest.raises(IntegrityError, match="B02 field 1 channel Actin plane 1"):
        check(plate)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda text: "\n".join(text.splitlines()[:-1]) + "\n", "never proved"),
        (lambda text: text + text.splitlines()[-1] + "\n", "never proved, or twice"),
        (lambda text: text + text.splitlines()[-1].replace("B02", "C09") + "\n", "has no place"),
    ],
    ids=["a proof is missing", "a proof stands twice", "a proof of another well"],
)
def test_a_proof_too_few_or_too_many_is_named(plate: Path, edit: Callable[[str], str], said: str) -> None:
    """Each plane once, none that has no place."""
    change(plate / "planes.csv", edit)
    with pytest.raises(IntegrityError, match=said):
        check(plate)


def test_metadata_that_are_not_the_standards_are_refused(plate: Path) -> None:
    """An image without axes, for one; and a level that is gone."""
    path = plate / PLATE / "A/1/0/zarr.json"
    said = json.loads(path.read_text())
    del said["attributes"]["ome"]["multiscales"][0]["axes"]
    path.write_text(json.dumps(said))
    with pytest.raises(IntegrityError, match=r"NGFF 0\.5"):
        check(plate)


def test_a_list_of_proofs_that_is_none_is_said(images: Path) -> None:
    """Gone, or something else."""
    change(images / "planes.csv", lambda _text: "a,b\n1,2\n")
    with pytest.raises(LayoutError, match="proof of the planes"):
        check(images)
    (images / "planes.csv").unlink()
    with pytest.raises(LayoutError, match="proof of the planes"):
        check(images)
