"""Handing images out: through the one check of what may go where, whole or not at all, once."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import deployments
from coldchain import exporting, strays
from coldchain.errors import EgressRefused, InputError, LeaseTaken
from coldchain.forms import ExportForm, IngestForm
from coldchain.holds import Use
from coldchain.imaging.sources.opening import open_source
from coldchain.levels import Level
from coldchain.origins import Origin
from coldchain.testing import microscopes
from coldchain.workspace import Workspace
from tasks.workspace import open_workspace

SESSION = {"project": "PRJ-0001", "dataset": "SESSION-1"}
DATASET = "PRJ-0001/SESSION-1"

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect_server")]


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory, prefect_server: object) -> Iterator[Workspace]:
    """The demo's site with one confocal session of an industrial collaborator; its cold archive stands outside."""
    from flows.ingest import ingest

    root = tmp_path_factory.mktemp("site")
    for name in ("site.yaml", "policy.yaml"):
        shutil.copy(Path(deployments.__file__).with_name("sites") / name, root / name)
    site = root / "site.yaml"
    site.write_text(site.read_text().replace("    site: national-centre\n", "    site: national-centre\n    reach: outside\n"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLDCHAIN_SITE", str(site))
        ws = open_workspace()
        ws.register()
        folder = ws.site.path("acquisition") / "SESSION-1"
        folder.mkdir(parents=True)
        (folder / "dataset.yaml").write_text("project: PRJ-0001\nname: SESSION-1\n")
        microscopes.write_czi(folder / "cells.czi", [microscopes.pixels((1, 1, 2, 64, 64))], channels=["DAPI"])
        ingest(IngestForm(**SESSION, origin=Origin.COLLABORATOR_INDUSTRY))
        yield ws


def test_images_stand_where_they_were_asked_for(ingested: Workspace) -> None:
    """With a manifest that sha256sum reads, and a note that says what it is; a second run writes nothing; no stray is left."""
    from flows.export import export

    said = export(ExportForm(**SESSION))
    location, path = said.split(":")
    folder = ingested.store(location).local(path)
    assert (location, folder.parent.name) == ("scratch", "SESSION-1")
    with open_source(next(folder.glob("*.ome.tif"))) as tiff:
        assert tiff.images[0].shape == (1, 1, 2, 64, 64)
    for line in (folder / "MANIFEST.sha256").read_text().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    assert "is no copy" in folder.with_name(f"{folder.name}.README.md").read_text()
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert export(ExportForm(**SESSION)) == f"{said} (stood already)"
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    assert strays.look(ingested, "scratch").unregistered.count == 0


def test_what_may_not_leave_is_not_handed_out(ingested: Workspace) -> None:
    """A collaborator's images are not written to a place outside: before the first byte."""
    from flows.export import export

    with pytest.raises(EgressRefused, match="may not go outside"):
        export(ExportForm(**SESSION, location="cold"))
    cold = ingested.site.path("cold")
    assert not (cold / exporting.EXPORTS).exists()
    assert not any((cold / ".coldchain").glob("staging/*"))


def test_a_place_that_there_is_not(ingested: Workspace) -> None:
    """An unknown location is an error that names those that there are."""
    from flows.export import export

    with pytest.raises(InputError, match="nas"):
        export(ExportForm(**SESSION, location="usb-stick"))


def test_half_a_hand_out_is_none(ingested: Workspace) -> None:
    """What cannot be written whole leaves nothing under its name, and nothing in staging."""
    artifact = ingested.current(DATASET, Level.STANDARD)

    def fail(_source: str, target: str) -> dict[str, object]:
        (Path(target) / "half").write_bytes(b"x")
        raise RuntimeError("the power went")

    with pytest.raises(RuntimeError):
        exporting.hand_out(ingested, artifact, "scratch", "half", (), fail)
    assert not ingested.store("scratch").exists(exporting.place(artifact, "half"))
    assert ingested.store("scratch").children(".coldchain/staging") == []


def test_one_run_at_a_time(ingested: Workspace) -> None:
    """A second run that writes the same is turned away while the first one is at it."""
    artifact = ingested.current(DATASET, Level.STANDARD)
    scope = f"hand-out {exporting.place(artifact, 'ome-tiff', ['A01'])} to scratch"
    with ingested.catalogue.lease([scope], Use.ALONE, ingested.now()), pytest.raises(LeaseTaken):
        exporting.hand_out(ingested, artifact, "scratch", "ome-tiff", ["A01"], lambda _source, _target: {})


def test_other_wells_are_another_hand_out(ingested: Workspace) -> None:
    """A choice of wells has a folder of its own, whatever their order or case."""
    artifact = ingested.current(DATASET, Level.STANDARD)
    some = exporting.place(artifact, "ome-tiff", ["A01", "b02"])
    assert some == exporting.place(artifact, "ome-tiff", ["B02", "A01"])
    assert len({some, exporting.place(artifact, "ome-tiff"), exporting.place(artifact, "ome-tiff", ["A01"])}) == 3
