"""An archive that takes its time: a store that gives nothing of a folder before it was asked for it and hours have passed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from coldchain import files
from coldchain.errors import NotReadableYet
from coldchain.manifest import Manifest
from coldchain.store import Recalled, Store, not_mounted
from coldchain.testing.faults import FaultyStore


class SleepyStore(FaultyStore):
    """Stands in front of a store; what was asked for can be read after `hours`, for as many days as it was asked for."""

    def __init__(self, store: Store, now: Callable[[], dt.datetime], hours: float = 12) -> None:
        """Everything sleeps until somebody calls `fall_asleep`; before that the store is as it is."""
        super().__init__(store)
        self.mounted, self.now, self.hours = False, now, hours
        self.sleeping = False
        self.asked: dict[str, tuple[dt.datetime, int]] = {}

    def fall_asleep(self) -> None:
        """Let everything go to the archive."""
        self.sleeping = True

    def recall(self, path: str, days: int) -> None:
        """Ask for a folder; again is the same."""
        self.asked.setdefault(path, (self.now(), days))

    def recalled(self, path: str) -> Recalled:
        """All of a folder's files come at once."""
        files_ = len(self.store.names(path))
        return Recalled(files_, files_ if self._awake(path) else 0)

    def local(self, path: str) -> NoReturn:
        """There is no path of this machine."""
        not_mounted(self.location, path)

    def get(self, path: str, target: Path, names: list[str], progress: files.Progress = files.no_progress) -> Manifest:
        """Copy out what can be read; raises NotReadableYet."""
        self._refuse_asleep(path)
        return super().get(path, target, names, progress)

    def read_back(self, path: str, progress: files.Progress = files.no_progress, names: Sequence[str] | None = None) -> Manifest:
        """Read what can be read; raises NotReadableYet."""
        self._refuse_asleep(path)
        return super().read_back(path, progress, names)

    def _awake(self, path: str) -> bool:
        if not self.sleeping:
            return True
        begun, days = self.asked.get(path, (None, 0))
        return begun is not None and dt.timedelta(hours=self.hours) <= self.now() - begun <= dt.timedelta(hours=self.hours, days=days)

    def _refuse_asleep(self, path: str) -> None:
        if not self._awake(path):
            raise NotReadableYet("files are in the archive", on=f"{self.location.name}:{path}", hint="recall them")
