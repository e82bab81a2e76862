"""The way to a bucket: a Prefect block's bucket and credentials, a client for old servers too, the one place of every request."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from coldchain.errors import ColdchainError, ConfigurationError, UnsafePathError
from coldchain.manifest import safe_name
from tasks.stores import blocks
from tasks.stores.s3_errors import Border, code_of

if TYPE_CHECKING:
    from coldchain.location import Location

LANES = 8
"""Requests under way at once, for files and for parts of large ones."""

LONGEST = 1024
"""Bytes of a key, at most."""

_UNWRITABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff]")
"""What a listing, which is XML, cannot hold."""


@dataclass(frozen=True)
class Connection:
    """A bucket, and the part of it that is the location's: keys that begin with `prefix`, which is empty or ends in ``/``."""

    location: str
    client: Any
    bucket: str
    prefix: str
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def key(self, path: str, name: str = "") -> str:
        """Key of a folder (which ends in ``/``) or of a file in it.

        Raises:
            UnsafePathError: it would leave the location, or cannot be written down.
        """
        key = f"{self.prefix}{safe_name(path)}/{name}"
        try:
            size = len(key.encode())
        except UnicodeEncodeError as error:
            raise UnsafePathError("a name is no text, and cannot be the key of an object", on=repr(name), hint="rename it") from error
        if _UNWRITABLE.search(key):
            raise UnsafePathError("a name has characters that an object's key cannot have", on=repr(name), hint="rename it")
        if size > LONGEST:
            raise ConfigurationError("a name is too long for a bucket", on=repr(name), expected=f"at most {LONGEST} bytes", got=size)
        return key

    def border(self, key: str = "", refused: type[ColdchainError] = ConfigurationError) -> Border:
        """A block in which what the server says of an object, or of the bucket, is translated."""
        return Border(
            f"{self.location}:{key.removeprefix(self.prefix)!r}" if key else f"{self.location}: bucket {self.bucket}", self.secrets, refused
        )

    def call(self, operation: str, refused: type[ColdchainError] = ConfigurationError, **parameters: Any) -> dict[str, Any]:
        """Make one request to the bucket."""
        with self.border(parameters.get("Key", ""), refused):
            answer: dict[str, Any] = getattr(self.client, operation)(Bucket=self.bucket, **parameters)
            return answer

    def ask(self, operation: str, none: set[str], **parameters: Any) -> dict[str, Any]:
        """Make a request to which some codes answer that there is nothing; gives nothing then."""
        from botocore.exceptions import ClientError

        with self.border(parameters.get("Key", "")):
            try:
                answer: dict[str, Any] = getattr(self.client, operation)(Bucket=self.bucket, **parameters)
            except ClientError as error:
                if code_of(error) in none:
                    return {}
                raise
        return answer

    @property
    def place(self) -> str:
        """Endpoint, bucket and prefix: where the bytes are, whatever the location is called."""
        return f"s3:{str(self.client.meta.endpoint_url).rstrip('/').lower()}/{self.bucket}/{self.prefix}"


def connect(location: Location, block: Any) -> Connection:
    """Connect with a block of the kind `prefect_aws.S3Bucket`; nothing is sent yet."""
    credentials = block.credentials
    parameters = credentials.aws_client_parameters.get_params_override()
    parameters["config"] = _config(bool(parameters.get("endpoint_url")), parameters.get("config"))
    if credentials.region_name or parameters.get("endpoint_url"):
        parameters["region_name"] = credentials.region_name or "us-east-1"
    with Border(f"{location.name}: bucket {block.bucket_name}", secrets_of(credentials)):
        client = credentials.get_boto3_session().client("s3", **parameters)
    return Connection(location.name, client, block.bucket_name, _prefix(block.bucket_folder, location), secrets_of(credentials))


def load(name: str) -> Any:
    """Load the bucket's block from the Prefect server.

    Raises:
        ConfigurationError: there is no such block.
        LocationUnreachable: the Prefect server does not answer.
    """
    from prefect_aws import S3Bucket

    return blocks.load(S3Bucket, name, "S3")


def secrets_of(credentials: Any) -> tuple[str, ...]:
    """Whatever of a credentials block must never be written down."""
    names = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token", "minio_root_user", "minio_root_password")
    found = (getattr(credentials, name, None) for name in names)
    return tuple(getattr(each, "get_secret_value", lambda each=each: each)() for each in found if each)


def _config(own_endpoint: bool, theirs: Any) -> Any:
    """Checksums only where S3 demands them (older Ceph refuses the others over TLS), patience with an end; the block's own settings win."""
    from botocore.config import Config

    ours = Config(
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        retries={"mode": "adaptive", "max_attempts": 6},
        connect_timeout=10,
        read_timeout=60,
        max_pool_connections=4 * LANES,
        tcp_keepalive=True,
        s3={"addressing_style": "path"} if own_endpoint else {},
    )
    return ours.merge(theirs) if theirs else ours


def _prefix(folder: str, location: Location) -> str:
    """Keys of a location begin with the block's folder and the location's root."""
    parts = [part.strip("/") for part in (folder, location.root)]
    path = "/".join(part for part in parts if part not in {"", "."})
    return f"{safe_name(path)}/" if path else ""
