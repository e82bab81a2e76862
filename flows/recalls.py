"""Recalls: what archives were asked for is brought when it has come."""

from prefect import flow

from coldchain.forms import RecallsForm
from tasks import recalling


@flow(name="recalls", flow_run_name="recalls")
def recalls(form: RecallsForm) -> str:  # noqa: ARG001 - every flow has a form
    """Look at every recall that waits, and bring what can be read by now.

    Args:
        form: Nothing.
    """
    found = recalling.go_on()
    recalling.show()
    return recalling.ended(found)
