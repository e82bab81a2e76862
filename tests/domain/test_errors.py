"""Errors: their parts, their message, and their way between processes."""

from __future__ import annotations

import copy
import pickle

import pytest

from coldchain import errors
from coldchain.errors import ColdchainError, PermanentError, TransientError

EVERY = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, ColdchainError)]


@pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.__name__)
def test_an_error_travels_whole(kind: type[ColdchainError]) -> None:
    """Between processes an error keeps its class, every part and its message."""
    error = kind("it failed", on="this", expected=3, got=None, done="nothing was moved", hint="look")
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):  # noqa: S301 - our own bytes
        assert type(twin) is kind
        assert (twin.what, twin.on, twin.expected, twin.got, twin.done, twin.hint) == (
            "it failed",
            "this",
            3,
            None,
            "nothing was moved",
            "look",
        )
        assert str(twin) == str(error)


def test_a_message_has_the_parts_that_are_known() -> None:
    """What, on which object, expected and got, what was done, what to try; nothing for what is not known."""
    assert str(ColdchainError("it failed", on="this", expected=0, got="", done="nothing", hint="look")) == (
        "it failed\n  on: this\n  expected: 0\n  got: \n  done: nothing\n  try: look"
    )
    assert str(ColdchainError("it failed")) == "it failed"


@pytest.mark.parametrize("kind", [each for each in EVERY if each is not ColdchainError], ids=lambda kind: kind.__name__)
def test_an_error_is_permanent_or_transient(kind: type[ColdchainError]) -> None:
    """Tasks retry by class, so each error is one of the two, and not both."""
    assert issubclass(kind, PermanentError) != issubclass(kind, TransientError)


@pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.__name__)
def test_the_tree_is_drawn(kind: type[ColdchainError]) -> None:
    """Each error stands in the drawing at the head of the module."""
    assert kind.__name__ in (errors.__doc__ or "")
