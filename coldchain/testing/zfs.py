"""A stand-in for the `zfs` command: list, snapshot, hold, holds, release and destroy, with OpenZFS's words and exit codes.

A file system is a folder, and a snapshot of it a real copy below ``<mountpoint>/.zfs/snapshot/<name>/`` that cannot be written to: by
the immutable flag where this is root, by permission bits where it is not. Unlike ZFS it copies byte by byte, has other inodes in a
snapshot, and cannot hide `.zfs` from a listing. It imports nothing of ours: it starts as fast as an interpreter does.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import shutil
import stat
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import Any, NoReturn

_GET_FLAGS, _SET_FLAGS, _IMMUTABLE = 0x80086601, 0x40086602, 0x10  # linux/fs.h
State = dict[str, Any]


class Fault(StrEnum):
    """What goes wrong, until it is mended."""

    MAY_NOT_SNAPSHOT = "this user may not snapshot"
    MAY_NOT_HOLD = "this user may not hold"
    MAY_NOT_RELEASE = "this user may not release"
    MAY_NOT_DESTROY = "this user may not destroy"
    HOLDS_BREAKS = "holds fails"
    HOLDS_ARE_VOID = "destroy goes through despite a hold"
    HOLD_IS_FORGOTTEN = "hold says success and does nothing"
    SNAPSHOT_IS_EMPTY = "snapshot says success and holds nothing"
    SNAPSHOT_IS_WRITABLE = "what stands in a snapshot can be written to"
    DESTROY_BREAKS = "destroy fails for a reason that is no refusal"
    IN_USE = "someone looks into every snapshot"
    SNAPSHOT_HANGS = "snapshot never comes back"
    NO_SPACE = "the pool is full"
    NEW_WORDS = "says of a held snapshot what OpenZFS says from 2.3 on"


class Pool:
    """File systems of the stand-in, as a test sees them: `bin` goes to the front of PATH."""

    def __init__(self, home: Path) -> None:
        """Make a pool of a folder of its own, which is no file system of it."""
        self.home, self.bin = home, home / "bin"
        self.bin.mkdir(parents=True)
        (home / "state.json").write_text(json.dumps({"systems": {}, "snapshots": {}, "clones": [], "faults": []}))
        command = self.bin / "zfs"
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "{Path(__file__).resolve()}" "{home.resolve()}" "$@"\n')
        command.chmod(0o755)

    def create(self, name: str, mountpoint: Path, *, says: str | None = None) -> None:
        """Make a file system of a folder; `says` is its `mountpoint` where that is not the truth, such as `legacy`."""
        (mountpoint / ".zfs" / "snapshot").mkdir(parents=True)
        with _state(self.home) as state:
            state["systems"][name] = {"at": str(mountpoint.resolve()), "says": says or str(mountpoint.resolve())}

    def fail(self, *faults: Fault) -> None:
        """Have these faults from now on, and no others."""
        with _state(self.home) as state:
            state["faults"] = [str(fault) for fault in faults]

    def clone(self, snapshot: str) -> None:
        """Have somebody's clone depend on a snapshot."""
        with _state(self.home) as state:
            state["clones"].append(snapshot)

    def snapshots(self) -> dict[str, list[str]]:
        """Tags of the holds on every snapshot, by its name."""
        with _state(self.home) as state:
            return dict(state["snapshots"])

    def zfs(self, *arguments: str) -> str:
        """Run the command as somebody else would; raises where it fails."""
        return subprocess.run([self.bin / "zfs", *arguments], check=True, capture_output=True, text=True).stdout


@contextmanager
def _state(home: Path) -> Iterator[State]:
    """What the pool knows, for one command at a time."""
    with (home / "state.json").open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        state: State = json.load(file)
        yield state
        file.seek(0)
        file.truncate()
        json.dump(state, file)


def _fail(said: str, code: int = 1) -> NoReturn:
    """End with a message, which OpenZFS translates where the locale is not C."""
    sys.stderr.write((said if os.environ.get("LC_ALL") == "C" else "das ging nicht") + "\n")
    raise SystemExit(code)


def _system(state: State, snapshot: str) -> Path:
    """Mountpoint of a snapshot's file system."""
    name = snapshot.partition("@")[0]
    if name not in state["systems"]:
        _fail(f"cannot open '{name}': dataset does not exist")
    return Path(state["systems"][name]["at"])


def _stands(state: State, snapshot: str) -> Path:
    """Where the files of a snapshot stand."""
    return _system(state, snapshot) / ".zfs" / "snapshot" / snapshot.partition("@")[2]


def _list(state: State, asked: argparse.Namespace) -> None:
    """Name, mountpoint or number of holds of a file system or snapshot, or of the file system that a path is on."""
    for name in _listed(state, asked):
        row = {"name": name, "mountpoint": state["systems"].get(name, {}).get("says", "-")}
        row["userrefs"] = str(len(state["snapshots"].get(name, ())))
        print("\t".join(row[column] for column in asked.o.split(",")))  # noqa: T201 - a command prints


def _listed(state: State, asked: argparse.Namespace) -> list[str]:
    target = asked.rest[0]
    if target.startswith("/"):
        if not os.path.lexists(target):
            _fail(f"cannot open '{target}': No such file or directory")
        path = Path(target).resolve()
        on = [name for name, system in state["systems"].items() if Path(system["at"]) in (path, *path.parents)]
        if not on:
            _fail(f"'{target}': not a ZFS filesystem")
        return [max(on, key=lambda name: len(state["systems"][name]["at"]))]
    if target not in state["systems"] and target not in state["snapshots"]:
        _fail(f"cannot open '{target}': dataset does not exist")
    return (
        [name for name in state["snapshots"] if name.partition("@")[0] == target]
        if asked.t == "snapshot" and "@" not in target
        else [target]
    )


def _snapshot(state: State, asked: argparse.Namespace) -> None:
    name, root = asked.rest[0], _system(state, asked.rest[0])
    if Fault.SNAPSHOT_HANGS in state["faults"]:
        time.sleep(3600)
    if name in state["snapshots"]:
        _fail(f"cannot create snapshot '{name}': dataset already exists\nno snapshots were created")
    if Fault.NO_SPACE in state["faults"]:
        _fail(f"cannot create snapshot '{name}': out of space\nno snapshots were created")
    others = {Path(system["at"]) for system in state["systems"].values()} - {root}
    if Fault.SNAPSHOT_IS_EMPTY in state["faults"]:
        _stands(state, name).mkdir()
    else:
        shutil.copytree(root, _stands(state, name), symlinks=True, ignore=lambda folder, names: _left_out(folder, names, root, others))
    if Fault.SNAPSHOT_IS_WRITABLE in state["faults"]:
        _writable(_stands(state, name))
    else:
        _freeze(_stands(state, name))
    state["snapshots"][name] = []


def _left_out(folder: str, names: list[str], root: Path, others: set[Path]) -> list[str]:
    """What is not of this file system: its own snapshots, and file systems that are mounted below."""
    return [name for name in names if (Path(folder) == root and name == ".zfs") or Path(folder) / name in others]


def _hold(state: State, asked: argparse.Namespace) -> None:
    tag, name = asked.rest
    if name not in state["snapshots"]:
        _fail(f"cannot hold snapshot '{name}': dataset does not exist")
    if tag in state["snapshots"][name]:
        _fail(f"cannot hold snapshot '{name}': tag already exists on this dataset")
    if Fault.HOLD_IS_FORGOTTEN not in state["faults"]:
        state["snapshots"][name].append(tag)


def _holds(state: State, asked: argparse.Namespace) -> None:
    name = asked.rest[0]
    if Fault.HOLDS_BREAKS in state["faults"]:
        _fail(f"cannot open '{name}': pool I/O is currently suspended")
    if name not in state["snapshots"]:
        _fail(f"cannot open '{name}': dataset does not exist")
    for tag in state["snapshots"][name]:
        print(f"{name}\t{tag}\tFri Nov 27 13:15 2026")  # noqa: T201 - a command prints


def _release(state: State, asked: argparse.Namespace) -> None:
    tag, name = asked.rest
    if tag not in state["snapshots"].get(name, ()):
        said = "no such tag on this dataset" if name in state["snapshots"] else "dataset does not exist"
        _fail(f"cannot release hold from snapshot '{name}': {said}")
    state["snapshots"][name].remove(tag)


def _destroy(state: State, asked: argparse.Namespace) -> None:
    """Destroy a snapshot; as in ZFS a rehearsal (-n) asks for clones, and never for holds."""
    name = asked.rest[0]
    if name not in state["snapshots"]:
        _fail("could not find any snapshots to destroy; check snapshot names.")
    if name in state["clones"]:
        _fail(f"cannot destroy '{name}': snapshot has dependent clones\nuse '-R' to destroy the following datasets:\ntank/clone")
    if asked.n:
        return
    if Fault.DESTROY_BREAKS in state["faults"]:
        _fail(f"cannot destroy snapshot {name}: pool I/O is currently suspended")
    if state["snapshots"][name] and Fault.HOLDS_ARE_VOID not in state["faults"]:
        new = f"it's being held. Run 'zfs holds -r {name}' to see holders."
        _fail(f"cannot destroy snapshot {name}: {new if Fault.NEW_WORDS in state['faults'] else 'dataset is busy'}")
    if Fault.IN_USE in state["faults"]:
        _fail(f"cannot destroy snapshot {name}: dataset is busy")
    _writable(_stands(state, name))
    shutil.rmtree(_stands(state, name))
    del state["snapshots"][name]


def _tree(folder: Path) -> Iterator[Path]:
    """Yield a folder and everything in it, links left out, from above."""
    yield folder
    for parent, folders, names in os.walk(folder):
        yield from (path for path in (Path(parent) / name for name in (*folders, *names)) if not path.is_symlink())


def _freeze(folder: Path) -> None:
    for path in reversed(list(_tree(folder))):
        if os.geteuid() == 0:
            _flag(path, on=True)
        else:
            path.chmod(stat.S_IMODE(path.stat().st_mode) & ~0o222)


def _writable(folder: Path) -> None:
    for path in _tree(folder):
        if os.geteuid() == 0:
            with suppress(OSError):
                _flag(path, on=False)
        path.chmod(stat.S_IMODE(path.stat().st_mode) | 0o700)


def _flag(path: Path, *, on: bool) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        flags = struct.unpack("l", fcntl.ioctl(handle, _GET_FLAGS, b"\0" * 8))[0]
        fcntl.ioctl(handle, _SET_FLAGS, struct.pack("l", flags | _IMMUTABLE if on else flags & ~_IMMUTABLE))
    finally:
        os.close(handle)


_COMMANDS = {"list": _list, "snapshot": _snapshot, "hold": _hold, "holds": _holds, "release": _release, "destroy": _destroy}
_DENIED = {
    "snapshot": "cannot create snapshots : permission denied",
    "hold": "cannot hold snapshot '{}': permission denied",
    "release": "cannot release hold from snapshot '{}': permission denied",
    "destroy": "cannot destroy snapshot {}: permission denied",
}


def main(home: Path, command: str, arguments: list[str]) -> None:
    """Do what one call of `zfs` does; exit code 1 where it fails, 2 where it is called wrongly."""
    parser = argparse.ArgumentParser(prog=f"zfs {command}", add_help=False)
    for flag in "Hpnrv":
        parser.add_argument(f"-{flag}", action="store_true")
    for option in "to":
        parser.add_argument(f"-{option}", default="")
    parser.add_argument("rest", nargs="+")
    if command not in _COMMANDS:
        _fail(f"unrecognized command '{command}'", 2)
    asked = parser.parse_args(arguments)
    with _state(home) as state:
        known = command == "snapshot" or asked.rest[-1] in state["snapshots"]  # what does not exist is said first
        if known and f"this user may not {command}" in state["faults"]:
            _fail(_DENIED[command].format(asked.rest[-1]))
        _COMMANDS[command](state, asked)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
