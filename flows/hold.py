"""Hold: a person's "not yet"."""

from prefect import flow

from coldchain.forms_retention import HoldForm
from tasks import approving


@flow(name="hold", flow_run_name="hold {form.dataset} for {form.days} days")
def hold(form: HoldForm) -> str:
    """Keep all of a dataset for some days, whatever the policy says; again prolongs it.

    Args:
        form: Which dataset, for how long, and why.
    """
    return approving.hold_dataset(form.id, form.days, form.reason, form.name)
