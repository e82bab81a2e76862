"""What Globus says when it refuses, in our words: its answers by their codes, its tasks by the codes of their events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from coldchain.errors import (
    ColdchainError,
    ConfigurationError,
    Incomplete,
    InputError,
    IntegrityError,
    LocationUnreachable,
    OutOfSpace,
    Refused,
    UnsafePathError,
)

if TYPE_CHECKING:
    from globus_sdk import GlobusAPIError

Kind = type[ColdchainError]

GONE = frozenset({"NotFound", "ClientError.NotFound", "ExternalError.DirListingFailed.NotFound"})
NO_FOLDER = frozenset({"ExternalError.DirListingFailed.NotDirectory"})
MADE = frozenset({"ExternalError.MkdirFailed.Exists"})

_LOOK = "look at the site's settings (globus), and at the collection in app.globus.org"
_RIGHTS = "give the application's identity (<client id>@clients.auth.globus.org) the right to read and write there"

_BY_CODE: Mapping[str, tuple[Kind, str, str | None]] = {
    "EndpointNotFound": (ConfigurationError, "there is no such collection", _LOOK),
    "EndpointDeleted": (ConfigurationError, "a collection was deleted", _LOOK),
    "PermissionDenied": (ConfigurationError, "Globus does not allow it", _RIGHTS),
    "EndpointPermissionDenied": (ConfigurationError, "a collection does not allow it", _RIGHTS),
    "ExternalError.MkdirFailed.PermissionDenied": (ConfigurationError, "a collection does not allow it", _RIGHTS),
    "ExternalError.DirListingFailed.PermissionDenied": (ConfigurationError, "a collection does not allow it", _RIGHTS),
    "AuthenticationFailed": (ConfigurationError, "Globus does not know these credentials", "renew the client's secret in the block"),
    "InvalidPath": (UnsafePathError, "a name cannot stand on that collection", "rename the file"),
    "ExternalError.RenameFailed.Exists": (IntegrityError, "a folder is already there", None),
    "LimitExceeded": (InputError, "Globus does not take so much at once", None),
    "TooManyPendingJobs": (LocationUnreachable, "Globus takes no more tasks now", "tasks of this client wait: see app.globus.org/activity"),
    "ClientError.BadRequest": (InputError, "Globus does not take a request", "this is a fault of ours: report it with these words"),
    "ExternalError": (LocationUnreachable, "a collection does not do what it was asked", "is its machine up, and connected to Globus?"),
    "EndpointError": (LocationUnreachable, "a collection does not do what it was asked", "is its machine up, and connected to Globus?"),
}
"""By code, or by what a code begins with."""

_BY_STATUS: Mapping[int, str] = {401: "AuthenticationFailed", 403: "PermissionDenied", 413: "LimitExceeded", 400: "ClientError.BadRequest"}

_LATER = (LocationUnreachable, "the network or the collection's machine failed")
_LOGIN = (ConfigurationError, "a collection does not take the credentials")
_FILE = (InputError, "a file cannot be read, or is not what it was")
_FULL = (OutOfSpace, "no space left")

EVENTS: Mapping[str, tuple[Kind, str]] = {
    "ABEND": _LATER,
    "ACL_CHANGED": (ConfigurationError, "the rights on a collection were changed"),
    "AMBIGUOUS_PATH": _FILE,
    "AUTH": _LOGIN,
    "CANCELED": (Refused, "somebody canceled it"),
    "CLOCK": (ConfigurationError, "the clock of a collection's machine is wrong"),
    "CONNECT_FAILED": _LATER,
    "CONNECTION_BROKEN": _LATER,
    "CONNECTION_RESET": _LATER,
    "ENDPOINT_ERROR": _LATER,
    "ENDPOINT_TOO_BUSY": _LATER,
    "EXPIRED": (Incomplete, "its deadline came before its end"),
    "EXTERNAL_CHECKSUM_MISMATCH": (IntegrityError, "other bytes arrived than were read here"),
    "FILE_ACCESS": _FILE,
    "FILE_NOT_FOUND": _FILE,
    "FILE_SIZE_CHANGED": _FILE,
    "GC_NOT_CONNECTED": (LocationUnreachable, "the collection's machine is not connected to Globus"),
    "GC_PAUSED": (LocationUnreachable, "the collection's machine is paused"),
    "GSI_DN_MISMATCH": _LOGIN,
    "INTERNAL_ERROR": _LATER,
    "INVALID_PATH_NAME": (UnsafePathError, "a name cannot stand on that collection"),
    "INVALID_SERVICE_CREDENTIAL": _LOGIN,
    "INVALID_SYMLINK": _FILE,
    "IS_A_DIRECTORY": _FILE,
    "IS_A_FILE": _FILE,
    "LIMIT_EXCEEDED": (InputError, "Globus does not take so much at once"),
    "MPU_NOT_FOUND": _LATER,
    "NO_APPEND_FILESYSTEM": _LATER,
    "NO_CREDENTIALS": _LOGIN,
    "NO_PHYSICALS": (ConfigurationError, "the collection has no machine"),
    "NO_SPACE_LEFT": _FULL,
    "NOT_A_DIRECTORY": _FILE,
    "NOT_A_FILE": _FILE,
    "NOT_A_SYMLINK": _FILE,
    "PAUSED": (LocationUnreachable, "the collection's administrator has paused it"),
    "PERMISSION_DENIED": (ConfigurationError, "a file cannot be read or written there"),
    "QUOTA_EXCEEDED": _FULL,
    "TIMEOUT": _LATER,
    "UNKNOWN": _LATER,
    "VERIFY_CHECKSUM": (IntegrityError, "bytes did not arrive as they were sent"),
}
"""Every code of an error that the service's developers list (archive-developer-discuss, 2020), with what it means for us."""

STUBBORN = frozenset(code for code, (kind, _) in EVENTS.items() if kind not in {LocationUnreachable, IntegrityError, Incomplete, Refused})
"""What does not pass by itself: Globus tries it again until the deadline, and we do not wait so long."""


@contextmanager
def border(on: str, secrets: Sequence[str] = ()) -> Iterator[None]:
    """Translate what the SDK raises."""
    from globus_sdk import GlobusAPIError, GlobusError, NetworkError

    try:
        yield
    except NetworkError as error:
        raise LocationUnreachable(
            "Globus does not answer", on=on, got=str(error), hint="is the network up? status.globus.org tells of the service"
        ) from error
    except GlobusAPIError as error:
        raise of_answer(error, on, secrets) from error
    except GlobusError as error:
        raise ConfigurationError("Globus cannot be used as the site describes it", on=on, got=clean(error, secrets), hint=_LOOK) from error


def of_answer(error: GlobusAPIError, on: str, secrets: Sequence[str] = ()) -> ColdchainError:
    """What an answer means."""
    if scopes := error.info.consent_required.required_scopes:
        return ConfigurationError(
            "Globus wants a consent that this client has not",
            on=on,
            expected=" ".join(scopes),
            got=clean(error.message, secrets),
            hint="let the collection's administrator allow the application, or ask for a guest collection shared with it",
        )
    code = error.code or ""
    found = _meaning(code) or _meaning(_BY_STATUS.get(error.http_status, ""))
    if found is None and _is_auth(error):
        found = _meaning("AuthenticationFailed")
    kind, what, hint = found or (LocationUnreachable, "Globus does not do what it was asked", None)
    got = f"{clean(error.message or error.http_reason, secrets)} ({code or 'no code'}, HTTP {error.http_status})"
    return kind(what, on=on, got=got, hint=hint)


def _meaning(code: str) -> tuple[Kind, str, str | None] | None:
    while code:
        if code in _BY_CODE:
            return _BY_CODE[code]
        code = code.rpartition(".")[0]
    return None


def _is_auth(error: GlobusAPIError) -> bool:
    from globus_sdk import AuthAPIError

    return isinstance(error, AuthAPIError) and error.http_status < 500 and error.http_status != 429


def clean(words: object, secrets: Sequence[str] = ()) -> str:
    """Words on one line, not too many, without secrets."""
    said = " ".join(str(words).split())[-500:]
    for secret in secrets:
        said = said.replace(secret, "***")
    return said


def of_task(code: str, words: str, *, on: str, task_id: str, hint: str | None = None) -> ColdchainError:
    """What the end of a task means, or what keeps it from its end."""
    kind, what = EVENTS.get(code, (LocationUnreachable, "it failed for a reason that we do not know"))
    got = f"{code or 'no code'}: {words or 'no events'}"
    return kind(f"a Globus task did not do its work: {what}", on=on, got=got, done=f"task {task_id}", hint=hint)


def plain(document: Any) -> dict[str, Any]:
    """An answer of the SDK as a dictionary."""
    return dict(document.data)
