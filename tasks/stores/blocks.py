"""Prefect blocks that hold what an engine needs to get in: loaded when it is first used, with errors of ours."""

from __future__ import annotations

from typing import Any

from coldchain.errors import ConfigurationError, LocationUnreachable


def load(kind: Any, name: str, section: str) -> Any:
    """Load a block of a kind; `section` of docs/engineers.md says how it is made.

    Raises:
        ConfigurationError: there is no such block.
        LocationUnreachable: the Prefect server does not answer.
    """
    import httpx

    on = f"{kind.get_block_type_slug()}/{name}"
    try:
        return kind.load(name, _sync=True)
    except ValueError as error:
        raise ConfigurationError(
            "there is no such block",
            on=on,
            hint=f"make it as docs/engineers.md says ({section}), on the server of PREFECT_API_URL",
        ) from error
    except (httpx.HTTPError, OSError, RuntimeError) as error:
        raise LocationUnreachable(
            "the Prefect server that keeps a location's block does not answer", on=on, got=type(error).__name__
        ) from error
