"""Vectors of single cells: one kernel a field cuts an image of each nucleus and lets a registered network look at it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from coldchain.imaging import tables
from coldchain.imaging.crops import SIDE, cut, nuclei, prepare_crops
from coldchain.imaging.measure import LABELS, identity, read_middle
from coldchain.imaging.platezarr import PLATE, plate_info, read_labels

if TYPE_CHECKING:
    import pyarrow as pa

EMBEDDER = "cell-small"  # the one that is shipped
NONE = "none"  # instead of an embedder: no vectors are made


def prepare_embed(
    corrected: str, masks: str, parts: str, *, embedder: str = EMBEDDER, folder: str | None = None, quality: str | None = None
) -> list[dict[str, Any]]:
    """Return one plain work item for each field of a plate, for :func:`embed_field`; the rest as `measure.prepare_measure`.

    `embedder` is the name of a registered network and `folder` holds its files where they are neither shipped nor to be downloaded.
    Raises ModelError where there is none of that name.
    """
    from coldchain.imaging.embedding import registered_embedder

    registered_embedder(embedder, folder)
    items = prepare_crops(corrected, masks, parts, side=SIDE, quality=quality)
    return [{**item, "embedder": embedder, "folder": folder, "target": f"{item['target']}.embedding.parquet"} for item in items]


def embed_field(item: dict[str, Any]) -> dict[str, Any]:
    """Embed all nuclei of one field in all channels, write `item["target"]`, and return what was made, and by which network.

    A crop is 48 pixels a side around a nucleus' centre, as those of `crops.crop_field`. Takes an item of :func:`prepare_embed`. Raises
    IntegrityError, LayoutError or ImageError for images that cannot be used, ModelError for weights that are not the registered ones.
    """
    from coldchain.imaging.devices import claim_device
    from coldchain.imaging.embedding import load_embedder

    claim_device()
    network = load_embedder(item["embedder"], item["folder"])
    plate = Path(item["corrected"]) / PLATE
    info = plate_info(plate)
    labels = read_labels(Path(item["masks"]) / PLATE, item["well"], item["field"], LABELS)
    planes = np.stack([read_middle(plate, item["well"], item["field"], index) for index in range(len(info.channels))])
    numbers, y, x = nuclei(labels)
    crops = cut(planes, y, x, item["side"])
    vectors = [network.embed(crops[:, channel]) for channel in range(len(info.channels))]
    tables.write(_table(numbers, vectors, info.name, info.channels, item), item["target"])
    made = {"well": item["well"], "field": item["field"], "embedded": len(numbers), "model": network.provenance()}
    return made | {"table": item["target"], "files": [item["target"]]}


def weights_of(embedder: str) -> str:
    """Return the checked digest of a network's weights, by which a step is known; nothing where no vectors are made."""
    if embedder == NONE:
        return ""
    from coldchain.imaging.embedding import digest_of_embedder

    return digest_of_embedder(embedder)


def names_of(embedder: str, channels: Sequence[str], size: int) -> list[str]:
    """Return the names of the columns of vectors, e.g. `Embedding_cellsmall_DNA_000`: the model's and channel's letters and digits."""
    model, digits = re.sub(r"[^0-9A-Za-z]", "", embedder), max(len(str(size - 1)), 3)
    return [f"Embedding_{model}_{suffix}_{number:0{digits}d}" for suffix in tables.channel_suffixes(channels) for number in range(size)]


def _table(
    numbers: NDArray[np.int64], vectors: Sequence[NDArray[np.float32]], plate: str, channels: Sequence[str], item: dict[str, Any]
) -> pa.Table:
    import pyarrow as pa

    names = names_of(item["embedder"], channels, vectors[0].shape[1])
    values = np.concatenate(vectors, axis=1).T
    schema = tables.schema([])
    for name in names:
        schema = schema.append(pa.field(name, pa.float32(), nullable=False))
    return pa.table(identity(numbers, plate, item) | dict(zip(names, values, strict=True)), schema=schema)


def join_vectors(parts: Sequence[str], target: str) -> dict[str, Any]:
    """Join the tables of :func:`embed_field` into one, in the order of `measure.join_tables`; errors as there."""
    return {"table": str(target), "embedded": tables.join(parts, target)}
