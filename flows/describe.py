"""Describe: a person says which dataset an acquisition folder is."""

from prefect import flow

from coldchain.forms import DescribeForm
from tasks import describing, watching


@flow(name="describe", flow_run_name="describe {form.folder} as {form.dataset}")
def describe(form: DescribeForm) -> str:
    """Write down which dataset an acquisition folder is, instead of a dataset.yaml beside it; the next watch takes it in.

    Args:
        form: The folder, and what it is.
    """
    said = describing.describe_by_hand(form)
    watching.show_inbox()
    return said
