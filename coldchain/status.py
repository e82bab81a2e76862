"""What there is, where it stands, and what protects it: the catalogue as people read it. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from coldchain import retention
from coldchain.choices import History, currents
from coldchain.copies import Artifact, Copy, CopyState
from coldchain.ledger import Ledger
from coldchain.staleness import Stale, Today, stale
from coldchain.standing import Judge, remakeable, standing

if TYPE_CHECKING:
    from coldchain.policy import Policy


@dataclass(frozen=True)
class Row:
    """One artifact: its copies by location, what counts, and when a copy falls due next."""

    dataset: str
    level: str
    digest: str
    files: int
    bytes: int
    copies: Mapping[str, str]
    counted: str
    protected: str
    wanted: str
    reasons: tuple[str, ...]
    read_back: dt.datetime | None
    falls_due: dt.datetime | None
    current: bool = True
    stale: tuple[str, ...] = ()


@dataclass(frozen=True)
class Versions:
    """Which artifacts are current, and what each that is stale is stale against; by their ids."""

    current: frozenset[str]
    stale: Mapping[str, Stale]

    def mark(self, row: Row, artifact: Artifact) -> Row:
        """A row with what is known of its artifact's version."""
        reasons = self.stale[artifact.id].reasons if artifact.id in self.stale else ()
        return replace(row, current=artifact.id in self.current, stale=tuple(map(str, reasons)))


def versions(histories: Mapping[str, History], today: Today) -> Versions:
    """What is current and what is stale of some datasets."""
    current = frozenset(artifact.id for history in histories.values() for artifact in currents(history).values())
    return Versions(current, {each.artifact.id: each for history in histories.values() for each in stale(history, today)})


def rows(ledger: Ledger, policy: Policy, now: dt.datetime, dataset: str | None = None, known: Versions | None = None) -> list[Row]:
    """One row an artifact, in the order they were made; all count as current where nothing is known of that."""
    artifacts = [artifact for artifact in ledger.artifacts.values() if dataset in {None, artifact.dataset}]
    found = [(_row(artifact, ledger, policy, now), artifact) for artifact in artifacts]
    return [known.mark(row, artifact) if known else row for row, artifact in found]


def _row(artifact: Artifact, ledger: Ledger, policy: Policy, now: dt.datetime) -> Row:
    copies = ledger.by_artifact.get(artifact.id, [])
    found = standing(artifact, ledger, policy, now)
    rule = policy.rule(artifact.level, ledger.project(artifact))
    scratch = {name for name, location in ledger.locations.items() if location.transient}
    judge = Judge(ledger, policy, now)
    due = [retention.due(copy, judge) for copy in copies if copy.location in scratch and copy.state is CopyState.VERIFIED]
    wanted = rule.wanted
    return Row(
        dataset=artifact.dataset,
        level=artifact.level,
        digest=artifact.digest[:12],
        files=artifact.files,
        bytes=artifact.bytes,
        copies={copy.location: describe(copy) for copy in copies},
        counted=counted(ledger, found.copies),
        protected=_protected(artifact, ledger, policy, now, stands=found.stands),
        wanted=f"{wanted.copies}-{wanted.media}-{wanted.off_site}" + (" or made again" if rule.remake else ""),
        reasons=found.reasons,
        read_back=min((copy.verified_at for copy in copies if copy.state is CopyState.VERIFIED and copy.verified_at), default=None),
        falls_due=min(due, default=None),
    )


def _protected(artifact: Artifact, ledger: Ledger, policy: Policy, now: dt.datetime, *, stands: bool) -> str:
    """Whether the policy's wish is fulfilled: ``yes``, ``remake`` (by what stands), or ``no``."""
    if stands:
        return "yes"
    return "remake" if remakeable(artifact, ledger, policy, now) else "no"


def describe(copy: Copy) -> str:
    """A copy's state in a few words, with the day its bytes were last read back."""
    if copy.state is CopyState.VERIFIED and copy.verified_at is not None:
        return f"verified {copy.verified_at:%Y-%m-%d %H:%M}"
    return str(copy.state)


def counted(ledger: Ledger, copies: tuple[int, ...]) -> str:
    """Copies that count, as in 3-2-1: copies-media-off site."""
    places = [ledger.locations[ledger.by_id[key].location] for key in copies]
    return f"{len(places)}-{len({place.medium for place in places})}-{sum(place.site != ledger.home for place in places)}"
