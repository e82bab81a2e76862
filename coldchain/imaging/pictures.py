"""Pictures that a person looks at: masks over images and sheets of fields (PNG, small enough for the Prefect UI).

Outlines take the colours of Okabe & Ito, "Color Universal Design" (2008), which people with any common colour vision tell apart.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from coldchain.errors import ImageError, InputError
from coldchain.imaging.fieldzarr import read_frame
from coldchain.imaging.heatmap import plate_heatmap
from coldchain.imaging.measure import LABELS, read_middle
from coldchain.imaging.platezarr import PLATE, FieldRef, iter_fields, plate_info, read_labels
from coldchain.imaging.pyramid import level_shapes

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

Bytes = NDArray[np.uint8]

__all__ = [
    "Tile",
    "choose_fields",
    "contrast",
    "data_uri",
    "grey",
    "outlined",
    "overlay",
    "plate_heatmap",
    "plate_overlay_sheet",
    "sheet",
    "shown_level",
    "thumbnail_sheet",
]

LIMIT = 150_000  # bytes of one picture
GREYS = 64  # grey levels of a palette, enough for the eye and half the bytes of 256; the colours follow
COLOURS = ((86, 180, 233), (230, 159, 0), (0, 158, 115), (240, 228, 66), (204, 121, 167), (213, 94, 0))
FLAG = GREYS + 5  # vermilion
PERCENTILES = (1.0, 99.8)  # shown as black and white
MAX_TILES = 48
CAPTION = 18  # px above each tile
MARGIN = 4
SHEET_WIDTH = 960


def data_uri(png: bytes) -> str:
    """Return a PNG as a `data:` address, which an image artifact shows without a server."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def overlay(image: NDArray[Any], labels: NDArray[Any]) -> bytes:
    """Return a PNG of an image (y, x) in grey, from its 1st to its 99.8th percentile, with the outlines of labels in colour.

    At most twice as large as the image, and made smaller until it is below 150 kB. Raises ImageError where the two differ in size or
    are no planes.
    """
    if image.ndim != 2 or image.shape != labels.shape or image.size == 0:
        raise ImageError("An overlay needs an image and labels of one size", expected=image.shape, got=labels.shape)
    largest = max(2 * max(image.shape), 128)

    def draw(side: int) -> Image:
        return _picture(outlined(image, labels, side, contrast(image)))

    return _fitting(draw, [side for side in (1024, 768, 640, 512, 384, 256, 128) if side <= largest])


def contrast(image: NDArray[Any]) -> tuple[float, float]:
    """Return the grey values that are shown as black and as white."""
    low, high = (float(value) for value in np.percentile(image, PERCENTILES))
    return low, high


def plate_overlay_sheet(
    corrected: str,
    masks: str,
    *,
    channel: str | None = None,
    flagged: Collection[tuple[str, int]] = (),
    max_tiles: int = MAX_TILES,
) -> bytes:
    """Return one PNG of the fields of a plate with the outlines of their nuclei, each tile stretched by itself.

    Args:
        corrected: folder of the plate with the images.
        masks: folder of the plate with the labels; its channel is shown where none is named.
        channel: name of the channel to show.
        flagged: well and field of those that quality control flagged; they are marked.
        max_tiles: fields to show; of a larger plate evenly spread ones, first fields first.

    Raises InputError where the plate has no such channel, LayoutError or IntegrityError for what cannot be read.
    """
    plate, labelled = Path(corrected) / PLATE, Path(masks) / PLATE
    name = channel or plate_info(labelled).channels[0]
    index = _channel_index(plate, name)

    def draw(ref: FieldRef, side: int) -> Bytes:
        image, labels = _levels(plate, ref, index, side, labelled)
        return outlined(image, labels, side, contrast(image))

    return _sheet(plate, f"nuclei outlined on {name}", draw, flagged, max_tiles)


def thumbnail_sheet(plate: str, channel: str, *, flagged: Collection[tuple[str, int]] = (), max_tiles: int = MAX_TILES) -> bytes:
    """Return one PNG of the fields of a plate in one channel, all with the same contrast, so that dim wells look dim.

    Arguments and errors as :func:`plate_overlay_sheet`; `plate` is the folder that holds ``plate.ome.zarr``.
    """
    path = Path(plate) / PLATE
    index = _channel_index(path, channel)
    shown = choose_fields(list(iter_fields(path)), max_tiles)
    windows = np.array([contrast(_levels(path, ref, index, 128)[0]) for ref in shown])
    low, high = (float(value) for value in np.median(windows, axis=0))

    def draw(ref: FieldRef, side: int) -> Bytes:
        image, _ = _levels(path, ref, index, side)
        return grey(image, side, (low, high))

    return _sheet(path, f"{channel}, one contrast for all", draw, flagged, max_tiles)


def grey(image: NDArray[Any], side: int, window: tuple[float, float]) -> Bytes:
    """Return an image (y, x) as it stands on a sheet: `side` px as its longest side, from black to white as `window` says."""
    return _grey(_resized(image, side), window)


def _channel_index(plate: Path, channel: str) -> int:
    channels = plate_info(plate).channels
    if channel not in channels:
        raise InputError("The plate has no such channel", on=plate, expected="one of " + ", ".join(map(repr, channels)), got=repr(channel))
    return channels.index(channel)


def choose_fields(fields: Sequence[FieldRef], count: int) -> list[FieldRef]:
    """Return at most `count` fields in the plate's order: all, or the first ones of every well, or those of evenly spread wells."""
    if len(fields) <= count:
        return list(fields)
    wells = list(dict.fromkeys(ref.well for ref in fields))
    wells = [wells[i] for i in np.unique(np.linspace(0, len(wells) - 1, min(count, len(wells))).round().astype(int))]
    each = max(count // len(wells), 1)
    return [ref for well in wells for ref in [r for r in fields if r.well == well][:each]]


def _levels(plate: Path, ref: FieldRef, channel: int, side: int, masks: Path | None = None) -> tuple[NDArray[Any], NDArray[Any]]:
    """Read the smallest level of a field that is not smaller than a tile, and its labels at the same level."""
    level = shown_level(read_frame(ref.path, None).shape, side)
    image = read_middle(plate, ref.well, ref.field, channel, level=level)
    if masks is None:
        return image, np.zeros(image.shape, np.int32)
    return image, read_labels(masks, ref.well, ref.field, LABELS, level=level)


def shown_level(shape: tuple[int, int], side: int) -> int:
    """Return the smallest level of an image of that shape (y, x) that is not smaller than `side` px."""
    return max(number for number, level in enumerate(level_shapes(shape)) if number == 0 or max(level) >= side)


def _grey(image: NDArray[Any], window: tuple[float, float]) -> Bytes:
    """Return palette positions of the grey levels; an image without contrast is black."""
    low, high = window
    scaled = (image.astype(np.float32) - low) / max(high - low, 1e-6)
    return np.asarray(np.sqrt(np.clip(scaled, 0.0, 1.0)) * (GREYS - 1), np.uint8)  # the root lets dim nuclei be seen


def _resized(image: NDArray[Any], side: int) -> NDArray[Any]:
    from PIL import Image

    factor = side / max(image.shape)
    if factor == 1.0:
        return image
    size = tuple(max(round(length * factor), 1) for length in image.shape[::-1])
    return np.asarray(
        Image.fromarray(image.astype(np.float32)).resize(size, Image.Resampling.BOX if factor < 1 else Image.Resampling.BILINEAR)
    )


def outlined(image: NDArray[Any], labels: NDArray[Any], side: int, window: tuple[float, float]) -> Bytes:
    """Return palette positions of an image of that longest side with the inner outline of each label."""
    grey = _grey(_resized(image, side), window)
    rows, columns = (np.arange(new) * old // new for new, old in zip(grey.shape, labels.shape, strict=True))
    small = np.pad(labels[np.ix_(rows, columns)], 1, mode="edge")
    core = small[1:-1, 1:-1]
    inner = (core == small[:-2, 1:-1]) & (core == small[2:, 1:-1]) & (core == small[1:-1, :-2]) & (core == small[1:-1, 2:])
    return np.where(inner | (core == 0), grey, GREYS + core % len(COLOURS)).astype(np.uint8)


@dataclass(frozen=True)
class _Grid:
    """Where tiles stand on a sheet."""

    columns: int
    rows: int
    side: int
    height: int

    def corner(self, number: int) -> tuple[int, int]:
        """Return x and y of a tile's picture."""
        row, column = divmod(number, self.columns)
        return MARGIN + column * (self.side + MARGIN), 2 * CAPTION + row * (self.height + CAPTION + MARGIN)

    @property
    def size(self) -> tuple[int, int]:
        """Return width and height of the sheet."""
        x, y = self.corner(self.columns * self.rows - 1)
        return max(x + self.side + MARGIN, 320), y + self.height + MARGIN


@dataclass(frozen=True)
class Tile:
    """One picture of a sheet: what stands above it, whether it is marked, and how it is drawn with so many px as its longest side."""

    caption: str
    draw: Callable[[int], Bytes]
    flagged: bool = False


def _sheet(plate: Path, what: str, draw: Callable[[FieldRef, int], Bytes], flagged: Collection[tuple[str, int]], max_tiles: int) -> bytes:
    fields = list(iter_fields(plate))
    shown = choose_fields(fields, max_tiles)
    title = f"{plate_info(plate).name}: {what}" + (f" ({len(shown)} of {len(fields)} fields)" if len(shown) < len(fields) else "")
    marked = [(ref, (ref.well, ref.field) in flagged) for ref in shown]
    return sheet(title, [Tile(f"{ref.well} f{ref.field}" + "  QC" * mark, partial(draw, ref), mark) for ref, mark in marked])


def sheet(title: str, tiles: Sequence[Tile]) -> bytes:
    """Return a PNG with tiles in rows, below 150 kB where it can be; tiles are made smaller until it is."""
    columns = min(len(tiles), max(int(np.ceil(np.sqrt(len(tiles) * 1.5))), 3))
    largest = min((SHEET_WIDTH - MARGIN) // columns - MARGIN, 320)

    def compose(side: int) -> Image:
        drawn = [tile.draw(side) for tile in tiles]
        grid = _Grid(columns, -(-len(drawn) // columns), side, max(each.shape[0] for each in drawn))
        return _composed(grid, _plain(title), zip(tiles, drawn, strict=True))

    return _fitting(compose, [max(int(largest * share), 32) for share in (1, 0.85, 0.7, 0.6, 0.5, 0.4, 0.3)])


def _plain(text: str) -> str:
    """Return text without what a picture cannot show on one line."""
    return "".join(c if c.isprintable() else "?" for c in text)[:80]


def _composed(grid: _Grid, title: str, tiles: Iterable[tuple[Tile, Bytes]]) -> Image:
    from PIL import Image, ImageDraw

    canvas = _picture(np.full(grid.size[::-1], 3, np.uint8))
    pen = ImageDraw.Draw(canvas)
    pen.text((MARGIN, 2), title, fill=GREYS - 1, font=_font(13))
    for number, (tile, drawn) in enumerate(tiles):
        x, y = grid.corner(number)
        canvas.paste(Image.fromarray(drawn), (x, y))
        _label(pen, tile, (x, y), drawn)
    return canvas


def _label(pen: ImageDraw, tile: Tile, corner: tuple[int, int], drawn: Bytes) -> None:
    x, y = corner
    colour = FLAG if tile.flagged else GREYS * 2 // 3
    pen.text((x, y - CAPTION + 3), _plain(tile.caption), fill=colour, font=_font(12))
    if tile.flagged:
        pen.rectangle((x - 1, y - 1, x + drawn.shape[1], y + drawn.shape[0]), outline=FLAG, width=2)


def _font(size: int) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size=size)


def _picture(positions: Bytes) -> Image:
    """Return a palette image: one byte a pixel, half the size of true colour."""
    from PIL import Image

    greys = [level * 255 // (GREYS - 1) for level in range(GREYS) for _ in range(3)]
    picture = Image.fromarray(positions).convert("P")
    picture.putpalette(greys + [part for colour in COLOURS for part in colour])
    return picture


def _fitting(draw: Callable[[int], Image], sides: Sequence[int]) -> bytes:
    """Return the first drawing that is below the limit, or else the last."""
    png = b""
    for side in sides:
        buffer = io.BytesIO()
        draw(side).save(buffer, "PNG", optimize=True)
        png = buffer.getvalue()
        if len(png) <= LIMIT:
            break
    return png


def pair_sheet(corrected: str, old: str, new: str, fields: Sequence[tuple[str, int, str]], *, title: str) -> bytes:
    """Return one PNG of some fields, each twice side by side: left with the outlines of the old masks, right with those of the new ones.

    Args:
        corrected: folder of the plate with the images; the first channel of the new masks is shown.
        old: folder of the old masks.
        new: folder of the new masks.
        fields: well, field, and what stands above the pair beside them.
        title: stands above all.

    Raises as :func:`plate_overlay_sheet`.
    """
    plate = Path(corrected) / PLATE
    index = _channel_index(plate, plate_info(Path(new) / PLATE).channels[0])
    refs = {(ref.well, ref.field): ref for ref in iter_fields(plate)}

    def draw(ref: FieldRef, side: int) -> Bytes:
        halves = []
        for masks in (old, new):
            image, labels = _levels(plate, ref, index, max(side // 2, 1), Path(masks) / PLATE)
            halves.append(outlined(image, labels, max((side - MARGIN) // 2, 1), contrast(image)))
        return np.hstack([halves[0], np.full((halves[0].shape[0], MARGIN), GREYS - 1, np.uint8), halves[1]])

    pairs = [(refs[well, field], said) for well, field, said in fields if (well, field) in refs]
    return sheet(title, [Tile(f"{ref.well} f{ref.field}: {said}", partial(draw, ref)) for ref, said in pairs])
