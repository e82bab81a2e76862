"""What the commands share: their common options, and how they say what they found."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from coldchain.errors import ColdchainError

SiteOption = Annotated[Path | None, typer.Option("--site", help="Site file; COLDCHAIN_SITE, or demo-site/site.yaml, where not given.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


@contextmanager
def said(as_json: bool) -> Iterator[None]:
    """End with the error's words and exit code 1, not with a stack trace."""
    try:
        yield
    except ColdchainError as error:
        body = {"error": type(error).__name__, "message": str(error)}
        typer.echo(json.dumps(body) if as_json else f"{type(error).__name__}: {error}", err=not as_json)
        raise typer.Exit(1) from error


def printed(data: Any, as_json: bool, show: Callable[[], None]) -> None:
    """Print data for programs, or show it to people."""
    if as_json:
        typer.echo(json.dumps(data, indent=2, sort_keys=True, default=str))
    else:
        show()
