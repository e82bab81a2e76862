"""What a site says about its cluster: values only, read from the site's YAML."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class ClusterKind(StrEnum):
    """Where workers run."""

    LOCAL = "local"
    SLURM = "slurm"


class Cluster(BaseModel):
    """One cluster profile: how many workers, how large, and how long to wait for them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: ClusterKind = ClusterKind.LOCAL
    workers: int = Field(2, ge=1, le=512, description="workers to start, at most")
    cores: int = Field(1, ge=1, description="threads of one worker")
    memory: str = Field("4GiB", description="memory of one worker, e.g. 16GiB")
    partition: str | None = Field(None, description="SLURM partition")
    account: str | None = Field(None, description="SLURM account")
    gres: str | None = Field(None, description="SLURM generic resource, e.g. gpu:1")
    walltime: str = Field("01:00:00", description="SLURM time limit of one worker job, HH:MM:SS")
    python: str | None = Field(None, description="Python interpreter on the nodes; ours where not given")
    prologue: tuple[str, ...] = Field((), description="shell lines before the worker starts, e.g. module load")
    start_timeout_s: float = Field(120, gt=0, description="seconds to wait for a first worker")
    total_timeout_s: float = Field(6 * 3600, gt=0, description="seconds until the whole computation is given up")
    max_lost_jobs: int = Field(1, ge=0, description="jobs that may be lost and replaced before giving up")
