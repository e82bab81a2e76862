"""Workers of this host: the same kernels, the same checks and the same errors as on SLURM."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from coldchain.cluster import Cluster, ClusterKind
from coldchain.errors import ComputeFailed, ImageError, InputError
from coldchain.node import node_name
from coldchain.testing import kernels
from tasks.cluster import Workers, open_cluster

HOLDER = """
import sys
from pathlib import Path
from coldchain.cluster import Cluster
from coldchain.testing import kernels
from tasks.cluster import open_cluster

if __name__ == "__main__":
    scratch, marks, kernel = Path(sys.argv[1]), sys.argv[2], getattr(kernels, sys.argv[3])
    with open_cluster(Cluster(workers=2), scratch=scratch, name="holder", tasks=2) as workers:
        workers.map(kernel, [{"marks": marks, "seconds": 300, "count": 10**11}] * 2)
"""


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workers]:
    """Two local workers for the tests of this file that do not break them for good."""
    with open_cluster(Cluster(workers=2, cores=3), scratch=tmp_path_factory.mktemp("scratch"), name="local", tasks=8) as opened:
        yield opened


def comes_true(condition: Callable[[], bool], within_s: float = 30) -> bool:
    """Wait for a condition; return whether it came true in time."""
    until = time.monotonic() + within_s
    while not condition() and time.monotonic() < until:
        time.sleep(0.1)
    return condition()


def is_running(pid: int) -> bool:
    """Return whether this process lives and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def pids_in(marks: Path) -> list[int]:
    """Return the processes that left a mark."""
    return [int(mark.read_text()) for mark in marks.iterdir()]


def test_results_come_in_the_order_of_the_items(workers: Workers) -> None:
    """Whatever finishes first, results stand where their items stood, and progress ends at all of them."""
    seen: list[tuple[int, int]] = []
    results = workers.map(kernels.square, [{"number": n} for n in range(50)], progress=lambda *at: seen.append(at))
    assert results == [{"value": n * n} for n in range(50)]
    assert seen == sorted(seen)
    assert seen[-1] == (50, 50)


def test_no_items_give_no_results(workers: Workers) -> None:
    """An empty plate is no error."""
    assert workers.map(kernels.square, []) == []


def test_a_function_that_a_real_cluster_could_not_import_is_refused_here_too(workers: Workers) -> None:
    """LocalCluster would run a test's own function; SLURM's workers would not: so nobody does."""
    with pytest.raises(InputError, match="cannot travel"):
        workers.map(comes_true, [{}])


def test_a_path_in_an_item_is_refused(workers: Workers) -> None:
    """Only plain values travel."""
    with pytest.raises(InputError, match="cannot travel"):
        workers.map(kernels.square, [{"number": Path("/x")}])


def test_a_kernels_error_arrives_as_itself(workers: Workers) -> None:
    """Class and parts of an error are those that the kernel raised, and the workers go on."""
    with pytest.raises(ImageError, match="truncated") as caught:
        workers.map(kernels.refuse_image, [{"name": "A01.tif\n../x"}, {"name": "A01.tif\n../x"}])
    assert (caught.value.on, caught.value.expected, caught.value.got) == ("A01.tif\n../x", 100, 3)
    assert workers.map(kernels.square, [{"number": 3}]) == [{"value": 9}]


def test_results_that_come_with_an_error_are_kept(tmp_path: Path) -> None:
    """What was finished by the time that another item fails is noted, and not computed again by the next run."""
    (tmp_path / "marks").mkdir()
    items = [{"number": n, "target": str(tmp_path / f"{n}.bin"), "marks": str(tmp_path / "marks")} for n in range(4)]
    items[1]["marks"] = str(tmp_path / "no such folder")
    kept: list[int] = []

    def keep(answers: dict[int, dict[str, Any]]) -> None:
        kept.extend(answers)
        assert comes_true(lambda: len(list((tmp_path / "marks").iterdir())) == 3)
        time.sleep(1)

    with open_cluster(Cluster(workers=1), scratch=tmp_path, name="error", tasks=1) as opened, pytest.raises(FileNotFoundError):
        opened.map(kernels.write, items, keep=keep)
    assert sorted(kept) == [0, 2, 3]


def test_an_item_that_kills_its_workers_ends_in_an_error_that_names_it(workers: Workers) -> None:
    """An item that ends two processes is not given to a third, and dead workers are replaced."""
    with pytest.raises(ComputeFailed, match="'code': 7") as caught:
        workers.map(kernels.die, [{"code": 7}])
    assert caught.value.hint is not None
    assert workers.map(kernels.square, [{"number": 3}]) == [{"value": 9}]


def test_native_threads_are_those_of_the_profile(workers: Workers) -> None:
    """Workers see the profile's cores; the import path does not begin with the working folder; freed memory is kept as C programs do."""
    expected = {"OMP_NUM_THREADS": "3", "TF_NUM_INTRAOP_THREADS": "3", "PYTHONSAFEPATH": "1", "MALLOC_TRIM_THRESHOLD_": "67108864"}
    [answer] = workers.map(kernels.where, [{"variables": list(expected)}])
    assert answer["variables"] == expected


def test_no_thread_is_looked_at_by_a_profiler(workers: Workers) -> None:
    """Dask's profiler can stop all of Python 3.11 for ever: it runs neither in a worker nor here, where the scheduler is."""

    def profilers(dask_worker: Any = None) -> list[str]:
        timed = dask_worker.periodic_callbacks if dask_worker else ()
        return [name for name in (*timed, *(thread.name for thread in threading.enumerate())) if "profile" in name.lower()]

    assert list(workers._client.run(profilers).values()) == [[], []]
    assert profilers() == []


def test_hardware_is_plain_values_for_provenance(workers: Workers) -> None:
    """What is recorded can be written as JSON and names machine, processor, memory and version."""
    hardware = json.loads(json.dumps(workers.hardware()))
    assert hardware["kind"] == workers.kind == ClusterKind.LOCAL
    assert hardware["slurm_job_ids"] == []
    assert len(hardware["workers"]) >= 2
    machine = hardware["workers"][0]
    assert machine["node"] in hardware["nodes"]
    assert machine["memory_bytes"] > 1 << 20
    assert machine["cores"] >= 1
    assert machine["coldchain"] == hardware["coldchain"]


def test_a_stranger_without_the_runs_keys_cannot_command_the_workers(workers: Workers) -> None:
    """Who reaches the scheduler's port could run code as us: without the keys of this run nobody is answered."""
    from distributed import Client, Security

    address = workers._cluster.scheduler_address
    for url, security in ((address, Security.temporary()), (address.replace("tls://", "tcp://"), Security())):
        with pytest.raises(OSError, match=r"TLS certificate|Timed out|closed"):
            Client(url, security=security, timeout=3, set_as_default=False)


def test_no_more_workers_than_tasks_and_nothing_left_behind(tmp_path: Path) -> None:
    """One task opens one worker; afterwards its process, the run's token and our changed environment are gone."""
    before = dict(os.environ)
    with open_cluster(Cluster(workers=4), scratch=tmp_path, name="one", tasks=1) as opened:
        assert len(opened.hardware()["workers"]) == 1
        [answer] = opened.map(kernels.where, [{}])
        assert is_running(answer["pid"])
    assert comes_true(lambda: not is_running(answer["pid"]))
    assert list((tmp_path / ".coldchain" / "tokens").iterdir()) == []
    assert dict(os.environ) == before


def test_the_total_timeout_ends_a_computation_that_hangs(tmp_path: Path) -> None:
    """A kernel that does not come back is given up, and its process is ended."""
    spec = Cluster(workers=1, total_timeout_s=4)
    marks = tmp_path / "marks"
    marks.mkdir()
    with (
        pytest.raises(ComputeFailed, match="out of time"),
        open_cluster(spec, scratch=tmp_path, name="hangs", tasks=1) as opened,
    ):
        opened.map(kernels.mark_and_sleep, [{"marks": str(marks), "seconds": 600}])
    assert comes_true(lambda: not any(is_running(pid) for pid in pids_in(marks)))


def test_workers_that_need_a_gpu_have_a_card_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There are no more workers than cards, and no two on one card: one process a GPU."""
    for number in range(2):
        (tmp_path / f"card{number}").touch()
    monkeypatch.setenv("COLDCHAIN_GPU_DEVICES", f"{tmp_path}/card*")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    with open_cluster(Cluster(workers=4, gpu=True), scratch=tmp_path, name="cards", tasks=8) as opened:
        answers = opened.map(kernels.sleep, [{"seconds": 0.5, "variables": ["CUDA_VISIBLE_DEVICES"]}] * 8)
    cards = {answer["pid"]: answer["variables"]["CUDA_VISIBLE_DEVICES"] for answer in answers}
    assert sorted(cards.values()) == ["4", "7"]


def test_a_host_without_a_gpu_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work that needs a GPU is not begun where none is seen."""
    monkeypatch.setenv("COLDCHAIN_GPU_DEVICES", f"{tmp_path}/card*")
    with (
        pytest.raises(ComputeFailed, match="shows no GPU") as caught,
        open_cluster(Cluster(workers=1, gpu=True), scratch=tmp_path, name="nocards", tasks=1),
    ):
        pytest.fail("a host without a GPU was accepted")
    assert caught.value.on == node_name()


def test_a_scratch_that_is_removed_ends_the_work(tmp_path: Path) -> None:
    """A scratch without this run's token is gone, though the workers of this host could go on without it."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()

    def progress(_done: int, _total: int) -> None:
        (scratch / ".coldchain").rename(tmp_path / "purged")

    with (
        pytest.raises(ComputeFailed, match="this run's token"),
        open_cluster(Cluster(workers=1), scratch=scratch, name="purged", tasks=1) as opened,
    ):
        opened.map(kernels.sleep, [{"seconds": 0.1}] + [{"seconds": 5}] * 20, progress=progress)


@pytest.mark.parametrize("kernel", ["mark_and_sleep", "mark_and_hold_the_interpreter"])
def test_workers_die_with_a_process_that_is_killed(tmp_path: Path, kernel: str) -> None:
    """After SIGKILL of the process that opened them no worker runs on, not even in native code that holds the interpreter."""
    marks, script = tmp_path / "marks", tmp_path / "holder.py"
    marks.mkdir()
    script.write_text(HOLDER)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)}
    with subprocess.Popen([sys.executable, str(script), str(tmp_path), str(marks), kernel], env=environment) as holder:
        try:
            assert comes_true(lambda: len(list(marks.iterdir())) == 2, within_s=60)
        finally:
            holder.kill()
    pids = pids_in(marks)
    try:
        assert comes_true(lambda: not any(is_running(pid) for pid in pids))
    finally:
        for pid in filter(is_running, pids):
            os.kill(pid, signal.SIGKILL)
