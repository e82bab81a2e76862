"""Segmentation as a flow runs it: of collections too, with what was asked for and what was used in the provenance."""

from __future__ import annotations

import numpy as np
import pytest

from coldchain.cluster import Cluster, ClusterKind
from coldchain.forms import DatasetForm, IngestForm, SegmentForm, Thresholds
from coldchain.imaging import models
from coldchain.imaging.imagezarr import IMAGES, images_of
from coldchain.imaging.labelzarr import read_label_plane
from coldchain.imaging.synthesis import nuclei_field
from coldchain.imaging.synthetic_nuclei import Conditions
from coldchain.levels import Level
from coldchain.lifecycle import remaining
from coldchain.making import local_folder
from coldchain.testing import microscopes
from coldchain.workspace import Workspace
from tasks.describing import dataset_state
from tasks.segmenting import handed_out

SESSION = {"project": "PRJ-0001", "dataset": "SESSION-1"}
DATASET = "PRJ-0001/SESSION-1"


@pytest.fixture
def ws(demo_site: Workspace) -> Workspace:
    """The demo's site, with a confocal session of a plane and a series of two moments acquired."""
    folder = demo_site.site.path("acquisition") / "SESSION-1"
    folder.mkdir(parents=True)
    (folder / "dataset.yaml").write_text("project: PRJ-0001\nname: SESSION-1\npattern: files\n")
    planes = [nuclei_field(np.random.default_rng(seed), (160, 160), count=14, conditions=Conditions()).image for seed in (1, 2, 3)]
    microscopes.write_czi(folder / "one.czi", [planes[0][None, None, None].astype(np.uint16)], channels=["DAPI"])
    microscopes.write_czi(folder / "two.czi", [np.stack(planes[1:])[:, None, None].astype(np.uint16)], channels=["DAPI"])
    return demo_site


@pytest.mark.server
@pytest.mark.long
@pytest.mark.usefixtures("prefect_server")
def test_a_collection_is_segmented_straight_from_standard(ws: Workspace) -> None:
    """Masks of each image by its name, what was asked and used in the provenance; a second run does nothing; the lifecycle as it was."""
    from flows.ingest import ingest
    from flows.segment import segment
    from flows.stage import stage

    ingest(IngestForm(**SESSION))
    stage(DatasetForm(**SESSION))
    form = SegmentForm(**SESSION, channel="DAPI", advanced=Thresholds(prob_threshold=0.6))
    assert segment(form).endswith("(made)")
    masks = ws.current(DATASET, Level.MASKS)
    activity, folder = ws.catalogue.activity(masks.activity), local_folder(ws, masks)
    assert [image.shape[0] for image in images_of(folder / IMAGES)] == [1, 2]
    counts = [read_label_plane(folder / IMAGES / "0" / "labels" / "nuclei").max()]
    counts.append(sum(read_label_plane(folder / IMAGES / "1" / "labels" / "nuclei", lead=(t,)).max() for t in (0, 1)))
    assert [image["objects"] for image in activity.findings["images"]] == counts
    assert min(counts) > 3
    assert activity.name == "segment images"
    assert activity.inputs == (ws.current(DATASET, Level.STANDARD).id,)
    assert (activity.parameters["prob_threshold"], activity.parameters["nms_threshold"]) == (0.6, 0)
    own = models.load("nuclei-small")
    used = {name: activity.model[name] for name in ("name", "version", "kind", "digest", "prob_threshold", "nms_threshold", "device")}
    assert used == {
        "name": "nuclei-small",
        "version": own.version,
        "kind": "stardist2d",
        "digest": own.digest,
        "prob_threshold": 0.6,
        "nms_threshold": own.nms_threshold,
        "device": ["CPU"],
    }
    assert sorted(path.name[:5] for path in (folder / "tiff").iterdir()) == ["0001_", "0002_"]
    assert segment(form).endswith("(stood already)")
    assert not [transition for transition, _ in remaining(dataset_state(DATASET)) if transition in {"correct", "segment", "profile"}]


@pytest.mark.parametrize(
    ("spec", "sizes"), [({}, [1] * 32), ({"gpu": True}, [4] * 8), ({"kind": ClusterKind.SLURM, "gres": "gpu:1"}, [4] * 8)]
)
def test_small_images_are_handed_out_together_where_there_are_gpus(spec: dict[str, object], sizes: list[int]) -> None:
    """A GPU is fed several fields at once; a core is as fast with one, and a run that is cut off loses less."""
    items = [{"target": "masks", "image": str(number), "pixels": 2**20} for number in range(32)]
    assert [len(item.get("together", [item])) for item in handed_out(items, Cluster(workers=2, **spec))] == sizes
