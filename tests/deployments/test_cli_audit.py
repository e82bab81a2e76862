"""`coldchain audit` and `coldchain repair`: what they say, their exit codes, and that nothing changes unless they are told to."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

import deployments
from coldchain import inspecting, making, transfer
from coldchain.copies import CopyState
from coldchain.dataset import Dataset, Project
from coldchain.files import no_progress
from coldchain.levels import Level
from coldchain.testing.faults import flip_bit
from coldchain.workspace import Workspace
from deployments import cli_audit
from tasks.workspace import open_workspace

DATASET = "PRJ-0001/PLATE-A"


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    """The demo's site with one raw dataset of one file, on the NAS and at the backup."""
    for name in ("site.yaml", "policy.yaml"):
        shutil.copy(Path(deployments.__file__).with_name("sites") / name, tmp_path / name)
    found = open_workspace(tmp_path / "site.yaml")
    found.register()
    found.catalogue.save_project(Project(id="PRJ-0001", title="Nuclei"))
    found.catalogue.save_dataset(Dataset(project="PRJ-0001", name="PLATE-A", pattern="plain", channels={1: "DNA"}))
    folder = found.site.path("acquisition") / "PLATE-A"
    folder.mkdir(parents=True)
    (folder / "image.tif").write_bytes(b"pixels" * 100)
    raw = making.take_in(found, making.Step("ingest", DATASET, Level.RAW), folder, "nas", no_progress).artifact
    transfer.deliver(found, raw, "backup")
    return found


def run(ws: Workspace, *words: object) -> Result:
    """Run the commands in this process, as a part of the whole command."""
    app = typer.Typer()
    cli_audit.add(app)
    return CliRunner().invoke(app, [*map(str, words), "--site", str(ws.site.path("site.yaml"))])


def told(ws: Workspace, *words: object) -> Any:
    """What a command tells programs."""
    return json.loads(run(ws, *words, "--json").output)


def spoil(ws: Workspace) -> None:
    """Flip a bit of the copy at the backup."""
    flip_bit(ws.stores["backup"].local("projects/PRJ-0001/raw/PLATE-A/image.tif"))


def test_a_sound_site_is_said_in_a_line_a_location(ws: Workspace) -> None:
    """Everything matches: exit code 0, and how much was read where."""
    result = run(ws, "audit")
    assert result.exit_code == 0, result.output
    assert "2 copies, 0.00 GB read back" in result.output
    assert "backup: 1 copies, 600 bytes read back" in result.output


def test_damage_is_named_by_its_file_with_exit_code_1(ws: Workspace) -> None:
    """A flipped bit: the file's name, exit code 1, the same for programs."""
    spoil(ws)
    result = run(ws, "audit", "--location", "backup")
    assert result.exit_code == 1
    assert "'image.tif'" in result.output
    assert [copy.state for copy in ws.catalogue.copies(location="backup")] == [CopyState.SUSPECT]
    assert told(ws, "audit", "--location", "backup")["places"][0]["copies"] == 0


def test_strays_are_reported_where_they_are_asked_for(ws: Workspace) -> None:
    """A file that belongs to no copy is told with --strays, at the locations that can be reached."""
    (ws.site.path("backup") / "projects" / "stray").touch()
    shutil.rmtree(ws.site.path("cold"))
    assert "projects/stray" not in run(ws, "audit").output
    result = run(ws, "audit", "--strays")
    assert (result.exit_code, "backup: projects/stray" in result.output) == (0, True)


def test_an_unknown_location_is_said(ws: Workspace) -> None:
    """No stack trace: which location, and which there are."""
    result = run(ws, "audit", "--location", "nowhere")
    assert result.exit_code == 1
    assert "nowhere" in result.output
    assert "Traceback" not in result.output


def test_a_stopped_location_is_said_until_a_person_releases_it(ws: Workspace) -> None:
    """Exit code 1 and the reason while the brake is on; a release wants a reason, and is kept."""
    ws.catalogue.set_brake("backup", "6 of 6 copies do not match", ws.now())
    result = run(ws, "audit")
    assert result.exit_code == 1
    assert "6 of 6 copies do not match" in result.output
    assert run(ws, "audit", "--release", "backup").exit_code == 1
    assert list(ws.catalogue.brakes()) == ["backup"]
    assert run(ws, "audit", "--release", "backup", "--reason", "new cable").exit_code == 0
    assert run(ws, "audit").exit_code == 0


def test_a_repair_is_only_told_unless_it_is_to_act(ws: Workspace) -> None:
    """Without --act it says from where, and exit code 1 says that something is damaged; with it the copy is whole again."""
    assert run(ws, "repair").output == "Nothing is damaged.\n"
    spoil(ws)
    run(ws, "audit")
    result = run(ws, "repair", DATASET)
    assert (result.exit_code, "would be repaired from nas" in result.output) == (1, True)
    assert [copy.state for copy in ws.catalogue.copies(location="backup")] == [CopyState.SUSPECT]
    assert [each["done"] for each in told(ws, "repair", DATASET, "--act")] == [True]
    assert [copy.state for copy in ws.catalogue.copies(location="backup")] == [CopyState.VERIFIED]


def test_a_person_lets_a_copy_back_in(ws: Workspace) -> None:
    """By the number that `repair` shows, with a reason, where every byte matches; anything else is refused."""
    (copy,) = ws.catalogue.copies(location="backup")
    inspecting.doubt(ws, copy, "a flaky cable")
    assert f"copy {copy.id}," in run(ws, "repair").output
    for words in ((copy.id,), (copy.id + 99, "--reason", "x")):
        assert run(ws, "repair", "--readmit", *words).exit_code == 1
    assert run(ws, "repair", "--readmit", copy.id, "--reason", "the cable was changed").exit_code == 0
    assert ws.catalogue.receipts("readmission")[0]["reason"] == "the cable was changed"


def test_a_clock_that_leapt_ahead_is_said_until_a_person_says_that_it_is_right(ws: Workspace) -> None:
    """Exit code 1 and both times; a confirmation wants a reason, and is kept."""
    assert run(ws, "clock").output == "No sweep ran yet.\n"
    ws.catalogue.save_setting("clock", "1900-01-01T00:00:00+00:00")
    result = run(ws, "clock")
    assert (result.exit_code, "1900-01-01 00:00" in result.output) == (1, True)
    assert run(ws, "clock", "--right").exit_code == 1
    assert told(ws, "clock")["doubt"]
    assert run(ws, "clock", "--right", "--reason", "switched off for years").exit_code == 0
    assert "newest time that was believed" in run(ws, "clock").output
    assert not told(ws, "clock")["doubt"]
