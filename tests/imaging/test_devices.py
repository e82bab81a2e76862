"""The device of a process: one GPU and never two, its memory as needed, and a clear word where a GPU was asked for and is not there."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from coldchain import node
from coldchain.errors import ComputeFailed, InputError
from coldchain.imaging.devices import claim_device, gpu_memory, tile_side


class GpuMachine:
    """What TensorFlow's `tf.config` offers on a machine with GPUs: it keeps the order of calls, and refuses changes after first use."""

    def __init__(self, gpus: int, *, used: bool = False) -> None:
        self.gpus = [SimpleNamespace(name=f"/physical_device:GPU:{number}") for number in range(gpus)]
        self.visible, self.growing, self.used = list(self.gpus), [], used
        self.calls: list[tuple[str, Any]] = []
        self.config = self
        self.experimental = self

    def list_physical_devices(self, kind: str | None = None) -> list[Any]:
        """All GPUs, or all devices."""
        return self.gpus if kind == "GPU" else [SimpleNamespace(name="/physical_device:CPU:0"), *self.gpus]

    def get_visible_devices(self, _kind: str) -> list[Any]:
        """The GPUs that are not hidden."""
        return self.visible

    def get_memory_growth(self, gpu: Any) -> bool:
        """Whether a GPU's memory is taken as it is needed."""
        return gpu in self.growing

    def get_device_details(self, gpu: Any) -> dict[str, str]:
        """What the driver says of a GPU."""
        return {"device_name": f"Card {self.gpus.index(gpu)}"}

    def set_visible_devices(self, gpus: list[Any], _kind: str) -> None:
        """Hide the others."""
        self._change("visible", [gpu.name for gpu in gpus])
        self.visible = gpus

    def set_memory_growth(self, gpu: Any, _grows: bool) -> None:
        """Let a GPU's memory grow."""
        self._change("growth", gpu.name)
        self.growing.append(gpu)

    def _change(self, what: str, on: Any) -> None:
        if self.used:
            raise RuntimeError("Physical devices cannot be modified after being initialized")
        self.calls.append((what, on))


def test_without_a_gpu_the_cpu_is_used() -> None:
    """TensorFlow as it is installed here sees no GPU: the CPU is named, with tiles of 1024 pixels."""
    device = claim_device()
    assert (device.name, device.tile) == ("CPU", 1024)


def test_a_gpu_that_is_required_and_missing_is_an_error_that_names_the_node(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the step's workers are to have a GPU, a node without one fails, and is named, and is not slow."""
    monkeypatch.setenv("SLURMD_NODENAME", "gpu-node-7")
    with pytest.raises(ComputeFailed, match="sees no GPU") as caught:
        claim_device(require_gpu=True)
    assert caught.value.on == "gpu-node-7" == node.node_name()
    assert "CPU" in str(caught.value.got)


def test_of_several_gpus_a_process_takes_one() -> None:
    """The others are hidden first, then the one's memory grows as needed; a second claim changes nothing."""
    machine = GpuMachine(3)
    device = claim_device(require_gpu=True, tensorflow=machine)
    expected = [("visible", ["/physical_device:GPU:0"]), ("growth", "/physical_device:GPU:0")]
    assert (device.name, machine.calls) == ("Card 0", expected)
    assert claim_device(tensorflow=machine) == device
    assert machine.calls == expected


def test_a_process_that_used_tensorflow_before_is_told() -> None:
    """What TensorFlow has taken cannot be given back: an error says so, and what to do."""
    with pytest.raises(InputError, match="before a GPU was claimed") as caught:
        claim_device(tensorflow=GpuMachine(1, used=True))
    assert caught.value.hint == "start new workers"


@pytest.mark.parametrize(
    ("memory_gb", "side"), [(None, 1024), (0.5, 1024), (4, 1024), (8, 1536), (16, 2048), (24, 2560), (40, 3584), (80, 4096), (500, 4096)]
)
def test_tiles_grow_with_the_memory_of_the_gpu(memory_gb: float | None, side: int) -> None:
    """From 1024 pixels, as on a CPU, to 4096, the side of the largest block; half of the memory is left."""
    assert tile_side(None if memory_gb is None else int(memory_gb * 2**30)) == side


def test_without_a_driver_the_memory_is_not_known() -> None:
    """A machine without NVIDIA's driver, and one whose driver finds no GPU, say nothing, and do not fail."""
    assert gpu_memory("libno-such-driver.so.1") is None
    assert gpu_memory() is None
