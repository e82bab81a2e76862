"""Provenance: how an artifact was made, and the README that stands beside it."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import pwd
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution, distributions
from typing import TYPE_CHECKING, Any

from coldchain import __version__

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence

    from coldchain.copies import Artifact


@dataclass(frozen=True, slots=True)
class Activity:
    """One step that made artifacts from artifacts."""

    id: str
    name: str
    fingerprint: str
    inputs: tuple[str, ...]
    parameters: Mapping[str, Any]
    code_version: str
    lock_digest: str
    who: str
    started_at: dt.datetime
    ended_at: dt.datetime
    model: Mapping[str, Any] = field(default_factory=dict)
    hardware: Mapping[str, Any] = field(default_factory=dict)
    job: str = ""
    findings: Mapping[str, Any] = field(default_factory=dict)


def fingerprint(name: str, dataset: str, inputs: Sequence[str], parameters: Mapping[str, Any]) -> str:
    """Name a step by what it does: SHA-256 over its name, dataset, inputs and parameters.

    The same step on the same inputs has the same fingerprint, so that a second run finds what the first one made.
    """
    said = json.dumps([name, dataset, list(inputs), parameters], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(said.encode()).hexdigest()


def who() -> str:
    """User and host that run this, as far as the system tells."""
    try:
        user = pwd.getpwuid(os.getuid()).pw_name  # not what the environment says: anybody may set that
    except KeyError:
        user = f"uid {os.getuid()}"
    return f"{user}@{platform.node()}"


def hardware() -> dict[str, Any]:
    """This machine: host, processor count, architecture, system, Python."""
    return {
        "host": platform.node(),
        "cpus": os.cpu_count(),
        "machine": platform.machine(),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def code_version() -> str:
    """Version of Coldchain that is running."""
    return __version__


@cache
def build_digest() -> str:
    """SHA-256 over the names and digests of our own installed files, which tells builds of one version apart; of a checkout, nothing."""
    try:
        installed = distribution("coldchain").read_text("RECORD")
    except PackageNotFoundError:
        installed = None
    return hashlib.sha256(installed.encode()).hexdigest() if installed else ""


@cache
def lock_digest() -> str:
    """SHA-256 over the names and versions of all installed distributions: what really ran, whatever a lock file says."""
    installed = sorted({f"{each.name.lower()}=={each.version}" for each in distributions()})
    return hashlib.sha256("\n".join(installed).encode()).hexdigest()


def record(artifact: Artifact, activity: Activity) -> dict[str, Any]:
    """Machine-readable provenance of an artifact."""
    return {"artifact": asdict(artifact) | {"id": artifact.id}, "activity": asdict(activity)}


def to_json(artifact: Artifact, activity: Activity) -> bytes:
    """Provenance as JSON text."""
    return json.dumps(record(artifact, activity), indent=2, sort_keys=True, default=str).encode() + b"\n"


def readme(artifact: Artifact, activity: Activity) -> str:
    """README of an artifact, for a person who finds its folder in ten years."""
    rows = {
        "Dataset": artifact.dataset,
        "Level": artifact.level,
        "Artifact": artifact.digest,
        "Files": f"{artifact.files} ({artifact.bytes} bytes)",
        "Made by": f"{activity.name}, coldchain {activity.code_version} (lock {activity.lock_digest[:12]})",
        "Made for": activity.who,
        "Started": activity.started_at.isoformat(),
        "Ended": activity.ended_at.isoformat(),
        "From": ", ".join(activity.inputs) or "the instrument",
        "Parameters": json.dumps(activity.parameters, sort_keys=True, default=str),
        "Model": json.dumps(activity.model, sort_keys=True, default=str) if activity.model else "none",
        "Hardware": json.dumps(activity.hardware, sort_keys=True, default=str),
        "Job": activity.job or "none",
    }
    table = "\n".join(f"| {name} | {_cell(str(value))} |" for name, value in rows.items())
    return (
        f"# {artifact.dataset}: {artifact.level}\n\n| | |\n|---|---|\n{table}\n\n"
        "Check the files: `sha256sum -c MANIFEST.sha256` in the folder. The SHA-256 of `MANIFEST.sha256` is the artifact's name above.\n"
    )


def _cell(text: str) -> str:
    """Keep a value in one cell of a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|")
