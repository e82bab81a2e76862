"""Segmentation: the masks of a dataset, on the site's workers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coldchain.cluster import Cluster
from coldchain.forms import Thresholds
from coldchain.imaging import models, segment
from coldchain.levels import Level
from coldchain.making import Made, Outcome
from coldchain.workspace import Workspace
from tasks.computing import compute, parts
from tasks.making import Job, Order, Recipe, follow
from tasks.running import work
from tasks.workspace import open_workspace


def _segment(job: Job) -> Outcome:
    (source,) = job.inputs.values()
    with parts(job.target) as folder:
        workers = job.ws.site.cluster_for("segment")
        items = segment.prepare_masks(
            str(source), str(job.target), parts=str(folder), require_gpu=workers.needs_gpu, **_asked(job.parameters)
        )
        answers, hardware = compute(job, "segment", segment.segment_item, handed_out(items, workers))
        results = segment.apart(answers)
        merged: list[dict[str, Any]] = []
        if pieces := segment.merges(items):
            merged, hardware = compute(job, "segment", segment.merge_image, pieces)
    used = segment.model_record(items, results)
    return Outcome(segment.findings(items, results, merged), used, hardware, ",".join(hardware["slurm_job_ids"]))


def handed_out(items: list[dict[str, Any]], workers: Cluster) -> list[dict[str, Any]]:
    """What the workers are handed: several small images at once where each has a GPU, which predicts them together."""
    return segment.together(items, workers.workers) if workers.needs_gpu else items


def _asked(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """What `prepare_masks` is told of the parameters; a threshold of 0 is the model's own."""
    thresholds = {name: parameters.get(name) or None for name in ("prob_threshold", "nms_threshold")}
    return {"channel": parameters["channel"], "model": parameters["model"], **thresholds}


SEGMENT = Recipe("segment", Level.MASKS, (Level.CORRECTED,), _segment)
SEGMENT_IMAGES = Recipe("segment images", Level.MASKS, (Level.STANDARD,), _segment)
"""Of a collection of images, which no illumination correction is made of."""


@work
def segment_nuclei(dataset: str, channel: str, model: str, thresholds: Thresholds | None = None) -> Made:
    """Outline the nuclei of each image, on the site's workers: of a plate in the corrected images, of a collection in the standard ones."""
    ws = open_workspace()
    asked = (thresholds or Thresholds()).model_dump()
    parameters = {"channel": channel, "model": model, "weights": models.digest_of(model), **asked}
    return follow(ws, Order(_recipe(ws, dataset), dataset, parameters))


def _recipe(ws: Workspace, dataset: str) -> Recipe:
    return SEGMENT_IMAGES if is_collection(ws, dataset) else SEGMENT


def is_collection(ws: Workspace, dataset: str) -> bool:
    """Whether the standard images of a dataset are no plate."""
    standard = ws.catalogue.artifacts(dataset, Level.STANDARD)
    return bool(standard) and ws.catalogue.activity(standard[-1].activity).findings.get("layout") == "images"
