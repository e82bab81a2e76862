"""Documents of the Transfer API, and what is wrong with those that are handed in."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping
from typing import Any

Document = dict[str, Any]

LONGEST_LABEL = 128
PENDING_AT_MOST = 100
"""Tasks of a user that have not ended (docs.globus.org/faq/transfer-sharing, limits)."""

RUNNING_AT_MOST = 3
"""Tasks of a kind that are worked on at once (docs.globus.org/api/transfer/task_behavior, queuing)."""

ALGORITHMS = {"MD5": "md5", "SHA1": "sha1", "SHA256": "sha256", "SHA512": "sha512"}

_COMMON = {"DATA_TYPE", "DATA", "submission_id", "label", "deadline", "notify_on_succeeded", "notify_on_failed", "notify_on_inactive"}
_FIELDS = {
    "transfer": _COMMON
    | {"source_endpoint", "destination_endpoint", "sync_level", "verify_checksum", "preserve_timestamp", "encrypt_data"}
    | {"skip_source_errors", "fail_on_quota_errors", "delete_destination_extra"},
    "delete": _COMMON | {"endpoint", "recursive", "ignore_missing", "interpret_globs"},
}
_ITEM_FIELDS = {
    "transfer": {"DATA_TYPE", "source_path", "destination_path", "recursive", "external_checksum", "checksum_algorithm"},
    "delete": {"DATA_TYPE", "path"},
}


class Refusal(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, code: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status, self.document = status, {"code": code, "message": message, **more}


def bad(code: str, message: str) -> Refusal:
    """A document that is refused."""
    return Refusal(400, f"ClientError.BadRequest{'.' if code else ''}{code}", message)


def check_submission(kind: str, given: Mapping[str, Any], most_items: int) -> None:
    """Refuse a submission that the service would not take."""
    if given.get("DATA_TYPE") != kind:
        raise bad("", f"DATA_TYPE is not {kind!r}")
    if unknown := sorted(given.keys() - _FIELDS[kind]):
        raise bad("", f"unknown field {unknown[0]!r}")
    items = given.get("DATA")
    if not isinstance(items, list) or not items:
        raise bad("NoTransferItems", f"A {kind} requires at least one item")
    if len(items) > most_items:
        raise Refusal(413, "LimitExceeded", f"A task may have at most {most_items} items")
    _check_label(given.get("label"))
    if given.get("sync_level") not in {None, 0, 1, 2, 3}:
        raise bad("", "sync_level is none of 0, 1, 2, 3")
    if (deadline := given.get("deadline")) and moment(deadline) <= dt.datetime.now(dt.UTC):
        raise bad("", "deadline is in the past")
    for item in items:
        _check_item(kind, item)


def _check_label(label: str | None) -> None:
    if label and (len(label) > LONGEST_LABEL or label != label.strip() or {"\n", "\r"} & set(label)):
        raise bad("", "label is too long, or has newlines or white space around it")


def _check_item(kind: str, item: Mapping[str, Any]) -> None:
    if item.get("DATA_TYPE") != f"{kind}_item" or item.keys() - _ITEM_FIELDS[kind]:
        raise bad("", f"not a {kind}_item")
    for path in (item[name] for name in ("source_path", "destination_path", "path") if name in item):
        check_path(path)
    if item.get("external_checksum") and item.get("recursive"):
        raise bad("", "external_checksum cannot be used with directories")
    if item.get("checksum_algorithm", "MD5") not in ALGORITHMS:
        raise bad("", "unknown checksum_algorithm")


def check_path(path: object) -> str:
    r"""A path that the API takes: absolute, and without ``\r\n``, which Globus allows in no name."""
    if not isinstance(path, str) or not path.startswith("/") or "\0" in path:
        raise bad("", f"not an absolute path: {path!r}")
    if "\r\n" in path:
        raise Refusal(400, "InvalidPath", r"Globus does not allow the string \r\n in any file or directory names")
    return path


def moment(text: str) -> dt.datetime:
    """A moment in ISO 8601."""
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise bad("", f"no date: {text!r}") from error
    return found if found.tzinfo else found.replace(tzinfo=dt.UTC)


def stamp(when: float | dt.datetime) -> str:
    """A moment as the API writes it: whole seconds, in UTC."""
    found = when if isinstance(when, dt.datetime) else dt.datetime.fromtimestamp(int(when), dt.UTC)
    return found.replace(microsecond=0).isoformat(sep=" ")


def accepted(kind: str, task: str, submission: str, *, again: bool) -> Document:
    """The answer to a submission."""
    words = "is a duplicate of one that was accepted" if again else "has been accepted and a task has been created and queued for execution"
    return {
        "DATA_TYPE": f"{kind}_result",
        "code": "Duplicate" if again else "Accepted",
        "message": f"The {kind} {words}",
        "submission_id": submission,
        "task_id": task,
        "task_link": {
            "DATA_TYPE": "link",
            "href": f"task/{task}?format=json",
            "rel": "related",
            "resource": "task",
            "title": "related task",
        },
    }


def result(code: str, message: str, kind: str = "result") -> Document:
    """The answer to an operation that is done at once."""
    return {"DATA_TYPE": kind, "code": code, "message": message}


def fresh() -> str:
    """A new identifier."""
    return str(uuid.uuid4())
