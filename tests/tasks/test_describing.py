"""Getting to know a dataset before anything of it is taken in."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import deployments
from coldchain.errors import ColdchainError, ConfigurationError, EgressRefused, InputError, LayoutError, UnsafePathError
from coldchain.forms import DatasetForm, IngestForm
from coldchain.origins import Origin
from coldchain.workspace import Workspace
from deployments.acquisition import write_acquisitions
from tasks.describing import describe
from tasks.imaging import layout
from tasks.workspace import open_workspace

FORM = {"project": "PRJ-0001", "dataset": "PLATE-REAL"}


@pytest.fixture
def ws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """The demo's site with its acquisitions, nothing ingested yet."""
    for name in ("site.yaml", "policy.yaml"):
        shutil.copy(Path(deployments.__file__).with_name("sites") / name, tmp_path / name)
    monkeypatch.setenv("COLDCHAIN_SITE", str(tmp_path / "site.yaml"))
    write_acquisitions(tmp_path / "acquisition")
    found = open_workspace()
    found.register()
    return found


def acquired(ws: Workspace) -> Path:
    """The acquisition folder of the real plate."""
    return ws.site.path("acquisition") / "PLATE-REAL"


def test_a_dataset_is_written_down_as_its_yaml_says(ws: Workspace) -> None:
    """Pattern, channels and plate map come from the file beside the images; the project from the form."""
    assert describe.fn(IngestForm(**FORM, title="Nuclei", origin=Origin.COLLABORATOR_ACADEMIC, agreement="MTA-7")) == "PLATE-REAL"
    assert ws.catalogue.dataset("PRJ-0001/PLATE-REAL").channels == {1: "DNA"}
    assert ws.catalogue.project("PRJ-0001").agreement == "MTA-7"


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (lambda folder: (folder / "PLATE-REAL_B02_s1_w1.TIF").rename(folder / "PLATE-REAL_C09_s3_w1.TIF"), LayoutError),
        (lambda folder: (folder / "dataset.yaml").write_text("project: PRJ-0001\nname: [\n"), ConfigurationError),
        (lambda folder: (folder / "dataset.yaml").unlink(), ConfigurationError),
        (
            lambda folder: (folder / "dataset.yaml").write_text((folder / "dataset.yaml").read_text().replace("PLATE-REAL", "OTHER")),
            InputError,
        ),
    ],
    ids=["a field is missing", "the yaml is broken", "the yaml is missing", "the yaml is of another dataset"],
)
def test_what_cannot_be_a_dataset_is_refused_before_anything_is_registered(
    ws: Workspace, spoil: object, error: type[ColdchainError]
) -> None:
    """A plate with a gap, a wrong or a missing description: nothing is in the catalogue, nothing on the NAS."""
    spoil(acquired(ws))  # type: ignore[operator]
    with pytest.raises(error):
        describe.fn(IngestForm(**FORM))
    assert ws.catalogue.datasets() == []
    assert not (ws.site.path("nas") / "projects").exists()


def test_a_plate_named_in_the_sites_own_way(ws: Workspace) -> None:
    """A convention of site.yaml reads the folder as a built-in one would; what it said is a parameter of the conversion."""
    for path in acquired(ws).glob("*.TIF"):
        _, well, field, channel = path.stem.split("_")
        path.rename(path.with_name(f"{well}-{field[1:]}-{channel[1:]}.tif"))
    described = acquired(ws) / "dataset.yaml"
    described.write_text(described.read_text().replace("pattern: imagexpress", "pattern: ours"))
    with pytest.raises(InputError, match="Unknown naming convention"):
        describe.fn(IngestForm(**FORM))
    expression = r"(?P<well>\w+)-(?P<field>\d+)-(?P<channel>\d)\.tif"
    site = ws.site.path("site.yaml")
    site.write_text(f"{site.read_text()}\nconventions:\n  ours: {{expression: '{expression}', example: A01-1-1.tif}}\n")
    assert describe.fn(IngestForm(**FORM)) == "PLATE-REAL"
    own = open_workspace().site.conventions
    assert layout(open_workspace().catalogue.dataset("PRJ-0001/PLATE-REAL"), own)["pattern"]["ours"]["expression"] == expression


def test_a_folder_outside_the_acquisition_is_refused(ws: Workspace) -> None:
    """`..` in the form's folder does not lead out."""
    with pytest.raises(UnsafePathError):
        describe.fn(IngestForm(**FORM, folder="../nas"))
    assert ws.catalogue.datasets() == []


def test_an_ingest_does_not_change_a_known_project(ws: Workspace) -> None:
    """Who owns the data is not altered by a later form."""
    describe.fn(IngestForm(**FORM, origin=Origin.COLLABORATOR_INDUSTRY, agreement="NDA"))
    describe.fn(IngestForm(**FORM, origin=Origin.PUBLIC))
    assert ws.catalogue.project("PRJ-0001").origin is Origin.COLLABORATOR_INDUSTRY


@pytest.mark.server
def test_industry_data_do_not_leave_through_the_flow_that_preserves(ws: Workspace, prefect_server: object) -> None:
    """The check stands where every transfer passes: `preserve` to a place outside fails, and no byte is there."""
    from flows.ingest import ingest
    from flows.preserve import preserve

    site = ws.site.path("site.yaml")
    site.write_text(site.read_text().replace("    site: national-centre\n", "    site: national-centre\n    reach: outside\n"))
    ingest(IngestForm(**FORM, origin=Origin.COLLABORATOR_INDUSTRY))
    with pytest.raises(EgressRefused, match="may not go outside"):
        preserve(DatasetForm(**FORM))
    assert not (ws.site.path("cold") / "projects").exists()


@pytest.mark.server
def test_an_acquisition_that_is_gone_is_said(ws: Workspace, prefect_server: object) -> None:
    """Nothing to take in is an error that names the folder, and no half dataset."""
    from flows.ingest import ingest

    describe.fn(IngestForm(**FORM))
    shutil.rmtree(acquired(ws))
    with pytest.raises(InputError, match="no such acquisition folder"):
        ingest(IngestForm(**FORM))
