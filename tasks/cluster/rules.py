"""What may travel to a worker and what may stand in a job script: refused here, before anything is started."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from coldchain.cluster import Cluster, ClusterKind
from coldchain.errors import ConfigurationError, InputError

PLAIN = (str, int, float, bool, type(None))
SCRIPT_WORD = re.compile(r"[A-Za-z0-9_./:,=@+-]+")
CONSTRAINT = re.compile(r"[A-Za-z0-9_.,:&|*()\[\]-]+")
DIRECTIVE = re.compile(r"--(?P<name>[a-z][a-z0-9-]*)(=[A-Za-z0-9_./:,=@+%*\[\]-]+)?")
LOCAL_DISK = re.compile(r"(/|\$\{?[A-Z][A-Z0-9_]*\}?)([A-Za-z0-9_./+-]|\$[A-Z][A-Z0-9_]*(?=/|$)|\$\{[A-Z][A-Z0-9_]*\})*")
OWN_DIRECTIVES = frozenset(
    {
        *("account", "constraint", "cpus-per-task", "gres", "mem", "partition", "qos", "time"),  # the profile's own fields
        *(
            "array",
            "clusters",
            "error",
            "input",
            "job-name",
            "nodes",
            "ntasks",
            "output",
            "parsable",
            "requeue",
            "test-only",
            "wait",
            "wrap",
        ),
        *("chdir", "dependency", "gid", "hold", "no-requeue", "uid"),
    }
)
MEMORY = re.compile(r"\d+(\.\d+)?\s?([KMGT]i?)?B", re.IGNORECASE)
LONGEST_NAME = 60


def check_kernel(kernel: Callable[..., Any]) -> None:
    """Raise InputError unless `kernel` is a function that workers can import from the installed `coldchain` package.

    A LocalCluster copies our import path, so that a foreign function would work here and fail on a real cluster.
    """
    module, name = getattr(kernel, "__module__", None) or "", getattr(kernel, "__qualname__", "")
    ours = module.partition(".")[0] == "coldchain"
    if not ours or getattr(sys.modules.get(module), name, None) is not kernel:
        raise InputError(
            "this function cannot travel to cluster nodes",
            on=f"{module}.{name}" if name else repr(kernel),
            expected="a function at the top level of a module of the coldchain package",
            got=f"module {module or 'unknown'}",
            done="nothing was submitted",
            hint="move the kernel into coldchain/ and hand its parameters over in the items",
        )


def check_items(items: Sequence[Mapping[str, Any]]) -> None:
    """Raise InputError for an item that is not made of text, numbers, lists and dicts with text keys."""
    for index, item in enumerate(items):
        strange = _strange(item, f"items[{index}]") if isinstance(item, dict) else f"items[{index}]: {type(item).__name__}"
        if strange:
            raise InputError(
                "this value cannot travel to cluster nodes",
                on=strange,
                expected="text, numbers, true, false, none, and lists and dicts of them",
                done="nothing was submitted",
                hint="hand over paths as text and arrays as paths",
            )


def check_profile(spec: Cluster, scratch: Path) -> None:
    """Raise ConfigurationError for a cluster profile or a scratch that cannot be used as it is written."""
    if not scratch.is_absolute() or not scratch.is_dir():
        raise ConfigurationError("the cluster's scratch is no folder here", on=repr(str(scratch)), expected="an absolute, existing path")
    if not MEMORY.fullmatch(spec.memory):
        raise ConfigurationError("`memory` of the cluster profile is not a size", on=spec.memory, expected="a size such as 16GiB")
    if spec.local_disk is not None and not LOCAL_DISK.fullmatch(spec.local_disk):
        _refuse_word(
            "local_disk", spec.local_disk, "an absolute path, in which $NAME or ${NAME} stands for an environment variable of the node"
        )
    if spec.kind is ClusterKind.SLURM:
        for name, word in _script_words(spec, scratch).items():
            if not SCRIPT_WORD.fullmatch(word):
                _refuse_word(name, word, "letters, digits and _ . / : , = @ + - only")
        if spec.constraint is not None and not CONSTRAINT.fullmatch(spec.constraint):
            _refuse_word("constraint", spec.constraint, "features, joined by & | , and brackets")
        for directive in spec.directives:
            _check_directive(directive)
        _check_cards(spec)


def script_name(name: str) -> str:
    """Return `name` as it may stand in a job's name: anything but letters, digits, `_`, `.` and `-` becomes `-`."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name)[:LONGEST_NAME].strip("-") or "work"


def _script_words(spec: Cluster, scratch: Path) -> dict[str, str]:
    names = ("partition", "account", "qos", "gres", "walltime", "python", "interface")
    words = {name: getattr(spec, name) for name in names}
    return {"scratch": str(scratch)} | {name: word for name, word in words.items() if word is not None}


def _refuse_word(name: str, word: str, expected: str) -> NoReturn:
    raise ConfigurationError(
        f"`{name}` of the cluster profile cannot be written into a SLURM job script",
        on=repr(word),
        expected=expected,
        done="nothing was submitted",
    )


def _check_directive(directive: str) -> None:
    found = DIRECTIVE.fullmatch(directive)
    if found is None:
        _refuse_word("directives", directive, "--name or --name=value, without blanks and quotes")
    if any(own.startswith(found["name"]) for own in OWN_DIRECTIVES):  # sbatch knows an option by its first letters too
        _refuse_word(
            "directives", directive, f"an option that Coldchain does not set itself; `{found['name']}` it does, or the profile's fields do"
        )


def _check_cards(spec: Cluster) -> None:
    """Raise ConfigurationError where one worker would have several GPUs: TensorFlow takes one process a GPU."""
    cards = [resource.split(":") for resource in (spec.gres or "").split(",") if resource.partition(":")[0].removeprefix("gres/") == "gpu"]
    counts = [int(parts[-1]) if parts[-1].isdigit() else 1 for parts in cards]
    if spec.needs_gpu and sum(counts, 0) > 1:
        raise ConfigurationError(
            "a worker asks for several GPUs",
            on=f"gres: {spec.gres}",
            expected="one card a worker, as one process works on one card",
            done="nothing was submitted",
            hint="ask for gpu:1 and for more `workers`",
        )


def _strange(value: object, where: str) -> str | None:
    """Return where in `value` the first thing that is not plain stands, and its type."""
    if isinstance(value, dict):
        keys = [f"{where}: key of type {type(key).__name__}" for key in value if type(key) is not str]
        parts = [_strange(part, f"{where}[{key!r}]") for key, part in value.items()]
        return next((found for found in (*keys, *parts) if found), None)
    if isinstance(value, list | tuple):
        return next((found for i, part in enumerate(value) if (found := _strange(part, f"{where}[{i}]"))), None)
    return None if type(value) in PLAIN else f"{where}: {type(value).__name__}"
