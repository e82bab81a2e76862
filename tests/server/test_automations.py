"""The automations on a real Prefect server: they tell when a night's work did not complete in time or failed, and are silent otherwise."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from coldchain.errors import ConfigurationError
from deployments.automations import WATCHED, _automation, _said, register
from deployments.server import running_server

pytestmark = [pytest.mark.server, pytest.mark.long, pytest.mark.timeout(600)]

WITHIN = dt.timedelta(seconds=15)
SWEEP, AUDIT = (f"coldchain: {name.rpartition('/')[2]} did not complete" for name in WATCHED)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A server with its services and without a worker; the deployments that the automations need are registered."""
    from prefect.client.orchestration import get_client

    with running_server(tmp_path_factory.mktemp("prefect"), ui=False, services=True), get_client(sync_client=True) as found:
        with pytest.raises(ConfigurationError, match="tell/tell"):
            register(found)
        for name in ("tell/tell", *WATCHED):
            flow, _, deployment = name.partition("/")
            found.create_deployment(flow_id=found.create_flow_from_name(flow), name=deployment, enforce_parameter_schema=False)
        yield found


@pytest.fixture
def registered(client: Any) -> Iterator[Any]:
    """The automations with a short time; they go after the test, and what they started too."""
    register(client, WITHIN)
    yield client
    for automation in client.read_automations():
        client.delete_automation(automation.id)
    for run in client.read_flow_runs():
        client.delete_flow_run(run.id)


def told(client: Any) -> list[dict[str, str]]:
    """What the flow `tell` was started with."""
    deployment = client.read_deployment_by_name("tell/tell").id
    return [run.parameters["form"] for run in client.read_flow_runs() if run.deployment_id == deployment]


def ended(client: Any, name: str, state: Any) -> None:
    """Let a run of a deployment end in a state."""
    run = client.create_flow_run_from_deployment(client.read_deployment_by_name(name).id)
    client.set_flow_run_state(run.id, state, force=True)


def eventually(holds: Callable[[], bool], seconds: float) -> bool:
    """Whether something becomes true in time."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.5)
    return True


def test_a_night_without_a_run_is_told_and_a_night_with_one_is_not(registered: Any) -> None:
    """No sweep completes: it is told, in words and with what to do. An audit completes again and again: nothing is told of it."""
    from prefect.states import Completed

    deadline = time.monotonic() + 5 * WITHIN.total_seconds()  # Prefect tells again in every second period
    while time.monotonic() < deadline:
        ended(registered, "audit/nightly-audit", Completed())
        time.sleep(4)
    said = told(registered)
    assert {form["what"] for form in said} == {"nightly-sweep did not complete within 0.00416667 hours"}
    assert len(said) >= 2, "it is told again while it lasts"
    assert all("coldchain doctor" in form["hint"] and form["about"] == "" for form in said)


def test_the_waiting_begins_with_the_last_run(registered: Any) -> None:
    """A run that is missing is told so long after the one before it: not in every second window of a fixed clock only."""
    from prefect.states import Completed

    begun = time.monotonic()
    time.sleep(0.6 * WITHIN.total_seconds())
    for name in WATCHED:
        ended(registered, name, Completed())
    last = time.monotonic()
    assert eventually(lambda: len(told(registered)) >= 2, 2 * WITHIN.total_seconds() + 10)
    waited = time.monotonic() - last
    assert waited >= WITHIN.total_seconds() - 2
    assert waited <= WITHIN.total_seconds() + 12
    assert time.monotonic() - begun < 2 * WITHIN.total_seconds() + 10


@pytest.mark.parametrize("how", ["Failed", "Crashed", "TimedOut"])
def test_a_run_that_fails_is_told_at_once(registered: Any, how: str) -> None:
    """Failed, crashed or out of time: the run is named, with its last words."""
    from prefect.client.schemas.objects import State, StateType

    kind = StateType.CRASHED if how == "Crashed" else StateType.FAILED
    ended(registered, "sweep/nightly-sweep", State(type=kind, name=how, message="the NAS <b>went</b> {{ 7*7 }}"))

    def failures() -> list[dict[str, str]]:
        return [form for form in told(registered) if form["what"] == "nightly-sweep failed"]

    assert eventually(lambda: bool(failures()), 15)
    (form,) = failures()
    assert form["about"].endswith(": the NAS <b>went</b> {{ 7*7 }}")


def test_a_run_of_another_deployment_is_nobodys_business(registered: Any) -> None:
    """A sweep that somebody started by hand, and that failed or completed, neither tells nor counts."""
    from prefect.states import Completed, Failed

    flow = registered.create_flow_from_name("sweep")
    registered.create_deployment(flow_id=flow, name="sweep", enforce_parameter_schema=False)
    deadline = time.monotonic() + WITHIN.total_seconds() + 12
    while time.monotonic() < deadline:
        ended(registered, "sweep/sweep", Completed())
        ended(registered, "sweep/sweep", Failed())
        time.sleep(4)
    said = {form["what"] for form in told(registered)}
    assert "nightly-sweep failed" not in said
    assert any(what.startswith("nightly-sweep did not complete") for what in said)


def test_registering_again_changes_nothing(registered: Any) -> None:
    """The same again leaves every automation alone, also one that somebody paused: its waiting is not begun anew."""
    before = {automation.name: automation for automation in registered.read_automations()}
    assert len(before) == 2 * len(WATCHED)
    registered.pause_automation(before[SWEEP].id)
    assert register(registered, WITHIN) == []
    after = {automation.name: automation for automation in registered.read_automations()}
    assert {name: automation.id for name, automation in after.items()} == {name: automation.id for name, automation in before.items()}
    assert not after[SWEEP].enabled


def test_the_order_of_a_set_is_no_difference() -> None:
    """What an automation waits for is a set: how its items happen to be ordered in memory is not what it says."""
    from uuid import UUID

    from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture

    names = [f"event.{number}" for number in range(100)]

    def waiting(expect: list[str]) -> AutomationCore:
        trigger = EventTrigger(posture=Posture.Reactive, expect=set(expect), threshold=1, within=WITHIN)
        return _automation("name", trigger, UUID(int=1), "something", "")

    one, other = waiting(names), waiting(names[::-1])
    assert one.model_dump(mode="json") != other.model_dump(mode="json"), "the sets are ordered alike, so that this test says nothing"
    assert _said(one) == _said(other)
    assert _said(one) != _said(waiting(names[1:]))


def test_what_changed_is_registered_anew(registered: Any) -> None:
    """Another time, or a deployment that was made anew, changes the automation of that name, and makes no second one."""
    ids = {automation.name: automation.id for automation in registered.read_automations()}
    assert register(registered, WITHIN * 2) == [SWEEP, AUDIT]
    old = registered.read_deployment_by_name("sweep/nightly-sweep")
    registered.delete_deployment(old.id)
    new = registered.create_deployment(flow_id=old.flow_id, name="nightly-sweep", enforce_parameter_schema=False)
    assert register(registered, WITHIN * 2) == [SWEEP, "coldchain: nightly-sweep failed"]
    found = {automation.name: automation for automation in registered.read_automations()}
    assert {name: automation.id for name, automation in found.items()} == ids
    assert found[SWEEP].trigger.within == WITHIN * 2
    assert str(new) in str(found[SWEEP].trigger.match_related)


def test_a_twin_goes(registered: Any) -> None:
    """Two automations of one name, made by two registrations at once, would tell twice: one stays."""
    from prefect.events.schemas.automations import AutomationCore

    (found,) = registered.read_automations_by_name(SWEEP)
    registered.create_automation(AutomationCore.model_validate(found.model_dump()))
    assert register(registered, WITHIN) == [SWEEP]
    assert len(registered.read_automations_by_name(SWEEP)) == 1
