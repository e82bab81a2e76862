"""Repair: damaged copies are made again from verified ones."""

from prefect import flow

from coldchain.forms import RepairForm
from tasks import auditing, show


@flow(name="repair", flow_run_name="repair {form.dataset}, dry run {form.dry_run}")
def repair(form: RepairForm) -> str:
    """Make the damaged copies of a dataset again, from copies that are read back first; the damaged bytes are kept aside.

    Args:
        form: Which dataset, and whether to repair, or only to say from where.
    """
    found = auditing.repair_dataset(form.id, dry_run=form.dry_run)
    auditing.repaired(form.id, found)
    show.copies(form.id)
    return auditing.summary(found)
