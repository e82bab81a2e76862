"""Consent: whether people were told of a removal, had their time, and said yes where the policy asks for it. Silence is no. Pure."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from coldchain.dues import later
from coldchain.policy import Approval, Disposal, Ground, Lifetime, Policy, Purge, Retiring, Rule
from coldchain.proposals import Answer, Proposal

if TYPE_CHECKING:
    from coldchain.copies import Artifact, Copy
    from coldchain.ledger import Ledger
    from coldchain.location import Location


class Consent(Enum):
    """How far a removal has come with people."""

    GIVEN = "given"
    UNTOLD = "untold"
    AWAITED = "awaited"
    REFUSED = "refused"
    OUTDATED = "outdated"


@dataclass(frozen=True)
class Terms:
    """On what terms a copy goes: how long it is told before, whose yes it needs, how long it stays in the trash, and who may say yes."""

    notice_days: float
    grace_days: float
    approval: Approval
    approvers: tuple[str, ...] = ()

    def agreed(self, proposal: Proposal) -> bool:
        """Whether somebody said yes who may still say it."""
        return proposal.answer is Answer.YES and (not self.approvers or proposal.who.partition(" for ")[0] in self.approvers)


@dataclass(frozen=True)
class Verdict:
    """Whether there is consent, and why."""

    consent: Consent
    reasons: tuple[str, ...] = ()


def terms_of(location: Location, rule: Rule, policy: Policy, ground: Ground) -> Terms:
    """The policy's terms for a removal."""
    part: Purge | Disposal | Lifetime | Retiring | None = policy.purge_of(rule) if location.transient else rule.disposal
    if ground is Ground.LIFETIME:
        part = rule.lifetime
    if ground is Ground.MOVED:
        part = policy.retiring
    if part is None:  # a copy that nothing in the policy lets go is not asked about; were it, a person would have to say yes
        return Terms(0, 36_600, Approval.PERSON)
    return Terms(part.notice_days, part.grace_days, _approval(part, ground), policy.approvers_of(rule))


def _approval(part: Purge | Disposal | Lifetime | Retiring, ground: Ground) -> Approval:
    if not isinstance(part, Purge):
        return part.approval
    return part.approval.original_stands if ground is Ground.ORIGINAL_STANDS else part.approval.remake


def given(ledger: Ledger, artifact: Artifact, copy: Copy, ground: Ground, terms: Terms, policy: Policy, now: dt.datetime) -> Verdict:
    """Whether there is consent to a removal on a ground."""
    proposal = ledger.proposed.get(copy.id)
    if proposal is not None and proposal.answer is Answer.NO:
        return Verdict(Consent.REFUSED, (_no(proposal),))
    if terms.approval is Approval.NONE and not terms.notice_days:
        return Verdict(Consent.GIVEN)
    if proposal is None:
        return Verdict(Consent.UNTOLD)
    if changed := _changed(proposal, ground, policy, ledger.asked_for.get(artifact.id), now):
        return Verdict(Consent.OUTDATED, (f"told in notice {proposal.notice}, but {changed}: it will be told anew",))
    return _awaited(proposal, terms, now)


def kept_up(ledger: Ledger, copy: Copy, ground: Ground, terms: Terms) -> Verdict:
    """Whether there still is consent to what is in the trash: nobody said no since, and a ground that needs a yes has one."""
    proposal = ledger.proposed.get(copy.id)
    if proposal is not None and proposal.answer is Answer.NO:
        return Verdict(Consent.REFUSED, (_no(proposal),))
    agreed = proposal is not None and terms.agreed(proposal) and proposal.ground is ground
    if terms.approval is Approval.PERSON and not agreed:
        return Verdict(Consent.UNTOLD, (f"its ground is {ground} now, and nobody said yes to that",))
    return Verdict(Consent.GIVEN)


def refused(ledger: Ledger, dataset: str) -> list[str]:
    """What people said no to in a dataset: a no leaves all of it alone, until the same notice gets a yes."""
    return [_no(proposal) for proposal in ledger.refused_of.get(dataset, ())]


def _no(proposal: Proposal) -> str:
    return f"{proposal.who} said no to notice {proposal.notice}: {proposal.note or 'no reason given'}"


def _changed(proposal: Proposal, ground: Ground, policy: Policy, asked: dt.datetime | None, now: dt.datetime) -> str:
    """What is not as it was when people were told."""
    if proposal.told_at > now:
        return "that was in the future: a clock is wrong"
    if proposal.policy != policy.digest:
        return "the policy has changed since"
    if proposal.ground is not ground:
        return f"the ground was {proposal.ground} and is {ground} now"
    if asked and asked > proposal.told_at:
        return "a run has asked for it since"
    return ""


def _awaited(proposal: Proposal, terms: Terms, now: dt.datetime) -> Verdict:
    told = f"told in notice {proposal.notice} on {proposal.told_at.date()}"
    goes = later(proposal.told_at, terms.notice_days)
    if goes > now:
        return Verdict(Consent.AWAITED, (f"{told}, may go from {goes.date()}",))
    if terms.approval is Approval.PERSON and not terms.agreed(proposal):
        barred = f"{proposal.who} said yes, and may not any more; " if proposal.answer is Answer.YES else ""
        return Verdict(Consent.AWAITED, (f"{told}, {barred}waits for a person's yes",))
    return Verdict(Consent.GIVEN, (told, f"approved by {proposal.who}") if proposal.answer is Answer.YES else (told,))
