"""Helper processes that do not outlive us: started so that they die with us, stopped with everything they started."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO

import psutil

from coldchain.errors import ConfigurationError

# A parent that died before the kernel learned of the wish would be missed: the child looks once, and does not start.
ONLY_IF_PARENT_LIVES = 'if [ "$PPID" = "$0" ]; then exec "$@"; fi'


def start_child(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    log: IO[bytes],
    parent_death: signal.Signals = signal.SIGKILL,
    inherit: Iterable[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a process that the kernel signals when the calling *thread* ends, even by SIGKILL (prctl(2), PR_SET_PDEATHSIG).

    Its process group is its own, so that a Ctrl-C in the terminal reaches us alone. Raises ConfigurationError without `setpriv`.
    """
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise ConfigurationError("A helper process cannot be tied to ours", on="setpriv", hint="install util-linux")
    guarded = [setpriv, "--pdeathsig", parent_death.name.removeprefix("SIG"), "sh", "-c", ONLY_IF_PARENT_LIVES, str(os.getpid())]
    return subprocess.Popen(
        [*guarded, *command],
        env=dict(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        pass_fds=tuple(inherit),
    )


def stop_child(child: subprocess.Popen[bytes], *, patience_s: float) -> None:
    """Ask a child to stop, wait `patience_s` seconds, then kill what is left of it and of all that it started."""
    family = _family(child.pid)
    if child.poll() is None:
        child.terminate()
    psutil.wait_procs(family, timeout=patience_s)
    for process in [*family, *(late for member in family for late in _family(member.pid))]:
        _kill(process)
    child.wait()


def _family(pid: int) -> list[psutil.Process]:
    try:
        eldest = psutil.Process(pid)
        return [eldest, *eldest.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return
