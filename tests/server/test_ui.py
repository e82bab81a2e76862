"""`coldchain ui`: what a person starts from a form runs on the site, and a stop leaves nothing running."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil
import pytest

import deployments
from coldchain.errors import ConfigurationError
from deployments.server import free_port
from deployments.ui import serving

pytestmark = [pytest.mark.server, pytest.mark.long]

SERVES = """
import sys
from pathlib import Path
from deployments.ui import serve
serve(Path(sys.argv[1]), home=Path(sys.argv[2]), port=int(sys.argv[3]), say=lambda line: print(line, flush=True))
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """The demo's site, empty: each location a folder."""
    for name in ("site.yaml", "policy.yaml"):
        shutil.copy(Path(deployments.__file__).with_name("sites") / name, tmp_path / name)
    return tmp_path / "site.yaml"


def start_from_the_form(url_api: str, name: str, parameters: dict[str, object]) -> str:
    """Start a deployment as the UI does, and return the final state's type and message."""
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: url_api}), get_client(sync_client=True) as client:
        run = client.create_flow_run_from_deployment(client.read_deployment_by_name(name).id, parameters=parameters)
        deadline = time.monotonic() + 120
        while not (state := client.read_flow_run(run.id).state).is_final() and time.monotonic() < deadline:
            time.sleep(0.5)
        return f"{state.type.value}: {state.message}"


def test_a_form_starts_a_flow_and_a_stop_leaves_nothing(site: Path, tmp_path: Path) -> None:
    """A sweep that is started from its form is run by our worker on our site; after SIGTERM no process of ours is left."""
    port = free_port()
    command = [sys.executable, "-P", "-c", SERVES, str(site), str(tmp_path / "prefect"), str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as serves:
        assert serves.stdout is not None
        lines = iter(serves.stdout)
        ready = next(line for line in lines if "ready" in line)
        (address,) = re.findall(r"http://\S+", ready)
        with urllib.request.urlopen(address, timeout=10) as page:  # noqa: S310 - our own server
            assert b"<html" in page.read().lower()
        try:
            outcome = start_from_the_form(f"{address}/api", "sweep/sweep", {"form": {"dry_run": True}})
            family = psutil.Process(serves.pid).children(recursive=True)
            assert len(family) >= 2
        finally:
            serves.send_signal(signal.SIGTERM)
        assert "nothing is left running" in serves.stdout.read()
    assert serves.returncode == 0
    assert psutil.wait_procs(family, timeout=5)[1] == []
    assert outcome.startswith("COMPLETED"), outcome + (tmp_path / "prefect" / "worker.log").read_text()


def test_a_site_that_is_not_there_is_named(tmp_path: Path) -> None:
    """Nothing is started for a site file that does not exist."""
    with pytest.raises(ConfigurationError, match="no such site"), serving(tmp_path / "none.yaml", home=tmp_path / "prefect"):
        pytest.fail("served a site that is not there")
    assert not (tmp_path / "prefect").exists()
