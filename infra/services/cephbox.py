#!/usr/bin/env python3
"""A real Ceph RADOS Gateway (S3) on one machine, for tests and trials: no systemd, nothing in /etc, everything below one folder.

::

    cephbox.py run DIR     start, print a line of JSON (endpoint, ca, access_key, secret_key), end when standard input closes
    cephbox.py up DIR      start, print that line, leave it running
    cephbox.py down DIR    end what `up` started

A monitor, one OSD that keeps everything in memory, and a gateway with TLS on loopback; about a second. Needs the packages ceph-mon,
ceph-osd, radosgw and ceph-common, and openssl; standard library only. Each process is recorded in DIR/state.json with the kernel's
start time, so that no stranger under a reused process id is ever ended. The data is thrown away: processes are killed, not asked.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import secrets
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

PROGRAMS = ("ceph", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin", "openssl")
SYSTEM_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])
START_TIMEOUT_S = 60.0


class CephUnavailable(RuntimeError):
    """Ceph cannot run here, or did not start; the message says why."""


# --- what is to be built: values only


@dataclass(frozen=True)
class Layout:
    """Bytes of the store in memory, and threads of the gateway."""

    size: int = 4 << 30
    threads: int = 64


SETTINGS = """\
[global]
fsid = {fsid}
mon initial members = a
mon host = [v2:127.0.0.1:{mon}/0]
ms bind ipv6 = false
ms bind ipv4 = true
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
keyring = {root}/keyring
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
mon allow pool size one = true
mon warn on pool no redundancy = false
mon max pg per osd = 2000
osd crush chooseleaf type = 0
mon pg warn min per osd = 0
run dir = {root}/run
log file = {root}/log/$name.log
admin socket = {root}/run/$name.asok
pid file = {root}/run/$name.pid
crash dir = {root}/crash
log max recent = 100
debug ms = 0
mon cluster log file = {root}/log/cluster.log

[mon]
mon data = {root}/mon.a
mon data avail crit = 1
mon data avail warn = 2
mon allow pool delete = true
mon osd nearfull ratio = .94
mon osd backfillfull ratio = .95
mon osd full ratio = .96
# a single monitor has nobody to wait for
paxos propose interval = 0.01
paxos min wait = 0.01
auth allow insecure global id reclaim = false

[osd]
osd data = {root}/osd.0
osd objectstore = memstore
memstore device bytes = {size}
memstore page set = true
osd memory target = 939524096
osd fast shutdown = true
osd max object name len = 460
osd max object namespace len = 64
osd crush update on start = true

[client.rgw.a]
rgw frontends = beast tcp_nodelay=1 ssl_endpoint=127.0.0.1:{rgw} ssl_certificate={root}/tls.crt ssl_private_key={root}/tls.key
rgw data = {root}/rgw.a
rgw enable usage log = false
rgw enable ops log = false
rgw run sync thread = false
rgw rados pool pg num min = 1
rgw dynamic resharding = false
rgw thread pool size = {threads}
"""

_ALL = "".join(f'\tcaps {kind} = "allow *"\n' for kind in ("mon", "osd", "mgr"))
CAPS = {
    "mon.": '\tcaps mon = "allow *"\n',
    "client.admin": _ALL,
    "client.rgw.a": _ALL,
    "osd.0": '\tcaps mon = "allow profile osd"\n\tcaps mgr = "allow profile osd"\n\tcaps osd = "allow *"\n',
}


def keyring() -> str:
    """Return a keyring with a fresh key for each daemon, as ``ceph-authtool --gen-key`` makes it, only faster."""
    return "".join(f"[{name}]\n\tkey = {_key()}\n{caps}" for name, caps in CAPS.items())


def _key() -> str:
    """Encode le16 type (AES), le32 s, le32 ns, le16 length, 16 bytes."""
    return base64.b64encode(struct.pack("<hiih", 1, int(time.time()), 0, 16) + os.urandom(16)).decode()


# --- processes


@dataclass(frozen=True)
class Process:
    """One process by its id and the kernel's start time, which together are never used twice."""

    name: str
    pid: int
    started: int | None

    @property
    def alive(self) -> bool:
        """Whether this very process still runs."""
        return self.started is not None and start_time(self.pid) == self.started


def start_time(pid: int) -> int | None:
    """Return clock ticks from boot to the process's start, None where it is gone or a zombie (proc(5), field 22)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def wait_until(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Return whether the condition came true within the time."""
    until = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


# --- the cluster


class CephBox:
    """One monitor, one OSD and one gateway below `root`."""

    def __init__(self, root: Path, layout: Layout) -> None:
        self.root, self.layout = root.absolute(), layout
        self._conf, self._state = self.root / "ceph.conf", self.root / "state.json"
        self._processes = _recorded(self._state)

    def up(self) -> dict[str, str]:
        """Start everything and say how to reach it, or raise CephUnavailable with the end of the logs and nothing left running."""
        _check_machine()
        try:
            return self._up()
        except BaseException:
            self.down()
            raise

    def _up(self) -> dict[str, str]:
        mon, rgw = _free_ports(2)
        self._write(mon, rgw)
        self._run("ceph-mon", "-i", "a", "--mkfs", "--monmap", f"{self.root}/monmap", "--keyring", f"{self.root}/keyring")
        self._start("ceph-mon", "-i", "a")
        osd = str(uuid.uuid4())
        self._run("ceph", "--connect-timeout", "30", "osd", "new", osd)
        self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
        self._start("ceph-osd", "-i", "0")
        self._await("ceph-osd", lambda: json.loads(self._run("ceph", "osd", "stat", "-f", "json")).get("num_up_osds") == 1)
        keys = {"access_key": f"TEST{secrets.token_hex(8).upper()}", "secret_key": secrets.token_hex(20)}
        named = [f"--{name.replace('_', '-')}={value}" for name, value in keys.items()]
        self._run("radosgw-admin", "user", "create", "--uid=test", "--display-name=test", *named)
        self._start("radosgw", "-n", "client.rgw.a")
        self._await("radosgw", lambda: _answers(rgw, self.root / "tls.crt"))
        return {"endpoint": f"https://127.0.0.1:{rgw}", "ca": str(self.root / "tls.crt"), **keys}

    def down(self) -> list[Process]:
        """Kill all of it, the gateway first; return what could not be ended."""
        for process in reversed(self._processes):
            if process.alive:
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
                wait_until(lambda process=process: not process.alive, 5)
        return [process for process in self._processes if process.alive]

    def _write(self, mon: int, rgw: int) -> None:
        if self.root.exists() and any(self.root.iterdir()):
            raise CephUnavailable(f"{self.root} is not empty")
        for folder in ("run", "log", "crash", "mon.a", "osd.0", "rgw.a"):
            (self.root / folder).mkdir(parents=True)
        fsid = str(uuid.uuid4())
        settings = SETTINGS.format(fsid=fsid, mon=mon, rgw=rgw, root=self.root, **asdict(self.layout))
        self._conf.write_text(settings, encoding="utf-8")
        (self.root / "keyring").touch(mode=0o600)
        (self.root / "keyring").write_text(keyring(), encoding="utf-8")
        _checked("monmaptool", "--create", "--clobber", "--fsid", fsid, "--addv", "a", f"[v2:127.0.0.1:{mon}/0]", f"{self.root}/monmap")
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
        files = ["-keyout", f"{self.root}/tls.key", "-out", f"{self.root}/tls.crt"]
        _checked("openssl", "req", "-x509", *curve, "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", *files)

    def _run(self, name: str, *arguments: str) -> str:
        return _checked(name, "-c", str(self._conf), *arguments)

    def _start(self, name: str, *arguments: str) -> None:
        with (self.root / "log" / f"{name}.out").open("ab") as out:
            process = subprocess.Popen(
                [_program(name), "-c", str(self._conf), *arguments, "-f"],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=self.root,
                start_new_session=True,
            )
        self._processes.append(Process(name, process.pid, start_time(process.pid)))
        self._state.write_text(json.dumps([asdict(process) for process in self._processes], indent=1), encoding="utf-8")

    def _await(self, name: str, ready: Callable[[], bool]) -> None:
        if not wait_until(ready, START_TIMEOUT_S):
            tails = [file.read_text(encoding="utf-8", errors="replace")[-1500:] for file in sorted((self.root / "log").glob("*"))]
            raise CephUnavailable(f"{name} was not ready in {START_TIMEOUT_S:g} s\n" + "\n".join(tails))


def _answers(port: int, certificate: Path) -> bool:
    with suppress(urllib.error.URLError, OSError):
        context = ssl.create_default_context(cafile=str(certificate))
        with urllib.request.urlopen(f"https://127.0.0.1:{port}/", timeout=2, context=context) as answer:
            return bool(answer.status == 200)
    return False


def _checked(name: str, *arguments: str) -> str:
    """Return what a command printed; raise CephUnavailable with its words where it failed."""
    done = subprocess.run([_program(name), *arguments], capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise CephUnavailable(f"{name}: exit code {done.returncode}, so it was not ready: {done.stderr[-1500:]}")
    return done.stdout


def _recorded(state: Path) -> list[Process]:
    return [Process(**record) for record in json.loads(state.read_text(encoding="utf-8"))] if state.exists() else []


def _check_machine() -> None:
    missing = [name for name in PROGRAMS if shutil.which(name, path=SYSTEM_PATH) is None]
    if missing:
        raise CephUnavailable(f"not installed: {', '.join(missing)} (Debian packages ceph-mon, ceph-osd, radosgw, ceph-common and openssl)")


def _program(name: str) -> str:
    return shutil.which(name, path=SYSTEM_PATH) or name


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _arguments(given: Iterable[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["run", "up", "down"])
    parser.add_argument("dir", type=Path)
    for name, default in asdict(Layout()).items():
        parser.add_argument(f"--{name}", type=int, default=default)
    return parser.parse_args(list(given))


def _until_input_ends() -> None:
    """Wait for the end of standard input, or for SIGTERM; Ctrl-C is for the one who holds our input, and who ends us."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.stdin.close())
    with suppress(ValueError):  # closed by SIGTERM
        sys.stdin.read()


def main(given: Iterable[str]) -> int:
    """Do what the command line says; 0 on success, 3 where Ceph cannot run here, 1 where something is left running."""
    options = vars(_arguments(given))
    action, root = options.pop("action"), options.pop("dir")
    box = CephBox(root, Layout(**options))
    if action != "down":
        try:
            reach = box.up()
        except CephUnavailable as exc:
            print(exc, file=sys.stderr)
            return 3
        print(json.dumps(reach), flush=True)
    if action == "up":
        return 0
    if action == "run":
        _until_input_ends()
    left = box.down()
    for process in left:
        print(f"still running: {process}", file=sys.stderr)
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
