"""The doctor: looks at a site as the service's user would find it tonight, and says what is not as it should be."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coldchain import shelving
from coldchain.cluster import Cluster, ClusterKind
from coldchain.consent import terms_of
from coldchain.errors import ColdchainError
from coldchain.files import no_progress
from coldchain.location import Location
from coldchain.media import State
from coldchain.node import visible_cards
from coldchain.policy import Approval
from coldchain.proposals import Answer, Proposal
from coldchain.protection import release
from coldchain.shelving import Looked
from coldchain.store import TRASH, Probe, Protection, Store
from coldchain.workspace import Workspace
from tasks.cluster.rules import check_profile

LEAST_FREE = 0.05
CLOCK_S = 5.0
TRIAL = dt.timedelta(seconds=10)
"""So long the doctor's own folder is protected, where a protection has an end."""

UNANSWERED_DAYS = 14
SEARCHED = 1000
"""Receipts that are looked through."""

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
    media = {each.location: each for each in shelving.look(ws)}
    findings = [finding for location in ws.site.locations for finding in _location(ws, location, media.get(location.name))]
    return [*findings, *_shared_devices(ws), *_brakes(ws), *_unanswered(ws), _receipts(ws), *_clusters(ws), _server()]


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
        if (location := ws.site.location(name)).mounted and not location.transient:
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


def _receipts(ws: Workspace) -> Finding:
    """Whether the newest receipts are what was written, and follow one another."""
    if broken := ws.catalogue.broken_receipts(SEARCHED):
        named = ", ".join(map(str, broken[:5]))
        return Finding("receipts", False, f"changed, or one before them is missing: {named}", "compare the database with its last backup")
    return Finding("receipts", True, f"the newest {SEARCHED} are what was written")


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


def _medium(found: Looked, now: dt.datetime) -> Finding:
    """A medium that is not put in: on its shelf all is well; people hear of one that has to be brought, and of one that is gone."""
    what, where, name = f"{found.location}: medium", str(found.where), found.location
    until = f"; copies on it count until {found.counts_until:%Y-%m-%d}" if found.counts_until and not found.where.gone else ""
    if found.where.state is State.IN:
        return Finding(what, False, f"{where}: no copy on it counts", f"put it in, or `coldchain medium {name} --out --holder ...`")
    if found.where.gone:
        back = f"when it is back: put it in, and `coldchain medium {name} --in`"
        return Finding(what, True, f"{where}: no copy on it counts", back, warning=True)
    if found.wanted(now):
        hint = f"bring {name} ({found.label}) from {found.where.place} and put it in: the nightly audit reads it"
        return Finding(what, True, where + until, hint, warning=True)
    return Finding(what, True, where + until)


def _location(ws: Workspace, location: Location, medium: Looked | None = None) -> Iterator[Finding]:
    if medium is not None and not medium.here and not medium.other:
        yield _medium(medium, ws.now())
        return
    if medium is not None and medium.where.gone:
        yield Finding(
            f"{location.name}: medium",
            True,
            f"put in, and {medium.where}: no copy on it counts",
            f"`coldchain medium {location.name} --in`",
            warning=True,
        )
    identity = _looked(
        f"{location.name}: identity",
        lambda: f"{ws.store(location.name).identity()[:8]}, as registered",
        "put it in: its root is a mount point; then `coldchain doctor --register`"
        if location.removable and medium is None
        else "mount it, or `coldchain doctor --register`",
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
    """Write something and remove it, and compare the location's clock with ours."""
    skew = ws.store(location.name).clock().timestamp() - time.time()
    if abs(skew) > CLOCK_S:
        raise ColdchainError("the location's clock is not ours", expected=f"within {CLOCK_S:g} s", got=f"{skew:+.1f} s")
    return f"can write; clock differs by {abs(skew):.1f} s"


def _protection(ws: Workspace, location: Location) -> Finding:
    """Protect a folder of our own, try to break it, and lift the protection again."""
    what = f"{location.name}: write-protection"
    if location.protection is Protection.NONE:
        return Finding(what, True, "none asked for")
    store = ws.store(location.name)
    try:
        probe = _tried(store)
    except ColdchainError as error:
        return Finding(what, False, str(error), "see docs/engineers.md, write-protection")
    found = (
        f"{probe.method} in force" if probe.in_force else f"{probe.method} is not in force for this user: it could {', '.join(probe.holes)}"
    )
    return Finding(
        what, probe.in_force, found, "" if probe.in_force else "run the service as an ordinary user, or on ext4, XFS or Btrfs as root"
    )


def _tried(store: Store) -> Probe:
    """Protect a folder of our own in the trash, and remove it as a sweep would: a user who may not do that cannot sweep."""
    path = f"{TRASH}doctor-{uuid.uuid4().hex}"
    with tempfile.TemporaryDirectory(prefix="coldchain-") as empty:
        store.write_manifest(path, store.put(Path(empty), path, [], no_progress))
    try:
        probe = store.protect(path, dt.datetime.now(dt.UTC) + TRIAL)
    except ColdchainError:
        with suppress(ColdchainError):  # the first failure is what people need to hear
            _tidied(store, path)
        raise
    _tidied(store, path)
    return probe


def _tidied(store: Store, path: str) -> None:
    """Remove our own folder; where its protection cannot be lifted as a sweep would, the folder goes nevertheless."""
    if store.location.protection is Protection.OBJECT_LOCK:
        time.sleep(TRIAL.total_seconds() + 1)  # nobody lifts it: it ends
    try:
        store.destroy(path)
    except ColdchainError:
        if store.mounted:
            release(store.local(path))
            store.delete(path)
        raise


def _clusters(ws: Workspace) -> list[Finding]:
    return [_cluster(ws, name, profile) for name, profile in ws.site.profiles.items()]


def _cluster(ws: Workspace, name: str, profile: Cluster) -> Finding:
    """Look at a cluster profile: whether its words can be used, SLURM's commands are here, and this host has the GPU it needs."""
    what = "cluster" if name == "cluster" else f"cluster profile {name}"
    runs = ", ".join(profile.steps) or "whatever no profile names"
    try:
        check_profile(profile, Path(profile.scratch or ws.site.path(ws.site.location(ws.site.roles.scratch).root)).absolute())
    except ColdchainError as error:
        return Finding(what, False, str(error), error.hint or "")
    if profile.kind is ClusterKind.LOCAL:
        cards = visible_cards() if profile.needs_gpu else []
        seen = f", {len(cards)} GPUs" if profile.needs_gpu else ""
        found = f"local, {profile.workers} workers on {os.cpu_count()} cores{seen}: {runs}"
        return Finding(what, bool(cards) or not profile.needs_gpu, found, "" if cards or not profile.needs_gpu else "no GPU is seen here")
    if missing := [tool for tool in ("sbatch", "squeue", "scancel") if shutil.which(tool) is None]:
        return Finding(what, False, f"missing: {', '.join(missing)}", "install the SLURM client")
    return Finding(what, True, f"SLURM's commands are there, {profile.workers} workers{_asks(profile)}: {runs}")


def _asks(profile: Cluster) -> str:
    words = {"partition": profile.partition, "account": profile.account, "qos": profile.qos, "gres": profile.gres}
    return "".join(f", {name} {word}" for name, word in words.items() if word)


def _server() -> Finding:
    address = os.environ.get("PREFECT_API_URL")
    if not address:
        return Finding("Prefect server", True, "none is named by PREFECT_API_URL; `coldchain ui` and `coldchain demo` start their own")
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=5) as answer:  # noqa: S310 - the address of the engineer's own server
            return Finding("Prefect server", answer.status == 200, f"{address} answers")
    except (urllib.error.URLError, OSError, ValueError) as error:
        return Finding("Prefect server", False, f"{address}: {error}", "start it; `coldchain ui` starts one for a site")
