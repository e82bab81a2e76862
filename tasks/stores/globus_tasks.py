"""Globus' tasks: written down before they are submitted, waited for with an end, and not believed when they say that they succeeded."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coldchain import files
from coldchain.errors import ColdchainError, Incomplete, LocationUnreachable, PermanentError
from coldchain.file_errors import Writing
from tasks.stores.globus_client import Client
from tasks.stores.globus_errors import GONE, STUBBORN, clean, of_task

ENDED = frozenset({"SUCCEEDED", "FAILED"})
Document = dict[str, Any]

OVERTIME = 600.0
"""Seconds that a task may be ACTIVE after its deadline before we give it up."""


@dataclass(frozen=True)
class Patience:
    """How long is waited, in seconds: between looks (growing), for an end, and for what does not pass by itself (in looks)."""

    first: float = 2.0
    longest: float = 60.0
    deadline: float = 3 * 24 * 3600.0
    overtime: float = OVERTIME
    looks: int = 5


class Tasks:
    """Submits tasks, and waits for them; what is under way is written down in `state`, a folder of this machine."""

    def __init__(self, client: Client, state: Path, patience: Patience) -> None:
        """Nothing is read before the first task."""
        self.client, self.state, self.patience = client, state, patience

    def run(self, documents: Sequence[Document], where: str, progress: files.Progress = files.no_progress) -> None:
        """Do tasks one after another that change what stands at a path of a collection; those that a run left behind are taken up.

        Raises:
            ColdchainError: a task failed, was canceled or is stuck, in its events' words; what it brought stays.
        """
        marks = [_mark(document) for document in documents]
        self.settle(where, keep=marks)
        total, done = sum(len(document["DATA"]) for document in documents), 0
        for document, mark in zip(documents, marks, strict=True):
            task = self._under_way(mark) or self._submit(document, mark, where)
            self._finish(task, document, mark, lambda count, done=done: progress(min(done + count, total), total))
            done += len(document["DATA"])

    def run_once(self, document: Document) -> None:
        """Do a task that nobody takes up again: where we leave, it is canceled."""
        task = self._sent(document, self._new_id())
        try:
            self._finish(task, document, None, lambda _count: None)
        except BaseException:
            with suppress(ColdchainError):
                self._cancel(task)
            raise

    def settle(self, where: str, keep: Sequence[str] = ()) -> None:
        """Cancel what a run left behind that still changes this path, or what is above or below it, and wait until it has ended."""
        for record in sorted(self.state.glob("*.json")):
            known = _read(record)
            if record.stem not in keep and _overlap(str(known.get("where", "")), where):
                if task := self._known(known):
                    self._cancel(task)
                record.unlink(missing_ok=True)

    def _known(self, known: Document) -> str | None:
        """The task of a record, if it still works; one without an answer is submitted again, under the same id."""
        try:
            task = str(known.get("task_id") or self._sent(known["document"], known["submission_id"]))
        except PermanentError:  # too old to be submitted: so it never was
            return None
        found = self.client.ask("get_task", task, on=f"task {task}", none=GONE)
        return None if found is None or found["status"] in ENDED else task

    def _under_way(self, mark: str) -> str | None:
        """The task that a run left behind for the same work; a record of one that has ended is forgotten."""
        record = self.state / f"{mark}.json"
        known = _read(record)
        task = self._known(known) if known else None
        if task is None:
            record.unlink(missing_ok=True)
        return task

    def _submit(self, document: Document, mark: str, where: str) -> str:
        known = {"where": where, "submission_id": self._new_id(), "document": self._dated(document)}
        record = self.state / f"{mark}.json"
        _write(record, known)
        task = self._sent(known["document"], str(known["submission_id"]))
        _write(record, known | {"task_id": task})
        return task

    def _new_id(self) -> str:
        return str(self.client.must("get_submission_id")["value"])

    def _dated(self, document: Document) -> Document:
        end = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=self.patience.deadline)
        return document | {"deadline": end.isoformat(timespec="milliseconds")}

    def _sent(self, document: Document, submission_id: str) -> str:
        """Submit, however often: the same id is the same task."""
        call = "submit_delete" if document["DATA_TYPE"] == "delete" else "submit_transfer"
        dated = document if "deadline" in document else self._dated(document)
        return str(self.client.must(call, dated | {"submission_id": submission_id}, on=call)["task_id"])

    def _look(self, task: str) -> Document:
        return self.client.must("get_task", task, on=f"task {task}")

    def _finish(self, task: str, document: Document, mark: str | None, tell: Any) -> None:
        """Wait for the end, and look whether it is the one that was asked for."""
        found = self._wait(task, tell)
        if mark is not None:
            (self.state / f"{mark}.json").unlink(missing_ok=True)
        self._check(task, found, document)
        tell(len(document["DATA"]))

    def _wait(self, task: str, tell: Any) -> Document:
        pause, stuck = self.patience.first, 0
        end = time.monotonic() + self.patience.deadline + self.patience.overtime
        while True:
            found = self._look(task)
            tell(_files_done(found))
            if found["status"] in ENDED:
                return found
            stuck = stuck + 1 if found.get("nice_status") in STUBBORN else 0
            self._refuse_standstill(task, found, stuck)
            if time.monotonic() > end:
                self._cancel(task)
                raise LocationUnreachable(
                    "a Globus task does not end", on=self.client.location, got=self._words(task), done=f"task {task} is canceled"
                )
            time.sleep(pause)
            pause = min(pause * 1.5, self.patience.longest)

    def _refuse_standstill(self, task: str, found: Document, stuck: int) -> None:
        """Raise where a task waits for a person."""
        code = str(found.get("nice_status") or "")
        if found["status"] == "INACTIVE":
            hint = "renew the credentials of the collection in app.globus.org; then the task goes on"
            raise of_task(code or "NO_CREDENTIALS", self._words(task), on=self.client.location, task_id=task, hint=hint)
        if found.get("is_paused"):
            hint = "the task goes on when the pause ends; the next run takes it up"
            raise of_task("PAUSED", self._pause(task), on=self.client.location, task_id=task, hint=hint)
        if stuck >= self.patience.looks:
            words = self._words(task)
            self._cancel(task)
            raise of_task(code, words, on=self.client.location, task_id=task)

    def _pause(self, task: str) -> str:
        info = self.client.must("task_pause_info", task)
        words = [rule.get("message") for rule in info.get("pause_rules", [])]
        words += [info.get("source_pause_message"), info.get("destination_pause_message")]
        return clean("; ".join(str(word) for word in words if word)) or "no reason given"

    def _check(self, task: str, found: Document, document: Document) -> None:
        """Raise where a task failed, or left something out."""
        where = self.client.location
        if found["status"] != "SUCCEEDED":
            fatal = found.get("fatal_error") or {}
            raise of_task(str(fatal.get("code") or found.get("nice_status") or ""), self._words(task), on=where, task_id=task)
        if document["DATA_TYPE"] == "delete":
            return
        if skipped := self.client.must("task_skipped_errors", task)["DATA"]:
            first = skipped[0]
            words = clean(f"{first.get('source_path')!r} was skipped: {first.get('error_details')}")
            raise of_task(str(first.get("error_code")), words, on=where, task_id=task)
        if _files_done(found) < len(document["DATA"]):
            raise Incomplete(
                "a Globus task left files out", on=where, expected=len(document["DATA"]), got=_files_done(found), done=f"task {task}"
            )

    def _words(self, task: str) -> str:
        """What the events of a task tell of its errors, the last ones first."""
        events = self.client.must("task_event_list", task, limit=20)["DATA"]
        told = dict.fromkeys(
            f"{event['code']}: {clean(event.get('details') or event.get('description'))}" for event in events if event["is_error"]
        )
        return clean("; ".join(list(told)[:3]), self.client.secrets)

    def _cancel(self, task: str) -> None:
        """End a task, and wait until it has ended: until then it may still write."""
        self.client.must("cancel_task", task, on=f"task {task}")
        end = time.monotonic() + self.patience.overtime
        while self._look(task)["status"] not in ENDED:
            if time.monotonic() > end:
                raise LocationUnreachable("a Globus task cannot be canceled", on=self.client.location, got=f"task {task}")
            time.sleep(self.patience.first)


def _files_done(task: Document) -> int:
    """Files that a task moved, or found there already."""
    return int(task.get("files_transferred") or 0) + int(task.get("files_skipped") or 0)


def _overlap(one: str, other: str) -> bool:
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


def _mark(document: Document) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:32]


def _read(record: Path) -> Document:
    try:
        found: Document = json.loads(record.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return found


def _write(record: Path, known: Document) -> None:
    with Writing(record):
        record.parent.mkdir(parents=True, exist_ok=True)
    files.write_durably(record, json.dumps(known).encode())
