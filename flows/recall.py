"""Recall: from the cold archive to a place where programs work."""

from prefect import flow

from coldchain.forms import RecallForm
from tasks import recalling


@flow(name="recall", flow_run_name="recall {form.dataset}")
def recall(form: RecallForm) -> str:
    """Bring a level of a dataset back, at once where a copy can be read; else ask its archive, and leave the waiting to `recalls`.

    Args:
        form: Which level, and where it is wanted.
    """
    asked = recalling.ask(form)
    recalling.show()
    return recalling.ended([asked])
