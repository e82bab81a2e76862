"""Looking at an acquisition folder: what stands there, and who writes to it. Nothing is opened, and no link is followed."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from coldchain.watching import Look, Watch, marks_of

DESCRIPTION = "dataset.yaml"
"""Says which dataset a folder is; it may come and change without the acquisition being another one."""


def look(root: Path, folder: str, rules: Watch, now: dt.datetime) -> Look:
    """Look at one acquisition folder below the root."""
    lines: list[tuple[bytes, int, int]] = []
    try:
        for path, found in _files(root / folder):
            lines.append((os.fsencode(path.relative_to(root / folder)), found.st_size, found.st_mtime_ns))
    except OSError as error:
        return Look(folder, now, wrong=f"it cannot be read: {error.strerror}: {error.filename!r}")
    except ValueError as error:
        return Look(folder, now, wrong=str(error))
    described = [line for line in lines if line[0] == DESCRIPTION.encode()]
    lines = sorted(line for line in lines if line[0] != DESCRIPTION.encode())
    names = [name.decode(errors="replace") for name, _, _ in lines]
    return Look(
        folder,
        now,
        digest=_digest(lines),
        content=_digest([(name, size, 0) for name, size, _ in lines]),
        described=_digest(described) if described else "",
        files=len(lines),
        bytes=sum(size for _, size, _ in lines),
        writers=tuple(writers(root / folder)),
        marks=marks_of(names, rules),
    )


def _digest(lines: list[tuple[bytes, int, int]]) -> str:
    digest = hashlib.sha256()
    for name, size, moment in lines:
        digest.update(b"%d:%b:%d:%d\n" % (len(name), name, size, moment))
    return digest.hexdigest()


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Every regular file below a folder; raises ValueError for what is neither a file nor a folder."""
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda each: os.fsencode(each.name)):
            found = entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(found.st_mode):
                yield from _files(Path(entry.path))
            elif stat.S_ISREG(found.st_mode):
                yield Path(entry.path), found
            else:
                kind = "a link" if stat.S_ISLNK(found.st_mode) else "not a file"
                raise ValueError(f"{kind} stands among the files: {entry.path!r}")


def writers(folder: Path) -> Iterator[str]:
    """Files below a folder that a process of this machine has open to write, as far as this user may see."""
    inside = f"{folder.resolve()}{os.sep}"
    for process in Path("/proc").glob("[0-9]*"):
        try:
            for descriptor in (process / "fd").iterdir():
                target = str(descriptor.readlink())
                if target.startswith(inside) and _writes(process, descriptor.name):
                    yield target.removeprefix(inside)
        except OSError:  # another user's process, or one that has ended
            continue


def _writes(process: Path, descriptor: str) -> bool:
    flags = next(line for line in (process / "fdinfo" / descriptor).read_text().splitlines() if line.startswith("flags:"))
    return bool(int(flags.split()[1], 8) & (os.O_WRONLY | os.O_RDWR))
