"""A site whose backup stands on another machine: data go there and come back, fall into doubt and are mended, as at any other place."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from coldchain import auditing, making, repairing, transfer
from coldchain.copies import Artifact, CopyState
from coldchain.dataset import Project
from coldchain.errors import EgressRefused, IntegrityError, NotInCatalogue
from coldchain.testing.faults import flip_bit
from coldchain.workspace import Workspace, utc_now
from tests.tasks.far import DATASET, begin, copy_at, site_with, two_files


@pytest.fixture
def ws(tmp_path: Path, sshd: Path) -> Iterator[Workspace]:
    """The demo's site; cold archive and backup are folders of the host `centre`."""
    reach = {"engine": "ssh", "ssh": {"host": "centre", "config": str(sshd), "python": sys.executable}}
    found = site_with(tmp_path, {name: {**reach, "root": str(tmp_path / "centre" / name)} for name in ("cold", "backup")})
    begin(found)
    yield found
    for name in ("cold", "backup"):
        found.stores[name].close()  # type: ignore[attr-defined]  # an SshStore


@pytest.fixture
def raw(ws: Workspace) -> Artifact:
    """Two files on the NAS, and at both places on the other machine."""
    made = two_files(ws)
    for to in ("cold", "backup"):
        assert transfer.deliver(ws, made, to).state is CopyState.VERIFIED
    return made


def test_a_copy_stands_there_as_anywhere(ws: Workspace, raw: Artifact, tmp_path: Path) -> None:
    """Under its name, with a manifest that sha256sum reads; again is nothing; two folders of one machine are two places."""
    folder = tmp_path / "centre" / "cold" / raw.folder
    assert (folder / "deep" / "b\n.pod5").read_bytes() == b"noise" * 10_000
    before = folder.stat().st_ctime_ns
    assert transfer.deliver(ws, raw, "cold").path == raw.folder
    assert folder.stat().st_ctime_ns == before
    assert ws.stores["cold"].place() != ws.stores["backup"].place()


def test_from_far_to_here_and_from_far_to_far(ws: Workspace, raw: Artifact, tmp_path: Path) -> None:
    """Where the NAS lost its copy, one from there fills another place there, through the NAS, which keeps nothing; and then the NAS."""
    nas = copy_at(ws, raw, "nas")
    ws.catalogue.change_copy(nas.id, state=CopyState.LOST)
    backup = copy_at(ws, raw, "backup")
    ws.stores["backup"].set_aside(backup.path, ".coldchain/aside/1-1")
    ws.catalogue.change_copy(backup.id, state=CopyState.REMOVED)
    assert transfer.deliver(ws, raw, "backup").state is CopyState.VERIFIED
    assert ws.stores["nas"].children(".coldchain/staging") == []
    ws.stores["nas"].set_aside(nas.path, ".coldchain/aside/1-1")
    ws.catalogue.change_copy(nas.id, state=CopyState.REMOVED)
    assert transfer.deliver(ws, raw, "nas").state is CopyState.VERIFIED
    assert transfer.deliver(ws, raw, "scratch").state is CopyState.VERIFIED


def test_damage_there_is_found_and_mended(ws: Workspace, raw: Artifact, tmp_path: Path) -> None:
    """The audit reads it back over there; the repair brings it again, and the damaged bytes are kept aside."""
    flip_bit(tmp_path / "centre" / "backup" / raw.folder / "a.pod5", 100)
    later = dataclasses.replace(ws, now=lambda: utc_now().replace(year=utc_now().year + 2))
    assert [failure.artifact for failure in auditing.audit(later, locations=["backup"]).suspect] == [raw.label]
    with pytest.raises(IntegrityError, match="suspect"):
        transfer.deliver(ws, raw, "backup")
    assert all(each.done for each in repairing.repair_all(ws, dataset=DATASET, dry_run=False))
    assert copy_at(ws, raw, "backup").state is CopyState.VERIFIED
    assert len(ws.stores["backup"].children(".coldchain/aside")) == 1


def test_what_may_not_leave_does_not_start(ws: Workspace, raw: Artifact, tmp_path: Path) -> None:
    """The one check is before the first byte, whatever the engine."""
    outside = [each.model_copy(update={"reach": "outside"}) if each.name == "cold" else each for each in ws.site.locations]
    strict = dataclasses.replace(ws, site=ws.site.model_copy(update={"locations": tuple(outside)}))
    strict.catalogue.save_project(Project(id="PRJ-0001", origin="collaborator_industry"))
    copy = copy_at(ws, raw, "cold")
    ws.stores["cold"].set_aside(copy.path, ".coldchain/aside/1-1")
    ws.catalogue.change_copy(copy.id, state=CopyState.REMOVED)
    with pytest.raises(EgressRefused):
        transfer.deliver(strict, raw, "cold")
    assert not ws.stores["cold"].exists(raw.folder)
    assert ws.stores["cold"].children(".coldchain/staging") == []


def test_programs_work_on_what_is_here(ws: Workspace, raw: Artifact) -> None:
    """A copy on another machine is none that a program can open: it has to be brought here first."""
    ws.catalogue.change_copy(copy_at(ws, raw, "nas").id, state=CopyState.LOST)
    with pytest.raises(NotInCatalogue, match="no verified copy can be read"):
        making.local_folder(ws, raw)
