"""The retention decision: what stays, what goes, and why. Pure: no clock, no disk, no database.

`plan` looks at each copy and gives an action with its reasons. A copy may go only on a ground that the policy knows, where everything
that the policy asks for stands without it, in the ledger as it will be after all removals before it in the same batch. Whatever is
unknown counts as no.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from coldchain import clock, consent, validation
from coldchain.copies import Artifact, Copy, CopyState
from coldchain.dues import disposal_due, later, lifetime_end
from coldchain.levels import Level
from coldchain.placing import Wish, wishes
from coldchain.policy import Ground, Policy
from coldchain.proposals import Answer
from coldchain.standing import Judge, Standing, day
from coldchain.store import Protection

if TYPE_CHECKING:
    from coldchain.ledger import Ledger
    from coldchain.location import Location


class Action(StrEnum):
    """What to do with a copy."""

    KEEP = "keep"
    VERIFY = "verify"
    NOTIFY = "notify"
    ASK = "ask"
    REMOVE = "remove"
    DELETE = "delete"
    RECALL = "recall"


GOING = frozenset({Action.REMOVE, Action.DELETE})
"""Actions after which a copy's bytes are not where they were."""


@dataclass(frozen=True)
class Decision:
    """One copy, what to do with it, why, on what ground it goes, which copies that reasoning leans on, and its days in the trash."""

    copy: int
    action: Action
    reasons: tuple[str, ...]
    leans_on: tuple[int, ...] = ()
    ground: Ground | None = None
    grace_days: float = 0


@dataclass(frozen=True)
class Plan:
    """Every copy with its decision, and what is missing or in danger."""

    decisions: tuple[Decision, ...]
    shortfalls: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    wishes: tuple[Wish, ...] = ()

    def of(self, *actions: Action) -> list[Decision]:
        """Decisions with one of these actions."""
        return [decision for decision in self.decisions if decision.action in actions]


def plan(ledger: Ledger, policy: Policy, now: dt.datetime) -> Plan:
    """Decide for every copy of the ledger's datasets."""
    removed: set[int] = set()
    judge = Judge(ledger, policy, now, removed)
    decisions = []
    for copy in sorted(_ours(ledger), key=lambda copy: (due(copy, judge), copy.id)):
        decision = _decide(copy, judge)
        if decision.action is Action.REMOVE:
            removed.add(copy.id)
        decisions.append(decision)
    before = Judge(ledger, policy, now)
    return Plan(tuple(decisions), shortfalls(before), tuple(_warnings(before)), tuple(wishes(before)))


def due(copy: Copy, judge: Judge) -> dt.datetime:
    """When a copy on scratch falls due: on its day or, where nobody dated it, by the rule that speaks of it."""
    artifact = judge.ledger.artifacts.get(copy.artifact)
    purge = judge.policy.purge_of(judge.rule(artifact)) if artifact else judge.policy.purge
    return copy.due_at or later(copy.created_at, purge.after_days)


def _ours(ledger: Ledger) -> Iterable[Copy]:
    for copy in ledger.copies:
        artifact = ledger.artifacts.get(copy.artifact)
        if artifact is None or ledger.ours(artifact):
            yield copy


def _decide(copy: Copy, judge: Judge) -> Decision:
    artifact = judge.ledger.artifacts.get(copy.artifact)
    location = judge.ledger.locations.get(copy.location)
    if artifact is None or location is None:
        return Decision(copy.id, Action.KEEP, ("its artifact or location is not known here",))
    if copy.state is CopyState.TRASHED:
        return _in_the_trash(copy, artifact, location, judge)
    if copy.state is not CopyState.VERIFIED:
        return Decision(copy.id, Action.KEEP, (f"its state is {copy.state}: {copy.detail or 'nothing is removed in doubt'}",))
    if not (location.transient or location.retiring or _leaves_lasting_place(copy, artifact, judge)):
        return _stays(copy, artifact, judge)
    if blocking := [*_not_due(copy, artifact, location, judge), *_kept_by_others(copy, artifact, judge)]:
        return Decision(copy.id, Action.KEEP, tuple(blocking))
    return _leaves(copy, artifact, location, judge)


def _leaves_lasting_place(copy: Copy, artifact: Artifact, judge: Judge) -> bool:
    """Whether the policy lets a copy at a lasting place go: its lifetime is over, or nobody asked for what can be made again."""
    asked = judge.ledger.asked_for.get(artifact.id)
    dates = (lifetime_end(artifact, judge.rule(artifact)), disposal_due(artifact, copy.created_at, asked, judge.rule(artifact)))
    return any(date is not None and date <= judge.now for date in dates)


def _stays(copy: Copy, artifact: Artifact, judge: Judge) -> Decision:
    """A copy at a lasting place, to be read again where its last reading is too old."""
    reasons = judge.standing(artifact).reasons
    if copy.location not in judge.ledger.reachable:
        return Decision(copy.id, Action.KEEP, reasons)
    every = judge.policy.audit.every(copy.location)
    if copy.verified_at is None or not later(copy.verified_at, every) > judge.now >= copy.verified_at:
        read = "never read back" if copy.verified_at is None else f"last read back on {day(copy.verified_at)}"
        return Decision(copy.id, Action.VERIFY, (f"{read}, due every {every:g} days", *reasons))
    return Decision(copy.id, Action.KEEP, reasons)


def _leaves(copy: Copy, artifact: Artifact, location: Location, judge: Judge) -> Decision:
    """Decide for a copy that is due and that nobody holds: on what ground, and with whose consent."""
    ground, found = ground_of(copy, artifact, judge.without(copy))
    if ground is None:
        return Decision(copy.id, Action.KEEP, found.reasons if found.stands else ("not covered", *found.reasons))
    terms = consent.terms_of(location, judge.rule(artifact), judge.policy, ground)
    verdict = consent.given(judge.ledger, artifact, copy, ground, terms, judge.policy, judge.now)
    reasons = (*verdict.reasons, _since(copy, artifact, location, judge), *found.reasons)
    return Decision(copy.id, _ACTIONS[verdict.consent], reasons, found.copies, ground, terms.grace_days)


_ACTIONS = {
    consent.Consent.GIVEN: Action.REMOVE,
    consent.Consent.AWAITED: Action.ASK,
    consent.Consent.UNTOLD: Action.NOTIFY,
    consent.Consent.REFUSED: Action.KEEP,
    consent.Consent.OUTDATED: Action.KEEP,
}


def _since(copy: Copy, artifact: Artifact, location: Location, judge: Judge) -> str:
    if location.transient:
        return f"due since {day(due(copy, judge))}" if due(copy, judge) <= judge.now else "scratch is nearly full: due earlier"
    if judge.ended(artifact):
        return "its lifetime is over"
    if location.retiring:
        return "its place is to be emptied"
    return f"nobody asked for it in {judge.rule(artifact).disposal.idle_days:g} days"  # type: ignore[union-attr]  # it leaves a lasting place


def ground_of(copy: Copy, artifact: Artifact, judge: Judge) -> tuple[Ground | None, Standing]:
    """On what ground a copy may go from a ledger without it, and what that leans on; no ground: why not.

    A copy that is covered, and that tables keep which have not passed the gate, has no ground either, and its standing says so.
    """
    place = judge.ledger.locations[copy.location]
    transient = place.transient
    if not transient and (hindered := _last_protected_place(artifact, judge)):
        return None, Standing(False, (), hindered)
    own, tables = judge.standing(artifact), validation.waiting(artifact, judge)
    leaves_scratch = transient and (not tables or artifact.level in validation.ACQUIRED)
    if own.stands and (leaves_scratch or place.retiring):
        return (Ground.ORIGINAL_STANDS if leaves_scratch else Ground.MOVED), own
    needed = judge.needed_by(artifact) if judge.ended(artifact) else []
    if judge.ended(artifact) and not needed:
        left = own.copies if artifact.level is Level.RAW else ()
        said = ("the policy does not ask for it any more", *own.reasons[:1])
        return Ground.LIFETIME, Standing(True, (*left, *judge.heirs(artifact)), said)
    again = judge.remakeable(artifact)
    may_be_remade = again.stands and (transient or bool(judge.rule(artifact).disposal))
    if may_be_remade and not tables:
        return Ground.REMAKE, again
    if tables and (may_be_remade or (transient and own.stands)):
        return None, Standing(True, (), (validation.reason(tables), *(own if own.stands else again).reasons))
    wanted = tuple(f"{each.label} was made from it, and does not stand on copies of its own" for each in needed)
    return None, Standing(False, (), (*wanted, *own.reasons, *again.reasons))


def _last_protected_place(artifact: Artifact, judge: Judge) -> tuple[str, ...]:
    """Why a raw copy must stay: raw data is never removed from its last protected place by software."""
    if artifact.level is not Level.RAW:
        return ()
    left = (judge.ledger.by_id[key] for key in judge.standing(artifact).copies)
    if any(copy.protection not in {"", Protection.NONE} for copy in left):
        return ()
    return ("raw data is never removed from its last protected place by software",)


def _not_due(copy: Copy, artifact: Artifact, location: Location, judge: Judge) -> list[str]:
    """Why it is too early for a copy to go."""
    found = []
    if copy.created_at > judge.now:
        found.append("it was made in the future: a clock is wrong")
    if not location.transient:
        return found
    purge, asked = judge.policy.purge_of(judge.rule(artifact)), judge.ledger.asked_for.get(artifact.id)
    if _purge_day(copy, artifact, judge) > judge.now:
        found.append(f"not due before {day(_purge_day(copy, artifact, judge))}")
    elif asked and later(asked, purge.idle_days) > judge.now:
        found.append(f"in demand: a run asked for it on {day(asked)}, due {purge.idle_days:g} days later")
    return found


def _purge_day(copy: Copy, artifact: Artifact, judge: Judge) -> dt.datetime:
    """When a copy on scratch falls due: earlier than its day where scratch is nearly full, or where somebody set the check aside."""
    set_aside = any(each.check == "after_days" for each in judge.overrides(artifact))
    early, high_water = judge.ledger.early.get(copy.location), judge.policy.high_water
    days = [due(copy, judge)]
    if set_aside:
        days.append(copy.created_at)
    if high_water and early and days[0] <= early:
        days.append(later(copy.created_at, high_water.after_days))
    return min(days)


def _kept_by_others(copy: Copy, artifact: Artifact, judge: Judge) -> list[str]:
    """Who or what keeps a copy, wherever it is: its location, a clock, a person, a run."""
    ledger, now = judge.ledger, judge.now
    holds = [hold for hold in ledger.holds_of.get(artifact.dataset, ()) if hold.holds(now)]
    own = ledger.proposed.get(copy.id)
    found = [] if copy.location in ledger.reachable else ["its location cannot be reached"]
    if doubted := clock.doubt(ledger.believed, now, judge.policy.clock_leap_days):
        found.append(doubted)
    found += [f"held by {hold.who} until {hold.until}: {hold.reason}" for hold in holds]
    if own is None or own.answer is not Answer.NO:  # its own is told where consent is asked for
        found += list(dict.fromkeys(consent.refused(ledger, artifact.dataset)))
    found += [f"in use ({lease.use}) until {lease.until.isoformat(timespec='minutes')}" for lease in ledger.leases_of.get(artifact.id, ())]
    return found


def _in_the_trash(copy: Copy, artifact: Artifact, location: Location, judge: Judge) -> Decision:
    """Decide for a copy in the trash: what covered it when it was put there may be gone by now."""
    if copy.due_at is None or copy.due_at > judge.now:
        return Decision(copy.id, Action.KEEP, (f"in the trash until {day(copy.due_at) if copy.due_at else 'an unknown day'}",))
    if blocking := _kept_by_others(copy, artifact, judge):
        return Decision(copy.id, Action.KEEP, ("in the trash", *blocking))
    ground, found = ground_of(copy, artifact, judge.without(copy))
    if ground is None:
        why = "in the trash" if found.stands else "in the trash, and not covered any more"
        return Decision(copy.id, Action.RECALL, (why, *found.reasons))
    verdict = consent.kept_up(judge.ledger, copy, ground, consent.terms_of(location, judge.rule(artifact), judge.policy, ground))
    if verdict.consent is not consent.Consent.GIVEN:
        return Decision(copy.id, Action.RECALL, ("in the trash", *verdict.reasons, *found.reasons))
    return Decision(copy.id, Action.DELETE, (f"its grace in the trash ended on {day(copy.due_at)}", *found.reasons), found.copies, ground)


def shortfalls(judge: Judge) -> dict[str, tuple[str, ...]]:
    """List artifacts that do not stand as the policy wants, and cannot be made again."""
    ledger = judge.ledger
    ours = (artifact for artifact in ledger.artifacts.values() if ledger.ours(artifact) and not judge.ended(artifact))
    return {artifact.id: judge.standing(artifact).reasons for artifact in ours if not judge.cover(artifact).stands}


def _warnings(judge: Judge) -> Iterable[str]:
    """Tell of scratch copies that the cluster will remove within a week, and that nothing else covers or that tables still keep."""
    for copy in _ours(judge.ledger):
        location = judge.ledger.locations.get(copy.location)
        artifact = judge.ledger.artifacts.get(copy.artifact)
        if location is None or artifact is None or location.purge_age_days is None or copy.state is not CopyState.VERIFIED:
            continue
        lost_at = later(copy.created_at, location.purge_age_days)
        if lost_at - judge.now < dt.timedelta(days=7) and not judge.ended(artifact) and (why := _missed(artifact, judge.without(copy))):
            yield f"{artifact.label} at {location.name} goes on {day(lost_at)} by the cluster's own purge, and {why}"


def _missed(artifact: Artifact, judge: Judge) -> str:
    """What is wrong once a copy is gone that the ledger is without; nothing where it stands elsewhere, or nobody waits for it."""
    if judge.standing(artifact).stands:
        return ""
    if not judge.remakeable(artifact).stands:
        return "then the policy is not met"
    tables = validation.waiting(artifact, judge)
    return validation.reason(tables) if tables else ""
