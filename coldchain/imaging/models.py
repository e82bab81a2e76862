"""Segmentation models by name: which are registered, whether their weights are the registered ones, and how to predict with them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from importlib.resources import files
from io import StringIO
from math import ceil
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from coldchain.errors import ImageError, ModelError

Predict = Callable[..., NDArray[np.int32]]

PREDICTION_FILES = ("config.json", "thresholds.json", "*.h5")  # what a StarDist folder predicts with; the rest is documentation
PERCENTILES = (1.0, 99.8)  # of an image, taken to 0 and 1 before prediction, as in training
TILE = 1024  # pixels: longer sides are predicted in tiles


class ModelName(StrEnum):
    """The names that a form offers."""

    NUCLEI_SMALL = "nuclei-small"
    VERSATILE_FLUO = "2D_versatile_fluo"
    VERSATILE_HE = "2D_versatile_he"
    PAPER_DSB2018 = "2D_paper_dsb2018"


@dataclass(frozen=True)
class RegisteredModel:
    """A model that Coldchain knows: `digest` is what its weights must have, None where nobody recorded it yet."""

    name: str
    source: Literal["shipped", "stardist"]
    description: str
    licence: str
    digest: str | None = None


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to predict: `predict(image, prob_threshold=None, nms_threshold=None)` gives labels; `digest` names its weights.

    `predict` takes raw intensities (y, x) of any numeric type, or (y, x, 3) for colour models, and returns int32 (y, x) with labels
    1..n; thresholds are the model's own where not given. The same image gives the same labels. Raises ImageError.
    """

    name: str
    digest: str
    predict: Predict


_ALL = (
    RegisteredModel(
        name=ModelName.NUCLEI_SMALL,
        source="shipped",
        description="nuclei in fluorescence, 10 to 40 pixels across; small, trained on synthetic fields only",
        licence="BSD-3-Clause",
        digest="b2bce462fe37a61dbf42b5dc1a9fea988530ba2e532bac790a3ddbdd3adf08e4",
    ),
    RegisteredModel(ModelName.VERSATILE_FLUO, "stardist", "nuclei in fluorescence, many microscopes (DSB 2018 subset)", "BSD-3-Clause"),
    RegisteredModel(ModelName.VERSATILE_HE, "stardist", "nuclei in H&E stained tissue, colour images (MoNuSeg, TCGA)", "BSD-3-Clause"),
    RegisteredModel(ModelName.PAPER_DSB2018, "stardist", "nuclei in fluorescence, the model of the StarDist paper", "BSD-3-Clause"),
)
REGISTERED: Mapping[str, RegisteredModel] = MappingProxyType({str(model.name): model for model in _ALL})


def registered(name: str) -> RegisteredModel:
    """Look a model up; an unknown name raises ModelError with the names there are."""
    if name not in REGISTERED:
        raise ModelError("no such segmentation model", on=name, expected="one of " + ", ".join(REGISTERED), hint="choose a registered name")
    return REGISTERED[name]


def shipped_folder(name: str) -> Path:
    """Where a shipped model lies inside the installed package."""
    return Path(str(files("coldchain") / "models" / name))


def weights_digest(folder: str | Path) -> str:
    """SHA-256 over names, lengths and contents, in order of name, of the files in `folder` that a prediction depends on.

    Raises ModelError where config.json or weights are missing.
    """
    parts = sorted({path for pattern in PREDICTION_FILES for path in Path(folder).glob(pattern) if path.is_file()}, key=lambda p: p.name)
    if not any(p.suffix == ".h5" for p in parts) or not any(p.name == "config.json" for p in parts):
        raise ModelError("not the folder of a model", on=folder, expected="config.json and weights (*.h5)", got=[p.name for p in parts])
    digest = hashlib.sha256()
    for path in parts:
        content = path.read_bytes()
        digest.update(f"{path.name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def digest_of(name: str, folder: str | None = None) -> str:
    """The checked digest of a model's weights; TensorFlow is imported only for a model that has first to be downloaded."""
    if registered(name).source == "shipped" or folder is not None:
        return _checked_digest(registered(name), Path(folder) if folder else shipped_folder(name))
    return load(name).digest


@lru_cache(maxsize=4)
def load(name: str, folder: str | None = None) -> LoadedModel:
    """Load a registered model, once in a process, and say which weights it has.

    `folder` holds the model's files where they are neither shipped nor to be downloaded (a node without a network). Raises ModelError
    for an unknown name, for weights that are not the registered ones, and where a download fails.
    """
    model = registered(name)
    if model.source == "stardist" and folder is None:
        return _downloaded(model)
    place = Path(folder) if folder else shipped_folder(name)
    digest = _checked_digest(model, place)
    return LoadedModel(name, digest, predictor(_opened(place)))


def _checked_digest(model: RegisteredModel, folder: Path) -> str:
    got = weights_digest(folder)
    if model.digest is not None and got != model.digest:
        raise ModelError(
            f"the weights of {model.name} are not the registered ones",
            on=folder,
            expected=model.digest,
            got=got,
            done="nothing was loaded",
            hint="install Coldchain again, or register the new weights if they were changed on purpose",
        )
    return got


def _opened(folder: Path) -> Any:
    from stardist.models import StarDist2D

    try:
        with redirect_stdout(StringIO()):  # it prints what it loads
            return StarDist2D(None, name=folder.name, basedir=str(folder.parent))
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise ModelError("the model's files cannot be read", on=folder, got=exc, hint="copy or install the model again") from exc


def _downloaded(model: RegisteredModel) -> LoadedModel:
    from stardist.models import StarDist2D

    try:
        network = StarDist2D.from_pretrained(model.name)
    except Exception as exc:  # keras raises a bare Exception where it cannot download
        raise ModelError(
            "the model could not be downloaded",
            on=model.name,
            got=exc,
            done="nothing was loaded",
            hint=f"no network here? Use {ModelName.NUCLEI_SMALL}, or load it once on a machine with a network and pass its folder",
        ) from exc
    return LoadedModel(model.name, _checked_digest(model, Path(network.logdir)), predictor(network))


def predictor(network: Any) -> Predict:
    """Wrap a StarDist network as `LoadedModel.predict`: check and normalise the image, tile a large one, number the labels 1..n."""

    def predict(image: NDArray[Any], prob_threshold: float | None = None, nms_threshold: float | None = None) -> NDArray[np.int32]:
        ready = _normalised(_checked_image(image, int(network.config.n_channel_in)))
        tiles = tuple(ceil(side / TILE) for side in ready.shape[:2]) + (1,) * (ready.ndim - 2)
        labels, _ = network.predict_instances(
            ready, prob_thresh=prob_threshold, nms_thresh=nms_threshold, n_tiles=tiles, show_tile_progress=False, verbose=False
        )
        return _sequential(labels)

    return predict


def _checked_image(image: NDArray[Any], channels: int) -> NDArray[np.float32]:
    expected = (2, None) if channels == 1 else (3, channels)
    got = (image.ndim, image.shape[-1] if image.ndim == 3 else None)
    if got != expected or 0 in image.shape or image.dtype.kind not in "uif":
        shape = "(y, x)" if channels == 1 else f"(y, x, {channels})"
        raise ImageError("the model cannot take this image", expected=f"{shape} of numbers", got=f"{image.shape} of {image.dtype}")
    values = image.astype(np.float32)
    if not np.isfinite(values).all():
        raise ImageError("the image has pixels that are no finite number", expected="finite intensities", got="NaN or infinity")
    return values


def _normalised(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Take the percentiles to 0 and 1, each channel by itself; a constant image becomes all zero."""
    low, high = np.percentile(image, PERCENTILES, axis=(0, 1), keepdims=True)
    return np.asarray((image - low) / np.maximum(high - low, 1e-20), dtype=np.float32)


def _sequential(labels: NDArray[Any]) -> NDArray[np.int32]:
    """Number the labels 1..n without gaps, in their order (StarDist leaves gaps where one object hides another)."""
    _, numbered = np.unique(np.concatenate([[0], labels.ravel()]), return_inverse=True)
    return np.asarray(numbered.ravel()[1:].reshape(labels.shape), dtype=np.int32)
