"""A WebDAV server that misbehaves: it stands before a real one, and does to each request what a test says."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

Answer = tuple[int, bytes]


@dataclass
class Faults:
    """What is done to requests of a method, so many times; what was asked for."""

    url: str = ""
    do: dict[str, Callable[[Request], None]] = field(default_factory=dict)
    times: int = 1_000_000
    seen: list[str] = field(default_factory=list)


class Request(BaseHTTPRequestHandler):
    """One request, on its way."""

    protocol_version = "HTTP/1.1"
    upstream: str
    faults: Faults

    def handle(self) -> None:
        """Be content where rclone, which was ended, leaves the line."""
        with suppress(ConnectionError):
            super().handle()

    def handle_any(self) -> None:
        """Do to it what the test says, or pass it on."""
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.faults.seen.append(self.command)
        fault = self.faults.do.get(self.command)
        if fault is None or self.faults.times <= 0:
            self.reply(*self.ask(self.body))
            return
        self.faults.times -= 1
        fault(self)

    def __getattr__(self, name: str) -> Any:
        """Every method is one."""
        if name.startswith("do_"):
            return self.handle_any
        raise AttributeError(name)

    def ask(self, body: bytes) -> tuple[int, bytes, list[tuple[str, str]]]:
        """What the real server answers."""
        line = http.client.HTTPConnection(self.upstream)
        headers = {key: value for key, value in self.headers.items() if key not in {"Host", "Content-Length", "Accept-Encoding"}}
        if "Destination" in headers:
            headers["Destination"] = headers["Destination"].replace(self.headers["Host"], self.upstream)
        line.request(self.command, self.path, body, headers)
        answer = line.getresponse()
        found = answer.status, answer.read(), answer.getheaders()
        line.close()
        return found

    def reply(self, status: int, content: bytes = b"", headers: list[tuple[str, str]] | None = None, cut: int | None = None) -> None:
        """Answer, or a part of it, after which the line is cut."""
        self.send_response_only(status)
        for key, value in headers or []:
            if key.lower() not in {"content-length", "transfer-encoding", "connection"}:
                self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[:cut])
        self.close_connection = cut is not None

    def log_message(self, *_said: object) -> None:
        """Say nothing."""


def cut(request: Request) -> None:
    """Answer half of the bytes."""
    status, content, headers = request.ask(request.body)
    request.reply(status, content, headers, cut=len(content) // 2)


def says(status: int) -> Callable[[Request], None]:
    """Answer so, and do nothing."""
    return lambda request: request.reply(status)


def drop(request: Request) -> None:
    """Cut the line without an answer."""
    request.close_connection = True


def halve(request: Request) -> None:
    """Take half of what was sent, and say that all is well."""
    request.reply(*request.ask(request.body[: len(request.body) // 2]))


def swap(request: Request) -> None:
    """Take as many other bytes, and say that all is well."""
    request.reply(*request.ask(bytes(byte ^ 1 for byte in request.body)))


@contextmanager
def before(upstream: str) -> Iterator[Faults]:
    """Stand before a server."""
    faults = Faults()
    handler = type("Handler", (Request,), {"upstream": urlsplit(upstream).netloc, "faults": faults})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    faults.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield faults
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
