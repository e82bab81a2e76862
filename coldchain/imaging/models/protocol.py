"""What a kind of model has to offer, so that another lab's networks plug in beside StarDist.

A kind is one function, `Opener`: it takes the folder of a model and its description, and gives back an `Opened`. The built-in ones are
`stardist_kind.open_2d`, `stardist_kind.open_3d` and `unet_kind.open_unet`; another distribution offers its own as an entry point of
the group `coldchain.models`, by the name of the kind (see `loading`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from coldchain.errors import ImageError
from coldchain.imaging.models.registry import RegisteredModel

Window = tuple[float, float]


class Predict(Protocol):
    """How every model predicts."""

    def __call__(
        self,
        images: Sequence[NDArray[Any]],
        prob_threshold: float | None = None,
        nms_threshold: float | None = None,
        *,
        window: Window | None = None,
        tile: int | None = None,
    ) -> list[NDArray[np.int32]]:
        """Give for each image int32 labels 1..n of its spatial shape.

        Takes raw intensities of any numeric type, with the model's axes. Thresholds, both from 0 to 1, are the model's own where not
        given: a higher `prob_threshold` asks objects to be surer, a higher `nms_threshold` lets objects overlap more before two are
        taken for one. `window` is given where the images are parts of a larger one: the grey values at the model's `percentiles` of all
        of it, to be used instead of a part's own. `tile` is the longest side in pixels of what is predicted at once in a plane (in a
        stack in proportion), as the device's memory allows; smaller images, or tiles, are predicted together (see `batches`). The same
        images give the same labels. Raises ImageError.
        """


class Opened(NamedTuple):
    """A network in memory: how it predicts, its own thresholds, its `context`, and the `percentiles` of an image that it takes to 0 and 1.

    `context` is, for each spatial axis, how many pixels around a block the prediction inside the block may depend on (the network's
    receptive field). Who predicts by blocks adds the size of the largest object to it.
    """

    predict: Predict
    prob_threshold: float
    nms_threshold: float
    context: tuple[int, ...]
    percentiles: tuple[float, float] = (1.0, 99.8)


Opener = Callable[[Path, RegisteredModel], Opened]


def checked_image(image: NDArray[Any], axes: str, channels: int | None = None) -> NDArray[np.float32]:
    """The image as float32; raises ImageError where it has not these axes (and channels), is empty, or is not finite.

    `axes` are YX, ZYX, or YXC with `channels` in the last place.
    """
    expected = (len(axes), channels if axes.endswith("C") else None)
    got = (image.ndim, image.shape[-1] if axes.endswith("C") and image.ndim else None)
    if got != expected or 0 in image.shape or image.dtype.kind not in "uif":
        shape = ", ".join(axes.lower().replace("c", str(channels)))
        raise ImageError("the model cannot take this image", expected=f"({shape}) of numbers", got=f"{image.shape} of {image.dtype}")
    values = image.astype(np.float32)
    if not np.isfinite(values).all():
        raise ImageError("the image has pixels that are no finite number", expected="finite intensities", got="NaN or infinity")
    return values


def normalised(
    image: NDArray[np.float32], percentiles: tuple[float, float], axes: str, window: Window | None = None
) -> NDArray[np.float32]:
    """Take the percentiles, or the grey values of a window, to 0 and 1, each colour by itself; a constant image becomes all zero."""
    spatial = tuple(range(len(axes.removesuffix("C"))))
    low, high = np.percentile(image, percentiles, axis=spatial, keepdims=True) if window is None else np.asarray(window, np.float32)
    return np.asarray((image - low) / np.maximum(high - low, 1e-20), dtype=np.float32)


def sequential(labels: NDArray[Any]) -> NDArray[np.int32]:
    """Number the labels, all from 0 up, 1..n without gaps, in their order."""
    there = np.bincount(labels.ravel()) > 0
    there[0] = False
    return np.asarray(np.where(there, np.cumsum(there), 0)[labels], dtype=np.int32)
