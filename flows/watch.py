"""Watch: acquisitions that are finished leave the microscope's computer by themselves."""

from prefect import flow

from coldchain.forms import IngestForm, WatchForm
from flows.ingest import ingest
from tasks import watching


@flow(name="watch")
def watch(form: WatchForm) -> str:
    """Look at every acquisition folder, and take in those that are finished; one that cannot be taken leaves the others their turn.

    Args:
        form: How many to take in at most.
    """
    outcomes = []
    for ready in watching.look_around()[: form.most]:
        with watching.noting(ready, outcomes):
            ingest(IngestForm(**watching.names_of(ready)))
    watching.show_inbox()
    watching.tell_operator()
    return watching.ended(outcomes)
