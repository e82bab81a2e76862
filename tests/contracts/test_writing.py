"""The half of every engine's contract that changes what stands there."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from coldchain.errors import IntegrityError, LocationUnreachable, RemovalRefused, UnsafePathError
from coldchain.files import no_progress
from coldchain.store import TRASH
from coldchain.store_posix import MARKER
from tests.contracts.benches import CONTENTS, MANIFEST_OF_ALL, NAMES, Bench

WASTE = f"{TRASH}1-abc"


def put_whole(bench: Bench, source: Path, path: str, names: list[str] = NAMES) -> None:
    """Put files as a transfer does: together in staging, with their manifest, and then under their name."""
    staged = bench.store.staged(path, f".coldchain/staging/{path.replace('/', '-')}")
    bench.store.write_manifest(staged, bench.store.put(source, staged, names, no_progress))
    bench.store.move(staged, path)


def test_registering_again_changes_nothing(bench: Bench) -> None:
    """A location is given an identity once."""
    first = bench.store.identity()
    assert bench.store.register() == first == bench.store.identity()


def test_put_tells_what_was_read(bench: Bench, source: Path) -> None:
    """Putting files gives the manifest of the source, leaves it as it is, and shows progress to the end."""
    told: list[tuple[int, int]] = []
    assert bench.store.put(source, "new/data", NAMES, lambda done, total: told.append((done, total))) == MANIFEST_OF_ALL
    assert bench.store.read_back("new/data", no_progress) == MANIFEST_OF_ALL
    assert bench.tree("new/data") == CONTENTS
    assert {str(path.relative_to(source)): path.read_bytes() for path in source.rglob("*") if path.is_file()} == CONTENTS
    assert told[-1] == (3, 3)


def test_put_again_writes_nothing(bench: Bench, source: Path) -> None:
    """Files that stand whole are left alone."""
    bench.store.put(source, "data", NAMES, no_progress)
    before = bench.state("data")
    assert bench.store.put(source, "data", NAMES, no_progress) == MANIFEST_OF_ALL
    assert bench.state("data") == before


def test_put_completes_what_was_cut_off(bench: Bench, source: Path) -> None:
    """A truncated file, and one that is missing, are written again."""
    bench.store.put(source, "data", NAMES, no_progress)
    bench.spoil("data", "a.tif", b"a" * 10)
    bench.lose("data", "empty")
    assert bench.store.put(source, "data", NAMES, no_progress) == MANIFEST_OF_ALL == bench.store.read_back("data", no_progress)


def test_put_takes_only_what_is_named(bench: Bench, source: Path) -> None:
    """A file that is not named stays where it is."""
    bench.store.put(source, "data", ["a.tif"], no_progress)
    assert bench.store.names("data") == ["a.tif"]


def test_put_refuses_a_missing_file(bench: Bench, source: Path) -> None:
    """A name without a file is an error, not a shorter manifest."""
    with pytest.raises(IntegrityError, match="none"):
        bench.store.put(source, "data", [*NAMES, "none"], no_progress)


def test_put_follows_no_link(bench: Bench, source: Path) -> None:
    """A link among the source's files is not followed, wherever it leads."""
    (source / "link").symlink_to(source / "a.tif")
    with pytest.raises(UnsafePathError):
        bench.store.put(source, "data", [*NAMES, "link"], no_progress)


def test_what_is_put_together_gets_its_name(bench: Bench, source: Path) -> None:
    """A folder stands under its name once it is whole, at a place whose folders did not exist; nothing is left in staging."""
    put_whole(bench, source, "a/b/data")
    assert bench.store.exists("a/b/data")
    assert bench.store.read_back("a/b/data", no_progress) == MANIFEST_OF_ALL
    assert bench.store.manifest("a/b/data") == MANIFEST_OF_ALL.text
    assert bench.store.children(".coldchain/staging") == []


def test_set_aside_takes_a_folder_away_whole(bench: Bench, source: Path) -> None:
    """It is read under its other name, does not stand under its own, and comes back as it was."""
    put_whole(bench, source, "data")
    put_whole(bench, source, "data2")
    for _again in range(2):
        bench.store.set_aside("data", WASTE)
        assert not bench.store.exists("data")
        assert bench.store.exists(WASTE)
        assert bench.store.names(WASTE) == NAMES
        assert bench.store.read_back(WASTE, no_progress) == MANIFEST_OF_ALL
        assert bench.store.manifest(WASTE) == MANIFEST_OF_ALL.text
        assert TRASH.strip("/").rpartition("/")[2] in bench.store.children(".coldchain")
        bench.store.set_aside(WASTE, "data")
        assert not bench.store.exists(WASTE)
        assert bench.store.read_back("data", no_progress) == MANIFEST_OF_ALL == bench.store.read_back("data2", no_progress)


def test_set_aside_never_over_another(bench: Bench, source: Path) -> None:
    """A folder never takes another's place: both stay."""
    put_whole(bench, source, "one")
    put_whole(bench, source, "two", ["empty"])
    bench.store.set_aside("one", WASTE)
    with pytest.raises(IntegrityError):
        bench.store.set_aside("two", WASTE)
    assert bench.store.read_back(WASTE, no_progress) == MANIFEST_OF_ALL
    assert bench.store.names("two") == ["empty"]


def test_damage_goes_aside_with_the_rest(bench: Bench, source: Path) -> None:
    """What does not match is set aside as it is, for whoever looks for what can be saved of it."""
    put_whole(bench, source, "data")
    bench.spoil("data", "a.tif", b"x" * 5000)
    bench.store.set_aside("data", ".coldchain/aside/1-1")
    found = bench.store.read_back(".coldchain/aside/1-1", no_progress)
    assert found.difference(MANIFEST_OF_ALL) == ["a.tif"]
    assert not bench.store.exists("data")


def test_set_aside_stays_below_the_root(bench: Bench, source: Path) -> None:
    """Nothing is set aside from outside, or to it."""
    put_whole(bench, source, "one")
    for path, to in (("../source", "x"), ("one", "../x")):
        with pytest.raises(UnsafePathError):
            bench.store.set_aside(path, to)
    assert bench.store.exists("one")


def test_only_the_trash_is_destroyed(bench: Bench, source: Path) -> None:
    """A folder that is not in the trash stays, whatever is asked; one in it is gone for good, and again is no error."""
    put_whole(bench, source, "data")
    with pytest.raises(RemovalRefused):
        bench.store.destroy("data")
    bench.store.set_aside("data", WASTE)
    bench.store.destroy(WASTE)
    bench.store.destroy(WASTE)
    assert not bench.store.exists(WASTE)
    assert not bench.store.exists("data")


def test_what_took_a_place_outlives_what_left_it(bench: Bench, source: Path) -> None:
    """A folder that was made anew under the name of one in the trash stays whole when the trash is emptied."""
    put_whole(bench, source, "data")
    bench.store.set_aside("data", WASTE)
    put_whole(bench, source, "data")
    assert bench.store.read_back(WASTE, no_progress) == MANIFEST_OF_ALL
    bench.store.destroy(WASTE)
    assert bench.store.read_back("data", no_progress) == MANIFEST_OF_ALL
    assert bench.tree("data").keys() >= CONTENTS.keys()


def test_delete_again_is_no_error(bench: Bench, source: Path) -> None:
    """What is gone already is gone."""
    put_whole(bench, source, "data")
    bench.store.delete("data")
    bench.store.delete("data")
    assert not bench.store.exists("data")
    assert not bench.tree("data")


def test_delete_takes_only_its_folder(bench: Bench, source: Path) -> None:
    """Neighbours with a longer name stay."""
    for path in ("run1", "run10"):
        put_whole(bench, source, path)
    bench.store.delete("run1")
    assert bench.store.names("run10") == NAMES


@pytest.mark.parametrize("path", ["../source", "", "/etc"])
def test_nothing_is_changed_outside(bench: Bench, source: Path, path: str) -> None:
    """No path lets anything outside be deleted or written."""
    calls = (
        lambda: bench.store.delete(path),
        lambda: bench.store.move(path, "x"),
        lambda: bench.store.put(source, path, NAMES, no_progress),
        lambda: bench.store.write_manifest(path, MANIFEST_OF_ALL),
        lambda: bench.store.annotate(path, "README.md", b""),
    )
    for call in calls:
        with pytest.raises(UnsafePathError):
            call()
    assert len(list(source.rglob("*"))) == 4


@pytest.mark.parametrize("path", [f"{TRASH}../../data", f"{TRASH}x/../../../data"])
def test_nothing_is_destroyed_through_the_trash(bench: Bench, source: Path, path: str) -> None:
    """A path that begins in the trash and leads out of it destroys nothing."""
    put_whole(bench, source, "data")
    with pytest.raises(UnsafePathError):
        bench.store.destroy(path)
    assert bench.store.read_back("data", no_progress) == MANIFEST_OF_ALL


def test_annotate_stands_beside(bench: Bench, source: Path) -> None:
    """A note stands beside the folder, is not of the artifact, and may be written again."""
    put_whole(bench, source, "data")
    for content in (b"one", b"two"):
        bench.store.annotate("data", "README.md", content)
    assert bench.store.read_back("data", no_progress) == MANIFEST_OF_ALL
    assert bench.tree()["data.README.md"] == b"two"


def test_protection_says_what_holds(bench: Bench, source: Path) -> None:
    """A location without protection does not say that it has one."""
    put_whole(bench, source, "data")
    assert not bench.store.protect("data").in_force


def test_the_clock_leaves_nothing(bench: Bench) -> None:
    """The location's time is now, and looking at it leaves no file behind."""
    before = bench.tree()
    assert abs(bench.store.clock() - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=1)
    assert bench.tree() == before


def test_no_marker(bench: Bench) -> None:
    """A location whose root is empty, as an unmounted disk's is, is not reachable."""
    bench.lose("", MARKER)
    with pytest.raises(LocationUnreachable):
        bench.store.identity()


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b"{}", b"null", b"not json"])
def test_damaged_marker(bench: Bench, content: bytes) -> None:
    """A marker that cannot be read is no identity, and registering does not write over it."""
    bench.spoil("", MARKER, content)
    for call in (bench.store.identity, bench.store.register):
        with pytest.raises(LocationUnreachable):
            call()
    assert bench.tree()[MARKER] == content
