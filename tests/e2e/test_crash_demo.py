"""The demo, killed at random moments: the next run goes on, nothing is lost and nothing is made twice."""

from __future__ import annotations

import itertools
import os
import random
import signal
import subprocess
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
def folders(tmp_path: Path) -> Iterator[Iterator[Path]]:
    """Where sites may stand, one after the other; their write-protection is lifted afterwards."""
    yield (tmp_path / f"site-{number}" for number in itertools.count(1))
    for site in tmp_path.glob("site-*"):
        release(site)


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


def test_crash_at_random_moments_loses_nothing_and_does_nothing_twice(
    coldchain: list[str], folders: Iterator[Path], tmp_path: Path
) -> None:
    """After each kill no child is left and no raw file has changed; a run that ends made each level once, and every byte matches.

    A run that ends before it is killed is looked at, and a new site is begun, until all kills have hit a run at work.
    """
    rng, log, folder = random.Random(SEED), tmp_path / "demo.log", next(folders)
    print(f"seed {SEED}, {KILLS} kills")
    before: dict[str, bytes] = {}
    kills = 0
    while kills < KILLS:
        demo = start(coldchain, folder, log)
        if _ended_within(demo, rng.uniform(3, 45)):
            assert demo.returncode == 0, log.read_text()[-3000:]
            _in_order(folder)
            before, folder = {}, next(folders)
            continue
        assert kill(demo) == []
        kills += 1
        now = kept(folder)
        assert before.items() <= now.items(), "a raw file that stood is gone or has changed"
        before = now
    done = subprocess.run([*coldchain, "demo", "--folder", str(folder)], capture_output=True, text=True, timeout=1200, check=False)
    assert done.returncode == 0, log.read_text()[-3000:] + done.stdout[-3000:] + done.stderr[-3000:]
    assert before.items() <= kept(folder).items()
    _in_order(folder)


def _ended_within(demo: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        demo.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


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
