"""Finished items of a step: noted as their results come, so that a run that comes back computes none of them twice.

The note stands beside the step's staging folder. Its first line says which code wrote it; each other line is one finished item
with its result and the size and SHA-256 of each file that it wrote, or the hardware of one run. A note of other code is thrown
away, and with it what was staged: an artifact is never put together of what two versions made.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from coldchain import files, provenance
from coldchain.errors import ColdchainError, IntegrityError

TEMPORARY = (".part", ".partial", files.PARTIAL)
"""How names of files and folders end that were not written to their end."""

Answer = Mapping[str, Any]
"""What a worker says of one item: `result`, `files` (path, size, SHA-256 of each; none where nobody can tell) and `job`."""


def note_of(target: Path) -> Path:
    """File beside a staging folder in which finished items are noted."""
    return target.with_name(f"{target.name}-finished.jsonl")


def parts_of(target: Path) -> Path:
    """Folder beside a staging folder for the parts of single items, until they are joined."""
    return target.with_name(f"{target.name}-parts")


def resume(target: Path) -> bool:
    """Whether a cut-off run of this code left finished items; then what it had not written to its end is removed from staging."""
    if _lines(note_of(target))[:1] != [_header()]:
        return False
    for folder, folders, names in os.walk(target):
        for name in [*folders, *names]:
            if name.endswith(TEMPORARY):
                _remove(Path(folder, name))
    return True


def tidy(target: Path) -> None:
    """Remove the half-written files of workers that were given up, when all items are finished; folders stay: a plate may be `x.part`."""
    for folder, _, names in os.walk(target) if note_of(target).exists() else ():
        for name in names:
            if name.endswith(TEMPORARY):
                Path(folder, name).unlink()


def forget(target: Path) -> None:
    """Remove the note and the parts: the step is recorded, or begins anew."""
    note_of(target).unlink(missing_ok=True)
    with suppress(FileNotFoundError):
        shutil.rmtree(parts_of(target))


def refuse_changed(target: Path, entries: Mapping[str, str]) -> None:
    """Hold what stands in a staging folder (digests by relative name) against what finished items wrote, each file's last line.

    A worker that was given up and still runs, or a failing disk, may change a file after its item was noted. Raises IntegrityError.
    """
    described = [each for line in _lines(note_of(target)) for each in line.get("files", ())]
    noted = {path.removeprefix(f"{target}/"): digest for path, _, digest in described if path.startswith(f"{target}/")}
    if changed := sorted(name for name, digest in noted.items() if entries.get(name) != digest):
        raise IntegrityError(
            "a file changed after it was computed",
            on=target / changed[0],
            expected=f"SHA-256 {noted[changed[0]]}",
            got=f"{entries.get(changed[0], 'no such file')}; {len(changed)} files in all",
            done="nothing was registered",
            hint="run it again: what is harmed is computed again",
        )


class Finished:
    """The finished items of one step, by what was computed and of what."""

    def __init__(self, target: Path) -> None:
        self._note = note_of(target)
        lines = _lines(self._note)
        if lines[:1] != [_header()]:
            self._note.unlink(missing_ok=True)
            lines = []
        self._answers = {line["item"]: line for line in lines if "item" in line}
        self.hardware: list[dict[str, Any]] = [line["hardware"] for line in lines if "hardware" in line]

    def results(self, kernel: str, items: Sequence[Mapping[str, Any]]) -> dict[int, dict[str, Any]]:
        """Return the results of finished items by their index, where every file of theirs still has the bytes that were written."""
        found = {index: self._answers.get(_key(kernel, item)) for index, item in enumerate(items)}
        return {index: answer["result"] for index, answer in found.items() if answer and all(map(_unharmed, answer["files"]))}

    def add(self, kernel: str, answers: Iterable[tuple[Mapping[str, Any], Answer]]) -> None:
        """Note items and what workers answered, durably; an item whose files are unknown is not noted, and is computed again."""
        kept = [
            {"item": _key(kernel, item), **answer} for item, answer in answers if answer["files"] is not None and _plain(answer["result"])
        ]
        self._append(kept)

    def add_hardware(self, hardware: Mapping[str, Any]) -> None:
        """Note what a run computes on, for the provenance of an artifact that several runs made."""
        if hardware not in self.hardware:
            self.hardware.append(dict(hardware))
            self._append([{"hardware": hardware}])

    def _append(self, lines: Sequence[Mapping[str, Any]]) -> None:
        if not lines:
            return
        fresh = not self._note.exists()
        text = "".join(f"{json.dumps(line)}\n" for line in ([_header(), *lines] if fresh else lines))
        with self._note.open("ab") as file:
            file.write(text.encode() if fresh else b"\n" + text.encode())  # the line before may have been cut off
            file.flush()
            os.fsync(file.fileno())
        if fresh:
            files.sync_folder(self._note.parent)


def written(item: Mapping[str, Any], result: Mapping[str, Any]) -> list[list[Any]] | None:
    """Return path, size and SHA-256 of each file that a kernel wrote for an item, read back from the disk; None where nobody can tell.

    A kernel names them as `files` in its result (files, or folders that are all its own), relative to the item's `target` where that
    is a folder. One that does not has an item with `target`: a file, a name that all its files begin with (`A01_1` of `A01_1.npy`), or a
    folder with the plate of which it fills the field that `well` and `field` name. Raises IntegrityError where a file that a kernel
    names is not there.
    """
    if isinstance(named := result.get("files"), list):
        return _described(Path(item.get("target", ""), path) for path in named)
    try:
        return _described(_places(item)) or None
    except (OSError, ColdchainError):  # several items may share a place, and change it while it is read
        return None


def merge_hardware(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the hardware of several runs of one step as one, as `Workers.hardware` gives it: lists are joined, each entry once."""
    merged: dict[str, Any] = {"kind": "", "workers": [], "nodes": [], "gpus": [], "slurm_job_ids": []}
    for run in runs:
        for name, value in run.items():
            before = merged.get(name)
            merged[name] = [*before, *(each for each in value if each not in before)] if isinstance(before, list) else value
    return merged


def _header() -> dict[str, str]:
    return {"code": provenance.code_version(), "build": provenance.build_digest(), "lock": provenance.lock_digest()}


def _key(kernel: str, item: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps([kernel, item], sort_keys=True).encode()).hexdigest()


def _lines(note: Path) -> list[dict[str, Any]]:
    """Read the lines that are whole; a run that was killed may have left half a one."""
    try:
        text = note.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    found = []
    for line in filter(None, text.splitlines()):
        with suppress(ValueError):
            found.append(json.loads(line))
    return [line for line in found if isinstance(line, dict)]


def _places(item: Mapping[str, Any]) -> list[Path]:
    if not isinstance(target := item.get("target"), str):
        return []
    return _of_plate(Path(target), item) or [path for path in _named_like(Path(target)) if path.is_file()]


def _of_plate(target: Path, item: Mapping[str, Any]) -> list[Path]:
    from coldchain.imaging.platezarr import PLATE, field_path

    plate = target / PLATE
    return [field_path(plate, item["well"], item["field"])] if "well" in item and "field" in item and plate.is_dir() else []


def _named_like(target: Path) -> list[Path]:
    with os.scandir(target.parent) as entries:
        names = sorted(entry.name for entry in entries if entry.name == target.name or entry.name.startswith(f"{target.name}."))
    return [target.parent / name for name in names]


def _files_at(place: Path) -> list[Path]:
    return [place / name for name in files.names_below(place)] if place.is_dir() else [place]


def _described(places: Iterable[Path]) -> list[list[Any]]:
    return [_describe(path) for place in places for path in _files_at(place)]


def _describe(path: Path) -> list[Any]:
    digest = files.read_back(path)
    return [str(path), path.stat().st_size, digest]


def _unharmed(described: Sequence[Any]) -> bool:
    path, size, digest = described
    try:
        return bool(os.lstat(path).st_size == size and files.read_back(path) == digest)
    except (OSError, ColdchainError):  # what cannot be read is computed again, which tells why
        return False


def _plain(value: object) -> bool:
    """Whether JSON gives a value back as it is."""
    if isinstance(value, dict):
        return all(type(name) is str and _plain(part) for name, part in value.items())
    if isinstance(value, list):
        return all(map(_plain, value))
    return type(value) in (str, int, float, bool, type(None))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
