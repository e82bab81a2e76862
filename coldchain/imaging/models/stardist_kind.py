"""The kinds `stardist2d` and `stardist3d`: folders as StarDist writes them (config.json, thresholds.json, weights_best.h5)."""

from __future__ import annotations

from contextlib import redirect_stdout
from functools import lru_cache
from io import StringIO
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coldchain.errors import ModelError
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
    """Wrap a StarDist network as `Predict`: check and normalise the image, tile a large one, number the labels 1..n.

    StarDist leaves gaps in the numbers where one object hides another; they are closed.
    """
    axes = _axes(network)

    def predict(
        image: NDArray[Any],
        prob_threshold: float | None = None,
        nms_threshold: float | None = None,
        *,
        window: Window | None = None,
        tile: int | None = None,
    ) -> NDArray[np.int32]:
        ready = normalised(checked_image(image, axes, int(network.config.n_channel_in)), PERCENTILES, axes, window)
        tiles = tuple(ceil(side / most) for side, most in zip(ready.shape, _tile(axes, tile), strict=False))
        labels, _ = network.predict_instances(
            ready,
            prob_thresh=prob_threshold,
            nms_thresh=nms_threshold,
            n_tiles=tiles + (1,) * (ready.ndim - len(tiles)),
            show_tile_progress=False,
            verbose=False,
        )
        return sequential(labels)

    return predict
