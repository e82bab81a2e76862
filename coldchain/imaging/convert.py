"""From the instrument's files to a plate in OME-Zarr, with proof: every plane is read back and is the plane that was read."""

from __future__ import annotations

import csv
import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from coldchain.errors import ImageError, InputError, IntegrityError
from coldchain.imaging.completeness import PLANES, check
from coldchain.imaging.conventions import Convention
from coldchain.imaging.fieldzarr import FieldWriter, translated
from coldchain.imaging.naming import ImageKey, PlateLayout, read_layout
from coldchain.imaging.nativetiff import read_metadata, read_tiff
from coldchain.imaging.platezarr import PLATE, create_plate, iter_fields
from coldchain.imaging.pyramid import Frame, Plane

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class ProvenPlane:
    """One plane that was read back and matched: its place, its native file, and the SHA-256 of its pixels (rows first, little-endian)."""

    well: str
    field: int
    channel: str
    z: int
    file: str
    sha256: str


def convert_plate(
    source: str,
    target: str,
    *,
    convention: Convention,
    channels: dict[int, str] | None,
    plate_name: str,
    pixel_size_um: float | None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Convert an acquisition folder into `target`: a new folder with ``plate.ome.zarr`` and ``planes.csv``.

    One plane is in memory at a time. `convention` says how the files are named, `pixel_size_um` is micrometres a pixel, `progress` is
    told (fields done, fields in all). Returns counts and sizes in bytes. Raises LayoutError, ImageError (which names the file),
    InputError where `target` holds something, IntegrityError where a plane read back differs, or the result is not whole or not
    valid. What an error or a kill leaves in `target` is incomplete: give a staging folder, and rename it after the return.
    """
    folder, out = Path(source), Path(target)
    refuse_used(out)
    layout = read_layout(folder, convention, channels)
    first = next(iter(layout.images.values()))
    frame = _frame(read_tiff(folder / first), _checked_size(pixel_size_um), len(layout.z_planes))
    plate = _create(out, plate_name, layout, frame, {"file": first, "tags": read_metadata(folder / first)})
    proven = []
    refs = list(iter_fields(plate))
    for done, ref in enumerate(refs, 1):
        with FieldWriter(ref.path, layout.channels, frame) as writer:
            proven += [_convert_plane(folder, layout, key, writer) for key in _keys(layout, ref.well, ref.field)]
        if progress:
            progress(done, len(refs))
    with translated(out):
        write_planes(out / PLANES, proven)
    check(out)
    return _summary(folder, plate, layout, frame, plate_name)


def refuse_used(target: Path) -> None:
    """Raise InputError where a folder that is to be made holds something already."""
    if target.is_symlink() or (target.exists() and (not target.is_dir() or any(target.iterdir()))):
        raise InputError("The target of a conversion is new", on=target, expected="nothing, or an empty folder", got="something is there")


def _checked_size(pixel_size_um: float | None) -> float | None:
    if pixel_size_um is not None and not (math.isfinite(pixel_size_um) and 0 < pixel_size_um < 1000):
        raise InputError("Not the size of a pixel", expected="micrometres, more than 0 and less than 1000", got=pixel_size_um)
    return pixel_size_um


def _frame(first: Plane, pixel_size_um: float | None, z_count: int) -> Frame:
    return Frame((first.shape[0], first.shape[1]), first.dtype, pixel_size_um, z_count=z_count)


def _create(out: Path, name: str, layout: PlateLayout, frame: Frame, native: Mapping[str, Any]) -> Path:
    with translated(out):
        out.mkdir(parents=True, exist_ok=True)
    return create_plate(
        out / PLATE,
        name=name,
        wells=layout.wells,
        fields=layout.fields,
        channels=layout.channels,
        pixel_size_um=frame.pixel_size_um,
        notes={"corrected": False, "native": {**native, "other_files": list(layout.others)}},
    )


def _keys(layout: PlateLayout, well: str, field: int) -> Iterator[tuple[int, int, ImageKey]]:
    """Yield (channel index, z index, key) of one field's planes."""
    for index, number in enumerate(layout.channel_numbers):
        for depth, z in enumerate(layout.z_planes):
            yield index, depth, ImageKey(well, field, number, z)


def _convert_plane(folder: Path, layout: PlateLayout, place: tuple[int, int, ImageKey], writer: FieldWriter) -> ProvenPlane:
    index, depth, key = place
    file = layout.images[key]
    plane = read_tiff(folder / file)
    _refuse_other(folder / file, plane, writer.frame)
    digest = hashlib.sha256(plane.data).hexdigest()
    writer.write(plane, index, depth)
    prove(
        plane, writer.read(index, depth), on=f"{key.well} field {key.field} channel {layout.channels[index]} plane {key.z}", sha256=digest
    )
    return ProvenPlane(key.well, key.field, layout.channels[index], key.z, file, digest)


def _refuse_other(file: Path, plane: Plane, frame: Frame) -> None:
    if plane.shape != frame.shape or plane.dtype != frame.dtype:
        expected = f"{frame.shape} {np.dtype(frame.dtype)}, as the plate's first image"
        raise ImageError("An image is not like the others of its plate", on=file, expected=expected, got=f"{plane.shape} {plane.dtype}")


def prove(plane: Plane, back: Plane, *, on: str, sha256: str) -> None:
    """Compare a plane with what was read back from disk, byte by byte (equal bytes are equal digests, at a tenth of the cost).

    Raises IntegrityError, which names the plane `on` and both digests.
    """
    if back.dtype == plane.dtype and back.shape == plane.shape and np.array_equal(back.view(np.uint8), plane.view(np.uint8)):
        return
    got = hashlib.sha256(np.ascontiguousarray(back).data).hexdigest()
    raise IntegrityError(
        "A plane read back is not the plane that was written", on=on, expected=sha256, got=got, hint="check the disk and memory"
    )


def write_planes(path: Path, proven: Sequence[Any]) -> None:
    """Write down the proof of each plane, one dataclass a row."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(field.name for field in fields(proven[0]))
        writer.writerows(astuple(plane) for plane in proven)


def _summary(folder: Path, plate: Path, layout: PlateLayout, frame: Frame, name: str) -> dict[str, Any]:
    return {
        "plate": name,
        "wells": list(layout.wells),
        "fields": list(layout.fields),
        "channels": list(layout.channels),
        "planes": len(layout.images),
        "shape": list(frame.shape),
        "dtype": str(np.dtype(frame.dtype)),
        "bytes_in": sum((folder / file).stat().st_size for file in layout.images.values()),
        "bytes_out": sum(path.stat().st_size for path in plate.parent.rglob("*") if path.is_file()),
    }
