"""A site whose backup stands on a remote of rclone's: data go there and come back, fall into doubt and are mended, as anywhere."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from coldchain import auditing, repairing, transfer
from coldchain.copies import Artifact, CopyState
from coldchain.errors import IntegrityError
from coldchain.testing.faults import flip_bit
from coldchain.workspace import Workspace, utc_now
from tasks.stores.rclone_remote import Remote
from tests.contracts.bench_rclone import configured
from tests.tasks.far import DATASET, begin, copy_at, site_with, two_files


@pytest.fixture(params=["a drive", "an object store"])
def ws(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """The demo's site; cold archive and backup are folders of one remote, which renames folders or does not."""
    if request.param == "an object store":
        monkeypatch.setattr(Remote, "renames", False)
    configured(tmp_path, disk={"type": "local"})
    reach = {"engine": "rclone", "rclone": {"remote": "disk", "config": "rclone.conf"}, "protection": "none"}
    found = site_with(tmp_path, {name: {**reach, "root": str(tmp_path / "drive" / name)} for name in ("cold", "backup")})
    begin(found)
    yield found
    for name in ("cold", "backup"):
        found.stores[name].close()  # type: ignore[attr-defined]  # an RcloneStore


@pytest.fixture
def raw(ws: Workspace) -> Artifact:
    """Two files on the NAS, and at both places on the drive."""
    made = two_files(ws)
    for to in ("cold", "backup"):
        assert transfer.deliver(ws, made, to).state is CopyState.VERIFIED
    return made


def test_from_there_to_here_and_from_there_to_there(ws: Workspace, raw: Artifact, tmp_path: Path) -> None:
    """Under its name, with a manifest; where the NAS and the backup lost it, both are filled from the cold archive."""
    assert (tmp_path / "drive" / "cold" / raw.folder / "deep" / "b\n.pod5").read_bytes() == b"noise" * 10_000
    for name in ("nas", "backup"):
        lost = copy_at(ws, raw, name)
        ws.stores[name].set_aside(lost.path, ".coldchain/aside/1-1")
        ws.catalogue.change_copy(lost.id, state=CopyState.REMOVED)
        assert not ws.stores[name].exists(lost.path)
    for name in ("backup", "nas"):
        assert transfer.deliver(ws, raw, name).state is CopyState.VERIFIED
    assert ws.stores["nas"].children(".coldchain/staging") == []


def test_damage_there_is_found_and_mended(ws: Workspace, raw: Artifact, tmp_path: Path) -> None:
    """The audit fetches and hashes it; the repair brings it again, and the damaged bytes are kept aside."""
    flip_bit(tmp_path / "drive" / "backup" / raw.folder / "a.pod5", 100)
    later = dataclasses.replace(ws, now=lambda: utc_now().replace(year=utc_now().year + 2))
    assert [failure.artifact for failure in auditing.audit(later, locations=["backup"]).suspect] == [raw.label]
    assert all(each.done for each in repairing.repair_all(ws, dataset=DATASET, dry_run=False))
    assert copy_at(ws, raw, "backup").state is CopyState.VERIFIED
    assert len(ws.stores["backup"].children(".coldchain/aside")) == 1


def test_what_changes_on_its_way_does_not_count(ws: Workspace, raw: Artifact, monkeypatch: Any) -> None:
    """Other bytes of the same size arrive, and rclone says that all is well: nothing counts, and the next run sends them again."""
    copy = copy_at(ws, raw, "cold")
    ws.stores["cold"].set_aside(copy.path, ".coldchain/aside/1-1")
    ws.catalogue.change_copy(copy.id, state=CopyState.REMOVED)
    with monkeypatch.context() as patch:
        patch.setattr(Remote, "bring", lambda self, source, name, path, _there: self.write(path, b"x" * (source / name).stat().st_size))
        with pytest.raises(IntegrityError, match="not what is read back"):
            transfer.deliver(ws, raw, "cold")
    assert not ws.stores["cold"].exists(raw.folder)
    assert transfer.deliver(ws, raw, "cold").state is CopyState.VERIFIED
