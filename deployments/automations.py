"""The automations: they tell when a night's work did not complete in time, or failed. The Prefect server watches; the flow `tell` tells."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from coldchain.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from prefect.client.orchestration import SyncPrefectClient
    from prefect.events.schemas.automations import AutomationCore

WATCHED = ("sweep/nightly-sweep", "audit/nightly-audit")
TELL = "tell/tell"

WITHIN = dt.timedelta(hours=26)
"""A night's work may be two hours later than the night before."""

FAILED = frozenset({"prefect.flow-run.Failed", "prefect.flow-run.Crashed", "prefect.flow-run.TimedOut"})
COMPLETED = frozenset({"prefect.flow-run.Completed"})

HINT = "Look at the run in the Prefect UI and at the worker's log; `coldchain doctor` says what is wrong with the site."
RUN = "{{ event.resource['prefect.resource.name'] }}: {{ event.resource['prefect.state-message'] }}"


def register_here() -> list[str]:
    """Register with the Prefect server that this process uses; see `register`."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        return register(client)


def register(client: SyncPrefectClient, within: dt.timedelta = WITHIN) -> list[str]:
    """Make every automation, or change the one of its name where it is another; gives the names of those that were made or changed.

    One that is as it should be is left alone: a change would begin its waiting anew.

    Raises:
        ConfigurationError: a deployment is not registered yet.
    """
    tell = _deployment(client, TELL)
    wanted = [each for name in WATCHED for each in _watching(name, _deployment(client, name), tell, within)]
    return [each.name for each in wanted if _put(client, each)]


def _put(client: SyncPrefectClient, wanted: AutomationCore) -> bool:
    """Make an automation, or change it where it differs; returns whether anything was done."""
    found = client.read_automations_by_name(wanted.name)
    for twin in found[1:]:
        client.delete_automation(twin.id)
    if not found:
        client.create_automation(wanted)
    elif _said(found[0]) != _said(wanted):
        client.update_automation(found[0].id, wanted)
    else:
        return len(found) > 1
    return True


def _said(automation: AutomationCore) -> dict[str, Any]:
    """What an automation says, without what the server adds and whether it is paused; sets stay sets, which have no order to differ in."""
    from prefect.events.schemas.automations import AutomationCore

    return AutomationCore.model_validate(automation.model_dump(exclude={"enabled"})).model_dump(exclude={"enabled"})


def _watching(name: str, watched: UUID, tell: UUID, within: dt.timedelta) -> Iterator[AutomationCore]:
    """Both automations of a deployment."""
    from prefect.events.schemas.automations import EventTrigger, Posture

    short, hours = name.rpartition("/")[2], f"{within.total_seconds() / 3600:g}"
    runs = {"match": {"prefect.resource.id": "prefect.flow-run.*"}, "match_related": _related(watched)}
    # The same event begins the waiting and ends it: so long after the last run, not in every window of a fixed clock.
    late = EventTrigger(**runs, posture=Posture.Proactive, after=COMPLETED, expect=COMPLETED, threshold=1, within=within)
    failed = EventTrigger(**runs, posture=Posture.Reactive, expect=FAILED, threshold=1, within=dt.timedelta(0))
    yield _automation(f"coldchain: {short} did not complete", late, tell, f"{short} did not complete within {hours} hours", "")
    yield _automation(f"coldchain: {short} failed", failed, tell, f"{short} failed", RUN)


def _related(deployment: UUID) -> dict[str, str]:
    return {"prefect.resource.role": "deployment", "prefect.resource.id": f"prefect.deployment.{deployment}"}


def _automation(name: str, trigger: Any, tell: UUID, what: str, about: str) -> AutomationCore:
    from prefect.events.actions import RunDeployment
    from prefect.events.schemas.automations import AutomationCore

    said = {"__prefect_kind": "jinja", "template": about} if about else ""
    form = {"what": what, "about": said, "hint": HINT}
    action = RunDeployment(source="selected", deployment_id=tell, parameters={"form": form})
    return AutomationCore(name=name, description=f"Tells that {what}.", tags=["coldchain"], trigger=trigger, actions=[action])


def _deployment(client: SyncPrefectClient, name: str) -> UUID:
    from prefect.exceptions import ObjectNotFound

    try:
        return client.read_deployment_by_name(name).id
    except ObjectNotFound as error:
        raise ConfigurationError(
            "a deployment is not registered", on=name, done="its automation was not made", hint="first `prefect deploy --all`"
        ) from error
