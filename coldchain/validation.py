"""Which tables have passed the gate, and which have not, and so keep what they were made of. Pure.

A table has passed where a release was made of it, and that release still stands or is asked for no more: nothing becomes a release
without the gate. Where no table was made yet nothing waits for one, so images that are no plate are never kept by this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from coldchain.levels import Level
from coldchain.literal import literal
from coldchain.overrides import Check

if TYPE_CHECKING:
    from coldchain.copies import Artifact
    from coldchain.provenance import Activity
    from coldchain.standing import Judge

TABLES = frozenset({Level.SINGLE_CELL_PROFILES, Level.BULK_PROFILES})
"""Levels whose tables the gate judges."""

ACQUIRED = frozenset({Level.RAW, Level.STANDARD})
"""Levels that are not computed: what is staged of them stands elsewhere, and may leave scratch before the tables are made."""

_NAMED = 3
"""Tables that a reason names."""


def waiting(artifact: Artifact, judge: Judge) -> list[Artifact]:
    """Tables that have not passed the gate: the artifact itself, where it is one, and what was made from it, step by step.

    For images of cells, those of the masks by which they were cut.

    Those that the policy asks for no more are left out, and those in whose place another one of their dataset passed: a later one, or
    one that a person chose; but not the one that a person chose. An approved override of `gate` for the artifact's dataset leaves out all.
    """
    if any(each.check is Check.GATE for each in judge.overrides(artifact)):
        return []
    made = {each.id: each for start in (artifact, *_cut_by(artifact, judge)) for each in (start, *judge.descendants(start))}
    tables = (each for each in made.values() if each.level in TABLES)
    return [each for each in tables if not (judge.ended(each) or passed(each, judge) or _replaced(each, judge))]


def _cut_by(artifact: Artifact, judge: Judge) -> list[Artifact]:
    """Masks by which images of cells were cut: whoever mends their tables looks at the images, though no table is made of them."""
    activity = judge.ledger.activities.get(artifact.activity)
    if artifact.level is not Level.SINGLE_CELL_IMAGES or activity is None:
        return []
    inputs = (judge.ledger.artifacts.get(name) for name in activity.inputs)
    return [each for each in inputs if each is not None and each.level is Level.MASKS]


def passed(table: Artifact, judge: Judge) -> bool:
    """Whether a release was made of a table, of which a verified copy is left, or which the policy asks for no more."""
    releases = (each for each in judge.ledger.made_from.get(table.id, ()) if each.level is Level.RELEASE)
    return any(judge.ended(each) or any(True for _ in judge.copies_of(each)) for each in releases)


def _replaced(table: Artifact, judge: Judge) -> bool:
    """Whether another table of the same dataset and level passed that was made later, or that a person's choice makes the current one.

    Nothing takes the place of the one that a person's choice makes the current one.
    """
    others = judge.ledger.of_level.get((table.dataset, table.level), ())
    current = judge.ledger.chosen.get(table.dataset, frozenset())
    if table.id in current:
        return False
    return any((each.made_at > table.made_at or each.id in current) and passed(each, judge) for each in others)


def reason(tables: Sequence[Artifact]) -> str:
    """Say which tables are waited for."""
    more = f" and {len(tables) - _NAMED} more" if len(tables) > _NAMED else ""
    return f"the tables made of it have not passed the gate: {', '.join(each.label for each in tables[:_NAMED])}{more}"


def said_of(table: Artifact, releases: Mapping[Artifact, Activity]) -> str:
    """Say in Markdown, for whoever finds a table, whether it passed the gate: of which releases it is, and what a person accepted."""
    of = sorted((each for each, activity in releases.items() if table.id in activity.inputs), key=lambda each: each.made_at)
    if not of:
        return "**Not validated**: no release was made of it, so it has not passed the gate.\n"
    lines = [f"- {each.label}, {each.made_at:%Y-%m-%d}{_accepted(table, releases[each])}" for each in of]
    return "Validated: it passed the gate, and is of these releases:\n\n" + "\n".join(lines) + "\n"


def _accepted(table: Artifact, activity: Activity) -> str:
    """What a person accepted of a table in a release, as its activity keeps it."""
    accepted = [each for report in activity.findings.get("gate", ()) for each in report.get("accepted", ()) if each["table"] == table.id]
    return "".join(
        literal(f"; {each['who']} accepted: {each['failure']['says']} ({each['failure']['found']}): {each['reason']}") for each in accepted
    )
