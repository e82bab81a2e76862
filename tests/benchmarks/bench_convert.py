"""How much CPU a conversion takes beside the least that any conversion must: read, shrink, compress, write one blob.

Run: ``python tests/benchmarks/bench_convert.py``. All use the same images, in turns; the least time of each counts. The floor is taken
twice: with Blosc zstd-5 and byte shuffle, the codec that the goal was set with, and with zstd-1, which the product writes. The product's
time includes what the floor does not do: a SHA-256 of every plane, every plane read back from disk and compared, all metadata.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import tifffile
from numcodecs import Blosc

from coldchain.imaging.conventions import BUILT_IN
from coldchain.imaging.convert import convert_plate
from coldchain.imaging.pyramid import CHUNK, halve, level_shapes

ROUNDS = 5
SIDE = 2160  # px, an sCMOS camera's field
WELLS, FIELDS, CHANNELS = ("A01", "A02"), (1, 2, 3), (1, 2)
GOAL = 1.35


def main() -> None:
    """Print sizes, seconds, and one ratio for each floor."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        write_acquisition(work / "in")
        jobs: dict[str, Callable[[Path], None]] = {
            "ours": lambda out: convert(work / "in", out),
            "zstd-5": lambda out: write_blob(work / "in", out, 5),
            "zstd-1": lambda out: write_blob(work / "in", out, 1),
        }
        seconds: dict[str, list[float]] = {name: [] for name in jobs}
        sizes: dict[str, float] = {}
        for number in range(ROUNDS + 1):
            for name, job in jobs.items():
                out = work / f"{name}-{number}"
                seconds[name].append(cpu_seconds(partial(job, out)))
                sizes[name] = size_of(out) / 1e6
                discard(out)
        best = {name: min(taken[1:]) for name, taken in seconds.items()}  # the first round warms imports and caches
    print("convert: " + ", ".join(f"{name} {best[name]:.2f} CPU s, {sizes[name]:.0f} MB" for name in jobs))
    print(f"convert: CPU ratio to floor of the codec we write {best['ours'] / best['zstd-1']:.2f} (floor with zstd-1)")
    print(f"convert: CPU ratio to floor {best['ours'] / best['zstd-5']:.2f} (goal {GOAL}; floor with zstd-5)")


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder."""
    return path.stat().st_size if path.is_file() else sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def discard(path: Path) -> None:
    """Remove a file or a folder."""
    if path.is_file():
        path.unlink()
    else:
        shutil.rmtree(path)


def cpu_seconds(work: Callable[[], object]) -> float:
    """Return the CPU seconds, user and system, of all threads, that `work` takes."""
    before = time.process_time()
    work()
    return time.process_time() - before


def write_acquisition(folder: Path) -> None:
    """Write a plate as an ImageXpress would: round cells on a background, photon noise, camera noise, gain."""
    folder.mkdir()
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    for well in WELLS:
        for field in FIELDS:
            for channel in CHANNELS:
                photons = 20 + 15 * np.exp(-((y - SIDE / 2) ** 2 + (x - SIDE / 2) ** 2) / SIDE**2)
                for cy, cx in rng.uniform(30, SIDE - 30, (300, 2)):
                    box = np.s_[int(cy) - 30 : int(cy) + 30, int(cx) - 30 : int(cx) + 30]
                    photons[box] += rng.uniform(50, 400) * np.exp(-((y[box] - cy) ** 2 + (x[box] - cx) ** 2) / 150)
                image = rng.poisson(photons) * 2.2 + rng.normal(100, 3, photons.shape)
                tifffile.imwrite(folder / f"BENCH_{well}_s{field}_w{channel}.TIF", image.clip(0, 65535).astype(np.uint16), metadata=None)


def convert(source: Path, target: Path) -> None:
    """Convert as the product does, with digests and read-back."""
    convert_plate(
        str(source), str(target), convention=BUILT_IN["imagexpress"], channels={1: "DNA", 2: "GFP"}, plate_name="BENCH", pixel_size_um=0.3
    )


def write_blob(source: Path, target: Path, clevel: int) -> None:
    """Do the least: read every image, shrink it to the same levels, compress them with that level of zstd, append to one file."""
    codec = Blosc("zstd", clevel=clevel, shuffle=Blosc.SHUFFLE)
    with target.open("wb") as blob:
        for file in sorted(source.iterdir()):
            level = tifffile.imread(file)
            for number in range(len(level_shapes(level.shape))):
                level = halve(level) if number else level
                for top in range(0, level.shape[0], CHUNK):
                    for left in range(0, level.shape[1], CHUNK):
                        blob.write(codec.encode(np.ascontiguousarray(level[top : top + CHUNK, left : left + CHUNK])))


if __name__ == "__main__":
    main()
