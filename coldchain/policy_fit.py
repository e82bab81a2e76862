"""Policy fit: whether a site's locations can give what its policy asks for. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from coldchain.complaints import Complaint, Place
from coldchain.dues import CLUSTER_MARGIN
from coldchain.location import Location, Medium

if TYPE_CHECKING:
    from coldchain.policy import Policy, Purge, Wanted

Reached = frozenset[tuple[frozenset[Medium], int]]
"""What copies in some failure domains can give together: sets of media, each with a number of copies off site."""

_MORE = "ask for less, or add a location to the site"


def check(policy: Policy, locations: Sequence[Location], home: str) -> Iterator[Complaint]:
    """List what a policy says that does not fit the locations of its site."""
    lasting = [location for location in locations if not location.transient and not location.retiring]
    scratch = [location for location in locations if location.transient]
    return chain(_unattainable(policy, lasting, home), _outrun(policy, scratch), _unknown(policy, locations))


def _unattainable(policy: Policy, lasting: Sequence[Location], home: str) -> Iterator[Complaint]:
    domains = sorted({location.domain for location in lasting})
    reached = _reached([[place for place in lasting if place.domain == domain] for domain in domains], home)
    for number, rule in enumerate(policy.rules):
        place = ("rules", number, "wanted")
        single = list(_lacking(place, rule.wanted, domains, reached))
        yield from single
        if not single and not any(len(media) >= rule.wanted.media and away >= rule.wanted.off_site for media, away in reached):
            asked = f"{rule.wanted.media} media with {rule.wanted.off_site} off site"
            yield Complaint(place, "no choice of lasting places gives both, with one copy in each failure domain", got=asked, hint=_MORE)


def _reached(domains: Sequence[Sequence[Location]], home: str) -> Reached:
    """What one copy in each failure domain can give, for every choice of places."""
    reached: Reached = frozenset({(frozenset(), 0)})
    for places in domains:
        options = {(place.medium, int(place.site != home)) for place in places}
        reached = frozenset((media | {medium}, away + more) for media, away in reached for medium, more in options)
    return reached


def _lacking(place: Place, wanted: Wanted, domains: Sequence[str], reached: Reached) -> Iterator[Complaint]:
    """What the site lacks of one of the counts, were it alone."""
    counts = {
        "copies": (wanted.copies, len(domains), f"failure domains of lasting places ({', '.join(domains)})"),
        "media": (wanted.media, max(len(media) for media, _ in reached), "media of lasting places in failure domains of their own"),
        "off_site": (wanted.off_site, max(away for _, away in reached), "failure domains with a lasting place off site"),
    }
    for name, (wish, most, what) in counts.items():
        if wish > most:
            yield Complaint((*place, name), "more than the site can give", f"at most {most}, the number of {what}", wish, _MORE)


def _outrun(policy: Policy, scratch: Sequence[Location]) -> Iterator[Complaint]:
    """Purges that come too late: the cluster would remove the copies before we do."""
    purges: dict[Place, Purge] = {("rules", n, "purge"): rule.purge for n, rule in enumerate(policy.rules) if rule.purge}
    if len(purges) < len(policy.rules):
        purges[("purge",)] = policy.purge
    for place, purge in purges.items():
        for location in scratch:
            yield from _late(place, purge, location.name, location.purge_age_days or 0)


def _late(place: Place, purge: Purge, name: str, theirs: int) -> Iterator[Complaint]:
    """The longer of after_days and idle_days, the notice and a margin have to end before the cluster's own purge; the grace comes after."""
    margin, first = CLUSTER_MARGIN.days, "idle_days" if purge.idle_days > purge.after_days else "after_days"
    days = (max(purge.after_days, purge.idle_days), purge.notice_days, margin)
    if sum(days) >= theirs:
        yield Complaint(
            (*place, first),
            f"the cluster would remove copies from {name} before we do",
            f"{first}, notice_days and a margin of {margin} days together below {theirs}, the purge_age_days of {name}",
            f"{' + '.join(f'{each:g}' for each in days)} = {sum(days):g}",
            f"shorten {first} or notice_days",
        )


def _unknown(policy: Policy, locations: Sequence[Location]) -> Iterator[Complaint]:
    names = [location.name for location in locations if not location.transient]
    for name in policy.audit.locations:
        if name not in names:
            scratch = any(location.name == name for location in locations)
            why = "a copy there never counts, and is not audited" if scratch else "the site has no such location"
            yield Complaint(("audit", "locations", name), why, f"one of {', '.join(names)}", name)
