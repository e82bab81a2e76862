"""Check-out: somebody takes a disk or tape, or nobody finds it; what is on it does not count from that moment."""

from prefect import flow

from coldchain.forms import CheckOutForm
from tasks import media


@flow(name="check-out", flow_run_name="check out {form.location}")
def check_out(form: CheckOutForm) -> str:
    """Show what would be short of copies without a medium and, unless it is a dry run, write down who has it.

    Args:
        form: Which medium, and who has it.
    """
    short = media.show_short(form.location)
    said = media.check_out(form.location, form.holder, short, lost=form.lost, dry_run=form.dry_run)
    media.show_media()
    return said
