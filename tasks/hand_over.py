"""Handing data over: from the instrument to the NAS, and from one location to another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coldchain import instrument, planning, provenance, transfer, validation
from coldchain.copies import Copy, CopyState
from coldchain.levels import Level
from coldchain.lineage import lineage
from coldchain.making import Made, Step, take_in
from coldchain.provenance_crate import to_crate
from coldchain.provenance_prov import to_prov
from coldchain.strays import NOTES
from tasks.running import progress, say, work
from tasks.turns import turn_at
from tasks.workspace import open_workspace

if TYPE_CHECKING:
    from coldchain.copies import Artifact
    from coldchain.workspace import Workspace


@work
def take_from_instrument(dataset: str, folder: str) -> Made:
    """Copy an acquisition to the NAS as raw, byte for byte, verified and write-protected."""
    ws = open_workspace()
    source = ws.site.path(ws.site.acquisition) / folder
    made = take_in(ws, Step("ingest", dataset, Level.RAW), source, ws.site.roles.nas, progress(f"raw of {dataset}"))
    say(f"{made.artifact.label}: {'taken in' if made.new else 'stands already, nothing to do'}")
    return made


@work
def hand_back(dataset: str, folder: str) -> None:
    """Let the sweep see that an acquisition folder is safe elsewhere, where the site lets it free the instrument's disk."""
    ws = open_workspace()
    copy = instrument.hand_back(ws, ws.current(dataset, Level.RAW), folder)
    if copy is not None:
        say(f"{folder} may leave {copy.location}" + (f" from {copy.due_at:%Y-%m-%d} on, if the policy lets it" if copy.due_at else ""))


@work
def deliver(dataset: str, level: Level, to: str) -> Copy:
    """Make a verified copy of a level at a location, with its README and provenance beside it."""
    ws = open_workspace()
    return _deliver(ws, ws.current(dataset, level), to)


@work
def deliver_wished(dataset: str) -> list[Copy]:
    """Make the copies that the policy misses of a dataset, of whatever level, of what stands at a lasting place."""
    ws = open_workspace()
    return [_deliver(ws, ws.catalogue.artifact(wish.artifact), wish.to) for wish in planning.wished(ws, dataset)]


def notes(ws: Workspace, artifact: Artifact) -> dict[str, bytes]:
    """What stands beside a copy's folder: README, our own record, W3C PROV and RO-Crate, the last two of the whole chain up to raw."""
    chain = lineage(ws.catalogue, artifact)
    contents = [
        (provenance.readme(*chain[0]) + _validated(ws, artifact)).encode(),
        provenance.to_json(*chain[0]),
        to_prov(chain),
        to_crate(chain),
    ]
    return dict(zip(NOTES, contents, strict=True))


def _validated(ws: Workspace, artifact: Artifact) -> str:
    """Whether a table passed the gate, in words; nothing of what is no table."""
    if artifact.level not in validation.TABLES:
        return ""
    releases = {each: ws.catalogue.activity(each.activity) for each in ws.catalogue.artifacts(artifact.dataset, Level.RELEASE)}
    return f"\n{validation.said_of(artifact, releases)}"


def _deliver(ws: Workspace, artifact: Artifact, to: str) -> Copy:
    stood = any(copy.state is CopyState.VERIFIED for copy in ws.catalogue.copies(artifact=artifact.id, location=to))
    with turn_at(ws.site.location(to)):
        copy = transfer.deliver(ws, artifact, to, progress(f"{artifact.level} of {artifact.dataset} to {to}"))
    if not stood or artifact.level in validation.TABLES:  # whether a table is validated may have changed since
        store = ws.store(to)
        for name, content in notes(ws, artifact).items():
            store.annotate(copy.path, name, content)
    say(f"{artifact.label} at {to}: {'stands already, nothing to do' if stood else 'copied and verified'}")
    return copy
