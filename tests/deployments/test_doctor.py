"""The doctor on what people ought to know: the heartbeat of the sweep, disks that are one disk, brakes, notices that nobody answers."""

from __future__ import annotations

import datetime as dt
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import deployments
from coldchain import sweeping, zfs
from coldchain.cluster import Cluster, ClusterKind, ComputeStep
from coldchain.copies import Artifact, CopyState
from coldchain.dataset import Dataset, Project
from coldchain.levels import Level
from coldchain.policy import Approval, Ground
from coldchain.proposals import Answer
from coldchain.protection import set_immutable
from coldchain.provenance import Activity
from coldchain.store import Protection
from coldchain.store_posix import PosixStore
from coldchain.testing.faults import FaultyStore, skewed
from coldchain.testing.zfs import Fault, Pool
from coldchain.workspace import Workspace
from deployments.doctor import Finding, examine, heartbeat
from tasks.workspace import open_workspace

NOW = dt.datetime(2030, 1, 15, 8, tzinfo=dt.UTC)


@pytest.fixture
def ws(tmp_path: Path) -> Iterator[Workspace]:
    """The demo's site, registered and empty, at eight in the morning."""
    for name in ("site.yaml", "policy.yaml"):
        shutil.copy(Path(deployments.__file__).with_name("sites") / name, tmp_path / name)
    space = replace(open_workspace(tmp_path / "site.yaml"), now=lambda: NOW)
    space.register()
    yield space
    space.catalogue.close()


@pytest.fixture
def stocked(ws: Workspace) -> int:
    """The number of a verified copy of corrected images on scratch."""
    ws.catalogue.save_project(Project(id="PRJ-0001", title="Nuclei"))
    ws.catalogue.save_dataset(Dataset(project="PRJ-0001", name="PLATE-A", pattern="plain", channels={1: "DNA"}))
    activity = Activity("a", "correct", "f", (), {}, "0.1", "lock", "ada@lab", NOW, NOW)
    artifact = Artifact("PRJ-0001/PLATE-A", Level.CORRECTED, "ab" * 32, 3, 1000, "a", NOW)
    copy = ws.catalogue.record(activity, artifact, "scratch", NOW)
    return ws.catalogue.change_copy(copy.id, state=CopyState.VERIFIED, verified_at=NOW).id


@pytest.mark.parametrize(("hours", "fine"), [(1, False), (-1, False), (0, True)])
def test_a_location_whose_clock_is_off_is_told(ws: Workspace, hours: float, fine: bool) -> None:
    """By how much, and what mends it: what changed since a moment cannot be told there."""
    store = FaultyStore(ws.stores["nas"], {"clock": skewed(dt.timedelta(hours=hours))})
    (found,) = of(examine(replace(ws, stores={**ws.stores, "nas": store})), "nas: rights and clock")
    assert found.ok is fine
    assert fine or (f"{3600 * hours:+.0f}"[:3] in found.found and "NTP" in found.hint)


def swept(ws: Workspace, hours_ago: float, **body: object) -> None:
    """Leave a sweep's receipt."""
    ws.catalogue.add_receipt("sweep", {"run": str(hours_ago), **body}, "coldchain@host", NOW - dt.timedelta(hours=hours_ago))


def asking(ws: Workspace, person: str) -> Workspace:
    """The same site under a policy that asks a person, or nobody, before corrected images leave scratch."""
    approval = ws.policy.purge.approval.model_copy(update={"remake": Approval(person)})
    return replace(ws, policy=ws.policy.model_copy(update={"purge": ws.policy.purge.model_copy(update={"approval": approval})}))


def of(findings: list[Finding], word: str) -> list[Finding]:
    """Findings on something."""
    return [finding for finding in findings if word in finding.what]


def test_a_sweep_of_last_night_is_a_heartbeat(ws: Workspace) -> None:
    """A receipt within the hours is fine, and the finding names its moment."""
    swept(ws, 5.5, dry_run=False)
    found = heartbeat(ws, 26)
    assert found.ok
    assert "2030-01-15 02:30" in found.found


def test_no_sweep_at_all_is_no_heartbeat(ws: Workspace) -> None:
    """Where no sweep ever ran, the heartbeat fails in plain words."""
    found = heartbeat(ws, 26)
    assert not found.ok
    assert "none is known" in found.found
    assert "nightly-sweep" in found.hint


def test_a_sweep_before_that_is_no_heartbeat(ws: Workspace) -> None:
    """An older receipt is named, and does not count; with more hours it does."""
    swept(ws, 26.5, dry_run=False)
    found = heartbeat(ws, 26)
    assert not found.ok
    assert "2030-01-14 05:30" in found.found
    assert heartbeat(ws, 27).ok


@pytest.mark.parametrize("body", [{"dry_run": True}, {}, {"dry_run": "no"}])
def test_a_dry_run_is_no_heartbeat(ws: Workspace, body: dict[str, object]) -> None:
    """What is not known to have been a real sweep does not count, and does not hide an older one that was."""
    swept(ws, 40, dry_run=False)
    swept(ws, 1, **body)
    found = heartbeat(ws, 26)
    assert not found.ok
    assert "2030-01-13 16:00" in found.found


def test_a_sweep_in_the_future_is_no_heartbeat(ws: Workspace) -> None:
    """A receipt of a night when the clock ran ahead does not keep the alarm silent for years."""
    swept(ws, -24, dry_run=False)
    assert not heartbeat(ws, 26).ok


def test_a_dry_run_after_the_sweep_hides_nothing(ws: Workspace) -> None:
    """Somebody's dry run in the morning does not make the night's sweep unseen."""
    swept(ws, 5, dry_run=False)
    swept(ws, 1, dry_run=True)
    assert heartbeat(ws, 26).ok


def test_another_receipt_is_no_heartbeat(ws: Workspace) -> None:
    """Only sweeps count."""
    ws.catalogue.add_receipt("removal", {"dry_run": False}, "coldchain@host", NOW)
    assert not heartbeat(ws, 26).ok


@pytest.mark.parametrize("dry_run", [True, False])
def test_the_sweep_leaves_the_heartbeat(ws: Workspace, dry_run: bool) -> None:
    """What the sweep writes is what the heartbeat reads."""
    sweeping.sweep(ws, dry_run=dry_run)
    assert heartbeat(ws, 26).ok is not dry_run


def test_disks_that_are_one_disk_are_named(ws: Workspace) -> None:
    """Places that are said to fail apart and stand on one device are one warning; scratch never counts, so it is left out."""
    (found,) = of(examine(ws), "failure domains")
    assert found.what.startswith("backup, cold, nas:")
    assert (found.ok, found.warning) == (True, True)


def test_one_domain_on_one_disk_is_no_warning(ws: Workspace) -> None:
    """Whoever says that they die together is told nothing."""
    together = tuple(place.model_copy(update={"domain": "one"}) for place in ws.site.locations)
    assert of(examine(replace(ws, site=_with(ws, together))), "failure domains") == []


def test_disks_that_are_two_disks_are_no_warning(ws: Workspace, tmp_path: Path) -> None:
    """Places on devices of their own are told apart."""
    memory = Path("/dev/shm")  # noqa: S108 - another device, not a place for our files
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second device here")
    elsewhere = tuple(
        place if place.name == "nas" else place.model_copy(update={"root": str(memory), "domain": "memory"}) for place in ws.site.locations
    )
    assert of(examine(replace(ws, site=_with(ws, elsewhere))), "failure domains") == []


def _with(ws: Workspace, locations: tuple[object, ...]) -> object:
    """The same site with other locations."""
    site = ws.site.model_copy(update={"locations": locations})
    site.__dict__.pop("by_name", None)
    return site


def test_a_place_that_is_not_mounted_shares_no_disk(ws: Workspace) -> None:
    """The empty folder of a mount point stands on the system's disk: that is no finding on the place."""
    shutil.rmtree(ws.site.path("nas"))
    ws.site.path("nas").mkdir()
    (found,) = of(examine(ws), "failure domains")
    assert "nas" not in found.what


def test_a_stopped_audit_is_not_fine(ws: Workspace) -> None:
    """A location whose audit was stopped is named with its reason, and how it is released."""
    ws.catalogue.set_brake("cold", "9 of 12 copies failed", NOW)
    (found,) = of(examine(ws), "audit")
    assert (found.what, found.ok, found.found) == ("cold: audit", False, "9 of 12 copies failed")
    assert "coldchain audit --release cold" in found.hint


@pytest.mark.parametrize(
    ("days", "person", "answer", "warned"),
    [
        (15, "person", None, True),
        (13, "person", None, False),
        (15, "none", None, False),
        (15, "person", Answer.YES, False),
        (15, "person", Answer.NO, False),
    ],
    ids=["a fortnight", "not yet", "nobody is asked", "yes was said", "no was said"],
)
def test_a_notice_that_nobody_answers_is_named(
    ws: Workspace, stocked: int, days: int, person: str, answer: Answer | None, warned: bool
) -> None:
    """A notice that has waited for a person's yes for a fortnight is a warning, with the command that answers it."""
    told_at = NOW - dt.timedelta(days=days)
    notice = ws.catalogue.propose([(stocked, Ground.REMAKE)], ws.policy.digest, told_at)
    if answer:
        ws.catalogue.answer(notice, answer, "Ada", "command line", "", NOW)
    found = of(examine(asking(ws, person)), "notice")
    assert [(each.what, each.ok, each.warning) for each in found] == ([(f"notice {notice}", True, True)] if warned else [])
    assert all(f"coldchain approve {notice}" in each.hint for each in found)


def test_what_is_gone_waits_for_nobody(ws: Workspace, stocked: int) -> None:
    """A copy that was removed by hand, whose proposal was never closed, is no reason to ask anybody."""
    ws.catalogue.propose([(stocked, Ground.REMAKE)], ws.policy.digest, NOW - dt.timedelta(days=30))
    artifact = ws.catalogue.copies()[0].artifact
    ws.catalogue.change_copy(stocked, state=CopyState.REMOVED)
    ws.catalogue.start_copy(artifact, "nas", "somewhere", NOW)
    assert of(examine(asking(ws, "person")), "notice") == []


@pytest.fixture
def on_zfs(ws: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Workspace, Pool]:
    """The same site, whose NAS is a file system of the stand-in and says `protection: zfs`."""
    if os.geteuid() == 0:
        try:
            set_immutable(ws.site.path("nas"), on=True)
            set_immutable(ws.site.path("nas"), on=False)
        except OSError:
            pytest.skip("no immutable flag here: the stand-in cannot keep root out of its snapshots")
    pool = Pool(tmp_path / "pool")
    pool.create("tank/nas", ws.site.path("nas"))
    monkeypatch.setenv("PATH", f"{pool.bin}:{os.environ['PATH']}")
    places = tuple(place.model_copy(update={"protection": Protection.ZFS}) if place.name == "nas" else place for place in ws.site.locations)
    nas = PosixStore(next(place for place in places if place.name == "nas"), ws.site.path("nas"))
    return replace(ws, site=_with(ws, places), stores=ws.stores | {"nas": nas}), pool


def left_by_the_doctor(ws: Workspace) -> list[str]:
    """Folders that it did not remove."""
    return [str(path) for path in (ws.site.path("nas") / ".coldchain").rglob("doctor-*")]


def test_a_snapshot_with_a_hold_is_said_to_be_in_force(on_zfs: tuple[Workspace, Pool]) -> None:
    """The doctor protects by a snapshot, tries to break it, and leaves neither folder nor snapshot."""
    ws, pool = on_zfs
    (found,) = of(examine(ws), "nas: write-protection")
    assert (found.ok, found.found) == (True, "zfs in force")
    assert (pool.snapshots(), left_by_the_doctor(ws)) == ({}, [])


@pytest.mark.parametrize(
    ("fault", "said", "snapshots"),
    [
        (Fault.MAY_NOT_HOLD, "a snapshot cannot be held", 0),
        (Fault.HOLDS_ARE_VOID, "possible to destroy the snapshot", 0),
        (Fault.MAY_NOT_RELEASE, "a snapshot cannot be released", 1),
    ],
)
def test_a_snapshot_that_protects_nothing_is_not_fine(on_zfs: tuple[Workspace, Pool], fault: Fault, said: str, snapshots: int) -> None:
    """What failed first is said, the right to give a snapshot up is needed as well, and the doctor's folder goes in any case."""
    ws, pool = on_zfs
    pool.fail(fault)
    (found,) = of(examine(ws), "nas: write-protection")
    assert not found.ok
    assert said in found.found
    assert (len(pool.snapshots()), left_by_the_doctor(ws)) == (snapshots, [])


def test_the_first_failure_is_said(on_zfs: tuple[Workspace, Pool]) -> None:
    """Where neither holding nor tidying up is allowed, the doctor speaks of the hold."""
    ws, pool = on_zfs
    pool.fail(Fault.MAY_NOT_HOLD, Fault.MAY_NOT_DESTROY)
    (found,) = of(examine(ws), "nas: write-protection")
    assert "a snapshot cannot be held" in found.found
    assert left_by_the_doctor(ws) == []


def test_a_missing_zfs_is_named(on_zfs: tuple[Workspace, Pool], monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine without the command the doctor names it, says what to do, and leaves nothing behind."""
    ws, _pool = on_zfs
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(zfs, "SBIN", ())
    (found,) = of(examine(ws), "nas: write-protection")
    assert not found.ok
    assert "the `zfs` command is not there" in found.found
    assert "zfsutils" in found.found
    assert left_by_the_doctor(ws) == []


def test_the_doctor_leaves_nothing_behind(ws: Workspace) -> None:
    """Whatever the protection, the doctor's own folder is gone."""
    examine(ws)
    assert left_by_the_doctor(ws) == []


class TestClusters:
    """Each cluster profile has its line."""

    def profiles(self, ws: Workspace, **clusters: Cluster) -> dict[str, Finding]:
        """What the doctor says of a site with more profiles, by what was looked at."""
        site = ws.site.model_copy(update={"clusters": clusters})
        return {found.what: found for found in examine(replace(ws, site=site)) if found.what.startswith("cluster")}

    def test_each_profile_is_shown_with_its_steps(self, ws: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without SLURM's commands a profile that needs them is not fine; with them the doctor says what it asks for."""
        gpu = Cluster(kind=ClusterKind.SLURM, steps=(ComputeStep.SEGMENT,), partition="gpu", gres="gpu:1", qos="long")
        monkeypatch.setenv("PATH", str(tmp_path))
        found = self.profiles(ws, gpu=gpu)
        assert found["cluster"].ok
        assert "whatever no profile names" in found["cluster"].found
        assert not found["cluster profile gpu"].ok
        for name in ("sbatch", "squeue", "scancel"):
            (tmp_path / name).touch(mode=0o755)
        fine = self.profiles(ws, gpu=gpu)["cluster profile gpu"]
        assert fine.ok
        assert "partition gpu, qos long, gres gpu:1: segment" in fine.found

    def test_words_that_cannot_be_used_are_told(self, ws: Workspace) -> None:
        """What a run would refuse at night is refused by the doctor in the afternoon."""
        found = self.profiles(ws, centre=Cluster(kind=ClusterKind.SLURM, steps=(ComputeStep.SEGMENT,), gres="gpu:4"))
        assert not found["cluster profile centre"].ok
        assert "one card a worker" in found["cluster profile centre"].found

    @pytest.mark.parametrize("there", [True, False])
    def test_a_local_profile_that_needs_a_gpu_has_one(
        self, ws: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
    ) -> None:
        """The doctor looks for the card as a worker would."""
        monkeypatch.setenv("COLDCHAIN_GPU_DEVICES", f"{tmp_path}/card*")
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if there:
            (tmp_path / "card0").touch()
        found = self.profiles(ws, gpu=Cluster(steps=(ComputeStep.SEGMENT,), gpu=True))
        assert found["cluster profile gpu"].ok is there
