"""Profile: measure cells, and aggregate them by well."""

from prefect import flow

from coldchain.forms import ProfileForm
from tasks import show
from tasks.profiling import bulk_profile, cut_cells, measure_cells


@flow(name="profile", flow_run_name="profile {form.dataset}")
def profile(form: ProfileForm) -> str:
    """Measure and embed each nucleus, cut an image of each, aggregate the measurements of each well, and compare wells and treatments.

    Args:
        form: Which dataset, and how much to measure.
    """
    cells = measure_cells(form.id, form.features, form.embedder)
    images = cut_cells(form.id)
    bulk = bulk_profile(form.id)
    show.plate_map(form.id)
    return show.ended(cells, images, bulk)
