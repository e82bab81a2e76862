"""Tiles of one shape are predicted together, as many as fill one largest tile: small images need one call of a network for many."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Tile = NDArray[np.float32]
Network = Callable[[Tile], Sequence[NDArray[Any]]]
"""From tiles (n, spatial …, channels) to its maps, each (n, spatial …, channels)."""


def in_batches(network: Network, tiles: Sequence[Tile], most: int) -> Iterator[tuple[NDArray[Any], ...]]:
    """Give the maps of each tile (spatial …, channels), in order; as many of one shape as have `most` pixels in all are predicted at once.

    A tile of more pixels is predicted by itself. Which tiles are together depends on their shapes and on `most` alone. What is held at a
    time are the maps of one batch of each shape.
    """
    waiting: dict[int, tuple[NDArray[Any], ...]] = {}
    for index, tile in enumerate(tiles):
        if index not in waiting:
            alike = [later for later in range(index, len(tiles)) if tiles[later].shape == tile.shape]
            batch = alike[: max(most // math.prod(tile.shape[:-1]), 1)]
            maps = network(np.stack([tiles[member] for member in batch]))
            waiting |= {member: tuple(each[place] for each in maps) for place, member in enumerate(batch)}
        yield waiting.pop(index)
