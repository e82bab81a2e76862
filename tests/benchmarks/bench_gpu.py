"""Megapixels a second of our kernel beside the bare model on the same image, on whatever device there is: for whoever has a GPU.

Run: ``python tests/benchmarks/bench_gpu.py [--model NAME] [--side PIXELS] [--require-gpu]``. The bare model predicts the image, held in
memory, in tiles of the same size. The kernel reads the image from OME-Zarr, predicts, and writes picture, labels and OME-TIFF. Then the
bare model predicts fields of 256 pixels a side, one by one, and all in one call, which predicts them in batches. All take turns in one
process after a first prediction that does not count; medians count.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from coldchain.imaging import models
from coldchain.imaging.devices import Device, claim_device
from coldchain.imaging.platezarr import PLATE, create_plate, write_field
from coldchain.imaging.segment import prepare_masks, segment_field
from coldchain.imaging.synthesis import nuclei_field
from coldchain.imaging.synthetic_nuclei import Conditions

ROUNDS = 5
GOAL = 0.9
SMALL = 256  # px, the side of fields that are small for a GPU


def main() -> None:
    """Print the device, megapixels a second of both, and last their ratio."""
    asked = arguments()
    device = claim_device(require_gpu=asked.require_gpu)
    model, side = models.load(asked.model), max(asked.side or (1024 if device.name == "CPU" else 4096), 1024)
    part = nuclei_field(np.random.default_rng(1), (512, 512), count=140, conditions=Conditions()).image
    image = np.tile(part, (-(-side // 512),) * 2)[:side, :side]
    with tempfile.TemporaryDirectory() as folder:
        item = prepare(Path(folder), image, asked.model)
        bare, ours = turns(lambda: model.predict(image, tile=device.tile), lambda: segment_field(item))
    fields = [image[y : y + SMALL, x : x + SMALL] for y in range(0, 1024, SMALL) for x in range(0, 1024, SMALL)]
    alone, together = turns(
        lambda: [model.predict(field, tile=device.tile) for field in fields], lambda: model.predict_all(fields, tile=device.tile)
    )
    print(f"gpu: {describe(device)}, {asked.model}, {side} x {side} px")
    print(f"gpu: bare model {side**2 / 1e6 / bare:.2f} MP/s, kernel {side**2 / 1e6 / ours:.2f} MP/s")
    print(f"gpu: speed ratio of the kernel to the bare model {bare / ours:.2f} (goal at least {GOAL}) on {device.name}")
    print(f"gpu: time ratio of {len(fields)} fields of {SMALL} px in batches to one by one {together / alone:.2f} (goal at most 1)")


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", default="nuclei-small", help="a registered model for planes")
    parser.add_argument(
        "--side", type=int, default=0, help="pixels, 1024 to 4096; the largest on a GPU and the smallest on a CPU where not given"
    )
    parser.add_argument("--require-gpu", action="store_true", help="fail where TensorFlow sees no GPU")
    return parser.parse_args()


def describe(device: Device) -> str:
    """The device, and what was chosen for it."""
    return f"{device.name}, tiles of {device.tile} px"


def prepare(folder: Path, image: np.ndarray[Any, Any], model: str) -> dict[str, Any]:
    """Write the image as a plate of one field, and return its work item."""
    create_plate(folder / "corrected" / PLATE, name="BENCH", wells=["A01"], fields=[1], channels=["DNA"], pixel_size_um=0.5)
    kind = {"channels": ["DNA"], "dtype": image.dtype, "shape": image.shape, "pixel_size_um": 0.5}
    write_field(folder / "corrected" / PLATE, "A01", 1, [(0, image)], **kind)
    (item,) = prepare_masks(str(folder / "corrected"), str(folder / "masks"), channel="DNA", model=model)
    return item


def turns(*works: Callable[[], object]) -> list[float]:
    """Seconds of each, in turns: the median of all rounds but the first."""
    rounds = [[seconds(work) for work in works] for _ in range(ROUNDS + 1)]
    return [statistics.median(each) for each in zip(*rounds[1:], strict=True)]


def seconds(work: Callable[[], object]) -> float:
    """Wall seconds of one call."""
    began = time.monotonic()
    work()
    return time.monotonic() - began


if __name__ == "__main__":
    main()
