"""The bench of the S3 engine: a part of a bucket of a real Ceph RADOS Gateway, and a client of our own that looks past the engine."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from coldchain.location import Engine, Location, Medium
from tasks.stores.s3 import S3Store
from tasks.stores.s3_connection import Connection, connect


def block(reach: Mapping[str, str], bucket: str, **client: Any) -> Any:
    """A bucket's block, as an engineer fills it in, which no Prefect server has."""
    from prefect_aws import AwsClientParameters, AwsCredentials, S3Bucket

    trusted = {"verify": True, "verify_cert_path": reach["ca"]} if reach.get("ca") else {}
    return S3Bucket(
        bucket_name=bucket,
        bucket_folder="lab",
        credentials=AwsCredentials(
            aws_access_key_id=reach["access_key"],
            aws_secret_access_key=reach["secret_key"],
            region_name="us-east-1",
            aws_client_parameters=AwsClientParameters(endpoint_url=reach.get("endpoint"), **trusted, **client),
        ),
    )


def s3_place(root: str = "cold", storage_class: str = "", **more: Any) -> Location:
    """A location in a bucket."""
    described = {"block": "cold", "storage_class": storage_class}
    return Location(name="place", engine=Engine.S3, root=root, s3=described, medium=Medium.OBJECT, domain="cloud", site="away", **more)


class S3Bench:
    """A location below a prefix of its own."""

    def __init__(self, store: S3Store, client: Any, bucket: str) -> None:
        """Look at the store's part of the bucket with another client."""
        self.store, self.client, self.bucket = store, client, bucket

    @property
    def prefix(self) -> str:
        """What the location's keys begin with."""
        return f"lab/{self.store.location.root}/"

    def versions(self, path: str = "", *, markers: bool = False) -> list[dict[str, Any]]:
        """Every version, or every delete marker, below a folder; there are fewer than a page of them."""
        found = self.client.list_object_versions(Bucket=self.bucket, Prefix=self._under(path))
        return list(found.get("DeleteMarkers" if markers else "Versions", []))

    def tree(self, path: str = "") -> Mapping[str, bytes]:
        """See Bench."""
        return {name: self.client.get_object(Bucket=self.bucket, Key=self._under(path) + name)["Body"].read() for name in self.state(path)}

    def state(self, path: str) -> Mapping[str, Any]:
        """Current versions."""
        under = self._under(path)
        return {each["Key"].removeprefix(under): each["VersionId"] for each in self.versions(path) if each["IsLatest"]}

    def spoil(self, path: str, name: str, content: bytes) -> None:
        """See Bench."""
        self.client.put_object(Bucket=self.bucket, Key=self._under(path) + name, Body=content)

    def lose(self, path: str, name: str) -> None:
        """See Bench."""
        self.client.delete_object(Bucket=self.bucket, Key=self._under(path) + name)

    def _under(self, path: str) -> str:
        return f"{self.prefix}{path}/" if path else self.prefix


def s3(request: pytest.FixtureRequest, _root: object) -> S3Bench:
    """Make a location below a prefix of its own, in a bucket that all tests share."""
    return bench_of(request.getfixturevalue("ceph"), s3_place(f"place-{uuid.uuid4().hex}"))


def bench_of(reach: Mapping[str, str], location: Location, *, lock: bool = False) -> S3Bench:
    """A bench on a Ceph, in the bucket for locks or in the other; stores share a client, which takes long to make."""
    bucket = "locks" if lock else "plain"
    values = tuple(reach[name] for name in ("endpoint", "ca", "access_key", "secret_key"))
    client = client_of(*values)
    if bucket not in {each["Name"] for each in client.list_buckets()["Buckets"]}:
        client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=lock)
    store = S3Store(location, lambda: block(reach, bucket))
    store.conn = replace(connection(bucket, *values), location=location.name, prefix=f"lab/{location.root}/")
    return S3Bench(store, client, bucket)


@cache
def connection(bucket: str, *values: str) -> Connection:
    """The engine's own connection."""
    return connect(s3_place("x"), block(dict(zip(("endpoint", "ca", "access_key", "secret_key"), values, strict=True)), bucket))


@cache
def client_of(endpoint: str, ca: str, key: str, secret: str) -> Any:
    """A client of our own."""
    import boto3
    from botocore.config import Config

    config = Config(
        request_checksum_calculation="when_required", response_checksum_validation="when_required", s3={"addressing_style": "path"}
    )
    login = {"aws_access_key_id": key, "aws_secret_access_key": secret, "region_name": "us-east-1"}
    return boto3.client("s3", endpoint_url=endpoint, verify=ca, config=config, **login)
