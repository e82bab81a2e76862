#!/usr/bin/env python3
"""A real SLURM on one machine, for tests and trials: no systemd, nothing in /etc, everything below one folder.

::

    minislurm.py run DIR     start, print SLURM_CONF's value on a line, end when standard input closes
    minislurm.py up DIR      start, print the line to `eval`, leave it running
    minislurm.py down DIR    end what `up` started
    minislurm.py lose DIR NODE     kill a node's daemon, as if the node had lost power; its jobs' processes go on
    minislurm.py return DIR NODE   start it again

Needs root and the packages slurm-wlm and munge; standard library only. Each process is recorded in DIR/state.json with the
kernel's start time, so that no stranger under a reused process id is ever ended.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

PROGRAMS = ("munged", "mungekey", "munge", "slurmctld", "slurmd", "sbatch", "scancel", "squeue", "sinfo", "scontrol")
SYSTEM_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])
START_TIMEOUT_S = 30.0
SHORT_PREFIX = "mslurm-"


class SlurmUnavailable(RuntimeError):
    """SLURM cannot run here, or did not start; the message says why."""


# --- what is to be built: values only


@dataclass(frozen=True)
class Layout:
    """Nodes of the small cluster: CPUs and MB of memory each, GPUs that are links to /dev/null."""

    cpu_nodes: int = 2
    gpu_nodes: int = 1
    gpus: int = 2
    cpus: int = 2
    memory_mb: int = 6000

    @property
    def names(self) -> list[str]:
        """Every node's name, `cpu1`, ..., `gpu1`, ...."""
        return [f"cpu{i + 1}" for i in range(self.cpu_nodes)] + [f"gpu{i + 1}" for i in range(self.gpu_nodes)]


SETTINGS = """\
ClusterName=mini
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
EnforcePartLimits=ALL
AuthType=auth/munge
AuthInfo=socket={short}/munge
CredType=cred/munge
SlurmctldPort={port}
SlurmctldPidFile={root}/run/slurmctld.pid
SlurmctldLogFile={root}/log/slurmctld.log
SlurmdPidFile={root}/run/slurmd.%n.pid
SlurmdLogFile={root}/log/slurmd.%n.log
SlurmdSpoolDir={short}/spool/%n
StateSaveLocation={root}/ctld
MailProg=/bin/true
PlugStackConfig={root}/etc/plugstack.conf
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SwitchType=switch/none
MpiDefault=none
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=5,bf_interval=5,sched_min_interval=100000
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
GresTypes=gpu
SlurmdParameters=config_overrides
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc={root}/log/jobcomp.txt
ReturnToService=2
SlurmdTimeout=10
SlurmctldTimeout=10
KillWait=5
MinJobAge=3600
OverTimeLimit=0
InactiveLimit=0
Waittime=0
MessageTimeout=10
TCPTimeout=2
"""


def slurm_conf(layout: Layout, *, root: Path, short: Path, host: str, ports: list[int]) -> str:
    """Return slurm.conf(5) for this layout; the first port is the controller's, the others the nodes'."""
    settings = SETTINGS.format(root=root, short=short, host=host, port=ports[0])
    nodes = [_node_line(layout, name, host, port) for name, port in zip(layout.names, ports[1:], strict=True)]
    partitions = [_partition_line(kind, count) for kind, count in (("cpu", layout.cpu_nodes), ("gpu", layout.gpu_nodes)) if count]
    return settings + "\n".join([*nodes, *partitions]) + "\n"


def _node_line(layout: Layout, name: str, host: str, port: int) -> str:
    gres = f" Gres=gpu:{layout.gpus}" if name.startswith("gpu") else ""
    size = f"CPUs={layout.cpus} RealMemory={layout.memory_mb}{gres} Feature={name[:3]},ib"
    return f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} {size} State=UNKNOWN"


def _partition_line(kind: str, count: int) -> str:
    default = "YES" if kind == "cpu" else "NO"
    return f"PartitionName={kind} Nodes={kind}[1-{count}] Default={default} DefaultTime=10 MaxTime=60 State=UP DefMemPerCPU=500"


def gres_conf(layout: Layout, devices: Path) -> str:
    """Return gres.conf(5): each GPU is a device file, without which SLURM sets no CUDA_VISIBLE_DEVICES."""
    numbers = f"[0-{layout.gpus - 1}]" if layout.gpus > 1 else "0"
    nodes = [name for name in layout.names if name.startswith("gpu")]
    return "\n".join(["AutoDetect=off", *(f"NodeName={name} Name=gpu File={devices}/{name}_{numbers}" for name in nodes)]) + "\n"


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


def end(process: Process, grace_s: float) -> None:
    """End a process: asked first, killed after `grace_s` seconds."""
    for number, patience in ((signal.SIGTERM, grace_s), (signal.SIGKILL, 2.0)):
        if not process.alive:
            return
        with suppress(ProcessLookupError):
            os.kill(process.pid, number)
        wait_until(lambda: not process.alive, patience)


def wait_until(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Return whether the condition came true within the time."""
    until = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def jobs_of(conf: Path) -> list[Process]:
    """Return step daemons and job processes of this cluster: those whose environment names our slurm.conf."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and int(entry.name) != os.getpid()]
    return [Process("step", pid, start_time(pid)) for pid in pids if _is_job_of(pid, f"SLURM_CONF={conf}".encode())]


def _is_job_of(pid: int, mark: bytes) -> bool:
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    in_job = any(variable.startswith(b"SLURM_JOB_ID=") for variable in environment)
    return mark in environment and (in_job or command.startswith(b"slurmstepd"))


# --- the cluster


class MiniSlurm:
    """One small cluster below `root`."""

    def __init__(self, root: Path, layout: Layout) -> None:
        self.root, self.layout = root.absolute(), layout
        self.conf, self._state, self._short = self.root / "etc/slurm.conf", self.root / "state.json", self.root / "short"
        self._processes = _recorded(self._state)

    def up(self) -> None:
        """Start everything, or raise SlurmUnavailable with the end of the log and nothing left running."""
        _check_machine()
        self._write()
        try:
            self._start_munge()
            self._start("slurmctld", "-D", "-c", "-f", str(self.conf))
            self._await("slurmctld", lambda: "UP" in self._run("scontrol", "ping"))
            for name in self.layout.names:
                (self._short / "spool" / name).mkdir()
                self._start_node(name)
            self._await("slurmd", self._all_idle)
        except BaseException:
            self.down()
            raise

    def down(self) -> list[Process]:
        """End jobs, then daemons; return what could not be ended."""
        self._processes = _recorded(self._state)  # a node may have returned meanwhile
        if any(process.alive for process in self._processes if process.name == "slurmctld"):
            self._run("scancel", "--user=root")
            wait_until(lambda: not self._run("squeue", "--noheader"), 8)
        self._end("slurmd", "slurmctld")
        for process in jobs_of(self.conf):
            end(process, 1)
        self._end("munged")
        left = [process for process in self._processes if process.alive]
        if not left and self._short.is_symlink() and self._short.readlink().name.startswith(SHORT_PREFIX):
            shutil.rmtree(self._short.readlink(), ignore_errors=True)
        return left

    def lose(self, node: str) -> None:
        """Kill a node's daemon without a word."""
        for process in self._processes:
            if process.name == f"slurmd.{node}" and process.alive:
                os.kill(process.pid, signal.SIGKILL)

    def bring_back(self, node: str) -> None:
        """Start a node's daemon again, and wait until the node takes jobs."""
        self._start_node(node)
        self._run("scontrol", "update", f"nodename={node}", "state=resume")
        self._await(f"slurmd.{node}", lambda: self._states().get(node) in {"idle", "mix", "alloc"})

    def _write(self) -> None:
        if self.root.exists() and any(self.root.iterdir()):
            raise SlurmUnavailable(f"{self.root} is not empty")
        for folder in ("etc", "munge", "ctld", "log", "run", "dev"):
            (self.root / folder).mkdir(parents=True)
        self._short.symlink_to(_short_folder())
        host, ports = socket.gethostname().partition(".")[0], _free_ports(1 + len(self.layout.names))
        conf = slurm_conf(self.layout, root=self.root, short=self._short.readlink(), host=host, ports=ports)
        self.conf.write_text(conf, encoding="utf-8")
        (self.root / "etc/plugstack.conf").touch()
        (self.root / "etc/gres.conf").write_text(gres_conf(self.layout, self.root / "dev"), encoding="utf-8")
        for name in (name for name in self.layout.names if name.startswith("gpu")):
            for number in range(self.layout.gpus):
                (self.root / "dev" / f"{name}_{number}").symlink_to("/dev/null")

    def _start_munge(self) -> None:
        munge, sock = self.root / "munge", self._short.readlink() / "munge"
        subprocess.run([_program("mungekey"), "--create", f"--keyfile={munge}/key"], check=True)
        files = [f"--key-file={munge}/key", f"--pid-file={munge}/pid", f"--seed-file={munge}/seed", f"--log-file={munge}/log"]
        self._start("munged", "--foreground", f"--socket={sock}", *files)
        self._await("munged", lambda: sock.exists() and bool(self._run("munge", f"--socket={sock}", "-n")))

    def _start_node(self, node: str) -> None:
        self._start("slurmd", "-D", "-N", node, "-f", str(self.conf), name=f"slurmd.{node}")

    def _start(self, program: str, *arguments: str, name: str = "") -> None:
        name = name or program
        with (self.root / "log" / f"{name}.out").open("ab") as out:
            process = subprocess.Popen(
                [_program(program), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=self._environment(),
                cwd=self.root,
                start_new_session=True,
            )
        self._processes.append(Process(name, process.pid, start_time(process.pid)))
        self._state.write_text(json.dumps([asdict(process) for process in self._processes], indent=1), encoding="utf-8")

    def _await(self, name: str, ready: Callable[[], bool]) -> None:
        if not wait_until(ready, START_TIMEOUT_S):
            tails = [file.read_text(encoding="utf-8", errors="replace")[-1500:] for file in sorted((self.root / "log").glob(f"{name}*"))]
            raise SlurmUnavailable(f"{name} was not ready in {START_TIMEOUT_S:g} s\n" + "\n".join(tails))

    def _all_idle(self) -> bool:
        states = self._states()
        return sorted(states) == sorted(self.layout.names) and set(states.values()) == {"idle"}

    def _states(self) -> dict[str, str]:
        return dict(line.split() for line in self._run("sinfo", "--noheader", "--Node", "--format=%N %t").splitlines())

    def _run(self, name: str, *arguments: str) -> str:
        """Return what a command printed; nothing where it failed or gave no answer in time."""
        with suppress(subprocess.TimeoutExpired):
            answer = subprocess.run(
                [_program(name), *arguments], env=self._environment(), capture_output=True, text=True, timeout=10, check=False
            )
            return answer.stdout if answer.returncode == 0 else ""
        return ""

    def _end(self, *names: str) -> None:
        for process in (process for name in names for process in self._processes if process.name.partition(".")[0] == name):
            end(process, 5)

    def _environment(self) -> Mapping[str, str]:
        return {**os.environ, "SLURM_CONF": str(self.conf)}


def _recorded(state: Path) -> list[Process]:
    return [Process(**record) for record in json.loads(state.read_text(encoding="utf-8"))] if state.exists() else []


def _check_machine() -> None:
    missing = [name for name in PROGRAMS if shutil.which(name, path=SYSTEM_PATH) is None]
    if missing:
        raise SlurmUnavailable(f"not installed: {', '.join(missing)} (Debian packages slurm-wlm and munge)")
    if os.geteuid() != 0:
        raise SlurmUnavailable("SLURM's daemons need root here")


def _program(name: str) -> str:
    return shutil.which(name, path=SYSTEM_PATH) or name


def _short_folder() -> str:
    """Make a folder for Unix sockets: their paths have 108 bytes at most, and munged wants its parents open to all."""
    folder = tempfile.mkdtemp(prefix=SHORT_PREFIX, dir="/tmp")
    Path(folder).chmod(0o755)
    Path(folder, "spool").mkdir()
    return folder


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _arguments(given: Iterable[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["run", "up", "down", "lose", "return"])
    parser.add_argument("dir", type=Path)
    parser.add_argument("node", nargs="?", default="")
    for name, default in asdict(Layout()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=default)
    return parser.parse_args(list(given))


def _until_input_ends() -> None:
    """Wait for the end of standard input, or for SIGTERM; Ctrl-C is for the one who holds our input, and who ends us."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.stdin.close())
    with suppress(ValueError):  # closed by SIGTERM
        sys.stdin.read()


def main(given: Iterable[str]) -> int:
    """Do what the command line says; 0 on success, 3 where SLURM cannot run here, 1 where something is left running."""
    options = vars(_arguments(given))
    action, root, node = options.pop("action"), options.pop("dir"), options.pop("node")
    slurm = MiniSlurm(root, Layout(**options))
    try:
        if action in {"lose", "return"}:
            (slurm.lose if action == "lose" else slurm.bring_back)(node)
            return 0
        if action != "down":
            slurm.up()
    except SlurmUnavailable as exc:
        print(exc, file=sys.stderr)
        return 3
    if action == "up":
        print(f"export SLURM_CONF={slurm.conf}")
        return 0
    if action == "run":
        print(slurm.conf, flush=True)
        _until_input_ends()
    left = slurm.down()
    for process in left:
        print(f"still running: {process}", file=sys.stderr)
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
