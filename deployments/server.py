"""A Prefect server of our own: on loopback, its database inside one folder, gone when we are gone."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from coldchain.errors import ConfigurationError, LeaseTaken, TransientError
from deployments.children import start_child, stop_child

LOOPBACK = "127.0.0.1"
START_TIMEOUT_S = 180.0  # the first start migrates an empty database: 5 s alone, far more on a loaded machine
LEASE_TIMEOUT_S = 15.0  # a predecessor that was killed takes its server along within a second or two
STOP_PATIENCE_S = 10.0
LOG_TAIL_LINES = 25


@dataclass(frozen=True)
class ServerInfo:
    """Where a running server answers, and where it keeps its files."""

    url_api: str
    url_ui: str
    home: Path
    log: Path
    pid: int


def private_environment(home: Path) -> dict[str, str]:
    """Our environment, without the user's choice of Prefect server; ours keeps to `home` and off the network.

    Byte code is kept: PYTHONDONTWRITEBYTECODE, where set, more than doubles import time.
    """
    kept = {name: value for name, value in os.environ.items() if not _is_the_users(name)}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    return {**kept, **_quiet_settings(home)}


def _is_the_users(name: str) -> bool:
    """Whether an environment variable chooses a server, profile or database; how much is logged may stay."""
    return name.startswith("PREFECT_") and not name.startswith("PREFECT_LOGGING_")


def _quiet_settings(home: Path) -> dict[str, str]:
    return {
        "DO_NOT_TRACK": "1",
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    }


@contextmanager
def running_server(home: Path, *, ui: bool, services: bool, port: int | None = None) -> Iterator[ServerInfo]:
    """Run a Prefect server while the block runs, and let flows that are called in this process use it.

    `home` is the server's PREFECT_HOME: its SQLite database lies inside, and its log as `server.log`. `services` starts the scheduler
    and its like, which schedules and workers need. Without `port`, a free one. Call it from a thread that lives as long as the block:
    when that thread ends, even by SIGKILL of this process, the kernel kills the server too.

    Raises:
        LeaseTaken: another process runs a server on this `home`.
        ConfigurationError: the server stopped while starting (port taken, folder not writable).
        TransientError: the server did not answer in time.

    """
    home = home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    with _lease(home) as lease:
        with (home / "server.log").open("wb") as log:
            server_port = port or free_port()
            command = _server_command(server_port, ui=ui, services=services)
            env = {
                **private_environment(home),
                "PREFECT_SERVER_UI_API_URL": f"http://{LOOPBACK}:{server_port}/api",
            }  # else the pages ask port 4200
            child = start_child(command, env=env, cwd=home, log=log, parent_death=signal.SIGKILL, inherit=[lease])
        address = f"http://{LOOPBACK}:{server_port}"
        try:
            info = ServerInfo(f"{address}/api", address, home, home / "server.log", child.pid)
            _wait_until_healthy(child, info)
            with _settings_of_this_process(info):
                yield info
        finally:
            stop_child(child, patience_s=STOP_PATIENCE_S)


def free_port() -> int:
    """A TCP port of the loopback interface that nobody uses now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def port_is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def _server_command(port: int, *, ui: bool, services: bool) -> list[str]:
    command = [sys.executable, "-P", "-m", "prefect", "server", "start", "--host", LOOPBACK, "--port", str(port), "--analytics-off"]
    command.append("--ui" if ui else "--no-ui")
    return command if services else [*command, "--no-services"]


@contextmanager
def _lease(home: Path) -> Iterator[int]:
    """Hold `home/server.lock`; the server inherits it, so that it is free only when both of us are gone."""
    descriptor = os.open(home / "server.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _lock_within(descriptor, home, LEASE_TIMEOUT_S)
        yield descriptor
    finally:
        os.close(descriptor)


def _lock_within(descriptor: int, home: Path, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not _try_lock(descriptor):
        if time.monotonic() > deadline:
            raise LeaseTaken(
                "Another process runs a Prefect server on this folder",
                on=home,
                done=f"waited {seconds:.0f} s for it to end",
                hint="stop the other `coldchain demo` or `coldchain ui`, or wait until it has finished",
            )
        time.sleep(0.1)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _wait_until_healthy(child: subprocess.Popen[bytes], info: ServerInfo) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not _answers(f"{info.url_api}/health"):
        if child.poll() is not None:
            raise ConfigurationError(
                "The Prefect server stopped while starting",
                on=info.url_api,
                got=f"exit code {child.returncode}; the end of its log:\n{log_tail(info.log)}",
                hint="is the port free, and the folder writable?",
            )
        if time.monotonic() > deadline:
            raise TransientError(
                "The Prefect server did not answer in time",
                on=info.url_api,
                expected=f"an answer within {START_TIMEOUT_S:.0f} s",
                got=f"none; the end of its log:\n{log_tail(info.log)}",
                done="stopped it",
                hint="the machine may be very busy: try again",
            )
        time.sleep(0.05)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - our own http address on loopback
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def log_tail(log: Path, lines: int = LOG_TAIL_LINES) -> str:
    """The last `lines` lines of a log file, for an error message."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


@contextmanager
def _settings_of_this_process(info: ServerInfo) -> Iterator[None]:
    """Point this process and its children at the server; on leaving, send what is still queued, then set everything back."""
    from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_KEY, temporary_settings

    wanted = {**_quiet_settings(info.home), "PREFECT_API_URL": info.url_api}
    updates = {"api.url": info.url_api, "home": info.home, "server.analytics_enabled": False, "server.ephemeral.enabled": False}
    with _environment(wanted), temporary_settings(updates, restore_defaults={PREFECT_API_KEY, PREFECT_API_AUTH_STRING}):
        try:
            yield
        finally:
            _send_what_is_queued()


def _send_what_is_queued() -> None:
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    for worker in (EventsWorker, APILogWorker):
        worker.drain_all(timeout=10, at_exit=False)


@contextmanager
def _environment(wanted: Mapping[str, str]) -> Iterator[None]:
    before = {name: value for name, value in os.environ.items() if _is_the_users(name) or name in wanted}
    for name in before:
        del os.environ[name]
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name in wanted:
            os.environ.pop(name, None)
        os.environ.update(before)
