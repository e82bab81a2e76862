"""Every deployment can be loaded, validates its parameters, and depends on nothing but the installed wheel."""

from __future__ import annotations

import importlib
import pkgutil
import typing
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

import flows
from deployments.ui import WORK_POOL, prefect_file

DESCRIBED = yaml.safe_load(prefect_file().read_text())["deployments"]
BY_NAME = {deployment["name"]: deployment for deployment in DESCRIBED}
named = pytest.mark.parametrize("name", sorted(BY_NAME))


def flow_of(deployment: dict[str, Any]) -> Any:
    """The flow that a worker would load."""
    from prefect.flows import load_flow_from_entrypoint

    return load_flow_from_entrypoint(deployment["entrypoint"], use_placeholder_flow=False)


def test_names_are_unique() -> None:
    """Two deployments of one name would overwrite each other."""
    assert len(BY_NAME) == len(DESCRIBED)


def test_the_wheel_and_the_checkout_describe_the_same() -> None:
    """The copy of prefect.yaml in the wheel is the checkout's."""
    assert prefect_file().read_bytes() == (Path(__file__).resolve().parents[2] / "prefect.yaml").read_bytes()


@named
def test_the_entrypoint_is_a_module_path_and_nothing_is_pulled(name: str) -> None:
    """The worker imports the installed flow; the deploying machine's folders are not baked in."""
    deployment = BY_NAME[name]
    module, _, function = deployment["entrypoint"].rpartition(".")
    assert "/" not in deployment["entrypoint"]
    assert ":" not in deployment["entrypoint"]
    assert callable(getattr(importlib.import_module(module), function))
    assert deployment["pull"] == []


@named
def test_it_goes_to_our_pool_and_says_what_it_is(name: str) -> None:
    """A person who chooses a deployment in the UI reads a sentence about it."""
    deployment = BY_NAME[name]
    assert deployment["work_pool"]["name"] == WORK_POOL
    assert len(deployment["description"]) > 20
    assert "coldchain" in deployment["tags"]


@named
def test_the_flow_takes_one_form(name: str) -> None:
    """A flow's only parameter is `form`, a pydantic model."""
    flow = flow_of(BY_NAME[name])
    schema = flow.parameters.model_dump()
    assert list(schema["properties"]) == ["form"]
    assert issubclass(typing.get_type_hints(flow.fn)["form"], BaseModel)


@named
def test_the_parameters_fit_the_flow(name: str) -> None:
    """The parameters in prefect.yaml, and those of every schedule, pass the flow's own schema."""
    deployment = BY_NAME[name]
    for parameters in (deployment["parameters"], *(schedule.get("parameters", {}) for schedule in deployment["schedules"])):
        if parameters or deployment["schedules"]:
            flow_of(deployment).validate_parameters({**deployment["parameters"], **parameters})


@named
def test_parameters_that_do_not_fit_are_refused(name: str) -> None:
    """A misspelt field in prefect.yaml would be noticed by the test above."""
    from prefect.exceptions import ParameterTypeError

    with pytest.raises((ParameterTypeError, ValueError)):
        flow_of(BY_NAME[name]).validate_parameters({"form": {"no such field": 1}})


def test_every_flow_has_a_deployment() -> None:
    """Whatever stands in flows/ can be started from the UI."""
    modules = [importlib.import_module(f"flows.{found.name}") for found in pkgutil.iter_modules(flows.__path__)]
    from prefect import Flow

    defined = {f"{module.__name__}.{name}" for module in modules for name, value in vars(module).items()
               if isinstance(value, Flow) and value.fn.__module__ == module.__name__}  # fmt: skip
    assert defined
    assert defined == {deployment["entrypoint"] for deployment in DESCRIBED}


def test_only_the_night_removes_without_being_told() -> None:
    """The form's sweep is a dry run; the one scheduled sweep is not, and runs alone."""
    assert "form" not in BY_NAME["sweep"]["parameters"]
    assert flow_of(BY_NAME["sweep"]).parameters.model_dump()["definitions"]["SweepForm"]["properties"]["dry_run"]["default"] is True
    night = BY_NAME["nightly-sweep"]
    assert night["parameters"] == {"form": {"dry_run": False}}
    assert night["concurrency_limit"]["limit"] == 1
    assert [(schedule["cron"], schedule["timezone"]) for schedule in night["schedules"]] == [("30 2 * * *", "UTC")]
    assert {name for name, deployment in BY_NAME.items() if deployment["schedules"]} == {
        "nightly-audit",
        "nightly-backup",
        "nightly-sweep",
        "recalls",
        "watch",
    }
