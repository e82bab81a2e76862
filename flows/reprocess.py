"""Reprocess: a new model, other parameters or newer code make new artifacts beside the old ones."""

from prefect import flow

from coldchain.forms_reprocess import ReprocessForm
from tasks import comparing, reprocessing
from tasks.running import all_done, turn


@flow(name="reprocess", flow_run_name="reprocess {form.project} from {form.start}, dry run {form.dry_run}")
def reprocess(form: ReprocessForm) -> str:
    """Show what would be made and what it costs; then make it, beside what stays current, and hold old against new.

    Args:
        form: Which datasets, from which step on, with which model or parameters, and whether to make it.
    """
    plans = reprocessing.plan_all(form)
    failed: dict[str, str] = {}
    for plan in reprocessing.to_make(plans, form):
        with turn(plan.dataset, failed):
            comparing.compare(reprocessing.make_beside(plan, form))
    return all_done(f"not all of {form.project} was made anew", failed, reprocessing.summed(plans))
