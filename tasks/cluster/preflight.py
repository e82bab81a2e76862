"""The questions every worker answers before the first kernel: which coldchain it has, and whether it sees our scratch."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from importlib import metadata
from typing import Any

from coldchain import node
from coldchain.errors import ColdchainError, ConfigurationError


def check(client: Any, passport: dict[str, str]) -> None:
    """Raise ConfigurationError or ComputeFailed, naming the node, for the first worker that cannot do our work.

    A worker that goes away meanwhile is passed over: it has done no work, and a later one is checked at its first kernel.
    """
    installed = client.run(metadata.version, "coldchain", on_error="return")
    for address, found in installed.items():
        if isinstance(found, metadata.PackageNotFoundError):
            _missing(client, address, passport["version"])
    for answer in client.run(node.admit, **passport, on_error="return").values():
        if isinstance(answer, ColdchainError):
            raise answer


def describe(client: Any, addresses: list[str]) -> dict[str, dict[str, Any]]:
    """Return what the workers at `addresses` say of their machines, without those that have gone."""
    answers: Mapping[str, Any] = client.run(node.describe, workers=addresses, on_error="return")
    return {address: answer for address, answer in answers.items() if isinstance(answer, dict)}


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
    ask = {"workers": [address], "on_error": "ignore"}
    names = [client.run(os.getenv, "SLURMD_NODENAME", **ask).get(address), client.run(socket.gethostname, **ask).get(address)]
    return next((name for name in names if name), address)
