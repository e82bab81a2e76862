"""What to do about a cluster at one look: a pure decision from what was seen and what the site allows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from coldchain.errors import ColdchainError, ComputeFailed, JobRefused
from tasks.cluster.jobs import Job

SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0


@dataclass(frozen=True)
class Limits:
    """What the site allows, in seconds and jobs."""

    start_timeout_s: float
    total_timeout_s: float
    max_lost_jobs: int


@dataclass(frozen=True)
class Sight:
    """What was seen at one look. Times are seconds since the cluster was opened."""

    now: float
    workers: int
    worker_last_seen: float
    jobs: Mapping[str, Job] = field(default_factory=dict)
    refusals: tuple[str, ...] = ()
    unanswered: str | None = None  # why SLURM's controller did not answer


@dataclass(frozen=True)
class Wait:
    """All is as it should be."""


@dataclass(frozen=True)
class Replace:
    """These jobs are over, and may be replaced."""

    lost: frozenset[str]


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
    over = tuple(id_ for id_, job in sight.jobs.items() if job.over)
    if sight.refusals:
        return _refused(sight)
    if len(over) > limits.max_lost_jobs:
        return _too_many_lost(sight, limits, over)
    if sight.now >= limits.total_timeout_s:
        return _out_of_time(sight, limits)
    if not sight.workers and sight.now - sight.worker_last_seen >= limits.start_timeout_s:
        return _no_worker(sight, limits)
    return Replace(frozenset(over)) if over else Wait()


def killed(item: object, sight: Sight) -> GiveUp:
    """Return why an item is given up whose worker died twice: most often it needs more memory than a worker has."""
    over = tuple(id_ for id_, job in sight.jobs.items() if job.over)
    states = {sight.jobs[id_].state for id_ in over}
    return GiveUp(
        ComputeFailed,
        "a worker died at this item, and so did the next one",
        expected="a result",
        got=f"two dead workers at item {repr(item)[:200]}{_said(sight)}",
        hint=_hint(states) if over else "raise `memory` in the cluster profile; read the workers' logs",
        jobs=over or tuple(sight.jobs),
    )


def pause(elapsed: float) -> float:
    """Return seconds until the next look: often at first, then rarely, so that SLURM's controller is not burdened."""
    return min(LONGEST_PAUSE_S, max(SHORTEST_PAUSE_S, elapsed / 20))


def _refused(sight: Sight) -> GiveUp:
    return GiveUp(
        JobRefused,
        "SLURM refused a worker job",
        expected=None,
        got=sight.refusals[0],
        hint="correct partition, account, gres, memory or walltime in the site's cluster profile",
    )


def _too_many_lost(sight: Sight, limits: Limits, over: tuple[str, ...]) -> GiveUp:
    return GiveUp(
        ComputeFailed,
        "too many SLURM jobs were lost",
        expected=f"at most {limits.max_lost_jobs} lost (`max_lost_jobs`)",
        got="; ".join(str(sight.jobs[id_]) for id_ in over),
        hint=_hint({sight.jobs[id_].state for id_ in over}),
        jobs=over,
    )


def _hint(states: set[str]) -> str:
    if "TIMEOUT" in states:
        return "raise `walltime` in the cluster profile, or hand the workers smaller items"
    if "OUT_OF_MEMORY" in states:
        return "raise `memory` in the cluster profile"
    return "read the workers' logs; a cancelled, preempted or failed node may be fine on the next attempt"


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
