"""The demo's acquisition workstation: two plates, written as an instrument would leave them.

`PLATE-REAL` is cut from the real image in the stardist package; `PLATE-SYNTH` is synthesised with known truth. The truth stands in
`truth/` beside the plates, never inside an acquisition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coldchain.dataset import Dataset
from coldchain.errors import ConfigurationError, InputError
from coldchain.files import write_durably
from coldchain.imaging.naming import name_well

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Image = NDArray[np.uint16]

PROJECT = "PRJ-0001"
DESCRIPTION = "dataset.yaml"
"""Written last: an acquisition folder that holds it is complete."""

CHANNELS = {1: "DNA", 2: "Marker"}
SIDE = 256
ROWS, COLUMNS, FIELDS = 3, 4, 2


@dataclass(frozen=True)
class Field:
    """One field of view: its images by channel number, the true nuclei, and what was done to its well."""

    well: str
    number: int
    images: dict[int, Image]
    truth: NDArray[np.int32]
    treatment: dict[str, str | float] = field(default_factory=dict)


@dataclass(frozen=True)
class Plate:
    """How a plate's files are named and described, and how its fields come about."""

    name: str
    pattern: str
    channels: dict[int, str]
    pixel_size_um: float | None
    wells: tuple[str, ...]
    field_numbers: tuple[int, ...]
    file_name: Callable[[str, int, int], str]
    fields: Callable[[], Iterator[Field]]

    def file_names(self) -> list[str]:
        """Return the name of every image, in the order in which they are taken."""
        return [self.file_name(well, number, channel) for well in self.wells for number in self.field_numbers for channel in self.channels]

    def describe(self, plate_map: dict[str, dict[str, str | float]]) -> Dataset:
        """Return the dataset that the acquisition folder describes."""
        return Dataset(
            project=PROJECT,
            name=self.name,
            pattern=self.pattern,
            channels=self.channels,
            pixel_size_um=self.pixel_size_um,
            plate_map=plate_map,
        )


def write_acquisitions(folder: Path, *, seed: int = 1) -> list[dict[str, Any]]:
    """Write the demo's plates into an acquisition folder, and say for each what was written.

    A complete plate is left alone; one whose writing was cut off is completed; no image is ever written over.

    Args:
        folder: the acquisition workstation's data folder; made where it is missing.
        seed: of the synthesised plate; the same seed gives the same bytes.

    Returns:
        For each plate `dataset`, `folder`, `truth`, `images`, `written` (files written now) and `present` (nothing was to be done).

    Raises:
        InputError: a link, or another kind of file, stands where a plate or one of its files goes.
        OutOfSpace: the disk is full; what was written stays.
        ConfigurationError: the stardist package, which ships the real image, is missing.
    """
    return [_write_plate(plate, folder) for plate in (real_plate(), synthetic_plate(seed))]


def real_plate() -> Plate:
    """Return the plate of 2 x 2 wells, one field of 256 x 256 pixels each, that the real image is cut into without overlap."""
    return Plate(
        name="PLATE-REAL",
        pattern="imagexpress",
        channels={1: "DNA"},
        pixel_size_um=None,  # not recorded where the image comes from
        wells=tuple(name_well(row, column) for row in (1, 2) for column in (1, 2)),
        field_numbers=(1,),
        file_name=lambda well, number, channel: f"PLATE-REAL_{well}_s{number}_w{channel}.TIF",
        fields=_real_fields,
    )


def synthetic_plate(seed: int) -> Plate:
    """Return the plate of 3 x 4 wells, two fields and two channels, that is synthesised: dose rises along its columns."""
    return Plate(
        name="PLATE-SYNTH",
        pattern="operetta",
        channels=CHANNELS,
        pixel_size_um=0.65,
        wells=tuple(name_well(row, column) for row in range(1, ROWS + 1) for column in range(1, COLUMNS + 1)),
        field_numbers=tuple(range(1, FIELDS + 1)),
        file_name=_operetta_name,
        fields=lambda: _synthetic_fields(seed),
    )


def _operetta_name(well: str, number: int, channel: int) -> str:
    return f"r{ord(well[0]) - ord('A') + 1:02d}c{well[1:]}f{number:02d}p01-ch{channel}sk1fk1fl1.tiff"


def _real_fields() -> Iterator[Field]:
    import numpy as np
    from tifffile import imread

    image, truth = (imread(_shipped(name)) for name in ("img2d.tif", "mask2d.tif"))
    for well in real_plate().wells:
        row, column = ord(well[0]) - ord("A"), int(well[1:]) - 1
        cut = np.s_[row * SIDE : (row + 1) * SIDE, column * SIDE : (column + 1) * SIDE]
        yield Field(well, 1, {1: image[cut].astype(np.uint16)}, truth[cut].astype(np.int32), {"treatment": "none", "dose": 0.0})


def _shipped(name: str) -> Path:
    """Find an image of the stardist package without importing it: that would load TensorFlow."""
    package = find_spec("stardist")
    if package is None or package.origin is None:
        raise ConfigurationError("the stardist package is missing", on=name, hint="install Coldchain with its dependencies: make demo")
    return Path(package.origin).parent / "data" / "images" / name


def _synthetic_fields(seed: int) -> Iterator[Field]:
    from coldchain.imaging.synthesis import plate

    for well, number, images, truth, treatment, dose in plate(seed, ROWS, COLUMNS, FIELDS, (SIDE, SIDE)):
        by_number = {channel: images[name] for channel, name in CHANNELS.items()}
        yield Field(well, number, by_number, truth, {"treatment": treatment, "dose": dose})


def _write_plate(plate: Plate, folder: Path) -> dict[str, Any]:
    target, truth = folder / plate.name, folder / "truth" / plate.name
    missing = _missing(plate, target, truth)
    if missing:
        _write_missing(plate, target, truth, missing)
    return {
        "dataset": plate.name,
        "folder": str(target),
        "truth": str(truth),
        "images": len(plate.file_names()),
        "written": len(missing),
        "present": not missing,
    }


def _missing(plate: Plate, target: Path, truth: Path) -> set[Path]:
    """Return the files that are still to be written: images, truth and the description."""
    wanted = [target / DESCRIPTION, *(target / name for name in plate.file_names()), *_truth_files(plate, truth)]
    strange = [place for place in (target, truth) if _stands_as_other(place, Path.is_dir)]
    strange += [path for path in wanted if _stands_as_other(path, Path.is_file)]
    if strange:
        raise InputError(
            "something else stands where the demo's acquisition goes", on=strange[0], done="nothing was written", hint="move it away"
        )
    return {path for path in wanted if not path.exists()}


def _stands_as_other(path: Path, as_meant: Callable[[Path], bool]) -> bool:
    return path.is_symlink() or (path.exists() and not as_meant(path))


def _truth_files(plate: Plate, truth: Path) -> list[Path]:
    return [_truth_file(truth, well, number) for well in plate.wells for number in plate.field_numbers]


def _truth_file(truth: Path, well: str, number: int) -> Path:
    return truth / f"{well}_s{number}.tif"


def _write_missing(plate: Plate, target: Path, truth: Path, missing: set[Path]) -> None:
    for place in (target, truth):
        place.mkdir(parents=True, exist_ok=True)
    plate_map: dict[str, dict[str, str | float]] = {}
    for taken in plate.fields():
        plate_map[taken.well] = taken.treatment
        for path, content in _files_of(plate, taken, target, truth):
            if path in missing:
                write_durably(path, content)
    if target / DESCRIPTION in missing:
        write_durably(target / DESCRIPTION, _as_yaml(plate.describe(plate_map)))


def _files_of(plate: Plate, taken: Field, target: Path, truth: Path) -> Iterator[tuple[Path, bytes]]:
    for channel, image in taken.images.items():
        said = f"{plate.name} well {taken.well} field {taken.number} channel {channel} {plate.channels[channel]}"
        yield target / plate.file_name(taken.well, taken.number, channel), _as_tiff(image, said)
    yield _truth_file(truth, taken.well, taken.number), _as_tiff(taken.truth, f"{plate.name} well {taken.well} field {taken.number} truth")


def _as_tiff(image: NDArray[Any], description: str) -> bytes:
    """Return an image as TIFF bytes; neither date nor software, so that the same image gives the same bytes."""
    from tifffile import imwrite

    held = BytesIO()
    imwrite(held, image, description=description, metadata=None, software=False, datetime=None)
    return held.getvalue()


def _as_yaml(dataset: Dataset) -> bytes:
    import yaml

    said = dataset.model_dump(exclude_none=True)
    return yaml.safe_dump(said, sort_keys=False).encode()
