"""Watching the acquisition folders: looking at each, deciding what is finished, and writing down what became of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from prefect import task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

from coldchain import instrument, yamlfile
from coldchain.dataset import Dataset
from coldchain.errors import ConfigurationError, InputError, LocationUnreachable, TransientError
from coldchain.looking import DESCRIPTION, look
from coldchain.watching import Acquisition, Look, State, next_of, taken_in, twin
from tasks.running import say, work
from tasks.workspace import open_workspace

if TYPE_CHECKING:
    from coldchain.workspace import Workspace

MOST = 500
"""Rows of the table that people see."""


@work
def look_around() -> list[Acquisition]:
    """Look at every acquisition folder once, and write down what is known of it now; gives those that are ready to be taken.

    Raises:
        LocationUnreachable: the folder of the acquisitions is not there; what was known stays.
    """
    ws = open_workspace()
    root = ws.site.path(ws.site.acquisition)
    known = {each.folder: each for each in ws.catalogue.acquisitions()}
    names = _folders(root)
    for gone in sorted(known.keys() - set(names)):
        ws.catalogue.forget_acquisition(gone)
    found = [_looked_at(ws, root, name, known) for name in names]
    for each in found:
        ws.catalogue.save_acquisition(each)
        if each.state is not (known[each.folder].state if each.folder in known else None):
            say(f"{each.folder}: {each.state}{': ' if each.why else ''}{each.why}")
    return [each for each in found if each.state is State.READY]


def _folders(root: Path) -> list[str]:
    """Names of the folders below the root that could be acquisitions."""
    try:
        return sorted(path.name for path in root.iterdir() if path.is_dir() and not path.is_symlink() and not path.name.startswith("."))
    except OSError as error:
        raise LocationUnreachable(
            "the acquisition folders cannot be looked at", on=root, got=error.strerror, done="nothing was changed", hint="mount it"
        ) from error


def _looked_at(ws: Workspace, root: Path, name: str, known: dict[str, Acquisition]) -> Acquisition:
    before, seen = known.get(name), look(root, name, ws.site.watch, ws.now())
    try:
        dataset = _described(root / name / DESCRIPTION)
    except ConfigurationError as error:
        return replace(next_of(before, seen, ws.site.watch), state=State.QUARANTINED, why=str(error))
    found = next_of(before, seen, ws.site.watch, dataset)
    return _once(found, seen, list(known.values())) if found.state is State.READY else found


def _described(path: Path) -> str:
    """Which dataset a folder says it is; nothing where it does not say."""
    return yamlfile.load(path, Dataset).id if path.exists() else ""


def _once(found: Acquisition, seen: Look, others: list[Acquisition]) -> Acquisition:
    """Take nothing twice: a folder that was renamed, or copied in again, is the one that was taken before."""
    if other := twin(found, seen, others):
        return replace(found, state=State.TAKEN, taken=seen.content, why=f"the same files were taken in from {other}")
    return found


@dataclass(frozen=True)
class Outcome:
    """What became of one acquisition that was ready."""

    folder: str
    state: State
    why: str = ""


@contextmanager
def noting(ready: Acquisition, outcomes: list[Outcome]) -> Iterator[None]:
    """Write down what became of taking an acquisition in; an error ends here, so that the others have their turn.

    What may go better by itself leaves it ready, and the next watch tries again.
    """
    try:
        yield
    except TransientError as error:
        outcomes.append(Outcome(ready.folder, State.READY, str(error)))
    except Exception as error:  # noqa: BLE001 - whatever is wrong with one, the others have their turn; `ended` raises
        note_quarantined(ready.folder, str(error) or type(error).__name__)
        outcomes.append(Outcome(ready.folder, State.QUARANTINED, str(error)))
    else:
        note_taken(ready)
        outcomes.append(Outcome(ready.folder, State.TAKEN))


def ended(outcomes: list[Outcome]) -> str:
    """Say what was taken in; raises InputError where something could not be, so that the run fails and people are told."""
    by = {state: [each.folder for each in outcomes if each.state is state] for state in (State.TAKEN, State.READY, State.QUARANTINED)}
    said = f"taken in: {', '.join(by[State.TAKEN]) or 'nothing'}"
    if by[State.READY]:
        said += f"; tried again later: {', '.join(by[State.READY])}"
    if by[State.QUARANTINED]:
        raise InputError(
            "acquisitions are in quarantine",
            on=", ".join(by[State.QUARANTINED]),
            got="\n".join(f"{each.folder}: {each.why}" for each in outcomes if each.state is State.QUARANTINED),
            done=said,
            hint="mend them, or copy them again: each is tried again once it changes",
        )
    return said


@work
def note_taken(ready: Acquisition) -> None:
    """Write down that a folder was taken in as it was when it was ready."""
    ws = open_workspace()
    seen = look(ws.site.path(ws.site.acquisition), ready.folder, ws.site.watch, ws.now())
    ws.catalogue.save_acquisition(taken_in(ready, seen))


@work
def note_quarantined(folder: str, why: str) -> None:
    """Write down why a folder could not be taken in; it is tried again once it changes."""
    ws = open_workspace()
    ws.catalogue.save_acquisition(replace(_known(ws, folder), state=State.QUARANTINED, why=why))
    say(f"{folder} is in quarantine: {why}")


def _known(ws: Workspace, folder: str) -> Acquisition:
    return next(each for each in ws.catalogue.acquisitions() if each.folder == folder)


def names_of(acquisition: Acquisition) -> dict[str, str]:
    """Project, dataset and folder, as the form of an ingest wants them."""
    project, _, dataset = acquisition.dataset.partition("/")
    return {"project": project, "dataset": dataset, "folder": acquisition.folder}


@task(cache_policy=NO_CACHE)
def show_inbox() -> None:
    """Show every acquisition folder with how far it has come; what wants a person stands first."""
    order = [State.QUARANTINED, State.CHANGED, State.INBOX, State.READY, State.SETTLING, State.GROWING, State.EMPTY, State.TAKEN]
    found = sorted(open_workspace().catalogue.acquisitions(), key=lambda each: (order.index(each.state), each.folder))
    rows = [{"folder": each.folder, "state": each.state, "dataset": each.dataset or "?", "why": each.why} for each in found]
    waiting = sum(each.state in {State.QUARANTINED, State.CHANGED, State.INBOX} for each in found)
    create_table_artifact(rows[:MOST], key="inbox", description=f"Acquisitions: {waiting} of {len(found)} want a person. {HOW}")


@work
def tell_operator() -> None:
    """Write beside the acquisition folders what is safe, where the site has a location for them."""
    instrument.tell_operator(open_workspace())


HOW = "Inbox: say in the form `describe` which dataset it is. Quarantine: the reason is named; it is tried again once the folder changes."
