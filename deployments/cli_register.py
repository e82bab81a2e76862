"""`coldchain register`."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import typer

from coldchain.errors import ConfigurationError
from deployments.cli_common import JsonOption, printed, said


def add(app: typer.Typer) -> None:
    """Give the command its subcommand `register`."""
    app.command()(register)


def register(as_json: JsonOption = False) -> None:
    """Register work pool, deployments and automations with the Prefect server of PREFECT_API_URL; again after every upgrade."""
    from deployments import automations, ui

    with said(as_json):
        address = os.environ.get("PREFECT_API_URL")
        if not address:
            raise ConfigurationError(
                "no Prefect server is named", expected="its address in PREFECT_API_URL", hint="`coldchain ui` brings its own"
            )
        ui.create_work_pool()
        with tempfile.TemporaryDirectory(prefix="coldchain-") as neutral:
            ui.register(dict(os.environ), cwd=Path(neutral))
        changed = automations.register_here()
        printed({"server": address, "automations": changed}, as_json, lambda: _show(address, changed))


def _show(address: str, changed: list[str]) -> None:
    from deployments import tables

    tables.tell(f"Registered with {address}: every deployment of prefect.yaml.")
    for name in changed or ["every automation stood already"]:
        tables.tell(f"  {name}")
