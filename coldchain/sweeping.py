"""The sweep: read back what is due, plan, recheck under leases, trash, delete, receipt.

`coldchain.retention` decides; nothing here removes what a plan made in that very moment does not name.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from coldchain import files, provenance, retention, transfer
from coldchain.copies import Copy, CopyState
from coldchain.errors import ColdchainError, LeaseTaken
from coldchain.holds import Use
from coldchain.retention import Action, Decision, Ledger, Plan

if TYPE_CHECKING:
    from coldchain.copies import Artifact
    from coldchain.workspace import Workspace

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Line:
    """One copy in a report."""

    artifact: str
    location: str
    bytes: int
    reasons: tuple[str, ...]


@dataclass
class Report:
    """What a sweep did, or would do, and why."""

    at: dt.datetime
    dry_run: bool
    policy: str
    read_back: int = 0
    removed: list[Line] = field(default_factory=list)
    asked: list[Line] = field(default_factory=list)
    kept: list[Line] = field(default_factory=list)
    dropped: list[Line] = field(default_factory=list)
    damaged: list[Line] = field(default_factory=list)
    shortfalls: dict[str, tuple[str, ...]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    receipt: str | None = None

    @property
    def bytes_removed(self) -> int:
        """Space won, in bytes."""
        return sum(line.bytes for line in self.removed)


def sweep(ws: Workspace, *, dry_run: bool, tell: Tell = lambda _line: None) -> Report:
    """Purge what the policy lets go from scratch; a dry run reads back and reports, and removes nothing."""
    read: set[int] = set()
    before = ws.ledger()
    due = _due_for_reading(ws, before)
    for copy in due:
        tell(f"reading back {copy.artifact[:60]} at {copy.location}")
        _read(ws, before.artifacts[copy.artifact], copy, read)
    ledger = ws.ledger()
    plan = retention.plan(ledger, ws.policy, ws.now())
    report = Report(ws.now(), dry_run, f"{ws.policy.name} v{ws.policy.version}", read_back=len(due), shortfalls=dict(plan.shortfalls), warnings=plan.warnings)
    report.asked = _lines(ledger, plan.of(Action.ASK))
    if dry_run:
        report.removed = _lines(ledger, plan.of(Action.REMOVE, Action.DELETE))
    else:
        _execute(ws, ledger, plan, read, report, tell)
    after = ws.ledger()
    final = retention.plan(after, ws.policy, ws.now())
    report.kept = _lines(after, [each for each in final.of(Action.KEEP) if after.locations[_copy(after, each).location].transient])
    report.damaged = [_line(after, copy, (copy.detail,)) for copy in after.copies if copy.state in {CopyState.SUSPECT, CopyState.LOST}]
    return report


def _due_for_reading(ws: Workspace, ledger: Ledger) -> list[Copy]:
    """Copies that count and whose last reading is older than the policy's audit age, the oldest first."""
    limit = ws.now() - dt.timedelta(days=ws.policy.audit_after_days)
    found = [copy for copy in ledger.copies if copy.state is CopyState.VERIFIED and copy.location in ledger.reachable and not ledger.locations[copy.location].transient]
    return sorted((copy for copy in found if copy.verified_at is None or copy.verified_at <= limit), key=lambda copy: (str(copy.verified_at), copy.id))


def _read(ws: Workspace, artifact: Artifact, copy: Copy, read: set[int]) -> bool:
    """Read a copy back once a sweep; one that does not match is suspect from then on."""
    if copy.id in read:
        return True
    try:
        wrong = transfer.mismatches(ws.store(copy.location), artifact, copy, files.no_progress)
    except ColdchainError as error:  # unreadable is not verified; the reason goes to the report, the bytes stay
        ws.catalogue.change_copy(copy.id, state=CopyState.SUSPECT, detail=f"could not be read back: {error}")
        return False
    if wrong:
        transfer.mark_suspect(ws, copy, wrong)
        return False
    ws.catalogue.change_copy(copy.id, verified_at=ws.now())
    read.add(copy.id)
    return True


def _execute(ws: Workspace, ledger: Ledger, plan: Plan, read: set[int], report: Report, tell: Tell) -> None:
    with ExitStack() as leases:
        candidates = _leased(ws, ledger, plan.of(Action.REMOVE), leases, report)
        holders = frozenset(candidates)
        if ws.policy.read_back_before_removal:
            _read_survivors(ws, ledger, candidates.values(), read)
        fresh_ledger = ws.ledger(ours=holders)
        fresh = {decision.copy: decision for decision in retention.plan(fresh_ledger, ws.policy, ws.now()).decisions}
        for decision in candidates.values():
            now = fresh.get(decision.copy)
            copy = _copy(ledger, decision)
            if now is None or now.action is not Action.REMOVE:
                report.dropped.append(_line(ledger, copy, now.reasons if now else ("it is gone",)))
                continue
            tell(f"trash {copy.artifact[:60]} at {copy.location}")
            _trash(ws, copy, now)
    _empty_trash(ws, report, tell)


def _leased(ws: Workspace, ledger: Ledger, decisions: Sequence[Decision], leases: ExitStack, report: Report) -> dict[str, Decision]:
    """Take each artifact for ourselves; one that a run is using drops out with its reason."""
    taken: dict[str, Decision] = {}
    for decision in decisions:
        copy = _copy(ledger, decision)
        try:
            holder = leases.enter_context(ws.catalogue.lease([copy.artifact], Use.ALONE, ws.now()))
        except LeaseTaken as error:
            report.dropped.append(_line(ledger, copy, (str(error),)))
        else:
            taken[holder] = decision
    return taken


def _read_survivors(ws: Workspace, ledger: Ledger, decisions: Iterable[Decision], read: set[int]) -> None:
    """Read back each copy that a removal leans on."""
    copies = {copy.id: copy for copy in ledger.copies}
    for key in sorted({key for decision in decisions for key in decision.leans_on}):
        _read(ws, ledger.artifacts[copies[key].artifact], copies[key], read)


def _trash(ws: Workspace, copy: Copy, decision: Decision) -> None:
    """Stop counting the copy, then set its folder aside: in this order, so that a crash between the two loses nothing."""
    until = ws.now() + dt.timedelta(days=ws.policy.purge.grace_days)
    ws.catalogue.change_copy(copy.id, state=CopyState.TRASHED, due_at=until, detail="; ".join(decision.reasons))
    _set_aside(ws, copy)


def _set_aside(ws: Workspace, copy: Copy) -> None:
    store = ws.store(copy.location)
    if store.exists(copy.path) and not store.exists(transfer.trash(copy)):
        store.move(copy.path, transfer.trash(copy))


def _empty_trash(ws: Workspace, report: Report, tell: Tell) -> None:
    """Delete what has waited out its grace, and close it with a receipt."""
    ledger = ws.ledger()
    plan = retention.plan(ledger, ws.policy, ws.now())
    deleted = [_copy(ledger, decision) for decision in plan.of(Action.DELETE)]
    for copy in deleted:
        tell(f"delete {copy.artifact[:60]} at {copy.location}")
        _set_aside(ws, copy)
        ws.store(copy.location).delete(transfer.trash(copy))
    report.removed = [_line(ledger, copy, (copy.detail,)) for copy in deleted]
    if deleted:
        body = {"policy": report.policy, "removed": [_account(ledger, copy) for copy in deleted]}
        report.receipt = ws.catalogue.close_removals([copy.id for copy in deleted], body, provenance.who(), ws.now())


def _account(ledger: Ledger, copy: Copy) -> dict[str, object]:
    """What a receipt says of one removed copy."""
    artifact = ledger.artifacts[copy.artifact]
    left = [each for each in ledger.copies if each.artifact == copy.artifact and each.state is CopyState.VERIFIED]
    return {
        "artifact": copy.artifact,
        "location": copy.location,
        "path": copy.path,
        "files": artifact.files,
        "bytes": artifact.bytes,
        "why": copy.detail,
        "remaining": [{"location": each.location, "verified_at": each.verified_at} for each in left],
    }


def _copy(ledger: Ledger, decision: Decision) -> Copy:
    return next(copy for copy in ledger.copies if copy.id == decision.copy)


def _lines(ledger: Ledger, decisions: Iterable[Decision]) -> list[Line]:
    return [_line(ledger, _copy(ledger, decision), decision.reasons) for decision in decisions]


def _line(ledger: Ledger, copy: Copy, reasons: tuple[str, ...]) -> Line:
    artifact = ledger.artifacts[copy.artifact]
    return Line(artifact.label, copy.location, artifact.bytes, reasons)
