"""The audit and the repair as flows: what people read, and that a stopped audit is a failed run."""

from __future__ import annotations

import shutil
from typing import Any

import pytest
from prefect.logging import disable_run_logger

from coldchain import making, transfer
from coldchain.auditing import Audited, Failure, Place
from coldchain.copies import CopyState
from coldchain.dataset import Dataset, Project
from coldchain.errors import IntegrityError
from coldchain.files import no_progress
from coldchain.forms import AuditForm, RepairForm
from coldchain.levels import Level
from coldchain.strays import Names, Strays
from coldchain.testing.faults import flip_bit
from coldchain.workspace import Workspace
from tasks import auditing

DATASET = "PRJ-0001/PLATE-A"


@pytest.fixture
def ws(demo_site: Workspace) -> Workspace:
    """The demo's site with one raw dataset of one file, on the NAS and at the backup."""
    demo_site.catalogue.save_project(Project(id="PRJ-0001", title="Nuclei"))
    demo_site.catalogue.save_dataset(Dataset(project="PRJ-0001", name="PLATE-A", pattern="plain", channels={1: "DNA"}))
    folder = demo_site.site.path("acquisition") / "PLATE-A"
    folder.mkdir(parents=True)
    (folder / "image.tif").write_bytes(b"pixels" * 100)
    raw = making.take_in(demo_site, making.Step("ingest", DATASET, Level.RAW), folder, "nas", no_progress).artifact
    transfer.deliver(demo_site, raw, "backup")
    return demo_site


def spoil(ws: Workspace) -> None:
    """Flip a bit of the copy at the backup."""
    flip_bit(ws.stores["backup"].local("projects/PRJ-0001/raw/PLATE-A/image.tif"))


def artifact(key: str) -> Any:
    """The newest Prefect artifact with a key."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
    from prefect.client.schemas.sorting import ArtifactSort

    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key])), sort=ArtifactSort.CREATED_DESC)
    return found[0].data


@pytest.mark.server
@pytest.mark.usefixtures("prefect_server")
def test_the_flows_find_damage_and_mend_it(ws: Workspace) -> None:
    """One flipped bit and one stray: the audit names both, a dry repair says from where, a repair mends, and the next audit is clean."""
    from flows.audit import audit
    from flows.repair import repair

    spoil(ws)
    (ws.site.path("backup") / "projects" / "stray|<b>").touch()
    assert "1 do not match" in audit(AuditForm())
    report = artifact("audit")
    assert "image.tif" in report
    assert "projects/stray|&lt;b>" in report
    form = {"project": "PRJ-0001", "dataset": "PLATE-A"}
    assert repair(RepairForm(**form)) == "0 of 1 damaged copies are repaired"
    assert [copy.state for copy in ws.catalogue.copies(location="backup")] == [CopyState.SUSPECT]
    assert repair(RepairForm(**form, dry_run=False)) == "1 of 1 damaged copies are repaired"
    assert "0 do not match" in audit(AuditForm(strays=False))
    assert "projects/stray" not in artifact("audit")


@pytest.mark.server
@pytest.mark.usefixtures("prefect_server")
def test_a_stopped_audit_is_a_failed_run_with_its_report(ws: Workspace) -> None:
    """The report is shown first, then the run fails with the location, the reason and what to do."""
    from prefect.states import State

    from flows.audit import audit

    ws.catalogue.set_brake("backup", "6 of 6 copies do not match", ws.now())
    state: State[Any] = audit(AuditForm(), return_state=True)
    assert state.is_failed()
    with pytest.raises(IntegrityError, match=r"(?s)backup.*6 of 6.*--release"):
        state.result()
    assert "6 of 6 copies do not match" in artifact("audit")


def test_a_budget_of_none_is_the_policys(ws: Workspace) -> None:
    """0 GB in the form is what the policy says; another number is in gigabytes."""
    assert AuditForm().budget_gb == 0
    for gb, expected in ((0, ws.policy.audit.bytes_a_night), (1.5, 1_500_000_000)):
        with disable_run_logger():
            assert auditing.audit_site.fn(budget_gb=gb, locations=["cold"]).budget == expected


def test_a_location_that_is_away_is_not_looked_at_for_strays(ws: Workspace) -> None:
    """The others are; and where nothing is wanted nothing is looked at."""
    shutil.rmtree(ws.site.path("cold"))
    with disable_run_logger():
        assert [each.location for each in auditing.find_strays.fn([], wanted=True)] == ["nas", "backup"]
    assert auditing.find_strays.fn([], wanted=False) == []
    assert [each.location for each in auditing.find_strays.fn(["nas"], wanted=True)] == ["nas"]


def test_a_report_stays_on_its_lines_and_short(ws: Workspace) -> None:
    """A message of several lines is one line of the report; what is too much is counted."""
    (copy,) = ws.catalogue.copies(location="backup")
    place = Place("backup", 1, 600, suspect=[Failure(copy, "label", "one\n  two\nthree")] * (auditing.MOST + 7))
    names = Names(1)
    for number in range(3):
        names.add(f"stray {number}")
    said = auditing.as_markdown(Audited(ws.now().date(), 1, [place]), [Strays("backup", names, Names(), Names())])
    assert "- label at backup: one two three\n" in said
    assert "- and 7 more\n" in said
    assert "- backup: and 2 more\n" in said
    assert "Missing" not in said
