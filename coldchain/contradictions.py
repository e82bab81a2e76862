"""Contradictions: what a policy says against itself, or against what must never be let go. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING

from coldchain.complaints import Complaint, Place
from coldchain.levels import IRREPLACEABLE, Level
from coldchain.origins import Origin

if TYPE_CHECKING:
    from coldchain.policy import Policy, Rule

_FEWEST = 2
"""Copies of what cannot be made again: with one, its first failure is a loss."""


def of_rule(rule: Rule) -> Iterator[Complaint]:
    """List what one rule says against itself, or against what cannot be made again."""
    held = ", ".join(sorted(IRREPLACEABLE & set(rule.levels)))
    if rule.disposal and not rule.remake:
        yield Complaint(("disposal",), "it is for what can be made again", "`remake: true` beside it", "`remake: false`")
    if held and rule.remake:
        yield Complaint(("remake",), f"{held} cannot be made again", "false", got=True)
    if held and rule.wanted.copies < _FEWEST:
        yield Complaint(
            ("wanted", "copies"), f"{held} cannot be made again: one copy is not enough", f"at least {_FEWEST}", rule.wanted.copies
        )
    if held and rule.lifetime and rule.lifetime.approval != "person":
        yield Complaint(("lifetime", "approval"), f"{held} cannot be made again", "person", rule.lifetime.approval)


def of_policy(policy: Policy) -> Iterator[Complaint]:
    """List what the whole policy says against itself, or against what cannot be made again."""
    return chain(_unspoken(policy), _shortened(policy), _unreachable(policy), _unread(policy), _too_early(policy), _named_twice(policy))


def _unspoken(policy: Policy) -> Iterator[Complaint]:
    """Levels that nothing would protect in a project of some origin and of a class that no rule knows."""
    spoken = {(level, origin) for rule in policy.rules if not rule.classes for level in rule.levels for origin in rule.origins}
    for level in Level:
        if missing := [origin for origin in Origin if (level, origin) not in spoken]:
            hint = "a last rule without `origins` and `classes`"
            yield Complaint(("rules",), "no rule for every class speaks of a level", got=f"{level} for {', '.join(missing)}", hint=hint)


def _shortened(policy: Policy) -> Iterator[Complaint]:
    """Lifetimes of what cannot be made again that are shorter than the policy protects."""
    for number, rule in enumerate(policy.rules):
        held = ", ".join(sorted(IRREPLACEABLE & set(rule.levels)))
        if held and rule.lifetime and rule.lifetime.years < policy.protected_years:
            least = f"at least {policy.protected_years}, the `protected_years`"
            yield Complaint(("rules", number, "lifetime", "years"), f"{held} cannot be made again", least, rule.lifetime.years)


def _unreachable(policy: Policy) -> Iterator[Complaint]:
    for number, rule in enumerate(policy.rules):
        cases = ((level, origin, name) for level in rule.levels for origin in rule.origins for name in rule.classes or (None,))
        if all(any(before.covers(*case) for before in policy.rules[:number]) for case in cases):
            hint = "put it before them, or take it out"
            yield Complaint(("rules", number), "the rule never holds: the ones before it speak of everything that it speaks of", hint=hint)


def _unread(policy: Policy) -> Iterator[Complaint]:
    """Copies that would stop counting before they are read again."""
    windows = [rule.wanted.verified_within_days for rule in policy.rules]
    shortest = f"below {min(windows)}, the `verified_within_days` of rules.{windows.index(min(windows))}"
    audit: dict[Place, float] = {("audit", "every_days"): policy.audit.every_days}
    audit |= {("audit", "locations", name): days for name, days in policy.audit.locations.items()}
    for place, days in audit.items():
        if days >= min(windows):
            yield Complaint(place, "copies would stop counting before they are read again", shortest, f"{days:g}")


def _too_early(policy: Policy) -> Iterator[Complaint]:
    """High-water marks at which copies would go later than they go anyway."""
    if policy.high_water is None:
        return
    purges: dict[Place, float] = {("rules", n, "purge"): rule.purge.after_days for n, rule in enumerate(policy.rules) if rule.purge}
    for place, days in {("purge",): policy.purge.after_days, **purges}.items():
        if policy.high_water.after_days > days:
            field = ".".join(str(part) for part in (*place, "after_days"))
            yield Complaint(
                ("high_water", "after_days"),
                "near the high-water mark copies would go later than they go anyway",
                f"at most {days:g}, the {field}",
                f"{policy.high_water.after_days:g}",
            )


def _named_twice(policy: Policy) -> Iterator[Complaint]:
    lists: dict[Place, tuple[str, ...]] = {("approvers",): policy.approvers}
    lists |= {("rules", number, "approvers"): rule.approvers for number, rule in enumerate(policy.rules)}
    for place, names in lists.items():
        for number, name in enumerate(names):
            if name in names[:number]:
                yield Complaint((*place, number), "a person is named twice", "each name once", name)
