"""`coldchain media` and `coldchain medium`: what they say, and that nothing changes unless they are told to."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

import deployments
from coldchain import making, transfer
from coldchain.dataset import Dataset, Project
from coldchain.files import no_progress
from coldchain.levels import Level
from coldchain.media import State
from coldchain.testing.changer import Changer
from coldchain.workspace import Workspace
from deployments.cli import app
from tasks.workspace import open_workspace

DATASET = "PRJ-0001/PLATE-A"


@pytest.fixture
def ws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """The demo's site, whose archive is a tape of a changer with one drive; raw data on the NAS, on the tape and at the backup."""
    changer = Changer(tmp_path / "changer", tapes={1: "A00001L8", 2: "A00012L8"})
    monkeypatch.setenv("PATH", str(changer.bin), prepend=os.pathsep)
    sites = Path(deployments.__file__).with_name("sites")
    shutil.copy(sites / "policy.yaml", tmp_path / "policy.yaml")
    said = yaml.safe_load((sites / "site.yaml").read_text())
    cold = next(place for place in said["locations"] if place["name"] == "cold")
    offline = {"label": "Tape 12", "barcode": "A00012L8", "changer": changer.device}
    cold |= {"engine": "offline", "offline": offline, "protection": "none"}
    (tmp_path / "site.yaml").write_text(yaml.safe_dump(said))
    (tmp_path / "cold").mkdir()
    monkeypatch.setattr(os.path, "ismount", lambda path: Path(path) == tmp_path / "cold" and not (tmp_path / "marker").exists())
    found = open_workspace(tmp_path / "site.yaml")
    found.register()
    found.catalogue.save_project(Project(id="PRJ-0001", title="Nuclei"))
    found.catalogue.save_dataset(Dataset(project="PRJ-0001", name="PLATE-A", pattern="plain", channels={1: "DNA"}))
    folder = found.site.path("acquisition") / "PLATE-A"
    folder.mkdir(parents=True)
    (folder / "image.tif").write_bytes(b"pixels" * 100)
    raw = making.take_in(found, making.Step("ingest", DATASET, Level.RAW), folder, "nas", no_progress).artifact
    for to in ("cold", "backup"):
        transfer.deliver(found, raw, to)
    return found


def run(ws: Workspace, *words: object) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(app, [*map(str, words), "--site", str(ws.site.path("site.yaml"))])


def told(ws: Workspace, *words: object) -> Any:
    """What a command tells programs."""
    return json.loads(run(ws, *words, "--json").output)


def state(ws: Workspace) -> State:
    """Where the tape is, as the catalogue has it."""
    return ws.catalogue.media()["cold"].state


def test_media_and_changers_are_listed(ws: Workspace) -> None:
    """Each medium with where it is and by when it has to be read, and each tape of a changer with whose it is."""
    found = told(ws, "media")
    assert [(each["location"], each["label"], each["where"]["state"], each["here"]) for each in found["media"]] == [
        ("cold", "Tape 12", "in", True)
    ]
    assert found["changers"] == {"/dev/sg3": {"slot 1": "A00001L8 (none of ours)", "slot 2": "A00012L8 (cold)"}}
    text = run(ws, "media").output
    assert "slot 2 A00012L8 (cold)" in text
    assert "  label           Tape 12\n  barcode         A00012L8\n  state           in, put in\n" in text
    assert "  counts until    20" in text


def test_a_changer_that_does_not_answer_hides_nothing(ws: Workspace) -> None:
    """The media are listed, and what it said."""
    (ws.site.path("changer") / "bin" / "mtx").write_text("#!/bin/sh\necho no such device >&2\nexit 1\n")
    found = told(ws, "media")
    assert found["media"]
    assert "no such device" in found["changers"]["/dev/sg3"][""]


def test_checking_in(ws: Workspace) -> None:
    """It is done at once; what is not put in is refused with exit code 1; the status says where it is."""
    result = run(ws, "medium", "cold", "--in", "--place", "cellar 2")
    assert result.exit_code == 0
    assert "cold is on the shelf: cellar 2" in result.output
    (ws.site.path("cold") / ".coldchain" / "location.json").rename(ws.site.path("marker"))
    assert "cold is on the shelf: cellar 2\n" in run(ws, "status").output
    ws.site.path("marker").rename(ws.site.path("cold") / ".coldchain" / "location.json")
    run(ws, "medium", "cold", "--out", "--holder", "ada", "--act")
    assert "ada has it" in run(ws, "status").output
    assert "its copies do not count now" in run(ws, "status").output
    (ws.site.path("cold") / ".coldchain" / "location.json").unlink()
    result = run(ws, "medium", "cold", "--in", "--place", "cellar 2")
    assert result.exit_code == 1
    assert state(ws) is State.OUT


@pytest.mark.parametrize(("words", "after"), [(("--out", "--holder", "ada"), State.OUT), (("--lost",), State.LOST)])
def test_checking_out_says_first_what_falls_short(ws: Workspace, words: tuple[str, ...], after: State) -> None:
    """Nothing is written down without --act."""
    result = run(ws, "medium", "cold", *words)
    assert "Nothing was written down (--act does it). Without cold: 1 more fall short of copies" in " ".join(result.output.split())
    assert "off site: wanted 1, found 0" in " ".join(result.output.split())
    assert state(ws) is State.IN
    found = told(ws, "medium", "cold", *words, "--act")
    assert (found["done"]["state"], len(found["short"])) == (after, 1)
    assert state(ws) is after


def test_a_tape_is_loaded_where_a_person_says_so(ws: Workspace) -> None:
    """And only one that stands in a changer."""
    assert told(ws, "medium", "cold", "--load") == {"loaded": "A00012L8 went from slot 2 into drive 0: mount it"}
    assert told(ws, "media")["changers"]["/dev/sg3"]["drive 0"] == "A00012L8 (cold)"
    result = run(ws, "medium", "nas", "--load")
    assert result.exit_code == 1
    assert "only a tape that stands in a changer" in result.output


@pytest.mark.parametrize(
    "words",
    [(), ("--in", "--out", "--holder", "a"), ("--out",), ("--lost", "--holder", "a"), ("--lost", "--place", "p"), ("--in", "--load")],
)
def test_what_contradicts_itself_is_refused(ws: Workspace, words: tuple[str, ...]) -> None:
    """As a wrong use of the command."""
    assert run(ws, "medium", "cold", *words).exit_code == 2
    assert state(ws) is State.IN
