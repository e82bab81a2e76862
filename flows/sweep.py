"""Sweep: retention, enforced without losing a byte."""

from prefect import flow

from coldchain.forms import SweepForm
from tasks import show, sweep_html
from tasks.sweeping import outcome, sweep_site


@flow(name="sweep", flow_run_name="sweep, dry run {form.dry_run}")
def sweep(form: SweepForm) -> str:
    """Plan what falls due, tell of it, check again, and remove what may go; report what stays and why.

    Args:
        form: Whether to remove, or only to report.
    """
    report = sweep_site(dry_run=form.dry_run)
    show.swept(report)
    show.copies()
    sweep_html.leave(report)
    return outcome(report)
