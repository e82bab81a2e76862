"""Every recipe by the name that provenance records, and what each would be told today."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

from coldchain import provenance
from coldchain.choices import History
from coldchain.errors import ModelError
from coldchain.forms import Thresholds
from coldchain.imaging import embed, models
from coldchain.levels import Level
from coldchain.staleness import Today
from coldchain.workspace import Workspace
from tasks.imaging import CORRECT, STANDARDISE, layout
from tasks.making import Recipe, told
from tasks.profiling import AGGREGATE, CROP, MEASURE
from tasks.segmenting import SEGMENT, SEGMENT_IMAGES

RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {recipe.name: recipe for recipe in (STANDARDISE, CORRECT, SEGMENT, SEGMENT_IMAGES, MEASURE, CROP, AGGREGATE)}
)


def place(ws: Workspace, recipe: Recipe) -> str:
    """Location where a recipe's artifacts are made: standard stands beside raw, everything else on scratch."""
    return ws.site.roles.nas if recipe.makes is Level.STANDARD else ws.site.roles.scratch


Told = Callable[[Workspace, str, Mapping[str, Any]], Mapping[str, Any]]
"""From the site, a dataset and what was recorded: what the same recipe would be told today."""


def _standardise(ws: Workspace, dataset: str, _recorded: Mapping[str, Any]) -> Mapping[str, Any]:
    return layout(ws.catalogue.dataset(dataset), ws.site.conventions)


def _segment(_ws: Workspace, _dataset: str, recorded: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**recorded, "weights": weights_today(str(recorded.get("model", "")), recorded.get("weights"))}


def _measure(_ws: Workspace, _dataset: str, recorded: Mapping[str, Any]) -> Mapping[str, Any]:
    if "embedder" not in recorded:
        return recorded
    return {**recorded, "weights": vectors_today(str(recorded["embedder"]), recorded.get("weights"))}


def _aggregate(ws: Workspace, dataset: str, recorded: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**recorded, "plate_map": ws.catalogue.dataset(dataset).plate_map}


_TODAY: Mapping[str, Told] = {
    STANDARDISE.name: _standardise,
    SEGMENT.name: _segment,
    SEGMENT_IMAGES.name: _segment,
    MEASURE.name: _measure,
    AGGREGATE.name: _aggregate,
}


_THRESHOLDS = tuple(Thresholds.model_fields)
SETTABLE: Mapping[str, tuple[str, ...]] = {
    SEGMENT.name: _THRESHOLDS,
    SEGMENT_IMAGES.name: _THRESHOLDS,
    MEASURE.name: ("features", "distance", "embedder"),
}
"""Parameters that a recipe takes and that older artifacts were made without."""


def parameters_today(ws: Workspace, dataset: str, recipe: Recipe, recorded: Mapping[str, Any]) -> dict[str, Any]:
    """What a recipe would be told today in place of what was recorded: the site's, the dataset's and the model's part of it as they are."""
    return dict(_TODAY.get(recipe.name, lambda _ws, _dataset, kept: kept)(ws, dataset, told(recorded)))


def weights_today(model: str, recorded: Any) -> Any:
    """Digest of a model's weights as they are here; of one that would first have to be downloaded, what was recorded."""
    try:
        return models.digest_of(model) if models.registered(model).source != "stardist" else recorded
    except ModelError as error:
        return f"none here ({error.what})"


def vectors_today(embedder: str, recorded: Any) -> Any:
    """The same of the network that makes vectors of cells."""
    from coldchain.imaging.embedding import registered_embedder

    try:
        downloaded = embedder != embed.NONE and registered_embedder(embedder).source == "keras"
        return recorded if downloaded else embed.weights_of(embedder)
    except ModelError as error:
        return f"none here ({error.what})"


def today(ws: Workspace, histories: Iterable[History]) -> Today:
    """What would be recorded today of everything that was made by a recipe that is known."""
    found = {
        making.activity.id: parameters_today(
            ws, making.artifact.rpartition("/")[0], RECIPES[making.activity.name], making.activity.parameters
        )
        for history in histories
        for making in history.makings
        if making.activity.name in RECIPES
    }
    return Today(provenance.code_version(), found)
