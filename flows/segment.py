"""Segment: outline the nuclei."""

from prefect import flow

from coldchain.forms import SegmentForm
from tasks import show
from tasks.imaging import segment_nuclei


@flow(name="segment", flow_run_name="segment {form.dataset} by {form.model}")
def segment(form: SegmentForm) -> str:
    """Outline the nuclei of each field with StarDist, on the site's workers.

    Args:
        form: Which dataset, which channel, and which model.
    """
    masks = segment_nuclei(form.id, form.channel, form.model)
    show.outlines(form.id)
    return show.ended(masks)
