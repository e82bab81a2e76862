"""Answers, holds and approvers' keys as tasks; who answers in the Prefect UI is established by a one-time code."""

from __future__ import annotations

from collections.abc import Sequence

import httpx
from prefect.artifacts import create_markdown_artifact
from prefect.blocks.system import Secret
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound, PrefectException
from prefect.runtime import flow_run
from prefect.settings import get_current_settings

from coldchain import approvers, approving
from coldchain.approvers import Person
from coldchain.approving import Told
from coldchain.errors import ConfigurationError, LocationUnreachable
from coldchain.proposals import Answer
from coldchain.workspace import Workspace
from tasks.running import work
from tasks.show import showing
from tasks.workspace import open_workspace

MOST = 500
"""Copies that an artifact shows."""


@work
def show_notice(notice: int, datasets: Sequence[str]) -> None:
    """Show what is open in a notice, or in some datasets of it; raises NotInCatalogue."""
    found = approving.told(open_workspace(), notice, datasets)
    create_markdown_artifact(as_markdown(notice, found), key=f"notice-{notice}", description=f"What notice {notice} tells of")


@showing
def answered_notice(notice: int, datasets: Sequence[str]) -> None:
    """Show the same with what was answered; a sweep may have closed it since."""
    show_notice.fn(notice, datasets)


@work
def identify(name: str, code: str) -> Person:
    """Establish who answers; raises Refused."""
    how = f"Prefect UI, one-time code, run {flow_run.get_id()}"
    return approvers.by_code(open_workspace(), name, code, read_half(name), how)


@work
def answer_notice(person: Person, notice: int, said: str, datasets: Sequence[str], note: str) -> str:
    """Answer a notice, or for some datasets of it; raises Refused, NotInCatalogue."""
    return approving.answer(open_workspace(), person, notice, Answer(said), datasets=datasets, note=note)


@work
def hold_dataset(dataset: str, days: int, reason: str, name: str) -> str:
    """Hold a dataset; a hold only keeps, so the name is taken as it was typed."""
    held = approving.prolong(open_workspace(), dataset, days, reason, f"{name} (Prefect UI, not established)")
    return f"Hold {held.id}: nothing of {dataset} is removed until {held.until}."


def as_markdown(notice: int, found: Sequence[Told]) -> str:
    """A notice as people read it: each copy, when it may go, what was answered, and the reasons."""
    size = sum(each.bytes for each in found) / 1e6
    head = f"# Notice {notice}\n\n{len(found)} copies, {size:.1f} MB. Silence is no; nothing goes before its day.\n"
    columns = "\n| artifact | location | MB | told | may go from | answer | why |\n|---|---|---|---|---|---|---|\n"
    more = f"\n{len(found) - MOST} more: `coldchain notices {notice}` shows all.\n" if len(found) > MOST else ""
    return head + columns + "".join(_row(each) for each in found[:MOST]) + more


def _row(each: Told) -> str:
    goes = f"{each.goes_from:%Y-%m-%d}" if each.goes_from else "unknown"
    cells = [
        each.artifact,
        each.location,
        f"{each.bytes / 1e6:.2f}",
        f"{each.told_at:%Y-%m-%d}",
        goes,
        answered(each),
        "; ".join(each.reasons),
    ]
    return f"| {' | '.join(map(_cell, cells))} |\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def answered(each: Told) -> str:
    """Who said what."""
    return "nobody answered" if each.answer is Answer.NONE else f"{each.answer} ({each.who})"


def add_approver(ws: Workspace, name: str, by: Person) -> str:
    """Make a key for a name, half of it in a Secret block; gives the address for a phone's app, which nothing keeps.

    Raises:
        Refused: there is one already.
        ConfigurationError: no Prefect server is named.
    """
    approvers.refuse_known(ws, name)
    theirs = approvers.new_half()
    _server()
    try:
        Secret(value=theirs).save(block(name), overwrite=True)
    except (httpx.HTTPError, PrefectException) as exc:
        raise _silent(exc) from exc
    return approvers.uri(ws.site.site, name, approvers.add(ws, name, theirs, by))


def read_half(name: str) -> str | None:
    """The half of a name's key that its Secret block holds; nothing where there is none.

    Raises:
        LocationUnreachable: the Prefect server does not answer.
    """
    try:
        with get_client(sync_client=True) as client:
            document = client.read_block_document_by_name(block(name), block_type_slug="secret")
    except ObjectNotFound:
        return None
    except (httpx.HTTPError, PrefectException) as exc:
        raise _silent(exc) from exc
    half = document.data.get("value")
    return half if isinstance(half, str) else None


def block(name: str) -> str:
    """Name of an approver's Secret block."""
    return f"coldchain-approver-{name}"


def _server() -> None:
    if not get_current_settings().api.url:
        raise ConfigurationError(
            "no Prefect server is named", expected="PREFECT_API_URL", hint="`coldchain ui` prints its address: add /api"
        )


def _silent(exc: Exception) -> LocationUnreachable:
    return LocationUnreachable("the Prefect server does not answer as it should", got=type(exc).__name__, hint="is it running?")
