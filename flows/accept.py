"""Accept: a person's word that one failure that the gate found is no reason against a release."""

from prefect import flow

from coldchain.forms_retention import AcceptForm
from tasks import accepting, approving


@flow(name="accept", flow_run_name="accept {form.mark} of {form.dataset}")
def accept(form: AcceptForm) -> str:
    """Show what the gate found, establish who accepts, and accept one failure by its mark; `promote` then judges again.

    Args:
        form: Which failure of which dataset, why it is accepted, and who you are.
    """
    accepting.show_found(form.id)
    person = approving.identify(form.name, form.code)
    said = accepting.accept_failure(person, form.id, form.mark, form.reason)
    accepting.show_found(form.id)
    return said
