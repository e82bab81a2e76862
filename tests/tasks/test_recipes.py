"""What a recipe would be told today: what the site does not choose follows the model that is there."""

from __future__ import annotations

from typing import Any

import pytest

from coldchain.imaging import embed, models
from tasks.profiling import MEASURE
from tasks.recipes import parameters_today
from tasks.segmenting import SEGMENT, SEGMENT_IMAGES


def today(recipe: Any, recorded: dict[str, Any]) -> dict[str, Any]:
    """What would be recorded today; these recipes ask neither the site nor the dataset."""
    return parameters_today(None, "PRJ-0001/PLATE", recipe, recorded)  # type: ignore[arg-type]


@pytest.mark.parametrize("recipe", [SEGMENT, SEGMENT_IMAGES])
def test_masks_follow_the_weights_of_their_model(recipe: Any) -> None:
    """Other weights of the same model are what masks would be made with today."""
    assert today(recipe, {"model": "nuclei-small", "weights": "older"})["weights"] == models.digest_of("nuclei-small")


def test_vectors_follow_the_weights_of_their_network() -> None:
    """Other weights of the same network are what vectors would be made with today."""
    found = today(MEASURE, {"features": "full", "embedder": "cell-small", "weights": "older"})
    assert found == {"features": "full", "embedder": "cell-small", "weights": embed.weights_of("cell-small")}


@pytest.mark.parametrize(
    ("recorded", "weights"),
    [
        ({"embedder": "none", "weights": "older"}, ""),
        ({"embedder": "MobileNetV2", "weights": "older"}, "older"),
        ({"features": "basic"}, None),
    ],
)
def test_vectors_that_nobody_can_tell_of_stay_as_recorded(recorded: dict[str, Any], weights: str | None) -> None:
    """Without a network there are no weights; of one that would first be downloaded, what was recorded counts; older tables have none."""
    assert today(MEASURE, recorded).get("weights") == weights


def test_a_network_that_is_not_here_is_said() -> None:
    """Vectors by a network of a site that has gone are not as they would be made today."""
    assert "no such embedder" in today(MEASURE, {"embedder": "ours", "weights": "older"})["weights"]
