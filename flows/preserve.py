"""Preserve: the copies that outlive a disaster."""

from prefect import flow

from coldchain.forms import DatasetForm
from tasks import show
from tasks.describing import preserved
from tasks.hand_over import deliver, deliver_wished
from tasks.workspace import open_workspace


@flow(name="preserve", flow_run_name="preserve {form.dataset}")
def preserve(form: DatasetForm) -> str:
    """Copy raw data and the release to the cold archive and to the backup location, and whatever else the policy misses, verified.

    Args:
        form: Which dataset.
    """
    roles = open_workspace().site.roles
    copies = [deliver(form.id, level, place) for level in preserved(form.id) for place in (roles.cold, roles.backup)]
    more = deliver_wished(form.id)
    show.copies(form.id)
    also = f"; {len(more)} more were made, as the policy asks" if more else ""
    return f"{len(copies)} copies stand at {roles.cold} and {roles.backup}{also}"
