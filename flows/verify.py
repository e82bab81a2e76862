"""Verify: every copy of a dataset is read back now."""

from prefect import flow

from coldchain.forms import DatasetForm
from tasks.keeping import verify_dataset


@flow(name="verify", flow_run_name="verify {form.dataset}")
def verify(form: DatasetForm) -> str:
    """Read every copy of a dataset back from where it stands, and compare each byte with its manifest.

    Args:
        form: Which dataset.
    """
    return verify_dataset(form.id)
