"""Migrate: a location that is to be retired is emptied; what stands there goes only after it counts elsewhere."""

from prefect import flow

from coldchain.forms import MigrateForm
from tasks.hand_over import deliver_wished
from tasks.keeping import datasets_at, show_left
from tasks.running import all_done, turn


@flow(name="migrate", flow_run_name="migrate {form.location}")
def migrate(form: MigrateForm) -> str:
    """Bring what stands at a location that is to be emptied elsewhere; the nightly sweep takes it away there once somebody agreed.

    Args:
        form: Which location.
    """
    failed: dict[str, str] = {}
    for dataset in datasets_at(form.location) if not form.dry_run else ():
        with turn(dataset, failed):
            deliver_wished(dataset)
    return all_done(f"not all of {form.location} stands elsewhere", failed, show_left(form.location))
