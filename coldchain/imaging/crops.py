"""Pictures of single cells: a square around each nucleus, one kernel a field, then one array and one index a plate."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from coldchain.errors import ImageError, InputError, IntegrityError, LayoutError
from coldchain.imaging import tables
from coldchain.imaging.fieldzarr import translated
from coldchain.imaging.measure import LABELS, identity, prepare_measure, read_middle
from coldchain.imaging.platezarr import NOTES, PLATE, plate_info, read_labels
from coldchain.imaging.regions import centres, find_regions

if TYPE_CHECKING:
    import pyarrow as pa
    import zarr

SIDE = 48  # px, default side of a crop
MAX_SIDE = 1024
CHUNK_CELLS = 16  # cells decompressed together
SHARD_BYTES = 32 * 2**20  # about what one file holds before compression
ROW = "Metadata_CropRow"
CROPS, INDEX = "crops.ome.zarr", "index.parquet"
PIXELS = "s0"  # the array in it


def prepare_crops(corrected: str, masks: str, parts: str, *, side: int = SIDE, quality: str | None = None) -> list[dict[str, Any]]:
    """Return one plain work item for each field of a plate, for :func:`crop_field`; arguments and errors as `measure.prepare_measure`.

    `side` is the side of a crop in pixels. Raises InputError where it is not from 1 to 1024.
    """
    if not 1 <= side <= MAX_SIDE:
        raise InputError("A crop cannot have this size", expected=f"1 to {MAX_SIDE} px", got=side)
    items = prepare_measure(corrected, masks, parts, quality=quality)
    return [{**item, "side": side, "target": str(Path(item["target"]).with_suffix(""))} for item in items]


def crop_field(item: dict[str, Any]) -> dict[str, Any]:
    """Cut the crops of one field, and write them as `<target>.npy` (n, c, y, x) beside their index `<target>.parquet`.

    Takes an item of :func:`prepare_crops`. Raises IntegrityError, LayoutError or ImageError for images that cannot be used.
    """
    plate = Path(item["corrected"]) / PLATE
    info = plate_info(plate)
    labels = read_labels(Path(item["masks"]) / PLATE, item["well"], item["field"], LABELS)
    planes = np.stack([read_middle(plate, item["well"], item["field"], index) for index in range(len(info.channels))])
    numbers, y, x = nuclei(labels)
    crops = cut(planes, y, x, item["side"])
    files = [item["target"] + ending for ending in (".npy", ".parquet")]
    _write_array(crops, Path(files[0]))
    tables.write(_index(numbers, y, x, info.name, item), files[1])
    return {"well": item["well"], "field": item["field"], "crops": len(crops), "part": item["target"], "files": files}


def nuclei(labels: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Return label and centre (y, x, in pixels) of each nucleus, by label."""
    regions = find_regions(labels)
    if regions.count == 0:
        return regions.label, np.zeros(0), np.zeros(0)
    return regions.label, *centres(regions)


def cut(planes: NDArray[Any], y: NDArray[np.float64], x: NDArray[np.float64], side: int) -> NDArray[Any]:
    """Return squares (n, c, side, side) of planes (c, y, x) around centres; what lies outside the image is 0.

    The pixel nearest to the centre comes to stand at ``side // 2`` in both directions. Raises ImageError where `planes` is not (c, y, x).
    """
    if planes.ndim != 3:
        raise ImageError("Not the planes of one field", expected="(c, y, x)", got=planes.shape)
    if len(y) == 0:
        return np.zeros((0, planes.shape[0], side, side), planes.dtype)
    before = side // 2
    padded = np.pad(planes, ((0, 0), (before, side - before), (before, side - before)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side), axis=(1, 2))
    at = np.floor(y + 0.5).astype(int), np.floor(x + 0.5).astype(int)
    return np.ascontiguousarray(windows[:, at[0], at[1]].swapaxes(0, 1))


def _write_array(crops: NDArray[Any], target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    with translated(target), part.open("wb") as file:
        np.save(file, crops, allow_pickle=False)
    part.replace(target)


def _index(numbers: NDArray[np.int64], y: NDArray[np.float64], x: NDArray[np.float64], plate: str, item: dict[str, Any]) -> pa.Table:
    import pyarrow as pa

    names = ["Nuclei_Location_Center_X", "Nuclei_Location_Center_Y"]
    columns = identity(numbers, plate, item) | dict(zip(names, (x, y), strict=True))
    return pa.table(columns, schema=tables.schema(names))


def join_crops(parts: Sequence[str], target: str, channels: Sequence[str] = (), pixel_size_um: float | None = None) -> dict[str, Any]:
    """Join the crops of :func:`crop_field` into the folder `target`: ``crops.ome.zarr`` and ``index.parquet``.

    Args:
        parts: the `part` that each field returned.
        target: folder of the `single_cell_images`; both are written anew.
        channels: names of the channels, kept in the metadata.
        pixel_size_um: side of a pixel in micrometres, kept in the metadata where it is known.

    ``crops.ome.zarr`` is an image of OME-NGFF 0.5 (Zarr v3) with the axes (t, c, y, x): t counts cells, because NGFF has no axis of that
    kind, and viewers show one cell after the other. Row i of the array ``s0`` is the row of the index whose `Metadata_CropRow` is i; rows
    are sorted by field and object. Raises LayoutError where parts differ in shape or type or a nucleus comes twice, IntegrityError where
    a part is damaged.
    """
    folder = Path(target)
    folder.mkdir(parents=True, exist_ok=True)
    ordered = _in_order(parts)
    count = tables.join([f"{part}.parquet" for part in ordered], folder / INDEX)
    blocks = [_load(part) for part in ordered]
    _refuse_other_shape(ordered, blocks, count)
    _number_rows(folder / INDEX)
    _write_crops(blocks, count, folder / CROPS, _metadata(blocks, channels, pixel_size_um))
    return {"crops": count, "fields": len(ordered), "shape": [count, *blocks[0].shape[1:]], "folder": str(folder)}


def _in_order(parts: Sequence[str]) -> list[str]:
    """Return the parts by image number; an empty field has no row, and stands anywhere."""
    first = {part: tables.read(f"{part}.parquet")["Metadata_ImageNumber"].to_pylist()[:1] for part in parts}
    return sorted(parts, key=lambda part: (first[part], part))


def _load(part: str) -> NDArray[Any]:
    try:
        return np.asarray(np.load(f"{part}.npy", mmap_mode="r", allow_pickle=False))
    except (OSError, ValueError, EOFError) as exc:
        raise IntegrityError("The crops of a field cannot be read", on=f"{part}.npy", got=exc, hint="run the field again") from exc


def _refuse_other_shape(parts: Sequence[str], blocks: Sequence[NDArray[Any]], count: int) -> None:
    kinds = [(block.shape[1:], block.dtype) for block in blocks]
    for part, kind in zip(parts, kinds, strict=True):
        if kind != kinds[0]:
            raise LayoutError("Crops of one plate differ", on=part, expected=kinds[0], got=kind)
    if sum(map(len, blocks)) != count:
        raise IntegrityError(
            "Crops and their index differ in number", expected=count, got=sum(map(len, blocks)), hint="run the fields again"
        )


def _number_rows(index: Path) -> None:
    table = tables.read(index)
    tables.write(table.append_column(ROW, [list(range(table.num_rows))]), index)


def _metadata(blocks: Sequence[NDArray[Any]], channels: Sequence[str], pixel_size_um: float | None) -> dict[str, Any]:
    """Return the attributes that make the array an image of OME-NGFF 0.5."""
    unit = {} if pixel_size_um is None else {"unit": "micrometer"}
    axes = [{"name": "t", "type": "time"}, {"name": "c", "type": "channel"}, *({"name": n, "type": "space", **unit} for n in "yx")]
    scale = {"type": "scale", "scale": [1.0, 1.0, pixel_size_um or 1.0, pixel_size_um or 1.0]}
    brightest = max((float(block.max()) for block in blocks if block.size), default=1.0)
    window = {"min": 0.0, "max": brightest, "start": 0.0, "end": brightest}
    shown = [{"label": name, "color": "FFFFFF", "active": True, "window": window} for name in channels]
    image = {"name": "crops", "axes": axes, "datasets": [{"path": PIXELS, "coordinateTransformations": [scale]}]}
    omero = {"omero": {"channels": shown}} if shown else {}
    return {"ome": {"version": "0.5", "multiscales": [image], **omero}, NOTES: {"t": "cell", "channels": list(channels)}}


def _write_crops(blocks: Sequence[NDArray[Any]], count: int, target: Path, attributes: dict[str, Any]) -> None:
    part = target.with_name(target.name + ".part")
    for old in (part, target):
        if old.exists():
            shutil.rmtree(old)
    with translated(target):
        array = _create(blocks[0], count, part, attributes)
        at = 0
        for shard in _regroup(blocks, array.shards[0] if array.shards else max(count, 1)):
            array[at : at + len(shard)] = shard
            at += len(shard)
        part.replace(target)


def _create(like: NDArray[Any], count: int, target: Path, attributes: dict[str, Any]) -> zarr.Array[Any]:
    import zarr
    from zarr.codecs import BloscCodec, BloscShuffle

    cell = like.shape[1:]
    per_file = max(SHARD_BYTES // (int(np.prod(cell)) * like.dtype.itemsize) // CHUNK_CELLS, 1)
    chunks = min(per_file, max(math.ceil(count / CHUNK_CELLS), 1))
    group = zarr.create_group(target, attributes=attributes)
    return group.create_array(
        PIXELS,
        shape=(count, *cell),
        dtype=like.dtype,
        chunks=(CHUNK_CELLS, *cell),
        shards=(chunks * CHUNK_CELLS, *cell),
        compressors=BloscCodec(cname="zstd", clevel=1, shuffle=BloscShuffle.shuffle),
        fill_value=0,
        dimension_names=("t", "c", "y", "x"),
        config={"write_empty_chunks": True},
    )


def _regroup(blocks: Sequence[NDArray[Any]], size: int) -> Iterator[NDArray[Any]]:
    """Yield the rows of all blocks again, `size` at a time, with one shard in memory."""
    held: list[NDArray[Any]] = []
    for block in blocks:
        start = 0
        while start < len(block):
            piece = block[start : start + size - sum(map(len, held))]
            held.append(piece)
            start += len(piece)
            if sum(map(len, held)) == size:
                yield np.concatenate(held)
                held = []
    if held:
        yield np.concatenate(held)
