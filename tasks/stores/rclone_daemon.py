"""One rclone that serves a store: started when it is first needed, asked over loopback, gone with us.

A process for each call would log in each time (an SFTP handshake, an OAuth token), forget how slowly a service wants to be asked, and
take file names on its command line or in lists that a newline breaks. This one is asked in JSON, and gives bytes by HTTP: they are hashed
here as they come. It listens on 127.0.0.1, to whoever knows a password that is made for it and stands in its environment.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import secrets
import shutil
import subprocess
import threading
from base64 import b64encode
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, cast
from urllib.parse import quote

from coldchain.errors import ConfigurationError, LocationUnreachable
from tasks.stores.rclone_errors import clean, translated

BLOCK = 1 << 20

FLAGS = (
    "--rc-addr=127.0.0.1:0",
    "--rc-serve",
    "--rc-server-read-timeout=8760h",
    "--rc-server-write-timeout=8760h",
    "--ask-password=false",
    "--contimeout=20s",
    "--timeout=2m",
    "--retries=1",
    "--low-level-retries=5",
)
"""Nobody is asked for a password, a dead line ends within minutes, and trying again has an end; a large file may take its time."""

START = 'exec 3<&0; (cat <&3 >/dev/null; kill $$) 2>/dev/null & exec "$@" 3<&- </dev/null >/dev/null'
"""Run by sh: rclone in its place, and beside it somebody who ends it when our end of standard input closes, however we ended."""

KEPT = re.compile(r"RCLONE_(CONFIG.*|PASSWORD_COMMAND|CA_CERT|CLIENT_(CERT|KEY)|BWLIMIT.*|TPSLIMIT.*)")
"""Of rclone's settings in the environment those that say where to and how fast; others (a dry run, a filter) would change copies."""

OURS = {"RCLONE_SFTP_SKIP_LINKS": "true", "RCLONE_SKIP_LINKS": "true", "RCLONE_COPY_LINKS": "false", "RCLONE_LINKS": "false"}
"""No link is followed, whatever the configuration says."""


class Daemon:
    """One `rclone rcd`; calls may run side by side."""

    def __init__(self, name: str, config: Path | None) -> None:
        """Nothing is started until something is asked; `config` is rclone's configuration file where it is not the user's own."""
        self.name, self.config, self.secrets = name, config, list[str]()
        self._lock, self._last = threading.RLock(), deque[str](maxlen=20)
        self._process, self._port, self._login, self._reader = None, 0, "", None

    _process: subprocess.Popen[bytes] | None
    _reader: threading.Thread | None

    def ask(self, call: str, *, removing: bool = False, on: str = "", **given: Any) -> dict[str, Any]:
        """Let rclone do something, and give what it gave.

        Raises:
            ColdchainError: by rclone's words; LocationUnreachable where it was killed.
        """
        with self._answer("POST", f"/{call}", json.dumps(given).encode()) as answer:
            said = answer.read()
        if answer.status != http.client.OK:
            raise self._failed(said, answer.status, on, removing=removing)
        found: dict[str, Any] = json.loads(said)
        return found

    def stream(self, fs: str, path: str, on: str = "") -> Iterator[bytes]:
        """The bytes of a file, as they come; raises LocationUnreachable where they end early."""
        with self._answer("GET", quote(f"/[{fs}]{path}")) as answer:
            if answer.status != http.client.OK:
                raise self._failed(answer.read(), answer.status, on)
            expected, got = answer.length, 0
            while block := answer.read(BLOCK):
                got += len(block)
                yield block
        if expected is not None and got != expected:
            raise LocationUnreachable("a file ended early", on=f"{self.name}:{on}", expected=f"{expected} bytes", got=got)

    def _failed(self, said: bytes, status: int, on: str, *, removing: bool = False) -> Exception:
        try:
            words = str(json.loads(said)["error"])
        except (ValueError, KeyError, TypeError):
            words = said.decode(errors="replace")
        return translated(words, status, f"{self.name}:{on}" if on else self.name, self.secrets, removing=removing)

    @contextmanager
    def _answer(self, how: str, path: str, body: bytes | None = None) -> Iterator[http.client.HTTPResponse]:
        process = self._started()
        line = http.client.HTTPConnection("127.0.0.1", self._port)
        try:
            line.request(how, path, body, {"Authorization": self._login, "Content-Type": "application/json"})
            yield line.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise self._cut(process, error) from error
        finally:
            line.close()

    def _cut(self, process: subprocess.Popen[bytes], error: Exception) -> Exception:
        """Say why rclone does not answer, in its own last words."""
        with self._lock:
            if self._process is process and _ended(process):
                self.close()
        if fatal := [line for line in self._last if "Failed to load config file" in line]:
            return translated(fatal[-1], 0, self.name, self.secrets)
        words = " ".join(self._last) or type(error).__name__
        return LocationUnreachable(
            "rclone does not answer", on=self.name, got=clean(words, self.secrets), done="what is whole stays where it is"
        )

    def _started(self) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._process is not None and not _ended(self._process):
                return self._process
            self.close()
            program = shutil.which("rclone")
            if program is None:
                raise ConfigurationError("there is no rclone on this machine", on=self.name, hint="install the package rclone")
            word = secrets.token_urlsafe(32)
            pipe = subprocess.PIPE
            command = ["sh", "-c", START, "sh", program, "rcd", *FLAGS]
            self._process = process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=self._environment(word))
            self._login = "Basic " + b64encode(f"coldchain:{word}".encode()).decode()
            self._port = self._ready(process)
            self._reader = threading.Thread(target=self._listen, args=(process,), daemon=True)
            self._reader.start()
            return process

    def _environment(self, word: str) -> Mapping[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("RCLONE_") or KEPT.fullmatch(key)}
        kept.pop("AWS_CA_BUNDLE", None)  # the S3 part of rclone refuses to start with it; RCLONE_CA_CERT is rclone's way to say it
        config = {"RCLONE_CONFIG": str(self.config)} if self.config else {}
        return {**kept, **config, **OURS, "RCLONE_RC_USER": "coldchain", "RCLONE_RC_PASS": word}

    def _ready(self, process: subprocess.Popen[bytes]) -> int:
        """Wait until rclone listens, and give its port."""
        self._last.clear()
        for line in _pipe(process.stderr):
            text = line.decode(errors="replace").rstrip()
            if found := re.search(r"Serving remote control on http://127\.0\.0\.1:(\d+)/", text):
                return int(found[1])
            self._last.append(text)
        self.close()
        raise translated(" ".join(self._last) or "rclone ended at once", 0, self.name, self.secrets)

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        """Keep rclone's last words, lest it wait for somebody to read them."""
        with suppress(ValueError, OSError):
            for line in _pipe(process.stderr):
                self._last.append(line.decode(errors="replace").rstrip())

    def close(self) -> None:
        """End rclone, and who watches over it."""
        with self._lock:
            process, self._process = self._process, None
            if process is None:
                return
            _pipe(process.stdin).close()
            _pipe(process.stdout).read()  # the watcher ends: from now on nobody has the process's number but us
            process.kill()
            process.wait()
            if self._reader is not None:
                self._reader.join()
            for pipe in (process.stdout, process.stderr):
                _pipe(pipe).close()


def _ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether rclone is gone; its number stays taken until `close`, so that the watcher ends nobody else."""
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    """A pipe that was asked for when the process was started."""
    return cast("IO[bytes]", pipe)
