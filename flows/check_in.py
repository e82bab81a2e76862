"""Check-in: a disk or tape that is put in is about to go to its shelf, or stays put in."""

from prefect import flow

from coldchain.forms import CheckInForm
from tasks import media


@flow(name="check-in", flow_run_name="check in {form.location}")
def check_in(form: CheckInForm) -> str:
    """Look at the identity of what is put in, and write down where it goes; what is on it then counts until it has to be read again.

    Args:
        form: Which medium, and where it goes.
    """
    said = media.check_in(form.location, form.place)
    media.show_media()
    return said
