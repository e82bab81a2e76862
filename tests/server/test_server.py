"""A Prefect server of our own: found by flows of this process, gone when we are gone, startable again after a kill."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from coldchain.errors import ConfigurationError, LeaseTaken
from deployments import server as module
from deployments.server import free_port, log_tail, port_is_free, private_environment, running_server

pytestmark = pytest.mark.server

HOLDS_A_SERVER = """
import sys, time
from pathlib import Path
from deployments.server import running_server
with running_server(Path(sys.argv[1]), ui=False, services=False) as server:
    print(server.pid, flush=True)
    time.sleep(600)
"""


def eventually(holds: Callable[[], bool], seconds: float = 30) -> bool:
    """Whether something becomes true in time."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def is_gone(pid: int) -> bool:
    """Whether a process has ended."""
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_a_flow_called_in_this_process_is_seen_by_the_server(prefect_server: module.ServerInfo) -> None:
    """A flow and its task, called as functions, are recorded by the server that is running."""
    from prefect import flow, task
    from prefect.client.orchestration import get_client

    @task
    def double(number: int) -> int:
        return 2 * number

    @flow
    def doubling(number: int) -> int:
        return double(number)

    assert doubling(21) == 42
    with get_client(sync_client=True) as client:
        assert str(client.api_url).rstrip("/") == prefect_server.url_api
        assert "doubling" in {found.name for found in client.read_flows()}


def test_it_listens_on_loopback_only(prefect_server: module.ServerInfo) -> None:
    """Prefect without users must not be reachable from the network by default."""
    connections = psutil.Process(prefect_server.pid).net_connections()
    assert {connection.laddr.ip for connection in connections if connection.status == "LISTEN"} == {"127.0.0.1"}


def test_a_killed_owner_takes_its_server_along_and_the_next_one_starts(tmp_path: Path) -> None:
    """After SIGKILL of the process that started it, the server is gone within seconds, and the same folder serves again."""
    with subprocess.Popen([sys.executable, "-P", "-c", HOLDS_A_SERVER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        server_pid = int(owner.stdout.readline())
        owner.send_signal(signal.SIGKILL)
    with running_server(tmp_path, ui=False, services=False) as again:
        assert is_gone(server_pid)
        assert again.pid != server_pid
    assert is_gone(again.pid)
    with sqlite3.connect(tmp_path / "prefect.db") as database:
        assert database.execute("pragma integrity_check").fetchone() == ("ok",)
    database.close()


def test_two_owners_of_one_folder_are_refused(prefect_server: module.ServerInfo, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second server on one database would answer "database is locked": the second owner is told who holds it."""
    monkeypatch.setattr(module, "LEASE_TIMEOUT_S", 0.2)
    with (
        pytest.raises(LeaseTaken, match="Another process"),
        running_server(prefect_server.home, ui=False, services=False),
    ):
        pytest.fail("two servers on one folder")


def test_a_taken_port_is_an_error_with_the_servers_own_words(tmp_path: Path) -> None:
    """When the server cannot start, the message carries the end of its log."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert not port_is_free(port)
        with pytest.raises(ConfigurationError, match="already in use"), running_server(tmp_path, ui=False, services=False, port=port):
            pytest.fail("started on a taken port")


def test_everything_is_set_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On leaving, environment and settings are what they were; inside, the user's own server and key are out of reach."""
    from prefect.settings import get_current_settings

    monkeypatch.setenv("PREFECT_API_KEY", "the-users-own")
    environment, api = dict(os.environ), get_current_settings().api.url
    server = module.ServerInfo("http://127.0.0.1:1/api", "http://127.0.0.1:1", tmp_path, tmp_path / "server.log", 1)
    with module._settings_of_this_process(server):
        assert "PREFECT_API_KEY" not in os.environ
        assert os.environ["PREFECT_API_URL"] == get_current_settings().api.url == "http://127.0.0.1:1/api"
        assert get_current_settings().home == tmp_path
    assert dict(os.environ) == environment
    assert get_current_settings().api.url == api


def test_a_child_sees_no_setting_of_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server and worker neither use the user's Prefect profile nor report to anyone."""
    monkeypatch.setenv("PREFECT_API_URL", "https://production.example/api")
    monkeypatch.setenv("PREFECT_LOGGING_LEVEL", "WARNING")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    environment = private_environment(tmp_path)
    assert "PREFECT_API_URL" not in environment
    assert environment["PREFECT_LOGGING_LEVEL"] == "WARNING"
    assert "PYTHONDONTWRITEBYTECODE" not in environment
    assert environment["PREFECT_HOME"] == str(tmp_path)
    assert environment["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"


def test_a_free_port_is_free() -> None:
    """The port that is chosen can be listened on."""
    assert port_is_free(free_port())


def test_the_tail_of_a_log_survives_broken_text(tmp_path: Path) -> None:
    """A log that was cut in the middle of a character is shown all the same."""
    log = tmp_path / "server.log"
    log.write_bytes(b"one\ntwo\n\xff\xfe three")
    assert log_tail(log, 2).splitlines()[0] == "two"


HAS_A_CHILD = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(600)
"""


def test_stopping_a_child_stops_what_it_started(tmp_path: Path) -> None:
    """A worker's flow runs do not stay behind when the worker is stopped."""
    from deployments.children import start_child, stop_child

    with (tmp_path / "log").open("wb") as log:
        child = start_child([sys.executable, "-c", HAS_A_CHILD], env=dict(os.environ), cwd=tmp_path, log=log)
    assert eventually(lambda: (tmp_path / "log").read_text().strip().isdigit())
    grandchild = json.loads((tmp_path / "log").read_text())
    stop_child(child, patience_s=1)
    assert is_gone(child.pid)
    assert eventually(lambda: is_gone(grandchild), 5)
