"""Sweep: retention, enforced without losing a byte."""

from prefect import flow

from coldchain.forms import SweepForm
from tasks import show
from tasks.sweeping import sweep_site


@flow(name="sweep", flow_run_name="sweep, dry run {form.dry_run}")
def sweep(form: SweepForm) -> str:
    """Read copies back, plan what may go from scratch, check again, and remove it; report what stays and why.

    Args:
        form: Whether to remove, or only to report.
    """
    report = sweep_site(dry_run=form.dry_run)
    show.swept(report)
    show.copies()
    return f"{len(report.removed)} copies, {report.bytes_removed} bytes; {len(report.damaged)} damaged"
