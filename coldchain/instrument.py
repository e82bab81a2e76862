"""Leaving the microscope: an acquisition folder whose files are on the NAS is a copy that never counts, and the sweep may let it go.

Nothing but the policy decides when: what it wants of raw data has to stand elsewhere, read back in that moment, and the folder itself is
read again before it goes, since the clock of an instrument says nothing of what changed. Only a site that gives its instruments' disk a
location has this; otherwise nothing below the acquisition folder is ever written to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coldchain import transfer
from coldchain.copies import Artifact, Copy, CopyState
from coldchain.files import write_durably
from coldchain.holds import Use
from coldchain.watching import Acquisition, State

if TYPE_CHECKING:
    from coldchain.workspace import Workspace

NOTE = "COLDCHAIN.txt"
"""What the operator reads on the workstation."""


def hand_back(ws: Workspace, raw: Artifact, folder: str) -> Copy | None:
    """Let the sweep see an acquisition folder that was taken in; nothing where the site has no location for its instruments.

    It has no time of a reading: whatever leans on it reads it. Raises LeaseTaken where it is being removed.
    """
    name = ws.site.roles.instrument
    if name is None:
        return None
    with ws.catalogue.lease([f"{raw.id} at {name}"], Use.ALONE, ws.now()):
        copy = ws.catalogue.start_copy(raw.id, name, folder, ws.now())
        if copy.state is not CopyState.COPYING:
            return copy
        due = transfer.due_at(ws, copy, ws.now())
        return ws.catalogue.change_copy(copy.id, state=CopyState.VERIFIED, due_at=due, detail="the instrument's own")


def tell_operator(ws: Workspace) -> None:
    """Write down beside the acquisition folders what is safe, and when it goes; nothing where the site has no location for them."""
    if name := ws.site.roles.instrument:
        root = ws.store(name).local(NOTE).parent
        write_durably(root / NOTE, note(ws).encode())


def note(ws: Workspace) -> str:
    """What the operator reads: each folder, whether its data are safe, and when it may go."""
    copies = {copy.path: copy for copy in ws.catalogue.copies(location=ws.site.roles.instrument, states=[CopyState.VERIFIED])}
    lines = [_line(each, copies.get(each.folder)) for each in ws.catalogue.acquisitions()]
    head = f"Coldchain, {ws.now():%Y-%m-%d %H:%M} UTC. Folders that are safe may be left here: they go by themselves.\r\n\r\n"
    return head + "\r\n".join(lines or ["There is no folder here."]) + "\r\n"


def _line(each: Acquisition, copy: Copy | None) -> str:
    folder = each.folder.encode("unicode_escape", "replace").decode()[:60] if not each.folder.isprintable() else each.folder[:60]
    if each.state is State.TAKEN:
        goes = f"; goes from {copy.due_at:%Y-%m-%d} on" if copy and copy.due_at else ""
        return f"SAFE      {folder}: on the NAS as {each.dataset}{goes}"
    return f"NOT SAFE  {folder}: {each.state}{': ' if each.why else ''}{' '.join(each.why.split())[:200]}"
