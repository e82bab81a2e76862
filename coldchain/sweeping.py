"""The sweep: plan what falls due, tell, recheck under leases, trash, delete, receipt; then look at what is short.

`coldchain.retention` decides; nothing here removes what a plan made in that very moment does not name.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from coldchain import auditing, clock, legal_holds, planning, provenance, reviewing, shelving
from coldchain.copies import CopyState
from coldchain.errors import ColdchainError
from coldchain.proposals import Answer
from coldchain.removing import Removal, bring_back, end_deletion
from coldchain.report import Line, Part, Report, line_of
from coldchain.retention import GOING, Action

if TYPE_CHECKING:
    from coldchain.copies import Copy
    from coldchain.ledger import Ledger
    from coldchain.policy import Ground
    from coldchain.retention import Decision, Plan
    from coldchain.workspace import Workspace

Tell = Callable[[str], None]

AHEAD = dt.timedelta(days=30)
"""So far ahead a report says what falls due."""


def sweep(ws: Workspace, *, dry_run: bool, tell: Tell = lambda _line: None) -> Report:
    """Read back what is due, and let go what policy and people let go; a dry run reads, dates, plans and reports."""
    audited = auditing.audit(ws, tell=tell)
    report = Report(ws.now(), dry_run, f"{ws.policy.name} v{ws.policy.version}", ws.site.site, read_back=audited.copies)
    report.doubted_clock = clock.believe(ws)
    planning.date_anew(ws)
    if not dry_run and not report.doubted_clock:
        legal_holds.keep_up(ws, tell=tell)
    for ledger, plan in planning.planned(ws):
        _report(report, ledger, plan)
        if not dry_run:
            _act(ws, ledger, plan, report, tell)
    reviewing.review(ws)
    _look_around(ws, report)
    ws.catalogue.add_receipt("sweep", _account(report), provenance.who(), ws.now())
    return report


def _account(report: Report) -> dict[str, object]:
    """What stays on record of a sweep: that it ran, and how much it did."""
    counts = {name: part.count for name, part in vars(report).items() if isinstance(part, Part)}
    run = uuid.uuid4().hex
    return {
        "run": run,
        "dry_run": report.dry_run,
        "policy": report.policy,
        "notice": report.notice,
        "counts": counts,
        "removals": report.receipts,
    }


def _report(report: Report, ledger: Ledger, plan: Plan) -> None:
    """Sort the decisions of a plan into the parts of the report that do not depend on what is done."""
    for decision in plan.decisions:
        copy = ledger.by_id[decision.copy]
        if decision.action is Action.ASK:
            report.waiting.add(line_of(ledger, copy, decision.reasons))
        elif decision.action is Action.NOTIFY:
            report.noticed.add(line_of(ledger, copy, decision.reasons))
        elif _refused(ledger, decision):
            report.refused.add(line_of(ledger, copy, decision.reasons))
        elif decision.action is Action.KEEP and _due(ledger, copy, report.at):
            report.kept.add(line_of(ledger, copy, decision.reasons))
        elif report.dry_run:
            _would(report, ledger, decision)
    for warning in plan.warnings:
        report.warnings.add(Line(warning, "", 0, ()))


def _would(report: Report, ledger: Ledger, decision: Decision) -> None:
    """What a dry run would have done."""
    at_once = decision.action is Action.DELETE or (decision.action is Action.REMOVE and not decision.grace_days)
    parts = {Action.RECALL: report.recalled, Action.REMOVE: report.trashed}
    part = report.removed if at_once else parts.get(decision.action)
    if part is not None:
        part.add(line_of(ledger, ledger.by_id[decision.copy], decision.reasons))


def _refused(ledger: Ledger, decision: Decision) -> bool:
    proposal = ledger.proposed.get(decision.copy)
    return decision.action is Action.KEEP and proposal is not None and proposal.answer is Answer.NO


def _due(ledger: Ledger, copy: Copy, now: dt.datetime) -> bool:
    """Whether people expect to read why a copy stays."""
    location = ledger.locations.get(copy.location)
    return (location is not None and location.transient) or (copy.due_at is not None and copy.due_at <= now)


def _act(ws: Workspace, ledger: Ledger, plan: Plan, report: Report, tell: Tell) -> None:
    """Do what a plan says: tell, drop what changed, bring back, remove."""
    _notify(ws, plan, report)
    if not report.doubted_clock:
        _drop(ws, ledger, plan, report)
    for decision in plan.of(Action.RECALL):
        _recall(ws, ledger, decision, report, tell)
    if going := plan.of(*GOING):
        Removal(ws, report, tell).run(ledger, going)
    planning.redate(ws, [copy for copy in _kept(ledger, plan) if copy.due_at is not None and copy.due_at <= ws.now()])


def _notify(ws: Workspace, plan: Plan, report: Report) -> None:
    """Tell of what is to go, all in one notice a sweep."""
    found: list[tuple[int, Ground]] = [(each.copy, each.ground) for each in plan.of(Action.NOTIFY) if each.ground is not None]
    if found:
        report.notice = ws.catalogue.propose(found, ws.policy.digest, ws.now(), notice=report.notice or None)


def _drop(ws: Workspace, ledger: Ledger, plan: Plan, report: Report) -> None:
    """Close the proposals whose copies may not go any more; what cannot be reached, is in use or in the trash now keeps its own."""
    ended: dict[int, str] = {}
    for decision in plan.of(Action.KEEP, Action.VERIFY):
        copy, proposal = ledger.by_id[decision.copy], ledger.proposed.get(decision.copy)
        for_now = copy.location not in ledger.reachable or copy.artifact in ledger.leases_of or copy.state is CopyState.TRASHED
        if proposal is not None and proposal.answer is not Answer.NO and not for_now:
            ended[proposal.id] = "; ".join(decision.reasons)
            report.dropped.add(line_of(ledger, copy, decision.reasons))
    if ended:
        ws.catalogue.close_proposals(ended, ws.now())


def _recall(ws: Workspace, ledger: Ledger, decision: Decision, report: Report, tell: Tell) -> None:
    """Bring a copy back from the trash; one whose deletion was cut off after its last byte gets its receipt instead."""
    copy = ledger.by_id[decision.copy]
    tell(f"bring back {copy.artifact[:60]} at {copy.location}")
    try:
        if ended := end_deletion(ws, copy, report.policy):
            report.receipts.append(ended)
            report.removed.add(line_of(ledger, copy, (copy.detail,)))
            return
        bring_back(ws, ledger.artifacts[copy.artifact], copy)
    except ColdchainError as error:  # it stays in the trash, where nothing deletes it while it is not covered
        report.dropped.add(line_of(ledger, copy, (str(error),)))
    else:
        report.recalled.add(line_of(ledger, copy, decision.reasons))


def _kept(ledger: Ledger, plan: Plan) -> Iterable[Copy]:
    kept = (ledger.by_id[decision.copy] for decision in plan.of(Action.KEEP, Action.VERIFY))
    return (copy for copy in kept if copy.state is CopyState.VERIFIED)


def _look_around(ws: Workspace, report: Report) -> None:
    """What is damaged, short, or falls due soon, and how much stands where."""
    now, catalogue = ws.now(), ws.catalogue
    reachable = ws.reachable()
    report.media = tuple(shelving.look(ws))
    known = {each.location for each in report.media}
    report.unreachable = tuple(name for name in ws.stores if name not in reachable and name not in known)
    report.braked = catalogue.brakes()
    report.space = tuple(catalogue.totals())
    report.unknown = tuple(sorted({each.location for each in report.space} - ws.stores.keys()))
    for copy in catalogue.copies(states=[CopyState.SUSPECT, CopyState.LOST]):
        report.damaged.add(_line(ws, copy, (copy.detail,)))
    soon = catalogue.falling_due(now, now + AHEAD, limit=len(report.falling_due.lines) + 500)
    for copy in soon:
        report.falling_due.add(_line(ws, copy, (f"falls due on {copy.due_at:%Y-%m-%d}",)))
    report.falling_due.count, report.falling_due.bytes = catalogue.count_due(now, now + AHEAD)
    for artifact, reasons in catalogue.shortfalls(500):
        report.short.add(Line(artifact[:80], "", 0, reasons))
    report.short.count = catalogue.count_short()


def _line(ws: Workspace, copy: Copy, reasons: tuple[str, ...]) -> Line:
    artifact = ws.catalogue.artifact(copy.artifact)
    return Line(artifact.label, copy.location, artifact.bytes, reasons)
