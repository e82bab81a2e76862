"""`coldchain ui`: server, deployments and a worker for one site, in the foreground until Ctrl-C."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from coldchain.errors import ConfigurationError, TransientError
from deployments import automations
from deployments.children import start_child, stop_child
from deployments.server import ServerInfo, free_port, log_tail, port_is_free, private_environment, running_server

WORK_POOL = "coldchain"
USUAL_PORT = 4200
COMMAND_TIMEOUT_S = 300
WORKER_PATIENCE_S = 15.0
POLL_S = 0.5


@dataclass(frozen=True)
class Served:
    """What runs: the server and the worker that takes its flow runs."""

    server: ServerInfo
    worker: subprocess.Popen[bytes]
    worker_log: Path


def prefect_file() -> Path:
    """The deployments' description: beside this module in the wheel, at the root of a checkout."""
    here = Path(__file__).resolve().parent
    places = (here / "prefect.yaml", here.parent / "prefect.yaml")
    for place in places:
        if place.is_file():
            return place
    raise ConfigurationError("prefect.yaml is missing", expected=" or ".join(map(str, places)), hint="install the wheel again")


@contextmanager
def serving(site: Path, *, home: Path, port: int | None = None) -> Iterator[Served]:
    """Run server (UI and services), work pool, deployments and one worker on a site while the block runs.

    `site` is the site's YAML file: the worker hands it to the flows as COLDCHAIN_SITE. `home` is the Prefect server's folder.

    Raises:
        ConfigurationError: no such site file, or Prefect refused a deployment (its own words are in the message).
        LeaseTaken, TransientError: see `running_server`.

    """
    site = site.resolve()
    if not site.is_file():
        raise ConfigurationError("There is no such site", on=site, hint="`coldchain demo` writes one; or give the path of your site.yaml")
    with ExitStack() as stack:
        server = stack.enter_context(running_server(home, ui=True, services=True, port=port or _usual_or_free_port()))
        # Neutral: a checkout as working directory would be imported in place of the installed wheel.
        neutral = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="coldchain-")))
        env = {**private_environment(server.home), "PREFECT_API_URL": server.url_api, "COLDCHAIN_SITE": str(site)}
        create_work_pool()
        register(env, cwd=neutral)
        automations.register_here()
        yield stack.enter_context(_running_worker(server, env, cwd=neutral))


def serve(site: Path, *, home: Path, port: int | None = None, say: Callable[[str], None] = print) -> None:
    """Serve a site until Ctrl-C or SIGTERM, then stop all of it; raises TransientError when server or worker end by themselves."""
    asked = threading.Event()
    with _stop_signals_set(asked):
        say("Starting the Prefect server, the deployments and a worker ...")
        with serving(site, home=home, port=port) as served:
            say(f"Coldchain is ready: {served.server.url_ui}   (site {site}; Ctrl-C stops it)")
            say(f"Pictures and tables: {served.server.url_ui}/v2/artifacts   Forms: {served.server.url_ui}/v2/deployments")
            while not asked.wait(POLL_S):
                _raise_if_worker_ended(served)
        say("Stopped: nothing is left running.")


def create_work_pool() -> None:
    """Create our work pool on the server that this process uses; one that is there is left as it is."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists
    from prefect.workers.process import ProcessWorker

    pool = WorkPoolCreate(name=WORK_POOL, type="process", base_job_template=ProcessWorker.get_default_base_job_template())
    with get_client(sync_client=True) as client, suppress(ObjectAlreadyExists):
        client.create_work_pool(pool)


def register(env: dict[str, str], *, cwd: Path) -> None:
    """Register every deployment of prefect.yaml; the same again changes nothing."""
    _prefect(["--no-prompt", "deploy", "--all", "--prefect-file", str(prefect_file())], env, cwd)


def _usual_or_free_port() -> int:
    return USUAL_PORT if port_is_free(USUAL_PORT) else free_port()


def _prefect(arguments: Sequence[str], env: dict[str, str], cwd: Path) -> None:
    command = [sys.executable, "-P", "-m", "prefect", *arguments]
    try:
        done = subprocess.run(command, env=env, cwd=cwd, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as exc:
        raise TransientError("Prefect did not finish in time", on=" ".join(arguments), expected=f"within {COMMAND_TIMEOUT_S} s") from exc
    if done.returncode != 0:
        raise ConfigurationError("Prefect refused", on=" ".join(arguments), got=f"exit code {done.returncode}\n{done.stdout}{done.stderr}")


@contextmanager
def _running_worker(server: ServerInfo, env: dict[str, str], *, cwd: Path) -> Iterator[Served]:
    worker_log = server.home / "worker.log"
    command = [sys.executable, "-P", "-m", "prefect", "worker", "start", "--pool", WORK_POOL, "--type", "process", "--name", "coldchain-ui"]
    with worker_log.open("wb") as log:
        # SIGTERM, not SIGKILL: a worker that is asked to stop also stops the flow runs that it started.
        worker = start_child(command, env=env, cwd=cwd, log=log, parent_death=signal.SIGTERM)
    try:
        yield Served(server, worker, worker_log)
    finally:
        stop_child(worker, patience_s=WORKER_PATIENCE_S)


def _raise_if_worker_ended(served: Served) -> None:
    if served.worker.poll() is not None:
        raise TransientError(
            "The worker ended by itself",
            on=served.worker_log,
            got=f"exit code {served.worker.returncode}; the end of its log:\n{log_tail(served.worker_log)}",
            done="stopped the server too",
            hint="start again; flow runs that had not begun are still waiting",
        )


@contextmanager
def _stop_signals_set(asked: threading.Event) -> Iterator[None]:
    before = {number: signal.signal(number, lambda *_: asked.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
