"""Ways to make S3 fail: a client that does something else instead, answers that never came from the server, a line that is cut."""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from coldchain.errors import LocationUnreachable
from tasks.stores.s3 import S3Store


class Instead:
    """A client of which some operations do something else; that is told the real one and its parameters."""

    def __init__(self, client: Any, **instead: Callable[..., Any]) -> None:
        """Name operations as methods of the client; `every` stands before all of them."""
        self._client, self._instead = client, instead

    def __getattr__(self, name: str) -> Any:
        """The operation, or what is done instead."""
        real = getattr(self._client, name)
        if name in self._instead:
            return lambda **given: self._instead[name](real, **given)
        return (lambda **given: self._instead["every"](name, real, **given)) if "every" in self._instead and name != "meta" else real


def instead(store: S3Store, **operations: Callable[..., Any]) -> S3Store:
    """The same location through such a client."""
    other = S3Store(store.location)
    other.conn = replace(store.conn, client=Instead(store.conn.client, **operations))
    return other


class Asked:
    """Counts requests by name, and cuts the connection off at one of them, before or after it is done."""

    def __init__(self, at: int = -1, *, after: bool = False) -> None:
        """Cut at the request of this number, and at every later one."""
        self.names: list[str] = []
        self.at, self.after = at, after

    def __call__(self, name: str, real: Callable[..., Any], **given: Any) -> Any:
        """Do it, or not."""
        self.names.append(name)
        done = len(self.names) - 1
        if self.at < 0 or done < self.at:
            return real(**given)
        if self.after and done == self.at:
            real(**given)
        raise LocationUnreachable("cut off by the test", on=name)

    def count(self, name: str) -> int:
        """How often an operation was asked for."""
        return self.names.count(name)


@contextmanager
def answering(client: Any, operation: str, answer: Callable[[Any], Any]) -> Iterator[list[Any]]:
    """Let `answer` say what comes back for an operation instead of asking the server; where it gives nothing, the server is asked."""
    asked: list[Any] = []

    def hook(request: Any, **_more: Any) -> Any:
        asked.append(request)
        return answer(request)

    client.meta.events.register(f"before-send.s3.{operation}", hook)
    try:
        yield asked
    finally:
        client.meta.events.unregister(f"before-send.s3.{operation}", hook)


def response(request: Any, status: int, body: bytes = b"", **headers: str) -> Any:
    """An answer with a body."""
    from botocore.awsrequest import AWSResponse, HeadersDict

    class Raw(io.BytesIO):
        def stream(self, **_more: Any) -> Iterator[bytes]:
            yield self.getvalue()

    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return AWSResponse(request.url, status, HeadersDict(named), Raw(body))


def error(code: str, message: str = "said the test") -> bytes:
    """The body of an answer that is an error."""
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()


class Line:
    """A line to an endpoint that is cut after so many bytes of an answer, for the next `cuts` connections that carry so many."""

    def __init__(self, endpoint: str) -> None:
        """Listen on loopback; TLS goes through as it is."""
        self.to = (urlsplit(endpoint).hostname, urlsplit(endpoint).port)
        self.after, self.cuts, self.done = 0, 0, 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"https://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                ours, _ = self._listening.accept()
                theirs = socket.create_connection(self.to)
                for one, other, counted in ((ours, theirs, False), (theirs, ours, True)):
                    threading.Thread(target=self._carry, args=(one, other, counted), daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket, counted: bool) -> None:
        passed = 0
        with suppress(OSError):
            while block := one.recv(65536):
                passed += len(block)
                if counted and self.done < self.cuts and passed > self.after:
                    self.done += 1
                    break
                other.sendall(block)
        for end in (one, other):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
                end.close()
