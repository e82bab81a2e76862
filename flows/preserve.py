"""Preserve: the copies that outlive a disaster."""

from prefect import flow

from coldchain.forms import DatasetForm
from coldchain.lifecycle import PRESERVED
from tasks import show
from tasks.hand_over import deliver
from tasks.workspace import open_workspace


@flow(name="preserve", flow_run_name="preserve {form.dataset}")
def preserve(form: DatasetForm) -> str:
    """Copy raw data and the release to the cold archive and to the backup location, verified.

    Args:
        form: Which dataset.
    """
    roles = open_workspace().site.roles
    copies = [deliver(form.id, level, place) for level in PRESERVED for place in (roles.cold, roles.backup)]
    show.copies(form.id)
    return f"{len(copies)} copies stand at {roles.cold} and {roles.backup}"
