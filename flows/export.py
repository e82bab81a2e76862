"""Export: a dataset's images as OME-TIFF, for programs that do not read OME-Zarr."""

from prefect import flow

from coldchain.forms import ExportForm
from tasks.exporting import hand_out_tiff


@flow(name="export", flow_run_name="export {form.dataset}")
def export(form: ExportForm) -> str:
    """Write a dataset's images as OME-TIFF, one file for each image or field, and say where they stand.

    Args:
        form: Which dataset, which wells of it, and where to.
    """
    found = hand_out_tiff(form)
    return f"{found.location}:{found.path}" + ("" if found.new else " (stood already)")
