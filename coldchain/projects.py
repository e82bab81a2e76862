"""Projects: what an engineer says of one, changed with a receipt, and taken into account by the next sweep."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from coldchain.dataset import Project
from coldchain.errors import InputError
from coldchain.workspace import DATED_BY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from coldchain.workspace import Workspace


def change(ws: Workspace, project: str, changes: Mapping[str, Any], who: str) -> Project:
    """Write a new project down, or change some of what is said of a known one; gives it as it is now.

    What the policy wants of its data may be another now, so every copy is dated anew by the next sweep, before it plans.

    Raises:
        InputError: a value is none of those that may stand there; nothing was changed.
    """
    before = next((each for each in ws.catalogue.projects() if each.id == project), None)
    after = _valid(project, (before.model_dump() if before else {"id": project}) | dict(changes))
    if after != before:
        ws.catalogue.save_setting(DATED_BY, "")  # before the change: a run that is cut off between the two dates once too often
        ws.catalogue.save_project(after)
        body = {"before": before.model_dump(mode="json") if before else None, "after": after.model_dump(mode="json")}
        ws.catalogue.add_receipt("project", body, who, ws.now())
    return after


def _valid(project: str, said: Mapping[str, Any]) -> Project:
    try:
        return Project.model_validate(said)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise InputError(
            "this cannot be said of a project",
            on=f"{project}: {field}",
            expected=first["msg"],
            got=repr(first["input"]),
            done="nothing was changed",
        ) from error
