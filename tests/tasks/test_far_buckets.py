"""A site whose cold archive is a bucket with locks: data go there and come back, fall into doubt and are mended; the doctor looks."""

from __future__ import annotations

import dataclasses
import datetime as dt
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from coldchain import approving, auditing, files, inspecting, legal_holds, removing, repairing, strays, sweeping, transfer
from coldchain.copies import Artifact, CopyState
from coldchain.errors import RemovalRefused
from coldchain.manifest import MANIFEST
from coldchain.workspace import Workspace, utc_now
from deployments import doctor
from deployments.doctor import Finding, examine
from tasks.stores import s3_lock
from tasks.stores.s3 import S3Store
from tests.contracts.bench_s3 import S3Bench, bench_of
from tests.contracts.s3_faults import instead
from tests.tasks.far import DATASET, begin, site_with, two_files


@pytest.fixture
def ws(tmp_path: Path, ceph: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """The demo's site; its cold archive is a bucket, and its doctor has little time."""
    monkeypatch.setattr(doctor, "TRIAL", dt.timedelta(seconds=3))
    bucket = {"engine": "s3", "s3": {"block": "cold"}, "root": f"site-{uuid.uuid4().hex}"}
    found = site_with(tmp_path, {"cold": {**bucket, "medium": "object", "protection": "object_lock"}})
    assert isinstance(found.stores["cold"], S3Store)
    stores = {**found.stores, "cold": bench_of(ceph, found.site.location("cold"), lock=True).store}
    made = dataclasses.replace(found, stores=stores)
    begin(made)
    yield made
    made.catalogue.close()


@pytest.fixture
def bench(ws: Workspace, ceph: Mapping[str, str]) -> S3Bench:
    """The way past the engine."""
    return bench_of(ceph, ws.site.location("cold"), lock=True)


@pytest.fixture
def raw(ws: Workspace) -> Artifact:
    """Two files on the NAS and in the bucket."""
    made = two_files(ws)
    assert transfer.deliver(ws, made, "cold").state is CopyState.VERIFIED
    return made


def cold_copy(ws: Workspace, artifact: Artifact) -> Any:
    """The copy in the bucket."""
    (found,) = ws.catalogue.copies(artifact=artifact.id, location="cold")
    return found


def test_a_copy_stands_there_and_is_locked(ws: Workspace, raw: Artifact, bench: S3Bench) -> None:
    """Under its name, human-readable, locked for as long as the policy keeps it; delivered again it is left alone."""
    tree = bench.tree(raw.folder)
    assert tree["deep/b\n.pod5"] == b"noise" * 10_000
    copy = cold_copy(ws, raw)
    assert copy.protection == "object_lock"
    head = bench.client.head_object(Bucket=bench.bucket, Key=f"{bench.prefix}{raw.folder}/a.pod5")
    assert (head["ObjectLockMode"], head["ObjectLockRetainUntilDate"]) == (
        "COMPLIANCE",
        s3_lock.whole_seconds(transfer.kept_until(ws, copy)),
    )
    before = bench.state(raw.folder)
    assert transfer.deliver(ws, raw, "cold") == copy
    assert bench.state(raw.folder) == before


def test_it_comes_back_from_the_trash_without_a_byte(ws: Workspace, raw: Artifact, bench: S3Bench) -> None:
    """The same versions stand in their place again, whether it is restored or delivered anew."""
    copy, before = cold_copy(ws, raw), bench.state(raw.folder)
    for bring_back in (lambda: transfer.deliver(ws, raw, "cold"), lambda: removing.bring_back(ws, raw, cold_copy(ws, raw))):
        ws.catalogue.change_copy(copy.id, state=CopyState.TRASHED)
        ws.stores["cold"].set_aside(copy.path, transfer.trash(copy))
        assert bring_back().state is CopyState.VERIFIED
        assert bench.state(raw.folder) == before
        assert not ws.stores["cold"].exists(transfer.trash(copy))


def test_what_is_locked_is_not_removed(ws: Workspace, raw: Artifact) -> None:
    """Nobody empties the trash of it before its day."""
    copy = cold_copy(ws, raw)
    ws.stores["cold"].set_aside(copy.path, transfer.trash(copy))
    with pytest.raises(RemovalRefused):
        ws.stores["cold"].destroy(transfer.trash(copy))
    assert inspecting.mismatches(ws.stores["cold"], raw, dataclasses.replace(copy, path=transfer.trash(copy)), files.no_progress) == []


def test_damage_there_is_found_and_mended(ws: Workspace, raw: Artifact, bench: S3Bench) -> None:
    """The audit reads it back; the repair puts good bytes in its place, locks them, and keeps the damaged ones aside."""
    bench.spoil(raw.folder, "a.pod5", b"other" * 10_000)
    later = dataclasses.replace(ws, now=lambda: utc_now().replace(year=utc_now().year + 2))
    assert [failure.artifact for failure in auditing.audit(later, locations=["cold"]).suspect] == [raw.label]
    assert all(each.done for each in repairing.repair_all(ws, dataset=DATASET, dry_run=False))
    copy = cold_copy(ws, raw)
    assert (copy.state, copy.protection) == (CopyState.VERIFIED, "object_lock")
    assert inspecting.mismatches(ws.stores["cold"], raw, copy, files.no_progress) == []
    (name,) = ws.stores["cold"].children(".coldchain/aside")
    aside = ws.stores["cold"].read_back(f".coldchain/aside/{name}", files.no_progress)
    assert aside.entries.keys() == {"a.pod5", "deep/b\n.pod5"}
    assert ws.stores["cold"].children(".coldchain/staging") == []


def test_a_lost_first_copy_comes_from_there(ws: Workspace, raw: Artifact) -> None:
    """What the NAS lost is fetched, verified, from the bucket."""
    (nas,) = ws.catalogue.copies(artifact=raw.id, location="nas")
    ws.stores["nas"].set_aside(nas.path, ".coldchain/aside/1-1")
    ws.catalogue.change_copy(nas.id, state=CopyState.REMOVED)
    assert transfer.deliver(ws, raw, "nas").state is CopyState.VERIFIED


def test_strays_are_told_there_too(ws: Workspace, raw: Artifact, bench: S3Bench) -> None:
    """What belongs to no copy is named, though a bucket has no folders; a copy that stands is not missed, one that went is."""
    store = ws.stores["cold"]
    store.annotate(raw.folder, "README.md", b"ours")
    assert (strays.look(ws, "cold").unregistered.lines, strays.look(ws, "cold").missing.lines) == ([], [])
    bench.spoil("projects/PRJ-0001", "notes.txt", b"somebody's")
    bench.spoil("projects/PRJ-0002/raw", "a.tif", b"somebody's")
    assert sorted(strays.look(ws, "cold").unregistered.lines) == ["projects/PRJ-0001/notes.txt", "projects/PRJ-0002"]
    bench.lose(raw.folder, MANIFEST)
    assert strays.look(ws, "cold").missing.lines == [raw.folder]
    store.set_aside(raw.folder, ".coldchain/aside/1-1")
    found = strays.look(ws, "cold")
    assert found.missing.lines == [raw.folder]
    assert ".coldchain/aside/1-1" in found.unregistered.lines


def of(found: list[Finding], what: str) -> Finding:
    """The finding of that name."""
    return next(each for each in found if each.what == what)


def test_the_doctor_tries_the_lock(ws: Workspace, bench: S3Bench) -> None:
    """All is fine with a bucket that keeps its locks, and the doctor's folder is gone when its lock has ended."""
    found = examine(ws)
    assert [each.found for each in found if each.what.startswith("cold") and not each.ok] == []
    assert of(found, "cold: write-protection").found == "object_lock in force"
    assert not [key for key in bench.tree() if "doctor" in key]


def test_the_doctor_finds_a_server_that_forgets_its_locks(ws: Workspace) -> None:
    """It took the lock, and did not set it: that is said, and is not fine."""
    forgets = instead(ws.stores["cold"], put_object_retention=lambda *_, **__: {})
    found = of(examine(dataclasses.replace(ws, stores={**ws.stores, "cold": forgets})), "cold: write-protection")
    assert not found.ok
    assert "have a lock taken and not set" in found.found


def legal(bench: S3Bench, raw: Artifact) -> set[str]:
    """What the bucket says of legal holds on a copy's objects, the manifest among them."""
    heads = [
        bench.client.head_object(Bucket=bench.bucket, Key=f"{bench.prefix}{raw.folder}/{name}", VersionId=version)
        for name, version in bench.state(raw.folder).items()
    ]
    assert len(heads) == 3
    return {head.get("ObjectLockLegalHoldStatus", "OFF") for head in heads}


def test_what_a_person_holds_the_bucket_holds(ws: Workspace, raw: Artifact, bench: S3Bench) -> None:
    """For everybody, and until nobody holds it any more: the catalogue says so, and again is nothing."""
    assert legal(bench, raw) == {"OFF"}
    hold = approving.prolong(ws, DATASET, 30, "a lawsuit", "ada")
    assert legal(bench, raw) == {"ON"}
    assert cold_copy(ws, raw).protection == "object_lock and legal hold"
    assert legal_holds.keep_up(ws) == 0
    ws.catalogue.end_hold(hold.id)
    assert legal_holds.keep_up(ws) == 1
    assert legal(bench, raw) == {"OFF"}
    assert cold_copy(ws, raw).protection == "object_lock"


def test_the_night_takes_off_what_ended_and_sets_what_came(ws: Workspace, raw: Artifact, bench: S3Bench) -> None:
    """A hold that ended by itself, and a bucket that could not be reached when somebody held it; a dry run changes nothing."""
    later = dataclasses.replace(ws, now=lambda: utc_now() + dt.timedelta(days=3))
    ws.catalogue.add_hold(DATASET, "a lawsuit", "ada", (utc_now() + dt.timedelta(days=1)).date())
    sweeping.sweep(ws, dry_run=True)
    assert legal(bench, raw) == {"OFF"}
    sweeping.sweep(ws, dry_run=False)
    assert legal(bench, raw) == {"ON"}
    sweeping.sweep(later, dry_run=False)
    assert legal(bench, raw) == {"OFF"}


def test_a_clock_that_leapt_takes_no_legal_hold_off(ws: Workspace, raw: Artifact, bench: S3Bench) -> None:
    """Holds look as if they had ended: nothing is believed until a person says that the clock is right."""
    ws = dataclasses.replace(ws, policy=ws.policy.model_copy(update={"clock_leap_days": 10}))
    sweeping.sweep(ws, dry_run=False)
    approving.prolong(ws, DATASET, 30, "a lawsuit", "ada")
    leapt = dataclasses.replace(ws, now=lambda: utc_now() + dt.timedelta(days=4000))
    sweeping.sweep(leapt, dry_run=False)
    assert legal(bench, raw) == {"ON"}


def test_a_legal_hold_that_is_not_kept_is_told(ws: Workspace, raw: Artifact, bench: S3Bench) -> None:
    """A server that takes the request and does nothing: the catalogue does not say that it holds."""
    store = instead(bench.store, put_object_legal_hold=lambda *_, **__: {})
    deaf = dataclasses.replace(ws, stores={**ws.stores, "cold": store})
    told: list[str] = []
    ws.catalogue.add_hold(DATASET, "a lawsuit", "ada", (utc_now() + dt.timedelta(days=1)).date())
    assert legal_holds.keep_up(deaf, tell=told.append) == 0
    assert cold_copy(ws, raw).protection == "object_lock"
    assert "does not have it" in told[0]
