"""The demo, killed at random moments: the next run goes on, nothing is lost and nothing is made twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from coldchain.copies import CopyState
from coldchain.levels import Level
from coldchain.protection import release
from coldchain.verifying import verify
from tasks.workspace import open_workspace

pytestmark = [pytest.mark.long, pytest.mark.timeout(3000)]

KILLS = int(os.environ.get("COLDCHAIN_KILLS", "3"))
SEED = int(os.environ.get("COLDCHAIN_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where the demo's site stands; its write-protection is lifted afterwards."""
    yield tmp_path / "site"
    release(tmp_path / "site")


def start(coldchain: list[str], folder: Path, log: Path) -> subprocess.Popen[bytes]:
    """Start the demo."""
    with log.open("ab") as out:
        return subprocess.Popen([*coldchain, "demo", "--folder", str(folder)], stdout=out, stderr=out)


def kill(demo: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """SIGKILL the demo alone; returns those of its children that outlive it for long."""
    family = psutil.Process(demo.pid).children(recursive=True)
    demo.send_signal(signal.SIGKILL)
    demo.wait()
    return psutil.wait_procs(family, timeout=60)[1]


def kept(folder: Path) -> dict[str, bytes]:
    """Bytes of every file that stands under its name on the NAS, in the archive and on the backup location."""
    roots = [folder / place / "projects" for place in ("nas", "cold", "backup")]
    return {str(path): path.read_bytes() for root in roots for path in root.rglob("*") if path.is_file() and "raw" in path.parts}


def test_crash_at_random_moments_loses_nothing_and_does_nothing_twice(coldchain: list[str], folder: Path, tmp_path: Path) -> None:
    """After each kill no child is left and no raw file has changed; at the end each level was made once and every byte matches."""
    rng, log = random.Random(SEED), tmp_path / "demo.log"
    print(f"seed {SEED}, {KILLS} kills")
    before: dict[str, bytes] = {}
    for _ in range(KILLS):
        demo = start(coldchain, folder, log)
        time.sleep(rng.uniform(3, 45))
        if demo.poll() is not None:
            break
        assert kill(demo) == []
        now = kept(folder)
        assert before.items() <= now.items(), "a raw file that stood is gone or has changed"
        before = now
    done = subprocess.run([*coldchain, "demo", "--folder", str(folder)], capture_output=True, text=True, timeout=1200, check=False)
    assert done.returncode == 0, log.read_text()[-3000:] + done.stdout[-3000:] + done.stderr[-3000:]
    assert before.items() <= kept(folder).items()
    _in_order(folder)


def _in_order(folder: Path) -> None:
    ws = open_workspace(folder / "site.yaml")
    made = [(artifact.dataset, artifact.level) for artifact in ws.catalogue.artifacts()]
    assert sorted(made) == sorted((dataset.id, level) for dataset in ws.catalogue.datasets() for level in Level)
    assert {copy.state for copy in ws.catalogue.copies()} == {CopyState.VERIFIED, CopyState.REMOVED}
    assert all(result.ok for result in verify(ws))
    strays = [path for place in ("nas", "scratch", "cold", "backup") for path in (folder / place / ".coldchain").glob("*/*")]
    assert [path for path in strays if path.parent.name in {"staging", "trash"}] == []
    removed = [each["artifact"] + each["location"] for receipt in ws.catalogue.receipts("removal") for each in receipt["removed"]]
    assert len(removed) == len(set(removed)) == 14
