"""Profile: measure cells, and aggregate them by well."""

from prefect import flow

from coldchain.forms import DatasetForm
from tasks import show
from tasks.imaging import bulk_profile, cut_cells, measure_cells


@flow(name="profile", flow_run_name="profile {form.dataset}")
def profile(form: DatasetForm) -> str:
    """Measure each nucleus, cut an image of each, and aggregate the measurements of each well.

    Args:
        form: Which dataset.
    """
    cells = measure_cells(form.id)
    images = cut_cells(form.id)
    bulk = bulk_profile(form.id)
    show.plate_map(form.id)
    return show.ended(cells, images, bulk)
