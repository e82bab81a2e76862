"""Removing: what a plan lets go, taken under leases, decided on again, put in the trash, deleted after its grace, with a receipt.

What is removed is what was planned *and* is still to go in that moment; whatever changed drops out with its reason.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from coldchain import provenance, retention, transfer
from coldchain.auditing import read_back
from coldchain.copies import Copy, CopyState
from coldchain.errors import ColdchainError, LeaseTaken
from coldchain.holds import Use
from coldchain.report import Report, line_of
from coldchain.retention import GOING, Action, Decision

if TYPE_CHECKING:
    from coldchain.ledger import Ledger
    from coldchain.workspace import Workspace


@dataclass
class Removal:
    """One batch of removals: the workspace, the report that it fills, and what was read back in this sweep."""

    ws: Workspace
    report: Report
    tell: Callable[[str], None]
    read: set[int] = field(default_factory=set)
    holders: set[str] = field(default_factory=set)

    def run(self, ledger: Ledger, going: Sequence[Decision]) -> None:
        """Trash, then delete, what is still to go under leases on everything concerned."""
        with ExitStack() as leases:
            candidates = self._lease(ledger, going, leases)
            if not candidates:
                return
            now, still = self._recheck(ledger, candidates)
            self._drop(now, [each for each in still if each.action not in GOING])
            for decision in still:
                if decision.action is Action.REMOVE:
                    self._attempt(now, decision, partial(self._trash, decision))
            now, still = self._recheck(ledger, candidates)
            waste = [each for each in still if each.action is Action.DELETE]
            self._receipt(now, [each for each in waste if self._attempt(now, each, self._delete)])

    def _lease(self, ledger: Ledger, going: Sequence[Decision], leases: ExitStack) -> frozenset[int]:
        """Take all artifacts concerned for ourselves, and those that removals lean on for reading; what a run uses drops out."""
        left = {decision.copy: decision for decision in going}
        while left:
            alone = {ledger.by_id[key].artifact for key in left}
            leaned = {ledger.by_id[key].artifact for decision in left.values() for key in decision.leans_on} - alone
            try:
                with ExitStack() as taken:
                    wanted = [(scopes, use) for scopes, use in ((alone, Use.ALONE), (leaned, Use.READ)) if scopes]
                    lease = self.ws.catalogue.lease
                    self.holders = {taken.enter_context(lease(sorted(scopes), use, self.ws.now())) for scopes, use in wanted}
                    leases.push(taken.pop_all())
            except LeaseTaken as error:
                lost = [each for key, each in left.items() if error.on in _concerned(ledger, key, each)]
                if not lost:
                    raise
                self._drop(ledger, lost, str(error))
                left = {key: each for key, each in left.items() if each not in lost}
            else:
                return frozenset(left)
        return frozenset()

    def _recheck(self, planned: Ledger, candidates: frozenset[int]) -> tuple[Ledger, list[Decision]]:
        """Decide again in this moment, until every copy that a removal leans on was read back in this sweep."""
        tried: set[int] = set()
        while True:
            living = {lease.holder for lease in self.ws.catalogue.leases(self.ws.now())}
            if not self.holders <= living:
                raise LeaseTaken("the sweep's lease ended before it could act", done="nothing more was removed", hint="sweep again")
            ledger = self.ws.ledger(sorted(planned.datasets), ours=frozenset(self.holders))
            found = [each for each in retention.plan(ledger, self.ws.policy, self.ws.now()).decisions if each.copy in candidates]
            leaned = {key for each in found if each.action in GOING for key in each.leans_on}
            unread = leaned - self.read if self.ws.policy.read_back_before_removal else set()
            if unread <= tried:
                return ledger, [_unsupported(each) if unread.intersection(each.leans_on) else each for each in found]
            self._read(ledger, sorted(unread - tried))
            tried |= unread

    def _read(self, ledger: Ledger, copies: Iterable[int]) -> None:
        """Read copies back; what does not match stops counting, unless so much fails that the location is to blame."""
        for key in copies:
            copy = ledger.by_id[key]
            self.tell(f"reading back {copy.artifact[:60]} at {copy.location}")
        self.read |= read_back(self.ws, [ledger.by_id[key] for key in copies])

    def _drop(self, ledger: Ledger, decisions: Iterable[Decision], why: str = "") -> None:
        for decision in decisions:
            reasons = (why,) if why else decision.reasons
            self.report.dropped.add(line_of(ledger, ledger.by_id[decision.copy], reasons))

    def _attempt(self, ledger: Ledger, decision: Decision, act: Callable[[Copy], None]) -> bool:
        """Do one thing to one copy; where it cannot be done, report it and leave the others their turn."""
        copy = ledger.by_id[decision.copy]
        try:
            act(copy)
        except ColdchainError as error:  # whatever hinders one copy is no reason to leave a receipt unwritten
            self._drop(ledger, [decision], str(error))
            return False
        part = self.report.removed if decision.action is Action.DELETE else self.report.trashed
        if decision.action is Action.DELETE or decision.grace_days:
            part.add(line_of(ledger, copy, (copy.detail,) if copy.detail else decision.reasons))
        return True

    def _trash(self, decision: Decision, copy: Copy) -> None:
        """Stop counting the copy, then set its folder aside: in this order, so that a crash between the two loses nothing."""
        self.tell(f"trash {copy.artifact[:60]} at {copy.location}")
        until = self.ws.now() + dt.timedelta(days=decision.grace_days)
        self.ws.catalogue.change_copy(copy.id, state=CopyState.TRASHED, due_at=until, detail="; ".join(decision.reasons))
        store = self.ws.store(copy.location)
        if store.exists(copy.path) and not store.exists(transfer.trash(copy)):
            store.set_aside(copy.path, transfer.trash(copy))

    def _delete(self, copy: Copy) -> None:
        """Delete what stands in the trash, and what a cut-off run left under the copy's own name."""
        self.tell(f"delete {copy.artifact[:60]} at {copy.location}")
        store = self.ws.store(copy.location)
        store.destroy(transfer.trash(copy))
        if store.exists(copy.path):
            store.set_aside(copy.path, transfer.trash(copy))
            store.destroy(transfer.trash(copy))

    def _receipt(self, ledger: Ledger, deleted: Sequence[Decision]) -> None:
        """Close what was deleted with a receipt."""
        if deleted:
            body = {"policy": self.report.policy, "removed": [_account(ledger, each) for each in deleted]}
            copies = [each.copy for each in deleted]
            self.report.receipts.append(self.ws.catalogue.close_removals(copies, body, provenance.who(), self.ws.now()))


def _concerned(ledger: Ledger, key: int, decision: Decision) -> set[str]:
    """Artifacts that a removal takes or leans on."""
    return {ledger.by_id[each].artifact for each in (key, *decision.leans_on)}


def _unsupported(decision: Decision) -> Decision:
    return Decision(decision.copy, Action.KEEP, ("it leans on a copy that could not be read back now", *decision.reasons))


def _account(ledger: Ledger, decision: Decision) -> dict[str, Any]:
    """What a receipt says of one removed copy."""
    copy, proposal = ledger.by_id[decision.copy], ledger.proposed.get(decision.copy)
    artifact = ledger.artifacts[copy.artifact]
    left = [each for each in ledger.by_artifact[copy.artifact] if each.state is CopyState.VERIFIED]
    leans_on = [ledger.by_id[key] for key in decision.leans_on]
    return {
        "copy": copy.id,
        "artifact": copy.artifact,
        "location": copy.location,
        "path": copy.path,
        "files": artifact.files,
        "bytes": artifact.bytes,
        "why": copy.detail,
        "ground": decision.ground,
        "approved_by": proposal.who if proposal else None,
        "notice": proposal.notice if proposal else None,
        "remaining": [{"location": each.location, "verified_at": each.verified_at} for each in left],
        "leans_on": [{"artifact": each.artifact, "location": each.location, "verified_at": each.verified_at} for each in leans_on],
    }
