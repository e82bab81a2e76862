"""Backup: the copies that the policy misses are made, every night."""

from prefect import flow

from coldchain.forms import BackupForm
from tasks import show
from tasks.hand_over import deliver_wished
from tasks.keeping import short_datasets
from tasks.running import all_done, turn


@flow(name="backup", flow_run_name="backup")
def backup(form: BackupForm) -> str:
    """Make the missing copies of every dataset that has too few; one that cannot be copied leaves the others their turn.

    Args:
        form: How many datasets at most.
    """
    failed: dict[str, str] = {}
    short = short_datasets(form.most)
    made = 0
    for dataset in short:
        with turn(dataset, failed):
            made += len(deliver_wished(dataset))
    show.copies()
    return all_done("copies are missing still", failed, f"{made} copies were made of {len(short)} datasets that had too few")
