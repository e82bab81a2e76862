"""The stand-in's addresses, over HTTP: Globus Auth's tokens, and the Transfer API."""

from __future__ import annotations

import base64
import json
import re
import secrets
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from coldchain.testing.globus import folders
from coldchain.testing.globus.documents import Document, Refusal, result
from coldchain.testing.globus.troubles import Trouble

if TYPE_CHECKING:
    from coldchain.testing.globus.cloud import Cloud
    from coldchain.testing.globus.tasks import Task

PAGE = 1000
_LATER = {Trouble.TOO_MANY_REQUESTS: (429, "RateLimitExceeded"), Trouble.UNAVAILABLE: (503, "ServiceUnavailable")}


@dataclass(frozen=True)
class Asked:
    """A request, as far as the answers need it."""

    query: Mapping[str, str]
    body: Document
    token: str


def listen(cloud: Cloud) -> ThreadingHTTPServer:
    """Answer on a port of this machine, in a thread."""
    handler = type("Handler", (_Handler,), {"cloud": cloud})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    return server


class _Handler(BaseHTTPRequestHandler):
    """Answers one connection's requests."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    cloud: Cloud

    def do_GET(self) -> None:
        """Answer."""
        self._answer()

    def do_POST(self) -> None:
        """Answer."""
        self._answer()

    def log_message(self, *_said: object) -> None:
        """Say nothing on the terminal."""

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        address, where = urlsplit(self.path), f"{self.command} {urlsplit(self.path).path}"
        with self.cloud.lock:
            self.cloud.asked.append(where)
            if self.cloud.broken(Trouble.REQUEST_IS_LOST, where):
                self._cut()
                return
            status, document = self._said(where, {name: values[-1] for name, values in parse_qs(address.query).items()}, body)
            if self.cloud.broken(Trouble.ANSWER_IS_LOST, where):
                self._cut()
                return
        self._send(status, document)

    def _said(self, where: str, query: Mapping[str, str], body: bytes) -> tuple[int, Document | bytes]:
        if self.cloud.broken(Trouble.NO_JSON, where):
            return 502, b"<html>Bad Gateway</html>"
        try:
            self._stay_away(where)
            if where == "POST /v2/oauth2/token":
                return self._token(body)
            return self._routed(where, query, body)
        except Refusal as refusal:
            return refusal.status, refusal.document | {"request_id": secrets.token_urlsafe(6), "resource": where.partition(" ")[2]}

    def _stay_away(self, where: str) -> None:
        for trouble, (status, code) in _LATER.items():
            if self.cloud.broken(trouble, where):
                raise Refusal(status, code, "try again later")

    def _routed(self, where: str, query: Mapping[str, str], body: bytes) -> tuple[int, Document]:
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if token not in self.cloud.tokens:
            raise Refusal(401, "AuthenticationFailed", "Token is not active")
        if "/operation/" in where and self.cloud.broken(Trouble.GATEWAY_IS_OFF, where):
            raise Refusal(502, "ExternalError.DirListingFailed.GCDisconnected", "the Globus Connect machine is not connected")
        for pattern, answer in _ROUTES:
            if found := re.fullmatch(pattern, where):
                asked = Asked(query, json.loads(body) if body else {}, token)
                return (202 if where.endswith(("/mkdir", "/transfer", "/delete")) else 200), answer(self.cloud, asked, *found.groups())
        raise Refusal(404, "ClientError.NotFound", f"No such resource: {where}")

    def _token(self, body: bytes) -> tuple[int, Document]:
        given = {name: values[-1] for name, values in parse_qs(body.decode()).items()}
        login = base64.b64decode((self.headers.get("Authorization") or "").removeprefix("Basic ")).decode()
        if login != f"{self.cloud.client_id}:{self.cloud.client_secret}":
            return 401, {"error": "invalid_client"}
        if given.get("grant_type") != "client_credentials":
            return 400, {"error": "unsupported_grant_type"}
        scope = given.get("scope", "")
        about = {
            "scope": scope.partition("[")[0],
            "expires_in": 172800,
            "token_type": "Bearer",
            "resource_server": "transfer.api.globus.org",
        }
        return 200, {"access_token": self.cloud.token(scope), "other_tokens": [], **about}

    def _send(self, status: int, document: Document | bytes) -> None:
        content = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html" if isinstance(document, bytes) else "application/json")
        self.send_header("Content-Length", str(len(content)))
        if status in {429, 503}:
            self.send_header("Retry-After", str(self.cloud.retry_after))
        self.end_headers()
        self.wfile.write(content)

    def _cut(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)


def _operation(done: Callable[..., Document]) -> Callable[..., Document]:
    def answer(cloud: Cloud, asked: Asked, collection: str) -> Document:
        root = cloud.root(collection, asked.token)
        named = asked.query.get("path") or asked.body.get("path") or "/~/"
        _refuse_denied(cloud, named)
        return done(root, collection, asked)

    return answer


def _refuse_denied(cloud: Cloud, path: str) -> None:
    if cloud.broken(Trouble.DENIED, path):
        raise Refusal(403, "EndpointPermissionDenied", f"Denied by endpoint: Path not allowed: {path!r}")


def _rename(cloud: Cloud, asked: Asked, collection: str) -> Document:
    old, new = asked.body["old_path"], asked.body["new_path"]
    _refuse_denied(cloud, old)
    target = folders.place(cloud.root(collection, asked.token), new)
    if cloud.broken(Trouble.RENAMES_OVER, new) and target.is_dir() and not any(target.iterdir()):
        target.rmdir()
    return folders.rename(cloud.root(collection, asked.token), old, new)


def _page(kind: str, found: list[Document], asked: Asked) -> Document:
    limit, offset = int(asked.query.get("limit", PAGE)), int(asked.query.get("offset", 0))
    return {"DATA_TYPE": kind, "DATA": found[offset : offset + limit], "limit": limit, "offset": offset, "total": len(found)}


def _marked(kind: str, found: list[Document], asked: Asked) -> Document:
    """A page of a list that goes on at a marker."""
    start = int(asked.query.get("marker", 0))
    end = start + PAGE
    return {"DATA_TYPE": kind, "DATA": found[start:end], "marker": start, "next_marker": end if end < len(found) else None}


def _cancel(cloud: Cloud, _asked: Asked, task_id: str) -> Document:
    task: Task = cloud.look(task_id)
    if task.ended:
        return result("TaskComplete", "The task completed before the cancel request was processed")
    if cloud.broken(Trouble.CANCELS_LATE, str(task.given.get("label") or "")):
        task.canceling = 3
        return result("CancelAccepted", "The task cancel has been accepted, and takes its time.")
    task.cancel()
    return result("Canceled", "The task has been cancelled successfully.")


def _pause_info(cloud: Cloud, _asked: Asked, task_id: str) -> Document:
    rules = [{"DATA_TYPE": "pause_rule_limited", "message": "maintenance"}] if cloud.look(task_id).paused else []
    return {"DATA_TYPE": "pause_info_limited", "pause_rules": rules, "source_pause_message": None, "destination_pause_message": None}


def _endpoint(cloud: Cloud, asked: Asked, collection: str) -> Document:
    cloud.root(collection, asked.token)
    return {"DATA_TYPE": "endpoint", "id": collection, "display_name": collection[:8], "entity_type": "GCSv5_mapped_collection"}


_ROUTES: tuple[tuple[str, Callable[..., Document]], ...] = (
    (r"GET /v0\.10/submission_id", lambda cloud, _asked: cloud.submission_id()),
    (r"POST /v0\.10/(transfer|delete)", lambda cloud, asked, kind: cloud.submit(kind, asked.body, asked.token)),
    (r"GET /v0\.10/endpoint/([^/]+)", _endpoint),
    (
        r"GET /v0\.10/endpoint/([^/]+)/my_effective_pause_rule_list",
        lambda cloud, asked, collection: _page("pause_rule_limited_list", [], asked) if cloud.root(collection, asked.token) else {},
    ),
    (
        r"GET /v0\.10/operation/endpoint/([^/]+)/ls",
        _operation(lambda root, collection, asked: folders.listing(root, collection, asked.query)),
    ),
    (r"GET /v0\.10/operation/endpoint/([^/]+)/stat", _operation(lambda root, _c, asked: folders.status(root, asked.query["path"]))),
    (r"POST /v0\.10/operation/endpoint/([^/]+)/mkdir", _operation(lambda root, _c, asked: folders.mkdir(root, asked.body["path"]))),
    (r"POST /v0\.10/operation/endpoint/([^/]+)/rename", _rename),
    (r"GET /v0\.10/task/([^/]+)", lambda cloud, _asked, task: cloud.look(task).document()),
    (r"GET /v0\.10/task/([^/]+)/event_list", lambda cloud, asked, task: _page("event_list", cloud.look(task).events, asked)),
    (r"GET /v0\.10/task/([^/]+)/pause_info", _pause_info),
    (
        r"GET /v0\.10/task/([^/]+)/successful_transfers",
        lambda cloud, asked, task: _marked("successful_transfers", cloud.look(task).moved, asked),
    ),
    (r"GET /v0\.10/task/([^/]+)/skipped_errors", lambda cloud, asked, task: _marked("skipped_errors", cloud.look(task).skipped, asked)),
    (r"POST /v0\.10/task/([^/]+)/cancel", _cancel),
)
