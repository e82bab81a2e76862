"""One part of a remote, as rclone's daemon is asked about it: files and folders by their names below a root."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coldchain.errors import ConfigurationError, LocationUnreachable
from tasks.stores.rclone_daemon import BLOCK, Daemon
from tasks.stores.rclone_errors import HARMLESS, NotThere, clean, secrets_of
from tasks.stores.rclone_names import plain, standard

TRIES = 3
"""So often a file whose bytes ended early is read from its beginning."""

BY_NAME = frozenset({"local", "sftp", "ftp", "webdav", "s3", "google cloud storage", "azureblob", "swift", "memory", "http"})
"""Services that are asked by a file's name each time. Of any other rclone keeps the numbers of folders, and would go on looking into one
that somebody else has moved: it is made to forget them before each call of ours."""

AS_THEY_ARE = frozenset({"sftp"})
"""Services to which rclone gives names as it gets them, and has no form of its own for what stands there."""

NO_TIMES = 100 * 365 * 24 * 3600 * 10**9
"""What rclone gives as precision of times that cannot be set, in ns."""


@dataclass(frozen=True)
class Entry:
    """A file or a folder that was listed."""

    name: str
    folder: bool
    size: int
    at: str
    hashes: Mapping[str, str] = field(default_factory=dict)


class Remote:
    """A root on a remote of rclone's configuration."""

    def __init__(self, daemon: Daemon, remote: str, root: str) -> None:
        """Ask what the remote can do.

        Raises:
            ConfigurationError: there is no such remote, or it would believe any host.
        """
        self._daemon, self._fs = daemon, f"{remote}:{root}"
        behind = _behind(daemon, remote)
        daemon.secrets = [secret for settings in behind.values() for secret in secrets_of(settings)]
        for name, settings in behind.items():
            _refuse_belief(daemon.name, name, settings)
        self.settings = behind[remote]
        self.kind = self.settings.get("type", "")
        about = daemon.ask("operations/fsinfo", fs=self._fs)
        self._features: dict[str, bool] = about["Features"]
        self._precision = int(about["Precision"])
        self._hashes = bool(about["Hashes"])

    @property
    def keeps_times(self) -> bool:
        """Whether a file has the time that whoever writes it says, and not the service's own."""
        return self._precision < NO_TIMES

    @property
    def renames(self) -> bool:
        """Whether a folder gets another name in one step."""
        return self._features["DirMove"]

    @property
    def has_folders(self) -> bool:
        """Whether a folder is something, and not only a beginning that names have in common."""
        return self._features["CanHaveEmptyDirectories"]

    @property
    def same_in_any_case(self) -> bool:
        """Whether `a` and `A` are one name."""
        return self._features["CaseInsensitive"]

    @property
    def where(self) -> str:
        """What tells this place from another, without a secret."""
        said = [f"{key}={value}" for key, value in sorted(self.settings.items()) if key in HARMLESS and value]
        return clean(f"{' '.join(said)} {self._fs.partition(':')[2].strip('/')}", self._daemon.secrets)

    def written(self, path: str) -> str:
        """A name of ours as rclone is to be told it; raises ConfigurationError where it cannot be."""
        return path if standard(path) and self.kind in AS_THEY_ARE else standard(path)

    def _entry(self, item: Mapping[str, Any], key: str, under: str = "") -> Entry:
        name = item[key] if self.kind in AS_THEY_ARE else plain(item[key])
        return Entry(
            name.removeprefix(under), bool(item["IsDir"]), int(item["Size"]), str(item.get("ModTime", "")), item.get("Hashes") or {}
        )

    def forget(self) -> None:
        """Have rclone look anew where folders are."""
        if self.kind not in BY_NAME:
            self._ask("fscache/clear", "")

    def stat(self, path: str) -> Entry | None:
        """What stands under a name; nothing where nothing does."""
        try:
            item = self._ask("operations/stat", path, remote=self.written(path))["item"]
        except NotThere:
            return None
        return self._entry(item, "Name") if item else None

    def entries(self, path: str, *, deep: bool = False, hashes: bool = False) -> list[Entry]:
        """What stands in a folder, or with `deep` all files below it by their relative names; raises NotThere where no folder stands."""
        how = {"recurse": deep, "filesOnly": deep, "noMimeType": True, "showHash": hashes and not self._features["SlowHash"]}
        found = self._ask("operations/list", path, remote=self.written(path), opt=how | {"noModTime": self._features["SlowModTime"]})[
            "list"
        ]
        under = f"{path}/" if path else ""
        return [self._entry(item, "Path", under) for item in found]

    def space(self) -> tuple[int | None, int | None]:
        """Bytes in all and free, each where the service tells."""
        if not self._features["About"]:
            return None, None
        said = self._ask("operations/about", "")
        return said.get("total"), said.get("free")

    def bring(self, source: Path, name: str, path: str, there: Entry | None) -> None:
        """Send a file; one that stands there whole, as it was listed, is not sent again.

        What is whole is told by size and time, where the service has no times by its hash, and where it has neither by size: what was taken
        for whole wrongly is seen when it is read back.
        """
        if there is None or not self._is_whole(source / name, there):
            how = {"NoCheckDest": True} if there is None else {"CheckSum": not self.keeps_times and self._hashes}
            self._copy((standard(str(source)), standard(name)), (self._fs, self.written(path)), path, how)

    def _is_whole(self, file: Path, there: Entry) -> bool:
        """Whether a listing is enough to know; where it is not, rclone looks at the file."""
        found = file.stat()
        if found.st_size != there.size:
            return False
        if not self.keeps_times:
            return not self._hashes
        return bool(there.at) and abs(dt.datetime.fromisoformat(there.at).timestamp() - found.st_mtime) <= self._precision / 1e9 + 1e-6

    def fetch(self, path: str, target: Path, name: str) -> None:
        """Get a file into a folder; one that is whole there is left alone, where times or hashes tell."""
        how = {} if self.keeps_times else {"CheckSum": True} if self._hashes else {"IgnoreTimes": True}
        self._copy((self._fs, self.written(path)), (standard(str(target)), standard(name)), path, how)

    def copy(self, path: str, to: str) -> None:
        """Copy a file inside the remote: the service does it, where it can."""
        self._copy((self._fs, self.written(path)), (self._fs, self.written(to)), path, {"IgnoreTimes": True})

    def _copy(self, source: tuple[str, str], target: tuple[str, str], on: str, how: Mapping[str, bool]) -> None:
        (src_fs, src), (dst_fs, dst) = source, target
        self._daemon.ask("operations/copyfile", on=on, srcFs=src_fs, srcRemote=src, dstFs=dst_fs, dstRemote=dst, _config=how)

    def write(self, path: str, content: bytes) -> None:
        """Write a small file, whatever stands there."""
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "small").write_bytes(content)
            self._copy((standard(folder), "small"), (self._fs, self.written(path)), path, {"IgnoreTimes": True})

    def read(self, path: str) -> bytes:
        """All bytes of a small file; raises NotThere where there is none."""
        return b"".join(self._stream(path))

    def _stream(self, path: str) -> Iterator[bytes]:
        """The bytes of a file; by way of one of ours where a newline stands in its name, which rclone's addresses cannot hold."""
        if "\n" not in self.written(path):
            yield from self._daemon.stream(self._fs, self.written(path), path)
            return
        with tempfile.TemporaryDirectory() as folder:
            self.fetch(path, Path(folder), "fetched")
            with (Path(folder) / "fetched").open("rb") as file:
                yield from iter(lambda: file.read(BLOCK), b"")

    def digest(self, path: str) -> str:
        """SHA-256 of a file's bytes, hashed here as they come; where they end early it is read again, some times.

        Raises:
            NotThere: there is none. LocationUnreachable: it cannot be read to its end.
        """
        for left in reversed(range(TRIES)):
            try:
                digest = hashlib.sha256()
                for block in self._stream(path):
                    digest.update(block)
                return digest.hexdigest()
            except LocationUnreachable:
                if not left:
                    raise
                time.sleep(0.2 * (TRIES - left))
        raise AssertionError

    def rename(self, path: str, to: str) -> None:
        """Give a folder its other name, in one step or not at all.

        Where a service does not, rclone would move file by file; that a move may take no time at all ends it before the first.
        """
        src, dst = (f"{self._fs.rstrip('/')}/{self.written(each)}" for each in (path, to))
        self._ask("sync/move", f"{path} to {to}", removing=True, srcFs=src, dstFs=dst, _config={"MaxDuration": 1}, fs=None)

    def remove(self, path: str) -> None:
        """Remove a file; one that is gone already is no error."""
        try:
            self._ask("operations/deletefile", path, removing=True, remote=self.written(path))
        except NotThere:
            return

    def purge(self, path: str) -> None:
        """Remove a folder with all that is in it; one that is gone already is no error."""
        try:
            self._ask("operations/purge", path, removing=True, remote=self.written(path))
        except NotThere:
            return

    def _ask(self, call: str, on: str, *, removing: bool = False, **given: Any) -> dict[str, Any]:
        return self._daemon.ask(call, removing=removing, on=on, **{"fs": self._fs, **given})


def _behind(daemon: Daemon, remote: str) -> dict[str, dict[str, str]]:
    """Settings of a remote, and of those that it stands before (`crypt`, `alias`, `union`), by their names."""
    found: dict[str, dict[str, str]] = {}
    waiting = [remote]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = daemon.ask("config/get", name=name)
            waiting += re.findall(r"([\w.-]+):", f"{found[name].get('remote', '')} {found[name].get('upstreams', '')}")
    return found


def _refuse_belief(location: str, remote: str, settings: Mapping[str, str]) -> None:
    if settings.get("type") == "sftp" and not settings.get("known_hosts_file"):
        raise ConfigurationError(
            "a remote would believe any host",
            on=f"{location}: remote {remote}",
            expected="known_hosts_file in rclone's configuration",
            hint=f"rclone config update {remote} known_hosts_file ~/.ssh/known_hosts",
        )
