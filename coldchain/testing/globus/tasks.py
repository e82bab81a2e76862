"""Tasks of the stand-in: they are worked on when somebody looks at them, and really move or remove files."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coldchain.testing.globus.documents import ALGORITHMS, Document, Refusal, fresh, moment, stamp
from coldchain.testing.globus.folders import place
from coldchain.testing.globus.troubles import Trouble

Broken = Callable[[Trouble, str], bool]
"""Whether something goes wrong with a path now."""

_SKIPPABLE = {"PERMISSION_DENIED", "FILE_NOT_FOUND", "AMBIGUOUS_PATH"}
_BY_ERROR = ((FileNotFoundError, "FILE_NOT_FOUND"), (PermissionError, "PERMISSION_DENIED"), (IsADirectoryError, "IS_A_DIRECTORY"))
_NONE = ("label", "sync_level")
_FALSE = ("verify_checksum", "preserve_timestamp", "encrypt_data", "skip_source_errors", "fail_on_quota_errors")


class Hitch(Exception):
    """Something went wrong with an item, with the code of its event; the item is tried again unless that is the task's end."""

    def __init__(self, code: str, details: str, *, fatal: bool = False) -> None:
        super().__init__(details)
        self.code, self.details, self.fatal = code, details, fatal


@dataclass
class Task:
    """A transfer or a delete that was submitted."""

    kind: str
    given: Document
    roots: dict[str, Path]
    broken: Broken
    polls: int
    task_id: str = field(default_factory=fresh)
    status: str = "ACTIVE"
    paused: bool = False
    canceling: int = 0
    fatal: Document | None = None
    nice: str | None = None
    events: list[Document] = field(default_factory=list)
    moved: list[Document] = field(default_factory=list)
    skipped: list[Document] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("files_skipped", "bytes_transferred", "faults"), 0))

    def __post_init__(self) -> None:
        """Everything is still to do; a folder is what stands in it when the task begins."""
        self.requested, self.completed = dt.datetime.now(dt.UTC), None
        deadline = self.given.get("deadline")
        self.deadline = moment(deadline) if deadline else self.requested + dt.timedelta(hours=24)
        self.waiting: list[Document] = list(self.given["DATA"])
        self.items = len(self.waiting)

    completed: dt.datetime | None = field(default=None, init=False)

    @property
    def ended(self) -> bool:
        """Whether nothing more happens."""
        return self.status in {"SUCCEEDED", "FAILED"}

    def look(self) -> None:
        """Work on it as the service would have since somebody looked last."""
        if self.canceling and not self.ended:
            self.canceling -= 1
            if not self.canceling:
                self.cancel()
        if self.ended or self.status == "INACTIVE" or self._hindered():
            return
        if self.polls > 0:
            self.polls -= 1
            return
        self.work()

    def _hindered(self) -> bool:
        label = str(self.given.get("label") or "")
        self.paused = self.broken(Trouble.PAUSED, label)
        if self.broken(Trouble.HANGS, label):
            return True
        if dt.datetime.now(dt.UTC) >= self.deadline:
            self._end("EXPIRED", "The task exceeded its deadline")
        elif self.paused:
            self.nice = "PAUSED"
            self._tell("PAUSED", "paused by the collection's administrator: maintenance")
        elif self.broken(Trouble.INACTIVE, label):
            self.status, self.nice = "INACTIVE", "NO_CREDENTIALS"
            self._tell("NO_CREDENTIALS", "credentials have expired", is_error=True)
        elif self.broken(Trouble.FAILS, label):
            self._end("ENDPOINT_ERROR", "the storage system behind the collection is broken")
        else:
            return False
        return True

    def work(self) -> None:
        """Do what can be done of it now."""
        if not self.events:
            self._tell("STARTED", "started")
        todo, self.waiting = self._expanded(), []
        for item in todo:
            try:
                self._do(item)
            except Hitch as hitch:
                self._hitch(item, hitch)
            if self.ended:
                return
        if not self.waiting:
            self.status, self.nice, self.completed = "SUCCEEDED", None, dt.datetime.now(dt.UTC)
            self._tell("SUCCEEDED", "succeeded")

    def _hitch(self, item: Document, hitch: Hitch) -> None:
        self.counts["faults"] += 1
        forced = self.broken(Trouble.SKIPS, str(item.get("source_path")))
        if self.kind == "transfer" and hitch.code in _SKIPPABLE and (self.given.get("skip_source_errors") or forced):
            names = {"source_path": item["source_path"], "destination_path": item["destination_path"]}
            told = {
                "error_code": hitch.code,
                "error_details": hitch.details,
                "is_directory": False,
                "error_time": stamp(dt.datetime.now(dt.UTC)),
            }
            self.skipped.append({"DATA_TYPE": "skipped_error", **names, **told})
            return
        self.waiting.append(item)
        self.nice = hitch.code
        if hitch.fatal:
            self._end(hitch.code, hitch.details)
        else:
            self._tell(hitch.code, hitch.details, is_error=True)

    def cancel(self, by_admin: str = "") -> None:
        """End it on somebody's word."""
        self._end("CANCELED", by_admin or "canceled by the user")

    def _end(self, code: str, words: str) -> None:
        self.status, self.completed = "FAILED", dt.datetime.now(dt.UTC)
        self.fatal = {"code": code, "description": words}
        self._tell(code, words, is_error=True)

    def _tell(self, code: str, details: str, *, is_error: bool = False) -> None:
        event = {
            "DATA_TYPE": "event",
            "code": code,
            "is_error": is_error,
            "description": code.lower().replace("_", " "),
            "details": details,
        }
        self.events.insert(0, event | {"time": stamp(dt.datetime.now(dt.UTC))})

    def _expanded(self) -> list[Document]:
        found: list[Document] = []
        for item in self.waiting:
            found += self._files_of(item) if item.get("recursive") else [item]
        self.items += len(found) - len(self.waiting)
        return found

    def _files_of(self, item: Document) -> list[Document]:
        source = place(self.roots["source"], item["source_path"])
        place(self.roots["destination"], item["destination_path"]).mkdir(parents=True, exist_ok=True)
        names = [str(each.relative_to(source)) for each in sorted(source.rglob("*")) if each.is_file() and not each.is_symlink()]
        one = {key: value for key, value in item.items() if key != "recursive"}
        ends = ("source_path", "destination_path")
        return [one | {end: f"{item[end].rstrip('/')}/{name}" for end in ends} for name in names]

    def _do(self, item: Document) -> None:
        paths = [item[name] for name in ("source_path", "destination_path", "path") if name in item]
        for path in paths:
            if self.broken(Trouble.DENIED, path):
                raise Hitch("PERMISSION_DENIED", f"Path not allowed: {path!r}")
        try:
            (self._remove if self.kind == "delete" else self._move)(item)
        except Refusal as error:
            raise Hitch("PERMISSION_DENIED", str(error)) from error
        except OSError as error:
            code = next((code for kind, code in _BY_ERROR if isinstance(error, kind)), "ENDPOINT_ERROR")
            raise Hitch(code, f"{paths[0]!r}: {error.strerror}") from error

    def _remove(self, item: Document) -> None:
        path = place(self.roots["endpoint"], item["path"])
        if self.broken(Trouble.LEAVES_OUT, item["path"]):
            return
        if not os.path.lexists(path) and self.given.get("ignore_missing"):
            return
        if path.is_dir() and not path.is_symlink():
            if not self.given.get("recursive"):
                raise IsADirectoryError(21, "Is a directory")
            shutil.rmtree(path)
        else:
            path.unlink()

    def _move(self, item: Document) -> None:
        source, target = place(self.roots["source"], item["source_path"]), place(self.roots["destination"], item["destination_path"])
        name = item["source_path"]
        if self.broken(Trouble.VANISHES, name):
            source.unlink(missing_ok=True)
        content = source.read_bytes()
        if self.broken(Trouble.QUOTA, name):
            raise Hitch("QUOTA_EXCEEDED", "Disk quota exceeded", fatal=bool(self.given.get("fail_on_quota_errors")))
        if self._is_there(source, target):
            self.counts["files_skipped"] += 1
            return
        if not self.broken(Trouble.LEAVES_OUT, name):
            self._write(source, target, content, name)
            self._check(item, content, target)
        self.counts["bytes_transferred"] += len(content)
        self.moved.append({"DATA_TYPE": "successful_transfer", "source_path": name, "destination_path": item["destination_path"]})

    def _is_there(self, source: Path, target: Path) -> bool:
        """Whether the sync level leaves a file alone."""
        level = self.given.get("sync_level")
        if level is None or not target.exists():
            return False
        here, there = source.stat(), target.stat()
        return (
            here.st_size == there.st_size
            if level == 1
            else here.st_size == there.st_size and here.st_mtime <= there.st_mtime
            if level == 2
            else source.read_bytes() == target.read_bytes()
            if level == 3
            else True
        )

    def _write(self, source: Path, target: Path, content: bytes, name: str) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        if self.broken(Trouble.CORRUPTS, name):
            content = content[:-1] + bytes([content[-1] ^ 1])
        target.write_bytes(content)
        if self.given.get("preserve_timestamp"):
            at = int(source.stat().st_mtime)
            os.utime(target, (at, at))

    def _check(self, item: Document, content: bytes, target: Path) -> None:
        algorithm = ALGORITHMS[item.get("checksum_algorithm") or "MD5"]
        sent, arrived = (hashlib.new(algorithm, each).hexdigest() for each in (content, target.read_bytes()))
        if self.given.get("verify_checksum") and sent != arrived:
            raise Hitch("VERIFY_CHECKSUM", f"checksums differ: {item['destination_path']!r}")
        if item.get("external_checksum") and item["external_checksum"].lower() != arrived:
            raise Hitch("EXTERNAL_CHECKSUM_MISMATCH", f"not the checksum that was given: {item['destination_path']!r}", fatal=True)
        if self.broken(Trouble.TRUNCATES, item["source_path"]):
            target.write_bytes(content[: len(content) // 2])

    def document(self) -> Document:
        """The task as the API shows it."""
        done = len(self.moved)
        kinds: dict[str, Any] = {name: self.given.get(name) for name in _NONE} | {name: bool(self.given.get(name)) for name in _FALSE}
        failed = 0 if self.status != "FAILED" else len(self.waiting)
        return {
            "DATA_TYPE": "task",
            "task_id": self.task_id,
            "type": self.kind.upper(),
            "status": self.status,
            "fatal_error": self.fatal,
            "nice_status": self.nice,
            "nice_status_short_description": self.nice,
            "nice_status_details": None,
            "is_ok": None if self.ended else self.nice in {None, "Queued"},
            "is_paused": self.paused and not self.ended,
            "request_time": stamp(self.requested),
            "completion_time": self.completed and stamp(self.completed),
            "deadline": stamp(self.deadline),
            "source_endpoint_id": self.given.get("source_endpoint") or self.given.get("endpoint"),
            "destination_endpoint_id": self.given.get("destination_endpoint"),
            "files": self.items,
            "directories": 0,
            "files_transferred": done,
            "subtasks_total": self.items,
            "subtasks_pending": 0 if self.ended else len(self.waiting),
            "subtasks_succeeded": done,
            "subtasks_failed": failed,
            "subtasks_skipped_errors": len(self.skipped),
            "canceled_by_admin": None,
            "history_deleted": False,
            **self.counts,
            **kinds,
        }
