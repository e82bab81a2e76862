"""The stand-in as a test sees it: collections, credentials, what goes wrong, and what was asked."""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from coldchain.testing.globus.documents import (
    PENDING_AT_MOST,
    RUNNING_AT_MOST,
    Document,
    Refusal,
    accepted,
    bad,
    check_submission,
    fresh,
)
from coldchain.testing.globus.tasks import Task
from coldchain.testing.globus.troubles import Trouble
from coldchain.testing.globus.web import listen

TRANSFER = "urn:globus:auth:scope:transfer.api.globus.org:all"
_DATA_ACCESS = re.compile(r"https://auth\.globus\.org/scopes/([0-9a-f-]{36})/data_access")


class Cloud:
    """Globus, of which each collection is a folder of this machine.

    Its `environment` makes the real SDK talk to it. A task is ACTIVE for as many looks as `polls` says.
    """

    def __init__(self, collections: Mapping[str, Path], *, polls: int = 1, most_items: int = 100_000) -> None:
        """Nothing listens until it is entered; `most_items` is its own: the service publishes no number for a document's items."""
        self.collections, self.polls, self.most_items = dict(collections), polls, most_items
        self.client_id, self.client_secret = fresh(), secrets.token_urlsafe(32)
        self.lock = threading.RLock()
        self.tasks: dict[str, Task] = {}
        self.submissions: dict[str, str | None] = {}
        self.tokens: dict[str, frozenset[str]] = {}
        self.asked: list[str] = []
        self.needs_consent: set[str] = set()
        self.gives_consent = True
        self.retry_after = 1
        self._troubles: list[tuple[Trouble, str, int]] = []

    def __enter__(self) -> Self:
        """Begin to listen, on this machine alone."""
        self._server = listen(self)
        return self

    def __exit__(self, *_reason: object) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/"

    @property
    def environment(self) -> dict[str, str]:
        """Variables that lead the SDK here."""
        return {"GLOBUS_SDK_SERVICE_URL_TRANSFER": self.url, "GLOBUS_SDK_SERVICE_URL_AUTH": self.url}

    def let(self, trouble: Trouble, where: str = "", times: int = -1) -> None:
        """Let something go wrong wherever `where` stands in the address, label or path; so many times, or until it is mended."""
        with self.lock:
            self._troubles.append((trouble, where, times))

    def mend(self) -> None:
        """Let nothing go wrong any more; tasks that wait for credentials go on."""
        with self.lock:
            self._troubles.clear()
            for task in self.tasks.values():
                if task.status == "INACTIVE":
                    task.status, task.nice = "ACTIVE", None

    def broken(self, trouble: Trouble, where: str) -> bool:
        """Whether it goes wrong this time."""
        for number, (kind, part, times) in enumerate(self._troubles):
            if kind is trouble and part in where and times != 0:
                self._troubles[number] = (kind, part, times - 1)
                return True
        return False

    def token(self, scope: str) -> str:
        """A new token, with the consents that its scope asks for."""
        consents = frozenset(_DATA_ACCESS.findall(scope)) if self.gives_consent else frozenset()
        found = secrets.token_urlsafe(32)
        self.tokens[found] = consents
        return found

    def root(self, collection: str, token: str) -> Path:
        """Folder of a collection that this token may use."""
        if collection not in self.collections:
            raise Refusal(404, "EndpointNotFound", f"No such endpoint {collection!r}")
        if collection in self.needs_consent - self.tokens[token]:
            scope = f"{TRANSFER}[*https://auth.globus.org/scopes/{collection}/data_access]"
            raise Refusal(403, "ConsentRequired", "Missing required data_access consent", required_scopes=[scope])
        return self.collections[collection]

    def submission_id(self) -> Document:
        """An identifier under which one task can be submitted, however often that is sent."""
        found = fresh()
        self.submissions[found] = None
        return {"value": found}

    def submit(self, kind: str, given: Document, token: str) -> Document:
        """Take a task, once."""
        submission = given.get("submission_id")
        if submission not in self.submissions:
            raise bad("", "submission_id was not requested from this service")
        if known := self.submissions[submission]:
            return accepted(kind, known, submission, again=True)
        check_submission(kind, given, self.most_items)
        ends = {"source": "source_endpoint", "destination": "destination_endpoint"} if kind == "transfer" else {"endpoint": "endpoint"}
        roots = {end: self.root(str(given.get(name)), token) for end, name in ends.items()}
        if sum(not task.ended for task in self.tasks.values()) >= PENDING_AT_MOST:
            raise Refusal(409, "TooManyPendingJobs", f"You have reached the limit of {PENDING_AT_MOST} pending tasks")
        task = Task(kind, given, roots, self.broken, self.polls)
        self.tasks[task.task_id], self.submissions[submission] = task, task.task_id
        return accepted(kind, task.task_id, submission, again=False)

    def look(self, task_id: str) -> Task:
        """A task, worked on since somebody looked last if it is its turn."""
        task = self.tasks.get(task_id)
        if task is None:
            raise Refusal(404, "ClientError.NotFound", f"No such task {task_id!r}")
        active = [each for each in self.tasks.values() if each.kind == task.kind and each.status == "ACTIVE" and not each.paused]
        if task in active[RUNNING_AT_MOST:]:
            task.nice = "Queued"
        else:
            task.nice = None if task.nice == "Queued" else task.nice
            task.look()
        return task

    def finish(self) -> None:
        """Let every task go on without anybody looking, as tasks of the service do."""
        with self.lock:
            for task in self.tasks.values():
                while task.polls > 0 and not task.ended:
                    task.look()
                task.look()
