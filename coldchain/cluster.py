"""What a site says about its cluster: values only, read from the site's YAML."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class ClusterKind(StrEnum):
    """Where workers run."""

    LOCAL = "local"
    SLURM = "slurm"


class ComputeStep(StrEnum):
    """What is computed item by item on workers: the steps that a profile may name."""

    SEGMENT = "segment"
    MEASURE = "measure"
    CROP = "crop"
    EMBED = "embed"


class Cause(StrEnum):
    """Why a worker's job was lost."""

    NODE = "node"
    PREEMPTED = "preempted"
    CANCELLED = "cancelled"
    WALLTIME = "walltime"
    OUT_OF_MEMORY = "out_of_memory"
    FAILED = "failed"
    SILENT = "silent"


class Resubmit(BaseModel):
    """How many lost jobs of one computation are replaced, by why they were lost."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    node: int = Field(4, ge=0, description="jobs lost with their node: it failed, went down or did not boot")
    preempted: int = Field(20, ge=0, description="jobs that made room for others")
    cancelled: int = Field(1, ge=0, description="jobs that a person cancelled")
    walltime: int = Field(20, ge=0, description="jobs that met their walltime and had finished items; one that finished none ends it")
    out_of_memory: int = Field(0, ge=0, description="jobs that needed more memory than they had asked for")
    failed: int = Field(1, ge=0, description="jobs that failed or ended by themselves")
    silent: int = Field(1, ge=0, description="jobs that run, but whose worker went away or never came; they are cancelled first")


class Cluster(BaseModel):
    """One cluster profile: how many workers, how large, and how long to wait for them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: ClusterKind = ClusterKind.LOCAL
    steps: tuple[ComputeStep, ...] = Field((), description="steps that run on this profile; what no profile names runs on `cluster`")
    workers: int = Field(2, ge=1, le=512, description="workers to start, at most")
    cores: int = Field(1, ge=1, description="threads of one worker")
    memory: str = Field("4GiB", description="memory of one worker, e.g. 16GiB")
    partition: str | None = Field(None, description="SLURM partition")
    account: str | None = Field(None, description="SLURM account")
    qos: str | None = Field(None, description="SLURM quality of service")
    constraint: str | None = Field(None, description="features that a node must have, e.g. a100|h100")
    gres: str | None = Field(None, description="SLURM generic resource, e.g. gpu:1")
    directives: tuple[str, ...] = Field((), description="more options of sbatch, e.g. --exclude=node7; none that Coldchain sets itself")
    walltime: str = Field("01:00:00", description="SLURM time limit of one worker job, HH:MM:SS")
    gpu: bool | None = Field(None, description="whether each worker must see a GPU; where not said, if `gres` asks for one")
    interface: str | None = Field(None, description="network interface through which workers and this host reach each other, e.g. ib0")
    scratch: str | None = Field(
        None, description="folder that every node sees, for tokens, keys, logs and spilled data; the scratch location's own where not given"
    )
    local_disk: str | None = Field(
        None, description="folder on a node's own disk for spilled data, e.g. $TMPDIR/coldchain; below `scratch` where not given"
    )
    python: str | None = Field(None, description="Python interpreter on the nodes; ours where not given")
    prologue: tuple[str, ...] = Field((), description="shell lines before the worker starts, e.g. module load")
    start_timeout_s: float = Field(120, gt=0, description="seconds to wait for a first worker")
    total_timeout_s: float = Field(6 * 3600, gt=0, description="seconds until the whole computation is given up")
    adopt_within_s: float = Field(
        300, ge=0, le=24 * 3600, description="seconds that jobs of a run which was killed wait for it to come back; then they end"
    )
    resubmit: Resubmit = Field(Resubmit(), description="how many lost jobs are replaced, by why they were lost")
    max_lost_jobs: int = Field(30, ge=0, description="jobs that may be lost and replaced before giving up, whatever the cause")

    @property
    def needs_gpu(self) -> bool:
        """Whether each worker must see a GPU."""
        asked = [resource.partition(":")[0].removeprefix("gres/") for resource in (self.gres or "").split(",")]
        return "gpu" in asked if self.gpu is None else self.gpu
