"""Finished items: believed by the run that comes back where their files are unharmed, computed again where they are not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from coldchain import finished, making, provenance
from coldchain.copies import Artifact, CopyState
from coldchain.errors import IntegrityError
from coldchain.finished import Finished, merge_hardware, note_of, parts_of, resume, written
from coldchain.levels import Level
from coldchain.testing import kernels
from coldchain.testing.faults import flip_bit
from coldchain.workspace import Workspace

KERNEL = "kernel"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A staging folder."""
    folder = tmp_path / "staging" / "abc"
    folder.mkdir(parents=True)
    return folder


def item_of(target: Path, number: int = 1) -> dict[str, Any]:
    """An item that writes one file."""
    return {"number": number, "target": str(target / f"{number}.bin"), "marks": str(target.parent)}


def done(target: Path, number: int = 1) -> dict[str, Any]:
    """Compute an item, note it, and return it."""
    item = item_of(target, number)
    result = kernels.write(item)
    Finished(target).add(KERNEL, [(item, {"result": result, "files": written(item, result), "job": ""})])
    return item


def test_a_finished_item_is_believed_by_the_next_run(target: Path) -> None:
    """Results are given by the index of their item; an unfinished item has none, nor has another kernel's."""
    item = done(target)
    note = Finished(target)
    assert note.results(KERNEL, [item_of(target, 2), item]) == {1: {"number": 1, "job": ""}}
    assert note.results("other", [item]) == {}
    assert note.results(KERNEL, [{**item, "marks": "elsewhere"}]) == {}


@pytest.mark.parametrize("harm", ["another byte", "shorter", "gone", "a link"])
def test_a_harmed_file_is_computed_again(target: Path, harm: str) -> None:
    """A result counts only as long as each of its files has the bytes that were written."""
    item, kept = done(target), done(target, 2)
    file = target / "1.bin"
    if harm == "another byte":
        flip_bit(file)
    elif harm == "shorter":
        file.write_bytes(file.read_bytes()[:-1])
    else:
        content = file.read_bytes()
        file.unlink()
        if harm == "a link":
            file.with_name("moved").write_bytes(content)
            file.symlink_to("moved")
    assert list(Finished(target).results(KERNEL, [item, kept])) == [1]


def test_half_a_line_is_passed_over_and_the_next_line_is_whole(target: Path) -> None:
    """A run that was killed while it wrote costs that one item; what is noted after it is read."""
    first, second = done(target), done(target, 2)
    note = note_of(target)
    note.write_bytes(note.read_bytes()[:-20])
    third = done(target, 3)
    assert list(Finished(target).results(KERNEL, [first, second, third])) == [0, 2]


@pytest.mark.parametrize("changed", ["code", "build", "lock"])
def test_what_other_code_finished_is_not_believed(target: Path, changed: str) -> None:
    """After an update everything is computed by the code that the provenance will name."""
    item = done(target)
    lines = note_of(target).read_text().splitlines()
    header = {**json.loads(lines[0]), changed: "other"}
    note_of(target).write_text("\n".join([json.dumps(header), *lines[1:]]))
    assert changed in json.loads(lines[0])
    assert not resume(target)
    assert Finished(target).results(KERNEL, [item]) == {}
    assert not note_of(target).exists()


def test_a_result_whose_files_nobody_knows_is_not_noted(target: Path) -> None:
    """A kernel that does not say what it wrote is computed again, and so is one whose result JSON would change."""
    unknown, tuples = {"number": 3}, {"number": 4}
    Finished(target).add(KERNEL, [(unknown, {"result": {"value": 9}, "files": None, "job": ""})])
    Finished(target).add(KERNEL, [(tuples, {"result": {"value": (1, 2)}, "files": [], "job": ""})])
    assert Finished(target).results(KERNEL, [unknown, tuples]) == {}


def test_what_a_kernel_wrote(target: Path) -> None:
    """Files are those that the result names, or those that begin with the item's target; folders are taken whole."""
    for name in ("A01_1.npy", "A01_1.parquet", "A01_10.npy", "folder/x", "folder/deep/y"):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_text(name)

    def names(item: dict[str, Any], result: dict[str, Any]) -> list[str] | None:
        files = written(item, result)
        return None if files is None else [str(Path(path).relative_to(target)) for path, _, _ in files]

    assert names({"target": str(target / "A01_1")}, {}) == ["A01_1.npy", "A01_1.parquet"]
    assert names({"target": str(target / "A01_1.npy")}, {}) == ["A01_1.npy"]
    assert names({"target": str(target)}, {"files": [str(target / "folder"), str(target / "A01_10.npy")]}) == [
        "folder/deep/y",
        "folder/x",
        "A01_10.npy",
    ]
    assert names({"target": str(target)}, {}) is None
    assert names({"target": str(target / "missing")}, {}) is None
    assert names({}, {}) is None
    assert names({}, {"files": []}) == []
    with pytest.raises(IntegrityError, match="missing"):
        names({}, {"files": [str(target / "missing")]})


def test_the_field_of_a_plate_is_what_a_kernel_wrote(target: Path) -> None:
    """An item with a plate, a well and a field writes into that field's folder, and nowhere else."""
    from coldchain.imaging.platezarr import PLATE, create_plate, field_path

    create_plate(target / PLATE, name="P", wells=["A01", "A02"], fields=[1], channels=["DNA"], pixel_size_um=1.0)
    field = field_path(target / PLATE, "A02", 1)
    field.mkdir(parents=True, exist_ok=True)
    (field / "chunk").write_text("x")
    found = written({"target": str(target), "well": "A02", "field": 1}, {})
    assert found is not None
    assert str(field / "chunk") in [path for path, _, _ in found]
    assert all(Path(path).is_relative_to(field) for path, _, _ in found)
    assert written({"target": str(target), "well": "A09", "field": 1}, {}) is None, "a place that cannot be read is nobody's"


def test_hardware_of_several_runs_is_one(target: Path) -> None:
    """Provenance names the machines and jobs of every run that took part, each once."""
    note = Finished(target)
    first = {"kind": "slurm", "nodes": ["cpu1"], "slurm_job_ids": ["1", "2"], "workers": [{"node": "cpu1"}]}
    second = {"kind": "slurm", "nodes": ["cpu2"], "slurm_job_ids": ["2", "3"], "workers": [{"node": "cpu1"}, {"node": "cpu2"}]}
    note.add_hardware(first)
    note.add_hardware(first)
    again = Finished(target)
    again.add_hardware(second)
    merged = merge_hardware(Finished(target).hardware)
    assert (merged["kind"], merged["nodes"], merged["slurm_job_ids"]) == ("slurm", ["cpu1", "cpu2"], ["1", "2", "3"])
    assert merged["workers"] == [{"node": "cpu1"}, {"node": "cpu2"}]
    assert merge_hardware([])["slurm_job_ids"] == []


class Work:
    """A step's work in three items, the middle one of which fails until it is told not to."""

    def __init__(self) -> None:
        self.computed: list[int] = []
        self.parts: list[str] = []
        self.fails = True

    def __call__(self, _inputs: list[Path], target: Path) -> making.Outcome:
        """Compute what is not finished."""
        note, parts = Finished(target), parts_of(target)
        parts.mkdir(exist_ok=True)
        self.parts = [path.name for path in parts.iterdir()]
        items = [{**item_of(target, n), "marks": str(parts)} for n in range(3)]
        for index in set(range(3)) - set(note.results(KERNEL, items)):
            if self.fails and index == 1:
                (target / "half.part").touch()
                raise RuntimeError("killed")
            self.computed.append(index)
            result = kernels.write(items[index])
            note.add(KERNEL, [(items[index], {"result": result, "files": written(items[index], result), "job": ""})])
        return making.Outcome()


def step(ingested: Artifact, **parameters: Any) -> making.Step:
    """A step on the raw data."""
    return making.Step("standardise", ingested.dataset, Level.STANDARD, (ingested,), parameters)


def left(ws: Workspace) -> list[str]:
    """Names of what stands in staging on scratch."""
    return sorted(path.name for path in (ws.stores["scratch"].store.root / ".coldchain" / "staging").glob("*"))


class TestMaking:
    """A step that was cut off goes on where it was."""

    def test_what_was_finished_is_not_computed_twice_and_nothing_is_left(self, ws: Workspace, ingested: Artifact) -> None:
        """The next run computes the rest; half-written files, the note and the parts are gone afterwards."""
        work = Work()
        with pytest.raises(RuntimeError, match="killed"):
            making.make(ws, step(ingested), work)
        assert len(left(ws)) == 3
        work.fails = False
        made = making.make(ws, step(ingested), work)
        assert work.computed == [0, 1, 2]
        assert ws.stores["scratch"].names(made.artifact.folder) == ["0.bin", "1.bin", "2.bin"]
        assert left(ws) == []

    def test_another_step_begins_anew(self, ws: Workspace, ingested: Artifact) -> None:
        """A changed parameter is another step: nothing of the first one's is used."""
        work = Work()
        with pytest.raises(RuntimeError):
            making.make(ws, step(ingested), work)
        work.fails = False
        making.make(ws, step(ingested, threshold=2), work)
        assert work.computed == [0, 0, 1, 2]

    def test_after_an_update_the_staged_files_are_made_again(
        self, ws: Workspace, ingested: Artifact, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An artifact is never put together of what two versions made."""
        work = Work()
        with pytest.raises(RuntimeError):
            making.make(ws, step(ingested), work)
        (stray,) = [path for path in (ws.stores["scratch"].store.root / ".coldchain/staging").iterdir() if path.name.isalnum()]
        (stray / "of the old version").touch()
        monkeypatch.setattr(provenance, "code_version", lambda: "9.9")
        work.fails = False
        made = making.make(ws, step(ingested), work)
        assert work.computed == [0, 0, 1, 2]
        assert work.parts == []
        assert ws.stores["scratch"].names(made.artifact.folder) == ["0.bin", "1.bin", "2.bin"]

    @pytest.mark.parametrize("harm", ["another byte", "gone"])
    def test_a_file_that_changed_after_it_was_noted_is_in_no_artifact(self, ws: Workspace, ingested: Artifact, harm: str) -> None:
        """What is harmed between its item's end and the step's is an error, and the next run computes that item again, and no other."""
        work = Work()
        work.fails = False

        def harmed(inputs: list[Path], target: Path) -> making.Outcome:
            outcome = work(inputs, target)
            flip_bit(target / "1.bin") if harm == "another byte" else (target / "1.bin").unlink()
            return outcome

        with pytest.raises(IntegrityError, match=r"1\.bin"):
            making.make(ws, step(ingested), harmed)
        assert ws.catalogue.artifacts(ingested.dataset, Level.STANDARD) == []
        made = making.make(ws, step(ingested), work)
        assert work.computed == [0, 1, 2, 1]
        assert (ws.store("scratch").local(made.artifact.folder) / "1.bin").read_text() == "item 1"

    def test_what_a_worker_that_was_given_up_left_is_in_no_artifact(self, ws: Workspace, ingested: Artifact) -> None:
        """A half-written file beside what another worker finished meanwhile goes before the files are listed; a plate called so stays."""
        work = Work()
        work.fails = False

        def littered(inputs: list[Path], target: Path) -> making.Outcome:
            outcome = work(inputs, target)
            (target / "1.0123456789abcdef.partial").touch()
            (target / "plate=A.part").mkdir()
            (target / "plate=A.part" / "cells.parquet").touch()
            return outcome

        made = making.make(ws, step(ingested), littered)
        assert ws.stores["scratch"].names(made.artifact.folder) == ["0.bin", "1.bin", "2.bin", "plate=A.part/cells.parquet"]

    @pytest.mark.parametrize("at", ["write_manifest", "move", "protect"])
    def test_cut_off_after_it_is_recorded(self, ws: Workspace, ingested: Artifact, at: str) -> None:
        """Wherever settling ends, neither note nor parts are left, and no work is done again."""
        work = Work()
        work.fails = False

        def fault(_operation: str, _arguments: tuple[Any, ...], _real: Any) -> Any:
            raise RuntimeError("killed")

        ws.stores["scratch"].faults[at] = fault
        with pytest.raises(RuntimeError, match="killed"):
            making.make(ws, step(ingested), work)
        ws.stores["scratch"].faults.clear()
        made = making.make(ws, step(ingested), work)
        assert work.computed == [0, 1, 2]
        assert [copy.state for copy in ws.catalogue.copies(artifact=made.artifact.id)] == [CopyState.VERIFIED]
        assert left(ws) == []

    def test_a_kill_between_the_record_and_forgetting_leaves_nothing(
        self, ws: Workspace, ingested: Artifact, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The run that finds the step recorded removes note and parts too."""
        work = Work()
        work.fails = False
        with monkeypatch.context() as patch:
            patch.setattr(making, "_forget", _killed)
            with pytest.raises(RuntimeError, match="killed"):
                making.make(ws, step(ingested), work)
        assert len(left(ws)) == 3
        making.make(ws, step(ingested), work)
        assert (work.computed, left(ws)) == ([0, 1, 2], [])


def _killed(*_arguments: Any) -> None:
    raise RuntimeError("killed")


def test_a_first_run_begins_with_nothing(target: Path) -> None:
    """Without a note there is nothing to go on from."""
    assert not resume(target)
    finished.forget(target)
