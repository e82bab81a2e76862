"""Models that cost nothing, for tests of what surrounds a model: what is brighter than half is an object. They plug in as any lab's do."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coldchain.imaging import models
from coldchain.imaging.models.protocol import Opened, Window, checked_image, normalised
from coldchain.imaging.models.registry import RegisteredModel

PLANES, STACKS, COLOUR = "cheap-2d", "cheap-3d", "cheap-colour"


def open_cheap(folder: Path, model: RegisteredModel) -> Opened:  # noqa: ARG001 - any kind is opened by its folder; this one has nothing in it
    """Open a model of the kind `cheap`: connected pixels above `prob_threshold` of the window are an object."""

    def predict(
        images: Sequence[NDArray[Any]],
        prob_threshold: float | None = None,
        nms_threshold: float | None = None,  # noqa: ARG001 - nothing overlaps here
        *,
        window: Window | None = None,
        tile: int | None = None,  # noqa: ARG001 - nothing is tiled here
    ) -> list[NDArray[np.int32]]:
        from scipy.ndimage import label

        ready = (normalised(checked_image(image, model.axes, 3), (1.0, 99.8), model.axes, window) for image in images)
        found = (label(image > (0.5 if prob_threshold is None else prob_threshold)) for image in ready)
        return [np.asarray(labels, np.int32) for labels, _ in found]

    return Opened(predict, 0.5, 0.4, (0,) * len(model.axes))


def install(root: Path) -> dict[str, str]:
    """Install the kind below a folder, with models for planes, stacks and colour images; returns the environment that finds them."""
    about = root / "packages" / "cheap_models-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: cheap-models\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[coldchain.models]\ncheap = coldchain.testing.cheap_models:open_cheap\n")
    for name, axes in ((PLANES, "YX"), (STACKS, "ZYX"), (COLOUR, "YXC")):
        folder = root / "models" / name
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
        (folder / "weights.h5").write_bytes(name.encode())
        facts = {"name": name, "kind": "cheap", "axes": axes, "version": "1", "licence": "CC0-1.0", "description": "brighter than half"}
        (folder / "model.json").write_text(json.dumps(facts | {"digest": models.weights_digest(folder)}))
    return {"PYTHONPATH": str(root / "packages"), "COLDCHAIN_MODELS": str(root / "models")}
