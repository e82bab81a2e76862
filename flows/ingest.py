"""Ingest: from the instrument to the NAS."""

from prefect import flow

from coldchain.forms import IngestForm
from tasks import show
from tasks.describing import describe
from tasks.hand_over import hand_back, take_from_instrument
from tasks.imaging import standardise


@flow(name="ingest", flow_run_name="ingest {form.dataset}")
def ingest(form: IngestForm) -> str:
    """Take an acquisition from the instrument: its files as they are, and the same pixels as OME-Zarr.

    Args:
        form: Which acquisition to take, and for a new project, whose it is.
    """
    folder = describe(form)
    raw = take_from_instrument(form.id, folder)
    standard = standardise(form.id)
    hand_back(form.id, folder)
    show.fields(form.id)
    show.copies(form.id)
    return show.ended(raw, standard)
