"""Stage: from the NAS to the cluster's scratch."""

from prefect import flow

from coldchain.forms import DatasetForm
from coldchain.levels import Level
from tasks import show
from tasks.hand_over import deliver
from tasks.workspace import open_workspace


@flow(name="stage", flow_run_name="stage {form.dataset}")
def stage(form: DatasetForm) -> str:
    """Bring a dataset's standard images to the cluster's scratch, verified, with a date on which they go again.

    Args:
        form: Which dataset.
    """
    copy = deliver(form.id, Level.STANDARD, open_workspace().site.roles.scratch)
    show.copies(form.id)
    return f"{copy.artifact} stands at {copy.location} until {copy.due_at:%Y-%m-%d %H:%M} UTC"
