"""The benches of the rclone engine: SFTP of a real sshd, WebDAV of a real server over a folder, and a bucket of a real Ceph."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from coldchain.location import Engine, Location, Medium
from coldchain.manifest import Manifest
from tasks.stores.rclone import RcloneStore
from tasks.stores.rclone_daemon import Daemon
from tests.contracts.bench_s3 import client_of
from tests.contracts.benches import FolderBench

PASSWORD = "correct-horse-battery"  # noqa: S105 - of a server that lives as long as a test
NAME_OF_BUCKET = "rclone"
FORTY = [f"{number:02}" for number in range(40)]

Open = Callable[..., RcloneStore]
"""Opens a store on a remote, at a root, with a configuration."""


def needs_rclone() -> None:
    """Skip the test where there is no rclone."""
    if shutil.which("rclone") is None:
        pytest.skip("no rclone on this machine: install the package rclone")


def rclone_place(remote: str, root: str, **more: Any) -> Location:
    """A location on a remote."""
    return Location(
        name="place", engine=Engine.RCLONE, root=root, rclone={"remote": remote}, medium=Medium.DISK, domain="cloud", site="away", **more
    )


def configured(folder: Path, **remotes: Mapping[str, str]) -> Path:
    """A configuration of rclone's; skips the test where there is no rclone."""
    needs_rclone()
    written = configparser.RawConfigParser()
    written.read_dict(remotes)
    with (folder / "rclone.conf").open("w") as file:
        written.write(file)
    return folder / "rclone.conf"


def put_rclone(store: RcloneStore, source: Path, path: str, names: list[str]) -> Manifest:
    """Put files under their name, with their manifest."""
    manifest = store.put(source, path, names)
    store.write_manifest(path, manifest)
    return manifest


class Box:
    """What all tests of the engine share: a configuration for each remote, its rclone, and a WebDAV server."""

    def __init__(self, folder: Path) -> None:
        """Start nothing yet."""
        self.folder, self._daemons, self._ends = folder, dict[str, Daemon](), ExitStack()

    def daemon(self, name: str, remote: Callable[[], Mapping[str, str]]) -> Daemon:
        """The rclone for a remote, which is described when it is first asked for."""
        if name not in self._daemons:
            needs_rclone()
            (self.folder / name).mkdir()
            self._daemons[name] = Daemon("place", configured(self.folder / name, **{name: remote()}))
            self._ends.callback(self._daemons[name].close)
        return self._daemons[name]

    @cached_property
    def webdav(self) -> str:
        """Address of a server of the folder `served`."""
        return self._ends.enter_context(serving(self.folder / "served"))

    def close(self) -> None:
        """End them."""
        self._ends.close()


def opened(request: pytest.FixtureRequest, config: Path, location: Location) -> RcloneStore:
    """A store that ends its rclone after the test."""
    store = RcloneStore(location, config)
    request.addfinalizer(store.close)
    return store


def sftp_of(config: Path) -> dict[str, str]:
    """The remote that reaches the host of an ssh configuration."""
    said = dict(line.split(maxsplit=1) for line in config.read_text().splitlines())
    return {
        "type": "sftp",
        "host": said["HostName"],
        "port": said["Port"],
        "user": said["User"],
        "key_file": said["IdentityFile"],
        "known_hosts_file": said["UserKnownHostsFile"],
        "shell_type": "unix",
        "disable_hashcheck": "true",
    }


def webdav_of(url: str, password: str = PASSWORD) -> dict[str, str]:
    """The remote that reaches a WebDAV server."""
    hidden = subprocess.run(["rclone", "obscure", "-"], input=password, capture_output=True, text=True, check=True).stdout.strip()
    return {"type": "webdav", "url": url, "vendor": "other", "user": "lab", "pass": hidden}


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve a folder by WebDAV on loopback; give its address."""
    needs_rclone()
    folder.mkdir(exist_ok=True)
    command = ["rclone", "serve", "webdav", str(folder), "--addr", "127.0.0.1:0", "--user", "lab", "--dir-cache-time", "0"]
    environment = {**os.environ, "RCLONE_PASS": PASSWORD}
    with subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as server:
        try:
            yield next(found[0] for line in server.stderr or () if (found := re.search(r"http://127\.0\.0\.1:\d+/", line)))
        finally:
            server.kill()


def _shared(request: pytest.FixtureRequest, remote: str, root: str, describe: Callable[[], Mapping[str, str]]) -> RcloneStore:
    box: Box = request.getfixturevalue("rclone_box")
    store = RcloneStore(rclone_place(remote, root))
    store._daemon = box.daemon(remote, describe)
    return store


def sftp(request: pytest.FixtureRequest, root: Path) -> FolderBench:
    """Make a location of a folder that is reached by SFTP."""
    return FolderBench(_shared(request, "far", str(root), lambda: sftp_of(request.getfixturevalue("sshd"))), root)


def webdav(request: pytest.FixtureRequest, _root: Path) -> FolderBench:
    """Make a location of a folder that is reached by WebDAV."""
    box, name = request.getfixturevalue("rclone_box"), f"lab-{uuid.uuid4().hex}"
    return FolderBench(_shared(request, "cloud", name, lambda: webdav_of(box.webdav)), box.folder / "served" / name)


class BucketBench:
    """A part of a bucket without versions."""

    def __init__(self, store: RcloneStore, client: Any, prefix: str) -> None:
        """Look at keys that begin with `prefix`, with another client."""
        self.store, self.client, self.prefix = store, client, prefix

    def tree(self, path: str = "") -> Mapping[str, bytes]:
        """See Bench."""
        return {name: self.client.get_object(Bucket=NAME_OF_BUCKET, Key=self._key(path, name))["Body"].read() for name in self.state(path)}

    def state(self, path: str) -> Mapping[str, Any]:
        """Times of the last writing."""
        found = self.client.list_objects_v2(Bucket=NAME_OF_BUCKET, Prefix=self._key(path, "")).get("Contents", [])
        return {each["Key"].removeprefix(self._key(path, "")): each["LastModified"] for each in found}

    def spoil(self, path: str, name: str, content: bytes) -> None:
        """See Bench."""
        self.client.put_object(Bucket=NAME_OF_BUCKET, Key=self._key(path, name), Body=content)

    def lose(self, path: str, name: str) -> None:
        """See Bench."""
        self.client.delete_object(Bucket=NAME_OF_BUCKET, Key=self._key(path, name))

    def _key(self, path: str, name: str) -> str:
        return f"{self.prefix}{path}/{name}" if path else self.prefix + name


def bucket(request: pytest.FixtureRequest, _root: Path) -> BucketBench:
    """Make a location below a prefix of its own, in a bucket that all tests share."""
    reach, name = request.getfixturevalue("ceph"), f"place-{uuid.uuid4().hex}"
    client = client_of(reach["endpoint"], reach["ca"], reach["access_key"], reach["secret_key"])
    if NAME_OF_BUCKET not in {each["Name"] for each in client.list_buckets()["Buckets"]}:
        client.create_bucket(Bucket=NAME_OF_BUCKET)
    request.getfixturevalue("monkeypatch").setenv("RCLONE_CA_CERT", reach["ca"])
    request.getfixturevalue("monkeypatch").setenv("AWS_CA_BUNDLE", reach["ca"])  # for others on this machine: rclone must not see it
    store = _shared(request, "bucket", f"{NAME_OF_BUCKET}/{name}", lambda: s3_of(reach))
    return BucketBench(store, client, f"{name}/")


def s3_of(reach: Mapping[str, str]) -> dict[str, str]:
    """The remote that reaches a Ceph."""
    return {
        "type": "s3",
        "provider": "Ceph",
        "endpoint": reach["endpoint"],
        "access_key_id": reach["access_key"],
        "secret_access_key": reach["secret_key"],
        "no_check_bucket": "true",
    }
