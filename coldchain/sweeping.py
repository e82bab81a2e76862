"""The sweep: read back what is due, plan, recheck under leases, trash, delete, receipt.

`coldchain.retention` decides; nothing here removes what a plan made in that very moment does not name.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from coldchain import files, provenance, retention, transfer
from coldchain.copies import Copy, CopyState
from coldchain.errors import ColdchainError, LeaseTaken, TransientError
from coldchain.holds import Use
from coldchain.ledger import Ledger
from coldchain.retention import Action, Decision, Plan

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
    report = Report(
        ws.now(),
        dry_run,
        f"{ws.policy.name} v{ws.policy.version}",
        read_back=len(due),
        shortfalls=dict(plan.shortfalls),
        warnings=plan.warnings,
    )
    report.asked = _lines(ledger, plan.of(Action.ASK))
    if dry_run:
        report.removed = _lines(ledger, plan.of(Action.REMOVE, Action.DELETE))
    else:
        _execute(ws, ledger, plan, read, report, tell)
    after = ws.ledger()
    final = retention.plan(after, ws.policy, ws.now())
    report.kept = [
        line for line in _lines(after, final.of(Action.KEEP)) if line.location in ws.stores and ws.site.location(line.location).transient
    ]
    report.damaged = [_line(after, copy, (copy.detail,)) for copy in after.copies if copy.state in {CopyState.SUSPECT, CopyState.LOST}]
    return report


def _due_for_reading(ws: Workspace, ledger: Ledger) -> list[Copy]:
    """Copies that count and whose last reading is older than the policy's audit age, or in the future; the oldest first."""
    limit = ws.now() - dt.timedelta(days=ws.policy.audit_after_days)
    found = [
        copy
        for copy in ledger.copies
        if copy.state is CopyState.VERIFIED and copy.location in ledger.reachable and not ledger.locations[copy.location].transient
    ]
    due = (copy for copy in found if copy.verified_at is None or not limit < copy.verified_at <= ws.now())
    return sorted(due, key=lambda copy: (str(copy.verified_at), copy.id))


def _read(ws: Workspace, artifact: Artifact, copy: Copy, read: set[int]) -> None:
    """Read a copy back; one that does not match, or that stands at a reachable location and cannot be read, is suspect from then on."""
    try:
        wrong = transfer.mismatches(ws.store(copy.location), artifact, copy, files.no_progress)
    except TransientError:  # not read this time, so nothing leans on it; its bytes may well be sound
        return
    except ColdchainError as error:  # unreadable is not verified; the reason goes to the report, the bytes stay
        if copy.location in ws.reachable():
            ws.catalogue.change_copy(copy.id, state=CopyState.SUSPECT, detail=f"could not be read back: {error}")
        return
    if not wrong:
        ws.catalogue.change_copy(copy.id, verified_at=ws.now())
        read.add(copy.id)
    elif copy.location in ws.reachable():
        transfer.mark_suspect(ws, copy, wrong)


def _execute(ws: Workspace, ledger: Ledger, plan: Plan, read: set[int], report: Report, tell: Tell) -> None:
    """Trash, then delete, what is still to go under leases on everything concerned."""
    with ExitStack() as leases:
        candidates, holder = _leased(ws, ledger, plan.of(Action.REMOVE, Action.DELETE), leases, report)
        if not candidates:
            return
        now, still = _recheck(ws, candidates, holder, read)
        report.dropped += [
            _line(now, _copy(now, each), each.reasons) for each in still if each.action not in {Action.REMOVE, Action.DELETE}
        ]
        for decision in still:
            if decision.action is Action.REMOVE:
                _attempt(now, decision, report, partial(_trash, ws, decision, tell))
        now, still = _recheck(ws, candidates, holder, read)
        waste = [each for each in still if each.action is Action.DELETE]
        _receipt(ws, now, [copy for each in waste if (copy := _attempt(now, each, report, partial(_delete, ws, tell)))], report)


def _leased(
    ws: Workspace, ledger: Ledger, decisions: Sequence[Decision], leases: ExitStack, report: Report
) -> tuple[frozenset[int], str | None]:
    """Take all artifacts concerned for ourselves; those that a run is using drop out with their reason."""
    copies = {copy.id: copy for copy in (_copy(ledger, decision) for decision in decisions)}
    wanted = {copy.artifact for copy in copies.values()}
    while wanted:
        try:
            holder = leases.enter_context(ws.catalogue.lease(sorted(wanted), Use.ALONE, ws.now()))
        except LeaseTaken as error:
            if error.on not in wanted:
                raise
            wanted.discard(str(error.on))
            report.dropped += [_line(ledger, copy, (str(error),)) for copy in copies.values() if copy.artifact == error.on]
        else:
            return frozenset(key for key, copy in copies.items() if copy.artifact in wanted), holder
    return frozenset(), None


def _recheck(ws: Workspace, candidates: frozenset[int], holder: str | None, read: set[int]) -> tuple[Ledger, list[Decision]]:
    """Decide again in this moment, until every copy that a removal leans on was read back in this sweep."""
    tried: set[int] = set()
    while True:
        if holder not in {lease.holder for lease in ws.catalogue.leases(ws.now())}:
            raise LeaseTaken("the sweep's lease ended before it could act", done="nothing more was removed", hint="sweep again")
        ledger = ws.ledger(ours=frozenset({holder}))
        found = [each for each in retention.plan(ledger, ws.policy, ws.now()).decisions if each.copy in candidates]
        leaned = {key for each in found if each.action in {Action.REMOVE, Action.DELETE} for key in each.leans_on}
        unread = leaned - read if ws.policy.read_back_before_removal else set()
        if unread <= tried:
            return ledger, [_unsupported(each) if unread.intersection(each.leans_on) else each for each in found]
        for copy in (copy for copy in ledger.copies if copy.id in unread - tried):
            _read(ws, ledger.artifacts[copy.artifact], copy, read)
        tried |= unread


def _unsupported(decision: Decision) -> Decision:
    return Decision(decision.copy, Action.KEEP, ("it leans on a copy that could not be read back now", *decision.reasons))


def _attempt(ledger: Ledger, decision: Decision, report: Report, act: Callable[[Copy], None]) -> Copy | None:
    """Do one thing to one copy; where it cannot be done, report it and leave the others their turn."""
    copy = _copy(ledger, decision)
    try:
        act(copy)
    except ColdchainError as error:  # whatever hinders one copy is no reason to leave a receipt unwritten
        report.dropped.append(_line(ledger, copy, (str(error),)))
        return None
    return copy


def _trash(ws: Workspace, decision: Decision, tell: Tell, copy: Copy) -> None:
    """Stop counting the copy, then set its folder aside: in this order, so that a crash between the two loses nothing."""
    tell(f"trash {copy.artifact[:60]} at {copy.location}")
    until = ws.now() + dt.timedelta(days=ws.policy.purge.grace_days)
    ws.catalogue.change_copy(copy.id, state=CopyState.TRASHED, due_at=until, detail="; ".join(decision.reasons))
    store = ws.store(copy.location)
    if store.exists(copy.path) and not store.exists(transfer.trash(copy)):
        store.move(copy.path, transfer.trash(copy))


def _delete(ws: Workspace, tell: Tell, copy: Copy) -> None:
    """Delete what stands in the trash, and what a cut-off run left under the copy's own name."""
    tell(f"delete {copy.artifact[:60]} at {copy.location}")
    store = ws.store(copy.location)
    store.delete(transfer.trash(copy))
    if store.exists(copy.path):
        store.move(copy.path, transfer.trash(copy))
        store.delete(transfer.trash(copy))


def _receipt(ws: Workspace, ledger: Ledger, deleted: list[Copy], report: Report) -> None:
    """Close what was deleted with a receipt."""
    report.removed = [_line(ledger, copy, (copy.detail,)) for copy in deleted]
    if deleted:
        body = {"policy": report.policy, "removed": [_account(ledger, copy) for copy in deleted]}
        report.receipt = ws.catalogue.close_removals([copy.id for copy in deleted], body, provenance.who(), ws.now())


def _account(ledger: Ledger, copy: Copy) -> dict[str, object]:
    """What a receipt says of one removed copy."""
    artifact = ledger.artifacts[copy.artifact]
    left = [each for each in ledger.by_artifact[copy.artifact] if each.state is CopyState.VERIFIED]
    return {
        "copy": copy.id,
        "artifact": copy.artifact,
        "location": copy.location,
        "path": copy.path,
        "files": artifact.files,
        "bytes": artifact.bytes,
        "why": copy.detail,
        "remaining": [{"location": each.location, "verified_at": each.verified_at} for each in left],
    }


def _copy(ledger: Ledger, decision: Decision) -> Copy:
    return ledger.by_id[decision.copy]


def _lines(ledger: Ledger, decisions: Iterable[Decision]) -> list[Line]:
    return [_line(ledger, _copy(ledger, decision), decision.reasons) for decision in decisions]


def _line(ledger: Ledger, copy: Copy, reasons: tuple[str, ...]) -> Line:
    artifact = ledger.artifacts[copy.artifact]
    return Line(artifact.label, copy.location, artifact.bytes, reasons)
