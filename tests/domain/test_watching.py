"""When an acquisition is finished: never early, never twice, whatever its files' own times say."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from coldchain.looking import look
from coldchain.sql.catalogue import SqlCatalogue
from coldchain.watching import Acquisition, Look, State, Watch, marks_of, next_of, twin

NOW = dt.datetime(2030, 1, 15, 12, tzinfo=dt.UTC)
RULES = Watch(settle_minutes=10, unmarked_minutes=60, looks=3)
MINUTE = dt.timedelta(minutes=1)
WHOLE = Look("P1", NOW, digest="d", content="c", files=3, bytes=30)


def after(looks: Iterable[Look], rules: Watch = RULES, dataset: str = "PRJ-0001/P1") -> Acquisition:
    """What is known after some looks."""
    known = None
    for each in looks:
        known = next_of(known, each, rules, dataset)
    assert known is not None
    return known


def each_minute(count: int, seen: Look = WHOLE) -> list[Look]:
    """The same found again and again."""
    return [replace(seen, at=NOW + n * MINUTE) for n in range(count)]


MARKED = replace(WHOLE, marks=("finished",))


@pytest.mark.parametrize(
    ("seen", "minutes", "state"),
    [
        (WHOLE, 1, State.GROWING),
        (WHOLE, 60, State.SETTLING),
        (WHOLE, 61, State.READY),
        (MARKED, 10, State.SETTLING),
        (MARKED, 11, State.READY),
        (replace(WHOLE, files=0), 200, State.EMPTY),
        (replace(WHOLE, writers=("a.tif",)), 200, State.GROWING),
        (replace(WHOLE, wrong="a link"), 200, State.QUARANTINED),
    ],
)
def test_a_folder_is_finished_when_it_was_quiet_for_long_enough(seen: Look, minutes: int, state: State) -> None:
    """Sooner where the instrument's mark is there; never while a program writes, nothing stands there, or something is wrong."""
    assert after(each_minute(minutes, seen)).state is state


def test_a_few_looks_are_needed_whatever_the_time_between_them() -> None:
    """Two looks a day apart may have missed what happened between them."""
    days = [replace(MARKED, at=NOW + dt.timedelta(days=n)) for n in range(3)]
    assert [after(days[:n]).state for n in (1, 2, 3)] == [State.GROWING, State.SETTLING, State.READY]


def test_a_late_straggler_begins_the_wait_anew() -> None:
    """Quiet for an hour but a minute, then one file more: another whole hour."""
    quiet = each_minute(60)
    straggler = [replace(WHOLE, digest="e", at=NOW + (60 + n) * MINUTE) for n in range(61)]
    assert after([*quiet, straggler[0]]).state is State.GROWING
    assert after([*quiet, *straggler[:-1]]).state is State.SETTLING
    assert after([*quiet, *straggler]).state is State.READY


def test_a_clock_that_goes_back_begins_the_wait_anew() -> None:
    """Ours may be wrong too: the time between two looks is never taken from the future."""
    future = [replace(WHOLE, at=NOW + dt.timedelta(days=365))]
    assert after([*future, *each_minute(60)]).state is State.SETTLING
    assert after([*future, *each_minute(61)]).state is State.READY


def test_what_nobody_described_waits_in_the_inbox() -> None:
    """Until somebody says which dataset it is: then it is ready at once, since it was quiet all the time."""
    known = after(each_minute(100), dataset="")
    assert (known.state, known.why) == (State.INBOX, "nobody has said which dataset it is")
    assert next_of(replace(known, dataset="PRJ-0001/P1"), replace(WHOLE, at=NOW + 101 * MINUTE), RULES).state is State.READY


def test_what_was_taken_stays_taken_and_a_change_after_it_is_told() -> None:
    """It is never taken twice; what comes or changes after is for a person."""
    taken = replace(after(each_minute(61)), state=State.TAKEN, taken="c")
    assert next_of(taken, replace(WHOLE, digest="other times", at=NOW + 70 * MINUTE), RULES).state is State.TAKEN
    late = next_of(taken, replace(WHOLE, digest="x", content="x", at=NOW + 70 * MINUTE), RULES)
    assert (late.state, late.why) == (State.CHANGED, "files came or changed after it was taken in")


def test_quarantine_lasts_until_the_folder_changes() -> None:
    """With its reason; then it has to be quiet again."""
    known = replace(after(each_minute(61)), state=State.QUARANTINED, why="a.czi cannot be read")
    again = next_of(known, replace(WHOLE, at=NOW + 500 * MINUTE), RULES)
    assert (again.state, again.why) == (State.QUARANTINED, "a.czi cannot be read")
    assert next_of(again, replace(WHOLE, digest="mended", at=NOW + 501 * MINUTE), RULES).state is State.GROWING
    assert next_of(again, replace(WHOLE, described="mended", at=NOW + 501 * MINUTE), RULES).state is State.READY


def test_a_folder_that_was_renamed_or_copied_in_again_is_known() -> None:
    """The same dataset with the same files under another name is not taken; one with other files is no twin."""
    known = after(each_minute(61))
    first = replace(known, folder="P1 (old name)", state=State.TAKEN, taken="c")
    assert twin(known, WHOLE, [first]) == "P1 (old name)"
    assert twin(known, replace(WHOLE, content="x"), [first]) == ""
    assert twin(known, WHOLE, [replace(first, dataset="PRJ-0001/P2")]) == ""
    assert twin(known, WHOLE, [known]) == ""


def test_marks_are_known_by_their_names_wherever_they_stand() -> None:
    """With * and ?."""
    assert marks_of(["a.tif", "meta/PLATE.HTD", "finished", "unfinished"], RULES) == ("meta/PLATE.HTD", "finished")


# looking


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An acquisition of two files, one of them in a folder."""
    (tmp_path / "P1" / "deep").mkdir(parents=True)
    (tmp_path / "P1" / "a.tif").write_bytes(b"1234")
    (tmp_path / "P1" / "deep" / "finished").touch()
    return tmp_path / "P1"


def seen(folder: Path) -> Look:
    """One look."""
    return look(folder.parent, folder.name, RULES, NOW)


def test_a_look_counts_files_and_finds_marks(folder: Path) -> None:
    """Files, bytes and marks; dataset.yaml is no part of it."""
    before = seen(folder)
    assert (before.files, before.bytes, before.marks, before.wrong) == (2, 4, ("deep/finished",), "")
    (folder / "dataset.yaml").write_text("project: PRJ-0001")
    described = seen(folder).described
    assert replace(seen(folder), described="") == before
    (folder / "dataset.yaml").write_text("project: PRJ-00012")
    assert seen(folder).described not in {"", described}


def test_every_change_is_seen(folder: Path) -> None:
    """Of a size, a time, a name; a new file, an empty one too, and one that went. Times alone change no content."""
    before = seen(folder)
    os.utime(folder / "a.tif", (1, 1))
    assert (seen(folder).digest != before.digest, seen(folder).content == before.content) == (True, True)
    for change in (
        lambda: (folder / "a.tif").write_bytes(b"12345"),
        lambda: (folder / "a.tif").rename(folder / "b.tif"),
        (folder / "late").touch,
        (folder / "late").unlink,
    ):
        last = seen(folder)
        change()
        assert seen(folder).content != last.content


def test_names_in_any_encoding_are_seen(folder: Path) -> None:
    """Bytes that are no UTF-8, newlines: they are files, and a change of one is a change."""
    before = seen(folder)
    for name in (b"\xff\xfe.tif", b"new\nline.tif"):
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).touch()
        assert seen(folder).content != before.content
        before = seen(folder)
    assert before.files == 4


@pytest.mark.parametrize("kind", ["link", "loop", "pipe"])
def test_what_is_no_file_is_told_and_not_followed(folder: Path, kind: str) -> None:
    """A link, also one that leads back, and a pipe."""
    path = folder / "deep" / "odd"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(folder if kind == "loop" else "/etc/passwd")
    assert "odd" in seen(folder).wrong
    assert seen(folder.with_name("none")).wrong.startswith("it cannot be read")


def test_a_file_that_a_program_writes_to_is_named(folder: Path) -> None:
    """Not one that is only read."""
    with (folder / "a.tif").open("rb"):
        assert seen(folder).writers == ()
    with (folder / "a.tif").open("ab"):
        assert seen(folder).writers == ("a.tif",)


# the catalogue


def test_what_is_known_is_kept(catalogue: SqlCatalogue) -> None:
    """Each folder once, as it was saved last, until it is forgotten."""
    known = Acquisition("P1", State.SETTLING, "d", NOW, 3, "PRJ-0001/P1", "c", "quiet", "y")
    catalogue.save_acquisition(Acquisition("P2", State.GROWING, "d", NOW))
    catalogue.save_acquisition(replace(known, looks=1))
    catalogue.save_acquisition(known)
    assert catalogue.acquisitions() == [known, Acquisition("P2", State.GROWING, "d", NOW)]
    catalogue.forget_acquisition("P1")
    assert [each.folder for each in catalogue.acquisitions()] == ["P2"]
