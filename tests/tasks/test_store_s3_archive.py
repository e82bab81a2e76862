"""Storage classes and recalls, on moto: Ceph has neither Glacier nor a wait."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from coldchain.errors import ConfigurationError, LocationUnreachable, NotReadableYet, TransientError
from coldchain.manifest import MANIFEST
from coldchain.store import TRASH, Recalled
from tasks.stores import s3_download, s3_lanes, s3_upload
from tasks.stores.s3 import S3Store
from tests.contracts.bench_s3 import S3Bench, block, s3_place
from tests.contracts.benches import MANIFEST_OF_ALL, NAMES, source_in
from tests.contracts.s3_faults import instead

THEIRS = {"ID": "theirs", "Status": "Enabled", "Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 7}}


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[S3Bench]:
    """A copy of three files at a location whose files go to the deep archive; a recall takes as long as the test wants."""
    from moto import mock_aws
    from moto.moto_api import state_manager

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    state_manager.set_transition("s3::keyrestore", {"progression": "manual", "times": 2})
    with mock_aws():
        made = store_of("DEEP_ARCHIVE")
        made.conn.client.create_bucket(Bucket="bucket")
        made.register()
        made.write_manifest("data", made.put(source_in(tmp_path / "source"), "data", NAMES))
        yield S3Bench(made, made.conn.client, "bucket")
    state_manager.unset_transition("s3::keyrestore")


def store_of(storage_class: str, root: str = "cold") -> S3Store:
    """A location of the bucket."""
    return S3Store(s3_place(root, storage_class), lambda: block({"access_key": "k" * 20, "secret_key": "s" * 40}, "bucket"))


def rules(bench: S3Bench) -> list[dict[str, Any]]:
    """The bucket's lifecycle rules."""
    return list(bench.client.get_bucket_lifecycle_configuration(Bucket="bucket")["Rules"])


def a_night_passes(bench: S3Bench) -> None:
    """The bucket moves what its rules say, as AWS does once a day and moto never."""
    from moto.s3.models import s3_backends

    for each in bench.versions():
        key = {"Bucket": "bucket", "Key": each["Key"], "VersionId": each["VersionId"]}
        tags = {(tag["Key"], tag["Value"]) for tag in bench.client.get_object_tagging(**key)["TagSet"]}
        for rule in rules(bench):
            said = rule["Filter"].get("And", {})
            wanted = {(tag["Key"], tag["Value"]) for tag in said.get("Tags", [])}
            if rule.get("Transitions") and each["Key"].startswith(said["Prefix"]) and wanted <= tags:
                stored = s3_backends["123456789012"]["aws"].get_object("bucket", each["Key"], version_id=each["VersionId"])
                stored.set_storage_class(rule["Transitions"][0]["StorageClass"])


def classes(bench: S3Bench) -> dict[str, str]:
    """Storage class of each file."""
    return {each["Key"].removeprefix(f"{bench.prefix}data/"): each["StorageClass"] for each in bench.versions("data")}


def test_a_service_that_knows_sha256_is_asked(bench: S3Bench, tmp_path: Path) -> None:
    """Where the service's own digest is another than the one that was noted with the object, it is sent again; else it is not."""
    before = bench.state("data")
    bench.store.put(tmp_path / "source", "data", NAMES)
    assert bench.state("data") == before
    said = {"Metadata": {"coldchain-sha256": MANIFEST_OF_ALL.entries["a.tif"]}, "ChecksumAlgorithm": "SHA256"}
    bench.client.put_object(Bucket="bucket", Key=f"{bench.prefix}data/a.tif", Body=b"b" * 5000, **said)
    bench.store.put(tmp_path / "source", "data", NAMES)
    assert bench.store.read_back("data") == MANIFEST_OF_ALL


def test_parts_have_their_digests(bench: S3Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that knows SHA-256 gets one for each part, and for the whole; a file that stands is not sent again."""
    for module in (s3_lanes, s3_upload, s3_download):
        monkeypatch.setattr(module, "PART", 5 << 20)
    (tmp_path / "large").mkdir()
    (tmp_path / "large" / "plate").write_bytes(b"x" * (11 << 20))
    asked: list[str] = []
    store = instead(bench.store, upload_part=lambda real, **given: asked.append(given["ChecksumSHA256"]) or real(**given))
    for _again in range(2):
        manifest = store.put(tmp_path / "large", "large", ["plate"])
    assert store.read_back("large") == manifest
    assert len(asked) == 3
    assert "ChecksumSHA256" in bench.client.head_object(Bucket="bucket", Key=f"{bench.prefix}large/plate", ChecksumMode="ENABLED")


class TestRules:
    """The bucket's own lifecycle does the moving."""

    def test_others_rules_stay(self, bench: S3Bench) -> None:
        """Ours is added, is not added again, follows the site file, and goes when the site names no class any more."""
        bench.client.put_bucket_lifecycle_configuration(Bucket="bucket", LifecycleConfiguration={"Rules": [THEIRS]})
        for _again in range(2):
            bench.store.register()
            assert [rule["ID"] for rule in rules(bench)] == ["theirs", "coldchain lab/cold/"]
        store_of("GLACIER").register()
        assert [rule["Transitions"][0]["StorageClass"] for rule in rules(bench)[1:]] == ["GLACIER"]
        store_of("GLACIER", "other").register()
        assert len(rules(bench)) == 3
        store_of("").register()
        assert [rule["ID"] for rule in rules(bench)] == ["theirs", "coldchain lab/other/"]
        assert rules(bench)[0]["Expiration"] == {"Days": 7}

    def test_the_last_rule_goes_too(self, bench: S3Bench) -> None:
        """A bucket without rules has none at all."""
        store_of("").register()
        with pytest.raises(bench.client.exceptions.ClientError, match="NoSuchLifecycleConfiguration"):
            rules(bench)

    def test_rules_are_not_written_where_they_stand(self, bench: S3Bench) -> None:
        """Registering again asks only."""
        written: list[object] = []
        instead(bench.store, put_bucket_lifecycle_configuration=lambda *_, **given: written.append(given)).register()
        assert written == []


class TestArchive:
    """What was read back goes into the archive, and comes back when it is called for."""

    def test_only_what_was_read_back_is_moved(self, bench: S3Bench) -> None:
        """The very objects, after `protect`, which follows the reading; the manifest and notes never."""
        bench.store.annotate("data", "README.md", b"x")
        a_night_passes(bench)
        assert set(classes(bench).values()) == {"STANDARD"}
        before = bench.state("data")
        bench.store.protect("data")
        a_night_passes(bench)
        assert classes(bench) == dict.fromkeys(NAMES, "DEEP_ARCHIVE") | {MANIFEST: "STANDARD"}
        assert bench.state("data") == before
        assert {each["StorageClass"] for each in bench.versions() if each["Key"].endswith("README.md")} == {"STANDARD"}

    def test_what_is_archived_cannot_be_read(self, bench: S3Bench, tmp_path: Path) -> None:
        """That may pass, and says nothing of its bytes; what stands there can be told all the same."""
        bench.store.protect("data")
        a_night_passes(bench)
        for call in (lambda: bench.store.read_back("data"), lambda: bench.store.get("data", tmp_path / "out", NAMES)):
            with pytest.raises(NotReadableYet, match="recalled"):
                call()
        assert issubclass(NotReadableYet, TransientError)
        assert bench.store.exists("data")
        assert bench.store.names("data") == NAMES
        assert bench.store.manifest("data") == MANIFEST_OF_ALL.text

    def test_a_recall_takes_its_time(self, bench: S3Bench) -> None:
        """It is asked for once, may be asked for again, and then read as before."""
        bench.store.protect("data")
        a_night_passes(bench)
        assert bench.store.recalled("data") == Recalled(4, 1)
        bench.store.recall("data", 2)
        bench.store.recall("data", 2)
        looks = [bench.store.recalled("data").readable for _ in range(4)]
        assert looks == sorted(looks)
        assert looks[0] == 1
        assert bench.store.recalled("data").all
        assert bench.store.read_back("data") == MANIFEST_OF_ALL

    @pytest.mark.parametrize(("code", "status"), [("RestoreAlreadyInProgress", 409), ("SlowDown", 503), ("NotImplemented", 501)])
    def test_what_the_archive_says(self, bench: S3Bench, code: str, status: int) -> None:
        """That it is on its way already is fine; other refusals are not."""
        bench.store.protect("data")
        a_night_passes(bench)

        def said(_real: object, **_given: object) -> None:
            raise ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "RestoreObject")

        store = instead(bench.store, restore_object=said)
        if status == 409:
            store.recall("data", 2)
        else:
            with pytest.raises(LocationUnreachable if status == 503 else ConfigurationError, match=code):
                store.recall("data", 2)

    def test_what_is_not_archived_needs_no_recall(self, bench: S3Bench) -> None:
        """Nothing is asked for."""
        bench.store.recall("data", 2)
        assert bench.store.recalled("data").all

    def test_it_leaves_the_archive_by_the_trash(self, bench: S3Bench) -> None:
        """What is archived is set aside, brought back and removed without a recall."""
        bench.store.protect("data")
        a_night_passes(bench)
        waste = f"{TRASH}1-abc"
        bench.store.set_aside("data", waste)
        assert bench.store.recalled(waste) == Recalled(4, 1)
        bench.store.set_aside(waste, "data")
        bench.store.set_aside("data", waste)
        bench.store.destroy(waste)
        assert bench.versions("data") == []

    def test_tags_of_ours_stay(self, bench: S3Bench) -> None:
        """The digest of a file that went up in parts is a tag too, and is kept."""
        key = {"Bucket": "bucket", "Key": f"{bench.prefix}data/a.tif"}
        bench.client.put_object_tagging(**key, Tagging={"TagSet": [{"Key": "coldchain-sha256", "Value": "abc"}]})
        bench.store.protect("data")
        assert {tag["Key"] for tag in bench.client.get_object_tagging(**key)["TagSet"]} == {"coldchain-sha256", "coldchain-read-back"}
