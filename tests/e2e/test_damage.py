"""What goes wrong after the demo: damaged bytes, stale tables, a disk that is gone."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from coldchain import sweeping
from coldchain.copies import CopyState
from coldchain.errors import GateFailed, LocationUnreachable, NotInCatalogue
from coldchain.forms import DatasetForm, PromoteForm, SegmentForm, SweepForm
from coldchain.levels import Level
from coldchain.testing.faults import flip_bit
from coldchain.workspace import Workspace
from tasks.release import failure_docs
from tasks.sweeping import as_markdown

pytestmark = [pytest.mark.long, pytest.mark.server, pytest.mark.timeout(1500), pytest.mark.usefixtures("prefect_server")]

SYNTH = {"project": "PRJ-0001", "dataset": "PLATE-SYNTH"}
NAME = "PRJ-0001/PLATE-SYNTH"


def states(ws: Workspace, level: Level) -> dict[str, CopyState]:
    """State of each copy of a level of the synthetic plate, by location."""
    return {
        copy.location: copy.state
        for copy in ws.catalogue.copies(artifact=ws.current(NAME, level).id)
        if copy.state is not CopyState.REMOVED
    }


def test_a_damaged_original_keeps_what_leans_on_it(spoilable: Workspace) -> None:
    """One flipped byte on the NAS: the staged copy that leans on it stays, and the report names the file."""
    from flows.stage import stage
    from flows.sweep import sweep

    stage(DatasetForm(**SYNTH))
    original = spoilable.stores["nas"].local(spoilable.current(NAME, Level.STANDARD).folder)
    victim = max((path for path in original.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    flip_bit(victim, at=100)

    said = sweep(SweepForm(dry_run=False))

    assert "1 damaged" in said
    assert states(spoilable, Level.STANDARD) == {"nas": CopyState.SUSPECT, "scratch": CopyState.VERIFIED}
    assert victim.relative_to(original).as_posix() in as_markdown(sweeping.sweep(spoilable, dry_run=True))


def test_the_command_names_the_damaged_file(spoilable: Workspace, coldchain: list[str]) -> None:
    """`coldchain sweep` after the demo: one flipped byte of raw data is named by its file, with exit code 1."""
    raw = spoilable.stores["nas"].local(spoilable.current(NAME, Level.RAW).folder)
    flip_bit(raw / "r02c02f01p01-ch1sk1fk1fl1.tiff", at=1000)
    command = [*coldchain, "sweep", "--remove", "--site", str(spoilable.site.path("site.yaml"))]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"COLUMNS": "200"})
    assert done.returncode == 1
    assert "r02c02f01p01-ch1sk1fk1fl1.tiff" in done.stdout
    assert raw.exists()


def test_damaged_raw_data_are_named_although_nothing_is_on_scratch(spoilable: Workspace) -> None:
    """The sweep reads copies back whether or not something is to be removed."""
    from flows.sweep import sweep

    raw = spoilable.stores["nas"].local(spoilable.current(NAME, Level.RAW).folder)
    flip_bit(raw / "r01c01f01p01-ch1sk1fk1fl1.tiff", at=1000)
    assert "1 damaged" in sweep(SweepForm(dry_run=True))
    assert states(spoilable, Level.RAW)["nas"] is CopyState.SUSPECT


def test_the_nas_that_is_gone_keeps_everything_on_scratch(spoilable: Workspace) -> None:
    """A location without its marker does not count: nothing that leans on it goes."""
    from flows.stage import stage
    from flows.sweep import sweep

    stage(DatasetForm(**SYNTH))
    (spoilable.site.path("nas") / ".coldchain").rename(spoilable.site.path("nas") / "gone")
    sweep(SweepForm(dry_run=False))
    assert states(spoilable, Level.STANDARD)["scratch"] is CopyState.VERIFIED
    with pytest.raises(LocationUnreachable):
        spoilable.store("nas")


def test_tables_that_do_not_fit_the_masks_are_not_promoted(spoilable: Workspace) -> None:
    """Segment again by another channel and forget to profile: the tables are none of the new masks, and no second release is made."""
    from flows.correct import correct
    from flows.promote import promote
    from flows.segment import segment
    from flows.stage import stage

    before = spoilable.catalogue.artifacts(NAME, Level.RELEASE)
    stage(DatasetForm(**SYNTH))
    correct(DatasetForm(**SYNTH))
    segment(SegmentForm(**SYNTH, channel="Marker"))
    with pytest.raises(NotInCatalogue, match="single_cell_profiles was not made yet of what is current"):
        promote(PromoteForm(**SYNTH, version="2.0"))
    assert spoilable.catalogue.artifacts(NAME, Level.RELEASE) == before


def test_a_failure_that_a_person_accepts_travels_with_the_release(spoilable: Workspace, coldchain: list[str]) -> None:
    """A control well that was never filled closes the gate; accepted by its mark, with a reason, it stands in the release and its pages."""
    from flows.promote import promote

    described = spoilable.catalogue.dataset(NAME)
    spoilable.catalogue.save_dataset(described.model_copy(update={"plate_map": {**described.plate_map, "H12": {"control": "negative"}}}))
    with pytest.raises(GateFailed, match="every control well of the plate map has nuclei") as refused:
        promote(PromoteForm(**SYNTH, version="2.0"))
    assert "nothing was promoted" in str(refused.value)
    assert (failure_docs(spoilable, NAME) / "bulk_profiles/index.html").exists()
    site = ["--site", str(spoilable.site.path("site.yaml"))]
    command = [*coldchain, "accept", NAME, *site]
    open_ones = json.loads(subprocess.run([*command, "--json"], capture_output=True, text=True, check=True).stdout)
    assert {each["rule"] for each in open_ones} == {"controls-present", "controls-labelled"}
    for each in open_ones:
        said = subprocess.run([*command, each["mark"], "--reason", "H12 was left empty"], capture_output=True, text=True, check=True)
        assert "accepted by" in said.stdout
    promote(PromoteForm(**SYNTH, version="2.0"))
    release = spoilable.stores["scratch"].local(spoilable.current(NAME, Level.RELEASE).folder)
    kept = json.loads((release / "validation/accepted.json").read_text())
    assert {each["failure"]["mark"] for each in kept} == {each["mark"] for each in open_ones}
    assert "H12 was left empty" in (release / "README.md").read_text()
    assert "H12 was left empty" in (release / "validation/bulk_profiles/index.html").read_text()
    reports = spoilable.catalogue.activity(spoilable.current(NAME, Level.RELEASE).activity).findings["gate"]
    assert {report["suite"] for report in reports if report["accepted"]} == {"bulk_profiles"}


def test_tables_at_hand_say_whether_they_passed_the_gate(spoilable: Workspace) -> None:
    """The README beside an archived table names the release that it is of; that of masks says nothing of a gate."""
    nas = spoilable.stores["nas"]
    for level, said in ((Level.BULK_PROFILES, True), (Level.SINGLE_CELL_PROFILES, True), (Level.MASKS, False)):
        folder = nas.local(spoilable.current(NAME, level).folder)
        assert ("Validated: it passed the gate" in folder.with_name(f"{folder.name}.README.md").read_text()) is said
