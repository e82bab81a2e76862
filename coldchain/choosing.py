"""Choosing: a person says which artifact of a level is current, and can say otherwise again; nothing is removed by it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from coldchain.choices import Choice, History, above, changed, currents
from coldchain.copies import Artifact, CopyState
from coldchain.errors import InputError, NotInCatalogue, Refused
from coldchain.levels import Level

if TYPE_CHECKING:
    from coldchain.approvers import Person
    from coldchain.workspace import Workspace

NEWEST = "newest"
"""What is said where no artifact is chosen any more: the newest of what is made of the current parents."""

LEAST = 6
"""Digits of a digest that name an artifact at least."""


@dataclass(frozen=True)
class Chosen:
    """What a choice changed: for each level what was current and what is now, and the levels that have to be made anew."""

    choices: tuple[Choice, ...]
    changes: Mapping[Level, tuple[Artifact | None, Artifact | None]]
    to_make: tuple[Level, ...] = ()

    @property
    def superseded(self) -> list[Artifact]:
        """What was current and is not any more."""
        return [was for was, _ in self.changes.values() if was is not None]

    def __str__(self) -> str:
        """Say what is current now, what is not any more, and what is to be made."""
        if not self.choices:
            return "it is chosen already, nothing to do"
        now = [new.label for _, new in self.changes.values() if new is not None]
        said = [f"current now: {', '.join(now)}" if now else "what is current stays so, and is chosen now"]
        if self.superseded:
            said.append(f"not current any more: {', '.join(each.label for each in self.superseded)}")
        if self.to_make:
            said.append(f"to be made of it: {', '.join(self.to_make)}")
        return "; ".join(said)


def choose(ws: Workspace, person: Person, dataset: str, level: Level, which: str, why: str) -> Chosen:
    """Say which artifact of a level is current, by the first digits of its digest, or that the newest is; with what it was made of.

    Raises:
        InputError: no reason; digits that name no artifact, or several.
        NotInCatalogue: no such dataset.
        Refused: no verified copy of it stands.
    """
    if not why.strip():
        raise InputError("a choice says why", on=f"{level} of {dataset}", expected="a reason", done="nothing was changed")
    ws.catalogue.dataset(dataset)
    history = ws.history(dataset)
    saying = Choice(dataset, level, "", str(person), " ".join(why.split()), ws.now())
    wanted = [saying] if which.strip().lower() == NEWEST else _of(ws, history, find(history, level, which), saying)
    return _write(ws, history, wanted, person.how)


def _of(ws: Workspace, history: History, artifact: Artifact, saying: Choice) -> list[Choice]:
    """The choice of an artifact, and of those that it was made of and that are not current."""
    _refuse_gone(ws, artifact)
    now = currents(history)
    ids = frozenset(each.id for each in now.values())
    parents = [each for each in above(artifact, history, ids) if each.id not in ids]
    carried = f"{saying.why} (for {saying.level} {artifact.digest[:12]}, which was made of it)"
    chosen = [replace(saying, level=each.level, artifact=each.id, why=carried) for each in parents]
    return [*chosen, replace(saying, artifact=artifact.id)]


def pin(ws: Workspace, dataset: str, levels: Iterable[Level], who: str, why: str, how: str) -> Chosen:
    """Choose what is current of some levels as it is, so that nothing switches by itself when newer ones are made."""
    history = ws.history(dataset)
    now = currents(history)
    return _write(ws, history, [Choice(dataset, level, now[level].id, who, why, ws.now()) for level in levels if level in now], how)


def _write(ws: Workspace, history: History, wanted: Sequence[Choice], how: str) -> Chosen:
    """Write down what was not said last already."""
    said = {level: choice.artifact for level, choice in history.chosen.items()}
    new = [choice for choice in wanted if said.get(choice.level, "") != choice.artifact]
    if new:
        ws.catalogue.choose(new, how)
    after = replace(history, choices=(*history.choices, *new))
    before, now = currents(history), currents(after)
    return Chosen(tuple(new), changed(before, now), tuple(level for level in before if level not in now))


def find(history: History, level: Level, which: str) -> Artifact:
    """The artifact of a level that the first digits of a digest name; raises InputError where they name none or several."""
    known = [artifact for artifact in history.artifacts if artifact.level is level]
    digits = which.strip().lower().rpartition("@")[2]
    found = [artifact for artifact in known if artifact.digest.startswith(digits)]
    if re.fullmatch(f"[0-9a-f]{{{LEAST},64}}", digits) and len(found) == 1:
        return found[0]
    raise InputError(
        "these digits name no artifact" if len(found) != 1 else "too few digits",
        on=repr(which[:80]),
        expected=f"the first {LEAST} digits or more of one of {', '.join(each.digest[:12] for each in known) or 'none: it was never made'}",
        done="nothing was changed",
        hint=f"`coldchain status` lists them; `{NEWEST}`: the newest is current",
    )


def _refuse_gone(ws: Workspace, artifact: Artifact) -> None:
    if not any(copy.state is CopyState.VERIFIED for copy in ws.catalogue.copies(artifact=artifact.id)):
        raise Refused(
            "no verified copy of it stands",
            on=artifact.label,
            done="nothing was changed",
            hint="`repair`, `recall` or `reprocess` it first",
        )


def find_anywhere(ws: Workspace, name: str) -> Artifact:
    """An artifact by its id, by its label, or by the first digits of its digest, whatever its dataset and level.

    Raises:
        NotInCatalogue: there is none.
        InputError: the digits are of several.
    """
    dataset, _, rest = name.strip().rpartition("/")
    level, _, digits = rest.rpartition("@")
    found = [
        artifact
        for artifact in ws.catalogue.artifacts(dataset or None)
        if (not level or artifact.level == level) and artifact.digest.startswith(digits.lower())
    ]
    if not re.fullmatch(f"[0-9a-f]{{{LEAST},64}}", digits.lower()) or not found:
        raise NotInCatalogue(
            "no such artifact",
            on=repr(name[:200]),
            expected=f"an id as in `coldchain status --json` and provenance.json, or the first {LEAST} digits or more of a digest",
        )
    if len(found) > 1:
        raise InputError("these digits are of several artifacts", on=repr(name[:200]), got=", ".join(each.label for each in found[:9]))
    return found[0]
