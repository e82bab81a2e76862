"""Archive: from scratch to the NAS."""

from prefect import flow

from coldchain.forms import DatasetForm
from coldchain.lifecycle import ARCHIVED
from tasks import show
from tasks.hand_over import deliver
from tasks.workspace import open_workspace


@flow(name="archive", flow_run_name="archive {form.dataset}")
def archive(form: DatasetForm) -> str:
    """Copy masks, profiles and the release from scratch to the NAS, verified, each with its README and provenance.

    Args:
        form: Which dataset.
    """
    nas = open_workspace().site.roles.nas
    copies = [deliver(form.id, level, nas) for level in ARCHIVED]
    show.copies(form.id)
    return f"{len(copies)} levels stand at {nas}"
