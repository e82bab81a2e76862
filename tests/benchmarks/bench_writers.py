"""What an OME-TIFF of 2 x 2 x 8 planes of 2048 x 2048 pixels costs to become OME-Zarr: ours, other writers, and the least there is.

Each way is a process of its own, imports included; the ways take turns, and the medians count. All write four levels in chunks of 1024,
with Blosc zstd-1 and byte shuffle, which the product writes. The floor reads, shrinks, compresses and writes one blob. Ours has what no
other has: a SHA-256 of every plane, every plane read back from disk and compared, and a check at the end. How much memory it takes is
measured for a quarter and three times the planes, too. Writers that are not installed are left out: `--python` names an interpreter
that has them.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import tifffile

from coldchain.imaging.pyramid import Plane, halve

SIDE, CHUNK, LEVELS = 2048, 1024, 4
SHAPE = (2, 2, 8, SIDE, SIDE)
TIMES = (0.25, 1.0, 3.0)
GOAL_CPU, GOAL_MB = 1.35, 300
Cost = dict[str, float]


def main() -> None:
    """Measure every way; the last lines hold ours against its goals."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--times", type=float, default=1, choices=TIMES, help="so many times the planes: starting weighs less")
    parser.add_argument("--python", default=sys.executable, help="interpreter that has the other writers, too")
    parser.add_argument("--way", nargs=3, metavar=("WAY", "SOURCE", "TARGET"), help="be the process of one way")
    chosen = parser.parse_args()
    if chosen.way:
        be(*chosen.way)
        return
    with tempfile.TemporaryDirectory(prefix="bench-writers-") as folder:
        work = Path(folder)
        sources = {times: write_acquisition(work / f"in-{times}", times) for times in TIMES}
        costs: dict[str, list[Cost]] = {}
        for _ in range(chosen.rounds):
            for way in WAYS:
                cost = process(chosen.python if way in PEERS else sys.executable, way, sources[chosen.times], work / "out")
                if cost:
                    costs.setdefault(way, []).append(cost)
        memory = {times: process(sys.executable, "ours", source, work / "out")["mb"] for times, source in sources.items()}
    report({way: {kind: median(cost[kind] for cost in taken) for kind in taken[0]} for way, taken in costs.items()}, memory)


def report(costs: dict[str, Cost], memory: dict[float, float]) -> None:
    """Print a line a way, and ours against the goals."""
    for way in WAYS:
        said = "wall {wall:6.2f} s  CPU {cpu:6.2f} s  peak {mb:5.0f} MB  output {out:4.0f} MB".format(**costs[way]) if way in costs else ""
        print(f"{way:16} {said or 'left out: not installed'}")
    ours = costs["ours"]
    for floor in ("floor, zstd-1", "floor, zstd-5"):
        print(f"writers: CPU ratio ours / {floor} {ours['cpu'] / costs[floor]['cpu']:.2f} (goal {GOAL_CPU})")
    for way in [way for way in PEERS if way in costs]:
        print(f"writers: CPU ratio ours / {way} {ours['cpu'] / costs[way]['cpu']:.2f} (goal below 1)")
    peaks = ", ".join(f"{mb:.0f} MB for {times * np.prod(SHAPE) * 2 / 1e6:.0f} MB" for times, mb in memory.items())
    print(f"writers: peak memory of ours {peaks} (goal {GOAL_MB} MB)")


def process(python: str, way: str, source: Path, target: Path) -> Cost:
    """Let a process of its own convert, and say what it cost; nothing where it cannot be imported."""
    start = time.perf_counter()
    said = subprocess.run([python, "-P", __file__, "--way", way, str(source), str(target)], check=True, stdout=subprocess.PIPE).stdout
    cost: Cost = json.loads(said.splitlines()[-1])
    if cost:
        cost["wall"] = time.perf_counter() - start
        cost["out"] = sum(path.stat().st_size for path in target.rglob("*") if path.is_file()) / 1e6
    shutil.rmtree(target)
    return cost


def be(way: str, source: str, target: str) -> None:
    """Convert, and print what this process needed; nothing where the writer is not installed."""
    Path(target).mkdir()
    try:
        WAYS[way](Path(source), Path(target))
    except ModuleNotFoundError as error:
        print(error, file=sys.stderr)
        print("{}")
        return
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print(json.dumps({"cpu": sum(each.ru_utime + each.ru_stime for each in used), "mb": int(peak.split()[1]) / 1024}))


def write_acquisition(folder: Path, times: float) -> Path:
    """Write an OME-TIFF of so many times the planes, with cells, photon noise, camera noise and gain."""
    folder.mkdir()
    rng = np.random.default_rng(1)
    fields = [field(rng) for _ in range(4)]
    shape = (2, 2, int(8 * times), SIDE, SIDE)
    planes = (np.roll(fields[n % 4], 97 * n, axis=(0, 1)) for n in range(int(np.prod(shape[:3]))))
    tifffile.imwrite(folder / "field.ome.tif", planes, shape=shape, dtype=np.uint16, ome=True, metadata={"axes": "TCZYX"}, bigtiff=True)
    return folder


def field(rng: np.random.Generator) -> Plane:
    """One plane of 300 round cells, in grey levels."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    photons = 20 + 15 * np.exp(-((y - SIDE / 2) ** 2 + (x - SIDE / 2) ** 2) / SIDE**2)
    for cy, cx in rng.uniform(30, SIDE - 30, (300, 2)):
        box = np.s_[int(cy) - 30 : int(cy) + 30, int(cx) - 30 : int(cx) + 30]
        photons[box] += rng.uniform(50, 400) * np.exp(-((y[box] - cy) ** 2 + (x[box] - cx) ** 2) / 150)
    return (rng.poisson(photons) * 2.2 + rng.normal(100, 3, photons.shape)).clip(0, 65535).astype(np.uint16)


def levels_of(source: Path) -> Iterator[tuple[tuple[int, int, int], list[Plane]]]:
    """Each plane's place (t, c, z) and its levels."""
    with tifffile.TiffFile(source / "field.ome.tif") as file:
        for number, page in enumerate(file.series[0].pages):
            levels = [page.asarray()]
            while len(levels) < LEVELS:
                levels.append(halve(levels[-1]))
            t, c, z = np.unravel_index(number, file.series[0].shape[:3])
            yield (int(t), int(c), int(z)), levels


def shape_of(source: Path) -> tuple[int, ...]:
    """Its t, c, z, y, x."""
    with tifffile.TiffFile(source / "field.ome.tif") as file:
        return tuple(file.series[0].shape)


def floor(source: Path, target: Path, clevel: int) -> None:
    """Do the least: read every plane, shrink it, compress its chunks, append them to one file."""
    from numcodecs import Blosc

    codec = Blosc("zstd", clevel=clevel, shuffle=Blosc.SHUFFLE)
    with (target / "blob").open("wb") as blob:
        for _, levels in levels_of(source):
            for level in levels:
                for top in range(0, level.shape[0], CHUNK):
                    for left in range(0, level.shape[1], CHUNK):
                        blob.write(codec.encode(np.ascontiguousarray(level[top : top + CHUNK, left : left + CHUNK])))


def ours(source: Path, target: Path) -> None:
    """Convert as the product does, with digests and proof."""
    from coldchain.imaging.convert_files import convert_files

    convert_files(str(source), str(target), name="BENCH")


def zarr_python(source: Path, target: Path) -> None:
    """Write plane by plane, one shard a plane and level, with zarr-python."""
    import zarr
    from zarr.codecs import BloscCodec

    group, shape = zarr.create_group(target / "image"), shape_of(source)
    arrays = [
        group.create_array(
            f"s{number}",
            shape=(*shape[:3], side, side),
            dtype="uint16",
            chunks=(1, 1, 1, min(side, CHUNK), min(side, CHUNK)),
            shards=(1, 1, 1, side, side),
            compressors=BloscCodec(cname="zstd", clevel=1, shuffle="shuffle"),
        )
        for number, side in enumerate(SIDE >> number for number in range(LEVELS))
    ]
    for place, levels in levels_of(source):
        for array, level in zip(arrays, levels, strict=True):
            array[tuple(slice(n, n + 1) for n in place)] = level[None, None, None]


def zarrs(source: Path, target: Path) -> None:
    """The same with the codecs of zarrs, in Rust."""
    import zarr
    import zarrs  # noqa: F401 - its codec pipeline registers itself

    zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"})
    zarr_python(source, target)


def tensorstore(source: Path, target: Path) -> None:
    """The same with tensorstore."""
    import tensorstore as ts

    shape = shape_of(source)
    blosc = {"name": "blosc", "configuration": {"cname": "zstd", "clevel": 1, "shuffle": "shuffle", "typesize": 2}}
    little = {"name": "bytes", "configuration": {"endian": "little"}}
    arrays = []
    for number in range(LEVELS):
        side = SIDE >> number
        shard = {"chunk_shape": [1, 1, 1, min(side, CHUNK), min(side, CHUNK)], "codecs": [little, blosc]}
        metadata = {
            "shape": [*shape[:3], side, side],
            "data_type": "uint16",
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1, 1, 1, side, side]}},
            "codecs": [{"name": "sharding_indexed", "configuration": shard}],
        }
        place = {"driver": "file", "path": str(target / f"s{number}")}
        arrays.append(ts.open({"driver": "zarr3", "kvstore": place, "metadata": metadata}, create=True).result())
    for place, levels in levels_of(source):
        for array, level in zip(arrays, levels, strict=True):
            array[place].write(level).result()


def lazy(source: Path) -> Any:
    """The image as a Dask array, a plane a chunk, read when it is asked for."""
    import dask
    import dask.array as da

    @dask.delayed
    def page(number: int) -> Plane:
        with tifffile.TiffFile(source / "field.ome.tif") as file:
            return np.asarray(file.series[0].pages[number].asarray())

    shape = shape_of(source)
    planes = [da.from_delayed(page(n), (SIDE, SIDE), np.uint16) for n in range(int(np.prod(shape[:3])))]
    return da.stack(planes).reshape(shape)


def ngff_zarr(source: Path, target: Path) -> None:
    """Let ngff-zarr write from Dask, with its own pyramid of means."""
    import ngff_zarr as nz
    from zarr.codecs import BloscCodec

    image = nz.to_ngff_image(lazy(source), dims=["t", "c", "z", "y", "x"])
    factors = [{"z": 1, "y": 2**level, "x": 2**level} for level in range(1, LEVELS)]
    chunks = {"t": 1, "c": 1, "z": 1, "y": CHUNK, "x": CHUNK}
    pyramid = nz.to_multiscales(image, scale_factors=factors, chunks=chunks, method=nz.Methods.DASK_BIN_SHRINK)
    blosc = BloscCodec(cname="zstd", clevel=1, shuffle="shuffle")
    nz.to_ngff_zarr(str(target / "image.ome.zarr"), pyramid, version="0.5", compressors=[blosc])


def ome_zarr(source: Path, target: Path) -> None:
    """Let ome-zarr-py write from Dask, with its own pyramid."""
    import zarr
    from ome_zarr.writer import write_image
    from zarr.codecs import BloscCodec

    options = {"chunks": (1, 1, 1, CHUNK, CHUNK), "compressors": [BloscCodec(cname="zstd", clevel=1, shuffle="shuffle")]}
    factors = [{"z": 1, "y": 2**level, "x": 2**level} for level in range(1, LEVELS)]
    group = zarr.open_group(target / "image.ome.zarr", mode="w")
    write_image(lazy(source), group, scale_factors=factors, axes="tczyx", storage_options=options)


PEERS: dict[str, Callable[[Path, Path], None]] = {
    "zarr-python": zarr_python,
    "zarrs": zarrs,
    "tensorstore": tensorstore,
    "ngff-zarr": ngff_zarr,
    "ome-zarr-py": ome_zarr,
}
WAYS: dict[str, Callable[[Path, Path], None]] = {
    "floor, zstd-1": lambda source, target: floor(source, target, 1),
    "floor, zstd-5": lambda source, target: floor(source, target, 5),
    "ours": ours,
    **PEERS,
}


if __name__ == "__main__":
    main()
