"""Promote: the gate before a release."""

from prefect import flow

from coldchain.forms import PromoteForm
from coldchain.gate import require_pass
from tasks import show
from tasks.release import make_release


@flow(name="promote", flow_run_name="promote {form.dataset}")
def promote(form: PromoteForm) -> str:
    """Validate the tables; only where they pass, put the release together.

    Args:
        form: Which dataset, and the release's version.
    """
    release, reports = make_release(form.id, form.version)
    show.gate(form.id, reports)
    for report in reports:
        require_pass(report, on=form.id)
    return show.ended(release)
