"""A line to another machine: ssh runs a POSIX store there (coldchain/serving.py), which is sent along and leaves nothing behind."""

from __future__ import annotations

import io
import json
import shlex
import subprocess
import threading
import weakref
import zipfile
from contextlib import suppress
from functools import cache
from importlib.resources import files as resources
from pathlib import Path
from typing import IO, Any, cast

from coldchain.errors import ConfigurationError, LocationUnreachable
from coldchain.files import Progress, no_progress
from coldchain.location import Ssh
from coldchain.serving import MODULES, error_of

ALIVE = ("-oBatchMode=yes", "-oConnectTimeout=20", "-oServerAliveInterval=15", "-oServerAliveCountMax=4", "-oStrictHostKeyChecking=yes")
"""Nobody is asked for a password, a host whose key is not known is refused, and a dead line ends within a minute."""

START = (
    "import sys, tempfile\n"
    "if sys.version_info < (3, 11): sys.exit('coldchain: Python %d.%d is too old' % sys.version_info[:2])\n"
    "sent = tempfile.NamedTemporaryFile(suffix='.zip')\n"
    "sent.write(sys.stdin.buffer.read(int(sys.stdin.buffer.readline()))); sent.flush(); sys.path.insert(0, sent.name)\n"
    "from coldchain.serving import serve\n"
    "serve(iter(sys.stdin.readline, ''), sys.stdout)\n"
)
"""Run by the Python over there, before anything of ours is there."""

_HINTS = {
    "Permission denied": "give the service's user a key that the machine accepts, without a password",
    "Host key verification failed": "look whether the machine was changed; then mend known_hosts, never StrictHostKeyChecking",
    "too old": "name a newer one as `ssh.python` of the location, 3.11 or newer",
    "command not found": "name Python as `ssh.python` of the location, with its path",
    "Could not resolve hostname": "look at `ssh.host` of the location",
    "Bad owner or permissions": "chmod 600 ssh's configuration file",
}
"""What nobody mends by waiting, by words of ssh's and ours."""


class Link:
    """One ssh, started when it is first needed and again when it was cut; calls wait for each other."""

    def __init__(self, name: str, reach: Ssh, config: Path | None, store: dict[str, Any]) -> None:
        """Nothing is started until something is asked."""
        self.name, self.reach, self.config, self._store = name, reach, config, store
        self._lock, self._running = threading.RLock(), list[subprocess.Popen[bytes]]()
        weakref.finalize(self, _end, self._running)  # a store that nobody needs any more leaves no ssh behind

    @property
    def ssh(self) -> list[str]:
        """The command that reaches the machine, without the host."""
        return ["ssh", *(("-F", str(self.config)) if self.config else ()), *ALIVE]

    def ask(self, call: str, progress: Progress = no_progress, **given: Any) -> Any:
        """Let the store over there do something, and give what it gave.

        Raises:
            ColdchainError: what it raised there.
            LocationUnreachable: the line was cut, or cannot be made now.
            ConfigurationError: the machine will not have us, or has no Python that we need.
        """
        with self._lock:
            answer = self._asked(json.dumps({"call": call, "given": given}), progress)
        if "raised" in answer:
            raise error_of(answer["raised"])
        return answer["gave"]

    def _asked(self, request: str, progress: Progress) -> dict[str, Any]:
        process = self._started()
        try:
            _send(process, request)
            return _heard(process, progress)
        except (OSError, ValueError, EOFError) as error:
            raise self._cut(process) from error
        except BaseException:  # half an answer may be on its way: the next call needs a line of its own
            self.close()
            raise

    def close(self) -> None:
        """End the line."""
        with self._lock:
            _end(self._running)

    def _started(self) -> subprocess.Popen[bytes]:
        if self._running and self._running[0].poll() is None:
            return self._running[0]
        self.close()
        command = [*self.ssh, self.reach.host, f"exec {shlex.quote(self.reach.python)} -c {shlex.quote(START)}"]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe)
        self._running.append(process)
        try:
            code = ours()
            _send(process, str(len(code)), code)
            _send(process, json.dumps(self._store))
            _heard(process, no_progress)
        except (OSError, ValueError, EOFError) as error:
            raise self._cut(process) from error
        return process

    def _cut(self, process: subprocess.Popen[bytes]) -> LocationUnreachable | ConfigurationError:
        """Say why a line ended, in ssh's own words."""
        self._running.clear()
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)
        process.kill()
        _, said = process.communicate()
        words = " ".join(said.decode(errors="replace").split())[-500:] or f"ssh ended with {process.returncode}"
        hint = next((hint for word, hint in _HINTS.items() if word in words), None)
        if hint is not None:
            return ConfigurationError("a machine cannot be used as it is", on=f"{self.name} ({self.reach.host})", got=words, hint=hint)
        return LocationUnreachable(
            "the line to a machine was cut", on=f"{self.name} ({self.reach.host})", got=words, hint="is it up, and the network?"
        )


def _end(running: list[subprocess.Popen[bytes]]) -> None:
    while running:
        process = running.pop()
        process.kill()
        process.communicate()


def _heard(process: subprocess.Popen[bytes], progress: Progress) -> dict[str, Any]:
    """Wait for the answer; EOFError where the line ended, ValueError where something else speaks."""
    for line in iter(_pipe(process.stdout).readline, b""):
        answer = json.loads(line)
        if not isinstance(answer, dict) or not {"progress", "gave", "raised"} & answer.keys():
            raise ValueError(f"not an answer: {line[:80]!r}")
        if "progress" not in answer:
            return answer
        progress(*answer["progress"])
    raise EOFError


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    """A pipe that was asked for when the process was started."""
    return cast("IO[bytes]", pipe)


def _send(process: subprocess.Popen[bytes], line: str, more: bytes = b"") -> None:
    pipe = _pipe(process.stdin)
    pipe.write(line.encode() + b"\n" + more)
    pipe.flush()


@cache
def ours() -> bytes:
    """The modules that the other side needs, as a zip."""
    found = io.BytesIO()
    with zipfile.ZipFile(found, "w", zipfile.ZIP_DEFLATED) as packed:
        for module in MODULES:
            packed.writestr(f"coldchain/{module}.py", resources("coldchain").joinpath(f"{module}.py").read_bytes())
    return found.getvalue()
