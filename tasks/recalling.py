"""Recalls as tasks: none of them waits for an archive."""

from __future__ import annotations

from collections.abc import Sequence

from prefect import task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

from coldchain import provenance, recalling
from coldchain.errors import InputError
from coldchain.forms import RecallForm
from coldchain.recall import Recall, RecallState
from tasks.running import all_done, progress, say, work
from tasks.workspace import open_workspace

MOST = 500


@work
def ask(form: RecallForm) -> Recall:
    """Bring a level to a location, or ask its archive for it.

    Raises:
        InputError: there is no such location.
    """
    ws = open_workspace()
    to = form.location or ws.site.roles.scratch
    if to not in ws.stores:
        raise InputError("no such location", on=to, expected=", ".join(ws.stores), done="nothing was asked for")
    artifact = ws.current(form.id, form.level)
    return recalling.recall(
        ws, artifact, to, days=form.days, who=provenance.who(), progress=progress(f"{form.level} of {form.id} to {to}"), tell=say
    )


@work
def go_on() -> list[Recall]:
    """Go on with every recall that waits."""
    return recalling.go_on_all(open_workspace(), tell=say)


@task(cache_policy=NO_CACHE)
def show() -> None:
    """Show every recall, what waits first; what was asked for is not readable before it stands where it is wanted."""
    order = list(RecallState)
    found = sorted(open_workspace().catalogue.recalls(), key=lambda each: (order.index(each.state), each.asked_at))
    rows = [
        {
            "artifact": each.artifact[:80],
            "to": each.to,
            "state": each.state,
            "asked": f"{each.asked_at:%Y-%m-%d %H:%M}",
            "by": each.who,
            "why": " ".join(each.why.split()),
        }
        for each in found
    ]
    waiting = sum(each.state is RecallState.WAITING for each in found)
    create_table_artifact(rows[:MOST], key="recalls", description=f"Recalls: {waiting} wait for their archive")


def ended(recalls: Sequence[Recall]) -> str:
    """Say how far recalls are; raises Incomplete where some failed."""
    failed = {f"{each.artifact[:80]} to {each.to}": each.why for each in recalls if each.state is RecallState.FAILED}
    by = {state: sum(each.state is state for each in recalls) for state in (RecallState.DONE, RecallState.WAITING)}
    said = f"{by[RecallState.DONE]} recalls stand where they are wanted; {by[RecallState.WAITING]} wait for their archive"
    return all_done("what was recalled does not come", failed, said)
