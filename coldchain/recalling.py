"""Recalling: from an archive that has to be asked to a place where programs work. A recall is written down before anything is asked for.

Nobody waits in between: each look goes as far as it can, and what was asked for is never said to be readable before all of it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from coldchain import files, transfer
from coldchain.copies import CopyState
from coldchain.errors import ColdchainError, NotInCatalogue, NotReadableYet, TransientError
from coldchain.media import State
from coldchain.recall import Recall, RecallState
from coldchain.store import Recallable

if TYPE_CHECKING:
    from coldchain.copies import Artifact, Copy
    from coldchain.workspace import Workspace

Tell = Callable[[str], None]


def recall(
    ws: Workspace, artifact: Artifact, to: str, *, days: int, who: str, progress: files.Progress = files.no_progress, tell: Tell = print
) -> Recall:
    """Bring an artifact to a place, at once where a copy can be read, else after its archive was asked.

    Raises:
        EgressRefused: the project's data may not go there; nothing was asked for.
    """
    transfer.permit(ws, artifact.dataset, to)
    asked = Recall(artifact.id, to, days, who, ws.now())
    ws.catalogue.save_recall(asked)
    return go_on(ws, asked, progress, tell)


def go_on_all(ws: Workspace, progress: files.Progress = files.no_progress, tell: Tell = print) -> list[Recall]:
    """Look at every recall that waits, and go as far as each can."""
    return [go_on(ws, asked, progress, tell) for asked in ws.catalogue.recalls(RecallState.WAITING)]


def go_on(ws: Workspace, asked: Recall, progress: files.Progress = files.no_progress, tell: Tell = print) -> Recall:
    """Deliver, or ask the archive again and wait; what nothing but a person can mend ends the recall."""
    artifact = ws.catalogue.artifact(asked.artifact)
    try:
        transfer.deliver(ws, artifact, asked.to, progress)
    except NotReadableYet:
        found = replace(asked, why=_ask(ws, artifact, asked.days))
    except TransientError as error:
        found = replace(asked, why=str(error))
    except NotInCatalogue as error:
        found = _shelved(ws, asked) or replace(asked, state=RecallState.FAILED, why=str(error), ended_at=ws.now())
    except ColdchainError as error:
        found = replace(asked, state=RecallState.FAILED, why=str(error), ended_at=ws.now())
    else:
        found = replace(asked, state=RecallState.DONE, why="", ended_at=ws.now())
    ws.catalogue.save_recall(found)
    tell(f"{artifact.label} to {asked.to}: {found.state}{': ' + ' '.join(found.why.split()) if found.why else ''}")
    return found


def _shelved(ws: Workspace, asked: Recall) -> Recall | None:
    """A recall that waits for a medium which somebody has to put in; nothing where no medium on a shelf has it."""
    media, places = ws.catalogue.media(), ws.site.by_name
    states = [CopyState.VERIFIED]
    on = [copy.location for copy in ws.catalogue.copies(artifact=asked.artifact, states=states) if copy.location in media]
    lines = [f"{name} has it, and is {media[name]}: put it in" for name in on if name in places and media[name].state is not State.LOST]
    return replace(asked, why="; ".join(lines)) if lines else None


def _ask(ws: Workspace, artifact: Artifact, days: int) -> str:
    """Ask the first archive that can give an artifact; says how far it is, or why none can be asked now."""
    refused = []
    for copy in transfer.readable(ws, artifact):
        try:
            if said := _asked(ws, copy, days):
                return said
        except TransientError as error:
            refused.append(str(error))
    return "; ".join(refused) or "no archive could be asked"


def _asked(ws: Workspace, copy: Copy, days: int) -> str:
    store = ws.store(copy.location)
    if not isinstance(store, Recallable):
        return ""
    store.recall(copy.path, days)
    found = store.recalled(copy.path)
    return f"asked {copy.location} for it: {found.readable} of {found.files} files can be read by now"
