"""The demo's acquisition workstation."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile

from coldchain.dataset import Dataset
from coldchain.errors import InputError
from coldchain.imaging.conventions import find_convention
from coldchain.imaging.naming import read_layout
from coldchain.yamlfile import load
from deployments.acquisition import real_plate, synthetic_plate, write_acquisitions

PLATES = {"PLATE-REAL": (4, 1, 1), "PLATE-SYNTH": (12, 2, 2)}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An acquisition folder with both plates, for reading only."""
    folder = tmp_path_factory.mktemp("acquisition")
    write_acquisitions(folder)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its name."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("plate", PLATES)
def test_each_folder_is_described_and_reads_as_a_whole_plate(written: Path, plate: str) -> None:
    """The description is a valid dataset, and by its own pattern the folder is a plate without a gap."""
    dataset = load(written / plate / "dataset.yaml", Dataset)
    layout = read_layout(written / plate, find_convention(dataset.pattern), dataset.channels)
    assert (dataset.id, layout.others) == (f"PRJ-0001/{plate}", ("dataset.yaml",))
    assert (len(layout.wells), len(layout.fields), len(layout.channels)) == PLATES[plate]
    assert set(dataset.plate_map) == set(layout.wells)
    assert all(set(said) == {"treatment", "dose"} for said in dataset.plate_map.values())


def test_the_real_fields_are_the_shipped_image_cut_without_overlap(written: Path) -> None:
    """Put together again, the four fields are the image of the stardist package, pixel for pixel."""
    from stardist.data import test_image_nuclei_2d

    image, mask = test_image_nuclei_2d(return_mask=True)
    for folder, name, whole in (
        (written / "PLATE-REAL", "PLATE-REAL_{}_s1_w1.TIF", image),
        (written / "truth/PLATE-REAL", "{}_s1.tif", mask),
    ):
        rows = [[tifffile.imread(folder / name.format(f"{row}0{column}")) for column in (1, 2)] for row in "AB"]
        np.testing.assert_array_equal(np.block(rows), whole)


def test_images_are_single_planes_of_16_bit(written: Path) -> None:
    """Every image is uint16, 256 x 256, with the field it shows in its description."""
    for path in [*written.glob("PLATE-*/*.TIF"), *written.glob("PLATE-*/*.tiff")]:
        with tifffile.TiffFile(path) as tiff:
            assert (tiff.pages[0].shape, tiff.pages[0].dtype, len(tiff.pages)) == ((256, 256), np.uint16, 1)
            assert path.parent.name in tiff.pages[0].description


def test_the_truth_stands_outside_of_the_acquisition(written: Path) -> None:
    """Each field has a mask of true nuclei in `truth/`, and no plate folder holds one."""
    assert len(list((written / "truth/PLATE-SYNTH").iterdir())) == 24
    assert all(tifffile.imread(path).max() > 0 for path in (written / "truth").rglob("*.tif"))
    assert len(list((written / "PLATE-SYNTH").iterdir())) == 48 + 1


def test_the_same_seed_gives_the_same_bytes(written: Path, tmp_path: Path) -> None:
    """Neither date, software nor chance is in the files."""
    write_acquisitions(tmp_path)
    assert contents(tmp_path) == contents(written)


def test_a_second_run_writes_nothing_and_says_so(written: Path) -> None:
    """A complete acquisition is left alone, to the time stamp."""
    before = {path: path.stat().st_mtime_ns for path in written.rglob("*")}
    said = write_acquisitions(written)
    assert [(plate["dataset"], plate["written"], plate["present"]) for plate in said] == [("PLATE-REAL", 0, True), ("PLATE-SYNTH", 0, True)]
    assert {path: path.stat().st_mtime_ns for path in written.rglob("*")} == before


def test_a_missing_file_is_written_again_and_no_other(written: Path, tmp_path: Path) -> None:
    """What an earlier run left out is completed; what is there is not touched, even where it differs."""
    write_acquisitions(tmp_path)
    (tmp_path / "PLATE-REAL/PLATE-REAL_A02_s1_w1.TIF").unlink()
    (tmp_path / "PLATE-REAL/PLATE-REAL_B01_s1_w1.TIF").write_bytes(b"kept")
    said = write_acquisitions(tmp_path)
    assert [plate["written"] for plate in said] == [1, 0]
    assert (tmp_path / "PLATE-REAL/PLATE-REAL_B01_s1_w1.TIF").read_bytes() == b"kept"
    assert contents(tmp_path)["PLATE-REAL/PLATE-REAL_A02_s1_w1.TIF"] == contents(written)["PLATE-REAL/PLATE-REAL_A02_s1_w1.TIF"]


def test_a_killed_run_is_finished_by_the_next(written: Path, tmp_path: Path) -> None:
    """After SIGKILL in the middle of a plate no description stands there, and running again gives the same files, nothing more."""
    code = "import sys, pathlib; from deployments.acquisition import write_acquisitions; write_acquisitions(pathlib.Path(sys.argv[1]))"
    writer = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})
    try:
        while writer.poll() is None and len(list(tmp_path.glob("PLATE-SYNTH/*.tiff"))) < 5:
            time.sleep(0.005)
    finally:
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    assert not (tmp_path / "PLATE-SYNTH/dataset.yaml").exists()
    write_acquisitions(tmp_path)
    assert contents(tmp_path) == contents(written)


@pytest.mark.parametrize("place", ["PLATE-REAL", "PLATE-REAL/PLATE-REAL_A01_s1_w1.TIF", "truth/PLATE-SYNTH"])
def test_a_link_in_place_of_a_plate_or_an_image_is_refused(tmp_path: Path, place: str) -> None:
    """Nothing is written through a symbolic link."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "acquisition" / place).parent.mkdir(parents=True)
    (tmp_path / "acquisition" / place).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="something else stands"):
        write_acquisitions(tmp_path / "acquisition")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_folder_in_place_of_an_image_is_refused(tmp_path: Path) -> None:
    """The place is named, and the plate is not begun."""
    (tmp_path / "PLATE-REAL/PLATE-REAL_B02_s1_w1.TIF").mkdir(parents=True)
    with pytest.raises(InputError, match="B02_s1_w1"):
        write_acquisitions(tmp_path)
    assert len(list((tmp_path / "PLATE-REAL").iterdir())) == 1


def test_another_seed_gives_another_synthetic_plate() -> None:
    """The seed reaches the images; the names stay."""
    first, other = (next(synthetic_plate(seed).fields()) for seed in (1, 2))
    assert not np.array_equal(first.images[1], other.images[1])
    assert synthetic_plate(1).file_names() == synthetic_plate(2).file_names()


def test_file_names_are_those_of_the_instruments() -> None:
    """One plate is named by ImageXpress's convention, the other by Operetta's."""
    assert real_plate().file_names()[1] == "PLATE-REAL_A02_s1_w1.TIF"
    assert synthetic_plate(1).file_names()[-1] == "r03c04f02p01-ch2sk1fk1fl1.tiff"
