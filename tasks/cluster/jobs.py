"""SLURM's words about jobs: reading squeue, and what each state means for a worker."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from coldchain.cluster import Cause

SQUEUE_FORMAT = "%i|%T|%N|%r"  # the reason last: it alone may hold a bar
NAMES_FORMAT = "%i|%T|%j"
CAUSES = {
    **dict.fromkeys(("NODE_FAIL", "BOOT_FAIL", "LAUNCH_FAILED"), Cause.NODE),
    **dict.fromkeys(("PREEMPTED", "REVOKED"), Cause.PREEMPTED),
    **dict.fromkeys(("TIMEOUT", "DEADLINE"), Cause.WALLTIME),
    "CANCELLED": Cause.CANCELLED,
    "OUT_OF_MEMORY": Cause.OUT_OF_MEMORY,
}
NO_CONTROLLER = ("unable to contact slurm controller", "socket timed out", "unable to connect", "zero bytes were transmitted")
OVER = frozenset(
    {
        *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "GONE"),
        *("LAUNCH_FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "REVOKED", "TIMEOUT"),
    }
)


@dataclass(frozen=True)
class Job:
    """One job as SLURM sees it now. `GONE` is ours: SLURM no longer remembers it."""

    id: str
    state: str
    reason: str = ""
    node: str = ""

    @property
    def over(self) -> bool:
        """Whether this job will never work again."""
        return self.state in OVER

    @property
    def cause(self) -> Cause:
        """Why a job that is over was lost; a worker never ends by itself, so that COMPLETED is a failure too."""
        return CAUSES.get(self.state, Cause.FAILED)

    def __str__(self) -> str:
        where = f" on {self.node}" if self.node else ""
        why = f" ({self.reason})" if self.reason not in ("", "None") else ""
        return f"job {self.id} {self.state}{why}{where}"


def parse_squeue(text: str, asked: Iterable[str]) -> dict[str, Job]:
    """Read `squeue --noheader --format='%i|%T|%N|%r'`; a job that was asked for and is not listed is `GONE`.

    Format letters: squeue(1), SLURM 22.05. Lines that are not of this format are passed over.
    """
    fields = [line.strip().split("|", 3) for line in text.splitlines()]
    listed = {f[0]: Job(f[0], f[1], reason=f[3], node=f[2]) for f in fields if len(f) == 4}
    return {job: listed.get(job, Job(job, "GONE")) for job in asked}


def parse_names(text: str) -> dict[str, str]:
    """Read `squeue --noheader --format='%i|%T|%j'`: the names of jobs that are not over, by id."""
    fields = [line.strip().split("|", 2) for line in text.splitlines()]
    return {f[0]: f[2] for f in fields if len(f) == 3 and f[1] not in OVER and f[1] != "COMPLETING"}


def worker_job(name: object) -> str:
    """Return the id of the job that a worker runs in, from the worker's name; empty where it has none."""
    number = str(name).rpartition("-")[2]
    return number if number.isdigit() else ""


def unanswered(words: str) -> bool:
    """Whether a command's complaint says that SLURM's controller did not answer, rather than that it refused."""
    return any(part in words.lower() for part in NO_CONTROLLER)


def merge(known: Mapping[str, Job], news: Mapping[str, Job]) -> dict[str, Job]:
    """Return what is known after `news`; a job's end is kept, since SLURM forgets it after some minutes."""
    return {**known, **{id_: job for id_, job in news.items() if not (id_ in known and known[id_].over)}}
