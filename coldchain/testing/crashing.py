"""Crash points: every effect of a run by its name, and a real process that is killed by SIGKILL before any one of them.

The product has no hooks for this. CPython's audit events tell of each change of a folder's tree, SQLAlchemy's events of each change of
a catalogue, and a wrapper around ``os.write`` of the bytes, in the process that is made for one run and ends with it. The point before
an effect is the point after the one before it. Not seen: what other functions write (``os.pwrite``, ``os.mkfifo``, a library in C).

A run is forked from the process that asks for it, which has to be without threads and without an open catalogue.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from coldchain import files
from coldchain.errors import ColdchainError

Run = Callable[[], None]
"""Opens what it needs, does something, and closes it."""

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_TOLD_TO_THE_SYSTEM = 1 << 30  # asm-generic/ioctl.h, _IOC_WRITE: the call hands something to the kernel
_CHANGE = re.compile(r"\s*(?P<verb>INSERT|UPDATE|DELETE)\s+(?:INTO\s+|FROM\s+)?\"?(?P<table>\w+)", re.IGNORECASE)
_FOLDERS = {  # audit event -> arguments: a path, and the folder (an open file's number, or -1) that it is relative to
    "os.chmod": ((0, 2),),
    "os.chown": ((0, 3),),
    "os.link": ((0, 2), (1, 3)),
    "os.mkdir": ((0, 2),),
    "os.remove": ((0, 1),),
    "os.removexattr": ((0, None),),
    "os.rename": ((0, 2), (1, 3)),
    "os.rmdir": ((0, 1),),
    "os.setxattr": ((0, None),),
    "os.symlink": ((1, 2),),
    "os.truncate": ((0, None),),
    "os.utime": ((0, 3),),
}


def effects(run: Run, below: Path) -> list[str]:
    """Names of a run's effects below a folder and in its catalogue, in their order; the run goes to its end.

    Raises:
        ColdchainError: the run failed.
    """
    return [line for line in apart(lambda: _record(run, below)).split("\0") if line]


def kill(run: Run, below: Path, point: int) -> bool:
    """Kill a run before its effect of this number, counted from 0; whether it was killed and had not ended before.

    Raises:
        ColdchainError: the run failed.
    """
    try:
        apart(lambda: _until(run, below, point))
    except _Killed:
        return True
    return False


def apart(work: Callable[[], str]) -> str:
    """Do something in a process of its own, and give what it returns.

    Raises:
        ColdchainError: it failed; its traceback is told.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _answer(work, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = os.fsdecode(pipe.read())
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code == -signal.SIGKILL:
        raise _Killed("a process was killed")
    if code:
        raise ColdchainError("a process of its own failed", got=said or f"exit code {code}")
    return said


class _Killed(ColdchainError):
    """The process was killed."""


def _answer(work: Callable[[], str], writing: int) -> None:
    """Be the child: work, tell, and end without anything of the parent's."""
    code, said = 1, ""
    try:
        said = work()
        code = 0
    except BaseException:  # noqa: BLE001 - whatever it is, the parent tells it
        said = traceback.format_exc()
    finally:
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(os.fsencode(said))
        os._exit(code)


def _record(run: Run, below: Path) -> str:
    seen = _Watch(below)
    run()
    return "\0".join(seen.names)


def _until(run: Run, below: Path, point: int) -> str:
    _Watch(below, point)
    run()
    return ""


class _Watch:
    """Sees every effect of this process below a folder and in any database, and ends the process before one of them."""

    def __init__(self, below: Path, point: int | None = None) -> None:
        """Watch from now on, for as long as the process lives."""
        self.below, self.point, self.names = f"{below.resolve()}/", point, list[str]()
        self.turn, self.said = threading.Lock(), dict[int, list[str]]()
        files.THREADS = 1  # the effects of two threads have no order
        self.write, os.write = os.write, self._write
        sa.event.listen(sa.Engine, "before_cursor_execute", self._statement)
        sa.event.listen(sa.Engine, "commit", self._commit)
        sa.event.listen(sa.Engine, "rollback", lambda db: self.said.pop(id(db), None))
        sys.addaudithook(self._audit)

    def _reach(self, name: str, first: Run = lambda: None) -> None:
        """Note an effect that is about to be; `first` is done where the process ends before it."""
        with self.turn:
            if len(self.names) == self.point:
                first()
                os.kill(os.getpid(), signal.SIGKILL)
            self.names.append(name)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _mode, flags = arguments
            if flags & _WRITING:  # also of a file that is open: its bytes come next
                self._at("open", self._named(path))
        elif event == "fcntl.ioctl":
            if arguments[1] & _TOLD_TO_THE_SYSTEM:
                self._at("fcntl.ioctl", self._named(arguments[0]))
        elif event in _FOLDERS:
            places = ((arguments[path], -1 if folder is None else arguments[folder]) for path, folder in _FOLDERS[event])
            self._at(event, *(self._named(*place) for place in places))

    def _at(self, event: str, *paths: str) -> None:
        if any(path.startswith(self.below) for path in paths):
            self._reach(f"{event} {' -> '.join(path.removeprefix(self.below) for path in paths)}")

    def _named(self, path: Any, folder: int = -1) -> str:
        """Absolute path of a file that the system is told of: by name, by number, or by a name in a folder's number."""
        if isinstance(path, int):
            return _open_file(path)
        start = str(Path.cwd()) if folder == -1 else _open_file(folder)
        return os.path.normpath(f"{start}/{os.fsdecode(path)}" if not os.fsdecode(path).startswith("/") else os.fsdecode(path))

    def _write(self, handle: int, content: Any, /) -> int:
        """Stand in for os.write: bytes may be cut off in front of the first and in the middle."""
        path, size = _open_file(handle), len(content)
        if path.startswith(self.below):
            name = path.removeprefix(self.below)
            self._reach(f"os.write {name} (none of {size} bytes)")
            self._reach(f"os.write {name} ({size // 2} of {size} bytes)", lambda: _write_half(self.write, handle, content))
        return self.write(handle, content)

    def _statement(self, db: sa.Connection, _cursor: Any, statement: str, _parameters: Any, context: Any, _many: bool) -> None:
        found = _CHANGE.match(statement)
        if found is not None:
            state = (context.compiled_parameters or [{}])[0].get("state") if found["table"] == "copy" else None
            self.said.setdefault(id(db), []).append(f"{found['verb'].lower()} {found['table']}" + (f" ({state})" if state else ""))

    def _commit(self, db: sa.Connection) -> None:
        if said := self.said.pop(id(db), None):
            self._reach(f"commit: {', '.join(dict.fromkeys(said))}")


def _write_half(write: Callable[[int, Any], int], handle: int, content: Any) -> None:
    write(handle, content[: len(content) // 2])


def _open_file(handle: int) -> str:
    """Path of an open file as the system has it; empty where it has none."""
    try:
        return str(Path(f"/proc/self/fd/{handle}").readlink())
    except FileNotFoundError:  # no such number: the call that is to come says so
        return ""
