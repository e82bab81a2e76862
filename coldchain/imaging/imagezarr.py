"""Reading a collection of 5-D images that Coldchain wrote: what images there are, any plane of them, and a sheet of all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from coldchain.errors import LayoutError
from coldchain.imaging.fieldzarr import attributes_of, open_level, read_whole
from coldchain.imaging.labelzarr import read_label_plane
from coldchain.imaging.measure import LABELS
from coldchain.imaging.pictures import Bytes, Tile, contrast, grey, outlined, sheet, shown_level
from coldchain.imaging.platezarr import NOTES
from coldchain.imaging.pyramid import Plane

IMAGES = "images.ome.zarr"
MAX_TILES = 48


@dataclass(frozen=True)
class WrittenImage:
    """One image of a collection: its folder, its name, its channels, and its shape (t, c, z, y, x)."""

    path: Path
    name: str
    channels: tuple[str, ...]
    shape: tuple[int, ...]

    @property
    def plane(self) -> tuple[int, int]:
        """Shape (y, x) of a plane, in pixels."""
        return self.shape[-2], self.shape[-1]


def images_of(collection: Path) -> list[WrittenImage]:
    """Every image of a collection, from its metadata alone. Raises LayoutError where it is none that Coldchain wrote."""
    try:
        return [_image(collection / str(n), about["name"]) for n, about in enumerate(attributes_of(collection)[NOTES]["images"])]
    except (KeyError, TypeError) as error:
        raise LayoutError("Not the metadata of a collection", on=collection, expected=f"`{NOTES}`", got=repr(error)) from error


def _image(path: Path, name: str) -> WrittenImage:
    shown = attributes_of(path)["ome"]["omero"]["channels"]
    return WrittenImage(path, str(name), tuple(str(channel["label"]) for channel in shown), open_level(path / "s0").shape)


def read_image_plane(image: WrittenImage, t: int, c: int, z: int, level: int = 0) -> Plane:
    """Read one plane (y, x). Raises LayoutError where there is no such level, IntegrityError where its file is gone or damaged."""
    path = image.path / f"s{level}"
    return read_whole(open_level(path), path, (t, c, z))


def image_sheet(folder: str) -> bytes:
    """Return one PNG of the images in a folder that holds ``images.ome.zarr``: of each the first moment, first channel, middle plane."""

    def draw(image: WrittenImage, side: int) -> Bytes:
        plane = _shown(image, 0, side)
        return grey(plane, side, contrast(plane))

    found = images_of(Path(folder) / IMAGES)
    return _sheet("each with its own contrast", found, lambda image: Tile(f"{image.name} {image.channels[0]}", partial(draw, image)))


def image_overlay_sheet(images: str, masks: str) -> bytes:
    """Return one PNG of the images of a collection, with the outlines of their nuclei: of each the first moment and the middle plane.

    `images` and `masks` are folders that hold ``images.ome.zarr``; the channel is the one that was segmented. Raises LayoutError or
    IntegrityError for what cannot be read.
    """
    labelled = {image.path.name: image for image in images_of(Path(masks) / IMAGES)}

    def draw(image: WrittenImage, side: int) -> Bytes:
        shows = labelled[image.path.name]
        plane = _shown(image, image.channels.index(shows.channels[0]), side)
        labels = read_label_plane(shows.path / "labels" / LABELS, shown_level(image.plane, side), (0,) if image.shape[0] > 1 else ())
        return outlined(plane, labels, side, contrast(plane))

    found = images_of(Path(images) / IMAGES)
    return _sheet("nuclei outlined, each with its own contrast", found, lambda image: Tile(image.name, partial(draw, image)))


def _sheet(title: str, found: Sequence[WrittenImage], tile: Callable[[WrittenImage], Tile]) -> bytes:
    """A sheet of all images, or of evenly spread ones."""
    chosen = [found[n] for n in np.unique(np.linspace(0, len(found) - 1, min(len(found), MAX_TILES)).round().astype(int))]
    some = f" ({len(chosen)} of {len(found)} images)" if len(chosen) < len(found) else ""
    return sheet(f"{title}{some}", [tile(image) for image in chosen])


def _shown(image: WrittenImage, channel: int, side: int) -> Plane:
    return read_image_plane(image, 0, channel, image.shape[2] // 2, shown_level(image.plane, side))
