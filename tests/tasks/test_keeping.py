"""The flows that keep what the policy asks for true: missing copies are made, a place is emptied, everything is read back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml

from coldchain import emptying, files, making, sweeping, transfer
from coldchain.copies import Artifact, CopyState
from coldchain.dataset import Dataset, Project
from coldchain.errors import Incomplete, InputError, IntegrityError
from coldchain.forms import BackupForm, DatasetForm, MigrateForm
from coldchain.levels import Level
from coldchain.standing import standing
from coldchain.testing.faults import flip_bit
from coldchain.workspace import Workspace
from tasks.workspace import open_workspace

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect_server")]

Change = Callable[[dict[str, Any]], None]


@pytest.fixture
def ws(demo_site: Workspace) -> Workspace:
    """The demo's site with its policy; two datasets stand on the NAS alone."""
    demo_site.catalogue.save_project(Project(id="PRJ-0001"))
    for name in ("RUN-1", "RUN-2"):
        folder = demo_site.site.path("acquisition") / name
        folder.mkdir(parents=True)
        (folder / "run.pod5").write_bytes(name.encode() * 1000)
        demo_site.catalogue.save_dataset(Dataset(project="PRJ-0001", name=name, pattern="opaque"))
        making.take_in(demo_site, making.Step("ingest", f"PRJ-0001/{name}", Level.RAW), folder, "nas", files.no_progress)
    return demo_site


def changed(ws: Workspace, change: Change, name: str = "site.yaml") -> Workspace:
    """The same site after an engineer's change."""
    path = ws.site.path(name)
    said = yaml.safe_load(path.read_text())
    change(said)
    path.write_text(yaml.safe_dump(said))
    found = open_workspace()
    found.register()
    return found


def verified_at(ws: Workspace, artifact: Artifact) -> set[str]:
    """Where an artifact's verified copies stand."""
    return {copy.location for copy in ws.catalogue.copies(artifact=artifact.id, states=[CopyState.VERIFIED])}


def raws(ws: Workspace) -> list[Artifact]:
    """Both datasets' raw artifacts."""
    return [ws.current(f"PRJ-0001/{name}", Level.RAW) for name in ("RUN-1", "RUN-2")]


def test_missing_copies_are_made(ws: Workspace) -> None:
    """Of every dataset that has too few, where the policy wants them; a second run finds nothing to do."""
    from flows.backup import backup

    assert backup(BackupForm()).startswith("4 copies were made of 2 datasets")
    assert [verified_at(ws, raw) for raw in raws(ws)] == [{"nas", "cold", "backup"}] * 2
    assert backup(BackupForm()).startswith("0 copies were made of 0 datasets")


def test_a_dataset_that_cannot_be_copied_leaves_the_others_their_turn(ws: Workspace) -> None:
    """The run fails by its name and reason, and the rest is done."""
    from flows.backup import backup

    first, second = raws(ws)
    flip_bit_of(ws, first)
    with pytest.raises(Incomplete, match=r"RUN-1(?s:.*)no copy has the artifact's bytes any more(?s:.*)2 copies were made of 2 datasets"):
        backup(BackupForm())
    assert verified_at(ws, second) == {"nas", "cold", "backup"}
    assert verified_at(ws, first) == set()


def flip_bit_of(ws: Workspace, artifact: Artifact) -> None:
    """Damage the NAS's copy."""
    from coldchain.protection import release

    folder = ws.store("nas").local(artifact.folder)
    release(folder)
    flip_bit(folder / "run.pod5", 10)


def retire_backup(said: dict[str, Any]) -> None:
    """The backup's disk is old: a new one takes its role."""
    old = next(place for place in said["locations"] if place["name"] == "backup")
    said["locations"].append(old | {"name": "backup2", "root": "backup2", "domain": "backup2"})
    old["retiring"] = True
    said["roles"]["backup"] = "backup2"


def test_a_place_is_emptied_after_what_stands_there_counts_elsewhere(ws: Workspace) -> None:
    """Nothing moves in a dry run; then copies are made elsewhere, and the sweep takes the old ones; the policy is met all the time."""
    from flows.backup import backup
    from flows.migrate import migrate

    backup(BackupForm())
    with pytest.raises(InputError, match="retiring: true"):
        migrate(MigrateForm(location="backup", dry_run=False))

    ws = changed(ws, retire_backup)
    ws = changed(ws, lambda said: said.update(retiring={"notice_days": 0, "grace_days": 0, "approval": "none"}), "policy.yaml")
    said = migrate(MigrateForm(location="backup"))
    assert said.startswith("2 copies")
    assert said.endswith("2 keep")
    assert not ws.site.path("backup2/projects").exists()
    sweeping.sweep(ws, dry_run=False)
    assert [verified_at(ws, raw) for raw in raws(ws)] == [{"nas", "cold", "backup"}] * 2, "nothing goes before it stands elsewhere"

    assert migrate(MigrateForm(location="backup", dry_run=False)).endswith("2 remove")
    assert [verified_at(ws, raw) for raw in raws(ws)] == [{"nas", "cold", "backup", "backup2"}] * 2
    sweeping.sweep(ws, dry_run=False)
    for raw in raws(ws):
        assert verified_at(ws, raw) == {"nas", "cold", "backup2"}
        assert standing(raw, ws.ledger([raw.dataset]), ws.policy, ws.now()).stands
    sweeping.sweep(ws, dry_run=False)
    assert migrate(MigrateForm(location="backup")) == "nothing stands at backup any more: take it out of site.yaml"
    assert not list(ws.site.path("backup").rglob("*.pod5"))


def test_a_place_that_is_emptied_takes_nothing(ws: Workspace) -> None:
    """No flow brings anything there any more."""
    from flows.backup import backup

    ws = changed(ws, retire_backup)
    backup(BackupForm())
    assert [verified_at(ws, raw) for raw in raws(ws)] == [{"nas", "cold", "backup2"}] * 2
    with pytest.raises(InputError, match="to be emptied"):
        transfer.deliver(ws, raws(ws)[0], "backup")


def test_what_is_left_is_told_with_its_reason(ws: Workspace) -> None:
    """Each copy that still stands there, and what keeps it."""
    for raw in raws(ws):
        for to in ("cold", "backup"):
            transfer.deliver(ws, raw, to)
    ws = changed(ws, retire_backup)
    left = list(emptying.left_at(ws, "backup"))
    assert [(each.action, "copies: wanted 3, found 2" in each.why) for each in left] == [("keep", True)] * 2


def test_every_copy_is_read_back(ws: Workspace) -> None:
    """All that match are counted; one that does not is named, and the run fails."""
    from flows.verify import verify

    raw = raws(ws)[0]
    transfer.deliver(ws, raw, "backup")
    assert verify(DatasetForm(project="PRJ-0001", dataset="RUN-1")) == "2 copies of PRJ-0001/RUN-1: every byte matches"
    flip_bit(ws.store("backup").local(raw.folder) / "run.pod5", 10)
    with pytest.raises(IntegrityError, match=r"backup(?s:.*)run\.pod5(?s:.*)`repair`"):
        verify(DatasetForm(project="PRJ-0001", dataset="RUN-1"))
    assert verified_at(ws, raw) == {"nas"}


def test_a_level_is_brought_back(ws: Workspace) -> None:
    """To scratch where no place is named; the flow that goes on with recalls has nothing left to do; an unknown place is refused."""
    from coldchain.forms import RecallForm, RecallsForm
    from flows.recall import recall
    from flows.recalls import recalls

    asked = {"project": "PRJ-0001", "dataset": "RUN-1"}
    assert recall(RecallForm(**asked)).startswith("1 recalls stand where they are wanted; 0 wait")
    assert verified_at(ws, raws(ws)[0]) == {"nas", "scratch"}
    assert recalls(RecallsForm()).startswith("0 recalls stand")
    with pytest.raises(InputError, match="no such location"):
        recall(RecallForm(**asked, location="attic"))
