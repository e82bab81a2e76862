"""Memory of segmenting an image that is larger than what a worker may hold."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from coldchain.testing.cheap_models import PLANES, install

SIDE = 16384  # px: 0.5 GB of image, 1 GB of labels, 1 GB as a network sees it
BOUND_MB = 1800  # of one process that does all of it, TensorFlow (0.6 GB) and blocks of 4096 x 4096 pixels included

WRITE = """
import sys
from pathlib import Path
import numpy as np
from coldchain.imaging.fieldzarr import FieldWriter
from coldchain.imaging.platezarr import PLATE, create_plate, field_path
from coldchain.imaging.pyramid import Frame
root, side = Path(sys.argv[1]), int(sys.argv[2])
square = np.random.default_rng(1).integers(90, 110, (1024, 1024), dtype=np.uint16)
disc = np.hypot(*(np.mgrid[:24, :24] - 11.5)) < 10
for y in range(0, 1000, 40):
    for x in range(0, 1000, 40):
        square[y : y + 24, x : x + 24][disc] = 3000
plane = np.tile(square, (side // 1024, side // 1024))
create_plate(root / PLATE, name="large", wells=["A01"], fields=[1], channels=["DNA"], pixel_size_um=0.5)
with FieldWriter(field_path(root / PLATE, "A01", 1), ["DNA"], Frame(plane.shape, np.uint16, 0.5)) as writer:
    writer.write(plane, 0)
"""

SEGMENT = """
import json, sys
from coldchain.imaging.segment import merge_image, merges, prepare_masks, segment_item
source, target, model = sys.argv[1:]
items = prepare_masks(source, target, channel="DNA", model=model)
for item in items:
    segment_item(item)
(merged,) = [merge_image(item) for item in merges(items)]
# not ru_maxrss: a process starts with what its parent held
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM:")) / 1000
print(json.dumps({"peak_mb": peak, "objects": merged["objects"], "blocks": len(items)}))
"""


def run(code: str, *arguments: str, environment: dict[str, str]) -> str:
    """Run code in a process of its own, and return what it printed."""
    done = subprocess.run([sys.executable, "-c", code, *arguments], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_an_image_of_16384_pixels_a_side_is_segmented_in_bounded_memory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All that is done to it, in one process, stays below a bound that is less than its labels and its grey values would take; every
    object is found once.
    """
    found = install(tmp_path / "cheap")
    path = os.pathsep.join(filter(None, [found["PYTHONPATH"], os.environ.get("PYTHONPATH")]))
    environment = os.environ | found | {"PYTHONPATH": path, "TF_NUM_INTRAOP_THREADS": "1"}
    run(WRITE, str(tmp_path / "corrected"), str(SIDE), environment=environment)
    report = json.loads(
        run(SEGMENT, str(tmp_path / "corrected"), str(tmp_path / "masks"), PLANES, environment=environment).splitlines()[-1]
    )
    with capsys.disabled():
        print(f"\n{SIDE} x {SIDE} px in {report['blocks']} blocks: peak {report['peak_mb']:.0f} MB, {report['objects']} objects")
    assert report["objects"] == 25 * 25 * (SIDE // 1024) ** 2
    assert report["blocks"] > 9
    assert report["peak_mb"] < BOUND_MB
