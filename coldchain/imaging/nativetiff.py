"""Reading an instrument's TIFF: one plane a file, nothing allocated before its header was believed.

Specification: TIFF 6.0 (Adobe, 1992). tifffile does the reading; the checks before it stand here, because it fills lost strips
with zeros and allocates what a header asks for.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from coldchain.errors import ImageError
from coldchain.imaging.pyramid import Plane

if TYPE_CHECKING:
    import tifffile

MAX_PIXELS = 2**31
MAX_RATIO = 1100  # no codec of TIFF shrinks more: Deflate reaches 1032 to 1
PIXEL_TYPES = ("uint8", "uint16", "float32")
UNCOMPRESSED = 1
LAYOUT_TAGS = {"StripOffsets", "StripByteCounts", "TileOffsets", "TileByteCounts"}


def read_tiff(path: Path) -> Plane:
    """Read the one plane (y, x) of a TIFF file, in the machine's byte order.

    Raises ImageError, which names the file, where it is truncated, corrupt, absurdly large, or not one grey plane of 8 or 16-bit
    whole numbers or 32-bit floats.
    """
    with _opened(path) as tiff:
        page = _only_page(path, tiff)
        refuse_absurd(path, page)
        refuse_truncated(path, page)
        plane = page.asarray()
    return np.ascontiguousarray(plane, dtype=plane.dtype.newbyteorder("="))


def read_metadata(path: Path) -> dict[str, str]:
    """Return every tag of a TIFF file but the places of its bytes, as text: OME-XML and vendor descriptions come whole."""
    with _opened(path) as tiff:
        tags = _only_page(path, tiff).tags
        return {tag.name: _as_text(tag.value) for tag in tags if tag.name not in LAYOUT_TAGS}


def _as_text(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


@contextmanager
def _opened(path: Path) -> Iterator[tifffile.TiffFile]:
    """Open a TIFF file and translate what tifffile and its codecs raise."""
    import tifffile

    try:
        with tifffile.TiffFile(path) as tiff:
            yield tiff
    except ImageError:
        raise
    except Exception as exc:  # a damaged file makes tifffile and its codecs raise almost anything
        raise _unreadable(path, exc) from exc


def _unreadable(path: Path, exc: Exception) -> ImageError:
    if "imagecodecs" in str(exc):
        return ImageError("No codec for this image here", on=path, got=str(exc), hint="install imagecodecs, or export uncompressed")
    return ImageError("An image cannot be read", on=path, expected="a whole TIFF", got=repr(exc), hint="copy again from the instrument")


def _only_page(path: Path, tiff: tifffile.TiffFile) -> tifffile.TiffPage:
    count = len(tiff.pages)
    page = tiff.pages.first
    if count != 1 or len(page.shape) != 2:
        raise ImageError("Not one grey plane", on=path, expected="one page, (y, x)", got=f"{count} pages, {page.shape}")
    if page.dtype is None or page.dtype.name not in PIXEL_TYPES:
        raise ImageError("Not a type of pixel that a camera gives", on=path, expected=PIXEL_TYPES, got=page.dtype)
    return page


def refuse_absurd(path: Path, page: tifffile.TiffPage | tifffile.TiffFrame) -> None:
    """Compare what the header asks for with the size of the file, before any memory is asked for."""
    key = page.keyframe  # of a series, only the first page has a header of its own
    pixels, size = math.prod(key.shape), path.stat().st_size
    most = size if key.compression == UNCOMPRESSED else size * MAX_RATIO
    asked = pixels * (key.bitspersample // 8)
    if not 0 < pixels <= MAX_PIXELS or asked > most:
        raise ImageError(
            "The size in an image's header cannot be true",
            on=path,
            expected=f"1 to {MAX_PIXELS} pixels, and no more bytes than {most}",
            got=f"{key.shape}, {asked} bytes",
            hint="copy again from the instrument",
        )


def refuse_truncated(path: Path, page: tifffile.TiffPage | tifffile.TiffFrame) -> None:
    """Check that every strip or tile lies inside the file: tifffile would fill a lost one with zeros."""
    size = path.stat().st_size
    places = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    if not places or any(offset <= 0 or count <= 0 or offset + count > size for offset, count in places):
        end = max((offset + count for offset, count in places), default=0)
        raise ImageError("An image is truncated", on=path, expected=f"{end} bytes, every strip", got=f"{size} bytes")
