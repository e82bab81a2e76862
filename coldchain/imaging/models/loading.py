"""Load a registered model by its kind, once in a process.

Kinds are a small table, to which an installed distribution adds its own by an entry point, in its `pyproject.toml`::

    [project.entry-points."coldchain.models"]
    cellwalk = "our_lab.cellwalk:open_cellwalk"

where `open_cellwalk` is a `protocol.Opener`. Models of that kind are then registered as any other, by a `model.json`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import entry_points
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coldchain.errors import ModelError
from coldchain.imaging.models import stardist_kind, unet_kind
from coldchain.imaging.models.protocol import Opener, Predict
from coldchain.imaging.models.registry import Axes, RegisteredModel, registered
from coldchain.imaging.models.weights import checked_digest, shipped_folder

ENTRY_POINTS = "coldchain.models"
KINDS: Mapping[str, Opener] = MappingProxyType(
    {"stardist2d": stardist_kind.open_2d, "stardist3d": stardist_kind.open_3d, "unet": unet_kind.open_unet}
)


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to predict: `predict(image, prob_threshold=None, nms_threshold=None)` gives labels; `digest` names its weights.

    `predict_all` is a `protocol.Predict`: raw intensities with the model's `axes` (YX, ZYX, or YXC for colour) in, int32 labels 1..n out.
    `prob_threshold` and `nms_threshold` are the model's own. `context` is, for each spatial axis, how many pixels around a block its
    prediction may depend on; who predicts by blocks adds the size of the largest object.
    """

    name: str
    digest: str
    predict_all: Predict
    kind: str = "stardist2d"
    axes: Axes = "YX"
    version: str = ""
    licence: str = ""
    prob_threshold: float = 0.5
    nms_threshold: float = 0.4
    context: tuple[int, ...] = (0, 0)
    percentiles: tuple[float, float] = (1.0, 99.8)

    def predict(self, image: NDArray[Any], *thresholds: float | None, **options: Any) -> NDArray[np.int32]:
        """Predict one image, by itself."""
        return self.predict_all([image], *thresholds, **options)[0]

    def thresholds(self, prob_threshold: float | None = None, nms_threshold: float | None = None) -> dict[str, float]:
        """The thresholds that `predict` uses when called with these: the model's own where not given."""
        return {
            "prob_threshold": self.prob_threshold if prob_threshold is None else float(prob_threshold),
            "nms_threshold": self.nms_threshold if nms_threshold is None else float(nms_threshold),
        }

    def provenance(self, prob_threshold: float | None = None, nms_threshold: float | None = None) -> dict[str, Any]:
        """What provenance records of a prediction with these thresholds, as plain values."""
        facts = {"name": self.name, "kind": self.kind, "axes": self.axes, "version": self.version, "licence": self.licence}
        return facts | {"digest": self.digest} | self.thresholds(prob_threshold, nms_threshold)


def digest_of(name: str, folder: str | None = None) -> str:
    """The checked digest of a model's weights; TensorFlow is imported only for a model that has first to be downloaded."""
    model = registered(name, folder)
    return checked_digest(model.name, model.digest, _place(model, folder))


def load(name: str, folder: str | None = None) -> LoadedModel:
    """Load a registered model, once in a process as long as its weights stay the same, and say which weights it has.

    `folder` holds the model's files where they are neither shipped nor to be downloaded (a node without a network), or those of a
    model that only its `model.json` describes. Call `coldchain.imaging.devices.claim_device()` first where there may be a GPU. Raises
    ModelError for an unknown name or kind, for weights that are not the registered ones, and where a download fails.
    """
    model = registered(name, folder)
    place = _place(model, folder)
    return _loaded(model, place, checked_digest(model.name, model.digest, place))


@lru_cache(maxsize=4)
def _loaded(model: RegisteredModel, place: Path, digest: str) -> LoadedModel:
    opened = _opener(model)(place, model)
    return LoadedModel(
        name=model.name,
        digest=digest,
        predict_all=opened.predict,
        kind=model.kind,
        axes=model.axes,
        version=model.version,
        licence=model.licence,
        prob_threshold=opened.prob_threshold,
        nms_threshold=opened.nms_threshold,
        context=opened.context,
        percentiles=opened.percentiles,
    )


def _place(model: RegisteredModel, folder: str | None) -> Path:
    if folder is not None or model.folder is not None:
        return Path(folder or model.folder or "")
    return stardist_kind.downloaded(model) if model.source == "stardist" else shipped_folder(model.name)


def _opener(model: RegisteredModel) -> Opener:
    if model.kind in KINDS:
        return KINDS[model.kind]
    offered = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    if model.kind not in offered:
        raise ModelError(
            "a model is of a kind that nothing here opens",
            on=model.name,
            expected="one of " + ", ".join(sorted([*KINDS, *offered])),
            got=model.kind,
            hint=f"install the package that offers it (entry point group {ENTRY_POINTS}) here and on the workers",
        )
    try:
        opener: Opener = offered[model.kind].load()
    except (ImportError, AttributeError) as exc:
        raise ModelError("what opens a kind of model cannot be imported", on=offered[model.kind].value, got=exc) from exc
    return opener
