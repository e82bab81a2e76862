"""The way to Globus: an application's credentials from a Prefect block, the SDK's client, the one place of every request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from coldchain.errors import ConfigurationError
from tasks.stores import blocks
from tasks.stores.globus_errors import border, plain

Credentials = Mapping[str, str]
"""``client_id`` and ``client_secret`` of an application that is registered with Globus Auth."""

_WANTED = ("client_id", "client_secret")


class Client:
    """Globus Transfer, asked as an application; nothing is sent before the first question."""

    def __init__(self, location: str, credentials: Callable[[], Credentials], *, retries: int = 5) -> None:
        """Tokens stay in memory; a request that gets no answer, or is to come later, is sent again so many times."""
        self.location, self._credentials, self._retries = location, credentials, retries

    @cached_property
    def _login(self) -> Credentials:
        found = self._credentials()
        if not isinstance(found, Mapping) or not all(isinstance(found.get(name), str) and found[name] for name in _WANTED):
            raise ConfigurationError(
                "the credentials for Globus are not whole", on=self.location, expected='{"client_id": "...", "client_secret": "..."}'
            )
        return found

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be written down."""
        return (self._login["client_secret"],)

    @cached_property
    def _app(self) -> Any:
        from globus_sdk import ClientApp, GlobusAppConfig

        login = {name: self._login[name] for name in _WANTED}
        return ClientApp("coldchain", **login, config=GlobusAppConfig(token_storage="memory"))  # noqa: S106 - where, not what

    @cached_property
    def _sdk(self) -> Any:
        from globus_sdk import TransferClient
        from globus_sdk.transport import RetryConfig

        return TransferClient(app=self._app, retry_config=RetryConfig(max_retries=self._retries))

    def ask(self, call: str, *given: Any, on: str = "", none: frozenset[str] = frozenset(), **named: Any) -> dict[str, Any] | None:
        """Make a request, and give the answer as a dictionary; nothing where it has one of the codes `none`.

        A consent that Globus asks for is asked of Globus Auth once: an application consents for itself.

        Raises:
            ColdchainError: in our words, by the code of the answer.
        """
        with border(f"{self.location}: {on}" if on else self.location, self.secrets):
            return self._asked(call, given, none, named, again=True)

    def _asked(self, call: str, given: Any, none: frozenset[str], named: Any, *, again: bool) -> dict[str, Any] | None:
        from globus_sdk import GlobusAPIError

        try:
            return plain(getattr(self._sdk, call)(*given, **named))
        except GlobusAPIError as error:
            if error.code in none:
                return None
            scopes = error.info.consent_required.required_scopes
            if not scopes or not again:
                raise
        self._consent(scopes)
        return self._asked(call, given, none, named, again=False)

    def _consent(self, scopes: list[str]) -> None:
        from globus_sdk.scopes import Scope

        self._sdk.add_app_scope([Scope.parse(scope) for scope in scopes])
        self._app.login(force=True)

    def must(self, call: str, *given: Any, on: str = "", **named: Any) -> dict[str, Any]:
        """Make a request to which there is always an answer."""
        return self.ask(call, *given, on=on, **named) or {}


def load(name: str) -> Credentials:
    """Load the application's credentials from a Secret block of the Prefect server.

    Raises:
        ConfigurationError: there is no such block, or it holds something else.
        LocationUnreachable: the Prefect server does not answer.
    """
    from prefect.blocks.system import Secret

    found: Credentials = blocks.load(Secret, name, "Globus").get()  # what it holds is looked at by Client
    return found
