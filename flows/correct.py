"""Correct: quality control and illumination correction."""

from prefect import flow

from coldchain.forms import DatasetForm
from tasks import show
from tasks.imaging import correct_illumination


@flow(name="correct", flow_run_name="correct {form.dataset}")
def correct(form: DatasetForm) -> str:
    """Measure focus, saturation and intensity of each field, flag what is not fit, and correct the illumination.

    Args:
        form: Which dataset.
    """
    corrected = correct_illumination(form.id)
    show.quality(form.id)
    return show.ended(corrected)
