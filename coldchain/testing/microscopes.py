"""Small files as instruments write them, for tests: made by the formats' own libraries from arrays (t, c, z, y, x)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[Any]


def pixels(shape: tuple[int, int, int, int, int], *, seed: int = 1, dtype: str = "uint16") -> Pixels:
    """Different grey levels everywhere, so that no plane can be taken for another."""
    found = np.random.default_rng(seed).integers(0, 250 if dtype == "uint8" else 4000, shape)
    return found.astype(dtype)


def write_czi(path: Path, scenes: Sequence[Pixels], *, channels: Sequence[str], pixel_um: float = 0.5, z_um: float = 2.0) -> None:
    """A CZI file with a scene for each array, by Zeiss' own library."""
    from pylibCZIrw import czi

    with czi.create_czi(str(path)) as file:
        for scene, data in enumerate(scenes):
            for t, c, z in np.ndindex(data.shape[:3]):
                place = (scene * (data.shape[-1] + 100), 0)
                file.write(data[t, c, z][..., None], location=place, plane={"T": t, "C": c, "Z": z}, scene=scene)
        names = dict(enumerate(channels))
        file.write_metadata(
            document_name=path.stem, channel_names=names, scale_x=pixel_um * 1e-6, scale_y=pixel_um * 1e-6, scale_z=z_um * 1e-6
        )


def write_ims(path: Path, data: Pixels, *, channels: Sequence[str], pixel_um: float = 0.5, z_um: float = 2.0, pad: int = 16) -> None:
    """An Imaris file (5.5), whose blocks are padded as Imaris pads them."""
    import h5py

    times, _, depth, height, width = data.shape
    with h5py.File(path, "w") as file:
        edges = {"ExtMax0": width * pixel_um, "ExtMax1": height * pixel_um, "ExtMax2": depth * z_um}
        about = {"X": width, "Y": height, "Z": depth, "Unit": "um", "RecordingDate": "2026-01-02 03:04:05.000", "Name": path.stem}
        _characters(file, "DataSetInfo/Image", about | {f"ExtMin{axis}": 0 for axis in range(3)} | edges)
        for number, name in enumerate(channels):
            _characters(file, f"DataSetInfo/Channel {number}", {"Name": name, "Color": "0.000 1.000 0.000"})
        moments = {f"TimePoint{t + 1}": f"2026-01-02 03:04:{5 + 10 * t:02d}.000" for t in range(times)}
        _characters(file, "DataSetInfo/TimeInfo", moments)
        for t, c in np.ndindex(data.shape[:2]):
            whole = np.pad(data[t, c], [(0, -side % pad) for side in data.shape[2:]])
            group = f"DataSet/ResolutionLevel 0/TimePoint {t}/Channel {c}"
            file.create_dataset(f"{group}/Data", data=whole, chunks=tuple(min(side, pad) for side in whole.shape), compression="gzip")


def _characters(file: Any, group: str, said: dict[str, Any]) -> None:
    """Attributes as Imaris writes them: arrays of single characters."""
    attributes = file.require_group(group).attrs
    for name, value in said.items():
        attributes[name] = np.frombuffer(str(value).encode(), dtype="S1")


def write_ome_tiff(path: Path, images: Sequence[Pixels], *, channels: Sequence[str], pixel_um: float = 0.5, z_um: float = 2.0) -> None:
    """An OME-TIFF with a series for each array."""
    import tifffile

    with tifffile.TiffWriter(path, ome=True) as file:
        for number, data in enumerate(images):
            about = {
                "axes": "TCZYX",
                "Name": f"series {number + 1}",
                "Channel": {"Name": list(channels)},
                "PhysicalSizeX": pixel_um,
                "PhysicalSizeY": pixel_um,
                "PhysicalSizeZ": z_um,
                "TimeIncrement": 3.0,
            }
            file.write(data, photometric="minisblack", compression="zlib", metadata=about)


def write_ome_zarr(
    path: Path, data: Pixels, *, channels: Sequence[str], pixel_um: float = 0.5, z_um: float = 2.0, version: str = "0.5"
) -> None:
    """An OME-Zarr with one image, of NGFF 0.4 or 0.5; chunks that are all zero are left out."""
    import zarr

    group = zarr.create_group(path, zarr_format=3 if version == "0.5" else 2)
    array = group.create_array("full", shape=data.shape, chunks=(1, 1, 1, *data.shape[-2:]), dtype=data.dtype, fill_value=0)
    array[:] = data
    units = {"t": ("time", "second"), "c": ("channel", None), **dict.fromkeys("zyx", ("space", "micrometer"))}
    axes = [{"name": axis, "type": kind, **({"unit": unit} if unit else {})} for axis, (kind, unit) in units.items()]
    scale = [{"type": "scale", "scale": [3.0, 1.0, z_um, pixel_um, pixel_um]}]
    shown = {"channels": [{"label": name, "color": "00FF00"} for name in channels]}
    image = {"name": path.name, "axes": axes, "datasets": [{"path": "full", "coordinateTransformations": scale}]}
    said = {"multiscales": [image | ({} if version == "0.5" else {"version": "0.4"})], "omero": shown}
    group.attrs.update({"ome": {"version": "0.5", **said}} if version == "0.5" else said)
