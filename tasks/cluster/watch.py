"""What to do about a cluster at one look: a pure decision from what was seen and what the site allows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from coldchain.cluster import Cause, Resubmit
from coldchain.errors import ColdchainError, ComputeFailed, JobRefused
from tasks.cluster.jobs import Job, unanswered

SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
WORKER_AWAY_S = 30.0
"""So long a worker that was there may be away before its job counts as lost: dask starts a worker that died again by itself."""

HINTS = {
    Cause.WALLTIME: "raise `walltime` in the cluster profile, or hand the workers smaller items",
    Cause.OUT_OF_MEMORY: "raise `memory` in the cluster profile",
    Cause.SILENT: "read the workers' logs; look at the network between this host and the nodes",
    Cause.NODE: "tell the cluster's administrators; the nodes may be fine on the next attempt, or be left out (`directives`: --exclude=)",
    Cause.PREEMPTED: "use a partition or `qos` that is not preempted, or raise `resubmit` in the cluster profile",
    Cause.CANCELLED: "ask who cancelled it; run it again, and what was finished is not computed again",
    Cause.FAILED: "read the workers' logs",
}
BLAMELESS = frozenset({Cause.NODE, Cause.PREEMPTED, Cause.CANCELLED, Cause.WALLTIME})


@dataclass(frozen=True)
class Limits:
    """What the site allows, in seconds and jobs."""

    start_timeout_s: float
    total_timeout_s: float
    max_lost_jobs: int
    resubmit: Resubmit = field(default_factory=Resubmit)


@dataclass(frozen=True)
class Sight:
    """What was seen at one look. Times are seconds since the cluster was opened.

    Attributes:
        alone: seconds for which a job has been running without a worker, by its id.
        joined: jobs whose worker was there once.
        silenced: jobs that were cancelled because their worker did not come back.
        finished: items that each job finished; one that was adopted, or whose worker had nothing to do, counts as one that finished some.
        unanswered: why SLURM's controller did not answer.
        gone: what the computation cannot do without and is not there any more.
    """

    now: float
    workers: int
    worker_last_seen: float
    jobs: Mapping[str, Job] = field(default_factory=dict)
    refusals: tuple[str, ...] = ()
    unanswered: str | None = None
    alone: Mapping[str, float] = field(default_factory=dict)
    joined: frozenset[str] = frozenset()
    silenced: frozenset[str] = frozenset()
    finished: Mapping[str, int] = field(default_factory=dict)
    gone: str | None = None


@dataclass(frozen=True)
class Wait:
    """All is as it should be."""


@dataclass(frozen=True)
class Replace:
    """These jobs are over, and may be replaced; the silent ones still run, and are to be cancelled."""

    lost: frozenset[str]
    silent: frozenset[str] = frozenset()


@dataclass(frozen=True)
class GiveUp:
    """The computation cannot go on; `jobs` are those whose logs tell more."""

    error: type[ColdchainError]
    what: str
    expected: str | None
    got: str
    hint: str
    jobs: tuple[str, ...] = ()


Decision = Wait | Replace | GiveUp


def decide(sight: Sight, limits: Limits) -> Decision:
    """Return what to do now: give up with the reason, replace what was lost, or wait."""
    if sight.gone:
        return _without(sight.gone, sight)
    if sight.refusals:
        return _refused(sight)
    lost = causes(sight, limits)
    if beyond := _beyond(sight, limits, lost):
        return beyond
    if sight.now >= limits.total_timeout_s:
        return _out_of_time(sight, limits)
    if not sight.workers and sight.now - sight.worker_last_seen >= limits.start_timeout_s:
        return _no_worker(sight, limits)
    silent = frozenset(id_ for id_ in lost if not sight.jobs[id_].over)
    return Replace(frozenset(lost) - silent, silent) if lost else Wait()


def causes(sight: Sight, limits: Limits) -> dict[str, Cause]:
    """Return why each job that is lost was lost: it is over, or it runs and its worker has been away for too long."""
    lost = {id_: Cause.SILENT if id_ in sight.silenced else job.cause for id_, job in sight.jobs.items() if job.over}
    waits = {id_: WORKER_AWAY_S if id_ in sight.joined else limits.start_timeout_s for id_ in sight.alone}
    silent = [id_ for id_, alone in sight.alone.items() if id_ not in lost and (alone >= waits[id_] or id_ in sight.silenced)]
    return lost | dict.fromkeys(silent, Cause.SILENT)


def blameless(job: Job) -> bool:
    """Whether a worker died with its job for a reason that has nothing to do with the item it worked on."""
    return job.over and job.cause in BLAMELESS


def killed(item: object, sight: Sight) -> GiveUp:
    """Return why an item is given up whose worker died twice: most often it needs more memory than a worker has."""
    over = tuple(id_ for id_, job in sight.jobs.items() if job.over)
    causes = {sight.jobs[id_].cause for id_ in over}
    return GiveUp(
        ComputeFailed,
        "a worker died at this item, and so did the next one",
        expected="a result",
        got=f"two dead workers at item {repr(item)[:200]}{_said(sight)}",
        hint=_hint(causes) if over else "raise `memory` in the cluster profile; read the workers' logs",
        jobs=over or tuple(sight.jobs),
    )


def pause(elapsed: float) -> float:
    """Return seconds until the next look: often at first, then rarely, so that SLURM's controller is not burdened."""
    return min(LONGEST_PAUSE_S, max(SHORTEST_PAUSE_S, elapsed / 20))


def _without(gone: str, sight: Sight) -> GiveUp:
    return GiveUp(
        ComputeFailed,
        "the computation cannot go on",
        expected=None,
        got=f"{gone}{_said(sight)}",
        hint="look at the mount of scratch and at this host, then run it again: what was finished is not computed again",
    )


def _refused(sight: Sight) -> GiveUp:
    words = sight.refusals[0]
    if unanswered(words):
        return GiveUp(
            ComputeFailed, "SLURM's controller does not answer", None, words, "is slurmctld running? The next attempt may go through"
        )
    return GiveUp(
        JobRefused,
        "SLURM refused a worker job",
        expected=None,
        got=words,
        hint="correct partition, account, qos, gres, memory or walltime in the site's cluster profile",
    )


def _beyond(sight: Sight, limits: Limits, lost: Mapping[str, Cause]) -> GiveUp | None:
    """Return the error where more was lost than the policy for resubmission allows, the first cause in its order."""
    fruitless = tuple(id_ for id_, cause in lost.items() if cause is Cause.WALLTIME and not sight.finished.get(id_))
    if fruitless:
        return _lost(sight, fruitless, "a job met its walltime and had finished no item", "an item within `walltime`", Cause.WALLTIME)
    for cause in Cause:
        jobs = tuple(id_ for id_, each in lost.items() if each is cause)
        if len(jobs) > (allowed := getattr(limits.resubmit, cause)):
            return _lost(
                sight, jobs, "too many SLURM jobs were lost", f"at most {allowed} lost (`resubmit: {{{cause}: {allowed}}}`)", cause
            )
    if len(lost) > limits.max_lost_jobs:
        expected = f"at most {limits.max_lost_jobs} lost (`max_lost_jobs`)"
        return _lost(sight, tuple(lost), "too many SLURM jobs were lost", expected, *set(lost.values()))
    return None


def _lost(sight: Sight, jobs: tuple[str, ...], what: str, expected: str, *causes: Cause) -> GiveUp:
    return GiveUp(ComputeFailed, what, expected, "; ".join(str(sight.jobs[id_]) for id_ in jobs), _hint(set(causes)), jobs)


def _hint(causes: set[Cause]) -> str:
    return next(hint for cause, hint in HINTS.items() if cause in causes)


def _out_of_time(sight: Sight, limits: Limits) -> GiveUp:
    return GiveUp(
        ComputeFailed,
        "the computation was given up: out of time",
        expected=f"done within {limits.total_timeout_s:g} s (`total_timeout_s`)",
        got=f"{sight.workers} workers still at work after {sight.now:.0f} s{_said(sight)}",
        hint="raise `total_timeout_s` or `workers` in the cluster profile",
        jobs=tuple(sight.jobs),
    )


def _no_worker(sight: Sight, limits: Limits) -> GiveUp:
    return GiveUp(
        ComputeFailed,
        "no worker answered",
        expected=f"a worker within {limits.start_timeout_s:g} s (`start_timeout_s`)",
        got=f"none for {sight.now - sight.worker_last_seen:.0f} s{_said(sight)}",
        hint="wait for room in the partition, ask for less, or raise `start_timeout_s` in the cluster profile",
        jobs=tuple(sight.jobs),
    )


def _said(sight: Sight) -> str:
    said = [*(str(job) for job in sight.jobs.values()), *([sight.unanswered] if sight.unanswered else [])]
    return "; " + "; ".join(said) if said else ""
