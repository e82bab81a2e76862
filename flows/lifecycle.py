"""Lifecycle: a dataset's whole life, one transition after another."""

from collections.abc import Callable, Mapping

from prefect import flow

from coldchain.forms import DatasetForm, IngestForm, LifecycleForm, ProfileForm, PromoteForm, SegmentForm, SweepForm
from coldchain.lifecycle import Transition, each_needed
from flows.archive import archive
from flows.correct import correct
from flows.ingest import ingest
from flows.preserve import preserve
from flows.profile import profile
from flows.promote import promote
from flows.segment import segment
from flows.stage import stage
from flows.sweep import sweep
from tasks.describing import dataset_state
from tasks.running import say


def _which(form: LifecycleForm) -> dict[str, str]:
    return {"project": form.project, "dataset": form.dataset}


STEPS: Mapping[Transition, Callable[[LifecycleForm], str]] = {
    Transition.INGEST: lambda form: ingest(IngestForm(**_which(form))),
    Transition.STAGE: lambda form: stage(DatasetForm(**_which(form))),
    Transition.CORRECT: lambda form: correct(DatasetForm(**_which(form))),
    Transition.SEGMENT: lambda form: segment(SegmentForm(**form.model_dump(exclude={"dry_run"}))),
    Transition.PROFILE: lambda form: profile(ProfileForm(**_which(form))),
    Transition.PROMOTE: lambda form: promote(PromoteForm(**_which(form))),
    Transition.ARCHIVE: lambda form: archive(DatasetForm(**_which(form))),
    Transition.PRESERVE: lambda form: preserve(DatasetForm(**_which(form))),
    Transition.SWEEP: lambda form: sweep(SweepForm(dry_run=form.dry_run)),
}


@flow(name="lifecycle", flow_run_name="lifecycle {form.dataset}")
def lifecycle(form: LifecycleForm) -> str:
    """Move a dataset through every transition that it still needs; a second run does nothing.

    Args:
        form: Which dataset, how to segment it, and whether the sweep at the end removes.
    """
    done = []
    for transition, why in each_needed(lambda: dataset_state(form.id)):
        say(f"{transition} of {form.id}: {why}")
        STEPS[transition](form)
        done.append(str(transition))
    return f"{form.id}: {', '.join(done) or 'nothing to do, every transition is done'}"
