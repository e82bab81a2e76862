"""Running totals, settings and receipts, in the catalogue."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coldchain.copies import Artifact, CopyState, Total
from coldchain.dataset import Dataset, Project
from coldchain.levels import Level
from coldchain.provenance import Activity
from coldchain.sql import tables
from coldchain.sql.catalogue import SqlCatalogue

NOW = dt.datetime(2030, 6, 1, 12, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
Stock = Callable[..., Artifact]


def counted(catalogue: SqlCatalogue) -> list[Total]:
    """The totals as counting every row gives them."""
    group = (tables.copy.c.location, tables.artifact.c.level, tables.copy.c.state)
    amounts = (sa.func.count(), sa.func.sum(tables.artifact.c.bytes))
    query = sa.select(*group, *amounts).select_from(tables.copy.join(tables.artifact)).group_by(*group).order_by(*group)
    with catalogue.engine.connect() as db:
        rows = db.execute(query.where(tables.copy.c.state != "removed")).all()
    return [Total(location, Level(level), CopyState(state), copies, int(size)) for location, level, state, copies, size in rows]


def test_totals_follow_every_change(catalogue: SqlCatalogue, stock: Stock, gone: Callable[[list[int]], str]) -> None:
    """A copy is counted from its start, where it stands and as what it is, until it is removed."""
    stock("aa", level=Level.RAW, places=["nas", "cold"], size=5_000_000_000)
    stock("bb", size=7)
    at_nas = catalogue.copies(location="nas")
    verified = Total("nas", Level.RAW, CopyState.VERIFIED, 1, 5_000_000_000)
    assert verified in catalogue.totals()
    catalogue.change_copy(at_nas[0].id, state=CopyState.SUSPECT)
    assert catalogue.totals() == counted(catalogue)
    assert verified not in catalogue.totals()
    catalogue.set_aside(at_nas[0].id, "p", "w", NOW)
    gone([copy.id for copy in at_nas])
    assert catalogue.totals() == counted(catalogue) == [Total("cold", Level.RAW, CopyState.VERIFIED, 1, 5_000_000_000)]


CHANGES = st.one_of(
    st.tuples(st.just("record"), st.integers(0, 5), st.sampled_from(["nas", "cold"])),
    st.tuples(st.just("change"), st.integers(1, 12), st.sampled_from(sorted(CopyState))),
    st.tuples(st.just("remove"), st.integers(1, 12), st.none()),
    st.tuples(st.just("aside"), st.integers(1, 12), st.none()),
    st.tuples(st.just("fail"), st.integers(1, 12), st.none()),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(changes=st.lists(CHANGES, max_size=25))
def test_totals_are_what_counting_gives(changes: list[tuple[str, int, object]]) -> None:
    """After whatever was done, and whatever was taken back."""
    with tempfile.TemporaryDirectory() as folder:
        catalogue = SqlCatalogue(f"sqlite:///{Path(folder)}/catalogue.db")
        catalogue.save_project(Project(id="PRJ-0001", title="Nuclei"))
        catalogue.save_dataset(Dataset(project="PRJ-0001", name="PLATE-A", pattern="plain", channels={1: "DNA"}))
        for number, (kind, key, value) in enumerate(changes):
            _change(catalogue, kind, key, value, number)
        assert catalogue.totals() == counted(catalogue)
        catalogue.close()


def _change(catalogue: SqlCatalogue, kind: str, key: int, value: object, number: int) -> None:
    copies = {copy.id: copy for copy in catalogue.copies()}
    if kind == "record":
        level = Level.RAW if key % 2 else Level.MASKS
        artifact = Artifact("PRJ-0001/PLATE-A", level, f"{key:064}", 1, 10**key, f"a{key}", NOW)
        catalogue.record(Activity(f"a{key}", "x", "f", (), {}, "0", "l", "ada", NOW, NOW), artifact, str(value), NOW)
    elif key not in copies or copies[key].state is CopyState.REMOVED:
        return
    elif kind == "change":
        catalogue.change_copy(key, state=CopyState(str(value)))
    elif kind == "remove":
        catalogue.change_copy(key, state=CopyState.TRASHED)
        catalogue.begin_deletion(key, {"number": number})
        catalogue.close_removals([key], "lab v1", "ada", NOW)
    elif kind == "aside" and copies[key].state in {CopyState.SUSPECT, CopyState.LOST}:
        catalogue.set_aside(key, "p", "w", NOW)
    elif kind == "fail":
        catalogue.change_copy(key, state=CopyState.TRASHED)
        catalogue.begin_deletion(key, {"number": number})
        with pytest.raises(sa.exc.StatementError, match="without a time zone"):
            catalogue.close_removals([key], "lab v1", "ada", NOW.replace(tzinfo=None))


# settings


def test_settings_are_kept_and_changed(catalogue: SqlCatalogue) -> None:
    """What was noted last under a name; nothing where nothing was."""
    assert catalogue.setting("policy") is None
    catalogue.save_setting("policy", "one")
    catalogue.save_setting("policy", "two")
    catalogue.save_setting("other", "")
    assert (catalogue.setting("policy"), catalogue.setting("other")) == ("two", "")


# receipts


def test_a_receipt_that_is_not_what_was_written_or_is_missing_is_found(catalogue: SqlCatalogue) -> None:
    """By its digest, and by the one after it of its kind, which names it; of the newest so many. An old one without a name is no break."""
    for number in range(6):
        catalogue.add_receipt("sweep" if number % 2 else "removal", {"number": number}, "ada", NOW)
    assert catalogue.broken_receipts(10) == []
    old = json.dumps({"kind": "removal", "who": "ada"})
    row = {"kind": "removal", "at": NOW, "who": "ada", "body": old, "digest": hashlib.sha256(old.encode()).hexdigest()}
    with catalogue.writing.begin() as db:
        db.execute(sa.insert(tables.receipt).values(**row))
        _unseal(db)
        db.execute(sa.text("delete from receipt where id = 3"))
        db.execute(sa.text("update receipt set body = replace(body, 'ada', 'eve') where id = 6"))
    assert catalogue.broken_receipts(10) == [1, 6]
    assert catalogue.broken_receipts(3) == [6]


def _unseal(db: sa.Connection) -> None:
    """Take the triggers away, as somebody who owns the database can."""
    if db.dialect.name == "sqlite":
        for name in ("update", "delete"):
            db.execute(sa.text(f"drop trigger receipt_stays_{name}"))
    else:
        db.execute(sa.text("drop trigger receipt_stays on receipt"))


def test_sqlite_refuses_to_replace_a_receipt(catalogue: SqlCatalogue) -> None:
    """There a row can be replaced without deleting it, by its number or by its digest."""
    digest = catalogue.add_receipt("removal", {"a": 1}, "ada", NOW)
    if catalogue.engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL has no such statement")
    for number, named in ((1, "x"), (7, digest)):
        row = {"id": number, "kind": "removal", "at": NOW, "who": "eve", "body": "{}", "digest": named}
        with pytest.raises(sa.exc.IntegrityError, match="never changed"), catalogue.writing.begin() as db:
            db.execute(sa.insert(tables.receipt).prefix_with("or replace").values(**row))
    assert [each["who"] for each in catalogue.receipts()] == ["ada"]


@pytest.mark.parametrize("order", ["update receipt set who = 'eve'", "delete from receipt"])
def test_the_database_refuses_to_change_a_receipt(catalogue: SqlCatalogue, order: str) -> None:
    """Neither a change nor a deletion gets through, from whatever program it comes."""
    catalogue.add_receipt("removal", {"a": 1}, "ada", NOW)
    before = catalogue.receipts()
    with pytest.raises(sa.exc.IntegrityError, match="never changed"), catalogue.writing.begin() as db:
        db.execute(sa.text(order))
    assert catalogue.receipts() == before


def test_postgresql_refuses_to_empty_the_receipts(postgres_catalogue: SqlCatalogue) -> None:
    """There a table can be emptied without deleting rows."""
    postgres_catalogue.add_receipt("removal", {"a": 1}, "ada", NOW)
    with pytest.raises(sa.exc.IntegrityError, match="never changed"), postgres_catalogue.writing.begin() as db:
        db.execute(sa.text("truncate receipt"))
    assert len(postgres_catalogue.receipts()) == 1


def test_receipts_are_found_by_kind_day_and_number(catalogue: SqlCatalogue) -> None:
    """Oldest first; where only so many are wanted, the newest."""
    for number in range(4):
        catalogue.add_receipt("sweep" if number % 2 else "removal", {"number": number}, "ada", NOW + number * DAY)

    def numbers(**wanted: object) -> list[int]:
        return [each["number"] for each in catalogue.receipts(**wanted)]

    assert numbers() == [0, 1, 2, 3]
    assert numbers(kind="sweep") == [1, 3]
    assert numbers(since=NOW + DAY) == [1, 2, 3]
    assert numbers(limit=2) == [2, 3]
    assert numbers(kind="removal", since=NOW + DAY, limit=1) == [2]


def test_the_newest_receipt_of_a_kind(catalogue: SqlCatalogue) -> None:
    """With its digest; none where there is none."""
    assert catalogue.last_receipt("sweep") is None
    catalogue.add_receipt("sweep", {"number": 1}, "ada", NOW)
    digest = catalogue.add_receipt("sweep", {"number": 2}, "ada", NOW - DAY)
    catalogue.add_receipt("removal", {"number": 3}, "ada", NOW)
    last = catalogue.last_receipt("sweep")
    assert last
    assert (last["number"], last["digest"]) == (2, digest)
