"""The world of a history: a site of small folders whose disks can be taken out, and a process that can be killed at any effect."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import signal
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from coldchain.errors import ColdchainError
from coldchain.policy import Policy
from coldchain.site import Site
from coldchain.sql.catalogue import SqlCatalogue
from coldchain.store import Probe
from coldchain.store_posix import PosixStore
from coldchain.testing.faults import FaultyStore
from coldchain.workspace import Workspace

HERE = Path(__file__).parent
BEGINNING = dt.datetime(2030, 1, 15, 12, tzinfo=dt.UTC)

READS = ("identity", "place", "exists", "children", "names", "read_back", "manifest")
EFFECTS = ("put", "write_manifest", "annotate", "move", "set_aside", "protect", "destroy", "delete")
WRITES = (
    "record", "start_copy", "change_copy", "begin_deletion", "close_removals", "set_due", "asked", "save_reviews", "review_all",
    "add_audited", "set_brake", "set_aside", "propose", "close_proposals", "add_receipt", "save_setting",
)  # fmt: skip


Interruption = tuple[str, int] | None
"""What happens at the n-th call: `vanish`, the disk that it goes to is taken out right before it; `kill`, the process is killed `before`
the n-th effect on a disk or in the catalogue, when `half` of it is done, or `after` it."""


class Folder(PosixStore):
    """A store that says its protection is in force: as whom and on what file system a history runs makes no difference."""

    def protect(self, path: str, _until: dt.datetime | None = None) -> Probe:
        """Nothing is set: protection has tests of its own."""
        self.names(path)
        return Probe(str(self.location.protection), ())


@dataclass
class Clock:
    """A time that only the history moves."""

    at: dt.datetime = BEGINNING

    def __call__(self) -> dt.datetime:
        """Now."""
        return self.at


class Disks:
    """Disks, each named as the location that it belongs to; one that is not mounted stands in a drawer."""

    def __init__(self, points: Path, drawer: Path, names: tuple[str, ...]) -> None:
        """At first each disk is where it belongs."""
        self.points, self.drawer = points, drawer
        self.mounted: dict[str, str | None] = {name: name for name in names}
        self.hidden = 0

    def where(self, disk: str) -> Path:
        """Folder in which a disk's bytes are now."""
        point = next((point for point, there in self.mounted.items() if there == disk), None)
        return self.drawer / disk if point is None else self.points / point

    def take_out(self, point: str) -> None:
        """Take out what is mounted at a place; its empty mount point stays."""
        if (disk := self.mounted[point]) is not None:
            (self.points / point).rename(self.drawer / disk)
            (self.points / point).mkdir()
            self.mounted[point] = None

    def put_in(self, point: str, disk: str) -> None:
        """Mount a disk from the drawer; what was written into the mount point meanwhile is hidden below it."""
        self.hidden += 1
        (self.points / point).rename(self.drawer / f"hidden {self.hidden}")
        (self.drawer / disk).rename(self.points / point)
        self.mounted[point] = disk

    def put_right(self) -> None:
        """Mount each disk where it belongs."""
        wrong = [point for point, disk in self.mounted.items() if disk != point]
        for point in wrong:
            self.take_out(point)
        for point in wrong:
            self.put_in(point, point)

    def exchange(self, one: str, two: str) -> None:
        """Mount two disks in one another's place."""
        disks = self.mounted[one], self.mounted[two]
        self.take_out(one)
        self.take_out(two)
        for point, disk in ((two, disks[0]), (one, disks[1])):
            if disk is not None:
                self.put_in(point, disk)

    def files(self) -> dict[str, dict[str, bytes]]:
        """Every file of each disk by its name, wherever the disk is."""
        return {disk: _files(self.where(disk)) for disk in self.mounted}


def _files(root: Path, below: str = "") -> dict[str, bytes]:
    found = {}
    with os.scandir(root) as entries:
        for entry in entries:
            if entry.is_dir():
                found.update(_files(Path(entry.path), f"{below}{entry.name}/"))
            else:
                found[f"{below}{entry.name}"] = Path(entry.path).read_bytes()
    return found


class Cutting:
    """A catalogue whose writes go through a fault first."""

    def __init__(self, real: SqlCatalogue, fault: Callable[[str, tuple[Any, ...], Callable[[], Any]], Any]) -> None:
        """Everything else goes to the real one."""
        self.real, self.fault = real, fault

    def __getattr__(self, name: str) -> Any:
        """One of the real catalogue's methods."""
        found = getattr(self.real, name)
        return (lambda *a, **k: self.fault(name, a, lambda: found(*a, **k))) if name in WRITES else found


class World:
    """A site at work below a folder, with its disks, its clock and the policies that it may be under."""

    def __init__(self, folder: Path) -> None:
        """Open the site that stands below a folder."""
        self.folder, self.clock = folder, Clock()
        self.site = Site.load(folder / "site.yaml")
        (folder / "drawer").mkdir(exist_ok=True)
        self.disks = Disks(folder, folder / "drawer", tuple(self.site.by_name))
        self.policies = policies()
        self.errors = Counter[str]()
        self.ws = self._open()

    def _open(self) -> Workspace:
        stores = {name: FaultyStore(Folder(place, self.site.path(place.root))) for name, place in self.site.by_name.items()}
        return Workspace(self.site, next(iter(self.policies.values())), SqlCatalogue(self.site.catalogue_url()), stores, self.clock)

    def rule_by(self, policy: str) -> None:
        """Put the site under another policy."""
        self.ws = replace(self.ws, policy=self.policies[policy])

    def run(self, act: Callable[[Workspace], Any], interruption: Interruption = None) -> bool:
        """Do something that may be interrupted, and may fail in our own words; returns whether it was interrupted."""
        kind, at = interruption or ("", 0)
        if kind not in {"", "vanish"}:
            return self._run_and_kill(act, kind, at)
        counting, before = _Counting(at, self._vanish), dict(self.disks.mounted)
        for store in self.ws.stores.values():
            store.faults = {name: counting.of(store) for name in (*READS, *EFFECTS)}
        try:
            act(self.ws)
        except ColdchainError as error:
            self.errors[error.what] += 1
        for store in self.ws.stores.values():
            store.faults = {}
        return before != self.disks.mounted

    def _vanish(self, store: FaultyStore, _operation: str, _arguments: tuple[Any, ...], real: Callable[[], Any]) -> Any:
        self.disks.take_out(store.location.name)
        return real()

    def _run_and_kill(self, act: Callable[[Workspace], Any], when: str, at: int) -> bool:
        """Do something in a process of its own that SIGKILL ends at its n-th effect."""
        self.ws.catalogue.close()  # a connection that is open would be shared
        failed = self.folder / "failed"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # the threads of leases that are held here only wait
            child = os.fork()
        if child == 0:
            try:
                act(self._doomed(when, at))
            except ColdchainError:
                pass
            except BaseException:  # noqa: BLE001 - the child must not go on as a test of its own; the parent fails with this
                failed.write_text(traceback.format_exc())
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        if failed.exists():
            raise AssertionError(failed.read_text())
        return os.WIFSIGNALED(status)

    def _doomed(self, when: str, at: int) -> Workspace:
        counting = _Counting(at, lambda store, *call: _kill(store, when, *call))
        ws = self._open()
        for store in ws.stores.values():
            store.faults = {name: counting.of(store) for name in EFFECTS}
        return replace(ws, policy=self.ws.policy, catalogue=Cutting(ws.catalogue, counting.of(None)))

    def close(self) -> None:
        """Close the catalogue and remove everything."""
        self.ws.catalogue.close()
        shutil.rmtree(self.folder)


class _Counting:
    """Counts calls, and lets the n-th one go another way."""

    def __init__(self, at: int, act: Callable[..., Any]) -> None:
        self.left, self.act = at, act

    def of(self, store: FaultyStore | None) -> Callable[[str, tuple[Any, ...], Callable[[], Any]], Any]:
        def fault(operation: str, arguments: tuple[Any, ...], real: Callable[[], Any]) -> Any:
            self.left -= 1
            return self.act(store, operation, arguments, real) if self.left == 0 else real()

        return fault


def _kill(store: FaultyStore | None, when: str, operation: str, arguments: tuple[Any, ...], real: Callable[[], Any]) -> None:
    if when == "kill after":
        real()
    elif when == "kill half" and store is not None:
        _half(store.store, operation, arguments)
    os.kill(os.getpid(), signal.SIGKILL)


def _half(store: Any, operation: str, arguments: tuple[Any, ...]) -> None:
    """Do half of what can be done by halves."""
    if operation == "put":
        source, path, names, _progress = arguments
        store.put(source, path, names[: len(names) // 2])
    elif operation in {"destroy", "delete"}:
        files = sorted(path for path in store.local(arguments[0]).rglob("*") if path.is_file())
        for path in files[: len(files) // 2]:
            path.unlink()


def policies() -> Mapping[str, Policy]:
    """The policies that a history goes through, by name."""
    said = yaml.safe_load((HERE / "policies.yaml").read_text())
    return {name: Policy.model_validate({"name": name, "version": 1, **said["common"], **body}) for name, body in said["policies"].items()}
