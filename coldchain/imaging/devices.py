"""The device that a process predicts on: one GPU where there is one, never two, and tiles as large as its memory takes."""

from __future__ import annotations

import ctypes
import math
from dataclasses import dataclass
from typing import Any

from coldchain.errors import ComputeFailed, InputError
from coldchain.node import node_name

CPU_TILE = 1024  # px: what a core predicts no faster in larger tiles, at a memory of one to two GB
GPU_TILES = (1024, 4096)  # px, the smallest and the largest side of a tile on a GPU
BYTES_A_PIXEL = 1500  # of activations, of a U-Net of 32 filters at full width with some room
SHARE = 0.5  # of a GPU's memory that one tile may take


@dataclass(frozen=True)
class Device:
    """What this process predicts on: its name, and the side of a tile in pixels, which is also what a batch of smaller ones may fill."""

    name: str
    tile: int


def tile_side(memory_bytes: int | None) -> int:
    """Return the side of a tile, in pixels, for a GPU with that memory; None stands for one that does not tell, or for a CPU.

    One large tile fills a GPU as a batch of small ones does, and fewer pixels are predicted twice at its rims. So tiles grow; what is
    smaller than one is predicted in batches that fill it (see `coldchain.imaging.models.batches`).
    """
    if memory_bytes is None:
        return CPU_TILE
    smallest, largest = GPU_TILES
    side = math.isqrt(int(memory_bytes * SHARE / BYTES_A_PIXEL)) // 512 * 512
    return min(max(side, smallest), largest)


def claim_device(*, require_gpu: bool = False, tensorflow: Any = None) -> Device:
    """Take the first visible GPU for this process, hide the others from TensorFlow, and let its memory grow as it is needed.

    Call it before a model is loaded. A second call changes nothing. `tensorflow` is the module where it is not the installed one.
    Raises ComputeFailed, which names the node, where a GPU is required and TensorFlow sees none; InputError where TensorFlow was used
    before in this process, so that it has taken all of the GPU's memory already.
    """
    tf = tensorflow or _tensorflow()
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        if require_gpu:
            raise ComputeFailed(
                "TensorFlow sees no GPU on this node",
                on=node_name(),
                expected="a GPU, as the step's cluster profile asks for one",
                got=f"devices {[str(device.name) for device in tf.config.list_physical_devices()]}",
                done="nothing was predicted on it",
                hint="look at the profile's gres, at nvidia-smi on the node, and whether coldchain[gpu] is installed for its interpreter",
            )
        return Device("CPU", tile_side(None))
    _take(tf, gpus)
    name = tf.config.experimental.get_device_details(gpus[0]).get("device_name", gpus[0].name)
    return Device(str(name), tile_side(gpu_memory()))


def _tensorflow() -> Any:
    import tensorflow as tf

    return tf


def _take(tf: Any, gpus: list[Any]) -> None:
    """Make the first GPU the only one that this process uses, once."""
    config = tf.config
    if config.get_visible_devices("GPU") == gpus[:1] and config.experimental.get_memory_growth(gpus[0]):
        return
    try:
        config.set_visible_devices(gpus[:1], "GPU")
        config.experimental.set_memory_growth(gpus[0], True)
    except RuntimeError as exc:
        raise InputError(
            "TensorFlow was used in this process before a GPU was claimed", on=gpus[0].name, got=exc, hint="start new workers"
        ) from exc


def gpu_memory(driver: str = "libcuda.so.1") -> int | None:
    """Return the bytes of the first visible GPU's memory, from NVIDIA's driver; None where there is no driver or no GPU.

    It follows CUDA_VISIBLE_DEVICES as TensorFlow does, and takes no memory itself.
    """
    try:
        cuda = ctypes.CDLL(driver)
    except OSError:
        return None
    device, total = ctypes.c_int(), ctypes.c_size_t()
    answers = (cuda.cuInit(0), cuda.cuDeviceGet(ctypes.byref(device), 0), cuda.cuDeviceTotalMem_v2(ctypes.byref(total), device))
    return None if any(answers) else int(total.value)
