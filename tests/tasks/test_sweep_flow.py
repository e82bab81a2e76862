"""What the flow `sweep` leaves behind: artifacts in the Prefect UI, and the HTML report beside the site file."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path

import pytest
from prefect import flow

import deployments
from coldchain.errors import ConfigurationError
from coldchain.forms import SweepForm
from coldchain.report import Line, Report
from tasks import sweep_html, sweep_tables
from tasks.workspace import open_workspace

AT = dt.datetime(2030, 1, 15, 2, 30, tzinfo=dt.UTC)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The demo's site, registered and empty; flows called in this process use it."""
    for name in ("site.yaml", "policy.yaml"):
        shutil.copy(Path(deployments.__file__).with_name("sites") / name, tmp_path / name)
    monkeypatch.setenv("COLDCHAIN_SITE", str(tmp_path / "site.yaml"))
    open_workspace().register()
    return tmp_path


def artifacts(key: str) -> list[str]:
    """The artifacts with a key, the newest first."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
    from prefect.client.schemas.sorting import ArtifactSort

    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key])), sort=ArtifactSort.CREATED_DESC)
    return [str(artifact.data) for artifact in found]


@pytest.mark.server
@pytest.mark.usefixtures("prefect_server")
@pytest.mark.parametrize("dry_run", [True, False])
def test_a_sweep_leaves_a_page_tables_and_a_file(site: Path, dry_run: bool) -> None:
    """The page names the file, the file is there, the latest is the same, and no half-written file is left."""
    from flows.sweep import sweep

    said = sweep(SweepForm(dry_run=dry_run))
    (report,) = [path for path in (site / "reports").iterdir() if path.name != "latest.html"]
    assert report.name.startswith("sweep-20")
    assert report.name.endswith("Z.html")
    assert (site / "reports" / "latest.html").read_bytes() == report.read_bytes()
    page = artifacts("sweep")[0]
    assert f"reports/{report.name}" in page
    assert ("ry run" in page) is ("ry run" in report.read_text("utf-8")) is dry_run
    assert "0 damaged" in said
    assert all(artifacts(key) for key in ("sweep-goes", "sweep-falls-due", "sweep-space"))


@pytest.mark.server
@pytest.mark.usefixtures("prefect_server")
def test_hostile_names_reach_the_ui_as_text(site: Path) -> None:
    """Names that are no UTF-8 do not keep the report from the Prefect server."""
    from tasks import show

    report = Report(open_workspace().now(), dry_run=False, policy="lab\udcff", site="x")
    for part in (report.removed, report.falling_due, report.damaged):
        part.add(Line("plate\udcff\n<script>", "scratch", 1, ("torn\x00",)))
    flow(lambda: show.swept(report), name="showing")()
    for key in ("sweep", "sweep-goes", "sweep-falls-due"):
        assert "udcff" in artifacts(key)[0]
        assert "\x00" not in artifacts(key)[0]
    assert (site / "site.yaml").exists()


@pytest.mark.server
@pytest.mark.usefixtures("prefect_server")
def test_every_report_stays(site: Path) -> None:
    """Two sweeps leave two reports, and the latest is the second one."""
    pages = []
    for number in range(2):
        report = Report(AT + dt.timedelta(microseconds=number), dry_run=False, policy=f"policy-{number}")
        pages.append(flow(lambda report=report: sweep_html.leave(report), name="leaving")())
    assert [f"policy-{number}" in (site / page).read_text("utf-8") for number, page in enumerate(pages)] == [True, True]
    assert len(list((site / "reports").iterdir())) == 3
    assert (site / "reports/latest.html").read_bytes() == (site / pages[1]).read_bytes()


@pytest.mark.server
@pytest.mark.usefixtures("prefect_server")
def test_a_folder_that_cannot_be_made_is_named(site: Path) -> None:
    """Where something else stands in the folder's place the run fails in plain words, after its artifacts were shown."""
    from flows.sweep import sweep

    (site / "reports").write_text("not a folder")
    before = len(artifacts("sweep"))
    with pytest.raises(ConfigurationError, match="folder of the reports"):
        sweep(SweepForm(dry_run=True))
    assert len(artifacts("sweep")) == before + 1
    assert (site / "reports").read_text() == "not a folder"


def test_tables_say_what_they_leave_out() -> None:
    """A part that was capped ends with how many more there are; a dry run is named in every row."""
    report = Report(AT, dry_run=True, policy="lab v3")
    report.removed.add(Line("a", "scratch", 2 * 10**9, ("due", "covered")))
    report.removed.count = 9
    report.waiting.add(Line("b", "nas", 10**9, ("in notice 3",)))
    rows = sweep_tables.goes(report)
    assert rows[0] == {"artifact": "a", "location": "scratch", "GB": 2.0, "what": "would be removed", "why": "due; covered"}
    assert [(row["artifact"], row["what"]) for row in rows] == [
        ("a", "would be removed"),
        ("and 8 more", "would be removed"),
        ("b", "waiting"),
    ]
    report.dry_run = False
    assert sweep_tables.goes(report)[0]["what"] == "removed"
