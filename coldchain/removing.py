"""Removing: what a plan lets go, taken under leases, decided on again, put in the trash, deleted after its grace, with a receipt.

What is removed is what was planned *and* is still to go in that moment; whatever changed drops out with its reason.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from coldchain import files, inspecting, provenance, retention, transfer
from coldchain.auditing import read_back
from coldchain.copies import Copy, CopyState
from coldchain.dues import later
from coldchain.errors import ColdchainError, IntegrityError, LeaseTaken, RemovalRefused
from coldchain.holds import Use
from coldchain.report import Report, line_of
from coldchain.retention import GOING, Action, Decision

if TYPE_CHECKING:
    from coldchain.copies import Artifact
    from coldchain.ledger import Ledger
    from coldchain.store import Store
    from coldchain.workspace import Workspace


SURE = dt.timedelta(minutes=1)
"""So long what was decided under leases may be acted on without another look: far shorter than a lease."""

MOST = 5
"""Files that a message names."""


@dataclass
class Removal:
    """One batch of removals: the workspace, the report that it fills, and what was read back in this sweep."""

    ws: Workspace
    report: Report
    tell: Callable[[str], None]
    read: set[int] = field(default_factory=set)
    holders: set[str] = field(default_factory=set)
    scopes: set[str] = field(default_factory=set)
    looked: dt.datetime = field(default=dt.datetime.min.replace(tzinfo=dt.UTC))
    said: tuple[int, int] = (0, 0)
    last: dict[int, Decision] = field(default_factory=dict)

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
            self.read -= {key for key in self.read if not self._stands(now.by_id[key])}
            now, still = self._recheck(ledger, candidates)
            waste = [each for each in still if each.action is Action.DELETE]
            self._receipt([each.copy for each in waste if self._attempt(now, each, partial(self._delete, now, each))])

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
                    self.scopes = alone | leaned
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
            looked, said = self.ws.now(), self.ws.catalogue.last_said()
            ours = {lease.scope for lease in self.ws.catalogue.leases(looked) if lease.holder in self.holders}
            if not self.scopes <= ours:
                raise LeaseTaken("the sweep's lease ended before it could act", done="nothing more was removed", hint="sweep again")
            ledger = self.ws.ledger(sorted(planned.datasets), ours=frozenset(self.holders))
            found = [each for each in retention.plan(ledger, self.ws.policy, self.ws.now()).decisions if each.copy in candidates]
            leaned = {key for each in found if each.action in GOING for key in each.leans_on}
            again = self.ws.policy.read_back_before_removal
            shelved = {key for key in leaned if ledger.by_id[key].location in ledger.shelved} if again else set()
            unread = leaned - self.read - shelved if again else set()
            if unread <= tried:
                found = [_unsupported(each) if _unread(each, unread, shelved) else each for each in found]
                self.looked, self.said, self.last = looked, said, {each.copy: each for each in found}
                return ledger, found
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
        self.tell(f"{'delete' if decision.action is Action.DELETE else 'trash'} {copy.artifact[:60]} at {copy.location}")
        try:
            self._refuse_stale(ledger, decision)
            act(copy)
        except ColdchainError as error:  # whatever hinders one copy is no reason to leave a receipt unwritten
            self._drop(ledger, [decision], str(error))
            return False
        part = self.report.removed if decision.action is Action.DELETE else self.report.trashed
        if decision.action is Action.DELETE or decision.grace_days:
            part.add(line_of(ledger, copy, (copy.detail,) if copy.detail else decision.reasons))
        return True

    def _refuse_stale(self, ledger: Ledger, decision: Decision) -> None:
        """Decide once more where somebody spoke since the last look, or where it is old: this process may have been stopped meanwhile."""
        if self.ws.now() - self.looked > SURE or self.ws.catalogue.last_said() != self.said:
            self._recheck(ledger, frozenset(self.last))
        found = self.last.get(decision.copy)
        if found is None or found.action is not decision.action:
            reasons = "; ".join(found.reasons) if found else "it is gone"
            raise RemovalRefused("things changed while others were removed", on=decision.copy, got=reasons, done="nothing was removed")

    def _stands(self, copy: Copy) -> bool:
        """Whether the folder of a copy that was read back is still there: one that went with another's was the same folder."""
        try:
            return self.ws.store(copy.location).exists(copy.path)
        except ColdchainError:  # whatever hinders it, it has to be read again
            return False

    def _trash(self, decision: Decision, copy: Copy) -> None:
        """Stop counting the copy, then set its folder aside: in this order, so that a crash between the two loses nothing.

        A location that refuses to move it keeps the copy, which counts as before.
        """
        store = self.ws.store(copy.location)
        self._refuse_strangers(store, copy)
        self._refuse_strangers(store, replace(copy, path=transfer.trash(copy)))
        until = later(self.ws.now(), decision.grace_days)
        self.ws.catalogue.change_copy(copy.id, state=CopyState.TRASHED, due_at=until, detail="; ".join(decision.reasons))
        if not store.exists(copy.path) or store.exists(transfer.trash(copy)):
            return
        try:
            store.set_aside(copy.path, transfer.trash(copy))
        except ColdchainError:
            if not store.exists(transfer.trash(copy)):
                self.ws.catalogue.change_copy(copy.id, state=CopyState.VERIFIED, due_at=copy.due_at, detail=copy.detail)
            raise

    def _delete(self, ledger: Ledger, decision: Decision, copy: Copy) -> None:
        """Delete what stands in the trash, and what a cut-off run left under the copy's own name; never what took its place since.

        What the receipt will say is written down before: were this run cut off, the next one ends it, whatever has come since.
        """
        store = self.ws.store(copy.location)
        if not self.ws.catalogue.deleting(copy.id):
            self._refuse_strangers(store, replace(copy, path=transfer.trash(copy)))
            if inspecting.owns(store, self.ws.catalogue.artifact(copy.artifact), copy):
                self._refuse_strangers(store, copy)
        self.ws.catalogue.begin_deletion(copy.id, _account(ledger, decision))
        store.destroy(transfer.trash(copy))
        if inspecting.owns(store, self.ws.catalogue.artifact(copy.artifact), copy) and in_the_trash(self.ws, copy):
            store.set_aside(copy.path, transfer.trash(copy))
            store.destroy(transfer.trash(copy))

    def _refuse_strangers(self, store: Store, copy: Copy) -> None:
        """Raise where bytes that nobody registered, or that somebody changed, would go with a copy's folder: nobody was told of them."""
        if not store.exists(copy.path):
            return
        if found := inspecting.strangers(self.ws, self.ws.catalogue.artifact(copy.artifact), copy):
            raise RemovalRefused(
                "something that nobody registered stands in a copy's folder",
                on=f"{copy.location}:{copy.path}",
                got=", ".join(map(repr, found[:MOST])),
                done="nothing was moved",
                hint="take out what is somebody's; `coldchain verify` says what the copy lacks",
            )

    def _receipt(self, deleted: Sequence[int]) -> None:
        """Close what was deleted with a receipt."""
        if deleted:
            self.report.receipts.append(self.ws.catalogue.close_removals(deleted, self.report.policy, provenance.who(), self.ws.now()))


def end_deletion(ws: Workspace, copy: Copy, policy: str) -> str:
    """Give a copy whose deletion was cut off after its last byte its receipt; returns the digest, or nothing where bytes are left.

    Raises:
        LeaseTaken, LocationUnreachable: try again later.
    """
    if not ws.catalogue.deleting(copy.id):
        return ""
    store, place = ws.store(copy.location), f"{copy.artifact} at {copy.location}"
    with ws.catalogue.lease([place], Use.ALONE, ws.now()):
        if not in_the_trash(ws, copy) or store.exists(transfer.trash(copy)) or store.exists(copy.path):
            return ""
        return ws.catalogue.close_removals([copy.id], policy, provenance.who(), ws.now())


def bring_back(ws: Workspace, artifact: Artifact, copy: Copy) -> Copy:
    """Bring a copy back from the trash: bytes first, then the row, so that a run that is cut off is finished by the next sweep.

    Raises:
        IntegrityError: its bytes are not the artifact's any more; they stay in the trash.
        LeaseTaken, LocationUnreachable: try again later.
    """
    store, place = ws.store(copy.location), f"{artifact.id} at {copy.location}"
    with ws.catalogue.lease([artifact.id], Use.READ, ws.now()), ws.catalogue.lease([place], Use.ALONE, ws.now()):
        if not in_the_trash(ws, copy):
            raise LeaseTaken("a copy is not in the trash any more", on=place, done="nothing was changed")
        if store.exists(copy.path) or not store.exists(transfer.trash(copy)):
            return transfer.verify_in_place(ws, artifact, copy, files.no_progress)
        if wrong := inspecting.mismatches(store, artifact, replace(copy, path=transfer.trash(copy)), files.no_progress):
            raise IntegrityError("a copy in the trash does not match", on=place, got=inspecting.listed(wrong), done="it stays there")
        store.set_aside(transfer.trash(copy), copy.path)
        return transfer.count(ws, copy)


def in_the_trash(ws: Workspace, copy: Copy) -> bool:
    """Whether the catalogue has a copy in the trash now."""
    found = ws.catalogue.copies(artifact=copy.artifact, location=copy.location, states=[CopyState.TRASHED])
    return any(each.id == copy.id for each in found)


def _concerned(ledger: Ledger, key: int, decision: Decision) -> set[str]:
    """Artifacts that a removal takes or leans on."""
    return {ledger.by_id[each].artifact for each in (key, *decision.leans_on)}


def _unread(decision: Decision, unread: set[int], shelved: set[int]) -> bool:
    """Whether a removal leans on what was not read back now; a medium on the shelf counts by its last reading, and never alone."""
    return bool(unread.intersection(decision.leans_on)) or (bool(decision.leans_on) and shelved.issuperset(decision.leans_on))


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
