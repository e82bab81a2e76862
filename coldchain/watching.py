"""Watching acquisition folders: when one is finished. The decision is pure; what it knows are looks at the folder, by our own clock.

Files' own times say nothing: instruments' clocks are off, and folders are copied in by hand with old times. A folder is finished when
several looks found it the same for long enough; sooner where the instrument leaves a mark that it is done.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from enum import StrEnum
from fnmatch import fnmatch
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Minutes = Annotated[float, Field(ge=0, le=60 * 24 * 30, allow_inf_nan=False)]


class Watch(BaseModel):
    """When an acquisition counts as finished."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    settle_minutes: Minutes = Field(15, description="unchanged for so long where the instrument's mark is there")
    unmarked_minutes: Minutes = Field(120, description="unchanged for so long where no mark is there")
    looks: int = Field(3, ge=2, le=1000, description="at least so many looks found it the same")
    marks: tuple[str, ...] = Field(
        ("finished", "*.mrf", "*.HTD", "Index.idx.xml", "Index.xml"),
        description="names of files that instruments leave when they are done, with * and ?; one is enough",
    )


class State(StrEnum):
    """How far an acquisition has come."""

    EMPTY = "empty"
    GROWING = "growing"
    SETTLING = "settling"
    INBOX = "inbox"
    READY = "ready"
    TAKEN = "taken"
    CHANGED = "changed"
    QUARANTINED = "quarantined"


@dataclass(frozen=True)
class Look:
    """One look at a folder.

    Attributes:
        digest: of the names, sizes and times of all files.
        content: of the names and sizes alone: the same for a folder that was copied or renamed.
        described: digest of its dataset.yaml, which is no part of the two above; nothing where there is none.
        writers: files that a program has open to write, as far as this machine can tell.
        marks: the instrument's marks that are there.
        wrong: why it cannot be taken as it is: a link, a device, a folder that cannot be read.
    """

    folder: str
    at: dt.datetime
    digest: str = ""
    content: str = ""
    described: str = ""
    files: int = 0
    bytes: int = 0
    writers: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    wrong: str = ""


@dataclass(frozen=True)
class Acquisition:
    """What is known of an acquisition folder from the looks before.

    Attributes:
        since: the first of the looks that found it as it is now.
        looks: how many did.
        dataset: which dataset it is, where that is known.
        taken: `content` of what was taken, where it was.
        described: digest of the dataset.yaml that was there at the last look.
        why: what a person should know of its state.
    """

    folder: str
    state: State
    digest: str
    since: dt.datetime
    looks: int = 1
    dataset: str = ""
    taken: str = ""
    why: str = ""
    described: str = ""


def next_of(known: Acquisition | None, look: Look, rules: Watch, dataset: str = "") -> Acquisition:
    """What is known of a folder after one more look; `dataset` is which one it is, where somebody said so."""
    found = _counted(known, look)
    found = replace(found, dataset=dataset or found.dataset, described=look.described)
    changed = known is None or known.digest != look.digest
    stuck = known is not None and known.state is State.QUARANTINED and known.described == look.described
    state, why = _state(found, look, rules, changed=changed, stuck=stuck)
    return replace(found, state=state, why=why)


def _counted(known: Acquisition | None, look: Look) -> Acquisition:
    """Count the looks that found it the same. A clock that went back counts from now."""
    if known is None:
        return Acquisition(look.folder, State.GROWING, look.digest, look.at)
    if known.digest != look.digest or known.since > look.at:
        return replace(known, digest=look.digest, since=look.at, looks=1)
    return replace(known, looks=known.looks + 1)


def _state(found: Acquisition, look: Look, rules: Watch, *, changed: bool, stuck: bool) -> tuple[State, str]:
    """The first of these that holds; what is in quarantine stays there while it and its description are as they were."""
    waits = _waits(found, look, rules)
    cases = (
        (bool(found.taken) and look.content == found.taken, State.TAKEN, ""),
        (bool(found.taken), State.CHANGED, "files came or changed after it was taken in"),
        (bool(look.wrong), State.QUARANTINED, look.wrong),
        (not look.files, State.EMPTY, "there is no file in it yet"),
        (changed, State.GROWING, f"{look.files} files, {look.bytes} bytes so far"),
        (stuck, State.QUARANTINED, found.why),
        (bool(look.writers), State.GROWING, f"a program writes to {', '.join(look.writers[:3])}"),
        (bool(waits), State.SETTLING, waits),
        (not found.dataset, State.INBOX, "nobody has said which dataset it is"),
    )
    return next(((state, why) for holds, state, why in cases if holds), (State.READY, ""))


def _waits(found: Acquisition, look: Look, rules: Watch) -> str:
    """Why it is too early to call it finished; nothing where it is not."""
    minutes = rules.settle_minutes if look.marks else rules.unmarked_minutes
    ends = found.since + dt.timedelta(minutes=minutes)
    if look.at < ends or found.looks < rules.looks:
        mark = f"its mark {look.marks[0]} is there" if look.marks else "without a mark that it is done"
        return f"quiet since {found.since:%Y-%m-%d %H:%M} UTC, {mark}; finished from {ends:%H:%M} UTC and {rules.looks} looks on"
    return ""


def marks_of(names: list[str], rules: Watch) -> tuple[str, ...]:
    """The instrument's marks among names of files, wherever they stand."""
    return tuple(name for name in names if any(fnmatch(name.rsplit("/", 1)[-1], mark) for mark in rules.marks))


def taken_in(ready: Acquisition, look: Look) -> Acquisition:
    """What is known of a folder that was taken in, by a look after it: what came meanwhile was perhaps not taken, and is not safe."""
    if look.digest == ready.digest:
        return replace(ready, state=State.TAKEN, taken=look.content, why="")
    return replace(ready, state=State.CHANGED, taken=ready.digest, why="files came or changed while it was taken in")


def twin(acquisition: Acquisition, look: Look, others: list[Acquisition]) -> str:
    """Name of another folder that was taken as the same dataset with the same files: this one was renamed, or copied in twice."""
    same = (each for each in others if each.folder != acquisition.folder and each.dataset == acquisition.dataset and each.taken)
    return next((each.folder for each in same if each.taken == look.content), "")
