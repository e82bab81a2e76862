"""What an instrument's file names say: which well, field, channel, plane and time each image is.

A naming convention is data: one regular expression with named groups, one example. A folder is read as a whole, because a plate is a
rectangle: what one well has, every well has.
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
class NamePattern:
    """One naming convention: an expression for the whole name (case does not matter), and an example of it.

    Groups: `well` or `row` and `column` (numbers), `channel`, and where the convention has them `field`, `z`, `t`. Names that `previews`
    matches are small pictures made by the instrument beside the images: they are kept, and are no images.
    """

    expression: re.Pattern[str]
    example: str
    previews: re.Pattern[str] | None = None


def _pattern(expression: str, example: str, previews: str | None = None) -> NamePattern:
    return NamePattern(re.compile(expression, re.IGNORECASE), example, re.compile(previews, re.IGNORECASE) if previews else None)


_PLATE = r"(?P<plate>[^/\x00-\x1f]{1,128}?)"
_WELL = r"(?P<well>[A-Z]{1,2}[0-9]{2})"
_GUID = r"[0-9A-F]{8}(?:-[0-9A-F]{4}){3}-[0-9A-F]{12}"

PATTERNS: Mapping[str, NamePattern] = MappingProxyType(
    {
        "operetta": _pattern(  # Revvity Operetta and Opera Phenix, Harmony export
            r"r(?P<row>\d{2})c(?P<column>\d{2})f(?P<field>\d{2,4})p(?P<z>\d{2,4})-ch(?P<channel>\d{1,2})sk(?P<t>\d{1,5})fk\d+fl\d+\.tiff?",
            "r01c02f03p01-ch1sk1fk1fl1.tiff",
        ),
        "imagexpress": _pattern(  # Molecular Devices ImageXpress, MetaXpress
            rf"{_PLATE}_{_WELL}(?:_s(?P<field>\d{{1,4}}))?(?:_z(?P<z>\d{{1,4}}))?_w(?P<channel>\d)(?:{_GUID})?\.tiff?",
            "PLATE-1_A01_s1_w1.TIF",
            rf".*_thumb(?:{_GUID})?\.tiff?",
        ),
        "cellvoyager": _pattern(  # Yokogawa CellVoyager
            rf"{_PLATE}_{_WELL}_T(?P<t>\d{{4}})F(?P<field>\d{{3,4}})L\d{{2}}A\d{{2}}Z(?P<z>\d{{2,4}})C(?P<channel>\d{{2}})\.tiff?",
            "PLATE-1_A01_T0001F001L01A01Z01C01.tif",
        ),
        "roche": _pattern(  # Cellomics-style names of the SBS (Roche Transfluor) and Broad plates
            rf"{_PLATE}_{_WELL}f(?P<field>\d{{2,4}})d(?P<channel>\d{{1,2}})\.tiff?",
            "AS_09047_050428030001_O01f00d2.TIF",
        ),
    }
)


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


def find_pattern(name: str) -> NamePattern:
    """Return the convention of that name. Raises InputError with the known ones."""
    if name not in PATTERNS:
        known = ", ".join(f"{key} ({pattern.example})" for key, pattern in PATTERNS.items())
        raise InputError("Unknown naming convention", expected=known, got=repr(name))
    return PATTERNS[name]


def parse_name(name: str, pattern: str) -> ImageKey:
    """Return what a file name says. Raises LayoutError where it is not of that convention, or names a well no plate has."""
    convention = find_pattern(pattern)
    match = convention.expression.fullmatch(name)
    if match is None:
        raise LayoutError("A file name is not of the plate's convention", on=repr(name), expected=f"{pattern}: {convention.example}")
    said = match.groupdict()
    try:
        well = normalise_well(said["well"]) if "well" in said else name_well(int(said["row"]), int(said["column"]))
    except LayoutError as exc:
        raise LayoutError("A file name has a well that no plate has", on=repr(name), expected=exc.expected, got=exc.got) from exc
    return ImageKey(well, int(said.get("field") or 1), int(said["channel"]), int(said.get("z") or 1), int(said.get("t") or 1))


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


def sort_wells(wells: Iterable[str]) -> tuple[str, ...]:
    """Return wells in the order of a plate: row by row, Z before AA, each once."""
    return tuple(sorted(set(wells), key=lambda well: (len(well), well)))


def read_layout(folder: Path, pattern: str, channels: Mapping[int, str] | None) -> PlateLayout:
    """Read the names of an acquisition folder, sub-folders included, and say what plate they make.

    `channels` names each channel number; without it they are `Ch1`, `Ch2` ... Raises UnsafePathError for a link or a name that
    cannot be written down, LayoutError for a folder without images, with mixed conventions, with two files for one image, with a time
    series, or where a field or channel that another well has is missing: each is named.
    """
    files = list(_regular_files(folder))
    previews = find_pattern(pattern).previews
    images = [file for file in files if _is_image(file, previews)]
    if not images:
        raise LayoutError(
            "No image in the acquisition folder", on=folder, expected=find_pattern(pattern).example, got=f"{len(files)} files"
        )
    by_key = _by_key(folder, images, pattern)
    return _as_rectangle(folder, by_key, channels, tuple(file for file in files if not _is_image(file, previews)))


def _regular_files(folder: Path) -> Iterator[str]:
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


def _is_image(relative: str, previews: re.Pattern[str] | None) -> bool:
    name = relative.rsplit("/", 1)[-1]
    return name.lower().endswith(IMAGE_SUFFIXES) and not (previews and previews.fullmatch(name))


def _by_key(folder: Path, images: list[str], pattern: str) -> dict[ImageKey, str]:
    foreign, twice, found = [], [], dict[ImageKey, str]()
    for image in images:
        name = image.rsplit("/", 1)[-1]
        if find_pattern(pattern).expression.fullmatch(name) is None:
            foreign.append(image)
            continue
        key = parse_name(name, pattern)
        if key in found:
            twice.append(f"{found[key]} and {image}")
        found[key] = image
    if foreign:
        raise LayoutError(
            "Some images are not named by the plate's convention", on=folder, expected=PATTERNS[pattern].example, got=_some(foreign)
        )
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
