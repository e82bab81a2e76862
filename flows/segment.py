"""Segment: outline the nuclei."""

from prefect import flow

from coldchain.forms import SegmentForm
from tasks import show
from tasks.segmenting import segment_nuclei


@flow(name="segment", flow_run_name="segment {form.dataset} by {form.chosen}")
def segment(form: SegmentForm) -> str:
    """Outline the nuclei of each field of a plate, or of each image of a collection, on the site's workers.

    Args:
        form: Which dataset, which channel, and which model.
    """
    masks = segment_nuclei(form.id, form.channel, form.chosen, form.advanced)
    show.outlines(form.id)
    return show.ended(masks)
