"""A dask preload for workers of this host: each has a GPU of its own, as TensorFlow wants one process a GPU."""

from __future__ import annotations

import os
from typing import Any

CARDS = "COLDCHAIN_CARDS"
"""Variable with the cards that the workers of this host share out, by commas; none where the work needs no GPU."""


def dask_setup(worker: Any) -> None:
    """Leave this process one card, by the worker's number; it is set before any library looks for cards."""
    if cards := [card for card in os.environ.get(CARDS, "").split(",") if card]:
        os.environ["CUDA_VISIBLE_DEVICES"] = cards[int(worker.name) % len(cards)]
