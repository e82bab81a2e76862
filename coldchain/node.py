"""What travels to a cluster node beside the kernel: the check at its door, and what the node says of itself."""

from __future__ import annotations

import glob
import os
import platform
from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib import metadata
from itertools import takewhile
from pathlib import Path
from typing import Any

from coldchain.errors import ComputeFailed, ConfigurationError
from coldchain.finished import written

NO_CARDS = ("", "-1", "NoDevFiles")
"""What ends the list of CUDA_VISIBLE_DEVICES: CUDA's words, and SLURM's where a card has no device file."""

Kernel = Callable[[dict[str, Any]], dict[str, Any]]


def call(kernel: Kernel, item: dict[str, Any], passport: Mapping[str, str], noted: bool = False) -> dict[str, Any]:
    """Run one kernel on one item, in a process that was checked first; return its `result`, the `files` it wrote and the SLURM `job`.

    The check is made once for each process, so a worker that joins late or is restarted is checked like the first ones.
    The files are read back from the disk and hashed where the answer is to be `noted`. Raises what `admit` raises, and whatever
    the kernel raises, as it is.
    """
    admit(**passport)
    result = kernel(item)
    return {"result": result, "files": written(item, result) if noted else None, "job": os.environ.get("SLURM_JOB_ID", "")}


@lru_cache(maxsize=8)
def admit(version: str, token_file: str, token: str, gpu: str = "") -> str:
    """Check that this process has our version, sees the submitter's scratch and, where `gpu` says so, a GPU; return the node's name.

    Raises ConfigurationError for another version, ComputeFailed for a scratch that is not the same or a GPU that is not there.
    """
    if (found := installed_version()) != version:
        raise wrong_version(node_name(), version, found)
    seen = read_token(Path(token_file))
    if seen != token:
        raise ComputeFailed(
            "a node does not see the scratch of this run",
            on=node_name(),
            expected=f"the token of this run in {token_file}",
            got=seen or "no such file",
            done="no kernel was run on it",
            hint="mount the same scratch on the node, or take the node out of the partition",
        )
    if gpu and not visible_cards():
        raise _no_card()
    return node_name()


def wrong_version(node: str, expected: str, found: str) -> ConfigurationError:
    """Return the error for a node that has another version of Coldchain than this run."""
    return ConfigurationError(
        "a node has another version of coldchain",
        on=node,
        expected=expected,
        got=found,
        done="no kernel was run on it",
        hint="install the same wheel for the interpreter of the cluster profile's `python`",
    )


def visible_cards() -> list[str]:
    """Return the GPUs that this process may use: those CUDA_VISIBLE_DEVICES names, or all, if a device file can be opened.

    The device files are NVIDIA's, or those of the pattern in COLDCHAIN_GPU_DEVICES (another maker's, or a trial's). No library is
    asked: whether TensorFlow can use a card is seen when a kernel claims one.
    """
    devices = [path for path in sorted(glob.glob(_device_pattern())) if _opens(path)]  # noqa: PTH207  the pattern is absolute
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = [str(number) for number in range(len(devices))] if given is None else [name.strip() for name in given.split(",")]
    return list(takewhile(lambda name: name not in NO_CARDS, names)) if devices else []


def _device_pattern() -> str:
    return os.environ.get("COLDCHAIN_GPU_DEVICES") or "/dev/nvidia[0-9]*"


def _opens(device: str) -> bool:
    """Whether this process may use a device: a file that another job's limits keep away is there, and does not open."""
    try:
        os.close(os.open(device, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def _no_card() -> ComputeFailed:
    return ComputeFailed(
        "a node shows no GPU to this run",
        on=node_name(),
        expected=f"a device file {_device_pattern()} that opens, and a card in CUDA_VISIBLE_DEVICES where that is set",
        got=f"CUDA_VISIBLE_DEVICES={os.environ.get('CUDA_VISIBLE_DEVICES', 'not set')}",
        done="no kernel was run on it",
        hint="ask for a card (`gres: gpu:1`) in a partition that has some, look at the node's driver, or say `gpu: false` in the profile",
    )


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


def read_token(path: Path) -> str | None:
    """Return the token that stands in scratch, none where there is no such file."""
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
