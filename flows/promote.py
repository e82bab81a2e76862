"""Promote: the gate before a release."""

from prefect import flow

from coldchain.forms import PromoteForm
from coldchain.gate import require_pass
from tasks import show
from tasks.imaging import check_images
from tasks.release import make_release


@flow(name="promote", flow_run_name="promote {form.dataset}")
def promote(form: PromoteForm) -> str:
    """See that the images are whole and validate the tables; only where both pass, put the release together.

    Args:
        form: Which dataset, and the release's version.
    """
    check_images(form.id)
    release, reports = make_release(form.id, form.version)
    show.gate(form.id, reports)
    for report in reports:
        require_pass(report, on=form.id)
    return show.ended(release)
