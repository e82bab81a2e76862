"""Approving: what people are told of, what they answer, and for how long they say "not yet". Silence is no."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from coldchain import consent, legal_holds, planning, retention
from coldchain.dues import later
from coldchain.errors import NotInCatalogue, Refused
from coldchain.proposals import Answer, Proposal
from coldchain.standing import Judge

if TYPE_CHECKING:
    from coldchain.approvers import Person
    from coldchain.copies import Artifact, Copy
    from coldchain.holds import Hold
    from coldchain.ledger import Ledger
    from coldchain.policy import Policy
    from coldchain.workspace import Workspace

PAGE = 50
"""Copies that are looked up at a time."""


@dataclass(frozen=True)
class Told:
    """One copy of a notice, as people read it; `goes_from` is the first day on which it may go, if the policy knows one."""

    dataset: str
    artifact: str
    copy: int
    location: str
    bytes: int
    ground: str
    told_at: dt.datetime
    goes_from: dt.datetime | None
    answer: Answer
    who: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Right:
    """Which datasets of some proposals a person may answer for, and who may for the others."""

    may: tuple[str, ...] = ()
    others: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def may_answer(person: Person, proposals: Iterable[Proposal], policy: Policy, ledger: Ledger) -> Right:
    """Whether a person may answer: for a dataset only where the policy lets them for every copy of it. Pure."""
    may: dict[str, None] = {}
    others: dict[str, tuple[str, ...]] = {}
    for proposal in proposals:
        artifact = _artifact(ledger, proposal)
        if artifact is None:
            others[f"copy {proposal.copy}"] = ()
            continue
        named = policy.approvers_of(policy.rule(artifact.level, ledger.project(artifact)))
        if lets(person, named):
            may[artifact.dataset] = None
        else:
            others[artifact.dataset] = tuple(name for name in others.get(artifact.dataset, named) if name in named)
    return Right(tuple(name for name in may if name not in others), others)


def lets(person: Person, named: Sequence[str]) -> bool:
    """Whether a policy's approvers let a person approve; where none is named, everybody who is established."""
    return not named or person.name in named


def _artifact(ledger: Ledger, proposal: Proposal) -> Artifact | None:
    copy = ledger.by_id.get(proposal.copy)
    return ledger.artifacts.get(copy.artifact) if copy else None


def told(ws: Workspace, notice: int, datasets: Sequence[str] = ()) -> list[Told]:
    """What is open in a notice, or in some datasets of it, each copy with its reasons; raises NotInCatalogue."""
    return [each for ledger, proposals in _open(ws, notice, datasets) for each in _read(ws, ledger, proposals)]


def _read(ws: Workspace, ledger: Ledger, proposals: Sequence[Proposal]) -> list[Told]:
    reasons = {each.copy: each.reasons for each in retention.plan(ledger, ws.policy, ws.now()).decisions}
    judge = Judge(ledger, ws.policy, ws.now())
    return [_told(judge, each, reasons[each.copy]) for each in proposals if each.copy in reasons]


def _told(judge: Judge, proposal: Proposal, reasons: tuple[str, ...]) -> Told:
    copy = judge.ledger.by_id[proposal.copy]
    artifact = judge.ledger.artifacts[copy.artifact]
    return Told(
        dataset=artifact.dataset,
        artifact=artifact.label,
        copy=copy.id,
        location=copy.location,
        bytes=artifact.bytes,
        ground=proposal.ground,
        told_at=proposal.told_at,
        goes_from=_goes_from(judge, artifact, copy, proposal),
        answer=proposal.answer,
        who=proposal.who,
        reasons=reasons,
    )


def _goes_from(judge: Judge, artifact: Artifact, copy: Copy, proposal: Proposal) -> dt.datetime | None:
    location = judge.ledger.locations.get(copy.location)
    if location is None:
        return None
    return later(proposal.told_at, consent.terms_of(location, judge.rule(artifact), judge.policy, proposal.ground).notice_days)


def answer(ws: Workspace, person: Person, notice: int, said: Answer, *, datasets: Sequence[str] = (), note: str = "") -> str:
    """Answer for all copies of a notice, or of some datasets of it, as they are told now; gives what was answered in one sentence.

    Raises:
        NotInCatalogue: nothing is open there; nothing was changed.
        Refused: the person may not answer for each of these datasets; nothing was changed.
    """
    rights: list[Right] = []
    copies: list[Told] = []
    seen: set[int] = set()
    for ledger, proposals in _open(ws, notice, datasets):
        rights.append(may_answer(person, proposals, ws.policy, ledger))
        copies += _read(ws, ledger, proposals)
        seen |= {proposal.id for proposal in proposals}
    _refuse_others(person, notice, rights)
    ws.catalogue.answer(notice, said, str(person), person.how, note, ws.now(), datasets=datasets, only=seen)
    return _sentence(person, notice, said, copies)


def _refuse_others(person: Person, notice: int, rights: Sequence[Right]) -> None:
    others = {name: named for right in rights for name, named in right.others.items()}
    if others:
        may = sorted(name for right in rights for name in right.may)
        raise Refused(
            f"{person} may not answer for all of notice {notice}",
            on=", ".join(sorted(others)),
            expected="; ".join(sorted({", ".join(named) or "nobody may for all of it" for named in others.values()})),
            got=f"{person}, who may answer for {', '.join(may) or 'nothing in it'}",
            done="nothing was answered",
            hint="name the datasets that you may answer for; a hold keeps any dataset, and anybody may put one",
        )


def _sentence(person: Person, notice: int, said: Answer, copies: Sequence[Told]) -> str:
    size = sum(each.bytes for each in copies) / 1e6
    head = f"{person} said {said} to {len(copies)} copies, {size:.1f} MB, of notice {notice}."
    if said is not Answer.YES:
        return f"{head} They stay."
    days = [each.goes_from for each in copies if each.goes_from is not None]
    first = f"{min(days):%Y-%m-%d %H:%M} UTC" if days else "the policy knows a day for it"
    return f"{head} Nothing of it goes before {first}, and each is checked again before it goes."


def _open(ws: Workspace, notice: int, datasets: Sequence[str]) -> Iterator[tuple[Ledger, list[Proposal]]]:
    """Open proposals of a notice with what is known of their datasets, some at a time; raises NotInCatalogue."""
    found = _by_dataset(ws, ws.catalogue.proposals(notice=notice))
    if not found:
        raise NotInCatalogue("nothing is open in this notice", on=notice, hint="`coldchain notices` lists what is")
    if missing := [name for name in datasets if name not in found]:
        raise NotInCatalogue(f"nothing is open in notice {notice} for this dataset", on=", ".join(missing), got=", ".join(found))
    for names in planning.batches(dict.fromkeys(datasets) or found, planning.DATASETS):
        yield ws.ledger(names), [proposal for name in names for proposal in found[name]]


def _by_dataset(ws: Workspace, proposals: Sequence[Proposal]) -> dict[str, list[Proposal]]:
    """Proposals by their dataset; without those whose copy was removed since they were read."""
    left = sorted(proposals, key=lambda each: each.copy)
    found: dict[str, list[Proposal]] = {}
    while left:
        page = {copy.id: copy for copy in ws.catalogue.copies_page(left[0].copy - 1, PAGE)}
        for proposal in left:
            if copy := page.get(proposal.copy):
                found.setdefault(copy.artifact.rsplit("/", 1)[0], []).append(proposal)
        last = max(page, default=left[-1].copy)
        left = [proposal for proposal in left if proposal.copy > last]
    return found


def last_day(now: dt.datetime, days: int) -> dt.date:
    """Last day of a hold that is to last so many days from now."""
    return later(now, days).astimezone(dt.UTC).date()


def prolong(ws: Workspace, dataset: str, days: int, reason: str, who: str) -> Hold:
    """Say "not yet" to all of a dataset, for so many days from now; the longest of its holds counts."""
    held = ws.catalogue.add_hold(dataset, reason, who, last_day(ws.now(), days))
    legal_holds.keep_up(ws, [dataset])
    return held
