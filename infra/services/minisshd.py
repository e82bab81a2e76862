#!/usr/bin/env python3
"""A real sshd on loopback, for tests and trials: no systemd, nothing in /etc or the user's home, everything below one folder.

::

    minisshd.py run DIR     start, print the path of an ssh configuration that knows the host `centre`, end when standard input closes

Needs the packages openssh-server and openssh-client; standard library only. Whoever starts it logs in, with a key of its own.
"""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

HOST = "centre"
CANNOT_RUN_HERE = 3
START_TIMEOUT_S = 20.0
SYSTEM_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])

SERVER = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {root}/host
AuthorizedKeysFile {root}/key.pub
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
MaxStartups 100
PrintMotd no
Subsystem sftp internal-sftp
"""

CLIENT = """\
Host {host}
  HostName 127.0.0.1
  Port {port}
  User {user}
  IdentityFile {root}/key
  IdentitiesOnly yes
  UserKnownHostsFile {root}/known_hosts
  GlobalKnownHostsFile /dev/null
"""


def main(root: Path) -> int:
    """Start the server, and end it when standard input ends; 3 where it cannot run here."""
    sshd = shutil.which("sshd", path=SYSTEM_PATH)
    if sshd is None or shutil.which("ssh-keygen") is None:
        print("no sshd: install openssh-server and openssh-client", file=sys.stderr)
        return CANNOT_RUN_HERE
    port = write(root)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd's own chroot, as its package makes it
    with (root / "log").open("wb") as log:
        server = subprocess.Popen([sshd, "-D", "-e", "-f", str(root / "server")], stdin=subprocess.DEVNULL, stderr=log)
    try:
        if not answers(port, server):
            print(f"sshd was not ready: {(root / 'log').read_text()[-500:]}", file=sys.stderr)
            return 1
        print(root / "config", flush=True)
        sys.stdin.read()
        return 0
    finally:
        server.terminate()
        server.wait()


def write(root: Path) -> int:
    """Keys and configurations of both sides; gives the port."""
    root.mkdir(parents=True, exist_ok=True)
    for name in ("host", "key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(root / name)], check=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    kind, key, *_ = (root / "host.pub").read_text().split()
    (root / "known_hosts").write_text(f"[127.0.0.1]:{port} {kind} {key}\n")
    said = {"root": root, "port": port, "user": getpass.getuser(), "host": HOST}
    (root / "server").write_text(SERVER.format(**said))
    (root / "config").write_text(CLIENT.format(**said))
    return port


def answers(port: int, server: subprocess.Popen[bytes]) -> bool:
    """Whether the server greets in time."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as line:
                if line.recv(4) == b"SSH-":
                    return True
        except OSError:
            time.sleep(0.05)
    return False


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] != "run":
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[2]).resolve()))
