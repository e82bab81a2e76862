"""A site whose cold archive and backup are on a Globus collection: data go there and come back, fall into doubt and are mended."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from coldchain import auditing, repairing, transfer
from coldchain.copies import Artifact, CopyState
from coldchain.errors import ConfigurationError, IntegrityError
from coldchain.testing.faults import flip_bit
from coldchain.testing.globus import Cloud, Trouble
from coldchain.workspace import Workspace, utc_now
from tasks.stores.globus import GlobusStore
from tests.contracts.bench_globus import HERE, THERE, opened, running
from tests.tasks.far import DATASET, begin, copy_at, site_with, two_files

FAR = ("cold", "backup")


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    """The site's folder is one collection, and the far one another."""
    (tmp_path / "far").mkdir()
    (tmp_path / "site").mkdir()
    with running(tmp_path / "far", tmp_path / "site") as cloud:
        yield cloud


@pytest.fixture
def ws(tmp_path: Path, cloud: Cloud) -> Iterator[Workspace]:
    """The demo's site; cold archive and backup are folders of the far collection."""
    reach = {"collection": THERE, "here": HERE, "here_folder": ".", "block": "globus"}
    places = {name: {"engine": "globus", "globus": reach, "root": f"/{name}", "protection": "none"} for name in FAR}
    found = site_with(tmp_path / "site", places)
    assert isinstance(found.stores["cold"], GlobusStore)
    stores = {name: opened(cloud, found.site.location(name), tmp_path / "site", retries=0) for name in FAR}
    made = dataclasses.replace(found, stores={**found.stores, **stores})
    begin(made)
    yield made
    made.catalogue.close()


@pytest.fixture
def taken_in(ws: Workspace) -> Artifact:
    """Two files on the NAS."""
    return two_files(ws)


@pytest.fixture
def raw(ws: Workspace, taken_in: Artifact) -> Artifact:
    """And at both places over there."""
    for to in FAR:
        assert transfer.deliver(ws, taken_in, to).state is CopyState.VERIFIED
    return taken_in


def test_a_copy_stands_there_as_anywhere(ws: Workspace, raw: Artifact, cloud: Cloud, tmp_path: Path) -> None:
    """Under its name, with its manifest; again sends nothing; and two folders of one collection are two places."""
    assert (tmp_path / "far" / "cold" / raw.folder / "deep" / "b\n.pod5").read_bytes() == b"noise" * 10_000
    assert ws.stores["cold"].manifest(raw.folder) == ws.stores["nas"].manifest(copy_at(ws, raw, "nas").path)
    sends = sum(task.given.get("destination_endpoint") == THERE for task in cloud.tasks.values())
    assert transfer.deliver(ws, raw, "cold").path == raw.folder
    assert sum(task.given.get("destination_endpoint") == THERE for task in cloud.tasks.values()) == sends
    assert ws.stores["cold"].place() != ws.stores["backup"].place()


def test_from_far_to_far_and_to_here(ws: Workspace, raw: Artifact) -> None:
    """Through the NAS, which keeps nothing; and then to the NAS itself."""
    nas, backup = copy_at(ws, raw, "nas"), copy_at(ws, raw, "backup")
    ws.catalogue.change_copy(nas.id, state=CopyState.LOST)
    ws.stores["backup"].set_aside(backup.path, ".coldchain/aside/1-1")
    ws.catalogue.change_copy(backup.id, state=CopyState.REMOVED)
    assert transfer.deliver(ws, raw, "backup").state is CopyState.VERIFIED
    assert ws.stores["nas"].children(".coldchain/staging") == []
    ws.stores["nas"].set_aside(nas.path, ".coldchain/aside/1-1")
    ws.catalogue.change_copy(nas.id, state=CopyState.REMOVED)
    assert transfer.deliver(ws, raw, "nas").state is CopyState.VERIFIED


def test_damage_there_is_found_and_mended(ws: Workspace, raw: Artifact, tmp_path: Path) -> None:
    """The audit brings it back and hashes it; the repair sends it again."""
    flip_bit(tmp_path / "far" / "backup" / raw.folder / "a.pod5", 100)
    later = dataclasses.replace(ws, now=lambda: utc_now().replace(year=utc_now().year + 2))
    assert [failure.artifact for failure in auditing.audit(later, locations=["backup"]).suspect] == [raw.label]
    assert all(each.done for each in repairing.repair_all(ws, dataset=DATASET, dry_run=False))
    assert copy_at(ws, raw, "backup").state is CopyState.VERIFIED
    assert len(ws.stores["backup"].children(".coldchain/aside")) == 1


@pytest.mark.parametrize("trouble", [Trouble.TRUNCATES, Trouble.LEAVES_OUT])
def test_a_wrong_success_is_no_copy(ws: Workspace, taken_in: Artifact, cloud: Cloud, trouble: Trouble) -> None:
    """Globus says that all is well, and half of a file stands there or nothing: no copy is registered; the next run makes one."""
    cloud.let(trouble, "a.pod5", times=1)
    with pytest.raises(IntegrityError):
        transfer.deliver(ws, taken_in, "cold")
    assert not [copy for copy in ws.catalogue.copies(artifact=taken_in.id, location="cold") if copy.state is CopyState.VERIFIED]
    assert not ws.stores["cold"].exists(taken_in.folder)
    assert transfer.deliver(ws, taken_in, "cold").state is CopyState.VERIFIED


def test_a_failed_task_leaves_no_copy(ws: Workspace, taken_in: Artifact, cloud: Cloud) -> None:
    """Its words are the error's, and the next run completes it."""
    cloud.let(Trouble.DENIED, "a.pod5")
    with pytest.raises(ConfigurationError, match="PERMISSION_DENIED"):
        transfer.deliver(ws, taken_in, "cold")
    cloud.mend()
    assert transfer.deliver(ws, taken_in, "cold").state is CopyState.VERIFIED
