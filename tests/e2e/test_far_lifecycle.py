"""A lifecycle over ssh, S3 with Object Lock and Globus at once: killed at random, it completes, and what is locked stays locked."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

import deployments
from coldchain import verifying
from coldchain.copies import CopyState
from coldchain.levels import Level
from coldchain.testing.globus import Cloud
from coldchain.workspace import Workspace
from tasks.workspace import open_workspace
from tests.contracts.bench_globus import HERE, THERE
from tests.contracts.bench_s3 import block, client_of
from tests.e2e import far_story

pytestmark = [pytest.mark.long, pytest.mark.server, pytest.mark.timeout(1200), pytest.mark.xdist_group("ceph")]

KILLS = int(os.environ.get("COLDCHAIN_FAR_KILLS", "4"))
SEED = int(os.environ.get("COLDCHAIN_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
PLACES = ("nas", "cold", "backup", "centre")


@pytest.fixture
def site(tmp_path: Path, ceph: Mapping[str, str], sshd: Path, prefect_server: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The demo's site: its cold archive is a locked bucket, its backup stands behind ssh, and a national centre behind Globus."""
    from prefect.blocks.system import Secret
    from prefect.settings import get_current_settings

    values = tuple(ceph[name] for name in ("endpoint", "ca", "access_key", "secret_key"))
    bucket = f"far-{os.getpid()}"
    client_of(*values).create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    block(ceph, bucket).save("far-cold", overwrite=True)
    centre, nas = tmp_path / "centre", tmp_path / "nas"
    for folder in (centre, nas):
        folder.mkdir()
    with Cloud({THERE: centre, HERE: nas}) as cloud:
        login = {"client_id": cloud.client_id, "client_secret": cloud.client_secret}
        Secret(value=login).save("far-globus", overwrite=True)
        for name, value in {**get_current_settings().to_environment_variables(), **cloud.environment}.items():
            monkeypatch.setenv(name, value)
        yield write_site(tmp_path, sshd)


def write_site(folder: Path, sshd: Path) -> Path:
    """Site and policy, and three acquisitions."""
    sites = Path(deployments.__file__).with_name("sites")
    said = yaml.safe_load((sites / "site.yaml").read_text())
    places = {place["name"]: place for place in said["locations"]}
    places["cold"].update(engine="s3", s3={"block": "far-cold"}, root="cold", medium="object", protection="object_lock", solution="s3")
    reach = {"host": "centre", "config": str(sshd), "python": sys.executable}
    places["backup"].update(engine="ssh", ssh=reach, root=str(folder / "backup"))
    globus = {"collection": THERE, "here": HERE, "here_folder": "nas", "block": "far-globus"}
    said["locations"].append(
        {"name": "centre", "engine": "globus", "globus": globus, "root": "/lab", "medium": "tape", "domain": "centre", "site": "paris"}
    )
    policy = yaml.safe_load((sites / "policy.yaml").read_text())
    lasting = {"levels": ["raw"], "wanted": {"copies": 4, "media": 3, "off_site": 2, "verified_within_days": 270}}
    policy["rules"] = [lasting, *policy["rules"]]
    (folder / "policy.yaml").write_text(yaml.safe_dump(policy))
    (folder / "site.yaml").write_text(yaml.safe_dump(said))
    for number, name in enumerate(far_story.DATASETS):
        acquisition = folder / "acquisition" / name / "deep"
        acquisition.mkdir(parents=True)
        for file in range(12):
            (acquisition / f"{file:02}.pod5").write_bytes(random.Random(number * 100 + file).randbytes(200_000))
    return folder / "site.yaml"


def start(site: Path, log: Path) -> subprocess.Popen[bytes]:
    """Begin the story, in a process of its own."""
    with log.open("ab") as out:
        return subprocess.Popen([sys.executable, far_story.__file__, str(site)], stdout=out, stderr=out)


def kill_at_work(story: subprocess.Popen[bytes], log: Path, chance: random.Random) -> None:
    """SIGKILL some steps from here, and a random moment into the next one: most of the time goes by in copying."""
    steps = len(log.read_text().splitlines()) + chance.randint(1, 3)
    deadline = time.monotonic() + 300
    while story.poll() is None and len(log.read_text().splitlines()) < steps and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(chance.uniform(0, 1.5))
    story.send_signal(signal.SIGKILL)
    story.wait()


def test_killed_at_random_it_completes(site: Path, tmp_path: Path, ceph: Mapping[str, str]) -> None:
    """After SIGKILLs at random moments a last run ends; every copy that the policy wants is there and matches; nothing is left over."""
    print(f"COLDCHAIN_SEED={SEED}")
    chance, log = random.Random(SEED), tmp_path / "log"
    for _ in range(KILLS):
        story = start(site, log)
        kill_at_work(story, log, chance)
    print(log.read_text())
    last = start(site, log)
    assert last.wait(timeout=600) == 0, log.read_text()[-3000:]

    ws = open_workspace(site)
    for name in far_story.DATASETS:
        raw = ws.current(f"PRJ-0001/{name}", Level.RAW)
        states = {copy.location: copy.state for copy in ws.catalogue.copies(artifact=raw.id)}
        assert states == dict.fromkeys(PLACES, CopyState.VERIFIED)
        assert len(ws.catalogue.artifacts(f"PRJ-0001/{name}", Level.STANDARD)) == 1, "a level was made twice"
    assert all(each.ok for each in verifying.verify(ws)), verifying.verify(ws)
    assert {place: ws.stores[place].children(".coldchain/staging") for place in PLACES} == {place: [] for place in PLACES}
    look_at_locks(ws, ceph)
    for store in ws.stores.values():
        getattr(store, "close", lambda: None)()


def look_at_locks(ws: Workspace, ceph: Mapping[str, str]) -> None:
    """What stands in the bucket is said to be locked, and the server refuses to delete it, or to shorten its lock."""
    from botocore.exceptions import ClientError

    raws = [copy for copy in ws.catalogue.copies(location="cold") if "/raw@" in copy.artifact]
    assert {copy.protection for copy in raws} == {"object_lock"}
    client = client_of(*(ceph[name] for name in ("endpoint", "ca", "access_key", "secret_key")))
    bucket = f"far-{os.getpid()}"
    versions = client.list_object_versions(Bucket=bucket, Prefix=f"lab/cold/{raws[0].path}/")["Versions"]
    assert len(versions) >= 12
    for version in versions[:3]:
        with pytest.raises(ClientError, match="AccessDenied"):
            client.delete_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])
