"""So many transfers at a time, by a real Prefect server's count."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from coldchain.errors import LocationUnreachable
from coldchain.location import Location
from tasks.turns import turn_at

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect_server")]


def place(name: str, at_once: int | None) -> Location:
    """A location that takes so many transfers at a time."""
    return Location(name=name, root="x", medium="disk", domain="x", site="x", at_once=at_once)


def test_one_waits_for_the_other() -> None:
    """The second has its turn when the first is done; who waits longer than the time is told."""
    location = place("thin-line", 1)
    order: list[str] = []

    def second() -> None:
        with turn_at(location):
            order.append("second")

    with turn_at(location):
        with pytest.raises(LocationUnreachable, match="thin-line"), turn_at(location, patience_s=1):
            order.append("never")
        waiting = threading.Thread(target=second)
        waiting.start()
        time.sleep(1)
        order.append("first")
    waiting.join(timeout=60)
    assert order == ["first", "second"]


def test_a_turn_is_given_back_after_an_error() -> None:
    """Whoever fails blocks nobody."""
    location = place("another-line", 1)
    with pytest.raises(ZeroDivisionError), turn_at(location):
        raise ZeroDivisionError
    with turn_at(location, patience_s=5):
        pass


def test_two_at_a_time() -> None:
    """The number is the site's, and may change."""
    with turn_at(place("wide-line", 1)), turn_at(place("wide-line", 2), patience_s=5):
        pass


def test_no_limit_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the site says nothing no server is asked."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError

    monkeypatch.setattr("prefect.concurrency.sync.concurrency", refuse)
    with turn_at(place("free", None)):
        pass
