"""What an instrument's file names say: which well, field, channel, plane and time each image is.

A folder is read as a whole, because a plate is a rectangle: what one well has, every well has.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, product
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from coldchain.errors import InputError, LayoutError, UnsafePathError
from coldchain.imaging.conventions import Convention

IMAGE_SUFFIXES = (".tif", ".tiff")
ROWS, COLUMNS = 32, 48  # a plate of 1536 wells, ANSI/SLAS 4-2004: rows A to AF, columns 1 to 48
NAMED = 20  # objects that an error lists by name


class ImageKey(NamedTuple):
    """Which plane of a plate an image is. Numbers are the instrument's own; z and t are 1 where the name has none."""

    well: str
    field: int
    channel: int
    z: int = 1
    t: int = 1


@dataclass(frozen=True)
class PlateLayout:
    """The images of one acquisition folder, as a rectangle: every well has every field, channel and plane.

    `channels` are names in the order of the instrument's `channel_numbers`; `images` gives each key's path relative to the folder;
    `others` are the files that are no images.
    """

    wells: tuple[str, ...]
    fields: tuple[int, ...]
    channels: tuple[str, ...]
    channel_numbers: tuple[int, ...]
    z_planes: tuple[int, ...]
    images: Mapping[ImageKey, str]
    others: tuple[str, ...]


def parse_name(name: str, convention: Convention) -> ImageKey:
    """Return what a file name says. Raises LayoutError where it is not of that convention, or names a well no plate has."""
    said = convention.matched(name)
    if said is None:
        raise LayoutError("A file name is not of the plate's convention", on=repr(name), expected=convention.example)
    try:
        well = normalise_well(said["well"]) if "well" in said else name_well(int(said["row"]), int(said["column"]))
        return ImageKey(well, int(said.get("field", 1)), int(said["channel"]), int(said.get("z", 1)), int(said.get("t", 1)))
    except LayoutError as exc:
        raise LayoutError("A file name has a well that no plate has", on=repr(name), expected=exc.expected, got=exc.got) from exc
    except (ValueError, KeyError) as exc:
        raise LayoutError(
            "A file name says no number where one is expected", on=repr(name), expected=convention.example, got=str(said), hint=_SITE
        ) from exc


_SITE = "look at the convention's expression in site.yaml"


def normalise_well(text: str) -> str:
    """Return a well as row letters and two digits (``a1`` is ``A01``). Raises LayoutError outside of 1536 wells, A01 to AF48."""
    match = re.fullmatch(r"([A-Z]{1,2})([0-9]{1,3})", text.upper())
    if match is None:
        raise LayoutError("Not the name of a well", expected="A01 to AF48", got=repr(text))
    row = 0
    for letter in match[1]:
        row = row * 26 + ord(letter) - ord("A") + 1
    return name_well(row, int(match[2]))


def name_well(row: int, column: int) -> str:
    """Return the name of the well at a row and column, both counted from 1. Raises LayoutError outside of 1536 wells."""
    if not (1 <= row <= ROWS and 1 <= column <= COLUMNS):
        raise LayoutError("Not a well of a plate", expected="A01 to AF48 (row 1 to 32, column 1 to 48)", got=f"row {row}, column {column}")
    letters = chr(64 + row) if row <= 26 else "A" + chr(64 + row - 26)
    return f"{letters}{column:02d}"


def file_stem(number: int, name: str, well: str | None = None, field: int = 1) -> str:
    """Return a file name, without its ending, that any file system takes: well and field, or number and what can be of the name."""
    if well:
        return f"{well}_f{field:03}"
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:64]
    return f"{number + 1:04}{f'_{plain}' if plain else ''}"


def in_xml(text: str) -> str:
    """Return a text as XML can hold it: a blank for each character that is not printable, e.g. a control character."""
    return "".join(c if c.isprintable() else " " for c in text)


def sort_wells(wells: Iterable[str]) -> tuple[str, ...]:
    """Return wells in the order of a plate: row by row, Z before AA, each once."""
    return tuple(sorted(set(wells), key=lambda well: (len(well), well)))


def read_layout(folder: Path, convention: Convention, channels: Mapping[int, str] | None) -> PlateLayout:
    """Read the names of an acquisition folder, sub-folders included, and say what plate they make.

    `channels` names each channel number; without it they are `Ch1`, `Ch2` ... Raises UnsafePathError for a link or a name that
    cannot be written down, LayoutError for a folder without images, with mixed conventions, with two files for one image, with a time
    series, or where a field or channel that another well has is missing: each is named.
    """
    files = list(regular_files(folder))
    images = [file for file in files if _is_image(file, convention)]
    if not images:
        raise LayoutError("No image in the acquisition folder", on=folder, expected=convention.example, got=f"{len(files)} files")
    by_key = _by_key(folder, images, convention)
    return _as_rectangle(folder, by_key, channels, tuple(file for file in files if not _is_image(file, convention)))


def regular_files(folder: Path) -> Iterator[str]:
    """Yield every file below a folder, relative, sorted. Links, devices and names that are not text are refused."""
    if not folder.is_dir():
        raise InputError("No acquisition folder", on=folder, expected="a folder", got="nothing that can be read")
    for root, folders, names in os.walk(folder, onerror=_unreadable):
        folders.sort()
        for name in sorted([*names, *folders]):
            path = Path(root, name)
            _refuse_unsafe(path, path.relative_to(folder).as_posix())
        yield from (Path(root, name).relative_to(folder).as_posix() for name in sorted(names))


def _unreadable(error: OSError) -> None:
    raise InputError("A folder cannot be read", on=error.filename, got=error.strerror, hint="give the right to read it") from error


def _refuse_unsafe(path: Path, relative: str) -> None:
    if not relative.isprintable():
        raise UnsafePathError("A file name cannot be written down", on=ascii(relative), hint="rename the file at the instrument")
    mode = path.lstat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        kind = "a symbolic link" if stat.S_ISLNK(mode) else "a special file"
        raise UnsafePathError("Only plain files are images", on=relative, expected="a regular file", got=kind)


def _is_image(relative: str, convention: Convention) -> bool:
    name = relative.rsplit("/", 1)[-1]
    return name.lower().endswith(IMAGE_SUFFIXES) and not convention.shows_preview(name)


def _by_key(folder: Path, images: list[str], convention: Convention) -> dict[ImageKey, str]:
    foreign, twice, found, plates = [], [], dict[ImageKey, str](), dict[str, str]()
    for image in images:
        name = image.rsplit("/", 1)[-1]
        said = convention.matched(name)
        if said is None:
            foreign.append(image)
            continue
        plates.setdefault(said.get("plate", "").lower(), image)
        key = parse_name(name, convention)
        if key in found:
            twice.append(f"{found[key]} and {image}")
        found[key] = image
    if foreign:
        raise LayoutError("Some images are not named by the plate's convention", on=folder, expected=convention.example, got=_some(foreign))
    if len(plates) > 1:
        raise LayoutError("Images of several plates in one folder", on=folder, expected="one plate", got=_some(list(plates.values())))
    if twice:
        raise LayoutError("Two files for one image", on=folder, expected="one file each", got=_some(twice))
    return found


def _as_rectangle(folder: Path, images: dict[ImageKey, str], channels: Mapping[int, str] | None, others: tuple[str, ...]) -> PlateLayout:
    wells = sort_wells(key.well for key in images)
    fields, numbers = sorted({key.field for key in images}), sorted({key.channel for key in images})
    depths, times = sorted({key.z for key in images}), sorted({key.t for key in images})
    if len(times) > 1:
        raise LayoutError(
            "A time series is not a plate of one moment", on=folder, expected="one time point", got=f"{len(times)} time points"
        )
    count = len(wells) * len(fields) * len(numbers) * len(depths)
    if count != len(images):
        every = (ImageKey(*parts) for parts in product(wells, fields, numbers, depths, times))
        first = [_say(key) for key in islice((key for key in every if key not in images), NAMED)]
        raise LayoutError(
            "Images are missing that other wells have",
            on=folder,
            expected=f"{count}: {len(wells)} wells x fields {fields} x channels {numbers} x planes {depths}",
            got=f"{len(images)}, without {_some(first, count - len(images))}",
            hint="copy again from the instrument",
        )
    rank = {well: number for number, well in enumerate(wells)}
    ordered = dict(sorted(images.items(), key=lambda item: (rank[item[0].well], item[0][1:])))
    names = _channel_names(folder, numbers, channels)
    return PlateLayout(wells, tuple(fields), names, tuple(numbers), tuple(depths), MappingProxyType(ordered), others)


def _say(key: ImageKey) -> str:
    return f"{key.well} field {key.field} channel {key.channel} plane {key.z}"


def _some(names: list[str], count: int | None = None) -> str:
    more = (count or len(names)) - NAMED
    return "; ".join(names[:NAMED]) + (f"; and {more} more" if more > 0 else "")


def _channel_names(folder: Path, numbers: list[int], channels: Mapping[int, str] | None) -> tuple[str, ...]:
    names = {number: f"Ch{number}" for number in numbers} if channels is None else dict(channels)
    if sorted(names) != numbers:
        raise LayoutError("The channels are not those that were described", on=folder, expected=f"channels {sorted(names)}", got=numbers)
    plain = all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 _.+-]{0,63}", name) for name in names.values())
    if not plain or len(set(names.values())) != len(names):
        raise LayoutError("Channel names are plain and different", on=folder, expected="letters, digits, space and _.+-", got=names)
    return tuple(names[number] for number in numbers)
