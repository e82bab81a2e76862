"""The catalogue: what it keeps, what it refuses, and what happens when two come at once."""

from __future__ import annotations

import datetime as dt
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.exc import StatementError

from coldchain.copies import Artifact, CopyState
from coldchain.dataset import Dataset, Project
from coldchain.errors import ColdchainError, ConfigurationError, LeaseTaken, NotInCatalogue, RemovalRefused
from coldchain.holds import Use
from coldchain.levels import Level
from coldchain.policy import Ground
from coldchain.provenance import Activity
from coldchain.sql import leases, tables
from coldchain.sql.catalogue import SqlCatalogue

NOW = dt.datetime(2030, 1, 15, 12, tzinfo=dt.UTC)
DATASET = "PRJ-0001/PLATE-A"
REPOSITORY = Path(__file__).resolve().parents[2]


def activity(key: str = "act-1", fingerprint: str = "f1") -> Activity:
    """How something was made."""
    return Activity(
        key,
        "correct",
        fingerprint,
        ("in@1", "in@2"),
        {"sigma": 1.5},
        "0.1",
        "lock",
        "ada@lab",
        NOW,
        NOW + dt.timedelta(hours=1),
        {"digest": "m"},
        {"cpus": 2},
        "7",
        {"ok": 3},
    )


def artifact(level: Level = Level.CORRECTED, digest: str = "ab", made_by: str = "act-1", at: dt.datetime = NOW) -> Artifact:
    """An artifact of the dataset."""
    return Artifact(DATASET, level, digest * (64 // len(digest)), 3, 5_000_000_000, made_by, at)


# what it keeps


def test_projects_and_datasets_come_back_as_they_were(catalogue: SqlCatalogue) -> None:
    """What was saved is what is read, and saving again changes it in place."""
    assert catalogue.project("PRJ-0001").title == "Nuclei"
    catalogue.save_project(Project(id="PRJ-0001", title="Nuclei II"))
    assert [project.title for project in catalogue.projects()] == ["Nuclei II"]
    assert catalogue.dataset(DATASET).channels == {1: "DNA"}
    assert catalogue.datasets() == [catalogue.dataset(DATASET)]


def test_a_dataset_needs_its_project(catalogue: SqlCatalogue) -> None:
    """A dataset of an unknown project is refused."""
    with pytest.raises(NotInCatalogue, match="no such project"):
        catalogue.save_dataset(Dataset(project="PRJ-0002", name="A", pattern="plain", channels={1: "DNA"}))


UNKNOWN: dict[str, Callable[[SqlCatalogue], object]] = {
    "project": lambda c: c.project("PRJ-0009"),
    "dataset": lambda c: c.dataset("PRJ-0001/NONE"),
    "artifact": lambda c: c.artifact(artifact().id),
    "artifact with an odd name": lambda c: c.artifact("nonsense"),
    "activity": lambda c: c.activity("none"),
    "copies of an artifact": lambda c: c.copies(artifact=artifact().id),
    "start of a copy": lambda c: c.start_copy(artifact().id, "nas", "p", NOW),
    "change of a copy": lambda c: c.change_copy(99, detail="x"),
    "hold on a dataset": lambda c: c.add_hold("PRJ-0001/NONE", "r", "w", NOW.date()),
    "end of a hold": lambda c: c.end_hold(99),
    "artifact of an unknown dataset": lambda c: c.record(
        activity(), Artifact("PRJ-0001/NONE", Level.RAW, "ab" * 32, 1, 1, "act-1", NOW), "nas", NOW
    ),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_is_not_there_is_told(catalogue: SqlCatalogue, name: str) -> None:
    """Asking for what is not in the catalogue is an error of its own."""
    with pytest.raises(NotInCatalogue):
        UNKNOWN[name](catalogue)


def test_recording_keeps_how_it_was_made(catalogue: SqlCatalogue) -> None:
    """Activity, artifact and a copy that is being put in place are written down together."""
    copy = catalogue.record(activity(), artifact(), "scratch", NOW)
    assert (copy.state, copy.location, copy.path, copy.created_at) == (CopyState.COPYING, "scratch", artifact().folder, NOW)
    assert catalogue.artifact(artifact().id) == artifact()
    assert catalogue.activity("act-1") == activity()
    assert catalogue.made("f1") == [artifact()]
    assert catalogue.made("f2") == []


def test_what_two_activities_made_is_one_artifact(catalogue: SqlCatalogue) -> None:
    """The same bytes made twice are one artifact with one copy; both ways to it are kept, and the first is its own."""
    first = catalogue.record(activity(), artifact(), "scratch", NOW)
    second = catalogue.record(activity("act-2", "f2"), artifact(made_by="act-2"), "scratch", NOW)
    assert first == second
    assert catalogue.artifacts() == [artifact()]
    assert catalogue.made("f1") == catalogue.made("f2") == [artifact()]
    assert catalogue.activity("act-2").fingerprint == "f2"


def test_recording_twice_changes_nothing(catalogue: SqlCatalogue) -> None:
    """A run that was cut off after it had recorded may record again."""
    catalogue.record(activity(), artifact(), "scratch", NOW)
    catalogue.record(activity(), artifact(), "scratch", NOW)
    assert len(catalogue.artifacts()) == len(catalogue.copies()) == 1


def test_artifacts_come_newest_last(catalogue: SqlCatalogue) -> None:
    """In the order they were made, whatever order they were written down in; by dataset and level where asked."""
    old, new = artifact(digest="cd", at=NOW - dt.timedelta(days=1)), artifact()
    catalogue.record(activity(), new, "nas", NOW)
    catalogue.record(activity(), old, "nas", NOW)
    catalogue.record(activity(), artifact(Level.RAW, "ef"), "nas", NOW)
    assert catalogue.artifacts(DATASET, Level.CORRECTED) == [old, new]
    assert catalogue.artifacts("PRJ-0001/OTHER") == []
    assert len(catalogue.artifacts(level=Level.RAW)) == 1


def test_one_copy_at_a_location_until_it_is_removed(catalogue: SqlCatalogue, gone: Callable[[list[int]], str]) -> None:
    """Starting a copy where one is gives that one; after its removal, a new one."""
    catalogue.record(activity(), artifact(), "scratch", NOW)
    one = catalogue.start_copy(artifact().id, "nas", "p", NOW)
    assert catalogue.start_copy(artifact().id, "nas", "p", NOW) == one
    catalogue.change_copy(one.id, state=CopyState.TRASHED)
    assert catalogue.start_copy(artifact().id, "nas", "p", NOW).id == one.id
    gone([one.id])
    assert catalogue.start_copy(artifact().id, "nas", "p", NOW).id != one.id


def test_two_copies_in_use_at_one_place_cannot_be(catalogue: SqlCatalogue) -> None:
    """The database itself refuses a second copy in use of an artifact at a location."""
    catalogue.record(activity(), artifact(), "nas", NOW)
    row = {"artifact_id": 1, "location": "nas", "path": "p", "state": "verified", "created_at": NOW}
    with pytest.raises(sa.exc.IntegrityError), catalogue.writing.begin() as db:
        db.execute(sa.insert(tables.copy).values(**row))


def test_copies_are_found_by_artifact_place_and_state(catalogue: SqlCatalogue) -> None:
    """Each filter narrows, oldest first."""
    first = catalogue.record(activity(), artifact(), "nas", NOW)
    second = catalogue.start_copy(artifact().id, "cold", "p", NOW)
    catalogue.change_copy(second.id, state=CopyState.VERIFIED, verified_at=NOW, due_at=NOW, protection="immutable", detail="d")
    assert [copy.id for copy in catalogue.copies()] == [first.id, second.id]
    assert [copy.id for copy in catalogue.copies(location="cold")] == [second.id]
    assert [copy.id for copy in catalogue.copies(states=[CopyState.COPYING])] == [first.id]
    (found,) = catalogue.copies(artifact=artifact().id, location="cold", states=[CopyState.VERIFIED])
    assert (found.verified_at, found.due_at, found.protection, found.detail) == (NOW, NOW, "immutable", "d")


def trashed(catalogue: SqlCatalogue) -> int:
    """A copy in the trash."""
    copy = catalogue.record(activity(), artifact(), "nas", NOW)
    return catalogue.change_copy(copy.id, state=CopyState.TRASHED).id


def test_a_receipt_says_what_was_written_down_before_the_bytes_went(catalogue: SqlCatalogue) -> None:
    """The latest account of each copy, the policy, who and when; then nothing is being deleted any more."""
    copy = trashed(catalogue)
    catalogue.begin_deletion(copy, {"copy": copy, "why": "first"})
    catalogue.begin_deletion(copy, {"copy": copy, "why": "due", "at": NOW})
    assert catalogue.deleting(copy)
    digest = catalogue.close_removals([copy], "lab v1", "ada", NOW)
    (receipt,) = catalogue.receipts("removal")
    assert receipt["removed"] == [{"copy": copy, "why": "due", "at": str(NOW)}]
    assert (receipt["policy"], receipt["who"], receipt["digest"]) == ("lab v1", "ada", digest)
    assert catalogue.copies()[0].state is CopyState.REMOVED
    assert not catalogue.deleting(copy)


def test_removal_and_receipt_are_one_step(catalogue: SqlCatalogue) -> None:
    """A receipt that cannot be kept leaves the copies as they were, and their accounts too."""
    copy = trashed(catalogue)
    catalogue.begin_deletion(copy, {"copy": copy})
    with pytest.raises(sa.exc.StatementError, match="without a time zone"):
        catalogue.close_removals([copy], "lab v1", "ada", NOW.replace(tzinfo=None))
    assert catalogue.copies()[0].state is CopyState.TRASHED
    assert catalogue.deleting(copy)
    assert catalogue.receipts("removal") == []


@pytest.mark.parametrize("state", sorted(set(CopyState) - {CopyState.TRASHED}))
def test_only_what_is_in_the_trash_is_deleted(catalogue: SqlCatalogue, state: CopyState) -> None:
    """A copy that came back meanwhile, or was removed before, keeps its state: neither an account nor a receipt is written."""
    copy = trashed(catalogue)
    catalogue.begin_deletion(copy, {"copy": copy})
    catalogue.change_copy(copy, state=state)
    for act in (lambda: catalogue.begin_deletion(copy, {}), lambda: catalogue.close_removals([copy], "lab v1", "ada", NOW)):
        with pytest.raises(RemovalRefused, match="not in the trash"):
            act()
    assert catalogue.copies()[0].state is state
    assert catalogue.receipts("removal") == []


def test_a_copy_that_comes_back_is_not_being_deleted(catalogue: SqlCatalogue) -> None:
    """Its account is forgotten: what is put in the trash again later begins anew, and gets no receipt without an account."""
    copy = trashed(catalogue)
    catalogue.begin_deletion(copy, {"copy": copy})
    catalogue.change_copy(copy, state=CopyState.VERIFIED)
    catalogue.change_copy(copy, state=CopyState.TRASHED)
    assert not catalogue.deleting(copy)
    with pytest.raises(RemovalRefused, match="never begun"):
        catalogue.close_removals([copy], "lab v1", "ada", NOW)
    assert catalogue.copies()[0].state is CopyState.TRASHED


def test_a_removal_ends_what_people_were_told_of_it(catalogue: SqlCatalogue) -> None:
    """With the receipt its proposal is closed, and nobody is asked for a copy that is gone; what was told of others stays open."""
    copy = trashed(catalogue)
    other = catalogue.start_copy(artifact().id, "cold", "p", NOW).id
    catalogue.propose([(copy, Ground.ORIGINAL_STANDS), (other, Ground.ORIGINAL_STANDS)], "digest", NOW)
    catalogue.begin_deletion(copy, {"copy": copy})
    assert len(catalogue.proposals()) == 2
    catalogue.close_removals([copy], "lab v1", "ada", NOW)
    assert [proposal.copy for proposal in catalogue.proposals()] == [other]


def test_receipts_are_kept_with_who_and_when(catalogue: SqlCatalogue) -> None:
    """Receipts come oldest first, by kind where asked, each with its digest."""
    catalogue.add_receipt("promotion", {"a": 1}, "ada", NOW)
    catalogue.add_receipt("removal", {"b": 2}, "bob", NOW)
    assert [(each["kind"], each["who"], each["at"]) for each in catalogue.receipts()] == [
        ("promotion", "ada", NOW.isoformat()),
        ("removal", "bob", NOW.isoformat()),
    ]
    assert catalogue.receipts("removal")[0]["b"] == 2


def test_a_location_keeps_its_identity(catalogue: SqlCatalogue) -> None:
    """Another medium under a known name is refused, and so is one medium under two names."""
    assert catalogue.identity("nas") is None
    catalogue.save_identity("nas", "one", NOW)
    catalogue.save_identity("nas", "one", NOW)
    assert catalogue.identity("nas") == "one"
    with pytest.raises(ConfigurationError, match="not the store it was"):
        catalogue.save_identity("nas", "two", NOW)
    with pytest.raises(ConfigurationError, match="same store as another"):
        catalogue.save_identity("cold", "one", NOW)


def test_holds_last_until_they_are_ended(catalogue: SqlCatalogue) -> None:
    """A hold is found by its dataset until a person ends it."""
    hold = catalogue.add_hold(DATASET, "paper\nin review", "ada", dt.date(2030, 2, 1))
    assert catalogue.holds() == catalogue.holds(DATASET) == [hold]
    assert catalogue.holds("PRJ-0001/OTHER") == []
    catalogue.end_hold(hold.id)
    assert catalogue.holds() == []


def test_a_moment_without_a_zone_is_refused(catalogue: SqlCatalogue) -> None:
    """A time that could mean two moments is not written down."""
    with pytest.raises(StatementError, match="without a time zone"):
        catalogue.record(activity(), artifact(), "nas", NOW.replace(tzinfo=None))
    assert catalogue.artifacts() == []


def test_a_moment_of_another_zone_is_the_same_moment(catalogue: SqlCatalogue) -> None:
    """What is written in one zone is read as the same moment in UTC."""
    there = NOW.astimezone(dt.timezone(dt.timedelta(hours=9)))
    copy = catalogue.record(activity(), artifact(), "nas", there)
    assert copy.created_at == NOW
    assert copy.created_at.tzinfo is dt.UTC


# leases


def test_a_lease_ends_with_its_context(catalogue: SqlCatalogue) -> None:
    """While the context lasts the lease is there, whatever happens in it; afterwards it is not."""

    def work() -> None:
        with catalogue.lease(["a", "b", "a"], Use.ALONE, NOW) as holder:
            assert [(lease.scope, lease.holder) for lease in catalogue.leases(NOW)] == [("a", holder), ("b", holder)]
            raise RuntimeError("in it")

    with pytest.raises(RuntimeError, match="in it"):
        work()
    assert catalogue.leases(NOW) == []


def test_a_lease_is_taken_whole_or_not_at_all(catalogue: SqlCatalogue) -> None:
    """Where one of several things is in use, none is taken, and the one is named."""
    with catalogue.lease(["b"], Use.READ, NOW), pytest.raises(LeaseTaken) as caught, catalogue.lease(["a", "b"], Use.ALONE, NOW):
        pytest.fail("taken")
    assert caught.value.on == "b"
    with catalogue.lease(["a"], Use.ALONE, NOW):
        assert len(catalogue.leases(NOW)) == 1


def test_readers_share(catalogue: SqlCatalogue) -> None:
    """Many read at once."""
    with catalogue.lease(["a"], Use.READ, NOW), catalogue.lease(["a"], Use.READ, NOW):
        assert len(catalogue.leases(NOW)) == 2


def test_a_lease_is_renewed_while_its_holder_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long piece of work keeps its lease, also when the database did not answer for a moment."""
    monkeypatch.setattr(leases, "LEASE", dt.timedelta(seconds=0.5))
    catalogue = SqlCatalogue(f"sqlite:///{tmp_path}/catalogue.db")
    catalogue.close()
    sa.event.listen(catalogue.engine, "connect", lambda connection, _record: connection.execute("PRAGMA busy_timeout=10"))
    rounds, waited = [], threading.Event()
    sa.event.listen(catalogue.engine, "checkout", lambda *_parts: rounds.append(1))
    long_ago = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
    with catalogue.lease(["a"], Use.ALONE, long_ago):
        other = sqlite3.connect(tmp_path / "catalogue.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        rounds.clear()
        tries = 0
        while len(rounds) < 2 and tries < 300:  # it tries again: so it has missed one round, and lives
            tries += waited.wait(0.1) is False
        other.execute("ROLLBACK")
        other.close()
        tries = 0
        while catalogue.leases(long_ago)[0].until < NOW.replace(year=2001) and tries < 300:
            tries += waited.wait(0.1) is False
        assert catalogue.leases(long_ago)[0].until > NOW.replace(year=2001)
    catalogue.close()


def test_leases_of_the_dead_are_cleared_away(catalogue: SqlCatalogue) -> None:
    """What a killed run left behind hinders nobody, and is gone after the next use of the same thing."""
    with catalogue.writing.begin() as db:
        db.execute(sa.insert(tables.lease).values(scope="a", use="alone", holder="other/1/1/x", until=NOW - dt.timedelta(days=1)))
    assert catalogue.leases(NOW) == []
    with catalogue.lease(["a"], Use.ALONE, NOW):
        pass
    with catalogue.engine.connect() as db:
        assert db.scalar(sa.select(sa.func.count()).select_from(tables.lease)) == 0


def test_of_many_who_come_at_once_one_is_alone(catalogue: SqlCatalogue) -> None:
    """Eight threads want the same thing for themselves at the same moment: one gets it."""
    together, done, got = threading.Barrier(8), threading.Event(), []

    def want() -> None:
        together.wait(timeout=30)
        try:
            with catalogue.lease(["a"], Use.ALONE, NOW):
                got.append("alone")
                done.wait(timeout=30)
        except LeaseTaken:
            got.append("taken")
        if len(got) == 8:
            done.set()

    threads = [threading.Thread(target=want) for _ in range(8)]
    for thread in threads:
        thread.start()
    while len(got) < 8 and any(thread.is_alive() for thread in threads):
        done.wait(0.05)
    done.set()
    for thread in threads:
        thread.join()
    assert sorted(got) == ["alone"] + ["taken"] * 7


LEASING = """
import datetime as dt, sys
from coldchain.sql.catalogue import SqlCatalogue
from coldchain.errors import LeaseTaken
from coldchain.holds import Use
catalogue = SqlCatalogue(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
try:
    with catalogue.lease(["a"], Use.ALONE, dt.datetime.now(dt.UTC)):
        print("alone", flush=True)
        sys.stdin.readline()
except LeaseTaken:
    print("taken", flush=True)
    sys.stdin.readline()
"""


def others(url: str, count: int) -> list[subprocess.Popen[str]]:
    """Processes that open the same catalogue at once."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", LEASING, url]
    return [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        for _ in range(count)
    ]


def ask(process: subprocess.Popen[str], line: str = "") -> str:
    """Send a line, where one is given, and read one back."""
    assert process.stdin
    assert process.stdout
    if line:
        process.stdin.write(line + "\n")
        process.stdin.flush()
    return process.stdout.readline().strip()


def test_processes_that_open_a_new_database_at_once_all_do(url: str) -> None:
    """Three processes make the tables together; then exactly one gets the lease, and after it was killed, another does."""
    processes = others(url, 3)
    try:
        assert [ask(process) for process in processes] == ["ready"] * 3
        for process in processes:
            assert process.stdin
            process.stdin.write("go\n")
            process.stdin.flush()
        said = [ask(process) for process in processes]
        assert sorted(said) == ["alone", "taken", "taken"]
        winner = processes[said.index("alone")]
        winner.kill()
        winner.wait()
        catalogue = SqlCatalogue(url)
        with catalogue.lease(["a"], Use.ALONE, dt.datetime.now(dt.UTC)):
            assert len(catalogue.leases(dt.datetime.now(dt.UTC))) == 1
        catalogue.close()
    finally:
        for process in processes:
            process.kill()
            process.communicate()


# the database


def test_the_migrations_make_the_tables_that_the_code_uses(catalogue: SqlCatalogue) -> None:
    """What Alembic makes and what the code describes are the same, to the last index."""
    with catalogue.engine.connect() as db:
        assert compare_metadata(MigrationContext.configure(db), tables.metadata) == []


def test_opening_again_changes_nothing(catalogue: SqlCatalogue) -> None:
    """A catalogue that is there is opened as it is."""
    again = SqlCatalogue(catalogue.url)
    assert again.dataset(DATASET) == catalogue.dataset(DATASET)
    again.close()


def test_a_catalogue_of_a_newer_version_is_refused(catalogue: SqlCatalogue) -> None:
    """An older program does not write into a newer program's catalogue."""
    with catalogue.writing.begin() as db:
        db.execute(sa.text("update alembic_version set version_num = '9999'"))
    with pytest.raises(ConfigurationError, match="newer"):
        SqlCatalogue(catalogue.url)


def test_opening_a_catalogue_leaves_the_programs_logging_alone(url: str) -> None:
    """Migrations do not configure the logging of whoever opens a catalogue."""
    import logging

    before = list(logging.getLogger().handlers)
    SqlCatalogue(url).close()
    assert logging.getLogger().handlers == before


def test_writes_survive_a_kill(tmp_path: Path) -> None:
    """SQLite writes ahead, and waits for the disk: what was committed is there after a power cut."""
    catalogue = SqlCatalogue(f"sqlite:///{tmp_path}/catalogue.db")
    with catalogue.engine.connect() as db:
        assert db.exec_driver_sql("pragma journal_mode").scalar() == "wal"
        assert db.exec_driver_sql("pragma synchronous").scalar() == 2
        assert db.exec_driver_sql("pragma foreign_keys").scalar() == 1
    catalogue.close()


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    """A catalogue file with something else in it is refused by name, and left as it is."""
    path = tmp_path / "catalogue.db"
    path.write_bytes(b"these are not the bytes of a database" * 100)
    with pytest.raises(ColdchainError, match=r"catalogue\.db"):
        SqlCatalogue(f"sqlite:///{path}")
    assert path.read_bytes().startswith(b"these")


def test_a_password_is_not_told(tmp_path: Path) -> None:
    """A server that cannot be reached is named without its password."""
    pytest.importorskip("psycopg", reason="psycopg is not installed (pip install coldchain[postgres])")
    with pytest.raises(ColdchainError) as caught:
        SqlCatalogue("postgresql+psycopg://ada:secret@127.0.0.1:1/none")
    assert "secret" not in str(caught.value)
