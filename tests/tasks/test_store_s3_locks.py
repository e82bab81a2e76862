"""Object Lock: on a real Ceph, which keeps its locks, and on moto and clients of ours, which do not in one way each."""

from __future__ import annotations

import datetime as dt
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from coldchain.errors import ConfigurationError, LocationUnreachable, ProtectionError, RemovalRefused
from coldchain.manifest import MANIFEST
from coldchain.store import TRASH, Protection
from tasks.stores import s3_lock, s3_removal
from tasks.stores.s3 import S3Store
from tests.contracts.bench_s3 import S3Bench, bench_of, block, s3_place
from tests.contracts.benches import MANIFEST_OF_ALL, NAMES, source_in
from tests.contracts.s3_faults import Asked, instead

WASTE = f"{TRASH}1-abc"


def soon(**parts: float) -> dt.datetime:
    """A moment from now on, never whole seconds."""
    return (dt.datetime.now(dt.UTC) + dt.timedelta(**(parts or {"minutes": 10}))).replace(microsecond=1)


@pytest.fixture
def bench(ceph: Mapping[str, str], tmp_path: Path) -> S3Bench:
    """A copy of three files at a location with locks."""
    made = bench_of(ceph, s3_place(f"place-{uuid.uuid4().hex}", protection=Protection.OBJECT_LOCK), lock=True)
    made.store.register()
    made.store.write_manifest("data", made.store.put(source_in(tmp_path / "source"), "data", NAMES))
    return made


def locks(bench: S3Bench, path: str = "data") -> dict[str, dt.datetime | None]:
    """Until when each current version is locked in compliance mode."""
    found = {}
    for name, version in bench.state(path).items():
        head = bench.client.head_object(Bucket=bench.bucket, Key=f"{bench.prefix}{path}/{name}", VersionId=version)
        found[name] = head["ObjectLockRetainUntilDate"] if head.get("ObjectLockMode") == "COMPLIANCE" else None
    return found


class TestOnCeph:
    """What a real server keeps."""

    def test_every_version_is_locked(self, bench: S3Bench) -> None:
        """Files and manifest, up to the whole second after the moment that was asked for; canaries could not be broken."""
        until = soon()
        probe = bench.store.protect("data", until)
        assert (probe.method, probe.holes, probe.in_force) == ("object_lock", (), True)
        assert locks(bench) == dict.fromkeys([*NAMES, MANIFEST], s3_lock.whole_seconds(until))
        assert s3_lock.whole_seconds(until) > until

    def test_again_is_nothing(self, bench: S3Bench) -> None:
        """What is locked as long is not asked for again; a later end is set, an earlier one is not."""
        until, asked = soon(), Asked()
        bench.store.protect("data", until)
        store = instead(bench.store, every=asked)
        store._probe = bench.store._probe
        store.protect("data", until)
        store.protect("data", until - dt.timedelta(minutes=5))
        assert asked.count("put_object_retention") == 0
        store.protect("data", until + dt.timedelta(minutes=1))
        assert set(locks(bench).values()) == {s3_lock.whole_seconds(until) + dt.timedelta(minutes=1)}

    def test_a_bucket_is_probed_once_a_day(self, bench: S3Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        """Canaries are locked for the first copy, and not for each."""
        probes = []
        monkeypatch.setattr(s3_lock, "probe", lambda conn, real=s3_lock.probe: probes.append(1) or real(conn))
        for _again in range(3):
            assert bench.store.protect("data", soon()).in_force
        assert len(probes) == 1
        at, found = bench.store._probe
        bench.store._probe = (at - dt.timedelta(hours=25), found)
        bench.store.protect("data", soon())
        assert len(probes) == 2

    @pytest.mark.parametrize("until", [None, dt.datetime(2020, 1, 1, tzinfo=dt.UTC)])
    def test_what_may_go_is_not_locked(self, bench: S3Bench, until: dt.datetime | None) -> None:
        """Without an end in the future nothing is locked, and nothing is said to be."""
        assert not bench.store.protect("data", until).in_force
        assert set(locks(bench).values()) == {None}

    def test_a_location_without_protection_locks_nothing(self, bench: S3Bench) -> None:
        """Though its bucket could."""
        store = S3Store(s3_place(bench.store.location.root))
        store.conn = bench.store.conn
        assert not store.protect("data", soon()).in_force
        assert set(locks(bench).values()) == {None}

    def test_what_is_locked_is_not_destroyed(self, bench: S3Bench) -> None:
        """It can be set aside and comes back; to empty the trash of it is refused before anything went, however few of it are locked."""
        key = f"{bench.prefix}data/a.tif"
        s3_lock.lock(bench.store.conn, [each for each in _current(bench) if each.key == key], soon())
        bench.store.set_aside("data", WASTE)
        with pytest.raises(RemovalRefused, match=r"1 of 5.*a\.tif"):
            bench.store.destroy(WASTE)
        assert bench.store.read_back(WASTE) == MANIFEST_OF_ALL
        bench.store.set_aside(WASTE, "data")
        assert bench.store.read_back("data") == MANIFEST_OF_ALL
        assert locks(bench)["a.tif"] is not None

    def test_a_lock_that_came_in_between_is_a_refusal(self, bench: S3Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        """What the server refuses is said, and not taken for a success: its answer to a removal of many is 200."""
        bench.store.set_aside("data", WASTE)
        monkeypatch.setattr(s3_removal, "locked", lambda *_: [])
        s3_lock.lock(bench.store.conn, [each for each in _all(bench) if each.key.endswith("a.tif")], soon())
        with pytest.raises(RemovalRefused, match="refuses a removal"):
            bench.store.destroy(WASTE)
        assert bench.store.names(WASTE) == ["a.tif"]

    def test_a_legal_hold_keeps_too(self, bench: S3Bench) -> None:
        """One that somebody set on the bucket's own side."""
        version = bench.state("data")["empty"]
        hold = {"Bucket": bench.bucket, "Key": f"{bench.prefix}data/empty", "VersionId": version}
        bench.client.put_object_legal_hold(**hold, LegalHold={"Status": "ON"})
        bench.store.set_aside("data", WASTE)
        with pytest.raises(RemovalRefused):
            bench.store.destroy(WASTE)
        assert bench.store.read_back(WASTE) == MANIFEST_OF_ALL
        bench.client.put_object_legal_hold(**hold, LegalHold={"Status": "OFF"})
        bench.store.destroy(WASTE)
        assert bench.versions("data") == []

    def test_what_is_locked_is_hidden_where_a_folder_is_emptied(self, bench: S3Bench) -> None:
        """Staging that was locked does not stand any more; what was not locked is gone."""
        s3_lock.lock(bench.store.conn, [each for each in _current(bench) if not each.key.endswith("a.tif")], soon())
        bench.store.delete("data")
        assert bench.store.names("data") == []
        assert not bench.store.exists("data")
        assert sorted(each["Key"].removeprefix(f"{bench.prefix}data/") for each in bench.versions("data")) == [MANIFEST, *NAMES[1:]]

    def test_old_canaries_are_removed(self, bench: S3Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        """A probe takes away what earlier ones left, as soon as it is not locked any more."""
        monkeypatch.setattr(s3_lock, "LOCKED", dt.timedelta(seconds=10))
        s3_lock.probe(bench.store.conn)
        assert len(bench.versions(s3_lock.CANARIES)) == 4
        left = {each["VersionId"] for each in bench.versions(s3_lock.CANARIES)}
        time.sleep(11)
        s3_lock.probe(bench.store.conn)
        assert not left & {each["VersionId"] for each in bench.versions(s3_lock.CANARIES)}

    def test_a_bucket_without_locks_is_not_registered(self, ceph: Mapping[str, str]) -> None:
        """Object Lock is turned on when a bucket is made, so that an engineer has to know at once."""
        plain = bench_of(ceph, s3_place(f"place-{uuid.uuid4().hex}", protection=Protection.OBJECT_LOCK))
        with pytest.raises(ConfigurationError, match="no Object Lock"):
            plain.store.register()

    def test_there_is_a_last_day(self) -> None:
        """A moment at the end of the calendar is not beyond it."""
        assert s3_lock.whole_seconds(dt.datetime.max.replace(tzinfo=dt.UTC)) == s3_lock.LAST


def _current(bench: S3Bench) -> list[Any]:
    return [each for each in _all(bench) if each.current]


def _all(bench: S3Bench) -> list[Any]:
    from tasks.stores.s3_listing import versions

    return [each for each in versions(bench.store.conn, f"{bench.prefix}data/") if not each.marker]


# --- servers that do not keep what they promise


@pytest.fixture
def weak(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[S3Bench]:
    """A copy in moto's S3, in this process: it refuses to delete what is locked, and lets a lock be shortened."""
    from moto import mock_aws

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        store = S3Store(
            s3_place(protection=Protection.OBJECT_LOCK), lambda: block({"access_key": "k" * 20, "secret_key": "s" * 40}, "locks")
        )
        store.conn.client.create_bucket(Bucket="locks", ObjectLockEnabledForBucket=True)
        store.register()
        store.write_manifest("data", store.put(source_in(tmp_path / "source"), "data", NAMES))
        yield S3Bench(store, store.conn.client, "locks")


def strict(real: Callable[..., Any], **given: Any) -> Any:
    """Refuse to shorten a lock, as moto does not."""
    from botocore.exceptions import ClientError

    head = real.__self__.head_object(Bucket=given["Bucket"], Key=given["Key"], VersionId=given["VersionId"])
    if head.get("ObjectLockRetainUntilDate") and head["ObjectLockRetainUntilDate"] > given["Retention"]["RetainUntilDate"]:
        raise ClientError({"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {"HTTPStatusCode": 403}}, "PutObjectRetention")
    return real(**given)


def unlocked(given: Mapping[str, Any]) -> None:
    """Take a lock away behind the server's interface."""
    from moto.s3.models import s3_backends

    for key in s3_backends["123456789012"]["aws"].buckets[given["Bucket"]].keys.getlist(given["Key"]):
        key.lock_mode = key.lock_until = None


def deletes_anyway(real: Callable[..., Any], **given: Any) -> Any:
    """Say yes, and delete."""
    unlocked(given)
    return real(**given)


def deletes_and_denies(real: Callable[..., Any], **given: Any) -> Any:
    """Say no, and delete."""
    from botocore.exceptions import ClientError

    unlocked(given)
    real(**given)
    raise ClientError({"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {"HTTPStatusCode": 403}}, "DeleteObject")


def overwrites(real: Callable[..., Any], **given: Any) -> Any:
    """Write over what is there, too."""
    from moto.s3.models import s3_backends

    answer = real(**given)
    for key in s3_backends["123456789012"]["aws"].buckets[given["Bucket"]].keys.getlist(given["Key"]):
        key.value = given["Body"]
    return answer


def takes_and_forgets(_real: object, **_given: Any) -> Any:
    """Say yes, and do nothing."""
    return {"ResponseMetadata": {"HTTPStatusCode": 200}}


HOLES = {
    "shortens": ({}, "shorten a lock (small), shorten a lock (in parts)"),
    "deletes anyway": ({"put_object_retention": strict, "delete_object": deletes_anyway}, "delete a locked version (small)"),
    "deletes and says no": ({"put_object_retention": strict, "delete_object": deletes_and_denies}, "delete a locked version (in parts)"),
    "says yes and keeps": ({"put_object_retention": strict, "delete_object": takes_and_forgets}, "delete a locked version (small)"),
    "overwrites": ({"put_object_retention": strict, "put_object": overwrites}, "overwrite a locked version (small)"),
    "forgets": ({"put_object_retention": takes_and_forgets}, "have a lock taken and not set (small)"),
}


class TestWeakServers:
    """A server that accepts a lock and does not keep it is found out by the probe, before any data relies on it."""

    def test_one_that_keeps_its_locks_has_no_holes(self, weak: S3Bench) -> None:
        """The probe finds nothing where nothing is."""
        assert s3_lock.probe(instead(weak.store, put_object_retention=strict).conn).holes == ()

    @pytest.mark.parametrize("way", HOLES)
    def test_holes(self, weak: S3Bench, way: str) -> None:
        """What could be done is named; the copy is not said to be protected, and is not locked."""
        operations, hole = HOLES[way]
        store = instead(weak.store, **operations)
        probe = s3_lock.probe(store.conn)
        assert hole in ", ".join(probe.holes)
        assert not probe.in_force
        with pytest.raises(ProtectionError, match=hole.split("(")[0]):
            store.protect("data", soon())
        assert set(locks(weak).values()) == {None}

    def test_a_lock_that_some_data_do_not_get(self, weak: S3Bench) -> None:
        """Canaries may be locked and a file not: each version is looked at."""

        def forgets_some(real: Callable[..., Any], **given: Any) -> Any:
            return takes_and_forgets(real) if given["Key"].endswith("a.tif") else strict(real, **given)

        with pytest.raises(ProtectionError, match=r"a\.tif"):
            instead(weak.store, put_object_retention=forgets_some).protect("data", soon())

    def test_governance_mode_is_no_lock(self, weak: S3Bench) -> None:
        """A lock that its owner may lift is replaced by one that nobody may."""
        key = {"Bucket": "locks", "Key": f"{weak.prefix}data/a.tif"}
        weak.client.put_object_retention(**key, Retention={"Mode": "GOVERNANCE", "RetainUntilDate": soon(days=3650)})
        instead(weak.store, put_object_retention=strict_on_canaries).protect("data", soon())
        assert None not in locks(weak).values()

    def test_a_server_that_fails_has_not_refused(self, weak: S3Bench) -> None:
        """An error of the server's is no proof: the probe says that it could not be made."""

        def busy(_real: object, **_given: Any) -> Any:
            from botocore.exceptions import ClientError

            raise ClientError({"Error": {"Code": "SlowDown"}, "ResponseMetadata": {"HTTPStatusCode": 503}}, "DeleteObject")

        with pytest.raises(LocationUnreachable):
            s3_lock.probe(instead(weak.store, put_object_retention=strict, delete_object=busy).conn)


def strict_on_canaries(real: Callable[..., Any], **given: Any) -> Any:
    """Refuse to shorten the locks of canaries only."""
    return strict(real, **given) if s3_lock.CANARIES in given["Key"] else real(**given)
