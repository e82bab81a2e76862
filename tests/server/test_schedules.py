"""Prefect's scheduler really schedules: with the wrong SQLAlchemy it runs, answers, and never creates a scheduled run."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import yaml

from deployments.server import private_environment, running_server
from deployments.ui import create_work_pool, prefect_file, register

pytestmark = [pytest.mark.server, pytest.mark.long]

PATIENCE_S = 120


def scheduled_runs(name: str) -> list[object]:
    """Runs of a deployment that the server has planned."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterName

    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(deployment_filter=DeploymentFilter(name=DeploymentFilterName(any_=[name])))
    return [run for run in runs if run.state.is_scheduled()]


def test_every_deployment_is_registered_and_the_night_is_planned(tmp_path: Path) -> None:
    """With services on, `prefect deploy --all` can be repeated, and the nightly sweep gets planned runs."""
    from prefect.client.orchestration import get_client

    described = [deployment["name"] for deployment in yaml.safe_load(prefect_file().read_text())["deployments"]]
    with running_server(tmp_path / "prefect", ui=False, services=True) as server:
        env = {**private_environment(server.home), "PREFECT_API_URL": server.url_api}
        for _again in range(2):
            create_work_pool()
            register(env, cwd=tmp_path)
        with get_client(sync_client=True) as client:
            found = client.read_deployments()
        assert sorted(deployment.name for deployment in found) == sorted(described)
        assert {deployment.work_pool_name for deployment in found} == {"coldchain"}
        assert all(deployment.pull_steps == [] for deployment in found)

        deadline = time.monotonic() + PATIENCE_S
        while not (planned := scheduled_runs("nightly-sweep")) and time.monotonic() < deadline:
            time.sleep(1)
        assert planned, "the scheduler created no run"
        assert {run.expected_start_time.strftime("%H:%M %Z") for run in planned} == {"02:30 UTC"}
        assert {run.parameters["form"]["dry_run"] for run in planned} == {False}
        assert scheduled_runs("sweep") == []


def test_the_command_registers_everything_and_again_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`coldchain register` makes deployments and automations on the server that is named; the second time it changes no automation."""
    from prefect.client.orchestration import get_client
    from typer.testing import CliRunner

    from deployments.cli import app

    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    assert CliRunner().invoke(app, ["register"]).exit_code == 1
    with running_server(tmp_path / "prefect", ui=False, services=False) as server:
        monkeypatch.setenv("PREFECT_API_URL", server.url_api)
        first, again = (CliRunner().invoke(app, ["register", "--json"]) for _ in range(2))
        with get_client(sync_client=True) as client:
            found = client.read_automations()
    assert (first.exit_code, again.exit_code) == (0, 0), first.output
    assert sorted(json.loads(first.output)["automations"]) == sorted(automation.name for automation in found)
    assert len(found) == 4
    assert json.loads(again.output)["automations"] == []
