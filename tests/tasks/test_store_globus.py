"""The Globus engine where the service, the network or a collection misbehaves: the real SDK against the stand-in."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

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
from coldchain.files import no_progress
from coldchain.location import Location
from coldchain.site import Site
from coldchain.store import TRASH, Protection
from coldchain.testing.globus import Cloud, Trouble
from coldchain.testing.globus.documents import PENDING_AT_MOST
from tasks.stores import globus_errors, globus_folders
from tasks.stores.globus import GlobusStore
from tasks.stores.globus_ssh import GlobusSshStore
from tasks.workspace import open_store
from tests.contracts.bench_globus import FAST, HERE, THERE, globus_place, opened, running

NAMES = [f"{number:02}" for number in range(5)]


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    """Two collections, each a folder of its own."""
    for name in ("there", "here"):
        (tmp_path / name).mkdir()
    with running(tmp_path / "there", tmp_path / "here") as cloud:
        yield cloud


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """The folder of this machine that Globus reaches."""
    return tmp_path / "here"


@pytest.fixture
def source(here: Path) -> Path:
    """A folder of five files of 1000 bytes."""
    folder = here / "nas" / "source"
    folder.mkdir(parents=True)
    for name in NAMES:
        (folder / name).write_bytes(os.urandom(1000))
    return folder


@pytest.fixture
def make(cloud: Cloud, here: Path) -> Callable[..., GlobusStore]:
    """Open stores of one location, each as another run would."""

    def made(**more: Any) -> GlobusStore:
        location = globus_place("/lab", here)
        settings = location.globus.model_copy(update={"here_path": "/"})
        store: GlobusStore = opened(cloud, location.model_copy(update={"globus": settings}), here, **{"retries": 0, **more})
        return store

    return made


@pytest.fixture
def store(make: Callable[..., GlobusStore]) -> GlobusStore:
    """A registered location at ``/lab`` of the collection."""
    made = make()
    made.register()
    return made


def sent(cloud: Cloud) -> list[Any]:
    """Transfers to the collection, without those of small files."""
    there = [task for task in cloud.tasks.values() if task.given.get("destination_endpoint") == THERE]
    return [task for task in there if not task.given["DATA"][0]["source_path"].endswith("/small")]


def spooled(here: Path) -> list[Path]:
    """What lies in the spool."""
    return list((here / ".coldchain-globus").rglob("spool/*"))


def records(here: Path) -> list[Path]:
    """Tasks that are written down as under way."""
    return list((here / ".coldchain-globus").rglob("tasks/*.json"))


class TestWhatIsSent:
    """What is asked of Globus, and what is refused before anything is."""

    def test_every_option_that_guards_the_bytes(self, store: GlobusStore, cloud: Cloud, source: Path) -> None:
        """Encrypted, checked, compared by checksums, with our digests, an end, and nothing skipped."""
        manifest = store.put(source, "data", NAMES, no_progress)
        given = sent(cloud)[0].given
        wanted = {
            "verify_checksum": True,
            "encrypt_data": True,
            "sync_level": 3,
            "fail_on_quota_errors": True,
            "skip_source_errors": False,
            "preserve_timestamp": True,
        }
        assert {name: given[name] for name in wanted} == wanted
        end = dt.datetime.fromisoformat(given["deadline"]) - dt.datetime.now(dt.UTC)
        assert dt.timedelta(0) < end <= dt.timedelta(seconds=FAST.deadline)
        digests = {
            item["source_path"].rpartition("/")[2]: (item["external_checksum"], item["checksum_algorithm"]) for item in given["DATA"]
        }
        assert digests == {name: (digest, "SHA256") for name, digest in manifest.entries.items()}

    def test_scratch_over_there_keeps_no_old_times(self, make: Any, source: Path, tmp_path: Path) -> None:
        """A cluster removes what looks old: copies on its scratch are as old as they are."""
        os.utime(source / "00", (0, 0))
        store = make()
        store.location = store.location.model_copy(update={"purge_age_days": 30})
        store.put(source, "data", NAMES, no_progress)
        assert (tmp_path / "there" / "lab" / "data" / "00").stat().st_mtime > 1_000_000_000

    def test_a_source_that_globus_does_not_reach(self, store: GlobusStore, cloud: Cloud, tmp_path: Path) -> None:
        """It is refused with what to do, and nothing is sent or made."""
        (tmp_path / "elsewhere").mkdir()
        asked = len(cloud.asked)
        with pytest.raises(ConfigurationError, match=r"(?s)does not reach.*nothing was sent.*here_folder"):
            store.put(tmp_path / "elsewhere", "data", [], no_progress)
        assert len(cloud.asked) == asked
        store.put(tmp_path / "here", "data", [], no_progress)
        with pytest.raises(ConfigurationError, match="does not reach"):
            store.get("data", tmp_path / "elsewhere", [], no_progress)
        (tmp_path / "here" / "link").symlink_to(tmp_path / "elsewhere")
        with pytest.raises(ConfigurationError, match="does not reach"):
            store.put(tmp_path / "here" / "link", "data", [], no_progress)

    @pytest.mark.parametrize("name", ["a\r\nb", "caf\udce9", "\ufffdmark", "deep/\ufffdmark"])
    def test_names_that_globus_cannot_hold(self, store: GlobusStore, cloud: Cloud, source: Path, name: str) -> None:
        """Refused before anything is sent or made."""
        asked = len(cloud.asked)
        with pytest.raises(UnsafePathError, match="cannot hold"):
            store.put(source, "data", [*NAMES, name], no_progress)
        assert len(cloud.asked) == asked

    @pytest.mark.parametrize("name", ["new\nline", "ümläut", "a*?[b]", " space ", "-dash", "~", "per%20cent", "tab\t"])
    def test_odd_names_arrive(self, store: GlobusStore, source: Path, name: str) -> None:
        """And come back."""
        (source / name).write_bytes(b"odd")
        manifest = store.put(source, "da ta*", [name], no_progress)
        assert store.read_back("da ta*", no_progress) == manifest
        store.set_aside("da ta*", f"{TRASH}1")
        store.destroy(f"{TRASH}1")
        assert not store.exists(f"{TRASH}1")

    def test_batches(self, make: Any, cloud: Cloud, source: Path) -> None:
        """So many files a task, and progress to the end."""
        store, told = make(batch=2), []
        manifest = store.put(source, "data", NAMES, lambda done, total: told.append((done, total)))
        assert [len(task.given["DATA"]) for task in sent(cloud)] == [2, 2, 1]
        assert told == sorted(told)
        assert told[-1] == (5, 5)
        assert store.read_back("data", no_progress) == manifest

    def test_more_than_the_service_takes(self, store: GlobusStore, cloud: Cloud, source: Path) -> None:
        """Said as what it is."""
        cloud.most_items = 4
        with pytest.raises(InputError, match="does not take so much"):
            store.put(source, "data", NAMES, no_progress)

    def test_too_many_tasks_already(self, store: GlobusStore, cloud: Cloud, source: Path) -> None:
        """Try again later; what was written down is submitted then."""
        cloud.polls = 10**6
        [cloud.submit("delete", removal(cloud), next(iter(cloud.tokens))) for _number in range(PENDING_AT_MOST)]
        with pytest.raises(LocationUnreachable, match="no more tasks"):
            store.put(source, "data", NAMES, no_progress)
        for task in cloud.tasks.values():
            task.cancel()
        cloud.polls = 1
        store.put(source, "data", NAMES, no_progress)


def removal(cloud: Cloud) -> dict[str, Any]:
    """A delete of nothing."""
    item = {"DATA_TYPE": "delete_item", "path": "/none"}
    return {"DATA_TYPE": "delete", "endpoint": THERE, "submission_id": cloud.submission_id()["value"], "DATA": [item]}


class TestEndings:
    """Each end of a task that is not the one that was asked for."""

    @pytest.mark.parametrize(
        ("trouble", "kind", "words"),
        [
            (Trouble.FAILS, LocationUnreachable, "ENDPOINT_ERROR: the storage system"),
            (Trouble.INACTIVE, ConfigurationError, r"NO_CREDENTIALS: credentials have expired.*renew"),
            (Trouble.PAUSED, LocationUnreachable, r"PAUSED: maintenance.*next run takes it up"),
            (Trouble.DENIED, ConfigurationError, "PERMISSION_DENIED: Path not allowed"),
            (Trouble.VANISHES, InputError, r"FILE_NOT_FOUND.*No such file"),
            (Trouble.QUOTA, OutOfSpace, "QUOTA_EXCEEDED: Disk quota exceeded"),
        ],
    )
    def test_it_is_said(self, store: GlobusStore, cloud: Cloud, source: Path, trouble: Trouble, kind: Any, words: str) -> None:
        """In the task's own words, with its number, and long before the deadline."""
        cloud.let(trouble, "/03" if trouble in {Trouble.DENIED, Trouble.VANISHES} else "")
        begun = time.monotonic()
        with pytest.raises(kind, match=rf"(?s){words}") as raised:
            store.put(source, "data", NAMES, no_progress)
        assert sent(cloud)[0].task_id in str(raised.value)
        assert time.monotonic() - begun < 10

    def test_what_does_not_pass_is_canceled(self, store: GlobusStore, cloud: Cloud, source: Path) -> None:
        """A task that would try for days is ended before we leave."""
        cloud.let(Trouble.DENIED, "/03")
        with pytest.raises(ConfigurationError):
            store.put(source, "data", NAMES, no_progress)
        assert sent(cloud)[0].fatal["code"] == "CANCELED"

    def test_skipped_files_are_no_success(self, store: GlobusStore, cloud: Cloud, source: Path) -> None:
        """Though the task says SUCCEEDED."""
        cloud.let(Trouble.SKIPS)
        cloud.let(Trouble.VANISHES, "/03", times=1)
        with pytest.raises(InputError, match=r"FILE_NOT_FOUND: '.*/03' was skipped"):
            store.put(source, "data", NAMES, no_progress)
        assert sent(cloud)[0].status == "SUCCEEDED"

    def test_fewer_files_than_were_asked_for_are_no_success(
        self, store: GlobusStore, cloud: Cloud, source: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A task that says that it is done, and counts too few."""
        real = type(next(iter(cloud.tasks.values()))).document
        monkeypatch.setattr(
            "coldchain.testing.globus.tasks.Task.document", lambda task: real(task) | {"files_transferred": 4, "files_skipped": 0}
        )
        with pytest.raises(Incomplete, match="left files out"):
            store.put(source, "data", NAMES, no_progress)

    def test_a_deadline(self, make: Any, cloud: Cloud, source: Path) -> None:
        """Ends a task that gets nowhere; why is in its events."""
        store = make(patience=replace(FAST, deadline=0.5, looks=1000))
        cloud.let(Trouble.CORRUPTS, "/03")
        with pytest.raises(Incomplete, match=r"(?s)EXPIRED.*VERIFY_CHECKSUM"):
            store.put(source, "data", NAMES, no_progress)

    def test_a_task_that_never_ends(self, make: Any, cloud: Cloud, source: Path) -> None:
        """Not even at its deadline: we end it."""
        store = make(patience=replace(FAST, deadline=0.3, overtime=0.2))
        cloud.let(Trouble.HANGS)
        with pytest.raises(LocationUnreachable, match="does not end"):
            store.put(source, "data", NAMES, no_progress)
        assert sent(cloud)[0].fatal["code"] == "CANCELED"

    def test_somebody_cancels(self, store: GlobusStore, cloud: Cloud, source: Path) -> None:
        """That is a no, which is not tried again by itself."""

        def cancel(_done: int, _total: int) -> None:
            sent(cloud)[0].cancel("canceled by the administrator: moving house")

        with pytest.raises(Refused, match="moving house"):
            store.put(source, "data", NAMES, cancel)

    def test_spoilt_bytes_come_again(self, store: GlobusStore, cloud: Cloud, source: Path) -> None:
        """Globus notices, and so nothing is wrong in the end."""
        cloud.let(Trouble.CORRUPTS, "/03", times=1)
        assert store.put(source, "data", NAMES, no_progress) == store.read_back("data", no_progress)

    def test_a_file_that_changes_between(self, store: GlobusStore, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Other bytes than were hashed here are no success: our own digest goes along."""
        real = store._moving.put

        def later(*given: Any, **named: Any) -> None:
            (source / "03").write_bytes(b"x" * 1000)
            real(*given, **named)

        monkeypatch.setattr(store._moving, "put", later)
        with pytest.raises(IntegrityError, match="EXTERNAL_CHECKSUM_MISMATCH"):
            store.put(source, "data", NAMES, no_progress)

    @pytest.mark.parametrize("trouble", [Trouble.TRUNCATES, Trouble.LEAVES_OUT])
    def test_a_wrong_success_is_seen_when_bytes_are_read_back(
        self, store: GlobusStore, cloud: Cloud, source: Path, trouble: Trouble
    ) -> None:
        """Half a file, or none, where the task says that all is well and the file was checked."""
        cloud.let(trouble, "/03")
        manifest = store.put(source, "data", NAMES, no_progress)
        cloud.mend()
        assert manifest.difference(store.read_back("data", no_progress)) == ["03"]
        assert store.put(source, "data", NAMES, no_progress) == store.read_back("data", no_progress)

    def test_a_delete_that_did_nothing(self, store: GlobusStore, cloud: Cloud, source: Path) -> None:
        """Is looked at, and said."""
        store.put(source, "data", NAMES, no_progress)
        cloud.let(Trouble.LEAVES_OUT, "/data")
        with pytest.raises(Incomplete, match="stands there"):
            store.delete("data")

    def test_every_code_that_is_published_is_known(self) -> None:
        """Each code of an event is one of ours; those of a task that is well are none."""
        listed = """ABEND ACL_CHANGED AMBIGUOUS_PATH AUTH CANCELED CLOCK CONNECT_FAILED CONNECTION_BROKEN CONNECTION_RESET ENDPOINT_ERROR
            ENDPOINT_TOO_BUSY EXPIRED EXTERNAL_CHECKSUM_MISMATCH FILE_ACCESS FILE_NOT_FOUND FILE_SIZE_CHANGED GC_NOT_CONNECTED GC_PAUSED
            GSI_DN_MISMATCH INTERNAL_ERROR INVALID_PATH_NAME INVALID_SERVICE_CREDENTIAL INVALID_SYMLINK IS_A_DIRECTORY IS_A_FILE
            LIMIT_EXCEEDED MPU_NOT_FOUND NO_APPEND_FILESYSTEM NO_CREDENTIALS NO_PHYSICALS NO_SPACE_LEFT NOT_A_DIRECTORY NOT_A_FILE
            NOT_A_SYMLINK PAUSED PERMISSION_DENIED QUOTA_EXCEEDED TIMEOUT UNKNOWN VERIFY_CHECKSUM"""
        assert set(listed.split()) == globus_errors.EVENTS.keys()
        assert {"PERMISSION_DENIED", "FILE_NOT_FOUND", "QUOTA_EXCEEDED"} <= globus_errors.STUBBORN
        assert not {"CONNECTION_RESET", "VERIFY_CHECKSUM", "GC_NOT_CONNECTED"} & globus_errors.STUBBORN


class TestCrashes:
    """A run that ends in the middle, and the one that comes after it."""

    def cut_off(self, store: GlobusStore, source: Path, names: list[str] = NAMES) -> None:
        """Put, and be gone while the task is ACTIVE."""

        def gone(_done: int, _total: int) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            store.put(source, "data", names, gone)

    def test_a_task_that_is_still_its_own_is_taken_up(self, make: Any, cloud: Cloud, source: Path, here: Path) -> None:
        """And no second one is submitted."""
        cloud.polls = 5
        self.cut_off(make(), source)
        assert len(records(here)) == 1
        manifest = make().put(source, "data", NAMES, no_progress)
        assert len(sent(cloud)) == 1
        assert not records(here)
        assert make().read_back("data", no_progress) == manifest

    def test_one_that_ended_meanwhile_is_not_believed(self, make: Any, cloud: Cloud, source: Path, tmp_path: Path) -> None:
        """What it brought may be gone again: another one looks, and sends what is missing."""
        self.cut_off(make(), source)
        cloud.finish()
        (tmp_path / "there" / "lab" / "data" / "03").unlink()
        manifest = make().put(source, "data", NAMES, no_progress)
        assert len(sent(cloud)) == 2
        assert (sent(cloud)[1].document()["files_transferred"], sent(cloud)[1].document()["files_skipped"]) == (1, 4)
        assert make().read_back("data", no_progress) == manifest

    def test_an_answer_that_was_lost(self, make: Any, cloud: Cloud, source: Path, here: Path) -> None:
        """The submission is written down first: the next run sends it again under its id, and there is one task."""
        cloud.polls = 5
        make().put(source, "data", [], no_progress)
        cloud.let(Trouble.ANSWER_IS_LOST, "POST /v0.10/transfer", times=1)
        with pytest.raises(LocationUnreachable, match="does not answer"):
            make().put(source, "data", NAMES, no_progress)
        assert len(sent(cloud)) == len(records(here)) == 1
        make().put(source, "data", NAMES, no_progress)
        assert len(sent(cloud)) == 1

    def test_an_old_task_writes_no_more_when_a_new_one_begins(self, make: Any, cloud: Cloud, source: Path) -> None:
        """Other files for the same folder, or its removal: what is left from before is ended first, however long that takes."""
        cloud.polls = 50
        cloud.let(Trouble.CANCELS_LATE, times=1)
        self.cut_off(make(), source)
        cloud.polls = 5
        (source / "03").write_bytes(b"other")
        manifest = make().put(source, "data", NAMES, no_progress)
        first, second = sent(cloud)
        assert first.fatal["code"] == "CANCELED"
        assert first.completed <= second.requested
        assert make().read_back("data", no_progress) == manifest
        self.cut_off(make(), source, ["00"])
        make().delete("data")
        assert all(task.ended for task in sent(cloud))

    def test_a_removal_that_was_left_behind_takes_nothing_new(self, make: Any, cloud: Cloud, source: Path) -> None:
        """A delete that still waits in Globus' queue would take what was put there since."""
        store = make()
        store.put(source, "data", NAMES, no_progress)
        cloud.let(Trouble.ANSWER_IS_LOST, "POST /v0.10/delete", times=1)
        cloud.polls = 5
        with pytest.raises(LocationUnreachable):
            store.delete("data")
        make().put(source, "data", NAMES, no_progress)
        cloud.finish()
        assert make().names("data") == NAMES

    def test_a_move_waits_for_no_left_over(self, make: Any, cloud: Cloud, source: Path) -> None:
        """What still writes to a folder is ended before the folder gets its name."""
        cloud.polls = 50
        self.cut_off(make(), source)
        make().move("data", "moved")
        assert sent(cloud)[0].ended

    def test_a_record_that_is_worth_nothing(self, make: Any, cloud: Cloud, source: Path, here: Path) -> None:
        """Of a task that Globus does not know, or half written: it is forgotten."""
        cloud.polls = 5
        self.cut_off(make(), source)
        cloud.tasks.clear()
        self.cut_off(make(), source)
        records(here)[0].write_bytes(b"{")
        make().put(source, "data", NAMES, no_progress)
        assert not records(here)

    def test_a_submission_that_nobody_takes_any_more(self, make: Any, cloud: Cloud, source: Path, here: Path) -> None:
        """Written down, never answered, and too old by now: it never was a task, and another one is submitted."""
        cloud.let(Trouble.REQUEST_IS_LOST, "POST /v0.10/transfer", times=1)
        with pytest.raises(LocationUnreachable):
            make().put(source, "data", NAMES, no_progress)
        cloud.submissions.clear()
        assert len(records(here)) == 1
        make().put(source, "data", NAMES, no_progress)
        assert not records(here)

    def test_a_service_that_renames_over_an_empty_folder(self, make: Any, cloud: Cloud, source: Path) -> None:
        """Is not asked to: both stay."""
        store = make()
        store.put(source, "one", NAMES, no_progress)
        store.put(source, "two", [], no_progress)
        cloud.let(Trouble.RENAMES_OVER)
        with pytest.raises(IntegrityError, match="already there"):
            store.move("one", "two")
        assert (store.names("one"), store.names("two")) == (NAMES, [])

    def test_a_rename_whose_answer_was_lost(self, make: Any, cloud: Cloud, source: Path) -> None:
        """The SDK asks again, is told that there is nothing, and yet it is done."""
        store = make(retries=2)
        store.put(source, "data", NAMES, no_progress)
        cloud.let(Trouble.ANSWER_IS_LOST, "/rename", times=1)
        store.move("data", "moved")
        assert store.names("moved") == NAMES
        with pytest.raises(LocationUnreachable, match="is not there"):
            store.move("data", "else")


class TestReadingBack:
    """Bytes come back to be hashed."""

    def test_so_much_at_once(self, make: Any, cloud: Cloud, source: Path, here: Path) -> None:
        """No more than the spool may hold, which is empty afterwards; a file that is larger comes alone."""
        (source / "05").write_bytes(os.urandom(9000))
        names = [*NAMES, "05"]
        manifest = make().put(source, "data", names, no_progress)
        before, told = len(cloud.tasks), []
        assert make(spool=2500).read_back("data", lambda done, total: told.append((done, total))) == manifest
        assert [task.counts["bytes_transferred"] for task in list(cloud.tasks.values())[before:]] == [2000, 2000, 1000, 9000]
        assert told == [(2, 6), (4, 6), (5, 6), (6, 6)]
        assert spooled(here) == []

    @pytest.mark.parametrize("trouble", [Trouble.TRUNCATES, Trouble.LEAVES_OUT])
    def test_what_the_way_back_loses_is_no_damage(
        self, store: GlobusStore, cloud: Cloud, source: Path, here: Path, trouble: Trouble
    ) -> None:
        """The copy over there is not blamed for what did not arrive here."""
        store.put(source, "data", NAMES, no_progress)
        cloud.let(trouble, "/data/03")
        for call in (lambda: store.read_back("data", no_progress), lambda: store.get("data", here / "out", NAMES, no_progress)):
            with pytest.raises(LocationUnreachable, match="not here whole"):
                call()
        cloud.let(Trouble.LEAVES_OUT, "location.json")
        store._seen = None
        with pytest.raises(LocationUnreachable, match="not here whole"):
            store.identity()
        assert spooled(here) == []

    def test_a_task_that_nobody_waits_for_is_ended(self, store: GlobusStore, cloud: Cloud, source: Path, here: Path) -> None:
        """It would fill a folder that is gone."""
        store.put(source, "data", NAMES, no_progress)
        cloud.let(Trouble.DENIED, "/data/03")
        with pytest.raises(ConfigurationError, match="PERMISSION_DENIED"):
            store._moving.fetch("data", here, NAMES)
        cloud.mend()
        cloud.let(Trouble.PAUSED)
        with pytest.raises(LocationUnreachable, match="maintenance"):
            store.read_back("data", no_progress)
        assert all(task.ended for task in cloud.tasks.values())
        assert spooled(here) == []

    def test_what_a_killed_run_left_in_the_spool_goes(self, store: GlobusStore, source: Path, here: Path) -> None:
        """And what a living one uses stays."""
        store.put(source, "data", NAMES, no_progress)
        home = here / ".coldchain-globus" / "place" / "spool"
        for name in ("dead", "orphan", "alive"):
            (home / name).mkdir(parents=True)
            (home / name / "file").touch()
        (home / "dead.lock").touch()
        code = "import fcntl, sys, time; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX); print(1, flush=True); time.sleep(60)"
        with subprocess.Popen([sys.executable, "-c", code, home / "alive.lock"], stdout=subprocess.PIPE) as living:
            try:
                living.stdout.readline()
                store.read_back("data", no_progress)
                assert sorted(path.name for path in spooled(here)) == ["alive", "alive.lock"]
            finally:
                living.kill()
        store.read_back("data", no_progress)
        assert spooled(here) == []

    def test_the_marker_is_read_once_as_long_as_it_stands(self, store: GlobusStore, cloud: Cloud, tmp_path: Path) -> None:
        """Each look at it would be a task; where it is listed otherwise, it is read again."""
        identity, tasks = store.identity(), len(cloud.tasks)
        assert store.identity() == identity
        assert len(cloud.tasks) == tasks
        marker = tmp_path / "there" / "lab" / ".coldchain" / "location.json"
        marker.write_bytes(b'{"identity": "another"}\n')
        assert store.identity() == "another"
        marker.unlink()
        with pytest.raises(LocationUnreachable, match="no such file"):
            store.identity()

    def test_what_changed_in_the_same_second_is_read(self, store: GlobusStore, source: Path) -> None:
        """The collection tells whole seconds: what may be later counts as later."""
        store.put(source, "data", NAMES, no_progress)
        for name in NAMES:
            os.utime(source.parents[2] / "there" / "lab" / "data" / name, (1_000_000_000.9, 1_000_000_000.9))
        at = dt.datetime.fromtimestamp(1_000_000_000.5, dt.UTC)
        assert store.changed("data", at) == NAMES
        assert store.changed("data", at + dt.timedelta(seconds=1)) == []

    def test_long_listings(self, store: GlobusStore, cloud: Cloud, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Come in pages, all of them."""
        store.put(source, "data", NAMES, no_progress)
        monkeypatch.setattr(globus_folders, "PAGE", 2)
        before = len(cloud.asked)
        assert store.names("data") == NAMES
        assert sum(where.endswith("/ls") for where in cloud.asked[before:]) == 3


class TestTheService:
    """Credentials, consents, and a network that fails."""

    def test_a_wrong_secret(self, cloud: Cloud, here: Path) -> None:
        """Said as what it is, and never with the secret; nor is it in what led to the error."""
        cloud_secret, cloud.client_secret = cloud.client_secret, "another"
        login = {"client_id": cloud.client_id, "client_secret": cloud_secret}
        store = GlobusStore(globus_place("/lab", here), here, lambda: login, patience=FAST, retries=0)
        with pytest.raises(ConfigurationError, match="does not know these credentials") as raised:
            store.identity()
        said = "".join(traceback.format_exception(raised.value)) + repr(store) + repr(store.location)
        assert cloud_secret not in said

    def test_secrets_are_taken_out_of_what_others_say(self) -> None:
        """Wherever they stand in it."""
        assert "hush" not in globus_errors.clean("token hush refused", ["hush"])

    @pytest.mark.parametrize("said", [{}, {"client_id": "x"}, {"client_id": "x", "client_secret": ""}, "x"])
    def test_half_a_login(self, here: Path, said: Any) -> None:
        """Is a matter of the block, and nothing is asked."""
        with pytest.raises(ConfigurationError, match="not whole"):
            GlobusStore(globus_place("/lab", here), here, lambda: said).identity()

    def test_a_token_that_ran_out(self, make: Any, cloud: Cloud) -> None:
        """Another one is fetched."""
        store = make(retries=1)
        identity = store.register()
        cloud.tokens.clear()
        assert store.identity() == identity

    def test_a_consent_that_can_be_had(self, make: Any, cloud: Cloud) -> None:
        """Is asked for, for both collections, without anybody."""
        cloud.needs_consent = {THERE, HERE}
        assert make().register() == make().identity()

    def test_a_consent_that_cannot_be_had(self, make: Any, cloud: Cloud) -> None:
        """Is named by its scope, with what to do."""
        cloud.needs_consent, cloud.gives_consent = {THERE}, False
        with pytest.raises(ConfigurationError, match=rf"(?s)consent.*all\[\*https.*{THERE}/data_access\].*administrator"):
            make().identity()

    @pytest.mark.parametrize("trouble", [Trouble.TOO_MANY_REQUESTS, Trouble.UNAVAILABLE, Trouble.REQUEST_IS_LOST, Trouble.NO_JSON])
    def test_what_passes(self, make: Any, cloud: Cloud, source: Path, trouble: Trouble) -> None:
        """Is tried again as the service asks, and is an error of the transient kind in the end."""
        cloud.let(trouble, "submission_id", times=1)
        make(retries=2).put(source, "data", NAMES, no_progress)
        cloud.let(trouble, "GET /v0.10/task/")
        with pytest.raises(LocationUnreachable):
            make().put(source, "more", NAMES, no_progress)

    def test_a_machine_that_is_not_connected(self, store: GlobusStore, cloud: Cloud) -> None:
        """Try again later, with what to look at."""
        cloud.let(Trouble.GATEWAY_IS_OFF)
        with pytest.raises(LocationUnreachable, match=r"(?s)not connected.*is its machine up"):
            store.exists("data")

    def test_a_folder_that_may_not_be_read(self, store: GlobusStore, cloud: Cloud) -> None:
        """Said with whom to give which right."""
        cloud.let(Trouble.DENIED, "/lab")
        with pytest.raises(ConfigurationError, match=r"(?s)EndpointPermissionDenied.*clients\.auth\.globus\.org"):
            store.children("")

    def test_a_collection_that_is_none(self, cloud: Cloud, here: Path) -> None:
        """Said with where to look."""
        location = globus_place("/lab", here)
        settings = location.globus.model_copy(update={"collection": HERE[::-1]})
        with pytest.raises(ConfigurationError, match=r"(?s)no such collection.*globus"):
            opened(cloud, location.model_copy(update={"globus": settings}), here, retries=0).identity()

    def test_a_code_that_nobody_knows(self, cloud: Cloud, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """Is an error of ours, by its status, with the service's words."""
        from coldchain.testing.globus.documents import Refusal

        answers: list[int] = []

        def odd(*_given: Any) -> None:
            raise Refusal(answers[-1], "Brand.New", "nobody expects this")

        monkeypatch.setattr(cloud, "root", odd)
        for status, kind in ((400, InputError), (403, ConfigurationError), (418, LocationUnreachable), (500, LocationUnreachable)):
            answers.append(status)
            with pytest.raises(kind, match=r"nobody expects this \(Brand\.New, HTTP"):
                make().identity()

    def test_what_the_sdk_itself_refuses(self) -> None:
        """Is a matter of the site's settings."""
        from globus_sdk import GlobusSDKUsageError

        with pytest.raises(ConfigurationError, match="cannot be used"), globus_errors.border("place"):
            raise GlobusSDKUsageError("so not")


def described(here: Path, **more: Any) -> Location:
    """A location as a site file describes it."""
    return globus_place("/lab", here, **more)


class TestWithSsh:
    """Where ssh reaches the machine too."""

    def test_nothing_comes_back_to_be_hashed(self, cloud: Cloud, here: Path, source: Path, sshd: Path, tmp_path: Path) -> None:
        """The bytes go once, are hashed and protected where they stand, and the root may have two names."""
        location = described(here, ssh={"host": "centre", "python": sys.executable}, protection="strongest")
        settings = location.globus.model_copy(update={"here_path": "/", "path": "/lab"})
        location = location.model_copy(update={"globus": settings, "root": str(tmp_path / "there" / "lab")})
        store = opened(cloud, location, here, kind=GlobusSshStore, config=sshd)
        try:
            store.register()
            manifest = store.put(source, "data", NAMES, no_progress)
            assert store.read_back("data", no_progress) == manifest
            assert len(cloud.tasks) == 1
            assert store.capacity().total < 10**15
            store.write_manifest("data", manifest)
            assert store.protect("data").method != "none"
            store.set_aside("data", f"{TRASH}1")
            store.destroy(f"{TRASH}1")
        finally:
            store.close()

    @pytest.fixture
    def beside(self, cloud: Cloud, here: Path, sshd: Path, tmp_path: Path) -> Iterator[Callable[[], GlobusSshStore]]:
        """Open stores whose machine ssh reaches, each as another run would."""
        location = described(here, ssh={"host": "centre", "python": sys.executable})
        settings = location.globus.model_copy(update={"here_path": "/", "path": "/lab"})
        location = location.model_copy(update={"globus": settings, "root": str(tmp_path / "there" / "lab")})
        stores: list[GlobusSshStore] = []

        def made() -> GlobusSshStore:
            stores.append(opened(cloud, location, here, kind=GlobusSshStore, config=sshd, retries=0))
            return stores[-1]

        yield made
        for store in stores:
            store.close()

    def test_what_cannot_be_sent_is_refused_first(self, beside: Any, source: Path, tmp_path: Path) -> None:
        """A source that Globus does not reach, and a name that it cannot hold: nothing is made over there."""
        store = beside()
        for given, names, kind in ((tmp_path, [], ConfigurationError), (source, ["a\r\nb"], UnsafePathError)):
            with pytest.raises(kind):
                store.put(given, "data", names, no_progress)
        assert not store.exists("data")

    def test_a_left_over_writes_nothing_into_what_is_moved_or_removed(self, beside: Any, cloud: Cloud, source: Path) -> None:
        """It is ended first."""
        cloud.polls = 50
        for change in (lambda store: store.move("data", "moved"), lambda store: store.delete("data")):
            TestCrashes().cut_off(beside(), source)
            assert not sent(cloud)[-1].ended
            change(beside())
            assert sent(cloud)[-1].ended

    def test_engines_are_opened_by_the_site(self, here: Path) -> None:
        """With and without ssh, and nothing is asked of anybody."""
        site = Site.model_construct(site="lab")
        assert isinstance(open_store(site, described(here)), GlobusStore)
        assert isinstance(open_store(site, described(here, ssh={"host": "centre"})), GlobusSshStore)

    def test_only_with_ssh_is_there_protection(self, here: Path) -> None:
        """Globus protects nothing: a location that says so is refused."""
        with pytest.raises(ValueError, match="engine globus has no protection permissions: choose none"):
            described(here, protection="permissions")
        assert described(here, protection="permissions", ssh={"host": "centre"}).protection is Protection.PERMISSIONS


@pytest.mark.server
@pytest.mark.usefixtures("prefect_server")
class TestBlocks:
    """The credentials come from a Secret block."""

    def test_a_site_names_a_block(self, cloud: Cloud, tmp_path: Path) -> None:
        """Loaded when it is first needed."""
        from prefect.blocks.system import Secret

        Secret(value={"client_id": cloud.client_id, "client_secret": cloud.client_secret}).save("globus", overwrite=True)
        location = globus_place("/lab", tmp_path / "here")
        settings = location.globus.model_copy(update={"here_path": "/"})
        store = open_store(Site.model_construct(site="lab"), location.model_copy(update={"globus": settings}))
        assert store.register() == store.identity()
        assert cloud.client_secret not in repr(location) + repr(store)

    def test_a_missing_block_is_named(self, tmp_path: Path) -> None:
        """With where to read how it is made."""
        location = globus_place("/lab", tmp_path / "here")
        settings = location.globus.model_copy(update={"block": "nothing-here"})
        with pytest.raises(ConfigurationError, match=r"(?s)secret/nothing-here.*Globus"):
            open_store(Site.model_construct(site="lab"), location.model_copy(update={"globus": settings})).identity()


def test_errors_are_ours() -> None:
    """Whatever is told of a task is one of our errors, a code that nobody knows too."""
    for code in (*globus_errors.EVENTS, "BRAND_NEW", ""):
        assert isinstance(globus_errors.of_task(code, "words", on="place", task_id="1"), ColdchainError)
