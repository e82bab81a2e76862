"""What there is, where it stands, and what protects it: the catalogue as people read it. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coldchain import retention
from coldchain.copies import Artifact, Copy, CopyState
from coldchain.ledger import Ledger
from coldchain.standing import remakeable, standing

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


def rows(ledger: Ledger, policy: Policy, now: dt.datetime, dataset: str | None = None) -> list[Row]:
    """One row an artifact, in the order they were made."""
    return [_row(artifact, ledger, policy, now) for artifact in ledger.artifacts.values() if dataset in {None, artifact.dataset}]


def _row(artifact: Artifact, ledger: Ledger, policy: Policy, now: dt.datetime) -> Row:
    copies = ledger.by_artifact.get(artifact.id, [])
    found = standing(artifact, ledger, policy, now)
    rule = policy.rule(artifact.level, ledger.project(artifact))
    scratch = {name for name, location in ledger.locations.items() if location.transient}
    due = [retention.due(copy, policy) for copy in copies if copy.location in scratch and copy.state is CopyState.VERIFIED]
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
