"""The kinds `stardist2d` and `stardist3d`: folders as StarDist writes them (config.json, thresholds.json, weights_best.h5)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from copy import copy
from functools import lru_cache
from io import StringIO
from math import ceil, prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coldchain.errors import ModelError
from coldchain.imaging.models.batches import in_batches
from coldchain.imaging.models.protocol import Opened, Predict, Window, checked_image, normalised, sequential
from coldchain.imaging.models.registry import RegisteredModel

PERCENTILES = (1.0, 99.8)  # of an image, taken to 0 and 1 before prediction, as in training
_SHIPPED = {"stardist2d": "nuclei-small", "stardist3d": "nuclei-small-3d"}
TILE = {"YX": (1024, 1024), "ZYX": (64, 256, 256)}  # pixels: longer sides are predicted in tiles


def open_2d(folder: Path, model: RegisteredModel) -> Opened:
    """Open a folder of StarDist 2D; raises ModelError where its files cannot be read, or take other images than the model's axes say."""
    from stardist.models import StarDist2D

    return _opened(StarDist2D, folder, model)


def open_3d(folder: Path, model: RegisteredModel) -> Opened:
    """Open a folder of StarDist 3D; raises as `open_2d`."""
    from stardist.models import StarDist3D

    return _opened(StarDist3D, folder, model)


def _opened(make: Any, folder: Path, model: RegisteredModel) -> Opened:
    try:
        with redirect_stdout(StringIO()):  # it prints what it loads
            network = make(None, name=folder.name, basedir=str(folder.parent))
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise ModelError("the model's files cannot be read", on=folder, got=exc, hint="copy or install the model again") from exc
    if _axes(network) != model.axes:
        raise ModelError("the model takes other images than it is registered for", on=folder, expected=model.axes, got=_axes(network))
    thresholds = network.thresholds
    return Opened(predictor(network), float(thresholds.prob), float(thresholds.nms), _context(network), PERCENTILES)


def _context(network: Any) -> tuple[int, ...]:
    axes = _axes(network).removesuffix("C")
    return tuple(int(n) for n in network._axes_tile_overlap(axes))  # noqa: SLF001 - what StarDist itself tiles with; it has no public name


def _axes(network: Any) -> str:
    """The axes of the images that a network takes; StarDist writes YXC and ZYXC for one channel too."""
    spatial = "ZYX" if int(getattr(network.config, "n_dim", 2)) == 3 else "YX"
    return spatial if int(network.config.n_channel_in) == 1 else spatial + "C"


@lru_cache(maxsize=8)
def downloaded(model: RegisteredModel) -> Path:
    """The folder of a model that StarDist offers, downloaded if it is not there yet; raises ModelError where that fails."""
    from stardist.models import StarDist2D, StarDist3D

    make = StarDist3D if model.kind == "stardist3d" else StarDist2D
    try:
        with redirect_stdout(StringIO()):
            network = make.from_pretrained(model.name)
    except Exception as exc:  # keras raises a bare Exception where it cannot download
        raise ModelError(
            "the model could not be downloaded",
            on=model.name,
            got=exc,
            done="nothing was loaded",
            hint=f"no network here? Use {_SHIPPED[model.kind]}, or load it once on a machine with a network and pass its folder",
        ) from exc
    return Path(network.logdir)


def _tile(axes: str, side: int | None) -> tuple[int, ...]:
    """The longest sides of a tile; those of a stack grow in y and x as a plane's do."""
    *depth, height, width = TILE[axes.removesuffix("C")]
    grown = 1.0 if side is None else side / TILE["YX"][0]
    return *depth, int(height * grown), int(width * grown)


def predictor(network: Any) -> Predict:
    """Wrap a StarDist network as `Predict`: check and normalise the images, tile a large one, number the labels 1..n.

    StarDist leaves gaps in the numbers where one object hides another; they are closed.
    """
    axes = _axes(network)

    def predict(
        images: Sequence[NDArray[Any]],
        prob_threshold: float | None = None,
        nms_threshold: float | None = None,
        *,
        window: Window | None = None,
        tile: int | None = None,
    ) -> list[NDArray[np.int32]]:
        checked = (checked_image(image, axes, int(network.config.n_channel_in)) for image in images)
        ready = [normalised(image, PERCENTILES, axes, window) for image in checked]
        sides = _tile(axes, tile)
        asked = {"prob_thresh": prob_threshold, "nms_thresh": nms_threshold, "verbose": False}
        found = (batched.predict_instances(image, **_tiles(image, sides), **asked) for batched, image in _batched(network, ready, sides))
        return [sequential(labels) for labels, _ in found]

    return predict


def _tiles(image: NDArray[Any], sides: tuple[int, ...]) -> dict[str, Any]:
    """Into how many tiles StarDist cuts an image, along each axis."""
    tiles = tuple(ceil(side / most) for side, most in zip(image.shape, sides, strict=False))
    return {"n_tiles": tiles + (1,) * (image.ndim - len(tiles)), "show_tile_progress": False}


def _batched(network: Any, images: Sequence[NDArray[Any]], sides: tuple[int, ...]) -> Iterator[tuple[Any, NDArray[Any]]]:
    """Give each image with a network that predicts it as the network itself would, but tiles of all images together.

    StarDist asks its Keras network for one tile after the other. So it is asked twice: by a network that only notes the tiles, then by
    one that answers from batches of them.
    """
    if len(images) > 1 or any(prod(_tiles(image, sides)["n_tiles"]) > 1 for image in images):
        noted = _Noted(network.config)
        for image in images:
            _with(network, noted).predict_sparse(image, **_tiles(image, sides))
        keras = network.keras_model
        maps = in_batches(lambda tiles: keras.predict(tiles, batch_size=len(tiles), verbose=0), noted.tiles, prod(sides))
        network = _with(network, _Answering(maps))
    yield from ((network, image) for image in images)


def _with(network: Any, keras: Any) -> Any:
    """The same StarDist network, with another Keras network inside."""
    twin = copy(network)
    twin.keras_model = keras
    return twin


class _Noted:
    """In a Keras network's place: notes the tiles that it is shown, and finds nothing in them."""

    def __init__(self, config: Any) -> None:
        self.tiles: list[NDArray[np.float32]] = []
        self._grid, self._channels = config.grid, (1, config.n_rays, *(() if config.n_classes is None else (config.n_classes + 1,)))

    def predict(self, tiles: NDArray[np.float32], **_: Any) -> list[NDArray[np.float32]]:
        self.tiles.extend(tiles)
        spatial = [side // step for side, step in zip(tiles.shape[1:-1], self._grid, strict=True)]
        return [np.zeros((1, *spatial, channels), np.float32) for channels in self._channels]


class _Answering:
    """In a Keras network's place: answers with what was predicted, tile by tile, in the order in which they were noted."""

    def __init__(self, maps: Iterator[tuple[NDArray[Any], ...]]) -> None:
        self._maps = maps

    def predict(self, _: NDArray[np.float32], **__: Any) -> list[NDArray[Any]]:
        return [each[None] for each in next(self._maps)]
