"""Approve: a person's yes or no to what a notice tells of."""

from prefect import flow

from coldchain.forms_retention import ApproveForm
from tasks import approving


@flow(name="approve", flow_run_name="notice {form.notice}: {form.answer}")
def approve(form: ApproveForm) -> str:
    """Show a notice, establish who answers, and answer; nothing goes before the notice period is over.

    Args:
        form: Which notice, what you say to it, and who you are.
    """
    approving.show_notice(form.notice, form.datasets)
    person = approving.identify(form.name, form.code)
    said = approving.answer_notice(person, form.notice, form.answer, form.datasets, form.note)
    approving.answered_notice(form.notice, form.datasets)
    return said
