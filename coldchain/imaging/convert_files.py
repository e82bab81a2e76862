"""From the instrument's own files to OME-Zarr, with proof: every plane is read back and is the plane that the reader gave.

Files whose images all lie in wells become a plate; others become a collection of 5-D images (bioformats2raw layout 3), one for each
scene, position or series. Standard: https://ngff.openmicroscopy.org/0.5/.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coldchain.errors import ImageError, InputError, LayoutError
from coldchain.imaging.completeness import PLANES, check
from coldchain.imaging.convert import ProvenPlane, prove, refuse_used, write_planes
from coldchain.imaging.fieldzarr import FieldWriter, translated
from coldchain.imaging.imagezarr import IMAGES
from coldchain.imaging.naming import regular_files, sort_wells
from coldchain.imaging.platezarr import NOTES, PLATE, create_plate, field_path
from coldchain.imaging.pyramid import Frame
from coldchain.imaging.sources.opening import READERS, ending, open_source
from coldchain.imaging.sources.source import Image, Source

NATIVE = "native"
"""Folder, beside the Zarr, of all that the files say beside their pixels."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Found:
    """One image of one of the files: the file, the image's number in it, and what it says of itself."""

    file: str
    number: int
    image: Image


@dataclass(frozen=True)
class ProvenImagePlane:
    """One plane of an image that was read back and matched: its place, its file, and the SHA-256 of its pixels."""

    image: int
    name: str
    t: int
    channel: str
    z: int
    file: str
    sha256: str


def convert_files(source: str, target: str, *, name: str, progress: Progress | None = None) -> dict[str, Any]:
    """Convert every file of an acquisition folder that a reader knows into `target`, a new folder.

    It then holds ``plate.ome.zarr`` or ``images.ome.zarr``, ``planes.csv``, and the files' own metadata below ``native``. One plane is in
    memory at a time (for ND2, one frame with its channels). `progress` is told (images done, images in all). Returns counts, and under
    `layout` whether it is a `plate` or `images`. Raises InputError where there is nothing to read, ImageError (which names the file),
    LayoutError where the wells make no plate, IntegrityError where a plane read back differs, or the result is not valid.
    """
    folder, out = Path(source), Path(target)
    refuse_used(out)
    files = container_files(folder)
    if not (found := list(_look(folder, files))):
        raise ImageError("There is no image in these files", on=folder, expected="at least one", got=", ".join(files[:20]))
    with translated(out):
        out.mkdir(parents=True, exist_ok=True)
    wells = [each.image.well for each in found]
    plate = all(wells)
    if not plate and any(wells):
        bare = [each.image.name for each in found if not each.image.well]
        raise LayoutError("Some images lie in wells, and some do not", on=folder, expected="all or none", got="; ".join(bare[:20]))
    proven = _Plate(folder, out, name, found).convert(progress) if plate else _Images(folder, out, name, found).convert(progress)
    with translated(out):
        write_planes(out / PLANES, proven)
    check(out)
    return {
        "layout": "plate" if plate else "images",
        "files": files,
        "images": len(found),
        "planes": len(proven),
        "shapes": sorted({str(each.image.shape) for each in found}),
        "bytes_out": sum(path.stat().st_size for path in out.rglob("*") if path.is_file()),
    }


def container_files(folder: Path) -> list[str]:
    """Files and OME-Zarr folders below a folder that a reader knows, relative, sorted. Raises InputError where there is none."""
    names = list(regular_files(folder))
    inside = sorted({part for name in names if (part := _zarr_of(name))})
    alone = [name for name in names if ending(name) in READERS and not _zarr_of(name)]
    if not (found := sorted([*alone, *inside])):
        raise InputError("No file here that a reader knows", on=folder, expected=", ".join(READERS), got=f"{len(names)} files")
    return found


def _zarr_of(name: str) -> str:
    """The outermost OME-Zarr folder that a file lies in, if any."""
    parts = name.split("/")
    return next(("/".join(parts[: n + 1]) for n, part in enumerate(parts[:-1]) if part.lower().endswith(".ome.zarr")), "")


def _look(folder: Path, files: Sequence[str]) -> Iterator[Found]:
    """What images there are; a file that belongs to another one's set is not looked at twice."""
    seen: set[Path] = set()
    for file in files:
        if (folder / file).resolve() in seen:
            continue
        with open_source(folder / file) as source:
            seen |= {path.resolve() for path in source.parts}
            yield from (Found(file, number, image) for number, image in enumerate(source.images))


class _Conversion:
    """What both layouts have in common: sources opened one after the other, and planes written and proved."""

    def __init__(self, folder: Path, out: Path, name: str, found: Sequence[Found]) -> None:
        self.folder, self.out, self.name, self.found = folder, out, name, found

    def each(self, progress: Progress | None) -> Iterator[tuple[Source, Found]]:
        """Each image with its source open; what a file says is written down as it is opened."""
        opened, source = "", None
        with ExitStack() as stack:
            for done, found in enumerate(self.found, 1):
                if source is None or found.file != opened:
                    stack.close()
                    opened, source = found.file, stack.enter_context(open_source(self.folder / found.file))
                    self._keep(found.file, source.metadata())
                yield source, found
                if progress:
                    progress(done, len(self.found))

    def _keep(self, file: str, said: Mapping[str, str]) -> None:
        with translated(self.out):
            for name, text in said.items():
                path = self.out / NATIVE / f"{file}.{name}"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, "utf-8")


def copy_planes(source: Source, found: Found, writer: FieldWriter, on: str) -> Iterator[tuple[int, int, int, str]]:
    """Write each plane of an image, read it back and compare it; gives (t, c, z) and the SHA-256 of its pixels."""
    for t, c, z in found.image.planes:
        plane = source.plane(found.number, t, c, z)
        digest = hashlib.sha256(plane.data).hexdigest()
        writer.write(plane, c, z, t)
        prove(plane, writer.read(c, z, t), on=f"{on} channel {writer.channels[c]} plane {z + 1} time {t + 1}", sha256=digest)
        yield t, c, z, digest


class _Images(_Conversion):
    """A collection of 5-D images."""

    def convert(self, progress: Progress | None) -> list[ProvenImagePlane]:
        """Write and prove each image, in the order of the files."""
        self._create()
        proven = []
        for index, (source, found) in enumerate(self.each(progress)):
            image, names = found.image, tuple(channel.name for channel in found.image.channels)
            colours = tuple(channel.colour for channel in image.channels)
            with FieldWriter(self.out / IMAGES / str(index), names, frame_of(image), colours) as writer:
                for t, c, z, digest in copy_planes(source, found, writer, f"{found.file}: {image.name}"):
                    proven.append(ProvenImagePlane(index, image.name, t, names[c], z, found.file, digest))
        return proven

    def _create(self) -> None:
        import zarr

        about = [
            {
                "file": found.file,
                "name": found.image.name,
                "position_um": found.image.position_um,
                "acquired_at": found.image.acquired_at and found.image.acquired_at.isoformat(),
            }
            for found in self.found
        ]
        with translated(self.out):
            ours = {"ome": {"version": "0.5", "bioformats2raw.layout": 3}, NOTES: {"name": self.name, "images": about}}
            root = zarr.create_group(self.out / IMAGES, attributes=ours)
            series = [str(index) for index in range(len(self.found))]
            root.create_group("OME", attributes={"ome": {"version": "0.5", "series": series}})


class _Plate(_Conversion):
    """A plate: every well has every field, and all images are alike."""

    def convert(self, progress: Progress | None) -> list[ProvenPlane]:
        """Write and prove each field."""
        first = self.found[0].image
        self._refuse_other(first)
        names = tuple(channel.name for channel in first.channels)
        plate = create_plate(
            self.out / PLATE,
            name=self.name,
            wells=sort_wells(str(each.image.well) for each in self.found),
            fields=sorted({each.image.field for each in self.found}),
            channels=names,
            pixel_size_um=first.pixel_size_um[2],
            notes={"corrected": False, "native": {"files": sorted({each.file for each in self.found})}},
        )
        proven = []
        colours = tuple(channel.colour for channel in first.channels)
        for source, found in self.each(progress):
            well, field = str(found.image.well), found.image.field
            with FieldWriter(field_path(plate, well, field), names, frame_of(first, plate=True), colours) as writer:
                for _, c, z, digest in copy_planes(source, found, writer, f"{well} field {field}"):
                    proven.append(ProvenPlane(well, field, names[c], z + 1, found.file, digest))
        return proven

    def _refuse_other(self, first: Image) -> None:
        places = [(str(each.image.well), each.image.field) for each in self.found]
        wells, fields = sort_wells(well for well, _ in places), sorted({field for _, field in places})
        if twice := sorted({f"{well} field {field}" for well, field in places if places.count((well, field)) > 1}):
            raise LayoutError("Two images for one field", on=self.folder, expected="one each", got="; ".join(twice[:20]))
        if missing := [f"{well} field {field}" for well in wells for field in fields if (well, field) not in set(places)]:
            raise LayoutError("Fields are missing that other wells have", on=self.folder, got="; ".join(missing[:20]))
        alike = (first.shape, first.dtype, [channel.name for channel in first.channels])
        for each in self.found:
            image = each.image
            if (image.shape, image.dtype, [channel.name for channel in image.channels]) != alike or image.shape[0] != 1:
                got = f"{each.file}: {image.name}, {image.shape} {image.dtype}"
                raise LayoutError("The images of a plate are alike, and of one moment", on=self.folder, expected=str(alike), got=got)


def frame_of(image: Image, *, plate: bool = False) -> Frame:
    """The frame that an image is written in: five axes, or a field of a plate."""
    t, _, z, y, x = image.shape
    step, height, width = image.pixel_size_um
    size = width if width is not None and height in {None, width} else None
    return Frame((y, x), image.dtype, size, z_count=z, t_count=None if plate else t, z_step_um=step, time_step_s=image.time_step_s)
