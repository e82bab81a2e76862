"""Batches: small images and tiles are predicted together, and come out as if each had been predicted by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from coldchain.imaging import models
from coldchain.imaging.models.batches import in_batches
from coldchain.imaging.models.stardist_kind import predictor
from coldchain.imaging.synthesis import nuclei_field
from coldchain.imaging.synthetic_nuclei import Conditions
from coldchain.imaging.synthetic_stack import nuclei_stack


class Watched:
    """A network that counts from the first pixel of a tile, and notes the shape of each batch that it was shown."""

    def __init__(self) -> None:
        self.shown: list[tuple[int, ...]] = []

    def __call__(self, tiles: np.ndarray[Any, Any]) -> Sequence[np.ndarray[Any, Any]]:
        """Two maps of each tile: as it is, and one more."""
        self.shown.append(tiles.shape)
        return [tiles, tiles + 1]


def tile(number: int, side: int = 4) -> np.ndarray[Any, Any]:
    """A tile that can be told from others."""
    return np.full((side, side, 1), number, np.float32)


@pytest.mark.parametrize(("most", "sizes"), [(1, [1] * 5), (16, [1] * 5), (32, [2, 2, 1]), (79, [4, 1]), (10_000, [5])])
def test_a_batch_has_as_many_tiles_as_may_be_predicted_at_once(most: int, sizes: list[int]) -> None:
    """Never more pixels than `most`, but one tile at least; the answers come in the order of the tiles."""
    network = Watched()
    answers = list(in_batches(network, [tile(number) for number in range(5)], most))
    assert [(int(one[0, 0, 0]), int(two[0, 0, 0])) for one, two in answers] == [(number, number + 1) for number in range(5)]
    assert [shape[0] for shape in network.shown] == sizes


def test_tiles_of_other_shapes_are_not_mixed() -> None:
    """Each batch is of one shape, taken from anywhere among the tiles, and the order stays."""
    network = Watched()
    tiles = [tile(0), tile(1, 2), tile(2), tile(3, 2), tile(4)]
    assert [int(one[0, 0, 0]) for one, _ in in_batches(network, tiles, 40)] == [0, 1, 2, 3, 4]
    assert network.shown == [(2, 4, 4, 1), (2, 2, 2, 1), (1, 4, 4, 1)]


def test_a_batch_is_predicted_when_its_first_tile_is_asked_for() -> None:
    """What is not asked for yet is not predicted, so that the maps of one batch are held, and not those of an image."""
    network = Watched()
    answers = in_batches(network, [tile(number) for number in range(6)], 32)
    next(answers)
    assert len(network.shown) == 1


def field(seed: int, shape: tuple[int, int] = (128, 160)) -> np.ndarray[Any, Any]:
    """A field of nuclei."""
    return nuclei_field(np.random.default_rng(seed), shape, count=25, conditions=Conditions()).image


def stack(seed: int) -> np.ndarray[Any, Any]:
    """A stack of nuclei."""
    return nuclei_stack(np.random.default_rng(seed), (24, 64, 64)).image


class Counted:
    """A Keras network that notes how many tiles it was shown at each call."""

    def __init__(self, network: Any) -> None:
        self._network, self.batches = network, []

    def predict(self, tiles: np.ndarray[Any, Any], **options: Any) -> Any:
        """Predict as the network does."""
        self.batches.append(len(tiles))
        return self._network.predict(tiles, **options)


def opened(name: str) -> Any:
    """A shipped StarDist network."""
    from stardist.models import StarDist2D, StarDist3D

    folder = models.shipped_folder(name)
    make = StarDist3D if name.endswith("3d") else StarDist2D
    network = make(None, name=folder.name, basedir=str(folder.parent))
    network._axes_tile_overlap("ZYX" if name.endswith("3d") else "YX")
    network.keras_model = Counted(network.keras_model)
    return network


@pytest.mark.parametrize("name", ["nuclei-small", "nuclei-unet", "nuclei-small-3d"])
def test_images_together_have_the_labels_of_each_alone(name: str) -> None:
    """Images of the same and of other shapes, one without light and one larger than a tile, are as if predicted one by one."""
    model = models.load(name)
    if name.endswith("3d"):
        images = [stack(1), np.zeros((24, 64, 64), np.uint16), stack(2), np.tile(stack(3), (1, 5, 1))]
    else:
        images = [field(1), np.zeros((128, 160), np.uint16), field(2), field(3, (100, 90)), np.tile(field(4), (9, 1))]
    alone = [model.predict(image) for image in images]
    together = model.predict_all(images)
    assert [int(labels.max()) > 0 for labels in alone] == [True, False, *[True] * (len(images) - 2)]
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


def test_fields_are_predicted_in_one_call() -> None:
    """Four small fields are one batch; a single one is predicted as StarDist itself does it."""
    network = opened("nuclei-small")
    labels = predictor(network)([field(seed) for seed in range(4)])
    assert network.keras_model.batches == [4]
    assert all(found.max() > 3 for found in labels)
    predictor(network)([field(0)])
    assert network.keras_model.batches == [4, 1]


def test_tiles_of_a_large_image_are_predicted_together() -> None:
    """A field of four tiles is one call where all of them fill less than one whole tile; on a device that takes less at once, four."""
    network, image = opened("nuclei-small"), field(5, (300, 300))
    (whole,) = predictor(network)([image])
    (tiled,) = predictor(network)([image], tile=256)
    assert network.keras_model.batches[0] == 1
    assert sum(network.keras_model.batches[1:]) == 4
    assert abs(int(tiled.max()) - int(whole.max())) <= 1


def test_stacks_are_predicted_together() -> None:
    """As many small stacks as fill one tile of a stack."""
    network = opened("nuclei-small-3d")
    predictor(network)([stack(seed) for seed in range(3)])
    assert network.keras_model.batches == [3]
