"""What a bucket's server, botocore and the network say, in the product's words: the one border for S3.

A message names the server's code and its own words, with every secret of the connection and every signed address taken out: of the
exception that is the cause, too, because a traceback prints it.
"""

from __future__ import annotations

import re
from types import TracebackType
from typing import TYPE_CHECKING

from coldchain.errors import (
    ColdchainError,
    ConfigurationError,
    IntegrityError,
    LocationUnreachable,
    NotReadableYet,
    OutOfSpace,
    RemovalRefused,
    UnsafePathError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from botocore.exceptions import ClientError


class NotThere(IntegrityError):
    """No such object, or no such version of it."""


CREDENTIALS = "look at the credentials block: key, secret, its rights on this bucket"
NETWORK = "is the endpoint right, and does it answer? What is whole stays where it is; start again"

_CODES: dict[str, tuple[type[ColdchainError], str, str]] = {
    **dict.fromkeys(("NoSuchKey", "NoSuchVersion", "404"), (NotThere, "a file is missing", "")),
    "NoSuchBucket": (LocationUnreachable, "there is no such bucket", "make it, or name another in the block"),
    **dict.fromkeys(
        (
            "InvalidAccessKeyId",
            "SignatureDoesNotMatch",
            "ExpiredToken",
            "InvalidToken",
            "TokenRefreshRequired",
            "AuthorizationHeaderMalformed",
        ),
        (ConfigurationError, "the bucket does not know these credentials", CREDENTIALS),
    ),
    "RequestTimeTooSkewed": (ConfigurationError, "this machine's clock is not the server's", "set the clocks by NTP"),
    **dict.fromkeys(
        ("InvalidObjectState", "ObjectNotInActiveTierError"),
        (NotReadableYet, "a file is in the archive, and cannot be read yet", "it has to be recalled first"),
    ),
    **dict.fromkeys(
        ("BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch"),
        (
            IntegrityError,
            "bytes changed on their way to the bucket",
            "start again; if it happens again, look at the network and the memory",
        ),
    ),
    **dict.fromkeys(
        ("QuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "InsufficientStorage", "507"),
        (OutOfSpace, "the bucket is full", "raise its quota, or make room"),
    ),
    **dict.fromkeys(
        ("EntityTooLarge", "KeyTooLongError"),
        (ConfigurationError, "the bucket does not take a file of this size or name", "see the server's limits"),
    ),
    **dict.fromkeys(
        ("SlowDown", "RequestTimeout", "Throttling", "ThrottlingException", "RequestLimitExceeded", "OperationAborted", "IncompleteBody"),
        (LocationUnreachable, "the bucket does not answer in time", "start again later"),
    ),
    "NoSuchUpload": (LocationUnreachable, "somebody ended an upload", "start again"),
}
_REFUSED = {"AccessDenied", "403", "Forbidden", "MethodNotAllowed", "ObjectLocked", "AllAccessDisabled"}


class Border:
    """A block in which whatever S3, botocore and the network say is translated; other errors pass."""

    __slots__ = ("on", "refused", "secrets")

    def __init__(self, on: str, secrets: Iterable[str] = (), refused: type[ColdchainError] = ConfigurationError) -> None:
        """Name the object; `refused` is what it means where the server says no to this user."""
        self.on, self.secrets, self.refused = on, tuple(secrets), refused

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Translate."""
        if isinstance(error, Exception) and not isinstance(error, ColdchainError):
            raise translated(error, self.on, self.secrets, self.refused) from error


def translated(
    error: Exception, on: str, secrets: Iterable[str] = (), refused: type[ColdchainError] = ConfigurationError
) -> ColdchainError:
    """Give the error of ours that a foreign one is; its own text is cleaned of secrets on the way."""
    from botocore.exceptions import ClientError

    error.args = tuple(clean(str(part), secrets) for part in error.args)
    said = clean(str(error), secrets)
    if isinstance(error, ClientError):
        kind, what, hint = _by_code(error, refused)
    else:
        kind, what, hint = _by_kind(error)
    return kind(what, on=on, got=said, hint=hint or None)


def clean(text: str, secrets: Iterable[str]) -> str:
    """Take out what must not be written down: secrets, signatures and tokens in headers, and what follows a `?` in an address."""
    for secret in secrets:
        text = text.replace(secret, "***")
    text = re.sub(r"(\w+://[^\s?\"'<>]*)\?[^\s\"'<>]*", r"\1?***", text)
    return re.sub(r"(?i)((?:x-amz-)?(?:signature|credential|security-token)\s*[=:]\s*|AWS4-HMAC-SHA256\s+)[^\s,&\"'<>]+", r"\1***", text)


def code_of(error: ClientError) -> str:
    """The server's code of an error."""
    return str(error.response.get("Error", {}).get("Code", ""))


def by_code(code: str, refused: type[ColdchainError] = RemovalRefused) -> type[ColdchainError]:
    """Kind of error that a code in the answer to a request for many objects is."""
    if code in _REFUSED:
        return refused
    return _CODES[code][0] if code in _CODES else LocationUnreachable


def _by_code(error: ClientError, refused: type[ColdchainError]) -> tuple[type[ColdchainError], str, str]:
    code, status = code_of(error), int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0)
    if code in _CODES:
        return _CODES[code]
    if code in _REFUSED or status == 403:
        return refused, "the bucket refuses this user", CREDENTIALS if refused is ConfigurationError else "a lock, or this user's rights"
    if status in {408, 429} or (status >= 500 and status != 501):
        return LocationUnreachable, "the bucket does not answer as it should", "start again later"
    return ConfigurationError, "the bucket does not do what it was asked", "does this server know that part of S3?"


def _by_kind(error: Exception) -> tuple[type[ColdchainError], str, str]:
    """Sort what is no answer of the server; what nobody thought of is for a person to look at."""
    from botocore import exceptions as boto
    from botocore.parsers import ResponseParserError
    from urllib3.exceptions import HTTPError

    if isinstance(error, boto.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
        return (
            ConfigurationError,
            "the endpoint's certificate is not trusted",
            "name its authority's file in the block (verify_cert_path), with verify on",
        )
    if isinstance(error, boto.FlexibleChecksumError | boto.ChecksumError):
        return IntegrityError, "bytes changed on their way from the bucket", "read it again"
    lost = (
        boto.HTTPClientError,
        boto.ConnectionError,
        boto.ReadTimeoutError,
        boto.IncompleteReadError,
        boto.MetadataRetrievalError,
        boto.CapacityNotAvailableError,
    )
    if isinstance(error, (*lost, ResponseParserError, HTTPError, OSError)):
        return LocationUnreachable, "the bucket cannot be reached", NETWORK
    if isinstance(error, UnicodeError):
        return UnsafePathError, "a name cannot be the key of an object", "rename it"
    if isinstance(error, boto.NoCredentialsError | boto.PartialCredentialsError | boto.CredentialRetrievalError | boto.TokenRetrievalError):
        return ConfigurationError, "there are no credentials for the bucket", CREDENTIALS
    return ConfigurationError, "the request cannot be made", "look at the blocks: endpoint, region, client parameters"
