"""Handing data over: from the instrument to the NAS, and from one location to another."""

from __future__ import annotations

from coldchain import provenance, transfer
from coldchain.copies import Copy, CopyState
from coldchain.levels import Level
from coldchain.making import Made, Step, take_in
from tasks.running import progress, say, work
from tasks.workspace import open_workspace


@work
def take_from_instrument(dataset: str, folder: str) -> Made:
    """Copy an acquisition to the NAS as raw, byte for byte, verified and write-protected."""
    ws = open_workspace()
    source = ws.site.path(ws.site.acquisition) / folder
    made = take_in(ws, Step("ingest", dataset, Level.RAW), source, ws.site.roles.nas, progress(f"raw of {dataset}"))
    say(f"{made.artifact.label}: {'taken in' if made.new else 'stands already, nothing to do'}")
    return made


@work
def deliver(dataset: str, level: Level, to: str) -> Copy:
    """Make a verified copy of a level at a location, with its README and provenance beside it."""
    ws = open_workspace()
    artifact = ws.current(dataset, level)
    stood = any(copy.state is CopyState.VERIFIED for copy in ws.catalogue.copies(artifact=artifact.id, location=to))
    copy = transfer.deliver(ws, artifact, to, progress(f"{level} of {dataset} to {to}"))
    if not stood:
        activity, store = ws.catalogue.activity(artifact.activity), ws.store(to)
        store.annotate(copy.path, "README.md", provenance.readme(artifact, activity).encode())
        store.annotate(copy.path, "provenance.json", provenance.to_json(artifact, activity))
    say(f"{artifact.label} at {to}: {'stands already, nothing to do' if stood else 'copied and verified'}")
    return copy
