"""The watch: what is finished is taken in by itself, what nobody described waits, what cannot be taken leaves the others their turn."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path
from typing import Any

import pytest

import deployments
from coldchain.errors import InputError, LayoutError, LocationUnreachable
from coldchain.forms import DescribeForm, Pattern, WatchForm
from coldchain.imaging.conventions import BUILT_IN
from coldchain.levels import Level
from coldchain.testing import microscopes
from coldchain.watching import State
from coldchain.workspace import Workspace
from tasks import watching
from tasks.describing import describe_by_hand
from tasks.workspace import open_workspace


@pytest.fixture
def ws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A site whose acquisitions count as finished at the second look; there are none yet."""
    for name in ("site.yaml", "policy.yaml"):
        shutil.copy(Path(deployments.__file__).with_name("sites") / name, tmp_path / name)
    with (tmp_path / "site.yaml").open("a") as file:
        file.write("watch: {settle_minutes: 0, unmarked_minutes: 0, looks: 2}\n")
    monkeypatch.setenv("COLDCHAIN_SITE", str(tmp_path / "site.yaml"))
    found = open_workspace()
    found.register()
    found.site.path("acquisition").mkdir()
    return found


def acquire(ws: Workspace, name: str, *, dataset: str = "", good: bool = True) -> Path:
    """An acquisition of one CZI file, which may be damaged, with a dataset.yaml where a dataset is named."""
    folder = ws.site.path("acquisition") / name
    folder.mkdir()
    if dataset:
        (folder / "dataset.yaml").write_text(f"project: PRJ-0001\nname: {dataset}\n")
    if good:
        microscopes.write_czi(folder / "cells.czi", [microscopes.pixels((1, 1, 1, 64, 64))], channels=["DAPI"])
    else:
        (folder / "cells.czi").write_bytes(b"no image")
    return folder


def states(ws: Workspace) -> dict[str, State]:
    """How far each folder has come."""
    return {each.folder: each.state for each in ws.catalogue.acquisitions()}


def watch(times: int = 1) -> str:
    """Run the flow some times; gives what the last run said."""
    from flows.watch import watch as flow

    return [flow(WatchForm()) for _ in range(times)][-1]


@pytest.mark.server
@pytest.mark.usefixtures("prefect_server")
def test_what_is_finished_is_taken_and_what_is_not_waits(ws: Workspace) -> None:
    """One that is described is taken in; one that is damaged is in quarantine, with its file named; one that nobody described waits."""
    acquire(ws, "good", dataset="GOOD")
    acquire(ws, "bad", dataset="BAD", good=False)
    acquire(ws, "unknown")
    assert watch() == "taken in: nothing"
    assert set(states(ws).values()) == {State.GROWING}
    with pytest.raises(InputError, match=r"(?s)acquisitions are in quarantine.*bad.*cells\.czi.*taken in: good"):
        watch()
    assert states(ws) == {"bad": State.QUARANTINED, "good": State.TAKEN, "unknown": State.INBOX}
    why = {each.folder: each.why for each in ws.catalogue.acquisitions()}
    assert "cells.czi" in why["bad"]
    assert ws.current("PRJ-0001/GOOD", Level.STANDARD)
    assert watch() == "taken in: nothing"
    assert len(ws.catalogue.artifacts("PRJ-0001/GOOD")) == 2


@pytest.mark.server
@pytest.mark.usefixtures("prefect_server")
def test_a_form_says_what_a_folder_is_and_the_watch_takes_it(ws: Workspace) -> None:
    """Nothing is written into the acquisition folder."""
    from flows.describe import describe

    folder = acquire(ws, "unknown")
    watch(2)
    before = sorted(folder.iterdir())
    describe(DescribeForm(project="PRJ-0001", dataset="MINE", folder="unknown"))
    assert watch() == "taken in: unknown"
    assert sorted(folder.iterdir()) == before
    assert ws.current("PRJ-0001/MINE", Level.RAW)


@pytest.mark.server
@pytest.mark.usefixtures("prefect_server")
def test_what_may_go_better_by_itself_is_tried_again(ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A NAS that is not mounted is no fault of an acquisition: it stays ready, and is taken in once the NAS is back."""
    monkeypatch.setattr("tasks.hand_over.take_from_instrument.retries", 0)
    acquire(ws, "good", dataset="GOOD")
    watch()
    ws.site.path("nas").rename(ws.site.path("away"))
    assert watch() == "taken in: nothing; tried again later: good"
    assert states(ws) == {"good": State.READY}
    ws.site.path("away").rename(ws.site.path("nas"))
    assert watch() == "taken in: good"


@pytest.mark.server
@pytest.mark.usefixtures("prefect_server")
def test_the_operator_reads_on_the_workstation_what_is_safe(ws: Workspace) -> None:
    """Where the site has a location for the instruments' disk: what was taken in is a copy there, and a text says when it goes."""
    path = ws.site.path("site.yaml")
    place = "  - {name: workstation, root: acquisition, medium: disk, domain: workstation, site: campus, purge_age_days: 3650}\n\nroles:"
    text = path.read_text().replace("\nroles:", place, 1).replace("backup: backup}", "backup: backup, instrument: workstation}", 1)
    path.write_text(text)
    found = open_workspace()
    found.register()
    acquire(found, "good", dataset="GOOD")
    acquire(found, "unknown")
    watch(2)
    text = (found.site.path("acquisition") / "COLDCHAIN.txt").read_text()
    assert "SAFE      good: on the NAS as PRJ-0001/GOOD; goes from " in text
    assert "NOT SAFE  unknown: inbox" in text
    assert [copy.path for copy in found.catalogue.copies(location="workstation")] == ["good"]
    assert states(found).keys() == {"good", "unknown"}


def looked(ws: Workspace, times: int = 1) -> list[str]:
    """Look around without Prefect; gives the folders that are ready."""
    del ws
    for _ in range(times):
        found = watching.look_around.fn()
    return [each.folder for each in found]


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no run whose log could be written."""
    monkeypatch.setattr(watching, "say", lambda _line: None)


@pytest.mark.usefixtures("quiet")
def test_a_folder_that_was_renamed_is_not_taken_again(ws: Workspace) -> None:
    """Nor one that was copied in once more; a folder that is gone is forgotten only once its twin is known."""
    folder = acquire(ws, "first", dataset="GOOD")
    assert looked(ws, 2) == ["first"]
    watching.note_taken.fn(ws.catalogue.acquisitions()[0])
    shutil.copytree(folder, folder.with_name("second"))
    assert looked(ws, 3) == []
    assert states(ws) == {"first": State.TAKEN, "second": State.TAKEN}


@pytest.mark.usefixtures("quiet")
def test_a_description_that_is_wrong_is_told(ws: Workspace) -> None:
    """By its file, line and field; once it is mended the folder goes its way."""
    folder = acquire(ws, "first", dataset="GOOD")
    (folder / "dataset.yaml").write_text("project: PRJ-0001\nname: [\n")
    looked(ws, 2)
    (found,) = ws.catalogue.acquisitions()
    assert (found.state, "dataset.yaml" in found.why) == (State.QUARANTINED, True)
    (folder / "dataset.yaml").write_text("project: PRJ-0001\nname: GOOD\n")
    assert looked(ws) == ["first"]


@pytest.mark.usefixtures("quiet")
def test_what_came_while_a_folder_was_taken_in_is_never_called_safe(ws: Workspace) -> None:
    """A straggler that arrives after its folder was ready was perhaps not read: the folder has changed, now and at every later look."""
    folder = acquire(ws, "first", dataset="GOOD")
    looked(ws, 2)
    ready = ws.catalogue.acquisitions()[0]
    (folder / "late.tif").touch()
    watching.note_taken.fn(ready)
    for _ in range(2):
        assert states(ws) == {"first": State.CHANGED}
        assert looked(ws) == []


@pytest.mark.usefixtures("quiet")
def test_a_root_that_is_gone_forgets_nothing(ws: Workspace) -> None:
    """An instrument's share that is not mounted is no instrument without data."""
    acquire(ws, "first", dataset="GOOD")
    looked(ws, 2)
    ws.site.path("acquisition").rename(ws.site.path("away"))
    with pytest.raises(LocationUnreachable, match="cannot be looked at"):
        looked(ws)
    assert states(ws) == {"first": State.READY}


@pytest.mark.parametrize(
    ("spoil", "form", "error"),
    [
        (shutil.rmtree, {}, InputError),
        (lambda folder: (folder / "dataset.yaml").write_text("x: 1"), {}, InputError),
        (lambda folder: (folder / "cells.czi").rename(folder / "cells.txt"), {}, InputError),
        (lambda folder: (folder / "a.tif").touch(), {"pattern": "operetta", "channels": ["DNA"]}, LayoutError),
        (lambda folder: (folder / "a.tif").touch(), {"own": "ours", "channels": ["DNA"]}, InputError),
    ],
    ids=["no such folder", "described already", "nothing to read", "no plate", "no such convention"],
)
def test_what_cannot_be_said_of_a_folder_is_refused(ws: Workspace, spoil: Any, form: dict[str, Any], error: type[Exception]) -> None:
    """Before anything is written down."""
    spoil(acquire(ws, "unknown"))
    with pytest.raises(error):
        describe_by_hand.fn(DescribeForm(project="PRJ-0001", dataset="MINE", folder="unknown", **form))
    assert (ws.catalogue.datasets(), ws.catalogue.projects()) == ([], [])


def test_a_known_dataset_is_not_described_again(ws: Workspace) -> None:
    """Another folder cannot become a dataset that there is."""
    acquire(ws, "one")
    acquire(ws, "two")
    form = {"project": "PRJ-0001", "dataset": "MINE"}
    describe_by_hand.fn(DescribeForm(**form, folder="one"))
    with pytest.raises(InputError, match="known already"):
        describe_by_hand.fn(DescribeForm(**form, folder="two"))
    assert [each.since.tzinfo for each in ws.catalogue.acquisitions()] == [dt.UTC]


def test_the_form_offers_every_naming_convention() -> None:
    """And `files` and `opaque`."""
    assert set(Pattern.__args__) == {"files", "opaque", *BUILT_IN}  # type: ignore[attr-defined]  # a Literal's values
