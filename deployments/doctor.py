"""The doctor: looks at a site as the service's user would find it tonight, and says what is not as it should be."""

from __future__ import annotations

import os
import shutil
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from coldchain.cluster import ClusterKind
from coldchain.errors import ColdchainError
from coldchain.files import write_durably
from coldchain.location import Location, Protection
from coldchain.manifest import MANIFEST
from coldchain.protection import release
from coldchain.workspace import Workspace

LEAST_FREE = 0.05
CLOCK_S = 5.0


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    what: str
    ok: bool
    found: str
    hint: str = ""


def examine(ws: Workspace) -> list[Finding]:
    """Look at each location, the cluster's tools and the Prefect server."""
    findings = [finding for location in ws.site.locations for finding in _location(ws, location)]
    return [*findings, _cluster(ws), _server()]


def _location(ws: Workspace, location: Location) -> Iterator[Finding]:
    identity = _looked(
        f"{location.name}: identity",
        lambda: f"{ws.store(location.name).identity()[:8]}, as registered",
        "mount it, or `coldchain doctor --register`",
    )
    yield identity
    if identity.ok:
        yield _space(ws, location)
        yield _looked(
            f"{location.name}: rights and clock",
            lambda: _written(ws, location),
            "give the service's user write rights; set the clocks by NTP",
        )
        yield _protection(ws, location)


def _looked(what: str, look: Callable[[], str], hint: str) -> Finding:
    try:
        return Finding(what, True, look())
    except (ColdchainError, OSError) as error:
        return Finding(what, False, str(error), hint)


def _space(ws: Workspace, location: Location) -> Finding:
    space = ws.store(location.name).capacity()
    share = space.free / max(space.total, 1)
    return Finding(
        f"{location.name}: space",
        share >= LEAST_FREE,
        f"{space.free / 1e9:.1f} of {space.total / 1e9:.1f} GB free",
        "" if share >= LEAST_FREE else "make room",
    )


def _written(ws: Workspace, location: Location) -> str:
    """Write a file, compare the file system's clock with ours, and remove it."""
    path = ws.store(location.name).local(f".coldchain/doctor-{uuid.uuid4().hex}")
    write_durably(path, b"coldchain\n")
    skew = path.stat().st_mtime - time.time()
    path.unlink()
    if abs(skew) > CLOCK_S:
        raise ColdchainError("the location's clock is not ours", expected=f"within {CLOCK_S:g} s", got=f"{skew:+.1f} s")
    return f"can write; clock differs by {abs(skew):.1f} s"


def _protection(ws: Workspace, location: Location) -> Finding:
    """Protect a folder of our own, try to break it, and lift the protection again."""
    what = f"{location.name}: write-protection"
    if location.protection is Protection.NONE:
        return Finding(what, True, "none asked for")
    path = f".coldchain/doctor-{uuid.uuid4().hex}"
    store = ws.store(location.name)
    folder = store.local(path)
    folder.mkdir()
    write_durably(folder / MANIFEST, b"")
    try:
        probe = store.protect(path)
    except ColdchainError as error:
        return Finding(what, False, str(error), "see docs/engineers.md, write-protection")
    finally:
        release(folder)
        store.delete(path)
    found = (
        f"{probe.method} in force" if probe.in_force else f"{probe.method} is not in force for this user: it could {', '.join(probe.holes)}"
    )
    return Finding(
        what, probe.in_force, found, "" if probe.in_force else "run the service as an ordinary user, or on ext4, XFS or Btrfs as root"
    )


def _cluster(ws: Workspace) -> Finding:
    if ws.site.cluster.kind is ClusterKind.LOCAL:
        return Finding("cluster", True, f"local, {ws.site.cluster.workers} workers on {os.cpu_count()} cores")
    missing = [tool for tool in ("sbatch", "squeue", "scancel") if shutil.which(tool) is None]
    return Finding(
        "cluster",
        not missing,
        f"missing: {', '.join(missing)}" if missing else "SLURM's commands are there",
        "install the SLURM client" if missing else "",
    )


def _server() -> Finding:
    address = os.environ.get("PREFECT_API_URL")
    if not address:
        return Finding("Prefect server", True, "none is named by PREFECT_API_URL; `coldchain ui` and `coldchain demo` start their own")
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=5) as answer:  # noqa: S310 - the address of the engineer's own server
            return Finding("Prefect server", answer.status == 200, f"{address} answers")
    except (urllib.error.URLError, OSError, ValueError) as error:
        return Finding("Prefect server", False, f"{address}: {error}", "start it; `coldchain ui` starts one for a site")
