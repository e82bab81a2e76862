"""The protocol that every reader of an instrument's format fulfils: what images a file holds, and any plane of them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

import numpy as np

from coldchain.errors import ImageError, LocationUnreachable
from coldchain.file_errors import VANISHED
from coldchain.imaging.pyramid import Plane

MAX_PIXELS = 2**31
"""Pixels of a plane; what a header asks for beyond that is not believed."""

MAX_PLANES = 10**7
PIXEL_TYPES = ("uint8", "uint16", "float32")


@dataclass(frozen=True)
class Channel:
    """A channel: its name as the instrument gave it, and its colour (RRGGBB) where it gave one."""

    name: str
    colour: str | None = None


@dataclass(frozen=True)
class Image:
    """One image of a file: a scene, a position, a series.

    Attributes:
        shape: t, c, z, y, x.
        dtype: type of its pixels, in the machine's byte order.
        pixel_size_um: size of a pixel in z, y, x, in micrometres, each where it is known.
        time_step_s: seconds between two time points, where it is known.
        position_um: z, y, x of the stage, in micrometres, where it is known.
        well: where it is an image of a plate, like ``A01``; `field` then counts from 1.
    """

    name: str
    shape: tuple[int, int, int, int, int]
    dtype: str
    channels: tuple[Channel, ...]
    pixel_size_um: tuple[float | None, float | None, float | None] = (None, None, None)
    time_step_s: float | None = None
    position_um: tuple[float, float, float] | None = None
    acquired_at: dt.datetime | None = None
    well: str | None = None
    field: int = 1

    @property
    def planes(self) -> Iterator[tuple[int, int, int]]:
        """Every (t, c, z), in this order."""
        return ((t, c, z) for t in range(self.shape[0]) for c in range(self.shape[1]) for z in range(self.shape[2]))


class Source(Protocol):
    """A file, or a folder, of an instrument, open to be read."""

    parts: frozenset[Path]
    """Files that belong to it and would give the same images; none where it is one file."""

    @property
    def images(self) -> tuple[Image, ...]:
        """The images that it holds, in their order."""

    def plane(self, image: int, t: int, c: int, z: int) -> Plane:
        """One plane (y, x) in the machine's byte order; raises ImageError where it is missing or damaged."""

    def metadata(self) -> Mapping[str, str]:
        """All that the file says beside its pixels, as texts by the names of files; OME-XML is `ome.xml`."""

    def close(self) -> None:
        """Let go of the file."""

    def __enter__(self) -> Self:
        """The source itself."""

    def __exit__(self, *_: object) -> None:
        """Close it."""


class Closing:
    """A source of one file, or folder, that closes with its block."""

    parts: frozenset[Path] = frozenset()

    def close(self) -> None:
        """Nothing is held."""

    def __enter__(self) -> Self:
        """The source itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()


@contextmanager
def reading(path: Path, what: str) -> Iterator[None]:
    """Translate what a library raises over a file: damaged ones make it raise almost anything."""
    try:
        yield
    except (ImageError, MemoryError):
        raise
    except OSError as error:
        if error.errno in VANISHED:
            raise LocationUnreachable("a location vanished while an image was read", on=path, got=error.strerror) from error
        raise _unreadable(path, what, error) from error
    except Exception as error:  # a damaged file makes each library raise its own kinds
        raise _unreadable(path, what, error) from error


def _unreadable(path: Path, what: str, error: Exception) -> ImageError:
    said = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    return ImageError("An image cannot be read", on=path, expected=what, got=said, hint="copy again from the instrument")


def believed(path: Path, image: Image) -> Image:
    """An image whose header can be true; raises ImageError, before anything is asked for, where it cannot."""
    t, c, z, y, x = image.shape
    if min(image.shape) < 1 or y * x > MAX_PIXELS or t * c * z > MAX_PLANES:
        expected = f"1 to {MAX_PIXELS} pixels a plane, 1 to {MAX_PLANES} planes"
        raise ImageError("The size in an image's header cannot be true", on=f"{path}: {image.name}", expected=expected, got=image.shape)
    if image.dtype not in PIXEL_TYPES:
        raise ImageError("Not a type of pixel that a camera gives", on=f"{path}: {image.name}", expected=PIXEL_TYPES, got=image.dtype)
    if len(image.channels) != c:
        raise ImageError("An image's channels are not as many as it says", on=f"{path}: {image.name}", expected=c, got=len(image.channels))
    return image


def native(plane: Plane, image: Image, where: object) -> Plane:
    """A plane as a whole array of the image's type and shape, in the machine's byte order; raises ImageError where it is another."""
    found = np.ascontiguousarray(plane, dtype=plane.dtype.newbyteorder("="))
    if found.dtype.name != image.dtype or found.shape != image.shape[-2:]:
        expected, got = f"{image.shape[-2:]} {image.dtype}", f"{found.shape} {found.dtype}"
        raise ImageError("A plane is not as its image says", on=f"{image.name}, (t, c, z) = {where}", expected=expected, got=got)
    return found


def named(names: list[str]) -> tuple[str, ...]:
    """Names of channels, each once: a second one of a name gets its number."""
    found: list[str] = []
    for number, name in enumerate(names, 1):
        plain = " ".join(name.split()) or f"Ch{number}"
        found.append(plain if plain not in found else f"{plain} {number}")
    return tuple(found)


def moment(text: str | None) -> dt.datetime | None:
    """A moment as ISO 8601 writes it, in UTC where it names no zone; nothing where it is none."""
    try:
        found = dt.datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return found.replace(tzinfo=found.tzinfo or dt.UTC) if found else None


def positive(value: float | str | None) -> float | None:
    """A size that can be one; nothing where it cannot."""
    try:
        size = float(value) if value is not None else 0.0
    except ValueError:
        return None
    return size if np.isfinite(size) and size > 0 else None
