"""The doctor: looks at a site as the service's user would find it tonight, and says what is not as it should be."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from coldchain.cluster import ClusterKind
from coldchain.consent import terms_of
from coldchain.errors import ColdchainError
from coldchain.files import write_durably
from coldchain.location import Location, Protection
from coldchain.manifest import MANIFEST
from coldchain.policy import Approval
from coldchain.proposals import Answer, Proposal
from coldchain.protection import release
from coldchain.workspace import Workspace

LEAST_FREE = 0.05
CLOCK_S = 5.0
UNANSWERED_DAYS = 14
SEARCHED = 1000
"""Receipts that are looked through for the last sweep that was no dry run."""

SWEEP = "sweep"
"""Kind of the receipt that each sweep leaves."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    what: str
    ok: bool
    found: str
    hint: str = ""
    warning: bool = False
    """Nothing is broken, but a person ought to know."""


def examine(ws: Workspace) -> list[Finding]:
    """Look at each location, what waits for a person, the cluster's tools and the Prefect server."""
    findings = [finding for location in ws.site.locations for finding in _location(ws, location)]
    return [*findings, *_shared_devices(ws), *_brakes(ws), *_unanswered(ws), _cluster(ws), _server()]


def heartbeat(ws: Workspace, hours: float) -> Finding:
    """Whether a sweep that was no dry run ended within so many hours; one in the future is none."""
    now = ws.now()
    recent = [each for each in ws.catalogue.receipts(SWEEP, since=now - dt.timedelta(hours=hours)) if _is_real(each, now)]
    if recent:
        return Finding("heartbeat", True, f"the last sweep ended at {_when(recent[-1]):%Y-%m-%d %H:%M} UTC")
    last = next((each for each in reversed(ws.catalogue.receipts(SWEEP, limit=SEARCHED)) if _is_real(each, now)), None)
    ended = f"the last one ended at {_when(last):%Y-%m-%d %H:%M} UTC" if last else "none is known"
    return Finding(
        "heartbeat",
        False,
        f"no sweep ended in the last {hours:g} hours; {ended}",
        "are the Prefect server and the worker running, and is the schedule of nightly-sweep active?",
    )


def _is_real(receipt: Mapping[str, Any], now: dt.datetime) -> bool:
    """Whether a receipt is of a sweep that could remove something, in the past; unknown counts as no."""
    return receipt.get("dry_run") is False and _when(receipt) <= now


def _when(receipt: Mapping[str, Any]) -> dt.datetime:
    return dt.datetime.fromisoformat(receipt["at"])


def _shared_devices(ws: Workspace) -> Iterator[Finding]:
    """Warn of lasting places that are said to fail apart and stand on one device."""
    on: dict[int, list[Location]] = {}
    for name in sorted(ws.reachable()):
        if not (location := ws.site.location(name)).transient:
            on.setdefault(ws.site.path(location.root).stat().st_dev, []).append(location)
    for found in on.values():
        if len({location.domain for location in found}) > 1:
            yield Finding(
                f"{', '.join(location.name for location in found)}: failure domains",
                True,
                "said to fail apart, and stand on one device",
                "give them disks of their own, or one `domain`: until then they count apart and are lost together",
                warning=True,
            )


def _brakes(ws: Workspace) -> Iterator[Finding]:
    for name, why in ws.catalogue.brakes().items():
        yield Finding(f"{name}: audit", False, why, f"look at the mount and the disk, then `coldchain audit --release {name} --reason ...`")


def _unanswered(ws: Workspace) -> Iterator[Finding]:
    """Warn of notices that have waited for a person's yes for more than a fortnight."""
    for notice in ws.catalogue.notices(open_only=True):
        days = (ws.now() - notice.told_at).days
        if days >= UNANSWERED_DAYS and any(_waits(ws, proposal) for proposal in ws.catalogue.proposals(notice=notice.id)):
            yield Finding(
                f"notice {notice.id}",
                True,
                f"told {days} days ago, and waits for a person",
                f"`coldchain notices {notice.id}`, then `coldchain approve {notice.id}` or `coldchain refuse {notice.id}`",
                warning=True,
            )


def _waits(ws: Workspace, proposal: Proposal) -> bool:
    """Whether a removal waits for the yes of a person who has not answered."""
    copy = next((each for each in ws.catalogue.copies_page(proposal.copy - 1, 1) if each.id == proposal.copy), None)
    if proposal.answer is not Answer.NONE or copy is None or copy.location not in ws.site.by_name:
        return False
    artifact = ws.catalogue.artifact(copy.artifact)
    rule = ws.policy.rule(artifact.level, ws.catalogue.project(artifact.dataset.partition("/")[0]))
    return terms_of(ws.site.location(copy.location), rule, ws.policy, proposal.ground).approval is Approval.PERSON


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
