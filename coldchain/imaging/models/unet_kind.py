"""The kind `unet`: any Keras network that predicts foreground and depth, made into objects by seeded watershed.

The folder holds `model.keras` (or .h5), a network from (1, y, x, channels) to (1, y, x, 2): foreground and depth (see
`coldchain.imaging.watershed`), both from 0 to 1; and `config.json`::

    {"context": 56, "divisible": 8, "percentiles": [1, 99.8]}

`context` is the network's receptive field on one side in pixels, `divisible` what sides have to be a multiple of, and `percentiles` of an
image are taken to 0 and 1 before prediction. `thresholds.json`, as StarDist's, holds the model's own thresholds: {"prob": 0.5, "nms": 0.7}.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from coldchain.errors import ModelError
from coldchain.imaging.models.batches import in_batches
from coldchain.imaging.models.protocol import Opened, Predict, Window, checked_image, normalised
from coldchain.imaging.models.registry import RegisteredModel
from coldchain.imaging.watershed import instances

TILE = 1024  # pixels: longer sides are predicted in tiles
Maps = NDArray[np.float32]
MapsOf = Callable[[Maps], Maps]
Share = Annotated[float, Field(ge=0, le=1)]
Facts = TypeVar("Facts", bound=BaseModel)


class _Config(BaseModel):
    model_config = ConfigDict(frozen=True)

    context: Annotated[int, Field(ge=0, le=4096)]
    divisible: Annotated[int, Field(ge=1, le=1024)]
    percentiles: tuple[Annotated[float, Field(ge=0, le=100)], Annotated[float, Field(ge=0, le=100)]] = (1.0, 99.8)


class _Thresholds(BaseModel):
    model_config = ConfigDict(frozen=True)

    prob: Share = 0.5
    nms: Share = 0.7


def open_unet(folder: Path, model: RegisteredModel) -> Opened:
    """Open the folder of a U-Net; raises ModelError where its files cannot be read, or the network is no such network."""
    config, thresholds = _read(_Config, folder / "config.json"), _read(_Thresholds, folder / "thresholds.json")
    network = _network(folder)
    channels = network.input_shape[-1]
    axes = "YX" if channels == 1 else "YXC"
    if len(network.input_shape) != 4 or network.output_shape[-1] != 2 or axes != model.axes:
        got = f"{network.input_shape} to {network.output_shape}, {axes}"
        raise ModelError("the network is not one of this kind", on=folder, expected=f"(1, y, x, c) to (1, y, x, 2), {model.axes}", got=got)
    predict = _predictor(_maps_of(network), config, thresholds, axes, channels)
    return Opened(predict, thresholds.prob, thresholds.nms, (config.context, config.context), config.percentiles)


def _read(kind: type[Facts], path: Path) -> Facts:
    try:
        return kind.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as exc:
        raise ModelError("the model's files cannot be read", on=path, got=exc, hint="copy or install the model again") from exc


def _network(folder: Path) -> Any:
    import keras

    found = sorted([*folder.glob("*.keras"), *folder.glob("*.h5")])
    try:
        return keras.saving.load_model(found[0], compile=False)
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise ModelError("the model's files cannot be read", on=folder, got=exc, hint="copy or install the model again") from exc


def _maps_of(network: Any) -> MapsOf:
    """The network as a function from (n, y, x, c) to (n, y, x, 2)."""
    return lambda tiles: np.asarray(network(tiles, training=False), np.float32)


def _predictor(maps_of: MapsOf, config: _Config, own: _Thresholds, axes: str, channels: int) -> Predict:
    def predict(
        images: Sequence[NDArray[Any]],
        prob_threshold: float | None = None,
        nms_threshold: float | None = None,
        *,
        window: Window | None = None,
        tile: int | None = None,
    ) -> list[NDArray[np.int32]]:
        ready = [normalised(checked_image(image, axes, channels), config.percentiles, axes, window) for image in images]
        planes = [image if image.ndim == 3 else image[..., None] for image in ready]
        prob = own.prob if prob_threshold is None else prob_threshold
        nms = own.nms if nms_threshold is None else nms_threshold
        found = tiled(maps_of, planes, config.context, config.divisible, tile or TILE)
        return [instances(maps[..., 0], maps[..., 1], prob_threshold=prob, nms_threshold=nms) for maps in found]

    return predict


def tiled(maps_of: MapsOf, images: Sequence[Maps], context: int, divisible: int, tile: int = TILE) -> Iterator[Maps]:
    """Predict images (y, x, c) in tiles, each with its context, and give the same maps as one prediction of the whole would.

    Outside an image the network sees it mirrored. Tiles begin at multiples of `divisible`, so that pooling falls on the same pixels;
    tiles of all images are predicted together, as many as have the pixels of one whole tile.
    """
    rim = -(-context // divisible) * divisible
    step = max(tile // divisible, 1) * divisible
    cut = [_cut(image, step, rim, divisible) for image in images]
    answers = in_batches(lambda tiles: [maps_of(tiles)], [seen for tiles in cut for _, seen in tiles], (step + 2 * rim) ** 2)
    for image, tiles in zip(images, cut, strict=True):
        maps = np.empty((*image.shape[:2], 2), np.float32)
        for (rows, columns), _ in tiles:
            (answer,) = next(answers)
            height, width = rows.stop - rows.start, columns.stop - columns.start
            maps[rows, columns] = answer[rim : rim + height, rim : rim + width]
        yield maps


def _cut(image: Maps, step: int, rim: int, divisible: int) -> list[tuple[tuple[slice, slice], Maps]]:
    """Each tile's place in an image, and what the network is shown of it."""
    height, width = image.shape[:2]
    padded = np.pad(image, (_margins(height, step, rim), _margins(width, step, rim), (0, 0)), mode="symmetric")
    places = [(slice(y, min(y + step, height)), slice(x, min(x + step, width))) for y, x in _corners(height, width, step)]
    return [(place, padded[tuple(slice(side.start, _up(side.stop, divisible) + 2 * rim) for side in place)]) for place in places]


def _corners(height: int, width: int, step: int) -> Iterator[tuple[int, int]]:
    return ((y, x) for y in range(0, height, step) for x in range(0, width, step))


def _margins(side: int, step: int, rim: int) -> tuple[int, int]:
    return rim, rim + _up(side, step) - side


def _up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
