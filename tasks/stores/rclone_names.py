"""Names as rclone writes them: control characters as pictures of them, and such a picture with a quote before it.

It is rclone's own form (its ``encoder`` package), in which it lists and is asked; what a service cannot hold it writes there in a way of
its own, and reads back from it. So a newline in a name survives, on every remote.
"""

from __future__ import annotations

import re

from coldchain.errors import ConfigurationError

QUOTE = "\u201b"
_PICTURES = {**{code: chr(0x2400 + code) for code in range(1, 0x20)}, 0x7F: "\u2421"}
_CODES = {picture: chr(code) for code, picture in _PICTURES.items()}
_TABLE: dict[int, str] = {**_PICTURES, **{ord(picture): QUOTE + picture for picture in _CODES}}
_WRITTEN = re.compile(f"{QUOTE}?[\u2401-\u241f\u2421]")


def standard(name: str) -> str:
    """A name or path of ours as rclone writes it.

    Raises:
        ConfigurationError: it is no text (bytes that are not UTF-8), or has rclone's own quote in it, which does not survive everywhere.
    """
    if QUOTE in name or any("\ud800" <= each <= "\udfff" for each in name):
        raise ConfigurationError(
            "a name cannot be written by rclone",
            on=repr(name),
            expected="a name in UTF-8, without U+201B",
            done="nothing was sent",
            hint="keep the dataset at a place of another engine (posix, ssh), or pack the file into an archive",
        )
    return name.translate(_TABLE)


def plain(written: str) -> str:
    """A name as rclone writes it, as ours."""
    return _WRITTEN.sub(lambda found: found[0][1:] or _CODES[found[0]], written)
