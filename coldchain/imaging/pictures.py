"""Pictures that a person looks at: masks over images and sheets of fields (PNG, small enough for the Prefect UI).

Outlines take the colours of Okabe & Ito, "Color Universal Design" (2008), which people with any common colour vision tell apart.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from coldchain.errors import ImageError, InputError
from coldchain.imaging.heatmap import plate_heatmap
from coldchain.imaging.measure import LABELS, read_middle
from coldchain.imaging.platezarr import PLATE, FieldRef, iter_fields, plate_info, read_labels
from coldchain.imaging.pyramid import level_shapes

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

Bytes = NDArray[np.uint8]

__all__ = ["choose_fields", "contrast", "data_uri", "overlay", "plate_heatmap", "plate_overlay_sheet", "thumbnail_sheet"]

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
        return _picture(_outlined(image, labels, side, contrast(image)))

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
        return _outlined(image, labels, side, contrast(image))

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
        return _grey(_resized(image, side), (low, high))

    return _sheet(path, f"{channel}, one contrast for all", draw, flagged, max_tiles)


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
    full = read_middle(plate, ref.well, ref.field, channel, level=0) if masks is None else read_labels(masks, ref.well, ref.field, LABELS)
    shapes = level_shapes((full.shape[0], full.shape[1]))
    level = max(number for number, shape in enumerate(shapes) if number == 0 or max(shape) >= side)
    image = full if level == 0 and masks is None else read_middle(plate, ref.well, ref.field, channel, level=level)
    if masks is None:
        return image, np.zeros(image.shape, np.int32)
    return image, read_labels(masks, ref.well, ref.field, LABELS, level=level) if level else full


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


def _outlined(image: NDArray[Any], labels: NDArray[Any], side: int, window: tuple[float, float]) -> Bytes:
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


def _sheet(plate: Path, what: str, draw: Callable[[FieldRef, int], Bytes], flagged: Collection[tuple[str, int]], max_tiles: int) -> bytes:
    fields = list(iter_fields(plate))
    shown = choose_fields(fields, max_tiles)
    columns = min(len(shown), max(int(np.ceil(np.sqrt(len(shown) * 1.5))), 3))
    title = f"{_plain(plate_info(plate).name)}: {what}" + (f" ({len(shown)} of {len(fields)} fields)" if len(shown) < len(fields) else "")
    largest = min((SHEET_WIDTH - MARGIN) // columns - MARGIN, 320)

    def compose(side: int) -> Image:
        tiles = [draw(ref, side) for ref in shown]
        grid = _Grid(columns, -(-len(tiles) // columns), side, max(tile.shape[0] for tile in tiles))
        return _composed(grid, title, zip(shown, tiles, strict=True), flagged)

    return _fitting(compose, [max(int(largest * share), 32) for share in (1, 0.85, 0.7, 0.6, 0.5, 0.4, 0.3)])


def _plain(text: str) -> str:
    """Return text without what a picture cannot show on one line."""
    return "".join(c if c.isprintable() else "?" for c in text)[:80]


def _composed(grid: _Grid, title: str, tiles: Iterable[tuple[FieldRef, Bytes]], flagged: Collection[tuple[str, int]]) -> Image:
    from PIL import Image, ImageDraw

    sheet = _picture(np.full(grid.size[::-1], 3, np.uint8))
    pen = ImageDraw.Draw(sheet)
    pen.text((MARGIN, 2), title, fill=GREYS - 1, font=_font(13))
    for number, (ref, tile) in enumerate(tiles):
        x, y = grid.corner(number)
        sheet.paste(Image.fromarray(tile), (x, y))
        _label(pen, ref, (x, y), tile, flagged=(ref.well, ref.field) in flagged)
    return sheet


def _label(pen: ImageDraw, ref: FieldRef, corner: tuple[int, int], tile: Bytes, *, flagged: bool) -> None:
    x, y = corner
    pen.text(
        (x, y - CAPTION + 3),
        f"{ref.well} f{ref.field}" + ("  QC" if flagged else ""),
        fill=FLAG if flagged else GREYS * 2 // 3,
        font=_font(12),
    )
    if flagged:
        pen.rectangle((x - 1, y - 1, x + tile.shape[1], y + tile.shape[0]), outline=FLAG, width=2)


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
