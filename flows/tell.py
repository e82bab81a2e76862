"""Tell: people learn that a night's work did not happen, or failed."""

from prefect import flow

from tasks import telling
from tasks.telling import TellForm


@flow(name="tell", flow_run_name="tell: {form.what}")
def tell(form: TellForm) -> str:
    """Leave it where people look, and send it to those whom the site names.

    Args:
        form: What happened, and what to do about it.
    """
    telling.show(form)
    return telling.send(form)
