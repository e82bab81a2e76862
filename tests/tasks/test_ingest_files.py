"""Ingest of what is no plate of TIFF images: instruments' own files become OME-Zarr, and what is opaque is kept as it is."""

from __future__ import annotations

import dataclasses
import datetime as dt
import shutil
from pathlib import Path

import pytest

from coldchain import auditing, making
from coldchain.copies import Artifact, CopyState
from coldchain.errors import ColdchainError, ImageError, InputError
from coldchain.forms import AuditForm, IngestForm, LifecycleForm
from coldchain.imaging.imagezarr import IMAGES, images_of
from coldchain.levels import Level
from coldchain.lifecycle import remaining
from coldchain.making import local_folder
from coldchain.testing import microscopes
from coldchain.workspace import Workspace, utc_now
from tasks.auditing import as_markdown
from tasks.describing import dataset_state, describe

SESSION = {"project": "PRJ-0001", "dataset": "SESSION-1"}
DATASET = "PRJ-0001/SESSION-1"


@pytest.fixture
def ws(demo_site: Workspace) -> Workspace:
    """The demo's site, nothing acquired yet."""
    return demo_site


def acquire(ws: Workspace, pattern: str = "files") -> Path:
    """The folder of an acquisition, with its description."""
    folder = ws.site.path("acquisition") / "SESSION-1"
    folder.mkdir(parents=True)
    (folder / "dataset.yaml").write_text(f"project: PRJ-0001\nname: SESSION-1\npattern: {pattern}\n")
    return folder


@pytest.mark.server
@pytest.mark.usefixtures("prefect_server")
def test_a_confocal_session_goes_through_what_there_is_for_it(ws: Workspace) -> None:
    """Raw as it was, OME-Zarr beside it, the copies that the policy wants; no step that is for plates; the second run does nothing."""
    from flows.lifecycle import lifecycle

    folder = acquire(ws)
    data = microscopes.pixels((2, 1, 3, 64, 64))
    microscopes.write_czi(folder / "cells.czi", [data], channels=["DAPI"])
    native = (folder / "cells.czi").read_bytes()
    said = lifecycle(LifecycleForm(**SESSION, dry_run=False))
    assert said == f"{DATASET}: ingest, preserve"
    raw, standard = (ws.current(DATASET, level) for level in (Level.RAW, Level.STANDARD))
    assert (local_folder(ws, raw) / "cells.czi").read_bytes() == native
    (image,) = images_of(local_folder(ws, standard) / IMAGES)
    assert image.shape == data.shape
    places = {copy.location for copy in ws.catalogue.copies(artifact=raw.id, states=[CopyState.VERIFIED])}
    assert places == {"nas", "cold", "backup"}
    assert remaining(dataset_state(DATASET)) == []
    assert "nothing to do" in lifecycle(LifecycleForm(**SESSION, dry_run=False))


@pytest.mark.server
@pytest.mark.usefixtures("prefect_server")
def test_sequencing_data_are_kept_as_they_are(ws: Workspace) -> None:
    """With the same guarantees, and no images made of them."""
    from flows.lifecycle import lifecycle

    folder = acquire(ws, "opaque")
    (folder / "run-1.pod5").write_bytes(b"signal" * 1000)
    assert lifecycle(LifecycleForm(**SESSION, dry_run=False)) == f"{DATASET}: ingest, preserve"
    assert [artifact.level for artifact in ws.catalogue.artifacts(DATASET)] == [Level.RAW]
    assert remaining(dataset_state(DATASET)) == []


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [("cells.czi", None, None), ("notes.txt", b"hello", InputError)],
    ids=["a file with a reader", "no file with a reader"],
)
def test_a_folder_without_a_file_to_read_is_refused_before_anything_is_registered(
    ws: Workspace, name: str, content: bytes | None, error: type[ColdchainError] | None
) -> None:
    """What a reader says of a file is the conversion's business; that there is none is said at once."""
    (acquire(ws) / name).write_bytes(content or b"")
    if error is None:
        assert describe.fn(IngestForm(**SESSION)) == "SESSION-1"
        return
    with pytest.raises(error, match="No file here that a reader knows"):
        describe.fn(IngestForm(**SESSION))
    assert ws.catalogue.datasets() == []


@pytest.mark.server
@pytest.mark.usefixtures("prefect_server")
def test_a_damaged_file_is_safe_as_raw_and_is_named(ws: Workspace) -> None:
    """The ingest fails with the file's name; its bytes are on the NAS, verified."""
    from flows.ingest import ingest

    (acquire(ws) / "cells.czi").write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"cells\.czi"):
        ingest(IngestForm(**SESSION))
    raw = ws.current(DATASET, Level.RAW)
    assert [copy.state for copy in ws.catalogue.copies(artifact=raw.id)] == [CopyState.VERIFIED]
    assert [transition for transition, _ in remaining(dataset_state(DATASET))][:1] == ["ingest"]


@pytest.mark.server
@pytest.mark.usefixtures("prefect_server")
def test_an_audit_looks_whether_a_conversion_is_whole(ws: Workspace) -> None:
    """By the rules of the day of the audit: a conversion that lacks a plane, though every byte of it is what was written, is named."""
    from flows.audit import audit
    from flows.ingest import ingest

    microscopes.write_czi(acquire(ws) / "cells.czi", [microscopes.pixels((1, 1, 2, 64, 64))], channels=["DAPI"])
    ingest(IngestForm(**SESSION))
    later = dataclasses.replace(ws, now=lambda: utc_now() + dt.timedelta(days=400))
    assert auditing.audit(later, locations=["nas"]).copies == 2
    assert [place.incomplete for place in auditing.audit(later, locations=["nas"]).places] == [[]]

    lacking = step_without_its_last_plane(ws)
    found = auditing.audit(later, locations=["nas"])
    ((failure,),) = [place.incomplete for place in found.places]
    assert failure.artifact == lacking.label
    assert "plane 2" in failure.found
    assert "not whole by the rules of today" in as_markdown(found, [])
    assert not found.suspect
    assert audit(AuditForm(locations=["nas"])).endswith("0 do not match and do not count any more.")


def step_without_its_last_plane(ws: Workspace) -> Artifact:
    """A conversion as an earlier version, without today's rules, might have left it: the file of a plane is not there, and not missed."""

    def work(inputs: list[Path], target: Path) -> making.Outcome:
        shutil.copytree(inputs[0], target, dirs_exist_ok=True)
        for level in (target / IMAGES / "0").glob("s*"):
            (level / "c" / "0" / "0" / "1" / "0" / "0").unlink()
        return making.Outcome()

    step = making.Step("standardise", DATASET, Level.STANDARD, (ws.current(DATASET, Level.STANDARD),), {"version": "old"})
    return making.make(ws, step, work, at="nas").artifact
