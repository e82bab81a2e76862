"""What segmenting a plate on workers costs beside a bare StarDist loop over the same fields, and what a second worker gains.

Run: ``python tests/benchmarks/bench_segment.py``. Each process computes with one thread. The bare loop, in a process of its own, reads each
field and predicts with StarDist, and writes nothing. Ours goes through the machinery of the `segment` step: items handed to dask workers,
pictures, labels and OME-TIFF written, every file read back and noted. Two bare loops at once, each over all fields, say what a second
core is worth on this machine. All take turns; medians count. Start-up (processes, TensorFlow, first prediction) is printed by itself.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from coldchain.cluster import Cluster
from coldchain.finished import Finished
from coldchain.imaging.platezarr import PLATE, create_plate, write_field
from coldchain.imaging.segment import prepare_masks, segment_item
from coldchain.imaging.synthesis import nuclei_field
from coldchain.imaging.synthetic_nuclei import Conditions
from tasks.cluster.local import THREAD_VARIABLES
from tasks.cluster.open import open_cluster
from tasks.cluster.workers import Workers

SIDE, ROUNDS = 1024, 3
WELLS = ("A01", "A02", "A03", "A04", "B01", "B02", "B03", "B04", "C01", "C02", "C03", "C04")
WARM_OVERHEAD, GAIN = 1.10, 1.7

BARE = f"""
import sys, time
from pathlib import Path
from contextlib import redirect_stdout
from csbdeep.utils import normalize
from coldchain.imaging.models import shipped_folder
from coldchain.imaging.platezarr import PLATE, iter_fields, read_plane
with redirect_stdout(sys.stderr):
    from stardist.models import StarDist2D
    place = shipped_folder("nuclei-small")
    model = StarDist2D(None, name=place.name, basedir=str(place.parent))
plate = Path(sys.argv[1]) / PLATE
fields = list(iter_fields(plate))
def one(ref):
    image = normalize(read_plane(plate, ref.well, ref.field, 0), 1, 99.8)
    model.predict_instances(image, n_tiles=(-(-{SIDE} // 1024),) * 2, show_tile_progress=False)
one(fields[0])
print("ready", flush=True)
for _ in sys.stdin:
    began = time.monotonic()
    for ref in fields:
        one(ref)
    print(time.monotonic() - began, flush=True)
"""
"""The bare loop: it answers each line with the seconds that all fields took."""


def main() -> None:
    """Print seconds of each, and last the ratios."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        work = Path(folder)
        write_plate(work / "corrected")
        loops = [stack.enter_context(start_bare(work / "corrected")) for _ in range(2)]
        pools = {count: start_workers(stack, work, count) for count in (1, 2)}
        seconds: dict[str, list[float]] = {"bare": [], "1": [], "2": [], "two bare": []}
        for number in range(ROUNDS):
            seconds["bare"].extend(ask(*loops[:1]))
            for count, workers in pools.items():
                seconds[str(count)].append(ours(workers, work, f"{count}-{number}"))
            seconds["two bare"].append(max(ask(*loops)))
        for loop in loops:
            loop.communicate()
    taken = {name: statistics.median(each) for name, each in seconds.items()}
    megapixels = len(WELLS) * SIDE**2 / 1e6
    print("segment: " + ", ".join(f"{name} {value:.1f} s ({megapixels / value:.2f} MP/s)" for name, value in taken.items()))
    pairs = list(zip(*seconds.values(), strict=True))
    overhead = statistics.median(one / alone for alone, one, _, _ in pairs)
    gain = statistics.median(one / two for _, one, two, _ in pairs)
    worth = statistics.median(2 * alone / both for alone, _, _, both in pairs)
    print(f"segment: time ratio of one worker to a bare StarDist loop {overhead:.2f} (goal at most {WARM_OVERHEAD}; start-up told apart)")
    print(
        f"segment: one worker to two {gain:.2f} (goal at least {GAIN} where cores allow; {os.cpu_count()} here, two bare loops {worth:.2f})"
    )


def write_plate(folder: Path) -> None:
    """A plate of one field a well, each with other nuclei."""
    create_plate(folder / PLATE, name="BENCH", wells=WELLS, fields=[1], channels=["DNA"], pixel_size_um=0.5)
    for seed, well in enumerate(WELLS):
        part = nuclei_field(np.random.default_rng(seed), (512, 512), count=140, conditions=Conditions()).image
        image = np.tile(part, (SIDE // 512, SIDE // 512))
        write_field(folder / PLATE, well, 1, [(0, image)], channels=["DNA"], dtype=image.dtype, shape=image.shape, pixel_size_um=0.5)


def start_bare(source: Path) -> subprocess.Popen[str]:
    """Start the bare loop and wait until it has predicted once."""
    began = time.monotonic()
    threads = os.environ | dict.fromkeys(THREAD_VARIABLES, "1")
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", BARE, str(source)],
        env=threads,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    answer(process)
    print(f"segment: start-up of the bare loop {time.monotonic() - began:.1f} s")
    return process


def ask(*loops: subprocess.Popen[str]) -> list[float]:
    """Let bare loops go over all fields once, at the same time; returns the seconds that each took."""
    for process in loops:
        if process.stdin is None:
            raise RuntimeError("the bare loop cannot be asked")
        process.stdin.write("go\n")
        process.stdin.flush()
    return [float(answer(process)) for process in loops]


def answer(process: subprocess.Popen[str]) -> str:
    """The next line of the bare loop."""
    said = process.stdout.readline() if process.stdout else ""
    if not said:
        raise RuntimeError("the bare loop ended")
    return said


def start_workers(stack: ExitStack, work: Path, count: int) -> Workers:
    """Start workers of one thread each, and let each predict until all have."""
    began = time.monotonic()
    spec, scratch = Cluster(workers=count, cores=1), work / f"scratch-{count}"
    scratch.mkdir()
    workers = stack.enter_context(open_cluster(spec, scratch=scratch, name="bench", tasks=count))
    opened = time.monotonic() - began
    ours(workers, work, f"{count}-warm")
    print(f"segment: start-up of {count}: cluster {opened:.1f} s, first round, with TensorFlow {time.monotonic() - began - opened:.1f} s")
    return workers


def ours(workers: Workers, work: Path, name: str) -> float:
    """Segment the plate as the step does, into a new folder; returns the seconds."""
    began = time.monotonic()
    target = work / f"masks-{name}"
    target.mkdir()
    items: list[dict[str, Any]] = prepare_masks(str(work / "corrected"), str(target), channel="DNA")
    note = Finished(target)
    workers.map(
        segment_item,
        items,
        keep=lambda answers: note.add(segment_item.__qualname__, [(items[index], answer) for index, answer in answers.items()]),
    )
    return time.monotonic() - began


if __name__ == "__main__":
    main()
