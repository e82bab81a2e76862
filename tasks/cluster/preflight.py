"""The questions every worker answers before the first kernel: which coldchain it has, and whether it sees our scratch and a GPU."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from importlib import metadata
from typing import Any

from coldchain import node
from coldchain.errors import ColdchainError, ComputeFailed, ConfigurationError

ANSWER_WITHIN_S = 60.0
"""So long a worker has for an answer: one that hangs at a dead mount would have us wait for ever."""


def check(client: Any, passport: dict[str, str]) -> None:
    """Raise ConfigurationError or ComputeFailed, naming the node, for the first worker that cannot do our work.

    A worker that goes away meanwhile is passed over: it has done no work, and a later one is checked at its first kernel.
    """
    installed = _ask(client, metadata.version, "coldchain")
    for address, found in installed.items():
        if isinstance(found, metadata.PackageNotFoundError):
            _missing(client, address, passport["version"])
        elif isinstance(found, str) and found != passport["version"]:
            raise node.wrong_version(_name(client, address), passport["version"], found)
    for answer in _ask(client, node.admit, **passport).values():
        if isinstance(answer, ColdchainError):
            raise answer


def describe(client: Any, addresses: list[str]) -> dict[str, dict[str, Any]]:
    """Return what the workers at `addresses` say of their machines, without those that have gone."""
    answers = _ask(client, node.describe, workers=addresses)
    return {address: answer for address, answer in answers.items() if isinstance(answer, dict)}


def _ask(client: Any, question: Callable[..., Any], *told: Any, workers: list[str] | None = None, **named: Any) -> Mapping[str, Any]:
    """Ask workers, all where none are named; return their answers or errors by address; raises ComputeFailed where one does not answer."""

    async def ask() -> Mapping[str, Any]:
        answers: Mapping[str, Any] = await client.run(question, *told, workers=workers, on_error="return", asynchronous=True, **named)
        return answers

    try:
        answers: Mapping[str, Any] = client.sync(ask, callback_timeout=ANSWER_WITHIN_S)
    except TimeoutError as exc:
        known = client.scheduler_info(n_workers=-1)["workers"]
        raise ComputeFailed(
            "a worker does not answer",
            on=", ".join(str(known[address]["name"]) for address in workers or known),
            expected=f"an answer within {ANSWER_WITHIN_S:g} s",
            done="no kernel was run",
            hint="look at the mounts of its node: a dead one has programs hang",
        ) from exc
    return answers


def _missing(client: Any, address: str, expected: str) -> None:
    if expected == "0+checkout":
        return  # nothing is installed here either: local workers import what we import
    raise ConfigurationError(
        "a node has no coldchain installed",
        on=_name(client, address),
        expected=expected,
        got="not installed for the worker's interpreter",
        done="no kernel was run on it",
        hint="install the wheel there, or name the right interpreter as `python` in the cluster profile",
    )


def _name(client: Any, address: str) -> str:
    """Return SLURM's name of a worker's node, or its host's, asked with the standard library alone."""
    names = [_ask(client, os.getenv, "SLURMD_NODENAME", workers=[address]), _ask(client, socket.gethostname, workers=[address])]
    return next((answer[address] for answer in names if isinstance(answer.get(address), str)), address)
