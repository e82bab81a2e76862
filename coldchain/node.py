"""What travels to a cluster node beside the kernel: the check at its door, and what the node says of itself."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from coldchain.errors import ComputeFailed, ConfigurationError

Kernel = Callable[[dict[str, Any]], dict[str, Any]]


def call(kernel: Kernel, item: dict[str, Any], passport: Mapping[str, str]) -> dict[str, Any]:
    """Run one kernel on one item, in a process that was checked first.

    The check is made once for each process, so a worker that joins late or is restarted is checked like the first ones.
    Raises what `admit` raises, and whatever the kernel raises, as it is.
    """
    admit(**passport)
    return kernel(item)


@lru_cache(maxsize=8)
def admit(version: str, token_file: str, token: str) -> str:
    """Check that this process has our version and sees the submitter's scratch; return the node's name.

    Raises ConfigurationError for another version and ComputeFailed for a scratch that is not the same.
    """
    found = installed_version()
    if found != version:
        raise ConfigurationError(
            "a node has another version of coldchain",
            on=node_name(),
            expected=version,
            got=found,
            done="no kernel was run on it",
            hint="install the same wheel for the interpreter of the cluster profile's `python`",
        )
    seen = _read_token(Path(token_file))
    if seen != token:
        raise ComputeFailed(
            "a node does not see the scratch of this run",
            on=node_name(),
            expected=f"the token of this run in {token_file}",
            got=seen or "no such file",
            done="no kernel was run on it",
            hint="mount the same scratch on the node, or take the node out of the partition",
        )
    return node_name()


def installed_version() -> str:
    """Return the version of the coldchain distribution that this process would import, `0+checkout` where none is installed."""
    try:
        return metadata.version("coldchain")
    except metadata.PackageNotFoundError:
        return "0+checkout"


def node_name() -> str:
    """Return the name SLURM gives to this node, or the host's name."""
    return os.environ.get("SLURMD_NODENAME") or platform.node()


def describe() -> dict[str, Any]:
    """Return what provenance records of the machine a worker runs on: plain values, memory in bytes."""
    return {
        "node": node_name(),
        "cpu": _cpu_model(Path("/proc/cpuinfo")),
        "cores": os.cpu_count() or 1,
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "gpus": _gpu_names(Path("/proc/driver/nvidia/gpus")),
        "gpus_visible": os.environ.get("CUDA_VISIBLE_DEVICES", ""),
        "slurm_job_id": os.environ.get("SLURM_JOB_ID", ""),
        "python": platform.python_version(),
        "system": platform.platform(),
        "coldchain": installed_version(),
    }


def _read_token(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return None


def _cpu_model(cpuinfo: Path) -> str:
    names = _values(cpuinfo, "model name")
    return names[0] if names else platform.machine()


def _gpu_names(folder: Path) -> list[str]:
    return [name for card in sorted(folder.glob("*/information")) for name in _values(card, "Model")]


def _values(path: Path, key: str) -> list[str]:
    """Return the values of `key : value` lines, as the files of /proc have them; none where the file is missing."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    pairs = [line.partition(":") for line in lines]
    return [value.strip() for name, _, value in pairs if name.strip() == key]
