"""The folder of a run on scratch: what its jobs need to join, and to join again when the run was killed and comes back.

`open` stands as long as the run may come back; a job that does not find it ends. `address` is where the scheduler listens now,
with a word that is another for each scheduler. The keys are made once and used by each scheduler of the run.
"""

from __future__ import annotations

import os
import secrets
import shutil
import stat
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coldchain.errors import ConfigurationError
from coldchain.files import write_durably

KEPT_S = 7 * 24 * 3600
"""So long the folder of a run that did not come back is kept."""

KEYS = ("tls_ca_file", *(f"tls_{role}_{part}" for role in ("client", "scheduler", "worker") for part in ("cert", "key")))


@dataclass(frozen=True)
class RunFolder:
    """Where one run keeps what its jobs need."""

    path: Path

    @property
    def open(self) -> Path:
        """Stands as long as jobs shall wait and work for this run."""
        return self.path / "open"

    @property
    def address(self) -> Path:
        """Where the scheduler listens, and the word by which it is told from the one before."""
        return self.path / "address"

    def enter(self) -> None:
        """Make the folder, or take the one that a run that was killed left; raises ConfigurationError for somebody else's."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _refuse_exchangeable(self.path.parent)
        _drop_old(self.path.parent)
        self.path.mkdir(mode=0o700, exist_ok=True)
        _refuse_foreign(self.path)
        self.address.unlink(missing_ok=True)
        self.touch()

    def touch(self) -> None:
        """Say that the run lives."""
        self.open.touch()

    def announce(self, address: str) -> None:
        """Tell the jobs where the scheduler listens: its address, host and port, and a new word."""
        host, _, port = address.rpartition("://")[2].rpartition(":")
        line = " ".join([address, host.strip("[]"), port, secrets.token_hex(8)])
        write_durably(self.address, f"{line}\n".encode())

    def security(self) -> Any:
        """Return the run's keys and certificates, as files that the workers read; nothing unencrypted is answered."""
        from distributed import Security

        if not all((self.path / name).is_file() for name in KEYS):
            made = Security.temporary()
            for name in KEYS:
                write_durably(self.path / name, getattr(made, name).encode("ascii"))
        return Security(require_encryption=True, **{name: str(self.path / name) for name in KEYS})

    def close(self) -> None:
        """Have jobs wait no longer."""
        self.open.unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove the folder; scratch may be gone by now."""
        shutil.rmtree(self.path, ignore_errors=True)


def _refuse_exchangeable(runs: Path) -> None:
    """Raise ConfigurationError where somebody else could put another folder in place of a run's, and with it another scheduler."""
    _refuse_open_to(
        0o022,
        runs,
        "others may write where the folders of runs stand",
        expected="that nobody else writes to",
        hint="`chmod 700` it where it is this user's; give each user a `scratch` of their own in the cluster profile",
    )


def _refuse_foreign(folder: Path) -> None:
    """Raise ConfigurationError unless only this user reads and writes the folder: whoever has its keys commands our workers."""
    _refuse_open_to(
        0o077,
        folder,
        "the folder of a run is not this user's alone",
        expected="with mode 700",
        hint="find out who made it, then remove it",
    )


def _refuse_open_to(others: int, folder: Path, what: str, *, expected: str, hint: str) -> None:
    """Raise ConfigurationError for another user's folder, and where it has one of these permission bits; a link has all of them."""
    found = folder.lstat()
    if found.st_uid != os.geteuid() or found.st_mode & others:
        raise ConfigurationError(
            what,
            on=folder,
            expected=f"a folder of uid {os.geteuid()} {expected}",
            got=f"uid {found.st_uid}, mode {stat.S_IMODE(found.st_mode):o}",
            done="nothing was submitted",
            hint=hint,
        )


def _drop_old(runs: Path) -> None:
    """Remove folders of our runs that have not come back for a week; their jobs have ended long ago."""
    for folder in runs.glob("coldchain-*"):
        with suppress(OSError):
            if folder.lstat().st_uid == os.geteuid() and time.time() - _last_seen(folder) > KEPT_S:
                shutil.rmtree(folder)


def _last_seen(folder: Path) -> float:
    marks = [path.stat().st_mtime for path in (folder, folder / "open") if path.exists()]
    return max(marks, default=0.0)
