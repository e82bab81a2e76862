"""Vectors of single cells from a registered network: each channel of a crop is encoded by itself, so that any number of channels works.

`cell-small` is shipped; `MobileNetV2` and `EfficientNetV2B0` have weights from ImageNet, which Keras downloads where there is a network; a
site adds its own by a folder with `model.keras` (no other .keras or .h5), a `config.json` ({"side": 48}) and a `model.json` of the kind
`encoder` (see `coldchain.imaging.models.registry`).

A crop's own intensities are taken to 0 and 1 first: how bright a cell is, is not in its vector (the measurements have it). Crops need not
be masked: what lies around the cell is seen, and `cell-small` was taught to heed it little. In a process that may have a GPU call
`coldchain.imaging.segment.claim_device()` first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from coldchain.errors import ImageError, ModelError
from coldchain.imaging.models.protocol import checked_image
from coldchain.imaging.models.registry import RegisteredModel, registered
from coldchain.imaging.models.weights import checked_digest, shipped_folder

Vectors = NDArray[np.float32]
BATCH = 128  # crops encoded together, always as many: a vector does not depend on how many were asked for
PERCENTILES = (1.0, 99.8)  # of a crop, taken to 0 and 1
LARGE_SIDE = 96  # pixels that the networks from ImageNet see


def _imagenet(name: str, description: str) -> RegisteredModel:
    return RegisteredModel(
        name=name, kind="imagenet", axes="YX", version="ImageNet", licence="Apache-2.0", description=description, source="keras"
    )


_ALL = (
    RegisteredModel(
        name="cell-small",
        kind="encoder",
        axes="YX",
        version="1",
        licence="BSD-3-Clause",
        description="64 numbers for a crop of 48 pixels; small, trained without labels on synthetic cells only",
        source="shipped",
        digest="20ea73701c712ea8dacfd18436d01f05fd8d0884d948f3352dc11464baae4489",
    ),
    _imagenet("MobileNetV2", "1280 numbers; 9 MB, trained on photographs (ImageNet)"),
    _imagenet("EfficientNetV2B0", "1280 numbers; 24 MB, trained on photographs (ImageNet)"),
)
EMBEDDERS: Mapping[str, RegisteredModel] = MappingProxyType({model.name: model for model in _ALL})


class _Config(BaseModel):
    model_config = ConfigDict(frozen=True)

    side: Annotated[int, Field(ge=8, le=1024)]


@dataclass(frozen=True)
class LoadedEmbedder:
    """A network ready to encode crops.

    `side` is the side in pixels that it was made for (crops of another are resized), `size` how many numbers a vector has, and `embed`
    takes raw crops (n, y, x), square, of one channel and any numeric type, and returns float32 (n, size). The same crop gives the same
    vector. `embed` raises ImageError for what is no such array.
    """

    name: str
    version: str
    licence: str
    digest: str
    side: int
    size: int
    embed: Callable[[NDArray[Any]], Vectors]

    def provenance(self) -> dict[str, Any]:
        """What provenance records, as plain values."""
        return {name: getattr(self, name) for name in ("name", "version", "licence", "digest", "side", "size")}


def registered_embedder(name: str, folder: str | None = None) -> RegisteredModel:
    """Look an embedder up: built-in, in `folder` where that describes it, or of the site; an unknown name raises ModelError."""
    if name in EMBEDDERS:
        return EMBEDDERS[name]
    try:
        model = registered(name, folder)
    except ModelError as exc:
        raise ModelError("no such embedder", on=name, expected="one of " + ", ".join(EMBEDDERS), got=exc.what, hint=exc.hint) from exc
    if model.kind != "encoder":
        raise ModelError("this model makes no vectors", on=name, expected="a model of kind encoder", got=model.kind)
    return model


def digest_of_embedder(name: str, folder: str | None = None) -> str:
    """The checked digest of an embedder's weights; without TensorFlow for those that lie in a folder as `model.keras`."""
    model = registered_embedder(name, folder)
    if model.kind == "imagenet":
        return load_embedder(name, folder).digest
    return checked_digest(model.name, model.digest, _place(model, folder))


def load_embedder(name: str, folder: str | None = None) -> LoadedEmbedder:
    """Load a registered embedder, once in a process as long as its weights stay the same.

    `folder` holds its files where they are neither shipped nor to be downloaded: for the networks from ImageNet the one file `*.h5` that
    Keras would download (the one whose name ends in `no_top` or `notop`). Raises ModelError for an unknown name, for weights that are
    not the registered ones or cannot be read, and where a download fails.
    """
    model = registered_embedder(name, folder)
    if model.kind == "imagenet":
        return _imagenet_loaded(model, folder)
    place = _place(model, folder)
    return _encoder_loaded(model, place, checked_digest(model.name, model.digest, place))


def _place(model: RegisteredModel, folder: str | None) -> Path:
    return Path(folder or model.folder or shipped_folder(model.name))


@lru_cache(maxsize=4)
def _encoder_loaded(model: RegisteredModel, place: Path, digest: str) -> LoadedEmbedder:
    import keras

    try:
        side = _Config.model_validate_json((place / "config.json").read_bytes()).side
        network = keras.saving.load_model(next(place.glob("*.keras")), compile=False)
    except (OSError, ValueError, KeyError, TypeError, StopIteration) as exc:
        raise _unreadable(place, exc) from exc
    if len(network.output_shape) != 2 or network.input_shape[-1] != 1:
        got = f"{network.input_shape} to {network.output_shape}"
        raise ModelError("the network is not one of this kind", on=place, expected="(n, side, side, 1) to (n, size)", got=got)
    return _loaded(model, digest, side, network)


@lru_cache(maxsize=4)
def _imagenet_loaded(model: RegisteredModel, folder: str | None) -> LoadedEmbedder:
    import keras

    weights = "imagenet" if folder is None else str(_weights_in(Path(folder)))
    make = getattr(keras.applications, model.name)
    try:
        network = make(include_top=False, weights=weights, input_shape=(LARGE_SIDE, LARGE_SIDE, 3), pooling="avg")
    except Exception as exc:  # keras raises a bare Exception where it cannot download
        raise ModelError(
            "the weights of an embedder cannot be had",
            on=model.name,
            expected="a network to download them, or a folder with their file (*.h5)",
            got=exc,
            done="nothing was loaded",
            hint="use cell-small, or load it once on a machine with a network and pass a folder with the file that Keras keeps",
        ) from exc
    prepare = _preprocessing(keras, model.name)
    return _loaded(model, _values_digest(network), LARGE_SIDE, lambda crops: network(prepare(crops), training=False))


def _weights_in(folder: Path) -> Path:
    found = sorted(folder.glob("*.h5"))
    if len(found) != 1:
        raise ModelError("not the folder of an embedder's weights", on=folder, expected="one *.h5", got=[path.name for path in found])
    return found[0]


def _preprocessing(keras: Any, name: str) -> Callable[[Any], Any]:
    """From crops of one channel between 0 and 1 to the three colours, 0 to 255, that the network was trained on."""
    module = {"MobileNetV2": keras.applications.mobilenet_v2, "EfficientNetV2B0": keras.applications.efficientnet_v2}[name]
    return lambda crops: module.preprocess_input(np.repeat(np.clip(crops, 0, 1) * 255, 3, axis=-1))


def _values_digest(network: Any) -> str:
    """SHA-256 over the shapes and values of all weights, in their order: the same whether they were downloaded or in a folder."""
    digest = hashlib.sha256()
    for variable in network.weights:
        values = variable.value.numpy()
        digest.update(f"{values.dtype.str}{values.shape}\0".encode() + np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


def _unreadable(place: Path, exc: Exception) -> ModelError:
    got = exc.errors()[0]["msg"] if isinstance(exc, ValidationError) else exc or "no *.keras"
    return ModelError("the embedder's files cannot be read", on=place, got=got, hint="copy or install the model again")


def _loaded(model: RegisteredModel, digest: str, side: int, network: Callable[[Any], Any]) -> LoadedEmbedder:
    size = int(np.asarray(network(np.zeros((1, side, side, 1), np.float32))).shape[-1])

    def embed(crops: NDArray[Any]) -> Vectors:
        values = _checked(crops)
        vectors = np.zeros((len(values), size), np.float32)
        for start in range(0, len(values), BATCH):
            part = prepared(values[start : start + BATCH], side)
            full = np.pad(part, ((0, BATCH - len(part)), (0, 0), (0, 0)))
            vectors[start : start + BATCH] = np.asarray(network(full[..., None]))[: len(part)]
        return vectors

    return LoadedEmbedder(model.name, model.version, model.licence, digest, side, size, embed)


def _checked(crops: NDArray[Any]) -> Vectors:
    if crops.ndim != 3 or crops.shape[1] != crops.shape[2]:
        raise ImageError("not crops of one channel", expected="(n, side, side)", got=crops.shape)
    return checked_image(crops, "ZYX") if len(crops) else crops.astype(np.float32)


def prepared(crops: Vectors, side: int) -> Vectors:
    """Resize crops (n, y, x) to `side`, and take each crop's percentiles 1 and 99.8 to 0 and 1; a constant crop becomes all zero."""
    from skimage.transform import resize

    if crops.shape[1] != side:
        crops = np.stack([resize(crop, (side, side), order=1, anti_aliasing=crop.shape[0] > side) for crop in crops])
    low, high = np.percentile(crops, PERCENTILES, axis=(1, 2), keepdims=True)
    return np.asarray((crops - low) / np.maximum(high - low, 1e-20), np.float32)
