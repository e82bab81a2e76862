"""Opening what an instrument wrote, by the ending of its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from coldchain.errors import InputError
from coldchain.imaging.sources.czi import Czi
from coldchain.imaging.sources.ims import Ims
from coldchain.imaging.sources.lif import Lif
from coldchain.imaging.sources.nd2 import Nd2
from coldchain.imaging.sources.ometiff import OmeTiff
from coldchain.imaging.sources.omezarr import OmeZarr
from coldchain.imaging.sources.source import Source

READERS: Mapping[str, Callable[[Path], Source]] = {
    ".czi": Czi,
    ".nd2": Nd2,
    ".lif": Lif,
    ".ims": Ims,
    ".ome.tif": OmeTiff,
    ".ome.tiff": OmeTiff,
    ".ome.zarr": OmeZarr,
}
"""Readers by the ending of a name, whatever its case."""

OPAQUE = (".fast5", ".pod5", ".fastq.gz", ".fastq")
"""Sequencing data: taken as they are, with the same guarantees, and made no images of."""


def ending(name: str) -> str:
    """The ending by which a file is read or taken as it is; nothing where it is none of these."""
    return next((each for each in (*READERS, *OPAQUE) if name.lower().endswith(each) and len(name) > len(each)), "")


def open_source(path: Path) -> Source:
    """Open an instrument's file, or an OME-Zarr folder.

    Raises:
        InputError: no reader is known for that ending.
        ImageError: it cannot be read, or its header cannot be true; it names the file.
    """
    reader = READERS.get(ending(path.name))
    if reader is None:
        raise InputError("No reader for this kind of file", on=path, expected=", ".join(READERS), got=path.suffix or "no ending")
    return reader(path)
