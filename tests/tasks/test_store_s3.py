"""What only the S3 engine shows, on a real Ceph: names, parts, pointers, lies, cut lines, and that secrets stay secret."""

from __future__ import annotations

import datetime as dt
import hashlib
import threading
import traceback
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import botocore.exceptions
import pytest

from coldchain.errors import (
    ColdchainError,
    ConfigurationError,
    InputError,
    IntegrityError,
    LocationUnreachable,
    NotReadableYet,
    OutOfSpace,
    RemovalRefused,
    TransientError,
    UnsafePathError,
)
from coldchain.files import no_progress
from coldchain.location import Engine, Location, Medium
from coldchain.manifest import MANIFEST, Manifest
from coldchain.site import Site
from coldchain.store import TRASH, Recallable, compare
from tasks.stores import s3_download, s3_lanes, s3_listing, s3_marker, s3_move, s3_upload
from tasks.stores.s3 import S3Store
from tasks.stores.s3_connection import connect, secrets_of
from tasks.stores.s3_errors import clean, translated
from tasks.workspace import open_store
from tests.contracts.bench_s3 import S3Bench, bench_of, block, s3_place
from tests.contracts.benches import MANIFEST_OF_ALL, NAMES, source_in
from tests.contracts.s3_faults import Asked, Line, answering, error, instead, response

WASTE = f"{TRASH}1-abc"
HOSTILE = [" lead", "a+b", "c%20d", "cr\rcr", "deep/b\n.tif", "q&<>'\"", "t\tab", "ü/日本", "x" * 200]


@pytest.fixture
def bench(ceph: Mapping[str, str]) -> S3Bench:
    """A registered location below a prefix of its own."""
    made = new_bench(ceph)
    made.store.register()
    return made


def new_bench(ceph: Mapping[str, str]) -> S3Bench:
    """A location below a prefix of its own, where nothing stands."""
    return bench_of(ceph, s3_place(f"place-{uuid.uuid4().hex}"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Three files."""
    return source_in(tmp_path / "source")


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> int:
    """Let files of more than the smallest part that S3 allows go in parts."""
    for module in (s3_lanes, s3_upload, s3_download):
        monkeypatch.setattr(module, "PART", 5 << 20)
    return 5 << 20


def folder_of(tmp_path: Path, names: list[str]) -> Path:
    """A folder whose files hold their own names."""
    for name in names:
        (tmp_path / "named" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "named" / name).write_bytes(name.encode())
    return tmp_path / "named"


def stand(store: S3Store, source: Path, path: str = "data", names: list[str] = NAMES) -> Manifest:
    """Put a folder as a transfer does."""
    manifest = store.put(source, path, names)
    store.write_manifest(path, manifest)
    return manifest


class TestNames:
    """Keys are the names, whatever they hold."""

    def test_odd_names_survive(self, bench: S3Bench, tmp_path: Path) -> None:
        """They stand under themselves, are read back, fetched, set aside, brought back and removed for good."""
        manifest = stand(bench.store, folder_of(tmp_path, HOSTILE), names=HOSTILE)
        assert set(bench.tree("data")) == {*HOSTILE, MANIFEST}
        assert bench.store.get("data", tmp_path / "out", HOSTILE) == manifest
        bench.store.set_aside("data", WASTE)
        assert bench.store.read_back(WASTE) == manifest
        bench.store.set_aside(WASTE, "data")
        assert bench.store.read_back("data") == manifest
        bench.store.set_aside("data", WASTE)
        bench.store.destroy(WASTE)
        assert bench.versions("data") == bench.versions("data", markers=True) == []

    def test_long_lists_come_in_pages(self, bench: S3Bench, tmp_path: Path) -> None:
        """Each name is listed once, whichever of them ends a page: Ceph names a marker that botocore misreads where it has `+` or `%`."""
        stand(bench.store, folder_of(tmp_path, HOSTILE), names=HOSTILE)
        for name in HOSTILE[:3]:
            bench.spoil("data", name, b"once more")
        asked = Asked()

        def two(real: Callable[..., Any], **given: Any) -> Any:
            return asked("list", real, MaxKeys=2, **given)

        store = instead(bench.store, list_object_versions=two, list_objects_v2=two)
        found = s3_listing.versions(store.conn, store.conn.key("data"))
        assert len({each.id for each in found}) == len(found) == len(HOSTILE) + 1 + 3
        assert store.names("data") == sorted(HOSTILE, key=str.encode)
        assert store.children("data") == sorted({name.split("/")[0] for name in [*HOSTILE, MANIFEST]}, key=str.encode)
        assert asked.count("list") > 10

    @pytest.mark.parametrize("name", ["bell\x07", "not\udcfftext", "return\x0cfeed"])
    def test_what_no_key_can_hold_is_refused(self, bench: S3Bench, tmp_path: Path, name: str) -> None:
        """Names that a listing could not give back are refused before anything is sent."""
        (tmp_path / "odd").mkdir()
        (tmp_path / "odd" / "good").touch()
        (tmp_path / "odd" / name).touch()
        with pytest.raises(UnsafePathError):
            bench.store.put(tmp_path / "odd", "data", ["good", name])
        assert bench.versions("data") == []

    def test_what_others_wrote_is_deleted_all_the_same(self, bench: S3Bench, source: Path) -> None:
        """A key that fits into no list of keys does not keep a folder from being emptied."""
        stand(bench.store, source)
        bench.spoil("data", "bell\x07", b"")
        bench.store.delete("data")
        assert bench.versions("data") == []

    def test_names_that_leave_their_folder_are_refused(self, bench: S3Bench, source: Path) -> None:
        """Before anything is sent, though such a file exists."""
        (source.parent / "outside").write_bytes(b"")
        with pytest.raises(UnsafePathError):
            bench.store.put(source, "data", ["a.tif", "../outside"])
        assert {each["Key"].removeprefix(bench.prefix) for each in bench.versions()} == {".coldchain/location.json"}

    def test_too_long_a_name_is_refused(self, bench: S3Bench, source: Path) -> None:
        """A key has 1,024 bytes at most; the message says so."""
        with pytest.raises(ConfigurationError, match="1024"):
            bench.store.put(source, "data", ["a.tif", "/".join(["é" * 100] * 6)])

    def test_unsafe_keys_are_not_followed(self, bench: S3Bench, source: Path) -> None:
        """A key that would leave its folder when it is fetched is an error."""
        stand(bench.store, source)
        bench.spoil("data", "../../out", b"")
        for call in (bench.store.names, bench.store.read_back):
            with pytest.raises(UnsafePathError):
                call("data")


class TestParts:
    """Large files go up and come down in parts."""

    def test_there_and_back(self, bench: S3Bench, tmp_path: Path, small_parts: int) -> None:
        """A file in parts has its digest as a tag, is read back in ranges, is not sent again, and comes out as it was."""
        content = (bytes(range(256)) * 4096)[: 1 << 20] * 11 + b"the end"
        folder = tmp_path / "large"
        folder.mkdir()
        (folder / "plate.czi").write_bytes(content)
        asked = Asked()
        store = instead(bench.store, every=asked)
        manifest = stand(store, folder, names=["plate.czi"])
        assert manifest.entries == {"plate.czi": hashlib.sha256(content).hexdigest()} == store.read_back("data").entries
        assert asked.count("upload_part") == len(content) // small_parts + 1 == 3
        before = bench.state("data")
        assert store.put(folder, "data", ["plate.czi"]) == manifest
        assert bench.state("data") == before
        assert store.get("data", tmp_path / "out", ["plate.czi"]) == manifest
        assert (tmp_path / "out" / "plate.czi").read_bytes() == content

    def test_what_was_cut_off_is_given_up(self, bench: S3Bench, source: Path) -> None:
        """Parts of an upload that never ended are removed by the next one; they would be paid for ever."""
        key = f"{bench.prefix}data/a.tif"
        bench.client.create_multipart_upload(Bucket=bench.bucket, Key=key)
        bench.store.put(source, "data", NAMES)
        assert "Uploads" not in bench.client.list_multipart_uploads(Bucket=bench.bucket, Prefix=key)

    def test_a_failed_upload_leaves_nothing(self, bench: S3Bench, tmp_path: Path, small_parts: int) -> None:
        """Where a part is refused the whole file is not there, nor are its other parts."""
        (tmp_path / "large").mkdir()
        (tmp_path / "large" / "plate").write_bytes(b"x" * (small_parts + 1))

        def full(_real: object, **_given: object) -> None:
            raise botocore.exceptions.ClientError({"Error": {"Code": "QuotaExceeded"}}, "UploadPart")

        with pytest.raises(OutOfSpace):
            instead(bench.store, upload_part=full).put(tmp_path / "large", "data", ["plate"])
        assert bench.versions("data") == []
        assert "Uploads" not in bench.client.list_multipart_uploads(Bucket=bench.bucket, Prefix=bench.prefix)

    def test_a_very_large_file_has_larger_parts(self) -> None:
        """No file has more than 10,000 parts."""
        assert s3_lanes.part_size(1) == 16 << 20
        assert -(-(5 << 40) // s3_lanes.part_size(5 << 40)) <= 10_000


class TestSources:
    """What is sent is what stood there, or nothing."""

    @pytest.mark.parametrize("change", [lambda path: path.write_bytes(b"a" * 5001), lambda path: path.write_bytes(b"short")])
    def test_a_file_that_changes_is_refused(
        self, bench: S3Bench, source: Path, change: Callable[[Path], object], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A file that grows or shrinks while it is read is refused, and its object is not there."""
        real = s3_upload.Source._read

        def read(file: s3_upload.Source, size: int, at: int) -> bytes:
            if at == 0 and file.path.endswith("a.tif"):
                change(source / "a.tif")
            return real(file, size, at)

        monkeypatch.setattr(s3_upload.Source, "_read", read)
        with pytest.raises(InputError, match="changed while it was read"):
            bench.store.put(source, "data", ["a.tif"])
        assert bench.versions("data") == []

    def test_a_folder_that_was_put_before_its_manifest_does_not_stand(self, bench: S3Bench, source: Path) -> None:
        """Until the manifest is there nobody takes the files for a copy."""
        bench.store.put(source, bench.store.staged("data", ".coldchain/staging/x"), NAMES)
        assert not bench.store.exists("data")
        bench.store.write_manifest("data", MANIFEST_OF_ALL)
        assert bench.store.exists("data")


class TestLeftBehind:
    """What a run that was cut off left is taken over only where it is the file."""

    def test_other_bytes_of_the_same_size_are_sent_again(self, bench: S3Bench, source: Path) -> None:
        """An object that does not say that it has these bytes is not left in their place."""
        bench.spoil("data", "a.tif", b"b" * 5000)
        assert bench.store.put(source, "data", NAMES) == MANIFEST_OF_ALL == bench.store.read_back("data")

    def test_other_bytes_of_the_same_size_are_fetched_again(self, bench: S3Bench, source: Path, tmp_path: Path) -> None:
        """A local file that has the size only is replaced; what is whole is not fetched."""
        stand(bench.store, source)
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "a.tif").write_bytes(b"b" * 5000)
        asked = Asked()
        for fetched in (len(NAMES), 0):
            asked.names.clear()
            assert instead(bench.store, every=asked).get("data", tmp_path / "out", NAMES) == MANIFEST_OF_ALL
            assert asked.count("get_object") == fetched
        assert (tmp_path / "out" / "a.tif").read_bytes() == b"a" * 5000


class TestAside:
    """What is set aside stays where it is, and nothing is lost wherever a run is cut off."""

    @pytest.mark.parametrize("after", [False, True])
    def test_cut_off_while_it_goes(self, bench: S3Bench, source: Path, after: bool) -> None:
        """At each request: every byte can be read, and the next run ends with nothing but what it was to remove gone."""
        for at in range(100):
            stand(bench.store, source)
            asked = Asked(at, after=after)
            try:
                instead(bench.store, every=asked).set_aside("data", WASTE)
            except LocationUnreachable:
                cut = True
            else:
                cut = False
            path = "data" if bench.store.exists("data") else WASTE
            assert bench.store.read_back(path) == MANIFEST_OF_ALL
            assert bench.store.manifest(path) == MANIFEST_OF_ALL.text
            if path == "data":
                bench.store.set_aside("data", WASTE)
            bench.store.destroy(WASTE)
            assert bench.versions("data") == bench.versions("data", markers=True) == bench.versions(WASTE) == []
            if not cut:
                break
        assert at > 4

    @pytest.mark.parametrize("after", [False, True])
    def test_cut_off_while_it_comes_back(self, bench: S3Bench, source: Path, after: bool) -> None:
        """At each request: every byte can be read, the next run brings it back, and emptying the trash then harms nothing."""
        stand(bench.store, source)
        for at in range(100):
            bench.store.set_aside("data", WASTE)
            asked = Asked(at, after=after)
            try:
                instead(bench.store, every=asked).set_aside(WASTE, "data")
            except LocationUnreachable:
                cut = True
            else:
                cut = False
            if bench.store.exists(WASTE):
                assert bench.store.read_back(WASTE) == MANIFEST_OF_ALL
                if bench.store.exists("data"):
                    bench.store.destroy(WASTE)
                else:
                    bench.store.set_aside(WASTE, "data")
            assert not bench.store.exists(WASTE)
            assert bench.store.read_back("data") == MANIFEST_OF_ALL
            assert len(bench.versions("data")) == len(NAMES) + 1
            if not cut:
                break
        assert at > 4

    @pytest.mark.parametrize("after", [False, True])
    def test_cut_off_while_it_is_destroyed(self, bench: S3Bench, source: Path, after: bool) -> None:
        """The next run ends it, and a folder that was made anew in that place stays whole."""
        for at in range(100):
            stand(bench.store, source)
            bench.store.set_aside("data", WASTE)
            stand(bench.store, source)
            try:
                instead(bench.store, every=Asked(at, after=after)).destroy(WASTE)
            except LocationUnreachable:
                cut = True
            else:
                cut = False
            bench.store.destroy(WASTE)
            assert not bench.store.exists(WASTE)
            assert bench.store.read_back("data") == MANIFEST_OF_ALL
            bench.store.delete("data")
            if not cut:
                break
        assert at > 4

    def test_objects_that_two_folders_share_stay(self, bench: S3Bench, source: Path) -> None:
        """A folder that was made again from objects which a cut-off run had not hidden yet keeps them when the trash is emptied."""
        stand(bench.store, source)
        done: list[object] = []

        def once(real: Callable[..., Any], **given: Any) -> Any:
            if done:
                raise LocationUnreachable("cut off by the test")
            done.append(given)
            return real(**given)

        with pytest.raises(LocationUnreachable):
            instead(bench.store, delete_objects=once).set_aside("data", WASTE)
        assert bench.store.exists(WASTE)
        assert not bench.store.exists("data")
        assert stand(bench.store, source) == MANIFEST_OF_ALL
        bench.store.destroy(WASTE)
        assert bench.store.read_back("data") == MANIFEST_OF_ALL

    def test_nothing_is_hidden_where_no_versions_are_kept(self, bench: S3Bench, source: Path) -> None:
        """Somebody suspended versioning since: a delete marker would take the bytes with it."""
        stand(bench.store, source)
        suspended = instead(bench.store, get_bucket_versioning=lambda *_, **__: {"Status": "Suspended"})
        with pytest.raises(ConfigurationError, match="Suspended"):
            suspended.set_aside("data", WASTE)
        assert bench.store.read_back("data") == MANIFEST_OF_ALL

    def test_half_deleted_is_missing(self, bench: S3Bench, source: Path) -> None:
        """A file whose version is gone is no name any more, so that it is seen and not read."""
        stand(bench.store, source)
        version = bench.state("data")["a.tif"]
        bench.store.set_aside("data", WASTE)
        bench.client.delete_object(Bucket=bench.bucket, Key=f"{bench.prefix}data/a.tif", VersionId=version)
        assert bench.store.names(WASTE) == NAMES[1:]
        assert bench.store.read_back(WASTE).entries.keys() == set(NAMES[1:])

    def test_nothing_is_brought_back_over_another(self, bench: S3Bench, source: Path) -> None:
        """Where other objects took the place they stay, and so does what was set aside."""
        stand(bench.store, source)
        bench.store.set_aside("data", WASTE)
        stand(bench.store, source, names=["a.tif"])
        with pytest.raises(IntegrityError, match="something else stands"):
            bench.store.set_aside(WASTE, "data")
        assert bench.store.read_back(WASTE) == MANIFEST_OF_ALL
        assert bench.store.names("data") == ["a.tif"]

    def test_what_somebody_hid_meanwhile_is_not_taken_for_it(self, bench: S3Bench, source: Path) -> None:
        """Where other objects lie hidden over what was set aside, the folder does not stand again with one of them in it."""
        stand(bench.store, source)
        bench.store.set_aside("data", WASTE)
        bench.spoil("data", "a.tif", b"other")
        bench.lose("data", "a.tif")
        with pytest.raises(IntegrityError, match="something else stands"):
            bench.store.set_aside(WASTE, "data")
        assert not bench.store.exists("data")
        assert bench.store.read_back(WASTE) == MANIFEST_OF_ALL

    @pytest.mark.parametrize(("path", "to"), [("data", "other"), (WASTE, "other")])
    def test_nothing_is_renamed(self, bench: S3Bench, source: Path, path: str, to: str) -> None:
        """A folder goes aside and comes back; anything else is refused."""
        stand(bench.store, source)
        if path == WASTE:
            bench.store.set_aside("data", WASTE)
        with pytest.raises(ConfigurationError, match="renames nothing"):
            bench.store.set_aside(path, to)
        assert bench.store.read_back(path) == MANIFEST_OF_ALL

    @pytest.mark.parametrize(
        "content", [b"", b"[]", b"{}", b'{"path": "../x", "files": {}}', b'{"path": "data", "files": {"a": 1}}', b"\xff"]
    )
    def test_a_damaged_pointer_is_said(self, bench: S3Bench, source: Path, content: bytes) -> None:
        """It is an error of ours, and nothing is removed by it."""
        stand(bench.store, source)
        bench.store.set_aside("data", WASTE)
        bench.spoil(WASTE, "POINTER.json", content)
        for call in (bench.store.names, bench.store.read_back, bench.store.manifest, bench.store.destroy, bench.store.delete):
            with pytest.raises((IntegrityError, UnsafePathError)):
                call(WASTE)
        assert len(bench.versions("data")) == len(NAMES) + 1

    def test_what_was_set_aside_is_not_deleted(self, bench: S3Bench, source: Path) -> None:
        """Deleting what took its place leaves it, and deleting the pointer is refused."""
        stand(bench.store, source)
        bench.store.set_aside("data", WASTE)
        stand(bench.store, source)
        bench.store.delete("data")
        assert bench.store.read_back(WASTE) == MANIFEST_OF_ALL
        with pytest.raises(RemovalRefused):
            bench.store.delete(WASTE)

    def test_changes_within_a_second_are_seen(self, bench: S3Bench, source: Path) -> None:
        """Services tell whole seconds: what was written in the second of the last look may have come after it."""
        stand(bench.store, source)
        last = max(each["LastModified"] for each in bench.versions("data") if not each["Key"].endswith(MANIFEST))
        assert bench.store.changed("data", last.replace(microsecond=999_999)) != []
        assert bench.store.changed("data", last + dt.timedelta(seconds=1)) == []

    def test_changes_are_seen_through_a_pointer(self, bench: S3Bench, source: Path) -> None:
        """The versions that were set aside are asked, and not what stands there now."""
        stand(bench.store, source)
        at = bench.store.clock()
        bench.store.set_aside("data", WASTE)
        assert bench.store.changed(WASTE, at - dt.timedelta(hours=1)) == NAMES
        assert bench.store.changed(WASTE, at + dt.timedelta(hours=1)) == []


class TestMoves:
    """What a repair puts together gets the name of what it replaces, and only as the bytes that it is."""

    def test_copies_are_read_back(self, bench: S3Bench, source: Path) -> None:
        """The files stand under the other name, and no longer under the first; never over another folder."""
        stand(bench.store, source, ".coldchain/staging/x")
        bench.store.move(".coldchain/staging/x", "data")
        assert bench.store.read_back("data") == MANIFEST_OF_ALL
        assert bench.store.manifest("data") == MANIFEST_OF_ALL.text
        assert bench.store.children(".coldchain/staging") == []
        stand(bench.store, source, ".coldchain/staging/x")
        with pytest.raises(IntegrityError, match="already there"):
            bench.store.move(".coldchain/staging/x", "data")

    def test_odd_names_are_copied(self, bench: S3Bench, tmp_path: Path) -> None:
        """A key in a request to copy is encoded once more than others; whatever it holds, it arrives."""
        manifest = stand(bench.store, folder_of(tmp_path, HOSTILE), ".coldchain/staging/x", HOSTILE)
        bench.store.move(".coldchain/staging/x", "data")
        assert bench.store.read_back("data") == manifest

    def test_a_copy_that_is_another_does_not_stand(self, bench: S3Bench, source: Path) -> None:
        """What the server made of its own copying is read, and goes again."""
        stand(bench.store, source, ".coldchain/staging/x")

        def careless(real: Callable[..., Any], **given: Any) -> Any:
            return real.__self__.put_object(Bucket=given["Bucket"], Key=given["Key"], Body=b"a" * 4999 + b"b")

        with pytest.raises(IntegrityError, match="changed while"):
            instead(bench.store, copy_object=careless).move(".coldchain/staging/x", "data")
        assert bench.versions("data") == []
        assert bench.store.read_back(".coldchain/staging/x") == MANIFEST_OF_ALL

    def test_very_large_files_are_copied_in_parts(
        self, bench: S3Bench, tmp_path: Path, small_parts: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One request copies 5 GiB at most; the digest goes with the bytes."""
        monkeypatch.setattr(s3_move, "WHOLE", small_parts)
        monkeypatch.setattr(s3_move, "STEP", small_parts)
        (tmp_path / "large").mkdir()
        (tmp_path / "large" / "plate").write_bytes(b"x" * (2 * small_parts + 1))
        manifest = stand(bench.store, tmp_path / "large", ".coldchain/staging/x", ["plate"])
        asked = Asked()
        instead(bench.store, every=asked).move(".coldchain/staging/x", "data")
        assert asked.count("upload_part_copy") == 3
        before = bench.state("data")
        assert stand(bench.store, tmp_path / "large", names=["plate"]) == manifest == bench.store.read_back("data")
        assert bench.state("data") == before


class TestLies:
    """A server that says it did, and did not, is found out."""

    def test_an_acknowledged_put_that_stored_nothing(self, bench: S3Bench, source: Path) -> None:
        """What was never stored is missing when it is read back."""
        with answering(
            bench.store.conn.client, "PutObject", lambda ask: response(ask, 200, ETag='"1"') if ask.url.endswith("a.tif") else None
        ):
            said = bench.store.put(source, "data", NAMES)
        assert [wrong.name for wrong in compare(said, bench.store.read_back("data"))] == ["a.tif"]

    def test_a_pointer_that_was_never_stored(self, bench: S3Bench, source: Path) -> None:
        """Nothing is hidden before it is known which versions it was."""
        stand(bench.store, source)
        with pytest.raises(LocationUnreachable, match="does not give back"):
            instead(bench.store, put_object=lambda *_, **__: {}).set_aside("data", WASTE)
        assert bench.store.read_back("data") == MANIFEST_OF_ALL
        assert bench.store.exists("data")

    def test_other_bytes_under_the_right_digest(self, bench: S3Bench, source: Path) -> None:
        """Metadata and size say that all is well; the bytes do not."""
        stand(bench.store, source)
        said = {"coldchain-sha256": MANIFEST_OF_ALL.entries["a.tif"]}
        bench.client.put_object(Bucket=bench.bucket, Key=f"{bench.prefix}data/a.tif", Body=b"b" * 5000, Metadata=said)
        assert bench.store.put(source, "data", NAMES) == MANIFEST_OF_ALL
        assert bench.store.read_back("data").difference(MANIFEST_OF_ALL) == ["a.tif"]

    def test_a_short_answer(self, bench: S3Bench, source: Path, tmp_path: Path) -> None:
        """A body that ends early, and says that this is its length, is another digest, and is never given its name."""
        stand(bench.store, source)
        short = lambda ask: response(ask, 200, b"a" * 100, Content_Length="100") if ask.url.split("?")[0].endswith("a.tif") else None  # noqa: E731
        with answering(bench.store.conn.client, "GetObject", short):
            assert bench.store.read_back("data").difference(MANIFEST_OF_ALL) == ["a.tif"]
            with pytest.raises(IntegrityError, match="all bytes"):
                bench.store.get("data", tmp_path / "out", NAMES)
        assert not (tmp_path / "out" / "a.tif").exists()

    def test_a_removal_that_did_not_happen(self, bench: S3Bench, source: Path) -> None:
        """A server that says it removed what is still there is not asked for ever."""
        stand(bench.store, source)
        store = instead(bench.store, delete_objects=lambda *_, **__: {}, delete_object=lambda *_, **__: {})
        with pytest.raises(LocationUnreachable, match="does not remove"):
            store.delete("data")
        assert bench.store.read_back("data") == MANIFEST_OF_ALL

    def test_refusals_hidden_in_a_success(self, bench: S3Bench, source: Path) -> None:
        """The answer to a removal of many is 200 though each was refused."""
        stand(bench.store, source)

        def refusing(_real: object, Delete: Mapping[str, Any], **_: object) -> Any:  # noqa: N803 - boto3's name
            return {"Errors": [{"Key": each["Key"], "Code": "AccessDenied"} for each in Delete["Objects"]]}

        with pytest.raises(RemovalRefused):
            instead(bench.store, delete_objects=refusing).set_aside("data", WASTE)

    def test_a_manifest_that_is_not_kept(self, bench: S3Bench, source: Path) -> None:
        """What is read back as the manifest is what stands there."""
        stand(bench.store, source)
        bench.spoil("data", MANIFEST, b"")
        assert bench.store.manifest("data") == b""


@pytest.fixture
def line(ceph: Mapping[str, str]) -> Iterator[Line]:
    """A line to Ceph that can be cut."""
    made = Line(ceph["endpoint"])
    yield made
    made.close()


def impatient(bench: S3Bench, reach: Mapping[str, str], **more: Any) -> S3Store:
    """The same location through another endpoint, with little patience."""
    settings = {"retries": {"total_max_attempts": 2, "mode": "standard"}, "connect_timeout": 2, "read_timeout": 3}
    store = S3Store(bench.store.location)
    store.conn = connect(bench.store.location, block({**reach, **more}, bench.bucket, config=settings))
    return store


class TestLines:
    """Lines are cut, servers are busy: each call ends, and the next one gets on."""

    def test_cut_in_the_middle(self, bench: S3Bench, ceph: Mapping[str, str], line: Line, tmp_path: Path) -> None:
        """A body that was cut off is asked for again; a line that is cut every time is an error that may pass."""
        (tmp_path / "large").mkdir()
        (tmp_path / "large" / "plate").write_bytes(b"x" * (2 << 20))
        manifest = stand(bench.store, tmp_path / "large", names=["plate"])
        store = impatient(bench, ceph, endpoint=line.endpoint)
        line.after, line.cuts = 1 << 20, 2
        assert store.read_back("data") == manifest
        assert line.done == 2
        line.cuts = 1000
        with pytest.raises(LocationUnreachable):
            store.read_back("data")
        assert line.done < 20

    def test_cut_while_it_is_sent(self, bench: S3Bench, ceph: Mapping[str, str], line: Line, source: Path) -> None:
        """A line that breaks at every answer makes sending fail, in the end; the next run completes it."""
        store = impatient(bench, ceph, endpoint=line.endpoint)
        assert store.names("data") == []
        line.after, line.cuts = 0, 1000
        with pytest.raises(LocationUnreachable):
            store.put(source, "data", NAMES)
        line.cuts = 0
        assert store.put(source, "data", NAMES) == MANIFEST_OF_ALL == store.read_back("data")

    @pytest.mark.parametrize(("status", "code"), [(503, "SlowDown"), (500, "InternalError")])
    def test_a_busy_server(self, bench: S3Bench, ceph: Mapping[str, str], source: Path, status: int, code: str) -> None:
        """It is asked again; where that does not help the error says that it may pass, and what stood there stands."""
        store, once = impatient(bench, ceph), [status]
        with answering(store.conn.client, "PutObject", lambda ask: response(ask, once.pop(), error(code)) if once else None):
            assert store.put(source, "data", ["a.tif"]) == bench.store.read_back("data")
        always = answering(store.conn.client, "PutObject", lambda ask: response(ask, status, error(code)))
        with always as asked, pytest.raises(LocationUnreachable, match=code):
            store.put(source, "new", ["a.tif"])
        assert len(asked) == 2
        assert bench.store.names("data") == ["a.tif"]

    def test_nobody_listens(self, bench: S3Bench, ceph: Mapping[str, str]) -> None:
        """An endpoint without a server is an error that may pass."""
        store = impatient(bench, ceph, endpoint="https://127.0.0.1:9")
        with pytest.raises(LocationUnreachable):
            store.identity()

    def test_a_certificate_that_nobody_knows(self, bench: S3Bench, ceph: Mapping[str, str]) -> None:
        """A private authority has to be named: that is for an engineer to mend."""
        with pytest.raises(ConfigurationError, match="verify_cert_path"):
            impatient(bench, ceph, ca="").identity()


CODES = {
    "NoSuchBucket": (404, LocationUnreachable),
    "NoSuchKey": (404, IntegrityError),
    "AccessDenied": (403, ConfigurationError),
    "InvalidAccessKeyId": (403, ConfigurationError),
    "SignatureDoesNotMatch": (403, ConfigurationError),
    "RequestTimeTooSkewed": (403, ConfigurationError),
    "InvalidObjectState": (403, NotReadableYet),
    "BadDigest": (400, IntegrityError),
    "QuotaExceeded": (403, OutOfSpace),
    "XMinioStorageFull": (507, OutOfSpace),
    "SlowDown": (503, LocationUnreachable),
    "RequestTimeout": (400, LocationUnreachable),
    "SomethingNew": (500, LocationUnreachable),
    "SomethingOdd": (400, ConfigurationError),
    "SomethingRefused": (403, ConfigurationError),
    "NotImplemented": (501, ConfigurationError),
}
PASSING = {
    botocore.exceptions.EndpointConnectionError,
    botocore.exceptions.ConnectTimeoutError,
    botocore.exceptions.ReadTimeoutError,
    botocore.exceptions.ConnectionClosedError,
    botocore.exceptions.ProxyConnectionError,
    botocore.exceptions.SSLError,
    botocore.exceptions.IncompleteReadError,
    botocore.exceptions.ResponseStreamingError,
}


def kinds_of(base: type[Exception]) -> set[type[Exception]]:
    """A class and all below it."""
    return {base}.union(*(kinds_of(kind) for kind in base.__subclasses__()))


class Anything(dict[str, str]):
    """Words for whatever a message asks for."""

    def __missing__(self, key: str) -> str:
        return f"<{key}>"


class TestErrors:
    """Whatever is said becomes an error of ours, in one place, and no secret is in it."""

    @pytest.mark.parametrize("code", CODES)
    def test_codes(self, code: str) -> None:
        """Each code of a server is the kind of error that a caller acts upon."""
        status, kind = CODES[code]
        said = {"Error": {"Code": code, "Message": "m"}, "ResponseMetadata": {"HTTPStatusCode": status}}
        found = translated(botocore.exceptions.ClientError(said, "GetObject"), "x")
        assert isinstance(found, kind)
        assert code in found.message()

    def test_a_refused_removal(self) -> None:
        """Where something was to be removed a no is a refusal, and not a wrong setting."""
        said = {"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {"HTTPStatusCode": 403}}
        assert isinstance(translated(botocore.exceptions.ClientError(said, "x"), "x", (), RemovalRefused), RemovalRefused)

    @pytest.mark.parametrize("kind", sorted(kinds_of(botocore.exceptions.BotoCoreError), key=lambda kind: kind.__name__))
    def test_whatever_botocore_raises(self, kind: type[Exception]) -> None:
        """Every kind that botocore knows is translated; what the network does may pass."""
        raised = kind.__new__(kind)
        raised.args = (kind.fmt.format_map(Anything(name="n")) if "{error." not in kind.fmt else "error",)
        found = translated(raised, "x")
        assert isinstance(found, ColdchainError)
        if kind in PASSING:
            assert isinstance(found, TransientError)

    def test_secrets_stay_secret(self, bench: S3Bench, ceph: Mapping[str, str], caplog: pytest.LogCaptureFixture) -> None:
        """A server that gives back all it was told, in its message, puts no secret into message, cause, trace or log."""
        store, seen = impatient(bench, ceph), []

        def echo(ask: Any) -> Any:
            seen.append(ask.headers["Authorization"].decode())
            said = f"{ceph['secret_key']} {seen[-1]} https://h/b/k?X-Amz-Signature=f00&amp;X-Amz-Credential=me token {ceph['access_key']}"
            return response(ask, 403, error("AccessDenied", said))

        with answering(store.conn.client, "GetObject", echo), pytest.raises(ConfigurationError) as caught:
            store.manifest("data")
        told = (
            "".join(traceback.format_exception(caught.value))
            + str(caught.value.__dict__)
            + caplog.text
            + repr(store.location)
            + repr(store.conn)
        )
        signature = seen[0].rpartition("Signature=")[2]
        for secret in (ceph["secret_key"], ceph["access_key"], signature, "f00", "Credential=me"):
            assert secret not in told
        assert "AccessDenied" in told

    def test_every_kind_of_credentials_has_its_secrets(self) -> None:
        """MinIO's block calls them otherwise."""
        from prefect_aws import AwsCredentials, MinIOCredentials

        minio, aws = ("minio_root_user", "minio_root_password"), ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
        for kind, names in ((MinIOCredentials, minio), (AwsCredentials, aws)):
            assert secrets_of(kind(**{name: f"the {name}" for name in names})) == tuple(f"the {name}" for name in names)

    def test_a_session_token_is_a_secret(self) -> None:
        """Tokens in headers and addresses are taken out, the rest stays."""
        said = clean("GET https://h/b?X-Amz-Security-Token=abc HTTP x-amz-security-token: def, bucket lab", ())
        assert "abc" not in said
        assert "def" not in said
        assert "bucket lab" in said


class TestRegister:
    """A bucket is made ready once."""

    def test_versions_are_turned_on(self, bench: S3Bench, ceph: Mapping[str, str]) -> None:
        """A bucket without versions has them afterwards; the marker is written once."""
        name = f"fresh-{uuid.uuid4().hex[:8]}"
        bench.client.create_bucket(Bucket=name)
        store = S3Store(s3_place("cold"), lambda: block(ceph, name))
        assert store.register() == store.register() == store.identity()
        assert bench.client.get_bucket_versioning(Bucket=name)["Status"] == "Enabled"

    def test_versions_that_stay_off_are_an_error(self, bench: S3Bench) -> None:
        """A server that says yes and keeps none is found out: without versions nothing could be set aside."""
        store = instead(bench.store, get_bucket_versioning=lambda *_, **__: {}, put_bucket_versioning=lambda *_, **__: {})
        with pytest.raises(ConfigurationError, match="versions"):
            store.register()

    def test_the_oldest_of_two_identities_stays(self, bench: S3Bench) -> None:
        """Whoever writes a second one at the same time takes it away again."""
        first = bench.store.identity()
        bench.spoil("", "/".join(s3_marker.MARKER), b'{"identity": "second"}')
        assert bench.store.identity() == "second"
        s3_marker.settle(bench.store.conn, bench.state("")["/".join(s3_marker.MARKER)])
        assert bench.store.identity() == first

    def test_one_identity_is_left_of_many(self, ceph: Mapping[str, str]) -> None:
        """Where four register one location at once, one marker stands afterwards, and registering again gives it."""
        bench = new_bench(ceph)

        def register() -> None:
            with suppress(LocationUnreachable):  # told while another's marker went
                bench.store.register()

        threads = [threading.Thread(target=register) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(bench.versions(".coldchain")) == 1
        assert bench.store.register() == bench.store.identity()

    def test_places(self, bench: S3Bench) -> None:
        """Two prefixes are two places; one prefix is one, whatever the location is called."""
        other = replace(bench.store.conn, prefix="lab/other/")
        again = replace(bench.store.conn, location="renamed")
        assert other.place != bench.store.place() == again.place

    def test_notes_that_say_the_same_are_written_once(self, bench: S3Bench) -> None:
        """No version is added by writing what stands there."""
        for content in (b"one", b"one", b"two"):
            bench.store.annotate("data", "README.md", content)
        assert len([each for each in bench.versions() if each["Key"].endswith("README.md")]) == 2

    def test_only_a_bucket_with_an_archive_is_recallable(self, bench: S3Bench) -> None:
        """The S3 engine is one that can be asked to recall."""
        assert isinstance(bench.store, Recallable)


@pytest.mark.server
@pytest.mark.usefixtures("prefect_server")
class TestBlocks:
    """The bucket and its credentials come from Prefect's blocks."""

    def test_a_site_names_a_block(self, ceph: Mapping[str, str], bench: S3Bench, source: Path) -> None:
        """Saved, loaded by name when it is first needed, with the authority of its certificate; nothing secret is in the location."""
        block(ceph, bench.bucket).save("cold", overwrite=True)
        site = Site.model_construct(site="lab")
        location = s3_place(f"block-{uuid.uuid4().hex}")
        store = open_store(site, location)
        store.register()
        assert store.put(source, "data", NAMES, no_progress) == MANIFEST_OF_ALL == store.read_back("data", no_progress)
        assert ceph["secret_key"] not in repr(location) + repr(store)

    def test_a_missing_block_is_named(self) -> None:
        """The error says which, and where to read how it is made; nothing happens before the store is used."""
        described = {"block": "nothing-here"}
        location = Location(name="cold", engine=Engine.S3, root="x", s3=described, medium=Medium.OBJECT, domain="cloud", site="away")
        store = open_store(Site.model_construct(site="lab"), location)
        with pytest.raises(ConfigurationError, match="s3-bucket/nothing-here"):
            store.identity()
