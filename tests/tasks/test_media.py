"""A disk that is taken away and brought back, from its registration to its damage: a file system in an image, mounted and unmounted."""

from __future__ import annotations

import dataclasses
import datetime as dt
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import deployments
from coldchain import auditing, files, making, reviewing, sweeping, transfer
from coldchain.copies import Artifact, CopyState
from coldchain.dataset import Dataset, Project
from coldchain.errors import ConfigurationError, InputError
from coldchain.forms import CheckInForm, CheckOutForm
from coldchain.levels import Level
from coldchain.protection import release
from coldchain.standing import standing
from coldchain.testing.drives import Drive
from coldchain.testing.faults import flip_bit
from coldchain.workspace import Workspace
from deployments.doctor import Finding, examine
from tasks import media, workspace
from tasks.sweeping import as_markdown, duties
from tasks.workspace import open_workspace

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect_server")]

DAY = dt.timedelta(days=1)
PLACE = "room 3, shelf B"


@pytest.fixture
def drive(tmp_path: Path) -> Iterator[Callable[[str], Drive]]:
    """Make disks; all are taken out at the end."""
    made: list[Drive] = []

    def make(name: str) -> Drive:
        try:
            found = Drive(tmp_path / f"{name}.img")
            found.put_in(tmp_path / "try")
        except ConfigurationError as error:
            pytest.skip(f"no disk that is taken away: this machine mounts no image ({error.got})")
        found.take_out()
        made.append(found)
        return found

    yield make
    for each in made:
        each.take_out()


@pytest.fixture
def disk(tmp_path: Path, drive: Callable[[str], Drive]) -> Drive:
    """A new disk, put in."""
    found = drive("disk07")
    found.put_in(tmp_path / "disk07")
    return found


@pytest.fixture
def ws(tmp_path: Path, disk: Drive, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """The demo's site with that disk instead of a third one that stays; `ws.now` moves its time, also for the flows."""
    assert disk.at
    shutil.copy(Path(deployments.__file__).with_name("sites") / "policy.yaml", tmp_path / "policy.yaml")
    said = yaml.safe_load((Path(deployments.__file__).with_name("sites") / "site.yaml").read_text())
    said["locations"].append(
        {"name": "disk07", "root": "disk07", "medium": "disk", "domain": "disk07", "site": "campus", "engine": "offline",
         "offline": {"label": "Disk 7", "barcode": "D7"}}
    )  # fmt: skip
    (tmp_path / "site.yaml").write_text(yaml.safe_dump(said))
    policy = yaml.safe_load((tmp_path / "policy.yaml").read_text())
    (tmp_path / "policy.yaml").write_text(yaml.safe_dump(policy | {"audit": {"every_days": 30}}))
    monkeypatch.setenv("COLDCHAIN_SITE", str(tmp_path / "site.yaml"))
    clock = Clock(dt.datetime.now(dt.UTC))
    found = dataclasses.replace(open_workspace(), now=clock)
    monkeypatch.setattr(media, "open_workspace", lambda: dataclasses.replace(workspace.open_workspace(), now=clock))
    found.register()
    yield found
    found.catalogue.close()
    release(tmp_path / "nas")


class Clock:
    """A time that only tests move."""

    def __init__(self, at: dt.datetime) -> None:
        """Begin at a moment."""
        self.at = at

    def __call__(self) -> dt.datetime:
        """Now."""
        return self.at

    def forward(self, days: int) -> None:
        """Move on."""
        self.at += days * DAY


@pytest.fixture
def raw(ws: Workspace) -> Artifact:
    """Raw data on the NAS, in the cold archive and on the disk: what the policy wants, and not without the disk."""
    ws.catalogue.save_project(Project(id="PRJ-0001"))
    ws.catalogue.save_dataset(Dataset(project="PRJ-0001", name="RUN-1", pattern="opaque"))
    folder = ws.site.path("acquisition") / "RUN-1"
    folder.mkdir(parents=True)
    (folder / "run.pod5").write_bytes(b"signal" * 1000)
    artifact = making.take_in(ws, making.Step("ingest", "PRJ-0001/RUN-1", Level.RAW), folder, "nas", files.no_progress).artifact
    for to in ("cold", "disk07"):
        transfer.deliver(ws, artifact, to)
    return artifact


def stands(ws: Workspace, raw: Artifact) -> bool:
    """Whether the policy is met now."""
    return standing(raw, ws.ledger([raw.dataset]), ws.policy, ws.now()).stands


def check_in(place: str = PLACE) -> str:
    """Run the flow."""
    from flows.check_in import check_in as flow

    return flow(CheckInForm(location="disk07", place=place))


def check_out(**said: Any) -> str:
    """Run the flow."""
    from flows.check_out import check_out as flow

    return flow(CheckOutForm(location="disk07", **said))


def told(ws: Workspace) -> Finding:
    """What the doctor says of the disk."""
    (found,) = [each for each in examine(ws) if each.what.startswith("disk07: medium")]
    return found


def read_the_others(ws: Workspace) -> None:
    """The nightly audit reads what stays."""
    auditing.audit(ws, locations=["nas", "cold"])


def test_a_disk_goes_to_its_shelf_and_counts_there_until_it_has_to_be_read(ws: Workspace, raw: Artifact, disk: Drive) -> None:
    """Registered, filled, checked in and taken away it counts; when the window has passed it does not; read again it does."""
    assert stands(ws, raw)
    disk.take_out()
    assert not stands(ws, raw), "nobody said where it went"
    assert not told(ws).ok
    disk.put_in(ws.site.path("disk07"))

    said = check_in()
    assert said.startswith(f"disk07 is on the shelf: {PLACE}, and what is on it counts until")
    disk.take_out()
    assert stands(ws, raw)
    assert (told(ws).ok, told(ws).warning) == (True, False)
    assert told(ws).found.startswith(f"on the shelf: {PLACE}; copies on it count until")
    report = sweeping.sweep(ws, dry_run=True)
    assert report.unreachable == ()
    assert report.short.count == 0
    assert [duty.what for duty in duties(report)] == []
    assert "## Disks and tapes that are not put in\n\n1 medium." in as_markdown(report)

    ws.now.forward(days=61)
    read_the_others(ws)
    assert told(ws).warning
    assert f"bring disk07 (Disk 7) from {PLACE}" in told(ws).hint
    assert [(duty.now, duty.what[:40]) for duty in duties(sweeping.sweep(ws, dry_run=True))] == [
        (False, f"Bring disk07 (Disk 7) from {PLACE}"[:40])
    ]

    ws.now.forward(days=30)
    read_the_others(ws)
    assert not stands(ws, raw)
    reviewing.review(ws)
    assert [name for name, _ in ws.catalogue.shortfalls(9)] == [raw.id]
    assert any(duty.now and "do not count since" in duty.what for duty in duties(sweeping.sweep(ws, dry_run=True)))

    disk.put_in(ws.site.path("disk07"))
    assert auditing.audit(ws).copies == 1, "only what is due is read: the disk's copy"
    reviewing.review(ws)
    assert ws.catalogue.shortfalls(9) == []
    disk.take_out()
    assert stands(ws, raw), "it is back on its shelf"


def test_a_disk_that_somebody_takes_does_not_count_from_that_moment(ws: Workspace, raw: Artifact, disk: Drive) -> None:
    """A dry run says what falls short, and changes nothing; then it is written down, though the disk is still put in."""
    said = check_out(holder="ada")
    assert said == f"Dry run, nothing was written down: without disk07 1 more fall short of copies: {raw.label}"
    assert stands(ws, raw)
    assert "disk07 is checked out: ada has it since" in check_out(holder="ada", dry_run=False)
    assert not stands(ws, raw)
    assert told(ws).found.startswith("put in, and checked out")
    assert [duty.what for duty in duties(sweeping.sweep(ws, dry_run=True)) if "put in, and checked out" in duty.what]
    disk.take_out()
    assert (told(ws).ok, told(ws).warning) == (True, True)
    with pytest.raises(InputError, match="while it is put in"):
        check_in()
    disk.put_in(ws.site.path("disk07"))
    assert check_in(place="") == "disk07 is put in, and stays here"
    assert stands(ws, raw)
    with pytest.raises(InputError, match="with somebody, or it is lost"):
        check_out(dry_run=False)
    assert "disk07 is lost since" in check_out(lost=True, dry_run=False)
    assert not stands(ws, raw)


def test_another_disk_in_its_place_is_noticed(ws: Workspace, raw: Artifact, disk: Drive, drive: Callable[[str], Drive]) -> None:
    """It is refused by its identity, or for having none, written to by nobody, and told; the right one on its shelf counts no more."""
    check_in()
    disk.take_out()
    other = drive("other")
    other.put_in(ws.site.path("disk07"))
    ws.register()
    assert not (ws.site.path("disk07") / ".coldchain").exists()
    with pytest.raises(InputError, match=r"another medium is put in(?s:.*)got: none"):
        check_in()
    assert not stands(ws, raw), "who put that one in may have mixed them up"
    assert any(duty.now and "shows no identity" in duty.what for duty in duties(sweeping.sweep(ws, dry_run=True)))
    (ws.site.path("disk07") / ".coldchain").mkdir()
    (ws.site.path("disk07") / ".coldchain" / "location.json").write_text('{"identity": "ffff"}')
    with pytest.raises(InputError, match=r"another medium is put in(?s:.*)got: identity ffff"):
        check_in()
    assert not stands(ws, raw)
    (finding,) = [each for each in examine(ws) if each.what == "disk07: identity"]
    assert "ffff" in finding.found
    assert any(duty.now and "shows identity ffff" in duty.what for duty in duties(sweeping.sweep(ws, dry_run=True)))


def test_a_disk_that_comes_back_damaged_is_found_out(ws: Workspace, raw: Artifact, disk: Drive) -> None:
    """The audit reads it before it counts again: its copy is suspect, and its bytes stay."""
    check_in()
    disk.take_out()
    ws.now.forward(days=100)
    disk.put_in(ws.site.path("disk07"))
    flip_bit(ws.store("disk07").local(raw.folder) / "run.pod5", 10)
    assert len(auditing.audit(ws, locations=["disk07"]).suspect) == 1
    (copy,) = ws.catalogue.copies(artifact=raw.id, location="disk07")
    assert copy.state is CopyState.SUSPECT
    read_the_others(ws)
    check_in()
    disk.take_out()
    assert not stands(ws, raw)
